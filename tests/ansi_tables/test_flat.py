"""Flattened tables give what the walk of their definition gives, and construct itself too."""

import random
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from construct import Array, BitStruct, Flag, Int8ub, Int16ub, Int16ul, Padding, Struct
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    MissingContextError,
    Record,
    TableDefinition,
    TableError,
    TableTime,
    all_definitions,
    flat_decode,
    interpreted,
)
from ansi_tables.fields import (
    array,
    binary,
    bit_field,
    ni,
    record,
    size_of,
    stime_date,
    text,
    uint,
)
from ansi_tables.flat import fixed
from ansi_tables.flat_decode import decoder
from ansi_tables.flat_encode import encoder
from ansi_tables.foreign import adopt
from ansi_tables.layout import Layout
from tests.ansi_tables.devices import devices

DEFINITIONS = list(all_definitions())
#: A drawn device is seven tables; no long shrinking.
MANY = settings(max_examples=40, phases=(Phase.explicit, Phase.generate))
LIMITS = st.sampled_from([0, 3, 160])


def tree_of(ctx: Context, known: TableDefinition) -> Any:
    """The table on this device, or None when it has no fixed size there."""
    try:
        tree = adopt(known.build(ctx))
    except (MissingContextError, TableError):
        return None
    return tree if fixed(tree) else None


def plain(value: Any) -> Any:
    """Construct's containers as ours."""
    if isinstance(value, dict):
        return Record({k: plain(v) for k, v in value.items() if k != "_io"})
    return [plain(item) for item in value] if isinstance(value, list) else value


def digits_or_any(draw: st.DrawFn, size: int) -> bytes:
    """Octets of which many are decimal digits and months, so that both ways are gone."""
    chance = random.Random(draw(st.integers(0, 1 << 32)))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return chance.randbytes(size)
    top = {1: 9, 2: 12, 3: 0}[kind]
    return bytes(chance.randint(0, top) if chance.random() < 0.97 else 0xFA for _ in range(size))


images = st.composite(digits_or_any)


@settings(max_examples=8, phases=(Phase.explicit, Phase.generate))
@given(devices(), LIMITS, st.data())
def test_values_are_those_of_the_walk_and_of_construct(ctx: Context, limit: int, data: Any) -> None:
    for known in DEFINITIONS:
        tree = tree_of(ctx, known)
        if tree is None:
            continue
        octets = data.draw(images(size_of(tree) or 0))
        value, end = interpreted.read(tree, octets, known.name)
        found = decoder(tree, known.name, limit)(octets + b"trailing")
        assert end == len(octets), known.name
        assert repr(found) == repr(value) == repr(plain(tree.parse(octets))), known.name
        assert encoder(tree, known.name, limit)(found) == octets == tree.build(value), known.name


ODD: list[Any] = [None, "", "x", "12", -1, 1 << 70, 3, 1.5, True, [], {}, b"", b"\1", (), range(3)]
ODD += [Decimal("1.5"), Decimal(-1), Decimal("1E+2"), Decimal("NaN"), Decimal(10**13), object()]
ODD += [datetime(2026, 1, 2, 3, 4), TableTime(b"\1\2", None), frozenset({99}), Record(FILLER=-1)]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a decoded value that can be changed: (holder, key)."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found = []
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def outcome(write: Any) -> Any:
    try:
        return write()
    except TableError as error:
        return type(error), str(error)


@MANY
@given(devices(), st.sampled_from(DEFINITIONS), st.data())
def test_values_changed_at_random_encode_or_fail_as_the_walk_does(
    ctx: Context, known: TableDefinition, data: Any
) -> None:
    tree = tree_of(ctx, known)
    if tree is None:
        return
    octets = data.draw(images(size_of(tree) or 0))
    layout = Layout(known.number, known.title, tree)
    value = layout.decode(octets)
    assert layout.encode(value) == layout.encode(value) == octets
    for _ in range(8):
        value = layout.decode(octets)
        where = places(value)
        if not where:
            return
        holder, key = data.draw(st.sampled_from(where))
        how = data.draw(st.sampled_from(["odd", "delete", "more"]))
        if how == "delete":
            del holder[key]
        elif how == "more" and isinstance(holder[key], list):
            holder[key].append(holder[key][0] if holder[key] else 0)
        else:
            holder[key] = data.draw(st.sampled_from(ODD))

        def walk(value: Any = value) -> bytes:
            out = bytearray()
            interpreted.write(tree, value, out, layout.table)
            return bytes(out)

        assert outcome(lambda value=value: layout.encode(value)) == outcome(walk)


@pytest.mark.parametrize("raw", [b"", b"\1\2\3", b"\1\2\3\4\5"])
def test_octets_of_another_number_are_refused_and_neither_cut_nor_filled(raw: bytes) -> None:
    ctx = Context(DeviceFormat())
    tree = record("A" / uint(ctx, 8), "RAW" / binary(4), "B" / uint(ctx, 8))
    write = encoder(tree, "a table")
    assert write(Record(A=1, RAW=b"\1\2\3\4", B=2)) == bytes.fromhex("010102030402")
    with pytest.raises(ValueError):
        write(Record(A=1, RAW=raw, B=2))


