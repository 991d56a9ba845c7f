"""Numbers as tables hold them: integers in three sign codings, BCD, text, floats.

Each codec is a pair of functions on octets, and decode and encode is always
the identity.  A number that a device writes in its own way (blanks to the
left, a leading plus, minus zero) keeps its octets beside its value and is
written back with them; octets that are no number at all, such as the fill of
a register that was never set, are a :class:`RawNumber`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from ansi_tables.errors import TableValueError

Order = Literal["little", "big"]
#: Decimals of NI format 4.
_DECIMALS = 4
#: Beyond the range of a double; keeps a text such as 1E999999999 from filling the memory.
MAX_EXPONENT = 400


@dataclass(frozen=True)
class RawNumber:
    """Octets that are no number in the declared format; kept to be written back."""

    octets: bytes

    def __str__(self) -> str:
        """Give the octets in hex: where a raw number is shown, these are shown."""
        return self.octets.hex()


class IntAsSent(int):
    """An integer with the octets of a device that writes it in a way of its own."""

    octets: bytes

    def __new__(cls, value: int, octets: bytes) -> IntAsSent:
        """Join value and octets."""
        self = super().__new__(cls, value)
        self.octets = octets
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be copied and pickled with its octets."""
        return IntAsSent, (int(self), self.octets)


class DecimalAsSent(Decimal):
    """A decimal with the octets of a device that writes it in a way of its own."""

    octets: bytes

    def __new__(cls, value: Decimal, octets: bytes) -> DecimalAsSent:
        """Join value and octets."""
        self = super().__new__(cls, value)
        self.octets = octets
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be pickled with its octets."""
        return DecimalAsSent, (Decimal(self), self.octets)

    def __copy__(self) -> DecimalAsSent:
        return self

    def __deepcopy__(self, memo: Any) -> DecimalAsSent:
        return self


def as_sent(
    decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], size: int
) -> Callable[[Any], bytes]:
    """Give an encoder that writes a value's own octets where they still mean the same."""

    def write(value: Any) -> bytes:
        octets = getattr(value, "octets", None)
        if octets is not None and len(octets) == size and decode(octets) == value:
            return bytes(octets)
        return encode(value)

    return write


def decode_int(octets: bytes, order: Order, int_format: int) -> int:
    """Decode a signed integer: INT_FORMAT 0 two's, 1 one's complement, 2 sign and magnitude.

    Minus zero of the last two is zero, and keeps its octets.
    """
    width = 8 * len(octets)
    value = int.from_bytes(octets, order)
    if not value >> (width - 1):
        return value
    if int_format == 0:
        return value - (1 << width)
    magnitude = (1 << width) - 1 - value if int_format == 1 else value - (1 << (width - 1))
    return -magnitude if magnitude else IntAsSent(0, octets)


def encode_int(value: int, size: int, order: Order, int_format: int) -> bytes:
    """Encode a signed integer; TableValueError when it does not fit."""
    width = 8 * size
    limit = 1 << (width - 1)
    if not (-limit if int_format == 0 else -limit + 1) <= value < limit:
        raise TableValueError(f"{value} does not fit a signed number of {size} octets")
    if value < 0:
        value = (
            value + (1 << width)
            if int_format == 0
            else (1 << width) - 1 + value
            if int_format == 1
            else limit - value
        )
    return value.to_bytes(size, order)


#: BCD nibbles beyond the digits: A is a minus sign, B a blank, D the decimal point;
#: C, E and F are reserved, F has been seen as the fill of what is not set.
NIBBLES = "0123456789- C.EF"
_BCD_NUMBER = re.compile(r" *-?[ 0]*\d*\.?\d*")


def decode_nibbles(octets: bytes) -> str:
    """Give one character for each nibble, the high one first."""
    return "".join(NIBBLES[octet >> 4] + NIBBLES[octet & 15] for octet in octets)


def encode_nibbles(text: str, size: int) -> bytes:
    """Give the octets of ``2 * size`` characters, blanks to the left of a shorter text."""
    try:
        nibbles = [NIBBLES.index(character) for character in text.rjust(2 * size)]
    except ValueError:
        raise TableValueError(f"{text!r} has characters that BCD does not know") from None
    if len(nibbles) != 2 * size:
        raise TableValueError(f"{text!r} does not fit {2 * size} BCD digits")
    return bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))


