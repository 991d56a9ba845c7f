"""Every definition against the facts, for devices drawn from the space of ST-00 and x1 tables."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given

from ansi_tables import (
    Context,
    DeviceFormat,
    TableValueError,
    all_definitions,
    identifiers,
    layout_for,
)
from ansi_tables.fields import rdate
from ansi_tables.formats import NI_SIZES
from ansi_tables.times import SIZES
from tests.ansi_tables.devices import corners, devices, few, known_on, plain_context
from tests.ansi_tables.facts import Interpreter, conventions, facts
from tests.ansi_tables.held import leaves_of, others_than_held

FACTS = facts()
QUICK = few(10)
RESERVED = [number for number, fact in FACTS.items() if fact.get("reserved")]
#: A device of the 2008 edition that lists no x1 table, so that all count as zero.
LATER_EDITION = Context(DeviceFormat(std_version_no=2, std_tbls_used=frozenset((0,))))


def test_every_definition_has_the_fields_types_widths_and_conditions_of_the_facts() -> None:
    seen: dict[str, set[bool]] = {}
    for ctx in corners():
        compare(ctx, seen)
    one_sided = {when for when, values in seen.items() if len(values) < 2}
    assert not one_sided, "conditions that no device turned the other way"


def test_every_definition_is_the_one_that_was_held_against_the_facts() -> None:
    told: dict[str, list[Any]] = defaultdict(list)
    for ctx in corners():
        for known in known_on(ctx):
            described = (known.name, known.layout, known.confidence, known.since)
            told[str(known.number)].append((described, leaves_of(layout_for(known.number, ctx))))
    assert others_than_held("tables", told) == {}


@QUICK
@given(devices())
def test_definitions_and_facts_agree_on_any_device(ctx: Context) -> None:
    compare(ctx, {})


def compare(ctx: Context, seen: dict[str, set[bool]]) -> None:
    """Hold every definition against the facts on one device."""
    interpreter = Interpreter(plain_context(ctx), seen)
    for known in known_on(ctx):
        if known.number in FACTS:  # the reference is beside this checkout
            theirs = list(interpreter.leaves(FACTS[known.number]["fields"]))
            assert leaves_of(layout_for(known.number, ctx)) == theirs, known.name


def test_the_facts_have_no_table_without_a_definition_and_no_other_word_for_it() -> None:
    known = {d.number: d for d in all_definitions() if d.number < 2048}
    for number, fact in FACTS.items():
        if number in RESERVED:
            assert number not in known
            continue
        ours = known.pop(number)
        theirs = (fact["name"], fact["layout"], fact["confidence"], fact["since"])
        assert (ours.name, ours.layout, ours.confidence, ours.since) == theirs
    assert not FACTS or not known, "definitions that the facts do not know"


@QUICK
@given(devices())
def test_a_definition_says_which_tables_it_needs(ctx: Context) -> None:
    bare = Context(ctx.fmt)
    for known in known_on(ctx):
        asked: list[int] = []

        class Watched(Context):
            def table(self, number: int) -> Any:
                asked.append(number)  # noqa: B023
                return ctx.table(number)

        known.build(Watched(bare.fmt))
        assert set(asked) <= set(known.needs), known.name


@pytest.mark.parametrize(
    "number,optional",
    [
        (53, ["STD_TIME_EFF"]),
        (70, ["EXT_LOG_FLAGS", "NBR_PROGRAM_TABLES"]),
        (71, ["EXT_LOG_FLAGS", "NBR_PROGRAM_TABLES"]),
    ],
)
def test_members_of_a_later_edition_may_be_missing_at_the_end(
    number: int, optional: list[str]
) -> None:
    layout = layout_for(number, LATER_EDITION)
    assert layout.size is not None
    image, end = bytes(range(layout.size)), layout.size
    for name in reversed(optional):
        end -= layout.field(name)[1]
        value = layout.decode(image[:end])
        assert name not in value and layout.encode(value) == image[:end]
    if FACTS:
        marked = [f["name"] for f in FACTS[number]["fields"] if f.get("optional_tail")]
        assert marked == optional


def test_an_optional_member_may_only_be_left_out_with_those_after_it() -> None:
    layout = layout_for(71, LATER_EDITION)
    value = layout.decode(bytes(12))
    del value["EXT_LOG_FLAGS"]
    with pytest.raises(TableValueError, match=r"ST-71 EXT_LOG_FLAGS.*missing"):
        layout.encode(value)


def test_named_types_and_sizes_are_those_of_the_conventions() -> None:
    known, ctx = conventions(), Context(DeviceFormat())
    ours = {
        "TABLE_IDA_BFLD": identifiers.table_ida,
        "TABLE_IDB_BFLD": identifiers.table_idb,
        "TABLE_IDC_BFLD": identifiers.table_idc,
        "ACCESS_PERMISSION_BFLD": identifiers.access_permission,
        "LIST_STATUS_BFLD": identifiers.list_status,
    }
    for name, fact in known["named_types"].items():
        if name in ours:
            leaf = ours[name](ctx)
            bits = {k: tuple(v) for k, v in fact["bits"].items() if k != "FILLER"}
            assert (leaf.type_name, leaf.bits) == (fact["base"], bits)
    for name, sizes in known["sizes"].items():
        mine = NI_SIZES if name == "NI_FORMAT" else SIZES[name]
        assert [*mine, None, None][: len(sizes)] == sizes, name


def test_the_arms_of_a_recurring_date_are_those_of_the_conventions() -> None:
    leaf = rdate(Context(DeviceFormat()))
    arms = conventions()["named_types"].get("RDATE", {}).get("arms", {})
    for months, bits in arms.items():
        first, _, last = str(months).partition("..")
        for month in range(int(first), int(last or first) + 1):
            for name, (low, high) in bits.items():
                top = (1 << high - low + 1) - 1
                found = leaf.decode((month | top << low).to_bytes(2, "little"))
                others = [found[other] for other in bits if other != name]
                assert found[name] == top and not any(others)


def test_a_number_that_is_reserved_keeps_its_octets() -> None:
    for number in RESERVED or (9, 18, 19):
        layout = layout_for(number, LATER_EDITION)
        assert layout.opaque and layout.encode(layout.decode(b"kept")) == b"kept"


def test_a_nameplate_of_no_known_kind_keeps_its_octets() -> None:
    layout = layout_for(2, Context(DeviceFormat(nameplate_type=3)))
    assert layout.opaque and layout.encode(layout.decode(b"kept")) == b"kept"
