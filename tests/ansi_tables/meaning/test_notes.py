"""Fields are told in the words of one meter: sources, times, procedures, events."""

from pathlib import Path

import pytest

from ansi_tables import Snapshot
from ansi_tables.meaning.notes import TOLD_BY, notes_on

EXAMPLE = Path(__file__).parents[3] / "docs" / "c1219" / "example_meter.json"
METER = Snapshot.from_json(EXAMPLE.read_text())


@pytest.mark.parametrize(
    "number, path, words",
    [
        (12, "UOM_ENTRY.4", "source 4: voltage, RMS phase A"),
        (13, "INTERVAL_VALUE.0", "source 3: active power delivered, block average"),
        (15, "SELECTION.0", "source 3: active power delivered, block average"),
        (16, "SOURCES_LINK.1", "source 1: active energy received"),
        (22, "COINCIDENT_SELECT.0.SOURCE_INDEX", "voltage, RMS phase A"),
        (62, "LP_SEL_SET1.0.END_BLK_RDG_SOURCE_SELECT", "unassigned"),
        (23, "TOT_DATA_BLOCK.SUMMATIONS.0", "active energy delivered: 2497970 Wh"),
        (
            26,
            "SELF_READS_ENTRIES.1.SELF_READ_REGISTER_DATA.TIER_DATA_BLOCK.1.SUMMATIONS.1",
            "active energy received, tier 1: 30 Wh",
        ),
        (28, "PRESENT_VALUE.0", "voltage, RMS phase A: 120.04 V"),
        (52, "CLOCK_CALENDAR", "2026-07-15 09:07:30-04:00"),
        (64, "LP_DATA_SET1.2.LP_INT.4.INT_DATA.0", "0 Wh delivered (skipped)"),
        (64, "LP_DATA_SET1.0.BLK_END_TIME", "2026-07-15 09:00:00-04:00"),
        (76, "ENTRIES.1.EVENT_CODE", "primary power down"),
    ],
)
def test_a_field_is_told(number: int, path: str, words: str) -> None:
    assert notes_on(METER, number)[path] == words


def test_a_call_of_a_procedure_and_its_answer_are_told() -> None:
    meter = Snapshot(METER.images)
    meter.images[7], meter.images[8] = bytes.fromhex("09000501"), bytes.fromhex("0900050001")
    call, answer = notes_on(meter, 7), notes_on(meter, 8)
    assert "demand" in call["PROC"].lower() or "reset" in call["PROC"].lower()
    assert "DEMAND_RESET" in call["PARM_RCD"] and answer["PROC"] == call["PROC"]
    assert answer["RESP_DATA_RCD"] == "SUCCESS_FLAG DEMAND_RESET_FLAG"
    meter.images[7] = bytes.fromhex("63080501")
    assert notes_on(meter, 7)["PARM_RCD"] == ""


@pytest.mark.parametrize(
    "call, fault",
    [("0900010599", "1 octets more than REMOTE_RESET takes"), ("090001", "1 octets, 0 are there")],
)
def test_parameters_that_do_not_fit_their_procedure_are_told_with_its_name(
    call: str, fault: str
) -> None:
    told = notes_on(Snapshot({**METER.images, 7: bytes.fromhex(call)}), 7)
    assert told["PROC"] == "REMOTE_RESET" and fault in told["PARM_RCD"]


def test_the_clock_in_the_second_of_two_equal_hours_is_told_as_it_says_itself() -> None:
    meter = Snapshot(METER.images)
    meter.images[52] = bytes([26, 11, 1, 1, 30, 0, METER.images[52][6] & ~8])
    meter.images[55] = meter.images[52] + bytes(2)
    told = "2026-11-01 01:30:00-05:00"
    assert str(meter.clock().now) == told
    assert notes_on(meter, 52)["CLOCK_CALENDAR"] == notes_on(meter, 55)["CLOCK_CALENDAR"] == told


def test_what_cannot_be_told_is_left_out() -> None:
    meter = Snapshot({0: METER.images[0], 23: b""})
    assert notes_on(meter, 23) == notes_on(meter, 64) == notes_on(meter, 6) == {}


def test_tables_that_tell_have_a_definition_and_are_not_their_own() -> None:
    assert all(0 < told < 168 for tables in TOLD_BY.values() for told in tables)


def test_intervals_without_a_unit_are_told_by_their_time_alone() -> None:
    meter = Snapshot({number: image for number, image in METER.images.items() if number != 16})
    told = notes_on(meter, 64)
    assert told["LP_DATA_SET1.0.BLK_END_TIME"] == "2026-07-15 09:00:00-04:00"
    assert not any("INT_DATA" in path for path in told)
