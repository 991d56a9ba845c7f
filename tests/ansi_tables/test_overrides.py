"""Ways of real devices as data: what each changes, and that text and object say the same."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    MissingContextError,
    Overrides,
    Record,
    Snapshot,
    TableValueError,
    layout_for,
)
from ansi_tables.overrides import MAKERS
from tests.ansi_tables.facts import Interpreter

FLAGS = [member.name for member in fields(Overrides) if member.name != "edition"]
ST11 = Record(
    SOURCE_FLAGS=Record(
        PF_EXCLUDE_FLAG=0,
        RESET_EXCLUDE_FLAG=0,
        SLIDING_DEMAND_FLAG=1,
        SET1_PRESENT_FLAG=1,
        SET2_PRESENT_FLAG=0,
        CONVERSION_ALG_FLAG=1,
    ),
    NBR_DEMAND_CTRL_ENTRIES=1,
    NBR_CONSTANTS_ENTRIES=1,
    CONSTANTS_SELECTOR=3,
)
ST21 = Record(
    REG_FUNC1_FLAGS=Record(TIME_REMAINING_FLAG=1), NBR_PRESENT_DEMANDS=2, NBR_PRESENT_VALUES=0
)
ST71 = Record(LOG_FLAGS=Record(EVENT_NUMBER_FLAG=0), EVENT_DATA_LENGTH=1, NBR_EVENT_ENTRIES=1)
ST51 = Record(TIME_FUNC_FLAG2=Record(CAP_TM_ZN_OFFSET_FLAG=0))


def members(table: int, text: str, tm_format: int = 2) -> dict[str, int]:
    """Width of each member of a table under an override."""
    fmt = DeviceFormat(tm_format=tm_format, overrides=Overrides.of(text))
    context = Context(fmt, {11: ST11, 21: ST21, 51: ST51, 71: ST71})
    return {field.path: field.width for field in layout_for(table, context).listing()}


def test_power_fail_members_are_there_whatever_the_flag_says() -> None:
    assert "P_FAIL_EXCLUSION" not in members(13, "")
    assert {"P_FAIL_RECOGNTN_TM", "P_FAIL_EXCLUSION", "COLD_LOAD_PICKUP"} < set(
        members(13, "power_fail_always")
    )


def test_selector_3_is_the_electric_record_with_numbers_of_64_bits_and_no_offset() -> None:
    path = "SELECTION.0.ELECTRIC_CONSTANTS"
    assert not members(15, "")
    plain = members(15, "electric_selector_3")
    assert plain[f"{path}.OFFSET"] == plain[f"{path}.SET1_CONSTANTS.RATIO_F1"] == 4
    old = members(15, "electric_selector_3, constants_int64, no_offset_flag")
    assert f"{path}.OFFSET" not in old and old[f"{path}.MULTIPLIER"] == 8


def test_the_remaining_time_stands_once_before_the_demands() -> None:
    assert next(iter(members(28, ""))) == "PRESENT_DEMAND.0.TIME_REMAINING"
    assert list(members(28, "time_remaining_once")) == [
        "TIME_REMAINING",
        "PRESENT_DEMAND.0.DEMAND_VALUE",
        "PRESENT_DEMAND.1.DEMAND_VALUE",
    ]


def test_entries_of_the_event_log_may_lack_their_sequence_number() -> None:
    assert "ENTRIES.0.EVENT_SEQ_NBR" in members(76, "")
    assert "ENTRIES.0.EVENT_SEQ_NBR" not in members(76, "ge-kv")


def test_a_serial_number_may_be_one_integer() -> None:
    assert members(1, "")["MFG_SERIAL_NUMBER"] == 16
    assert members(1, "serial_number_uint64")["MFG_SERIAL_NUMBER"] == 8


def test_bit_13_of_the_status_may_be_a_cover_detector() -> None:
    fmt = DeviceFormat(overrides=Overrides.of("cover_detect_flag"))
    status = layout_for(3, Context(fmt)).decode(bytes.fromhex("01002000")).ED_STD_STATUS1
    assert status.COVER_DETECT_FLAG == 1 and "REVERSE_ROTATION_FLAG" not in status


def test_a_time_under_format_3_may_count_minutes() -> None:
    for text, seconds in (("", 90), ("time_in_minutes", 90 * 60)):
        fmt = DeviceFormat(tm_format=3, overrides=Overrides.of(text))
        layout = layout_for(53, Context(fmt, {51: ST51}))
        image = bytes.fromhex("5a0000003c")
        effect = layout.decode(image).DST_TIME_EFF.value
        assert effect.hour * 3600 + effect.minute * 60 + effect.second == seconds
        assert layout.encode({"DST_TIME_EFF": effect, "DST_TIME_AMT": 60}) == image
    with pytest.raises(TableValueError, match="counts minutes"):
        layout.encode({"DST_TIME_EFF": effect.replace(second=1), "DST_TIME_AMT": 0})


def test_the_edition_can_be_set() -> None:
    assert "STD_TIME_EFF" not in members(53, "")
    st00 = bytearray(19)
    st00[1], st00[2], st00[11] = 2, 0x88, 1
    meter = Snapshot({0: bytes(st00), 51: bytes(9)}, overrides=Overrides(edition=2))
    assert meter.context.fmt.std_version_no == 2
    assert "STD_TIME_EFF" in [field.path for field in meter.layout(53).listing()]


def test_an_image_carries_its_overrides_in_what_is_noted_of_the_meter() -> None:
    st00 = bytearray(19)
    st00[1], st00[2] = 2, 0x88
    meter = Snapshot({0: bytes(st00)}, identity={"overrides": "ge-kv, edition=2"})
    again = Snapshot.from_json(meter.to_json())
    assert again.overrides == meter.overrides and again.overrides.edition == 2
    assert again.context.fmt.overrides.power_fail_always


@given(st.builds(Overrides, st.none() | st.integers(0, 3), *[st.booleans() for _ in FLAGS]))
def test_text_and_object_say_the_same(overrides: Overrides) -> None:
    assert Overrides.of(str(overrides)) == overrides


def test_makers_are_known_by_name() -> None:
    assert MAKERS["ge-kv"] == Overrides.of("ge-kv") and not MAKERS["ge-kv"].constants_int64
    assert Overrides.of("edition=0, ge-kv").edition == 0


@pytest.mark.parametrize("text", ["gekv", "edition=x", "edition=9", "edition=-1", "ge-kv edition"])
def test_an_override_that_is_not_known_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(TableValueError, match="override"):
        Overrides.of(text)


def test_a_dimension_table_that_st00_does_not_list_counts_as_zero() -> None:
    listed = Context(DeviceFormat(std_tbls_used=frozenset((0, 1, 53))))
    assert [field.path for field in layout_for(53, listed).listing()] == [
        "DST_TIME_EFF",
        "DST_TIME_AMT",
    ]
    assert layout_for(23, listed).size == 0
    for used in ((), (0, 51)):
        context = Context(DeviceFormat(std_tbls_used=frozenset(used)))
        with pytest.raises(MissingContextError, match="ST-51 is needed first"):
            layout_for(53, context)
    assert Interpreter({51: {}}).value("ST51.TIME_FUNC_FLAG2") == 0


def test_a_context_tells_which_dimension_tables_were_read() -> None:
    context = Context(DeviceFormat(), {51: ST51})
    assert context.has(51) and not context.has(71)