def decode_bcd_number(octets: bytes) -> Decimal | RawNumber:
    """Decode FIXED_BCD: most significant nibble first, explicit sign and point.

    Blanks to the left read as zeros.  All blanks, or any reserved nibble, is no number.
    """
    if (plain := octets.hex()).isdecimal():
        return Decimal(plain)
    text = decode_nibbles(octets)
    digits = text.replace(" ", "")
    if not _BCD_NUMBER.fullmatch(text) or not re.search(r"\d", digits):
        return RawNumber(octets)
    return _number(Decimal(digits), octets, lambda value: encode_bcd_number(value, len(octets)))


def encode_bcd_number(value: Decimal | int, size: int) -> bytes:
    """Encode FIXED_BCD with leading zeros; TableValueError when the digits do not fit."""
    text = _shortened(format(_checked(Decimal(value)), "f"), 2 * size)
    if text.isdecimal() and len(text) <= 2 * size:
        return bytes.fromhex(text.zfill(2 * size))
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return encode_nibbles(sign + digits.rjust(2 * size - len(sign), "0"), size)


def _shortened(text: str, size: int) -> str:
    """Leave out the zero before the point where only that makes a number fit."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return sign + digits[1:] if len(text) > size and digits.startswith("0.") else text


_TEXT_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")


def decode_text_number(octets: bytes) -> Decimal | RawNumber:
    """Decode FLOAT_CHAR: a decimal number as text, padded with blanks (grammar from memory)."""
    text = octets.decode("latin-1").strip(" \x00")
    if not text.isascii() or not _TEXT_NUMBER.fullmatch(text):
        return RawNumber(octets)
    value = Decimal(text)
    if value and abs(value.adjusted()) > MAX_EXPONENT:
        return RawNumber(octets)
    return _number(value, octets, lambda number: encode_text_number(number, len(octets)))


def encode_text_number(value: Decimal | int, size: int) -> bytes:
    """Encode FLOAT_CHAR, right-aligned; TableValueError when the digits do not fit."""
    number = _checked(Decimal(value))
    sign, digits, exponent = number.as_tuple()
    whole = f"{'-' * sign}{''.join(map(str, digits))}E{exponent}"
    for text in (str(number), _shortened(format(number, "f"), size), whole):
        if len(text) <= size:
            return text.rjust(size).encode("ascii")
    raise TableValueError(f"{value} does not fit {size} characters")


def _number(value: Decimal, octets: bytes, encode: Callable[[Decimal], bytes]) -> Decimal:
    """Give the value, with its octets where we would write others."""
    try:
        same = encode(value) == octets
    except TableValueError:
        same = False
    return value if same else DecimalAsSent(value, octets)


def _checked(value: Decimal) -> Decimal:
    """Refuse what is no number or would take thousands of digits."""
    if not value.is_finite() or abs(int(value.as_tuple().exponent)) > MAX_EXPONENT:
        raise TableValueError(f"{value} is no number of a table")
    return value


def decode_scaled(octets: bytes, order: Order, int_format: int) -> Decimal:
    """Decode INT32 with an implied point: four decimals."""
    raw = decode_int(octets, order, int_format)
    value = Decimal(raw).scaleb(-_DECIMALS)
    return DecimalAsSent(value, octets) if isinstance(raw, IntAsSent) else value


def encode_scaled(value: Decimal | int, order: Order, int_format: int) -> bytes:
    """Encode INT32 with an implied point; TableValueError for a fifth decimal."""
    scaled = Fraction(_checked(Decimal(value))) * 10**_DECIMALS
    if scaled.denominator != 1:
        raise TableValueError(f"{value} has more than four decimals")
    return encode_int(int(scaled), 4, order, int_format)


def decode_float(octets: bytes, order: Order) -> float | RawNumber:
    """Decode IEEE 754; a NaN stays raw, since its payload would be lost."""
    letter = "d" if len(octets) == 8 else "f"
    (value,) = struct.unpack(("<" if order == "little" else ">") + letter, octets)
    return RawNumber(octets) if value != value else float(value)


def encode_float(value: float, size: int, order: Order) -> bytes:
    """Encode IEEE 754; TableValueError when single precision overflows."""
    letter = "d" if size == 8 else "f"
    try:
        return struct.pack(("<" if order == "little" else ">") + letter, value)
    except (OverflowError, struct.error) as error:
        raise TableValueError(f"{value} does not fit FLOAT{size * 8}") from error
