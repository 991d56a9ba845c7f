"""Partial access held against whole images, on drawn devices; numbers against the facts."""

from itertools import pairwise
from typing import Any

import pytest
from construct import Array, Int8ub, PascalString, Struct
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    Record,
    TableError,
    TableValueError,
    TruncatedTableError,
    layout_for,
)
from ansi_tables.fields import array, binary, record, rest, stime_date, uint, unwrap, when
from ansi_tables.layout import Layout
from ansi_tables.partial import (
    PartialWrite,
    decode_index,
    decode_part,
    encode_parts,
    index_of,
    part_of,
)
from tests.ansi_tables.devices import devices, known_on
from tests.ansi_tables.facts import facts

FACTS = facts()
FEW = settings(max_examples=12, phases=(Phase.explicit, Phase.generate))
CTX = Context(DeviceFormat())


def registers() -> Layout:
    """ST-23 with 3 summations, a demand with its time, two tiers; no cumulative demands."""
    act = layout_for(21, CTX).decode(bytes([0b110, 0, 0, 3, 1, 0, 1, 2, 0, 0]))
    return layout_for(23, Context(DeviceFormat(), {21: act}))


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def containers(path: str) -> list[str]:
    steps = path.split(".")
    return [".".join(steps[:k]) for k in range(1, len(steps) + 1)]


def drawn_layout(ctx: Context, data: Any) -> tuple[Layout, bytes] | None:
    """One table of a drawn device that has octets, and an image of it."""
    known = data.draw(st.sampled_from(known_on(ctx)))
    try:
        layout = layout_for(known.number, ctx)
    except TableError:
        return None
    size = layout.size if layout.size is not None else 30
    return (layout, data.draw(st.binary(min_size=size, max_size=size))) if size else None


@pytest.mark.parametrize(
    ("indices", "path"),
    [
        ((0,), "NBR_DEMAND_RESETS"),
        ((1,), "TOT_DATA_BLOCK"),
        ((1, 0, 2), "TOT_DATA_BLOCK.SUMMATIONS.2"),
        ((1, 1, 0), "TOT_DATA_BLOCK.DEMANDS.0"),
        ((1, 1, 0, 0, 0), "TOT_DATA_BLOCK.DEMANDS.0.EVENT_TIME.0"),
        ((1, 1, 0, 3, 0), "TOT_DATA_BLOCK.DEMANDS.0.DEMAND.0"),
        ((2, 1, 0, 2), "TIER_DATA_BLOCK.1.SUMMATIONS.2"),
    ],
)
def test_indices_of_the_register_table_are_those_of_the_reference(
    indices: tuple[int, ...], path: str
) -> None:
    layout = registers()
    part = part_of(layout, indices)
    assert part.paths == (path,) and (part.offset, part.width) == layout.field(path)
    assert index_of(layout, path) == indices


@FEW
@given(devices())
def test_members_have_the_numbers_of_the_facts(ctx: Context) -> None:
    for known in known_on(ctx):
        if known.number in FACTS:
            tree = unwrap(layout_for(known.number, ctx).construct)
            compare_numbers(tree, FACTS[known.number]["fields"], known.name)


def compare_numbers(tree: Any, fields: list[dict[str, Any]], where: str) -> None:
    """Two forms of one member, as text and digits, share a number."""
    names = list(dict.fromkeys(field.get("std_name", field["name"]) for field in fields))
    numbers = vars(tree).get("numbers", range(len(tree.subcons)))
    for number, member in zip(numbers, tree.subcons, strict=True):
        field = next(f for f in fields if f.get("std_name", f["name"]) == member.name)
        inner = unwrap(member)
        if field["type"] == "ARRAY":
            field, inner = field["of"], unwrap(inner.subcon)
        # The two forms of a row of ST-54 are in another order: both are counted there.
        if "SATURDAY_SCHEDULE" not in names:
            assert names[number] == member.name, f"{where}.{member.name}"
        if isinstance(field, dict) and field["type"] == "PACKED":
            compare_numbers(inner, field["fields"], f"{where}.{member.name}")


