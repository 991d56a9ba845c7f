"""The words in which table definitions are written, on top of construct.

A definition is a function of a :class:`~ansi_tables.context.Context` that gives
a tree.  Here are the standard's types; how they are put together to records and
arrays is in :mod:`ansi_tables.tree`, whose words can be had from here too.  Conditions
of the standard are plain ``if``s on the context and counts are plain integers, so the
tree has one fixed shape for one device: it can be measured, listed and flattened
without reading any octet.

::

    def demand(ctx):
        return record(
            when(flags.DATE_TIME_FIELD_FLAG, "EVENT_TIME" / stime_date(ctx)),
            "DEMANDS" / array(3, ni(ctx, 2)),
        )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ansi_tables import numbers, texts, times
from ansi_tables.errors import TableValueError
from ansi_tables.formats import NI_SIZES, DeviceFormat, members
from ansi_tables.numbers import Order
from ansi_tables.tree import (
    MAX_TABLE_OCTETS,
    Leaf,
    Rest,
    Tree,
    array,
    optional_tail,
    record,
    rest,
    size_of,
    unwrap,
    when,
)
from ansi_tables.values import Record, UnreadTime

if TYPE_CHECKING:
    from ansi_tables.context import Context

__all__ = [
    "MAX_TABLE_OCTETS",
    "Leaf",
    "Rest",
    "Tree",
    "array",
    "bcd",
    "binary",
    "bit_field",
    "date",
    "fixed_bcd",
    "float_char",
    "floating",
    "htime_date",
    "ltime_date",
    "ni",
    "octets_of",
    "optional_tail",
    "rdate",
    "record",
    "rest",
    "set_of",
    "sint",
    "size_of",
    "stime",
    "stime_date",
    "text",
    "time_of_day",
    "uint",
    "unwrap",
    "when",
]


def uint(ctx: Context, bits: int) -> Tree:
    """UINT8 to UINT64; DATA_ORDER applies."""
    order: Order = ctx.fmt.data_order
    size = bits // 8

    def encode(value: Any) -> bytes:
        if not isinstance(value, int) or not 0 <= value < 1 << bits:
            raise TableValueError(f"{value!r} does not fit UINT{bits}")
        return value.to_bytes(size, order)

    return Leaf(
        f"UINT{bits}",
        size,
        lambda octets: int.from_bytes(octets, order),
        encode,
        _struct_code(size, order, signed=False),
    )


def _struct_code(size: int, order: Order, *, signed: bool) -> str:
    """Give the format of the struct module for an integer, or nothing for 3, 5, 6, 7 octets."""
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}.get(size, "")
    mark = "<" if order == "little" else ">"
    return letter and mark + (letter.lower() if signed else letter)


def sint(ctx: Context, bits: int) -> Tree:
    """INT8 to INT64; DATA_ORDER and INT_FORMAT apply."""
    return _signed(ctx.fmt, bits // 8, f"INT{bits}")


def _signed(fmt: DeviceFormat, size: int, name: str) -> Tree:
    def encode(value: Any) -> bytes:
        if not isinstance(value, int):
            raise TableValueError(f"{value!r} is no {name}")
        return numbers.encode_int(value, size, fmt.data_order, fmt.int_format)

    def decode(octets: bytes) -> int:
        return numbers.decode_int(octets, fmt.data_order, fmt.int_format)

    if fmt.int_format == 0:
        code = _struct_code(size, fmt.data_order, signed=True)
        return Leaf(name, size, decode, encode, code)
    return Leaf(name, size, decode, numbers.as_sent(decode, encode, size))


def bit_field(ctx: Context, width: int, /, **bits: tuple[int, int]) -> Tree:
    """BIT FIELD OF UINT8/16/32: the integer is assembled with DATA_ORDER, then masked.

    ``bits`` gives each member its lowest and highest bit.  Bits that no member
    covers appear as FILLER, shifted together, so that nothing is lost; an
    absent FILLER is written as zero.
    """
    order: Order = ctx.fmt.data_order
    covered = {bit for low, high in bits.values() for bit in range(low, high + 1)}
    spare = [bit for bit in range(width) if bit not in covered]

    def decode(octets: bytes) -> Record:
        number = int.from_bytes(octets, order)
        value = _members_of(number, bits)
        if spare:
            value["FILLER"] = sum((number >> bit & 1) << k for k, bit in enumerate(spare))
        return value

    def encode(value: Any) -> bytes:
        if isinstance(value, int):
            return value.to_bytes(width // 8, order)
        number = _number_of(value, bits)
        filler = int(value.get("FILLER", 0))
        for k, bit in enumerate(spare):
            number |= (filler >> k & 1) << bit
        return number.to_bytes(width // 8, order)

    code = _struct_code(width // 8, order, signed=False)
    leaf = Leaf(f"BITFIELD{width}", width // 8, decode, encode, code)
    leaf.bits, leaf.spare = bits, spare
    leaf.members = (*bits, "FILLER") if spare else tuple(bits)
    return leaf


def _members_of(number: int, bits: Mapping[str, tuple[int, int]]) -> Record:
    return Record(
        {name: number >> low & (1 << high - low + 1) - 1 for name, (low, high) in bits.items()}
    )


def _number_of(value: Mapping[str, Any], bits: Mapping[str, tuple[int, int]]) -> int:
    number = 0
    for name, (low, high) in bits.items():
        if name not in value:
            raise TableValueError("missing", path=name)
        part = int(value[name])
        if not 0 <= part < 1 << high - low + 1:
            raise TableValueError(f"{part} does not fit bits {low}..{high}", path=name)
        number |= part << low
    return number


def set_of(octets: int) -> Tree:
    """SET of ``octets`` octets, as the frozenset of its members; DATA_ORDER plays no part."""

    def encode(value: Any) -> bytes:
        out = bytearray(octets)
        for member in value:
            if not 0 <= member < 8 * octets:
                raise TableValueError(f"member {member} is beyond a SET of {octets} octets")
            out[member // 8] |= 1 << member % 8
        return bytes(out)

    return Leaf(f"SET({octets})", octets, members, encode)


def text(ctx: Context, octets: int) -> Tree:
    """STRING of exactly ``octets`` octets; padding is kept, undecodable octets too."""
    coding = texts.coding_of(ctx.fmt)

    def decode(raw: bytes) -> str:
        return texts.decode_text(raw, coding)

    def encode(value: Any) -> bytes:
        return texts.encode_text(value, octets, coding)

    return Leaf(f"STRING({octets})", octets, decode, numbers.as_sent(decode, encode, octets))


def binary(octets: int) -> Tree:
    """BINARY: octets with no structure known to the standard."""
    return Leaf(f"BINARY({octets})", octets, bytes, octets_of)


def octets_of(value: Any) -> bytes:
    """Give what a BINARY field is written with; a number is none, lest it be taken for a length."""
    if isinstance(value, int):
        raise TableValueError(f"{value!r} is no octets")
    return bytes(value)


def bcd(octets: int) -> Tree:
    """BCD identifier, as text of two characters an octet: digits, ``-``, ``.`` and blanks."""
    return Leaf(
        f"BCD({octets})",
        octets,
        numbers.decode_nibbles,
        lambda value: numbers.encode_nibbles(value, octets),
    )


def floating(ctx: Context, bits: int, name: str = "") -> Tree:
    """FLOAT32 or FLOAT64, IEEE 754; DATA_ORDER applies."""
    order: Order = ctx.fmt.data_order
    return _number(
        name or f"FLOAT{bits}",
        bits // 8,
        lambda octets: numbers.decode_float(octets, order),
        lambda value: numbers.encode_float(float(value), bits // 8, order),
    )


def float_char(octets: int, name: str = "") -> Tree:
    """FLOAT_CHAR: a decimal number as text, exact."""
    return _number(
        name or f"FLOAT_CHAR{octets}",
        octets,
        numbers.decode_text_number,
        lambda value: numbers.encode_text_number(value, octets),
    )


def fixed_bcd(octets: int, name: str = "") -> Tree:
    """FIXED_BCD: a decimal number of two digits an octet, exact."""
    leaf = _number(
        name or f"FIXED_BCD{octets}",
        octets,
        numbers.decode_bcd_number,
        lambda value: numbers.encode_bcd_number(value, octets),
    )
    leaf.digits = True
    return leaf


def ni(ctx: Context, which: int) -> Tree:
    """NI_FMAT1 or NI_FMAT2: the number format that ST-00 assigns."""
    fmt = ctx.fmt
    code = fmt.ni_format1 if which == 1 else fmt.ni_format2
    size = NI_SIZES[code]
    name = f"NI_FMAT{which}"
    if code in (0, 1):
        return floating(ctx, 8 * size, name)
    if code in (2, 3, 13):
        return float_char(size, name)
    if code == 4:
        return _number(
            name,
            size,
            lambda octets: numbers.decode_scaled(octets, fmt.data_order, fmt.int_format),
            lambda value: numbers.encode_scaled(value, fmt.data_order, fmt.int_format),
        )
    if code in (5, 6, 12):
        return fixed_bcd(size, name)
    return _signed(fmt, size, name)


def _number(
    name: str, size: int, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
) -> Leaf:
    return Leaf(name, size, decode, numbers.as_sent(decode, encode, size))


def stime_date(ctx: Context) -> Tree:
    """STIME_DATE: date and time to the minute."""
    return _time(ctx, "STIME_DATE")


def ltime_date(ctx: Context) -> Tree:
    """LTIME_DATE: date and time to the second."""
    return _time(ctx, "LTIME_DATE")


def htime_date(ctx: Context) -> Tree:
    """HTIME_DATE: date and time to a hundredth of a second; refused under TM_FORMAT 3 and 4."""
    return _time(ctx, "HTIME_DATE")


def time_of_day(ctx: Context) -> Tree:
    """TIME: time of the day."""
    return _time(ctx, "TIME")


def stime(ctx: Context) -> Tree:
    """STIME: hour and minute; refused under TM_FORMAT 3 and 4."""
    return _time(ctx, "STIME")


def _time(ctx: Context, kind: str) -> Tree:
    fmt = ctx.fmt
    unit_s = 60 if fmt.overrides.time_in_minutes and fmt.tm_format == 3 else 1
    read = times.time_reader(kind, fmt.tm_format, fmt.data_order, unit_s)
    leaf = Leaf(
        kind,
        times.size_of_time(kind, fmt.tm_format),
        lambda octets: UnreadTime(octets, read),
        lambda value: times.encode_time(kind, value, fmt.tm_format, fmt.data_order, unit_s),
    )
    leaf.time = read
    return leaf


def date(ctx: Context) -> Tree:
    """DATE: a 16-bit field, whatever TM_FORMAT says."""
    order: Order = ctx.fmt.data_order
    return Leaf(
        "DATE",
        2,
        lambda octets: times.decode_date(octets, order),
        lambda value: times.encode_date(value, order),
    )


#: Members of RDATE by its MONTH code; the rest of the 16 bits is kept as FILLER.
_RDATE_YEARLY = {"MONTH": (0, 3), "OFFSET": (4, 7), "WEEKDAY": (8, 10), "DAY": (11, 15)}
_RDATE_WEEKLY = {"MONTH": (0, 3), "FILLER_1": (4, 7), "WEEKDAY": (8, 10), "FILLER_2": (11, 15)}
_RDATE_PERIOD = {"MONTH": (0, 3), "PERIOD": (4, 9), "DELTA": (10, 15)}
_RDATE_UNUSED = {"MONTH": (0, 3), "FILLER": (4, 15)}


def rdate(ctx: Context) -> Tree:
    """RDATE: a recurring date; MONTH selects what the other bits mean."""
    order: Order = ctx.fmt.data_order

    def shape(month: int) -> dict[str, tuple[int, int]]:
        if month == 0:
            return _RDATE_UNUSED
        return {14: _RDATE_WEEKLY, 15: _RDATE_PERIOD}.get(month, _RDATE_YEARLY)

    def decode(octets: bytes) -> Record:
        number = int.from_bytes(octets, order)
        return _members_of(number, shape(number & 15))

    def encode(value: Any) -> bytes:
        bits = shape(int(value["MONTH"]))
        return _number_of({**dict.fromkeys(bits, 0), **value}, bits).to_bytes(2, order)

    leaf = Leaf("RDATE", 2, decode, encode)
    leaf.members = {*_RDATE_YEARLY, *_RDATE_WEEKLY, *_RDATE_PERIOD, *_RDATE_UNUSED}
    return leaf
