"""ST-54 in words: dates, daily schedules and seasons."""

from datetime import date
from typing import Any

import pytest

from ansi_tables import MissingContextError, Record, Snapshot
from ansi_tables.meaning.calendar import TierSwitch, action_text, date_text
from ansi_tables.meaning.notes import notes_on
from tests.ansi_tables.meaning.device import device
from tests.ansi_tables.real_tables import snapshot


def test_a_real_calendar_has_its_holidays_on_their_dates() -> None:
    """Public holidays of Slovenia, all with OFFSET 0 and WEEKDAY 0: the date as given."""
    found = {one.when: one.action for one in snapshot("HX").calendar().dates}
    assert found["1 March of every year"].startswith("daylight saving begins, demand reset")
    assert found["1 July of every year"] == "season 2, demand reset, self-read"
    for holiday in ("2 January", "8 February", "27 April", "2 May", "25 June"):
        assert found[f"{holiday} of every year"] == "special day 0"


def test_a_real_calendar_has_four_seasons_and_leaves_unused_entries_out() -> None:
    calendar = snapshot("HX").calendar()
    assert len(calendar.seasons) == 4
    assert calendar.seasons[0] == {"SATURDAY": 0, "SUNDAY": 1, "WEEKDAY": 2, "special 0": 3}
    assert set(calendar.schedules) == {0, 1, 2, 3}
    first = calendar.schedules[0]
    assert [str(one) for one in first[:2]] == ["00:00 tier 0", "03:00 tier 1"]
    assert list(first) == sorted(first, key=lambda one: one.minute)
    assert 255 not in calendar.schedules


@pytest.mark.parametrize(
    "rule, words",
    [
        ({"MONTH": 0, "FILLER": 0}, ""),
        ({"MONTH": 12, "OFFSET": 0, "WEEKDAY": 3, "DAY": 25}, "25 December of every year"),
        (
            {"MONTH": 3, "OFFSET": 2, "WEEKDAY": 0, "DAY": 8},
            "8 March of every year, offset code 2 to Sunday",
        ),
        ({"MONTH": 13, "OFFSET": 0, "WEEKDAY": 7, "DAY": 1}, "day 1 of every month"),
        ({"MONTH": 14, "FILLER_1": 0, "WEEKDAY": 6, "FILLER_2": 0}, "every Saturday"),
        ({"MONTH": 14, "FILLER_1": 0, "WEEKDAY": 7, "FILLER_2": 0}, "every no weekday"),
        ({"MONTH": 15, "PERIOD": 7, "DELTA": 2}, "every 7 days, 2 days after the anchor date"),
    ],
)
def test_recurring_dates_are_told(rule: dict[str, int], words: str) -> None:
    assert date_text(Record(rule)) == words


@pytest.mark.parametrize(
    "code, flags, words",
    [
        (0, (0, 0), ""),
        (2, (0, 0), "daylight saving ends"),
        (18, (1, 0), "season 15, demand reset"),
        (30, (0, 1), "special day 11, self-read"),
        (31, (0, 0), ""),
    ],
)
def test_actions_are_told(code: int, flags: tuple[int, int], words: str) -> None:
    action = Record(CALENDAR_CTRL=code, DEMAND_RESET_FLAG=flags[0], SELF_READ_FLAG=flags[1])
    assert action_text(action) == words


def test_separate_tiers_and_dates_that_come_once() -> None:
    flags = "TIME_FUNC_FLAG2.SEPARATE_SUM_DEMANDS_FLAG"
    dims = {"NBR_NON_RECURR_DATES": 2, "NBR_TIER_SWITCHES": 2, "CALENDAR_FUNC.NBR_SEASONS": 1}
    switch = "TIER_SWITCHES.0.TIER_SWITCH"
    values: dict[str, Any] = {
        "NON_RECURR_DATES.0.NON_RECURR_DATE": date(2026, 11, 26),
        "NON_RECURR_DATES.0.CALENDAR_ACTION.CALENDAR_CTRL": 19,
        "NON_RECURR_DATES.1.NON_RECURR_DATE": None,
        f"{switch}.SWITCH_HOUR": 7,
        f"{switch}.SWITCH_MIN": 30,
        f"{switch}.NEW_TIER": 2,
        f"{switch}.DEMANDS_SWITCH_FLAG": 1,
        "TIER_SWITCHES.1.TIER_SWITCH.SUMMATION_SWITCH_FLAG": 1,
    }
    made = device({51: {**dims, flags: 1}, 54: values})
    calendar = made.calendar()
    assert [(one.when, one.action) for one in calendar.dates] == [("2026-11-26", "special day 0")]
    assert calendar.schedules[0] == (
        TierSwitch(0, 0, "of summations"),
        TierSwitch(450, 2, "of demands"),
    )
    assert str(calendar.schedules[0][1]) == "07:30 tier 2 of demands"
    assert notes_on(made, 54)["NON_RECURR_DATES.0.CALENDAR_ACTION"] == "special day 0"


def test_without_st_54_it_is_named() -> None:
    with pytest.raises(MissingContextError, match="ST-54"):
        Snapshot({}).calendar()
