"""Partial table values become whole ones: nothing that was given is lost, the rest is blank."""

from datetime import date, timedelta

from ansi_tables import Snapshot
from ansi_tables.meaning.calendar import PERIODIC
from smartmeter.meter.calendar_table import DST_ON, Action, DayPlan, automatic_dst, matches
from smartmeter.meter.table_values import encoded
from tests.ansi_tables.meaning.device import device


def a_meter() -> Snapshot:
    return device({51: {"NBR_RECURR_DATES": 2}})


def test_a_recurring_date_keeps_its_day_although_the_blank_one_has_no_such_member() -> None:
    """The blank of ST-54 is all ones, whose month code 15 has a period and no day."""
    rule = {"MONTH": 7, "WEEKDAY": 7, "DAY": 4}
    entry = {"RECURR_DATE": rule, "CALENDAR_ACTION": {"CALENDAR_CTRL": 19}}
    made = a_meter()
    made.images[54] = encoded(54, {"RECURR_DATES": [entry]}, made.context)
    (one,) = made.calendar().dates
    assert (one.when, one.action) == ("4 July of every year", "special day 0")
    assert made.images[54][-3:] == b"\xff\xff\xff"


def test_a_yearly_date_is_the_date_as_given_whatever_its_weekday_says() -> None:
    """As in a real meter's calendar, whose public holidays all have OFFSET 0 and WEEKDAY 0."""
    may_day = {"MONTH": 5, "OFFSET": 0, "WEEKDAY": 0, "DAY": 1}
    assert matches(may_day, date(2013, 5, 1), None)
    assert not matches(may_day, date(2013, 5, 5), None)  # the first Sunday


def test_a_periodic_date_comes_from_its_delta_behind_the_anchor_on_and_without_one_never() -> None:
    weekly, anchor = {"MONTH": PERIODIC, "PERIOD": 7, "DELTA": 3}, date(2026, 1, 1)
    days = [anchor + timedelta(n) for n in range(-14, 21)]
    found = [(day - anchor).days for day in days if matches(weekly, day, anchor)]
    assert found == [3, 10, 17]
    assert not any(matches(weekly, day, None) for day in days)
    assert not any(matches({**weekly, "PERIOD": 0}, day, anchor) for day in days)


def test_automatic_daylight_saving_keeps_the_sundays_of_the_united_states() -> None:
    days = [day for day, _ in automatic_dst() if day.year in (2026, 2027)]
    assert days == [date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14), date(2027, 11, 7)]


def test_a_date_that_is_long_ago_still_tells_the_last_change() -> None:
    began = date(2024, 3, 10)
    plan = DayPlan({began: (Action(DST_ON, False, False),)}, (), None, {}, (), 0)
    for days in (0, 1, 364, 365, 366, 367, 800):
        assert plan.last_dst(began + timedelta(days)) == DST_ON, days
    assert plan.last_dst(began - timedelta(1)) is None
