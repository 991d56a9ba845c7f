"""A table describes itself: conditions and counts come from the definition alone."""

import re
from typing import Any

import pytest
from construct import Array, Int16ul, Struct

from ansi_tables import Context, TableError, all_definitions, layout_for
from ansi_tables.description import Member, describe_table, member_path
from ansi_tables.fields import array, record, uint, when
from ansi_tables.registry import TableDefinition
from ansi_tables.words import describe, member_meaning, value_meaning
from tests.ansi_tables.devices import DIMENSIONS
from tests.ansi_tables.facts import facts
from tests.ansi_tables.meaning.device import device

FACTS = facts()


def a_meter(**st_21: Any) -> Context:
    """A meter with every x1 table, all flags off and small counts."""
    tables: dict[int, Any] = {n: {} for n in DIMENSIONS if n not in (91, 121)}
    tables[21] = {"NBR_SUMMATIONS": 2, "NBR_TIERS": 1, "NBR_DEMANDS": 1, "NBR_OCCUR": 1, **st_21}
    tables[61] = {"NBR_BLKS_SET1": 1, "NBR_BLK_INTS_SET1": 1, "NBR_CHNS_SET1": 1}
    return device(tables | {62: {"INT_FMT_CDE1": 1}}).context


def members(number: int, context: Context) -> dict[str, Member]:
    known = next(one for one in all_definitions() if one.number == number)
    return {member.path: member for member in describe_table(known, context)}


def test_conditions_and_counts_are_told_for_members_that_are_there_and_that_are_not() -> None:
    found = members(23, a_meter(**{"REG_FUNC1_FLAGS.CUM_DEMAND_FLAG": 1}))
    assert not found["NBR_DEMAND_RESETS"].present
    assert found["NBR_DEMAND_RESETS"].condition == "ST-21.REG_FUNC1_FLAGS.DEMAND_RESET_CTR_FLAG"
    cumulative = found["TOT_DATA_BLOCK.DEMANDS[].CUM_DEMAND"]
    assert cumulative.present and cumulative.condition == "ST-21.REG_FUNC1_FLAGS.CUM_DEMAND_FLAG"
    summations = found["TOT_DATA_BLOCK.SUMMATIONS"]
    assert (summations.count, summations.counted_by) == (2, "ST-21.NBR_SUMMATIONS")
    assert summations.condition == "" and summations.meaning == "summation registers"
    assert found["TIER_DATA_BLOCK"].counted_by == "ST-21.NBR_TIERS"
    assert next(iter(found)) == "NBR_DEMAND_RESETS"


def test_a_condition_that_python_decides_is_found_as_well() -> None:
    found = members(54, a_meter())
    weekday = found["DAILY_SCHEDULE_ID_MATRIX[].WEEKDAY_SCHEDULE"]
    assert weekday.condition == "not ST-51.TIME_FUNC_FLAG2.SEPARATE_WEEKDAYS_FLAG"
    monday = found["DAILY_SCHEDULE_ID_MATRIX[].MONDAY_SCHEDULE"]
    assert not monday.present
    assert monday.condition == "ST-51.TIME_FUNC_FLAG2.SEPARATE_WEEKDAYS_FLAG"


def test_editions_and_sets_of_st_00_are_conditions_too() -> None:
    assert members(53, a_meter())["STD_TIME_EFF"].condition.startswith("ST-00.STD_VERSION_NO = ")
    found = members(62, a_meter())
    assert found["LP_SEL_SET1"].condition == "ST-00 lists ST-64"
    assert members(63, a_meter())["LP_STATUS_SET2"].condition == "ST-00 lists ST-65"


@pytest.mark.parametrize("bit_rate", range(4))
@pytest.mark.parametrize("one", [0, 1])
def test_codes_bits_and_counts_of_any_value_are_conditions(bit_rate: int, one: int) -> None:
    flags = {"BIT_RATE": bit_rate, "NO_LOCKOUT_PARM": one, "ID_IN_PURPOSE": one}
    dims = {f"TELEPHONE_FLAGS.{name}": value for name, value in flags.items()}
    calls = device({91: dims | {"NBR_ANSWER_WINDOWS": 2 * one}}).context
    rates = [(92, "BIT_RATE", 1), (93, "ORIGINATE_BIT_RATE", 2), (95, "ANSWER_BIT_RATE", 2)]
    for number, path, code in rates:
        rate = members(number, calls)[path]
        assert rate.present == (bit_rate == code)
        assert rate.condition == f"ST-91.TELEPHONE_FLAGS.BIT_RATE = {code}"
    answer = members(95, calls)
    assert answer["LOCKOUT_DELAY"].condition == "not ST-91.TELEPHONE_FLAGS.NO_LOCKOUT_PARM"
    assert answer["NBR_RINGS_OUTSIDE"].condition == "ST-91.NBR_ANSWER_WINDOWS > 0"
    purpose = members(96, calls)["IDENTIFICATION"]
    assert purpose.condition == "ST-91.TELEPHONE_FLAGS.ID_IN_PURPOSE"