@FEW
@given(devices(), st.data())
def test_every_path_has_an_index_that_covers_its_octets(ctx: Context, data: Any) -> None:
    drawn = drawn_layout(ctx, data)
    if drawn is None:
        return
    layout, image = drawn
    value = layout.decode(image)
    for field in list(layout.listing())[:60]:
        for path in containers(field.path):
            width = layout.width(path)
            if width is None:
                continue
            indices = index_of(layout, path)
            part = part_of(layout, indices)
            assert (part.offset, part.width, part.paths) == (*layout.field(path), (path,))
            octets = image[part.offset : part.offset + width]
            found = decode_index(layout, indices, 1, octets)
            assert found == {path: at(value, path)}


@FEW
@given(devices(), st.data())
def test_a_read_by_offset_gives_the_fields_that_are_whole_and_names_those_that_are_cut(
    ctx: Context, data: Any
) -> None:
    drawn = drawn_layout(ctx, data)
    if drawn is None:
        return
    layout, image = drawn
    value, fields = layout.decode(image), [f for f in layout.listing() if f.width]
    begin = data.draw(st.integers(0, len(image)))
    end = data.draw(st.integers(begin, len(image)))
    found = decode_part(layout, begin, image[begin:end])
    if layout.size is None:
        everything = decode_part(layout, 0, image).values
        assert everything and all(at(value, path) == part for path, part in everything.items())
        return
    whole = [f for f in fields if begin <= f.offset and f.offset + f.width <= end]
    cut = [f for f in fields if f.offset < end and f.offset + f.width > begin and f not in whole]
    assert found.values == {f.path: at(value, f.path) for f in whole}
    assert list(found.cut) == cut and not found.trailing
    beyond = decode_part(layout, begin, image[begin:] + b"\7\7")
    assert beyond.trailing == b"\7\7" and not any(f.offset >= begin for f in beyond.cut)
    assert decode_part(layout, len(image) + 5, b"\7").trailing == b"\7"


@FEW
@given(devices(), st.data())
def test_writes_change_their_fields_and_no_octet_beside_them(ctx: Context, data: Any) -> None:
    drawn = drawn_layout(ctx, data)
    if drawn is None or drawn[0].size is None:
        return
    layout, image = drawn
    other = data.draw(st.binary(min_size=len(image), max_size=len(image)))
    value, fields = layout.decode(other), [f for f in layout.listing() if f.width]
    chosen = data.draw(st.lists(st.sampled_from(fields), unique=True, max_size=6))
    writes = encode_parts(layout, {f.path: at(value, f.path) for f in chosen})
    expected, patched = bytearray(image), bytearray(image)
    for f in chosen:
        expected[f.offset : f.offset + f.width] = other[f.offset : f.offset + f.width]
    for write in writes:
        patched[write.offset : write.offset + len(write.octets)] = write.octets
    assert patched == expected
    gaps = pairwise(writes)
    assert all(one.offset + len(one.octets) < two.offset for one, two in gaps)


def test_a_read_by_offset_begins_and_ends_anywhere() -> None:
    found = decode_part(registers(), 3, bytes([9, 9, 1, 0, 0, 0, 2, 0]))
    assert found.values == {"TOT_DATA_BLOCK.SUMMATIONS.1": 1}
    assert [f.path.rpartition(".")[2] for f in found.cut] == ["0", "2"]


def test_a_count_takes_neighbours_and_passes_over_excluded_members() -> None:
    layout = registers()
    part = part_of(layout, (1, 0, 1), 2)
    assert part.paths == ("TOT_DATA_BLOCK.SUMMATIONS.1", "TOT_DATA_BLOCK.SUMMATIONS.2")
    assert (part.offset, part.width) == (5, 8)
    # Numbers 1 and 2 are the cumulative demands, which this device does not have.
    assert part_of(layout, (1, 1, 0, 0), 4).paths == (
        "TOT_DATA_BLOCK.DEMANDS.0.EVENT_TIME",
        "TOT_DATA_BLOCK.DEMANDS.0.DEMAND",
    )
    values = decode_index(layout, (1, 0, 1), 2, bytes([1, 0, 0, 0, 2, 0, 0, 0]))
    assert list(values.values()) == [1, 2]


@pytest.mark.parametrize(
    ("indices", "count"),
    [
        ((), 1),
        ((0,) * 10, 1),
        ((0,), 0),
        ((3,), 1),
        ((1, 5), 1),
        ((7, 0), 1),
        ((1, 0, 3), 1),
        ((1, 0, 1), 3),
        ((1, 1, 0, 1), 1),
        ((0, 0), 1),
    ],
)
def test_an_index_of_nothing_is_refused(indices: tuple[int, ...], count: int) -> None:
    with pytest.raises(TableValueError, match="ST-23"):
        part_of(registers(), indices, count)