@MANY
@given(devices(), st.sampled_from(DEFINITIONS), st.data())
def test_an_image_cut_anywhere_fails_as_the_walk_does(
    ctx: Context, known: TableDefinition, data: Any
) -> None:
    tree = tree_of(ctx, known)
    if tree is None:
        return
    octets = data.draw(images(size_of(tree) or 0))
    layout = Layout(known.number, known.title, tree)
    for _ in range(3):  # walked, flattened, flat
        layout.decode(octets)
    cut = octets[: data.draw(st.integers(0, len(octets)))]
    assert outcome(lambda: repr(layout.decode(cut))) == outcome(
        lambda: repr(interpreted.read(tree, cut, layout.table)[0])
    )
    assert layout.decode_with_trailing(octets + b"\5\6")[1] == b"\5\6"


CTX = Context(DeviceFormat(tm_format=2, ni_format1=5, ni_format2=12))


def both(tree: Any, octets: bytes) -> Any:
    """Decode and encode by a flat function, checked against the walk."""
    tree = adopt(tree)
    value, _ = interpreted.read(tree, octets, "")
    for limit in (0, 160):
        found = decoder(tree, "", limit)(octets)
        assert repr(found) == repr(value) and encoder(tree, "", limit)(found) == octets
    return value


def test_digits_and_what_is_no_digit_stand_side_by_side() -> None:
    tree = record("A" / ni(CTX, 1), "B" / array(2, ni(CTX, 2)))
    value = both(tree, bytes.fromhex("000000001234" + "0000000000000005" * 2))
    assert value == Record(A=Decimal(1234), B=[5, 5])
    both(tree, bytes.fromhex("00000000a234" + "0000000000000005" + "f" * 16))


def test_bits_that_no_member_covers_are_kept_in_one_filler() -> None:
    tree = record("F" / bit_field(CTX, 16, LOW=(2, 3), HIGH=(8, 9)), "N" / bit_field(CTX, 8))
    for octets in (b"\xff\xff\xff", b"\x00\x00\x00", b"\xa5\x5a\x3c"):
        both(tree, octets)
    absent = Record(F=Record(LOW=3, HIGH=0), N=Record())
    assert encoder(tree, "")(absent) == b"\x0c\x00\x00"


def test_patterns_of_bits_are_copies_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_decode, "MAX_PATTERNS", 3)
    tree = record("F" / array(9, bit_field(CTX, 8, LOW=(0, 3))))
    decode = decoder(tree, "")
    for _ in range(2):
        value = decode(bytes([1, 2, 3, 4, 5, 6, 1, 1, 0x21]))
        assert [bits.LOW for bits in value.F] == [1, 2, 3, 4, 5, 6, 1, 1, 1]
        value.F[6]["LOW"] = 9  # changes this record and no other
        assert value.F[7] == Record(LOW=1, FILLER=0) and value.F[8].FILLER == 2


def test_names_that_are_not_pythons_are_names_too() -> None:
    names = ("class", "with space", "self", "ﬁ", "A", "A")
    value = both(Struct(*(name / Int8ub for name in names)), bytes((0, 1, 2, 3, 5, 5)))
    assert list(value) == ["class", "with space", "self", "ﬁ", "A"] and value["A"] == 5


def test_a_number_of_the_other_byte_order_is_read_in_its_own() -> None:
    assert both(Struct("L" / Int16ul, "B" / Int16ub), b"\1\0\0\1") == Record(L=1, B=1)


def test_elements_without_octets_are_counted() -> None:
    none = Context(DeviceFormat(tm_format=0))
    value = both(record("T" / array(200, stime_date(none)), "E" / array(300, record())), b"")
    assert len(value["T"]) == 200 and value["E"] == [Record()] * 300


def test_long_arrays_are_loops() -> None:
    tree = record("N" / array(1000, uint(CTX, 16)), "S" / array(300, text(CTX, 2)))
    both(tree, bytes(range(256)) * 10 + b"x" * 40)


def test_what_construct_itself_must_read_is_not_flattened() -> None:
    bits = Struct("B" / BitStruct("A" / Flag, Padding(7)), "C" / Array(2, Int8ub))
    layout = Layout(2048, "", bits)
    for _ in range(3):
        assert layout.decode(b"\x80\1\2")["C"] == [1, 2]
        assert layout.encode(layout.decode(b"\x80\1\2")) == b"\x80\1\2"


def test_octets_may_be_any_buffer() -> None:
    layout = Layout(2048, "", record("T" / stime_date(CTX)))
    for _ in range(3):
        for octets in (bytearray(b"\1\1\1\1\1"), memoryview(b"\1\1\1\1\1")):
            value = layout.decode(octets)  # type: ignore[arg-type]
            assert type(value["T"].raw) is bytes and layout.encode(value) == octets


def test_an_error_of_any_kind_names_the_member() -> None:
    layout = Layout(2048, "", record("T" / array(1, record("B" / bit_field(CTX, 8, A=(0, 3))))))
    for _ in range(3):
        with pytest.raises(TableError, match=r"MT-00 T.0.B.A at octet 0: 16 does not fit"):
            layout.encode({"T": [{"B": {"A": 16}}]})
