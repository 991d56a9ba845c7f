"""A user's own construct, registered in one line, behaves like a standard table."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from construct import (
    Array,
    Bytes,
    Computed,
    Enum,
    ExprAdapter,
    GreedyBytes,
    Int8ub,
    Int16ul,
    Int24ub,
    Int32sl,
    Padding,
    PascalString,
    Struct,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    Layout,
    Snapshot,
    TableError,
    TableTooLargeError,
    TableValueError,
    TruncatedTableError,
    layout_for,
    manufacturer,
    registry,
)
from ansi_tables.description import describe_table
from ansi_tables.fields import ltime_date, optional_tail, record, rest, uint, when
from ansi_tables.partial import index_of, part_of
from ansi_tables.registry import table
from ansi_tables.rendering import listing, to_json_value

CONTEXT = Context(DeviceFormat())
NUMBER = manufacturer(70)
FIXED = Struct(
    "VOLTAGE" / Int16ul,
    "ITEMS" / Array(2, Struct("A" / Int24ub, "B" / Bytes(2))),
    "SIGNED" / Int32sl,
)
VARYING = Struct(
    "COUNT" / Int8ub,
    "ITEMS" / Array(this.COUNT, Struct("A" / Int16ul, Padding(1))),
    "KIND" / Enum(Int8ub, gas=1),
    "NAME" / PascalString(Int8ub, "ascii"),
)


@pytest.fixture(autouse=True)
def no_table_is_left_behind() -> Iterator[None]:
    list(registry.all_definitions())
    before = dict(registry._definitions)
    yield
    registry._definitions.clear()
    registry._definitions.update(before)


def own(tree: Any) -> Layout:
    table(NUMBER, tree)
    return layout_for(NUMBER, CONTEXT)


def test_a_construct_of_fixed_width_is_listed_measured_and_addressed() -> None:
    layout = own(FIXED)
    places = [(f.offset, f.width, f.path, f.type_name) for f in layout.listing()]
    assert places[:3] == [
        (0, 2, "VOLTAGE", "construct <H"),
        (2, 3, "ITEMS.0.A", "UINT24"),
        (5, 2, "ITEMS.0.B", "BINARY(2)"),
    ]
    assert layout.size == 16 and layout.field("ITEMS.1.B") == (10, 2)
    assert layout.value_at("ITEMS.1.A", b"\0\1\0") == 256


@given(st.binary(min_size=16, max_size=16))
def test_any_octets_of_it_go_there_and_back(octets: bytes) -> None:
    layout = own(FIXED)
    assert layout.encode(layout.decode(octets)) == octets


@pytest.mark.parametrize("cut", range(16))
def test_its_truncation_names_the_field(cut: int) -> None:
    with pytest.raises(TruncatedTableError) as caught:
        own(FIXED).decode(bytes(cut))
    assert caught.value.table == "MT-70" and caught.value.path and caught.value.offset is not None


def test_a_construct_that_depends_on_values_is_read_by_construct() -> None:
    layout = own(VARYING)
    octets = bytes.fromhex("02 0100 00 0200 00 01 03 616263")
    value, trailing = layout.decode_with_trailing(octets + b"!!")
    assert (trailing, layout.size) == (b"!!", None)
    assert [item.A for item in value.ITEMS] == [1, 2] and value.NAME == "abc"
    assert layout.encode(value) == octets
    assert [f.path for f in layout.listing()] == ["COUNT", "ITEMS", "KIND", "NAME"]
    assert json.loads(json.dumps(to_json_value(value)))["KIND"] == "gas"
    assert len(list(listing(layout, value))) == 4


@given(st.binary(max_size=30))
def test_any_octets_are_a_record_or_a_table_error(octets: bytes) -> None:
    layout = own(VARYING)
    try:
        value = layout.decode(octets)
    except TableError as error:
        assert error.table == "MT-70" and error.offset is not None
    else:
        json.dumps(to_json_value(value))


def test_its_truncation_names_the_member() -> None:
    with pytest.raises(TruncatedTableError, match=r"MT-70 ITEMS.*at octet 2"):
        own(VARYING).decode(b"\2\1")


def test_values_that_do_not_fit_name_the_member() -> None:
    for tree in (FIXED, VARYING):
        with pytest.raises(TableValueError, match="MT-70"):
            own(tree).encode({"COUNT": 1})
    with pytest.raises(TableValueError, match="MT-70 KIND"):
        own(VARYING).encode({"COUNT": 0, "ITEMS": [], "KIND": "water", "NAME": ""})


def test_a_lambda_that_raises_is_a_table_error() -> None:
    layout = own(Struct("A" / Int8ub, "B" / Computed(lambda ctx: 1 // ctx.A)))
    assert layout.decode(b"\1").B == 1
    with pytest.raises(TableValueError, match="ZeroDivisionError"):
        layout.decode(b"\0")
    with pytest.raises(TableValueError, match="ZeroDivisionError"):
        layout.encode({"A": 0})


def test_a_construct_that_is_no_struct_is_one_value() -> None:
    assert own(Array(2, Int16ul)).decode(b"\1\0\2\0") == {"VALUE": [1, 2]}
    assert own(GreedyBytes).decode(b"rest").VALUE == b"rest"
    assert own(GreedyBytes).opaque


def test_words_of_both_kinds_mix_and_follow_the_device() -> None:
    table(NUMBER, lambda ctx: Struct("A" / Int8ub, "T" / ltime_date(ctx), "N" / uint(ctx, 16)))
    clock = bytes.fromhex("0c0b0817010f")
    for order, expected in (("little", 0x0201), ("big", 0x0102)):
        layout = layout_for(NUMBER, Context(DeviceFormat(data_order=order)))  # type: ignore[arg-type]
        value = layout.decode(b"\7" + clock + b"\1\2")
        assert expected == value.N and value.T.value is not None


def test_a_member_in_constructs_words_leaves_the_others_their_numbers() -> None:
    absent = when(False, "X" / uint(CONTEXT, 8))
    mixed = Layout(
        NUMBER, "", record(absent, "B" / Int16ul, "C" / record(absent, "Y" / Int8ub, absent))
    )
    assert (index_of(mixed, "B"), index_of(mixed, "C.Y")) == ((1,), (2, 1))
    assert part_of(mixed, (1,)).paths == ("B",) and part_of(mixed, (2, 0), 3).paths == ("C.Y",)


@pytest.mark.parametrize("count", [this.N, lambda this: this.N])
def test_an_array_whose_length_stands_in_the_table_is_described_without_a_number(
    count: Any,
) -> None:
    known = table(NUMBER, Struct("N" / Int8ub, "A" / Array(count, Int16ul)))
    _, array, *_ = describe_table(known, CONTEXT)
    assert (array.path, array.count) == ("A", None)


def test_our_words_inside_a_construct_of_its_own_name_the_place_too() -> None:
    tree = Struct("N" / Int8ub, "X" / Array(this.N, uint(CONTEXT, 8)))
    layout = own(tree)
    assert layout.decode(b"\2\3\4").X == [3, 4]
    with pytest.raises(TableError, match="MT-70"):
        layout.encode({"N": 1, "X": [300]})


def test_a_member_without_a_name_takes_octets_and_has_no_place() -> None:
    layout = own(Struct("A" / Int8ub, Bytes(2), "B" / Int8ub, "C" / GreedyBytes))
    places = [(f.offset, f.width, f.path) for f in layout.listing()]
    assert places == [(0, 1, "A"), (3, 1, "B"), (4, 0, "C")]
    assert layout.decode(b"\1xx\2rest") == {"A": 1, "B": 2, "C": b"rest"}


def test_a_rest_of_ours_keeps_its_limit_inside_a_construct_of_its_own() -> None:
    layout = own(Struct("N" / Int8ub, "X" / Array(this.N, Int8ub), "R" / rest(2)))
    assert layout.decode(b"\1\5ab").R == b"ab"
    with pytest.raises(TableValueError, match="at most 2"):
        layout.encode({"N": 0, "X": [], "R": b"abc"})
    with pytest.raises(TableValueError, match="at most 2"):
        layout.decode(b"\0abc")


def test_a_fault_that_a_users_adapter_finds_names_the_table() -> None:
    def refuse(value: int, _: Any) -> int:
        raise TableValueError("not for this meter", path="A")

    layout = own(Struct("A" / ExprAdapter(Int8ub, refuse, refuse)))
    with pytest.raises(TableValueError, match="MT-70 A: not for this meter"):
        layout.decode(b"\1")


def test_an_optional_tail_stays_one() -> None:
    layout = own(record("A" / Int8ub, optional_tail(True, "B" / Int16ul)))
    assert layout.decode(b"\1") == {"A": 1} and layout.encode({"A": 1}) == b"\1"


def test_a_table_beyond_the_address_space_is_refused() -> None:
    with pytest.raises(TableTooLargeError, match="MT-70"):
        own(Struct("A" / Array(1 << 22, Bytes(100))))


def test_a_snapshot_decodes_it_as_any_other() -> None:
    table(NUMBER, FIXED, "VENDOR_TBL", "Of the vendor")
    st00 = bytes.fromhex("02 0a 88 00000000 02 00 00 00 01 00 00 00 00 00 00 00")
    meter = Snapshot({0: st00, NUMBER: bytes(16)})
    assert meter[NUMBER].ITEMS[1].A == 0 and meter.layout(NUMBER).title == "Of the vendor"
