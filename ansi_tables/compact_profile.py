"""Load-profile intervals in the compact form: first value, then differences, variable length.

Our own form (encoding 1 of the SSI's LOAD_PROFILE_PART), exact for any 64-bit
values.  Each channel is coded as differences between neighbours, folded to
non-negative numbers (0, -1, 1, -2 become 0, 1, 2, 3).  A number is coded as its
bit length in unary and then its bits below the highest, through an adaptive
binary arithmetic coder, which comes close to the entropy of the differences
without a table.  End times and statuses cost next to nothing while they are as
expected.  ``docs/compact_profile.rst`` tells the form for other languages.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ansi_tables.errors import TableValueError

#: Highest bits of a number that are modelled; those below are taken as random.
MODELLED_BITS = 10
#: A folded difference of two 64-bit integers has no more bits.
MAX_BIT_LENGTH = 65
#: Counts of a context are halved when they reach this together, so that it follows changes.
MAX_COUNT = 255
_TOP = 1 << 24
_MASK = 0xFFFFFFFF
_TIME_BITS = 32


@dataclass(frozen=True)
class CompactInterval:
    """One interval: its end as UTC seconds, its status octets, a raw value for each channel."""

    end_s: int
    status: bytes
    values: tuple[int, ...]


class _Model:
    """How often each context has seen 0 and 1; the chance of 1 is (5 n1 + 2) / (5 n + 4)."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, list[int]] = {}

    def split(self, context: Hashable, span: int) -> tuple[int, list[int]]:
        """Give the part of ``span`` that stands for 1, and the counts to be updated."""
        counts = self._counts.get(context)
        if counts is None:
            counts = self._counts[context] = [0, 0]
        zeros, ones = counts
        return span * (5 * ones + 2) // (5 * (zeros + ones) + 4), counts


def _count(counts: list[int], bit: int) -> None:
    counts[bit] += 1
    if counts[0] + counts[1] >= MAX_COUNT:
        counts[0] >>= 1
        counts[1] >>= 1


