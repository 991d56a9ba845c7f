"""What passed on the line, as annotated hex for a person, and as JSON to play again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocols.c1222.envelope import APDU_TAG, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.datalink.packet import (
    ACK,
    DATA_FORMAT,
    FIRST,
    MULTI,
    NAK,
    STP,
    TOGGLE,
    Packet,
    decode_packet,
)
from protocols.errors import RemoteProtocolError
from protocols.psem.description import describe

OCTETS_A_LINE = 16
#: The most entries that are kept: a flood must not fill the report.
MAX_ENTRIES = 2_000
#: A packet up to the code of Security; passwords are shown as fill.
_SECURITY_HEAD = re.compile(rb"\xee.{5}\x51", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One piece: when it was complete, where it went, its octets or a remark."""

    at_us: int
    to_device: bool
    data: bytes
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the entry as JSON holds it."""
        shown = {"us": self.at_us, "to": "device" if self.to_device else "client"}
        return {**shown, "hex": masked(self.data).hex(), "remark": self.remark}


@dataclass
class Transcript:
    """All that passed on a line, in order; beyond ``MAX_ENTRIES`` nothing is kept."""

    entries: list[Entry] = field(default_factory=list)

    def sent(self, data: bytes, at_us: int) -> None:
        """Note what we sent."""
        self._add(Entry(at_us, True, data))

    def received(self, data: bytes, at_us: int) -> None:
        """Note what came."""
        self._add(Entry(at_us, False, data))

    def remark(self, text: str, at_us: int) -> None:
        """Note a wait, a change of speed, or what was expected."""
        self._add(Entry(at_us, True, b"", text))

    def _add(self, entry: Entry) -> None:
        if len(self.entries) < MAX_ENTRIES:
            self.entries.append(entry)

    def lines(self) -> Iterator[str]:
        """Give annotated hex: direction, octets, and what they are."""
        begin_us = self.entries[0].at_us if self.entries else 0
        for entry in self.entries:
            at = f"{(entry.at_us - begin_us) / 1000:10.1f} ms"
            if entry.remark:
                yield f"{at}      -- {entry.remark}"
                continue
            way = "C>D" if entry.to_device else "D>C"
            for octets, words in pieces(masked(entry.data)):
                rows = [octets[i : i + OCTETS_A_LINE] for i in range(0, len(octets), OCTETS_A_LINE)]
                yield f"{at} {way}  {rows[0].hex(' ').upper():47s}  {words}".rstrip()
                for row in rows[1:]:
                    yield f"{'':13s}      {row.hex(' ').upper()}"
                at = f"{'':13s}"

    def to_json(self) -> list[dict[str, Any]]:
        """Give all entries."""
        return [entry.to_json() for entry in self.entries]


def from_json(entries: list[Mapping[str, Any]]) -> Transcript:
    """Read entries that ``to_json`` gave; ValueError or KeyError when they are none."""
    found = []
    for entry in entries[:MAX_ENTRIES]:
        to_device = {"device": True, "client": False}[str(entry["to"])]
        data = bytes.fromhex(str(entry["hex"]))
        found.append(Entry(int(entry["us"]), to_device, data, str(entry.get("remark", ""))))
    return Transcript(found)


def pieces(data: bytes) -> Iterator[tuple[bytes, str]]:
    """Cut octets into ACKs, NAKs, packets and what is none of these, each with a few words."""
    at = 0
    while at < len(data):
        octets, words = _piece(data, at)
        yield octets, words
        at += len(octets)


def _is_apdu(data: bytes) -> bool:
    try:
        decode_apdu(data)
    except ApduRejected:
        return False
    return True


def _piece(data: bytes, at: int) -> tuple[bytes, str]:
    if data[at] == ACK:
        return data[at : at + 1], "ACK"
    if data[at] == NAK:
        return data[at : at + 1], "NAK"
    if at == 0 and data[0] == APDU_TAG and _is_apdu(data):
        return data, "APDU"
    if data[at] != STP:
        end = data.find(bytes((STP,)), at)
        octets = data[at : end if end > 0 else len(data)]
        return octets, "octets of no packet"
    length = int.from_bytes(data[at + 4 : at + 6], "big") if at + 6 <= len(data) else 0
    octets = data[at : at + 8 + length]
    try:
        packet = decode_packet(octets)
    except RemoteProtocolError as error:
        hidden = _SECURITY_HEAD.match(octets) is not None
        return octets, "Security; password not shown" if hidden else f"({error})"
    return octets, _words(packet)


def _words(packet: Packet) -> str:
    flags = [f"toggle {packet.ctrl & TOGGLE and 1}"]
    if packet.ctrl & MULTI:
        which = "first" if packet.ctrl & FIRST else "next"
        flags.append(f"{which} of a message, {packet.seq_nbr} to follow")
    elif packet.seq_nbr or packet.ctrl & FIRST:
        flags.append(f"ctrl {packet.ctrl:02X}, seq-nbr {packet.seq_nbr}")
    if packet.ctrl & DATA_FORMAT:
        flags.append(f"data format {packet.ctrl & DATA_FORMAT}")
    if packet.identity:
        flags.append(f"identity {packet.identity:02X}")
    what = "piece"
    if not packet.ctrl & MULTI or packet.ctrl & FIRST:
        try:
            what = describe(packet.data)
        except RemoteProtocolError as error:
            begins = packet.ctrl & MULTI and packet.data
            what = f"code {packet.data[0]:02X}H" if begins else str(error)
    return f"{what}; {', '.join(flags)}"


def masked(data: bytes) -> bytes:
    """Give octets with all that follows a Security request's code as fill.

    Its checksum is fill, too: it would tell of each guess whether it is right.  So is what a
    request holds that was cut short or lengthened on purpose, or follows an ACK.
    """
    found = _SECURITY_HEAD.search(data)
    return data if found is None else data[: found.end()] + b"*" * (len(data) - found.end())
