"""Dates and times as tables hold them, under TM_FORMAT 0 to 4.

Sizes and layouts: C12.19 time types.  YEAR has two digits with 90 as the pivot
(two public readers agree, a third always says 20xx).  Octets are kept, so that
a time that is not set or not canonical is written back as it was.

STIME and HTIME_DATE are from memory, and have no known shape under TM_FORMAT 3
and 4: a table that holds one is refused there, since a guessed width would
shift every later member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from ansi_tables.errors import FormatRefusedError, TableValueError
from ansi_tables.numbers import Order
from ansi_tables.values import TableTime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PIVOT_YEAR = 90
#: Years that two digits around the pivot can say.
YEARS = range(1900 + PIVOT_YEAR, 2000 + PIVOT_YEAR)
#: Octets of the time types, by TM_FORMAT 0 to 4.  The last two are from memory; no source tells the
#: width of the fraction, or of STIME, under TM_FORMAT 3 and 4.
SIZES: Mapping[str, tuple[int | None, ...]] = {
    "STIME_DATE": (0, 5, 5, 4, 4),
    "LTIME_DATE": (0, 6, 6, 5, 4),
    "TIME": (0, 3, 3, 4, 4),
    "HTIME_DATE": (0, 7, 7, None, None),
    "STIME": (0, 2, 2, None, None),
}
#: Types without a date: all octets zero are midnight there, and "not set" elsewhere.
_OF_DAY = ("TIME", "STIME")
_DAY_S = 86400
_HUNDREDTH_US = 10_000


def size_of_time(kind: str, tm_format: int) -> int:
    """Give the octets of a time type; FormatRefusedError where they are not known."""
    size = SIZES[kind][tm_format]
    if size is None:
        raise FormatRefusedError(
            f"the shape of {kind} under TM_FORMAT {tm_format} is not known: the octets stay raw; "
            "register a definition of your own for this table"
        )
    return size


def decode_time(kind: str, octets: bytes, tm_format: int, order: Order) -> TableTime:
    """Decode STIME_DATE, LTIME_DATE, HTIME_DATE, TIME or STIME."""
    return TableTime(octets, time_value(kind, octets, tm_format, order))


def time_value(
    kind: str, octets: bytes, tm_format: int, order: Order, unit_s: int = 1
) -> datetime | time | None:
    """Give the value of a time's octets; None when it is not set or not in the calendar.

    ``unit_s`` is what one count of TIME stands for under TM_FORMAT 3, where
    sources disagree: seconds (1) or minutes (60) since midnight.
    """
    if not octets or set(octets) == {0xFF} or (not any(octets) and kind not in _OF_DAY):
        return None
    try:
        if tm_format in (1, 2):
            return _from_fields(kind, octets, tm_format)
        return _from_count(kind, octets, tm_format, order, unit_s)
    except (ValueError, IndexError, OverflowError):
        return None


#: YEAR of two digits to the year.
_YEARS = tuple(year + (1900 if year >= PIVOT_YEAR else 2000) for year in range(100))


def time_reader(
    kind: str, tm_format: int, order: Order, unit_s: int = 1
) -> Callable[[bytes], datetime | time | None]:
    """Give ``time_value`` for one kind and device; short for STIME_DATE as octets."""
    if kind == "STIME_DATE" and tm_format == 2:
        return _stime_date_value
    return lambda octets: time_value(kind, octets, tm_format, order, unit_s)


def _stime_date_value(octets: bytes) -> datetime | None:
    year, month, day, hour, minute = octets
    try:
        return datetime(_YEARS[year], month, day, hour, minute)
    except (ValueError, IndexError):
        return None


def _from_fields(kind: str, octets: bytes, tm_format: int) -> datetime | time:
    parts = [_bcd(octet) for octet in octets] if tm_format == 1 else list(octets)
    if kind in _OF_DAY:
        hour, minute, second = (*parts, 0)[:3]
        return time(hour, minute, second)
    year, month, day, hour, minute, second, hundredths = (*parts, 0, 0)[:7]
    return datetime(_YEARS[year], month, day, hour, minute, second, hundredths * _HUNDREDTH_US)


def _from_count(
    kind: str, octets: bytes, tm_format: int, order: Order, unit_s: int
) -> datetime | time:
    count = int.from_bytes(octets[:4], order)
    if kind == "TIME":
        if count * unit_s >= _DAY_S:
            raise ValueError("beyond the day")
        return (datetime.min + timedelta(seconds=count * unit_s)).time()
    if tm_format == 4:
        return EPOCH + timedelta(seconds=count)
    second = octets[4] if len(octets) > 4 else 0
    if second > 59:
        raise ValueError("beyond the minute")
    return EPOCH + timedelta(minutes=count, seconds=second)


def _bcd(octet: int) -> int:
    if octet >> 4 > 9 or octet & 15 > 9:
        raise ValueError("not BCD")
    return (octet >> 4) * 10 + (octet & 15)


def encode_time(kind: str, value: object, tm_format: int, order: Order, unit_s: int = 1) -> bytes:
    """Encode a TableTime (its octets), a datetime, a time, or None (not set).

    That is all zero, and all ones for a time of day, since zero is midnight.
    """
    size = size_of_time(kind, tm_format)
    if isinstance(value, TableTime):
        if len(value.raw) != size:
            raise TableValueError(f"{len(value.raw)} octets for a {kind} of {size}")
        return value.raw
    if value is None or size == 0:
        return (b"\xff" if kind in _OF_DAY else b"\0") * size
    if isinstance(value, datetime) and kind not in _OF_DAY:
        return _encode_moment(kind, value, tm_format, order)
    if isinstance(value, time) and kind in _OF_DAY:
        if tm_format in (1, 2):
            return _octets([value.hour, value.minute, value.second][:size], tm_format)
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        if seconds % unit_s:
            raise TableValueError(f"{value} has seconds, TIME counts minutes here")
        return (seconds // unit_s).to_bytes(4, order)
    raise TableValueError(f"{value!r} is no {kind}")


def _encode_moment(kind: str, value: datetime, tm_format: int, order: Order) -> bytes:
    if tm_format in (1, 2):
        if value.year not in YEARS:
            raise TableValueError(f"year {value.year} has no two digits around the pivot")
        if value.tzinfo is not None:
            raise TableValueError(f"{value} has a zone: give the meter's own time, without one")
        parts = [value.year % 100, value.month, value.day, value.hour, value.minute, value.second]
        parts.append(value.microsecond // _HUNDREDTH_US)
        return _octets(parts[: size_of_time(kind, tm_format)], tm_format)
    seconds = int(((value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH).total_seconds())
    count = seconds if tm_format == 4 else seconds // 60
    if not 0 <= count < 1 << 32:
        raise TableValueError(f"{value} is outside a count of 32 bits")
    tail = bytes([seconds % 60]) if tm_format == 3 and kind == "LTIME_DATE" else b""
    return count.to_bytes(4, order) + tail


def _octets(parts: list[int], tm_format: int) -> bytes:
    return bytes((n // 10 << 4 | n % 10) if tm_format == 1 else n for n in parts)


def decode_date(octets: bytes, order: Order) -> TableTime:
    """Decode the 16-bit DATE: YEAR in bits 0..6, MONTH 7..10, DAY 11..15."""
    number = int.from_bytes(octets, order)
    try:
        value = date(_YEARS[number & 127], number >> 7 & 15, number >> 11)
    except (ValueError, IndexError):
        return TableTime(octets, None)
    return TableTime(octets, value)


def encode_date(value: object, order: Order) -> bytes:
    """Encode a DATE from a TableTime, a date or None."""
    if isinstance(value, TableTime) and len(value.raw) == 2:
        return value.raw
    if value is None:
        return bytes(2)
    if not isinstance(value, date) or value.year not in YEARS:
        raise TableValueError(
            f"{value!r} is no DATE of the years {YEARS.start} to {YEARS.stop - 1}"
        )
    return (value.day << 11 | value.month << 7 | value.year % 100).to_bytes(2, order)
