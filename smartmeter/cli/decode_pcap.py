"""``decode frame --pcap FILE``: every frame of a capture, C12.22 and C12.18 alike.

APDUs are cut out of TCP streams and datagrams.  What cannot be decoded because the
capture does not hold it is told, not passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from protocols.c1222.envelope import APDU_TAG
from protocols.c1222.native_address import DEFAULT_PORT
from protocols.errors import PortError
from protocols.transports.ip_packets import Endpoint
from protocols.transports.ip_reading import IpReader
from protocols.transports.link_layers import OtherTraffic, ip_of
from protocols.transports.pcapng import MAX_FILE_OCTETS, USER_C1218, Captured, read_capture
from protocols.transports.tcp_streams import Way
from smartmeter.cli import frame_c1218
from smartmeter.cli.captured_streams import CapturedStreams, seems_message
from smartmeter.cli.captured_talk import CapturedTalk
from smartmeter.cli.frame_c1222 import FrameContext
from smartmeter.cli.frame_error import FrameError
from smartmeter.cli.image_file import given_octets

#: Pairs of ends that are known to send each other C12.22 in datagrams.
MAX_PAIRS = 65_536


class CaptureReader:
    """The frames of one capture file, and at their end what was left out of it and why."""

    def __init__(self, name: str, context: FrameContext) -> None:
        self._name, self._talk = name, CapturedTalk(context)
        self._ip, self._streams = IpReader(), CapturedStreams()
        self._left_out: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._damage, self._utc_us = "", 0
        self._pairs: set[frozenset[Endpoint]] = set()

    def frames(self) -> Iterator[dict[str, Any]]:
        """Decode frame by frame; click.UsageError when it is no capture."""
        octets = given_octets(self._name, MAX_FILE_OCTETS)
        number = 0
        try:
            for number, packet in enumerate(read_capture(octets), 1):
                self._utc_us = packet.utc_us
                for shown in self._packet(packet):
                    yield {"packet": number, "utc_us": self._utc_us} | shown
        except PortError as error:
            if not number:
                raise click.UsageError(f"{self._name}: {error}") from error
            self._damage = str(error)  # as of a recorder that was killed: what is there counts
        for way, apdu in self._streams.finish():
            yield {"packet": number, "utc_us": self._utc_us} | self._shown(way, apdu)

    def left_out(self) -> list[str]:
        """Give what was not decoded, once the frames have been given."""
        told = [f"the rest of the file: {self._damage}"] if self._damage else []
        told += [f"{count} packets: {why}" for why, count in self._left_out.items()]
        if fragments := self._ip.unfinished(DEFAULT_PORT):
            told.append(f"{fragments} packets: not all fragments were captured")
        if packets := self._streams.cut_packets:
            told.append(f"{packets} packets of TCP: cut short by the recorder")
        if gaps := self._streams.gaps:
            told.append(f"{gaps} gaps in streams of TCP: packets were not captured")
        if octets := self._streams.cut_short:
            told.append(f"{octets} octets of TCP: not a whole message captured")
        if octets := self._streams.foreign:
            told.append(f"{octets} octets of TCP on C12.22's connections: no messages, perhaps TLS")
        return told

    def others(self) -> list[str]:
        """Give what the capture holds beside C12.22 and C12.18, once the frames have been given."""
        others = self._others + Counter({"TCP without C12.22 in it": self._streams.others})
        return [f"{count} packets: {what}" for what, count in others.items()]

    def _packet(self, packet: Captured) -> Iterator[dict[str, Any]]:
        if packet.link_type == USER_C1218:
            sent = {True: "sent", False: "received", None: "?"}[packet.outbound]
            yield {"protocol": "c1218", "direction": sent} | self._c1218(packet.octets)
            return
        try:
            segment = self._ip.read(ip_of(packet.link_type, packet.octets))
        except OtherTraffic as other:
            self._others[str(other)] += 1
            return
        except PortError as error:
            self._left_out[str(error)] += 1
            return
        if segment is None:
            return
        way = (segment.source, segment.destination)
        if segment.is_stream:
            for apdu in self._streams.offer(segment, packet.cut):
                yield self._shown(way, apdu)
            return
        # Where a recorder keeps a part of each packet, a whole datagram may lack its padding only.
        cut = packet.cut if segment.missing is None else min(packet.cut, segment.missing)
        if self._is_ours(way, segment.payload, cut):
            shown = self._shown(way, segment.payload, cut)
            if shown["ok"] and len(self._pairs) < MAX_PAIRS:
                self._pairs.add(frozenset(way))
            yield shown
        else:
            self._others["UDP without C12.22 in it"] += 1

    def _is_ours(self, way: Way, payload: bytes, cut: int) -> bool:
        if DEFAULT_PORT in (way[0][1], way[1][1]) or seems_message(payload, len(payload) + cut):
            return True
        return payload[:1] == bytes([APDU_TAG]) and frozenset(way) in self._pairs

    def _shown(self, way: Way, apdu: bytes, cut: int = 0) -> dict[str, Any]:
        told = {"protocol": "c1222", "source": _name(way[0]), "destination": _name(way[1])}
        if cut:
            return told | {"ok": False, "hex": apdu.hex(), "reason": "cut-by-capture"}
        return told | self._talk.shown(apdu, self._utc_us)

    @staticmethod
    def _c1218(octets: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, "hex": octets.hex(), "decoded": frame_c1218.decode_frame(octets)}
        except FrameError as error:
            return {"ok": False, "hex": octets.hex(), "reason": error.reason}


def _name(end: Endpoint) -> str:
    host = f"[{end[0]}]" if ":" in end[0] else end[0]
    return f"{host}:{end[1]}"
