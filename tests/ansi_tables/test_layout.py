"""Layouts: shared by equal devices, read once or often, as a whole or by the field."""

import pytest
from construct import Int8ub, PascalString, Struct

from ansi_tables import (
    Context,
    DeviceFormat,
    MissingContextError,
    Record,
    TableTooLargeError,
    TableValueError,
    TruncatedTableError,
    layout_for,
    manufacturer,
)
from ansi_tables import layout as module
from ansi_tables.fields import array, binary, bit_field, optional_tail, rdate, record, rest, uint
from ansi_tables.layout import Layout
from ansi_tables.places import Field

CTX = Context(DeviceFormat())


def small() -> Layout:
    """Six octets: a number, two more, bits, and a tail that may be absent."""
    tree = record(
        "A" / uint(CTX, 16),
        "LIST" / array(2, uint(CTX, 8)),
        "BITS" / bit_field(CTX, 8, LOW=(0, 3)),
        optional_tail(True, "TAIL" / binary(1)),
    )
    return Layout(manufacturer(5), "Small", tree)


IMAGE = bytes([1, 2, 3, 4, 0x5A, 6])
VALUE = Record(A=0x201, LIST=[3, 4], BITS=Record(LOW=10, FILLER=5), TAIL=b"\6")


def test_equal_devices_share_one_layout_and_others_do_not() -> None:
    one, other = (layout_for(3, Context(DeviceFormat())) for _ in range(2))
    assert one is other
    assert layout_for(3, Context(DeviceFormat(dim_mfg_status_used=2))) is not one
    assert layout_for(4, Context(DeviceFormat())) is not one


def test_a_table_without_a_definition_is_octets() -> None:
    layout = layout_for(manufacturer(1999), CTX)
    assert layout.opaque and layout.decode(b"abc") == Record(RAW=b"abc")
    assert layout.size is None and layout.encode({"RAW": b"abc"}) == b"abc"
    assert not small().opaque and not layout_for(3, CTX).opaque


def test_a_missing_dimension_names_the_table_that_must_be_read() -> None:
    with pytest.raises(MissingContextError, match="ST-21"):
        layout_for(23, CTX)


def test_a_table_beyond_the_protocols_offset_is_refused_by_name() -> None:
    big = array(200, array(60_000, uint(CTX, 8)))
    with pytest.raises(TableTooLargeError, match="MT-01: 24000000 octets"):
        Layout(manufacturer(1), "", record("A" / big, "B" / big))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_the_first_time_and_every_other_give_the_same(times: int) -> None:
    layout = small()
    for _ in range(times):
        assert layout.decode(IMAGE) == VALUE
        assert layout.decode_with_trailing(IMAGE + b"xy") == (VALUE, b"xy")
        assert layout.encode(VALUE) == IMAGE


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_tail_may_be_absent_and_a_cut_names_its_field(before: int) -> None:
    layout = small()
    for _ in range(before):
        layout.encode(layout.decode(IMAGE))
    shorter = Record({name: VALUE[name] for name in ("A", "LIST", "BITS")})
    assert layout.decode(IMAGE[:5]) == shorter and layout.encode(shorter) == IMAGE[:5]
    with pytest.raises(TruncatedTableError, match=r"MT-05 LIST.1 at octet 3"):
        layout.decode(IMAGE[:3])
    with pytest.raises(TableValueError, match=r"MT-05 LIST.0 at octet 2: 256 does not fit"):
        layout.encode(VALUE | {"LIST": [256, 0]})


def test_check_refuses_what_is_too_short_and_nothing_else() -> None:
    small().check(IMAGE + b"more")
    layout_for(manufacturer(1999), CTX).check(b"")
    with pytest.raises(TruncatedTableError, match="BITS"):
        small().check(IMAGE[:4])


