"""Sizes of tables worked out by other people: formulas, examples, lengths of a real meter."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat, layout_for
from ansi_tables.formats import NI_SIZES
from ansi_tables.times import size_of_time
from tests.ansi_tables.devices import devices, few


def with_members(fmt: DeviceFormat, number: int, members: dict[str, Any]) -> Context:
    """A device whose x1 table has these members, and zero for all others."""
    layout = layout_for(number, Context(fmt))
    assert layout.size is not None
    value = layout.decode(bytes(layout.size))
    for path, member in members.items():
        record, _, name = path.rpartition(".")
        (value[record] if record else value)[name] = member
    return Context(fmt, {number: value})


def size(number: int, ctx: Context) -> int | None:
    return layout_for(number, ctx).size


@few(15)
@given(devices())
def test_registers_have_the_size_of_the_formula(ctx: Context) -> None:
    fmt, dims = ctx.fmt, ctx.table(21)
    flags, more = dims.REG_FUNC1_FLAGS, dims.REG_FUNC2_FLAGS
    n1, n2 = NI_SIZES[fmt.ni_format1], NI_SIZES[fmt.ni_format2]
    t = size_of_time("STIME_DATE", fmt.tm_format) * flags.DATE_TIME_FIELD_FLAG
    c = flags.CUM_DEMAND_FLAG + flags.CONT_CUM_DEMAND_FLAG
    occurrences = dims.NBR_OCCUR
    block = dims.NBR_SUMMATIONS * n1
    block += dims.NBR_DEMANDS * (occurrences * t + c * n1 + occurrences * n2)
    block += dims.NBR_COIN_VALUES * occurrences * n2
    current = flags.DEMAND_RESET_CTR_FLAG + (1 + dims.NBR_TIERS) * block
    closed = t + flags.SEASON_INFO_FIELD_FLAG + current
    assert size(23, ctx) == current and size(24, ctx) == size(25, ctx) == closed
    assert size(26, ctx) == 6 + dims.NBR_SELF_READS * (2 * more.SELF_READ_SEQ_NBR_FLAG + closed)
    remaining = size_of_time("TIME", fmt.tm_format) * flags.TIME_REMAINING_FLAG
    demands = dims.NBR_PRESENT_DEMANDS * (remaining + n2)
    assert size(28, ctx) == demands + dims.NBR_PRESENT_VALUES * n1


@few(15)
@given(devices())
def test_general_tables_have_the_sizes_that_are_published(ctx: Context) -> None:
    fmt = ctx.fmt
    tables, procedures = (
        fmt.dim_std_tbls_used + fmt.dim_mfg_tbls_used,
        fmt.dim_std_proc_used + fmt.dim_mfg_proc_used,
    )
    assert size(0, ctx) == 19 + 2 * tables + procedures
    assert size(1, ctx) == (24 if fmt.id_form else 32)
    assert size(3, ctx) == 4 + fmt.dim_mfg_status_used
    assert size(5, ctx) == (10 if fmt.id_form else 20)
    assert size(6, ctx) == (180 if fmt.id_form else 230)
    fixed = {11: 8, 21: 10, 31: 10, 41: 6, 43: 8, 51: 9, 91: 14, 121: 14}
    assert {number: size(number, ctx) for number in fixed} == fixed


def test_a_calendar_of_a_known_shape_has_232_octets() -> None:
    members = {
        "TIME_FUNC_FLAG1.ANCHOR_DATE_FLAG": 1,
        "NBR_NON_RECURR_DATES": 20,
        "NBR_RECURR_DATES": 10,
        "NBR_TIER_SWITCHES": 40,
        "CALENDAR_FUNC.NBR_SEASONS": 4,
        "CALENDAR_FUNC.NBR_SPECIAL_SCHED": 2,
    }
    assert size(54, with_members(DeviceFormat(), 51, members)) == 232


def test_load_profiles_of_known_shapes() -> None:
    fmt = DeviceFormat(std_tbls_used=frozenset((61, 62, 64, 65)))
    members = {
        "LP_FLAGS.SCALAR_DIVISOR_FLAG_SET1": 1,
        "LP_FLAGS.BLK_END_READ_FLAG": 1,
        "LP_FLAGS.SIMPLE_INT_STATUS_FLAG": 1,
        "LP_FLAGS.EXTENDED_INT_STATUS_FLAG": 1,
        "NBR_BLKS_SET1": 10,
        "NBR_BLK_INTS_SET1": 96,
        "NBR_CHNS_SET1": 4,
        "NBR_CHNS_SET2": 2,
    }
    ctx = with_members(fmt, 61, members)
    assert size(62, ctx) == 36
    control = layout_for(62, ctx).decode(bytes(36))
    control["INT_FMT_CDE1"] = 2
    both = Context(fmt, {61: ctx.table(61), 62: control})
    assert size(64, both) == 10 * (5 + 16 + 12 + 96 * (3 + 8)) == 10890


@pytest.mark.parametrize("edition,octets", [(1, 9), (2, 12)])
def test_the_dimensions_of_the_logs_by_edition(edition: int, octets: int) -> None:
    assert size(71, Context(DeviceFormat(std_version_no=edition))) == octets


def test_a_history_log_of_a_known_shape_has_1811_octets() -> None:
    flags = ("EVENT_NUMBER_FLAG", "HIST_DATE_TIME_FLAG", "HIST_SEQ_NBR_FLAG")
    members = {f"LOG_FLAGS.{name}": 1 for name in flags}
    members |= {"HIST_DATA_LENGTH": 4, "NBR_HISTORY_ENTRIES": 100}
    assert size(74, with_members(DeviceFormat(), 71, members)) == 1811


def test_the_telephone_tables_have_the_lengths_of_an_elster_a3() -> None:
    members = {
        "TELEPHONE_FLAGS.S_ANCHOR_DATE_FLAG": 1,
        "TELEPHONE_FLAGS.NO_LOCKOUT_PARM": 1,
        "NBR_SETUP_STRINGS": 1,
        "SETUP_STRING_LENGTH": 40,
        "NBR_ORIGINATE_NUMBERS": 3,
        "PHONE_NUMBER_LENGTH": 64,
        "NBR_ORIGINATE_WINDOWS": 2,
        "NBR_ANSWER_WINDOWS": 2,
        "NBR_RECURRING_DATES": 1,
        "NBR_NON_RECURRING_DATES": 1,
        "NBR_EVENTS": 2,
    }
    ctx = with_members(DeviceFormat(dim_mfg_status_used=13), 91, members)
    assert {number: size(number, ctx) for number in (92, 93, 94, 95, 97)} == {
        92: 41,
        93: 203,
        94: 48,
        95: 12,
        97: 3,
    }


@given(st.integers(0, 3))
def test_a_nameplate_of_electricity_has_33_octets(kind: int) -> None:
    ctx = Context(DeviceFormat(nameplate_type=kind))
    assert size(2, ctx) == (33 if kind == 2 else None)
