"""Registers are exact values with unit, direction, phase, tier and season."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import MissingContextError, Snapshot, TableTime
from ansi_tables.meaning.register_tables import readings
from ansi_tables.meaning.registers import Kind
from ansi_tables.meaning.scale import Raw, as_fraction
from ansi_tables.meaning.sources import Direction
from ansi_tables.numbers import RawNumber
from tests.ansi_tables.meaning.device import device, put
from tests.ansi_tables.meaning.registers import (
    a_block,
    a_demand_meter,
    registers_of,
    sources_of,
    uom,
)

WH, VARH = {"ID_CODE": 0}, {"ID_CODE": 1}
FORWARD, ALL = {"Q1": 1, "Q4": 1}, {"Q1": 1, "Q2": 1, "Q3": 1, "Q4": 1}


def test_a_summation_is_scaled_named_and_exact() -> None:
    tables = sources_of(uom(0, 0, "14", MULTIPLIER=6), uom(1, 1, "34"))
    tables |= registers_of(2, NBR_TIERS=2)
    tables[22] = {"SUMMATION_SELECT.1.SOURCE_INDEX": 1}
    tables[23] = {"TOT_DATA_BLOCK.SUMMATIONS.0": 19825, "TIER_DATA_BLOCK.1.SUMMATIONS.1": -7}
    found = device(tables).registers()
    assert len(found) == 6
    total = found.one(quantity="active energy", direction="delivered", tier=None)
    assert (total.value, total.unit, total.raw) == (Decimal("19.825"), "Wh", 19825)
    assert str(total) == "active energy delivered: 19.825 Wh"
    tier = found.one(quantity="reactive energy", tier=1)
    assert (tier.value, tier.unit, tier.direction) == (Decimal(-7), "varh", "received")
    assert tier.path == "TIER_DATA_BLOCK.1.SUMMATIONS.1"
    assert device(tables).layout(23).field(tier.path)[1] == 4


@pytest.mark.parametrize(
    "code, quadrants, more, direction",
    [
        (0, "14", {}, Direction.DELIVERED),
        (0, "23", {}, Direction.RECEIVED),
        (0, "1234", {}, Direction.SUM),
        (0, "1234", {"NET_FLOW_ACCOUNTABILITY": 1}, Direction.NET),
        (0, "1", {}, Direction.DELIVERED),
        (1, "12", {}, Direction.DELIVERED),
        (1, "34", {}, Direction.RECEIVED),
        (1, "4", {}, Direction.RECEIVED),
        (1, "14", {"NET_FLOW_ACCOUNTABILITY": 1}, Direction.NET),
        (2, "23", {}, Direction.RECEIVED),
        (0, "", {}, Direction.NONE),
        (8, "1234", {}, Direction.NONE),
    ],
)
def test_quadrants_tell_the_direction(
    code: int, quadrants: str, more: dict[str, int], direction: Direction
) -> None:
    (source,) = device(sources_of(uom(0, code, quadrants, **more))).sources()
    assert source.direction is direction


def test_phase_time_base_and_single_quadrants_are_in_the_name() -> None:
    tables = sources_of(
        uom(0, 8, SEGMENTATION=5, TIME_BASE=1, MULTIPLIER=5),
        uom(1, 1, "1", TIME_BASE=4),
        uom(2, 12, SEGMENTATION=1, TIME_BASE=1, HARMONIC=1),
        uom(3, 0, "1234", TIME_BASE=5, NET_FLOW_ACCOUNTABILITY=1),
    )
    names = [(one.name, one.unit) for one in device(tables).sources()]
    assert names == [
        ("voltage, RMS phase A", "V"),
        ("reactive power delivered Q1, block average", "var"),
        ("current, RMS phase A-B harmonic", "A"),
        ("active energy net", "Wh"),
    ]


def test_entries_are_counted_by_the_flags_of_st_16() -> None:
    tables = sources_of(uom(0, 0, "14"), uom(1, 1, "12"), uom(2, 8), constants=1)
    tables[11] |= {"NBR_SOURCES": 5, "NBR_DEMAND_CTRL_ENTRIES": 2, "DATA_CTRL_LENGTH": 2}
    tables[11] |= {"NBR_DATA_CTRL_ENTRIES": 1, "SOURCE_FLAGS.SLIDING_DEMAND_FLAG": 1}
    tables[13] = {"INTERVAL_VALUE.1.SUB_INT": 5, "INTERVAL_VALUE.1.INT_MULTIPLIER": 3}
    tables[14] = {"SOURCES_ID.0.SOURCE_ID": b"\x2a\x01"}
    tables[15] = {"SELECTION.0.ELECTRIC_CONSTANTS.MULTIPLIER": 12}
    flags = {
        "UOM_ENTRY_FLAG": (1, 3, 4),
        "DEMAND_CTRL_FLAG": (0, 3),
        "DATA_CTRL_FLAG": (4,),
        "CONSTANTS_FLAG": (3,),
        "CONSTANT_TO_BE_APPLIED": (3,),
        "PULSE_ENGR_FLAG": (1, 4),
    }
    tables[16] = {f"SOURCES_LINK.{n}.{flag}": 1 for flag, has in flags.items() for n in has}
    bare, first, also_bare, second, third = device(tables).sources()
    assert not bare.known and not also_bare.known and "no entry in ST-12" in bare.note
    assert [one.unit for one in (first, second, third)] == ["Wh", "varh", "Vh"]
    assert second.value(10) == 120 and first.value(10) == 10
    assert (bare.demand_interval_min, second.demand_interval_min) == (0, 15)
    assert third.manufacturer_id == b"\x2a\x01"


numbers = st.integers(-(2**31), 2**31 - 1)


@given(
    raw=numbers,
    multiplier=numbers,
    offset=numbers,
    ratios=st.lists(numbers, min_size=4, max_size=4),
    applied=st.tuples(st.booleans(), st.booleans()),
    present=st.tuples(st.booleans(), st.booleans()),
    apply_constants=st.booleans(),
    power=st.integers(0, 7),
)
def test_constants_then_ratios_then_the_power_of_ten(
    raw: int,
    multiplier: int,
    offset: int,
    ratios: list[int],
    applied: tuple[bool, bool],
    present: tuple[bool, bool],
    apply_constants: bool,
    power: int,
) -> None:
    tables = sources_of(
        uom(0, 0, "14", MULTIPLIER=power),
        constants=1,
        **{f"SOURCE_FLAGS.SET{n + 1}_PRESENT_FLAG": int(present[n]) for n in (0, 1)},
    )
    electric = "SELECTION.0.ELECTRIC_CONSTANTS"
    tables[15] = {f"{electric}.MULTIPLIER": multiplier, f"{electric}.OFFSET": offset}
    for n in (0, 1):
        if present[n]:
            record = f"{electric}.SET{n + 1}_CONSTANTS"
            tables[15] |= {f"{record}.SET_FLAGS.SET_APPLIED_FLAG": int(applied[n])}
            tables[15] |= {f"{record}.RATIO_F1": ratios[2 * n]}
            tables[15] |= {f"{record}.RATIO_P1": ratios[2 * n + 1]}
    tables[16] |= {"SOURCES_LINK.0.CONSTANTS_FLAG": 1}
    tables[16] |= {"SOURCES_LINK.0.CONSTANT_TO_BE_APPLIED": int(apply_constants)}
    tables |= registers_of(1) | {22: {}, 23: {"TOT_DATA_BLOCK.SUMMATIONS.0": raw}}
    expected = Fraction(raw)
    if apply_constants:
        expected = expected * multiplier + offset
        for n in (0, 1):
            if present[n] and not applied[n]:
                expected *= ratios[2 * n] * ratios[2 * n + 1]
    expected *= Fraction(10) ** (0, 2, 3, 6, 9, -2, -3, -6)[power]
    value = device(tables).registers()[0].value
    assert isinstance(value, Decimal) and Fraction(value) == expected


def test_a_float_of_the_meter_stays_what_the_meter_sent() -> None:
    tables = sources_of(uom(0, 0, "14", MULTIPLIER=2)) | registers_of(1) | {22: {}}
    tables[23] = {"TOT_DATA_BLOCK.SUMMATIONS.0": 0.1}
    value = device(tables, ni_format1=0).registers()[0].value
    assert value is not None and Fraction(value) == Fraction(0.1) * 1000


def test_what_is_no_number_has_no_value_and_says_so() -> None:
    tables = sources_of(uom(0, 0, "14")) | registers_of(1) | {22: {}, 23: {}}
    made = device(tables, ni_format1=2)
    made.images[23] = b"1E999999999 "
    register = made.registers()[0]
    assert register.value is None and "no number" in register.text
    made.images[23] = b"not a number"
    register = made.registers()[0]
    assert register.value is None
    assert register.text == f"{b'not a number'.hex()} (raw: no number)"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: t.images.pop(22), "ST-22 was not read"),
        (lambda t: t.images.pop(16), "ST-16 was not read"),
        (lambda t: t.images.pop(12), "ST-12 was not read"),
        (lambda t: t.images.update({12: b"\0"}), "ST-12 does not decode"),
        (lambda t: put(t, 12, uom(0, 255)), "manufacturer's own"),
        (lambda t: put(t, 12, uom(0, 0, "14", NFS=1)), "manufacturer's own"),
        (lambda t: put(t, 22, {"SUMMATION_SELECT.0.SOURCE_INDEX": 255}), "assigns no source"),
        (lambda t: put(t, 22, {"SUMMATION_SELECT.0.SOURCE_INDEX": 9}), "ST-16 has 1 sources"),
    ],
)
def test_a_unit_that_is_not_told_is_not_guessed(change: Any, words: str) -> None:
    tables = sources_of(uom(0, 0, "14")) | registers_of(1)
    made = device(tables | {22: {}, 23: {"TOT_DATA_BLOCK.SUMMATIONS.0": 5}})
    change(made)
    register = made.registers()[0]
    assert (register.value, register.unit, register.raw) == (None, "", 5)
    assert words in register.source.note and words in register.text


def test_constants_that_must_be_applied_and_are_not_there_leave_the_value_unknown() -> None:
    tables = sources_of(uom(0, 0, "14"), constants=1) | registers_of(1) | {22: {}, 23: {}}
    tables[16] |= {"SOURCES_LINK.0.CONSTANTS_FLAG": 1, "SOURCES_LINK.0.CONSTANT_TO_BE_APPLIED": 1}
    assert "ST-15 was not read" in device(tables).registers()[0].source.note
    gas = device(tables)
    put(gas, 11, {**tables[11], "CONSTANTS_SELECTOR": 0})
    put(gas, 15, {})
    assert "gas constants" in gas.registers()[0].source.note


def test_pulses_without_a_constant_are_pulses() -> None:
    tables = sources_of(uom(0, 0, "14"))
    tables[16]["SOURCES_LINK.0.PULSE_ENGR_FLAG"] = 0
    (source,) = device(tables).sources()
    assert (source.unit, source.value(5)) == ("pulse", 5) and "pulses" in source.note


def test_model_select_1_is_not_resolved_through_st_16() -> None:
    (source,) = device(sources_of(uom(0, 0, "14")), model_select=1).sources()
    assert not source.known and "MODEL_SELECT 1" in source.note


def test_demands_have_extremes_occurrences_times_and_coincidents() -> None:
    found = device(a_demand_meter() | {23: a_block()}).registers()
    assert found.demand_resets == 3
    highest = found.one(kind=Kind.DEMAND, index=0, occurrence=0)
    assert (highest.value, highest.unit, highest.extreme) == (1500, "W", "maximum")
    assert highest.name.endswith(", maximum")
    lowest = found.one(kind=Kind.DEMAND, index=1, occurrence=1)
    assert (lowest.value, lowest.extreme) == (20, "minimum")
    assert lowest.time == datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    assert found.one(kind=Kind.CUMULATIVE, index=0).value == 9000
    with_it = found.one(kind=Kind.COINCIDENT, occurrence=1)
    assert (with_it.value, with_it.unit) == (Decimal("230.41"), "V")
    assert with_it.time == lowest.time
    for register in found:
        assert made_again(device(a_demand_meter() | {23: a_block()}), register) == register.raw


def made_again(tables: Snapshot, register: Any) -> Any:
    """The raw value, looked up by the path that the register names."""
    value: Any = tables[register.table]
    for step in register.path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def test_previous_season_and_demand_reset_know_when_and_in_which_season() -> None:
    tables = device(a_demand_meter())
    info = {"REGISTER_INFO.END_DATE_TIME": datetime(2026, 1, 1), "REGISTER_INFO.SEASON": 2}
    put(tables, 24, {**info, **a_block("PREV_SEASON_REG_DATA.")})
    put(tables, 25, {**info, **a_block("PREV_DEMAND_RESET_DATA.")})
    for found in (tables.previous_season(), tables.previous_demand_reset()):
        assert found.taken == datetime(2026, 1, 1, tzinfo=UTC) and found.season == 2
        assert found.demand_resets == 3
        assert all(one.season == 2 for one in found)
        assert all(made_again(tables, one) == one.raw for one in found)


@pytest.mark.parametrize("order", [0, 1])
def test_self_reads_come_oldest_first_whichever_way_the_ring_runs(order: int) -> None:
    tables = a_demand_meter()
    tables[21] |= {"NBR_SELF_READS": 4}
    made = device(tables)
    log: dict[str, Any] = {
        "NBR_VALID_ENTRIES": 3,
        "LAST_ENTRY_SEQ_NBR": 1,
        "LIST_STATUS.ORDER": order,
    }
    elements = [1, 0, 3] if order == 0 else [1, 2, 3]  # the newest first, and it wraps
    log["LAST_ENTRY_ELEMENT"] = elements[0]
    for age, element in enumerate(elements):
        log[f"SELF_READS_ENTRIES.{element}.REGISTER_INFO.SEASON"] = 10 - age
    put(made, 26, log)
    found = made.self_reads()
    assert [one.season for one in found] == [8, 9, 10]
    assert [one.sequence for one in found] == [65535, 0, 1]


def test_present_values_and_demands_have_their_own_selection() -> None:
    tables = sources_of(uom(0, 0, "14", TIME_BASE=4), uom(1, 8, TIME_BASE=1, MULTIPLIER=5))
    tables[21] = {"NBR_PRESENT_DEMANDS": 1, "NBR_PRESENT_VALUES": 1}
    tables[27] = {"PRESENT_VALUE_SELECT.0.SOURCE_INDEX": 1}
    tables[28] = {"PRESENT_VALUE.0": 11987, "PRESENT_DEMAND.0.DEMAND_VALUE": 430}
    demand, voltage = device(tables).present_values()
    assert (demand.kind, demand.text) == (Kind.PRESENT_DEMAND, "430 W")
    assert (voltage.kind, voltage.text) == (Kind.PRESENT_VALUE, "119.87 V")


def test_the_season_of_now_comes_from_st_55() -> None:
    tables = sources_of(uom(0, 0)) | registers_of(1) | {22: {}, 23: {}}
    tables |= {51: {"CALENDAR_FUNC.NBR_SEASONS": 4}, 55: {"STATUS.SEASON": 3}}
    assert device(tables).registers().season == 3
    tables[51] = {}
    assert device(tables).registers().season is None


def test_a_missing_table_is_named_and_a_screen_goes_on_without_it() -> None:
    with pytest.raises(MissingContextError, match="ST-23"):
        Snapshot({}).registers()
    assert readings(Snapshot({})) == ()


def test_asking_for_one_of_several_names_them() -> None:
    tables = sources_of(uom(0, 0, "14")) | registers_of(1, NBR_TIERS=1) | {22: {}, 23: {}}
    found = device(tables).registers()
    with pytest.raises(LookupError, match=r"2 registers match .* tier 0"):
        found.one(quantity="active energy")
    with pytest.raises(TypeError, match="colour"):
        found.where(colour="red")
    assert found[0:1] == (found[0],) and isinstance(found[0].time, TableTime | None)


def test_registers_print_a_line_each_and_their_repr_says_how_many_there_are() -> None:
    tables = sources_of(*(uom(n, 0, "14", MULTIPLIER=6) for n in range(4))) | registers_of(4)
    found = device(tables | {22: {}, 23: {"TOT_DATA_BLOCK.SUMMATIONS.0": 5}}).registers()
    lines = str(found).splitlines()
    assert len(lines) == 4 and lines[0] == str(found[0])
    assert repr(found).startswith("<4 registers of ST-23: active energy delivered: 0.005 Wh; ")
    assert repr(found).endswith("; …>")


@pytest.mark.parametrize(
    "raw", [float("inf"), float("nan"), Decimal("1E999999999"), RawNumber(b"    ")], ids=str
)
def test_what_is_no_number_or_would_fill_memory_has_no_fraction(raw: Raw) -> None:
    assert as_fraction(raw) is None