def test_bits_are_told() -> None:
    bits = members(52, a_meter())["TIME_DATE_QUAL"].bits
    assert bits is not None and bits["DAY_OF_WEEK"] == (0, 2)


@pytest.mark.parametrize("number", [n for n in range(80) if n not in (9, 18, 19, 29, 39, 48, 49)])
def test_every_field_of_a_layout_belongs_to_a_member_with_a_meaning(number: int) -> None:
    context = a_meter()
    known = {one.number: one for one in all_definitions()}.get(number)
    if known is None or known.layout == "opaque":
        return
    try:
        layout = layout_for(number, context)
    except TableError:
        assert number in (65, 66, 67)
        return
    found = {member.path: member for member in describe_table(known, context)}
    for field in layout.listing():
        assert found[member_path(field.path)].present, field.path
    for member in found.values():
        assert member.meaning, (number, member.path)
        for bit in member.bits or ():
            assert member_meaning(number, bit) or bit.startswith("FILLER"), (number, bit)


def test_conditions_agree_with_the_facts() -> None:
    """Each member that the facts make conditional has a condition that names the same flag."""
    context, compared = a_meter(), 0
    for number, table in FACTS.items():
        if number not in {one.number for one in all_definitions()} or number >= 80:
            continue
        try:
            found = members(number, context)
        except TableError:
            continue
        conditions = list(conditional(table["fields"], ""))
        paths = [path for path, _ in conditions]
        for path, condition in conditions:
            if paths.count(path) > 1:
                continue  # two arms of one name: it is always there
            names = set(re.findall(r"[A-Z][A-Z0-9_]*_FLAG\w*", condition))
            if names and path in found:
                compared += 1
                assert any(name in found[path].condition for name in names), (number, path)
    assert compared > 20 or not FACTS


def conditional(fields: list[dict[str, Any]], path: str) -> Any:
    for field in fields:
        name = field.get("std_name", field["name"])
        here = f"{path}.{name}" if path else name
        if "when" in field:
            yield here, str(field["when"])
        yield from conditional(field.get("fields", ()), here)
        yield from conditional(field.get("of", {}).get("fields", ()), f"{here}[]")


def test_a_table_of_ones_own_is_described_like_the_standards() -> None:
    def build(ctx: Context) -> Any:
        dims = ctx.table(21)
        return record(
            when(dims.REG_FUNC1_FLAGS.CUM_DEMAND_FLAG, "PEAK" / uint(ctx, 16)),
            "PHASES" / array(dims.NBR_SUMMATIONS, uint(ctx, 8)),
        )

    describe(2999, {"PEAK": "the highest of the day", "PHASES": "one for each summation"})
    own = TableDefinition(2999, "MT_951_TBL", "Peaks", build, (21,))
    peak, phases = describe_table(own, a_meter())
    assert (peak.condition, peak.present) == ("ST-21.REG_FUNC1_FLAGS.CUM_DEMAND_FLAG", False)
    assert (phases.counted_by, phases.meaning) == ("ST-21.NBR_SUMMATIONS", "one for each summation")
    assert peak.meaning == "the highest of the day"


def test_members_of_which_a_device_has_one_are_all_told() -> None:
    def build(ctx: Context) -> Any:
        rate = ctx.table(91).TELEPHONE_FLAGS.BIT_RATE
        return record(*(when(rate == n, f"RATE_{n}" / uint(ctx, 8 * n)) for n in (1, 2, 3)))

    own = TableDefinition(2997, "MT_949_TBL", "", build, (91,))
    found = describe_table(own, device({91: {}}).context)
    assert sorted((one.path, one.present, one.width) for one in found) == [
        ("RATE_1", False, 1),
        ("RATE_2", False, 2),
        ("RATE_3", False, 3),
    ]


def test_plain_construct_is_described_as_far_as_it_tells() -> None:
    tree = Struct("VOLTAGE" / Int16ul, "TAIL" / Array(3, Int16ul))
    own = TableDefinition(2998, "MT_950_TBL", "", lambda ctx: tree)
    voltage, tail = describe_table(own, a_meter())
    assert (voltage.path, voltage.width, tail.count) == ("VOLTAGE", 2, 3)


def test_codes_have_words() -> None:
    assert value_meaning(0, "NI_FORMAT2", 10) == "INT48"
    assert value_meaning(12, "ID_CODE", 8) == "voltage, RMS"
    assert value_meaning(12, "MULTIPLIER", 5) == "x 10^-2"
    assert value_meaning(12, "SEGMENTATION", 0) == "all phases"
    assert value_meaning(11, "CONSTANTS_SELECTOR", 77).startswith("reserved")
    assert value_meaning(23, "SUMMATIONS", 1) == "" and member_meaning(999, "X") == ""