def test_fields_are_listed_and_found_by_their_paths() -> None:
    layout = small()
    assert list(layout.listing())[1] == Field(2, 1, "LIST.0", "UINT8")
    assert layout.field("LIST") == (2, 2) and layout.field("LIST.1") == (3, 1)
    assert layout.width("TAIL") == 1 and layout.count("LIST") == 2
    assert layout.has("BITS.LOW") and layout.has("A") and not layout.has("B")
    assert not layout.has("BITS.HIGH") and not layout.has("A.LOW")
    assert layout.leaf("A").type_name == "UINT16"
    assert layout.construct.sizeof() == 6


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("B", "no such field"),
        ("LIST.2", "one of 0..1"),
        ("LIST.x", "one of 0..1"),
        ("A.B.C", "no such field"),
        ("BITS.HIGH", "no such bit"),
        ("BITS.LOW.LOW", "no such field"),
        ("A.LOW", "no such bit"),
    ],
)
def test_what_is_not_there_is_refused_by_its_path(path: str, fault: str) -> None:
    layout = small()
    for read in (lambda: layout.value(path, IMAGE), lambda: layout.value_at(path, IMAGE)):
        with pytest.raises(TableValueError, match=f"MT-05 {path}.*{fault}"):
            read()


def test_records_and_arrays_are_no_single_field_and_a_rest_has_no_width() -> None:
    layout = Layout(manufacturer(5), "", record("LIST" / array(1, uint(CTX, 8)), "TAIL" / rest()))
    for path in ("LIST", "BITS"):
        with pytest.raises(TableValueError):
            layout.leaf(path)
    with pytest.raises(TableValueError, match="is no single field"):
        small().leaf("BITS.LOW")
    with pytest.raises(TableValueError, match="is no array"):
        small().count("A")
    with pytest.raises(TableValueError, match="has no fixed width"):
        layout.field("TAIL")
    assert layout.value("TAIL", b"\1xyz") == b"xyz"


def test_one_field_of_an_image_is_read_again_and_again() -> None:
    layout = small()
    for _ in range(2):
        assert layout.value("A", IMAGE) == 0x201 and layout.value("LIST", IMAGE) == [3, 4]
        assert layout.value("BITS.LOW", IMAGE) == 10 and layout.value("BITS", IMAGE) == VALUE.BITS
        assert layout.value_at("LIST.1", b"\4") == 4 and layout.value_at("BITS.LOW", b"\x5a") == 10


def test_a_cut_names_the_octet_of_the_table_in_parts_too() -> None:
    layout = small()
    for path, cut in (("A", 1), ("LIST", 3), ("LIST.1", 2)):
        with pytest.raises(TruncatedTableError, match=rf"MT-05 {path}.* at octet"):
            layout.value(path, IMAGE[:cut])
    with pytest.raises(TruncatedTableError, match=r"LIST.1 at octet 3"):
        layout.value_at("LIST", b"\3")


def test_readers_of_single_fields_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READERS", 2)
    layout = small()
    for _ in range(3):
        values = [layout.value(path, IMAGE) for path in ("A", "LIST.0", "LIST.1", "BITS")]
        assert values == [0x201, 3, 4, VALUE.BITS]


def test_one_field_is_written_alone_but_not_one_bit() -> None:
    layout = small()
    assert layout.encode_at("LIST", [7, 8]) == b"\7\x08"
    with pytest.raises(TableValueError, match=r"LIST.1 at octet 3: 256"):
        layout.encode_at("LIST", [7, 256])
    with pytest.raises(TableValueError, match=r"LIST at octet 2"):
        layout.encode_at("LIST", 5)
    with pytest.raises(TableValueError, match="one bit"):
        layout.encode_at("BITS.LOW", 1)


def test_what_construct_must_read_is_listed_as_far_as_it_is_known() -> None:
    layout = Layout(manufacturer(5), "", Struct("N" / Int8ub, "S" / PascalString(Int8ub, "ascii")))
    assert [field.path for field in layout.listing()] == ["N", "S"]
    assert layout.decode(b"\5\2ab") == Record(N=5, S="ab") and layout.size is None
    assert not layout.opaque and layout.encode({"N": 5, "S": "ab"}) == b"\5\2ab"
    assert not layout.has("N.M")


def test_a_member_of_a_recurring_date_is_there_where_its_month_says_so() -> None:
    layout = Layout(manufacturer(5), "Rule", record("RULE" / rdate(CTX)))
    weekly, yearly = bytes([0x0E, 0x03]), bytes([0x03, 0x08])
    assert layout.value("RULE.WEEKDAY", weekly) == 3
    assert layout.value("RULE.DAY", yearly) == 1
    with pytest.raises(TableValueError, match=r"MT-05 RULE.DAY at octet 0: no such bit"):
        layout.value("RULE.DAY", weekly)