class _Encoder:
    """A range coder of 32 bits with carry: octets come out as soon as they are certain."""

    def __init__(self) -> None:
        self._model = _Model()
        self._low, self._span = 0, _MASK
        self._out = bytearray()

    def bit(self, context: Hashable, bit: int) -> int:
        """Code one bit in its context; gives the bit."""
        ones, counts = self._model.split(context, self._span)
        if bit:
            self._span = ones
        else:
            self._low += ones
            self._span -= ones
        _count(counts, bit)
        self._shift()
        return bit

    def bits(self, value: int, count: int) -> int:
        """Code the lowest bits of a number as they are; gives the number."""
        for at in range(count - 1, -1, -1):
            half = self._span >> 1
            if value >> at & 1:
                self._span = half
            else:
                self._low += half
                self._span -= half
            self._shift()
        return value

    def _shift(self) -> None:
        while self._span < _TOP:
            self._carry()
            self._out.append(self._low >> 24)
            self._low = self._low << 8 & _MASK
            self._span <<= 8

    def _carry(self) -> None:
        if self._low <= _MASK:
            return
        self._low &= _MASK
        at = len(self._out) - 1
        while self._out[at] == 0xFF:
            self._out[at] = 0
            at -= 1
        self._out[at] += 1

    def finish(self) -> bytes:
        """Give the octets; those that a decoder would take for zero anyway are left out."""
        # The shortest number in [low, low + span): a decoder reads zeros after the end.
        units = (1 << 32 - 8 * octets for octets in range(5))
        rounded = (-(-self._low // unit) * unit for unit in units)
        self._low = next(number for number in rounded if number < self._low + self._span)
        self._carry()
        self._out += self._low.to_bytes(4, "big")
        return bytes(self._out).rstrip(b"\0")


class _Decoder:
    """The other end of ``_Encoder``; after the last octet it reads zeros."""

    def __init__(self, data: bytes) -> None:
        self._model = _Model()
        self._data, self._at = data, 4
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._span = _MASK

    def bit(self, context: Hashable, _: int = 0) -> int:
        """Give the next bit of a context."""
        ones, counts = self._model.split(context, self._span)
        bit = self._narrow(ones)
        _count(counts, bit)
        return bit

    def bits(self, _: int, count: int) -> int:
        """Give a number of so many bits."""
        value = 0
        for _position in range(count):
            value = value << 1 | self._narrow(self._span >> 1)
        return value

    def _narrow(self, ones: int) -> int:
        bit = int(self._code < ones)
        if bit:
            self._span = ones
        else:
            self._code -= ones
            self._span -= ones
        while self._span < _TOP:
            octet = self._data[self._at] if self._at < len(self._data) else 0
            self._at += 1
            self._code = self._code << 8 | octet
            self._span <<= 8
        return bit


_Coder = _Encoder | _Decoder


def _number(coder: _Coder, kind: Hashable, number: int) -> int:
    """Code (or decode, when ``number`` is of no matter) a non-negative number."""
    length, known = 0, number.bit_length()
    while length <= MAX_BIT_LENGTH and coder.bit((kind, length), int(length < known)):
        length += 1
    if length > MAX_BIT_LENGTH:
        raise TableValueError("a difference of more than 64 bits", table="SSI", path="INTERVALS")
    value = min(length, 1)
    for below in range(length - 2, -1, -1):
        if length - 2 - below >= MODELLED_BITS:
            rest = below + 1
            return value << rest | coder.bits(number & (1 << rest) - 1, rest)
        value = value << 1 | coder.bit((kind, length, value), number >> below & 1)
    return value


def _folded(difference: int) -> int:
    return 2 * difference if difference >= 0 else -2 * difference - 1


def _unfolded(number: int) -> int:
    return -(number + 1 >> 1) if number & 1 else number >> 1


def encode(intervals: Sequence[CompactInterval], first_end_s: int, length_s: int) -> bytes:
    """Give the compact form; the receiver must know count, channels and status width."""
    coder = _Encoder()
    _Walk(coder, first_end_s, length_s).through(intervals)
    return coder.finish()


def decode(
    data: bytes, count: int, channels: int, status_octets: int, first_end_s: int, length_s: int
) -> list[CompactInterval]:
    """Give ``count`` intervals back; TableValueError when the octets cannot be a compact form."""
    blank = CompactInterval(0, bytes(status_octets), (0,) * channels)
    return _Walk(_Decoder(data), first_end_s, length_s).through([blank] * count)


class _Walk:
    """The order in which an interval's members are coded; the same for both directions."""

    def __init__(self, coder: _Coder, first_end_s: int, length_s: int) -> None:
        self._coder = coder
        self._expected_s, self._length_s = first_end_s, length_s
        self._status: bytes | None = None
        self._values: tuple[int, ...] | None = None

    def through(self, intervals: Sequence[CompactInterval]) -> list[CompactInterval]:
        return [self._interval(one) for one in intervals]

    def _interval(self, given: CompactInterval) -> CompactInterval:
        end_s = self._end(given.end_s)
        status = self._status_of(given.status)
        before = self._values or (0,) * len(given.values)
        kind = "first" if self._values is None else "difference"
        values = []
        for channel, (old, new) in enumerate(zip(before, given.values, strict=True)):
            values.append(
                old + _unfolded(_number(self._coder, (kind, channel), _folded(new - old)))
            )
        self._values = tuple(values)
        return CompactInterval(end_s, status, self._values)

    def _end(self, end_s: int) -> int:
        other = self._coder.bit("time", int(end_s != self._expected_s))
        end_s = self._coder.bits(end_s, _TIME_BITS) if other else self._expected_s
        self._expected_s = end_s + self._length_s
        return end_s

    def _status_of(self, status: bytes) -> bytes:
        if self._status is not None and not self._coder.bit("status", int(status != self._status)):
            return self._status
        self._status = bytes(self._coder.bits(octet, 8) for octet in status)
        return self._status
