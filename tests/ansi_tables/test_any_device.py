"""Round trips, truncation and garbage on devices drawn from the whole space."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    Layout,
    Record,
    Snapshot,
    TableError,
    TableTime,
    TableTooLargeError,
    TruncatedTableError,
    all_definitions,
    layout_for,
)
from ansi_tables.decades.d06_load_profile import interval_format
from ansi_tables.numbers import DecimalAsSent, IntAsSent
from tests.ansi_tables.devices import devices, few, has_a_shape, images, known_on

QUICK, MANY = few(10), few(40)
NUMBERS = st.sampled_from(sorted(d.number for d in all_definitions()))
#: Where an image may end.
OPTIONAL_TAILS = ("STD_TIME_EFF", "EXT_LOG_FLAGS", "NBR_PROGRAM_TABLES")


def by_hand(value: Any) -> Any:
    """A decoded value as a person would write it: no octets of its own, no filler."""
    if isinstance(value, Record):
        return {n: by_hand(v) for n, v in value.items() if not n.startswith("FILLER")}
    if isinstance(value, list):
        return [by_hand(item) for item in value]
    if isinstance(value, TableTime):
        return value if value.value is None else value.value
    if isinstance(value, DecimalAsSent):
        return Decimal(value)
    return int(value) if isinstance(value, IntAsSent) else value


def go_there_and_back(ctx: Context, data: Any) -> None:
    """Octets of the right size for every table of a device, decoded and encoded."""
    for known in known_on(ctx):
        layout = layout_for(known.number, ctx)
        size = layout.size if layout.size is not None else 20
        octets = data.draw(st.binary(min_size=size, max_size=size))
        assert layout.encode(layout.decode(octets)) == octets, known.name


@QUICK
@given(devices(), st.data())
def test_any_octets_of_the_right_size_go_there_and_back(ctx: Context, data: Any) -> None:
    go_there_and_back(ctx, data)


def come_back_by_hand(ctx: Context, data: Any) -> None:
    """Values as a person writes them for every table of a device, encoded and decoded."""
    for known in known_on(ctx):
        layout = layout_for(known.number, ctx)
        size = layout.size if layout.size is not None else 20
        value = by_hand(layout.decode(data.draw(st.binary(min_size=size, max_size=size))))
        assert by_hand(layout.decode(layout.encode(value))) == value, known.name


@QUICK
@given(devices(), st.data())
def test_values_written_by_hand_are_themselves_again(ctx: Context, data: Any) -> None:
    come_back_by_hand(ctx, data)


@pytest.mark.night
@few(150)
@given(devices(), st.data())
def test_all_night_octets_of_any_device_go_there_and_back(ctx: Context, data: Any) -> None:
    go_there_and_back(ctx, data)


@pytest.mark.night
@few(150)
@given(devices(), st.data())
def test_all_night_values_of_any_device_are_themselves_again(ctx: Context, data: Any) -> None:
    come_back_by_hand(ctx, data)


def expected_cut(layout: Layout, cut: int) -> tuple[str, int]:
    """The field in which an image of so many octets ends, and where that field begins."""
    for field in layout.listing():
        if field.offset + field.width > cut:
            return field.path, field.offset
    raise AssertionError("beyond the table")


@MANY
@given(devices(), NUMBERS, st.data())
def test_every_truncation_names_the_table_the_field_and_where_it_begins(
    ctx: Context, number: int, data: Any
) -> None:
    if not has_a_shape(number, ctx):
        with pytest.raises(TableError) as refused:
            layout_for(number, ctx)
        assert refused.value.table
        return
    layout = layout_for(number, ctx)
    if not layout.size:
        return
    cut = data.draw(st.integers(0, layout.size - 1))
    path, offset = expected_cut(layout, cut)
    if cut == offset and path in OPTIONAL_TAILS:
        return
    for _ in range(3):  # as first met, and again when the layout is in use
        with pytest.raises(TruncatedTableError) as caught:
            layout.decode(bytes(cut))
        error = caught.value
        assert (error.table, error.path, error.offset) == (layout.table, path, offset)


@MANY
@given(devices(), NUMBERS, st.binary(max_size=9))
def test_trailing_octets_are_reported(ctx: Context, number: int, trailing: bytes) -> None:
    if not has_a_shape(number, ctx):
        return
    layout = layout_for(number, ctx)
    if layout.size is not None:
        for _ in range(3):
            value, found = layout.decode_with_trailing(bytes(layout.size) + trailing)
            assert found == trailing and layout.encode(value) == bytes(layout.size)


@MANY
@given(st.dictionaries(NUMBERS, st.binary(max_size=60), max_size=6), st.data())
def test_a_meter_of_any_octets_decodes_or_raises_a_table_error(
    found: dict[int, bytes], data: Any
) -> None:
    drawn = data.draw(images()) if data.draw(st.booleans()) else {}
    meter = Snapshot({**drawn, **found})
    for number in meter:
        try:
            layout = meter.layout(number)
            value, trailing = layout.decode_with_trailing(meter.images[number])
            assert layout.encode(value) + trailing == meter.images[number]
        except TableError as error:
            assert error.table and str(error)


@pytest.mark.parametrize("tm_format", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("octet", [0x7F, 0xFF])
def test_a_device_that_claims_all_it_can_is_refused_or_asks_for_octets(
    octet: int, tm_format: int
) -> None:
    """Every count at 65,535 or 255: nothing is built that the address space could not hold."""
    fmt = DeviceFormat(
        tm_format=tm_format,
        ni_format1=13,
        ni_format2=13,
        dim_std_tbls_used=255,
        dim_mfg_tbls_used=255,
        dim_mfg_status_used=255,
        nbr_pending=255,
        std_tbls_used=frozenset(range(1, 200)),
    )
    tables: dict[int, Record] = {}
    for number in (11, 21, 31, 41, 51, 61, 62, 71, 91, 121):
        layout = layout_for(number, Context(fmt, tables))
        assert layout.size is not None
        tables[number] = layout.decode(bytes([octet]) * layout.size)
        if number == 62:
            tables[62] = Record(dict.fromkeys(tables[62], 1))
    refused = set()
    for known in all_definitions():
        try:
            layout = layout_for(known.number, Context(fmt, tables))
        except TableError as error:
            assert error.table
            if isinstance(error, TableTooLargeError):
                refused.add(known.number)
        else:
            for _ in range(3):
                try:
                    layout.decode(bytes(100))
                except TruncatedTableError as error:
                    assert error.offset is not None and error.offset <= 100
    assert {26, 64, 65, 66, 67, 123, 127} <= refused


def test_records_without_octets_are_counted_too() -> None:
    """65,535 blocks of 65,535 intervals of no channel, without a clock: no octet, 4 G records."""
    fmt = DeviceFormat(tm_format=0, std_tbls_used=frozenset((61, 62, 64)))
    act = layout_for(61, Context(fmt)).decode(bytes(7) + b"\xff" * 4 + b"\0\x0f")
    with pytest.raises(TableTooLargeError, match=r"ST-64.*without an octet"):
        layout_for(64, Context(fmt, {61: act, 62: Record(INT_FMT_CDE1=4)}))


def test_a_profile_of_the_largest_claims_is_refused_by_name() -> None:
    fmt = DeviceFormat(std_tbls_used=frozenset((61, 62, 64)))
    act = layout_for(61, Context(fmt)).decode(bytes(4) + b"\0\0\0" + b"\xff" * 6)
    with pytest.raises(TableTooLargeError, match=r"ST-64.*24-bit"):
        layout_for(64, Context(fmt, {61: act, 62: Record(INT_FMT_CDE1=4)}))


@pytest.mark.parametrize(
    ("code", "octets"), [(1, 1), (2, 2), (4, 4), (8, 1), (16, 2), (32, 4), (64, 8), (128, 3)]
)
def test_an_interval_has_the_octets_of_its_format(code: int, octets: int) -> None:
    assert interval_format(Context(DeviceFormat(ni_format1=0, ni_format2=7)), code).size == octets


@pytest.mark.parametrize("code", [0, 3, 255])
def test_an_interval_format_that_is_none_is_refused_by_name(code: int) -> None:
    fmt = DeviceFormat(std_tbls_used=frozenset((61, 62, 64)))
    act = layout_for(61, Context(fmt)).decode(bytes(13))
    with pytest.raises(TableError, match="ST-62 INT_FMT_CDE"):
        layout_for(64, Context(fmt, {61: act, 62: Record(INT_FMT_CDE1=code)}))


def test_a_moment_is_a_value_that_a_person_writes() -> None:
    layout = layout_for(52, Context(DeviceFormat()))
    qualifier = dict.fromkeys(layout.decode(bytes(7)).TIME_DATE_QUAL, 0)
    value = {"CLOCK_CALENDAR": datetime(2026, 11, 25), "TIME_DATE_QUAL": qualifier}
    assert layout.decode(layout.encode(value)).CLOCK_CALENDAR.value == datetime(2026, 11, 25)
