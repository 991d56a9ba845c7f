"""Numbers as tables hold them: integers in three sign codings, BCD, text, floats.

Each codec is a pair of functions on octets.  What cannot be written back as it
was read (a BCD field with fill nibbles, a text number with odd blanks) decodes
to a :class:`RawNumber`, so that decode and encode is always the identity.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from ansi_tables.errors import TableValueError

Order = Literal["little", "big"]


@dataclass(frozen=True)
class RawNumber:
    """Octets that are no number in the declared format; kept to be written back."""

    octets: bytes


def decode_int(octets: bytes, order: Order, int_format: int) -> int | RawNumber:
    """Decode a signed integer: INT_FORMAT 0 two's, 1 one's complement, 2 sign and magnitude.

    Minus zero of the last two is no integer of its own and stays raw.
    """
    width = 8 * len(octets)
    value = int.from_bytes(octets, order)
    if not value >> (width - 1):
        return value
    if int_format == 0:
        return value - (1 << width)
    magnitude = (1 << width) - 1 - value if int_format == 1 else value - (1 << (width - 1))
    return -magnitude if magnitude else RawNumber(octets)


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


#: BCD nibbles beyond the digits: A is a minus sign, B a blank, D the decimal point.
_NIBBLES = "0123456789-B?.??"


def decode_bcd_number(octets: bytes) -> Decimal | RawNumber:
    """Decode FIXED_BCD: most significant nibble first, explicit sign and point."""
    text = "".join(_NIBBLES[n] for octet in octets for n in (octet >> 4, octet & 15))
    try:
        value = Decimal(text.replace("B", "", 1) if text.startswith("B") else text)
    except InvalidOperation:
        return RawNumber(octets)
    try:
        same = encode_bcd_number(value, len(octets)) == octets
    except TableValueError:
        same = False
    return value if same else RawNumber(octets)


def encode_bcd_number(value: Decimal | int, size: int) -> bytes:
    """Encode FIXED_BCD with leading zeros; TableValueError when the digits do not fit."""
    text = format(Decimal(value), "f")
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    text = sign + digits.rjust(2 * size - len(sign), "0")
    if len(text) != 2 * size or not set(text) <= set(_NIBBLES):
        raise TableValueError(f"{value} does not fit {2 * size} BCD digits")
    nibbles = [_NIBBLES.index(character) for character in text]
    pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
    return bytes(high << 4 | low for high, low in pairs)


def decode_text_number(octets: bytes) -> Decimal | RawNumber:
    """Decode FLOAT_CHAR: a decimal number as text, padded with blanks (grammar from memory)."""
    try:
        text = octets.decode("ascii").strip(" \x00")
        value = Decimal(text)
        same = value.is_finite() and encode_text_number(value, len(octets)) == octets
    except (UnicodeDecodeError, InvalidOperation, TableValueError):
        same = False
    return value if same else RawNumber(octets)


def encode_text_number(value: Decimal | int, size: int) -> bytes:
    """Encode FLOAT_CHAR, right-aligned; TableValueError when the digits do not fit."""
    text = str(Decimal(value))
    if len(text) > size:
        raise TableValueError(f"{value} does not fit {size} characters")
    return text.rjust(size).encode("ascii")


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