def test_answers_too_short_or_too_long_for_their_index_are_refused() -> None:
    layout = registers()
    with pytest.raises(TruncatedTableError, match=r"SUMMATIONS.2 at octet 9: .* 2 are there"):
        decode_index(layout, (1, 0, 1), 2, bytes(6))
    with pytest.raises(TableValueError, match=r"9 octets, the elements have 8"):
        decode_index(layout, (1, 0, 1), 2, bytes(9))


def test_writes_join_and_may_not_lie_over_each_other() -> None:
    layout, block = registers(), "TOT_DATA_BLOCK.SUMMATIONS"
    joined = encode_parts(layout, {f"{block}.1": 2, f"{block}.0": 1, "NBR_DEMAND_RESETS": 9})
    assert joined == [PartialWrite(0, bytes([9, 1, 0, 0, 0, 2, 0, 0, 0]))]
    assert encode_parts(layout, {f"{block}.0": 1, f"{block}.2": 3})[1].offset == 9
    with pytest.raises(TableValueError, match=r"SUMMATIONS.1: lies over"):
        encode_parts(layout, {block: [1, 2, 3], f"{block}.1": 7})


def test_what_does_not_fit_names_its_place_and_a_bit_is_not_written_alone() -> None:
    layout = registers()
    with pytest.raises(TableValueError, match=r"ST-23 TOT_DATA_BLOCK.SUMMATIONS.1 at octet 5"):
        encode_parts(layout, {"TOT_DATA_BLOCK.SUMMATIONS.1": 1 << 40})
    with pytest.raises(TableValueError, match=r"METERING_FLAG at octet 0: is one bit"):
        encode_parts(layout_for(3, CTX), {"ED_MODE.METERING_FLAG": 1})


def test_a_rest_is_whole_from_its_first_octet_on_and_cut_after_it() -> None:
    layout = Layout(2048, "", record("HEAD" / uint(CTX, 16), "TAIL" / rest()))
    assert decode_part(layout, 2, b"abc").values == {"TAIL": b"abc"}
    assert [f.path for f in decode_part(layout, 1, b"abc").cut] == ["HEAD"]
    assert [(f.path, f.width) for f in decode_part(layout, 3, b"abc").cut] == [("TAIL", 4)]
    assert part_of(layout, (0,), 2).width is None
    assert decode_index(layout, (0,), 2, b"\1\0xyz") == {"HEAD": 1, "TAIL": b"xyz"}
    assert index_of(layout, "TAIL") == (1,)
    with pytest.raises(TableValueError, match="no such field"):
        index_of(layout, "HEAD.0.1")


def test_fields_without_octets_are_left_out() -> None:
    none = Context(DeviceFormat(tm_format=0))
    tree = record("T" / array(3, stime_date(none)), "E" / record(), "A" / binary(1))
    layout = Layout(2048, "", tree)
    assert decode_part(layout, 0, b"x").values == {"A": b"x"}
    assert part_of(layout, (0, 1)).width == 0


def test_structs_of_the_users_own_number_their_members_one_after_another() -> None:
    layout = Layout(2048, "", Struct("A" / Int8ub, "B" / Array(2, Int8ub)))
    assert part_of(layout, (1, 1)).offset == 2 and index_of(layout, "B.1") == (1, 1)
    with pytest.raises(TableValueError):
        part_of(layout, (2,))


def test_a_table_that_construct_must_read_has_no_parts() -> None:
    layout = Layout(2048, "", Struct("TEXT" / PascalString(Int8ub, "ascii")))
    for access in (lambda: part_of(layout, (0,)), lambda: decode_part(layout, 0, b"\1a")):
        with pytest.raises(TableValueError, match="whole"):
            access()


def test_excluded_members_at_the_end_count_too() -> None:
    layout = Layout(2048, "", record("A" / uint(CTX, 8), when(0, "B" / uint(CTX, 8))))
    assert part_of(layout, (0,), 2).paths == ("A",)
    assert encode_parts(layout, {}) == [] and layout.decode(b"\5") == Record(A=5)
