"""Capture files: pcapng written, pcapng and the older pcap read.

Every length is checked against what is there before it is used; a file that is
cut short gives its whole blocks and then an error that names the place.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from protocols.errors import PortError

#: Link types of the tcpdump project: IP without a link layer, and the first one for users.
RAW_IP, USER_C1218 = 101, 147
MAX_PACKET_OCTETS = 262_144
MAX_FILE_OCTETS = 1 << 30
#: A small file may hold zeros without end.
MAX_UNPACKED_OCTETS = 1 << 28
_READ_OCTETS = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"

_SECTION, _INTERFACE, _ENHANCED, _SIMPLE = 0x0A0D0D0A, 1, 6, 3
#: What the enhanced one has replaced; older recorders wrote it.
_OLD_PACKET = 2
_BYTE_ORDER = 0x1A2B3C4D
#: Order of octets, ticks a microsecond, and octets before each packet, of pcap's forms; the last
#: ("modified") has the interface and the kind of packet there, too.
_PCAP_MAGIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1, 16),
    b"\xd4\xc3\xb2\xa1": ("<", 1, 16),
    b"\xa1\xb2\x3c\x4d": (">", 1000, 16),
    b"\x4d\x3c\xb2\xa1": ("<", 1000, 16),
    b"\xa1\xb2\xcd\x34": (">", 1, 24),
    b"\x34\xcd\xb2\xa1": ("<", 1, 24),
}
_COMMENT, _IF_TSRESOL, _IF_TSOFFSET, _EPB_FLAGS = 1, 9, 14, 2
INBOUND, OUTBOUND = 1, 2


@dataclass(frozen=True)
class Captured:
    """One packet: link type, microseconds since 1970 UTC, octets; ``outbound`` if it is told.

    ``cut``: so many octets of it were not kept.
    """

    link_type: int
    utc_us: int
    octets: bytes
    outbound: bool | None = None
    cut: int = 0


class PcapngWriter:
    """Writes one section with two interfaces: IP packets, and frames of C12.18."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))
        for link_type in (RAW_IP, USER_C1218):
            self._block(_INTERFACE, struct.pack("<HHI", link_type, 0, MAX_PACKET_OCTETS))

    def packet(self, captured: Captured, comment: str = "") -> None:
        """Write one packet, at once."""
        interface = (RAW_IP, USER_C1218).index(captured.link_type)
        octets, stamp = captured.octets, captured.utc_us
        head = struct.pack("<IIIII", interface, stamp >> 32, stamp & 0xFFFFFFFF, *[len(octets)] * 2)
        options = b""
        if comment:
            text = comment.encode()
            options += struct.pack("<HH", _COMMENT, len(text)) + text + bytes(-len(text) % 4)
        if captured.outbound is not None:
            flags = OUTBOUND if captured.outbound else INBOUND
            options += struct.pack("<HHI", _EPB_FLAGS, 4, flags)
        options += bytes(4) if options else b""
        self._block(_ENHANCED, head + octets + bytes(-len(octets) % 4) + options)
        self._out.flush()

    def _block(self, kind: int, body: bytes) -> None:
        total = len(body) + 12
        self._out.write(struct.pack("<II", kind, total) + body + struct.pack("<I", total))


def read_capture(data: bytes) -> Iterator[Captured]:
    """Give the packets of a capture file of either form, packed by gzip or not.

    PortError names what is wrong.
    """
    whole = True
    if data[:2] == _GZIP_MAGIC:
        data, whole = _unpacked(data)
    if data[:4] in _PCAP_MAGIC:
        yield from _read_pcap(data)
    elif data[:4] == struct.pack(">I", _SECTION):
        yield from _read_pcapng(data)
    elif whole:
        raise PortError("no capture: it begins like neither pcap nor pcapng")
    if not whole:
        raise PortError("capture: the gzip file is damaged or cut short")


def _unpacked(data: bytes) -> tuple[bytes, bool]:
    """Give what a gzip file holds, as far as it goes, and whether that is all of it."""
    found, whole = bytearray(), False
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            while len(found) <= MAX_UNPACKED_OCTETS and (octets := packed.read1(_READ_OCTETS)):
                found += octets
        whole = True
    except (OSError, EOFError, zlib.error):
        pass  # told once what was there has been given
    if len(found) > MAX_UNPACKED_OCTETS:
        raise PortError(
            f"capture: more than {MAX_UNPACKED_OCTETS} octets in a gzip file; unpack it"
        )
    return bytes(found), whole


