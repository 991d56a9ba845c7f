"""``decode frame --pcap FILE``: every frame of a capture, C12.22 and C12.18 alike.

APDUs are cut out of TCP streams and datagrams; what an answer answers is known
from the request before it in the capture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from protocols.c1222.envelope import APDU_TAG
from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from protocols.errors import PortError
from protocols.transports.ip_packets import Endpoint, Segment, StreamJoiner, take_apart
from protocols.transports.pcapng import MAX_FILE_OCTETS, USER_C1218, Captured, read_capture
from smartmeter.base.file import read_file
from smartmeter.cli import frame_c1218, frame_c1222
from smartmeter.cli.frame_c1222 import FrameContext
from smartmeter.cli.frame_error import FrameError

#: Requests whose answers may still come.
MAX_OPEN = 65_536


def frames(name: str, context: FrameContext) -> Iterator[dict[str, Any]]:
    """Decode a capture file, frame by frame; click.UsageError when it is none."""
    reader = _Reader(context)
    try:
        for number, packet in enumerate(read_capture(read_file(Path(name), MAX_FILE_OCTETS)), 1):
            for shown in reader.packet(packet):
                yield {"packet": number, "utc_us": packet.utc_us} | shown
    except PortError as error:
        raise click.UsageError(f"{name}: {error}") from error


class _Reader:
    def __init__(self, context: FrameContext) -> None:
        self._context = context
        self._joiner = StreamJoiner()
        self._streams: OrderedDict[tuple[Endpoint, Endpoint], ApduStream | None] = OrderedDict()
        self._asked: OrderedDict[tuple[str, int], list[str]] = OrderedDict()

    def packet(self, packet: Captured) -> Iterator[dict[str, Any]]:
        if packet.link_type == USER_C1218:
            sent = {True: "sent", False: "received", None: "?"}[packet.outbound]
            yield {"protocol": "c1218", "direction": sent} | self._c1218(packet.octets)
            return
        segment = take_apart(packet.link_type, packet.octets)
        if segment is None:
            return
        ways = {"source": _name(segment.source), "destination": _name(segment.destination)}
        for octets in self._apdus(segment):
            yield {"protocol": "c1222"} | ways | self._c1222(octets)

    def _apdus(self, segment: Segment) -> list[bytes]:
        """Give the APDUs that a segment completes; a stream that is none is left alone."""
        if not segment.is_stream:
            return [segment.payload] if segment.payload[:1] == bytes([APDU_TAG]) else []
        data = self._joiner.offer(segment)
        way = (segment.source, segment.destination)
        if way not in self._streams:
            if not data:
                return []
            begins = data[0] == APDU_TAG
            self._streams[way] = ApduStream() if begins else None
            while len(self._streams) > MAX_OPEN:
                self._streams.popitem(last=False)
        stream = self._streams[way]
        try:
            return stream.feed(data) if stream is not None else []
        except ApduRejected:
            self._streams[way] = None
            return []

    @staticmethod
    def _c1218(octets: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, "hex": octets.hex(), "decoded": frame_c1218.decode_frame(octets)}
        except FrameError as error:
            return {"ok": False, "hex": octets.hex(), "reason": error.reason}

    def _c1222(self, octets: bytes) -> dict[str, Any]:
        shown: dict[str, Any] = {"ok": True, "hex": octets.hex()}
        try:
            decoded = frame_c1222.decode_frame(octets, self._context)
            answers = decoded.get("called_ap_invocation_id")
            asked = self._asked.get((decoded.get("called_ap_title", ""), answers or 0))
            if answers is not None and asked is not None:
                known = replace(self._context, in_reply_to=asked)
                decoded = frame_c1222.decode_frame(octets, known)
            elif answers is None:
                self._ask(decoded)
        except FrameError as error:
            return shown | {"ok": False, "reason": error.reason}
        return shown | {"decoded": decoded}

    def _ask(self, decoded: dict[str, Any]) -> None:
        services = [one.get("service", "") for one in decoded.get("services", [])]
        caller = (decoded.get("calling_ap_title", ""), decoded["calling_ap_invocation_id"])
        self._asked[caller] = services
        while len(self._asked) > MAX_OPEN:
            self._asked.popitem(last=False)


def _name(end: Endpoint) -> str:
    host = f"[{end[0]}]" if ":" in end[0] else end[0]
    return f"{host}:{end[1]}"
