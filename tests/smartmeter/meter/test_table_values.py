"""Partial table values become whole ones: nothing that was given is lost, the rest is blank."""

from ansi_tables import Snapshot
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
