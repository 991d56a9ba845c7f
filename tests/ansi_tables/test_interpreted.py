"""The walk of a definition: what is wrong, and where."""

from typing import Any

import pytest
from construct import Int8ub, PascalString, Struct

from ansi_tables import Context, DeviceFormat, Record, TableError, TableValueError
from ansi_tables.fields import array, bit_field, optional_tail, record, rest, stime_date, uint
from ansi_tables.foreign import adopt
from ansi_tables.interpreted import read, write

CTX = Context(DeviceFormat())
TREE = record(
    "BLOCKS" / array(2, record("N" / uint(CTX, 16), "F" / bit_field(CTX, 8, LOW=(0, 3)))),
    "REST" / rest(3),
)


def written(tree: Any, value: Any) -> bytes:
    out = bytearray()
    write(tree, value, out, "ST-01")
    return bytes(out)


def test_values_are_read_in_wire_order_and_written_back() -> None:
    octets = bytes(range(8))
    value, end = read(TREE, octets + b"beyond", "ST-01")
    assert value.BLOCKS[1] == Record(N=0x0403, F=Record(LOW=5, FILLER=0))
    assert (value.REST, end) == (b"\6\7b", 9)
    assert written(TREE, value) == octets + b"b"


@pytest.mark.parametrize(
    ("cut", "path", "offset"), [(0, "BLOCKS.0.N", 0), (2, "BLOCKS.0.F", 2), (4, "BLOCKS.1.N", 3)]
)
def test_octets_that_end_early_name_the_field_and_where_it_begins(
    cut: int, path: str, offset: int
) -> None:
    with pytest.raises(TableError) as caught:
        read(TREE, bytes(cut), "ST-01")
    assert (caught.value.table, caught.value.path, caught.value.offset) == ("ST-01", path, offset)


BLOCK = {"N": 1, "F": {"LOW": 1}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "ST-01 BLOCKS: missing"),
        ({"BLOCKS": [BLOCK]}, "ST-01 BLOCKS at octet 0: 1 elements, must be 2"),
        ({"BLOCKS": 5}, "ST-01 BLOCKS at octet 0: 5 does not fit"),
        ({"BLOCKS": [BLOCK, {"N": 1}]}, "ST-01 BLOCKS.1.F: missing"),
        ({"BLOCKS": [BLOCK, {"N": -1, "F": 0}]}, "ST-01 BLOCKS.1.N at octet 3: -1"),
        ({"BLOCKS": [{"N": 1, "F": {"LOW": 16}}, 0]}, "ST-01 BLOCKS.0.F.LOW at octet 2: 16"),
        ({"BLOCKS": [{"N": 1, "F": None}, 0]}, "ST-01 BLOCKS.0.F at octet 2: None does not fit"),
        ({"BLOCKS": [BLOCK, BLOCK], "REST": b"four"}, "ST-01 REST at octet 6: 4 octets, at most 3"),
    ],
)
def test_a_value_that_does_not_fit_names_its_member(value: Any, text: str) -> None:
    with pytest.raises(TableValueError) as caught:
        written(TREE, value)
    assert str(caught.value).startswith(text)


def test_an_image_may_stop_before_an_optional_tail_and_not_within_it() -> None:
    tree = record("A" / uint(CTX, 8), optional_tail(True, "B" / uint(CTX, 16)))
    assert read(tree, b"\1", "ST-01") == (Record(A=1), 1) and written(tree, {"A": 1}) == b"\1"
    assert read(tree, b"\1\2\0", "ST-01") == (Record(A=1, B=2), 3)
    with pytest.raises(TableError, match=r"ST-01 B at octet 1: UINT16 of 2 octets, 1 are there"):
        read(tree, b"\1\2", "ST-01")


def test_a_tail_without_octets_is_always_there() -> None:
    none = Context(DeviceFormat(tm_format=0))
    tree = record("A" / uint(none, 8), optional_tail(True, "T" / stime_date(none)))
    assert list(read(tree, b"\1", "ST-01")[0]) == ["A", "T"]


def test_what_construct_must_read_is_read_by_construct() -> None:
    tree = adopt(Struct("S" / PascalString(Int8ub, "ascii")))
    assert read(tree, b"\2abc", "MT-01") == (Record(S="ab"), 3)
    assert written(tree, {"S": "ab"}) == b"\2ab"
