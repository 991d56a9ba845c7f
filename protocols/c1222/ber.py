"""Lengths and elements of BER, as far as C12.22 uses them: definite, at most three octets."""

from __future__ import annotations

from protocols.c1222.errors import ApduRejected
from protocols.errors import LocalProtocolError


def take_length(data: bytes, at: int) -> tuple[int, int]:
    """Read a BER length; give it and the place after it.  Definite, at most three octets."""
    if at >= len(data):
        raise ApduRejected("truncated-length")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    extra = first & 0x7F
    if extra == 0:
        raise ApduRejected("indefinite-length")
    if extra > 3:
        raise ApduRejected("length-too-long")
    if at + 1 + extra > len(data):
        raise ApduRejected("truncated-length")
    return int.from_bytes(data[at + 1 : at + 1 + extra], "big"), at + 1 + extra


_SHORT_LENGTHS = tuple(bytes([length]) for length in range(0x80))


def length_octets(length: int) -> bytes:
    """Give a BER length in its shortest form."""
    if length < 0x80:
        return _SHORT_LENGTHS[length]
    size = (length.bit_length() + 7) // 8
    if size > 3:
        raise LocalProtocolError(f"{length} octets are too long for an APDU")
    return bytes([0x80 | size]) + length.to_bytes(size, "big")


def tlv(tag: int, content: bytes) -> bytes:
    """Give an element: tag, length, content."""
    return bytes([tag]) + length_octets(len(content)) + content