def _read_pcap(data: bytes) -> Iterator[Captured]:
    order, divisor, head = _PCAP_MAGIC[data[:4]]
    if len(data) < 24:
        raise PortError("capture: cut short in its header")
    link_type = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    at = 24
    while at < len(data):
        if at + head > len(data):
            raise PortError(f"capture: cut short at octet {at}")
        seconds, fraction, size, sent = struct.unpack_from(order + "IIII", data, at)
        at += head
        if size > MAX_PACKET_OCTETS or at + size > len(data):
            raise PortError(f"capture: a packet of {size} octets at octet {at} does not fit")
        utc_us, octets = seconds * 1_000_000 + fraction // divisor, data[at : at + size]
        yield Captured(link_type, utc_us, octets, cut=max(0, sent - size))
        at += size


def _read_pcapng(data: bytes) -> Iterator[Captured]:
    order, at = "<", 0
    interfaces: list[_Interface] = []
    while at < len(data):
        if data[at : at + 4] == struct.pack(">I", _SECTION):
            order = "<" if data[at + 8 : at + 12] == struct.pack("<I", _BYTE_ORDER) else ">"
            interfaces = []
        if at + 12 > len(data):
            raise PortError(f"capture: cut short at octet {at}")
        kind, total = struct.unpack_from(order + "II", data, at)
        if total < 12 or total % 4 or at + total > len(data):
            raise PortError(f"capture: a block of {total} octets at octet {at} does not fit")
        body = data[at + 8 : at + total - 4]
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append(_interface(order, body))
        elif kind in (_ENHANCED, _OLD_PACKET) and len(body) >= 20:
            # The old one has 16 bits for the interface, and 16 for packets that were dropped.
            number = struct.unpack_from(order + ("I" if kind == _ENHANCED else "H"), body)[0]
            yield _packet(order, number, body, interfaces, at)
        elif kind == _SIMPLE and len(body) >= 4 and interfaces:
            size = struct.unpack_from(order + "I", body)[0]
            octets = body[4 : 4 + min(size, interfaces[0].most_octets, MAX_PACKET_OCTETS)]
            yield Captured(interfaces[0].link_type, 0, octets, cut=max(0, size - len(octets)))
        at += total


@dataclass(frozen=True)
class _Interface:
    """What an interface block says: ticks a second, seconds to add, octets kept of a packet."""

    link_type: int
    per_second: int
    offset_s: int
    most_octets: int


def _interface(order: str, body: bytes) -> _Interface:
    link_type, kept = struct.unpack_from(order + "HxxI", body)
    offset = _option(order, body[8:], _IF_TSOFFSET)
    offset_s = struct.unpack(order + "q", offset)[0] if len(offset) == 8 else 0
    return _Interface(link_type, _resolution(order, body), offset_s, kept or MAX_PACKET_OCTETS)


def _packet(
    order: str, number: int, body: bytes, interfaces: list[_Interface], at: int
) -> Captured:
    high, low, size, sent = struct.unpack_from(order + "IIII", body, 4)
    if number >= len(interfaces) or size > MAX_PACKET_OCTETS or 20 + size > len(body):
        raise PortError(f"capture: the packet at octet {at} does not fit its block")
    interface = interfaces[number]
    utc_us = (high << 32 | low) * 1_000_000 // interface.per_second
    utc_us += interface.offset_s * 1_000_000
    flags = _option(order, body[20 + size + (-size % 4) :], _EPB_FLAGS)
    outbound = None
    if len(flags) == 4 and struct.unpack(order + "I", flags)[0] & 3:
        outbound = struct.unpack(order + "I", flags)[0] & 3 == OUTBOUND
    octets = body[20 : 20 + size]
    return Captured(interface.link_type, utc_us, octets, outbound, max(0, sent - size))


def _resolution(order: str, body: bytes) -> int:
    """Give ticks a second of an interface: a power of ten, or of two; a million if not told."""
    told = _option(order, body[8:], _IF_TSRESOL)
    if not told:
        return 1_000_000
    return int(2 ** (told[0] & 0x7F)) if told[0] & 0x80 else int(10 ** min(told[0], 18))


def _option(order: str, options: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(options):
        code, size = struct.unpack_from(order + "HH", options, at)
        if code == wanted:
            return options[at + 4 : at + 4 + size]
        if code == 0:
            break
        at += 4 + size + (-size % 4)
    return b""
