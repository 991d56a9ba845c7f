"""A meter on local time: what the module makes of its times, through both changes of the hour."""

from datetime import UTC, datetime, timedelta

import pytest

from ansi_tables.meaning.clock import ClockRules
from ansi_tables.meaning.daylight import DaylightDates
from ansi_tables.ssi_tables import Content, ScheduleKind, SsiTable
from ansi_tables.values import TableTime
from smartmeter.base.clock import US_PER_S
from smartmeter.base.meter_zone import meter_zone
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.ssi.meter_data import utc_seconds
from tests.smartmeter.ssi.host import Street, schedule, schedules

HOUR_S = 3600
#: When daylight saving begins and ends in the United States, in a zone of five hours west.
SPRING, AUTUMN = datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)
DST_ON, DST_OFF = 22, 23


def through(change: datetime, profile: str) -> Street:
    """Run a module from three hours before a change of the hour until four after."""
    begin = change - timedelta(hours=3)
    meter = MeterSettings(profile=PROFILES[profile])
    street = Street(meter=meter, epoch_us=int(begin.timestamp()) * US_PER_S)
    street.run(30)
    half_past_three = {"KIND": ScheduleKind.DAILY, "AT_MINUTE": 210, "LOCAL": 1}
    street.provision(
        SCHEDULES=schedules(
            schedule(CONTENT=Content.LOAD_PROFILE | Content.EVENT_LOG),
            schedule(2, CONTENT=Content.MODULE_STATUS, **half_past_three),
        )
    )
    street.run(7 * HOUR_S)
    return street


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_meter_on_local_time_is_right_through_the_change_of_the_hour(change: datetime) -> None:
    street = through(change, "residential-tou")
    told = street.host.intervals()
    true = {one.sequence: one.end_utc_s for one in street.journal}
    assert len(told) >= 27 and [end for _, end, _ in told] == [true[n] for n, _, _ in told]
    now_us = street.world.now_us
    own, meters = street.device.module.parts.calendar.utc_s(now_us), street.calendar.utc_s(now_us)
    assert own is not None and meters is not None and abs(own - meters) <= 1
    [due] = [r.header["DUE_TIME"] for r in street.host.reports if r.header["SCHEDULE_NBR"] == 2]
    # Half past three comes half an hour after spring's change at two, and two and a half
    # after autumn's, which shows one o'clock again.
    later = timedelta(minutes=30) if change is SPRING else timedelta(hours=2, minutes=30)
    assert due == int((change + later).timestamp())
    code = DST_ON if change is SPRING else DST_OFF
    entries = [e for part in street.host.parts(SsiTable.EVENT_PART) for e in part["ENTRIES"]]
    assert [e["TIME"] for e in entries if e["CODE"] == code] == [int(change.timestamp())]


@pytest.mark.parametrize("profile", ["bcd-1997", "industrial"])
def test_other_kinds_of_clock_are_right_too(profile: str) -> None:
    street = through(SPRING, profile)
    told = street.host.intervals()
    true = {one.sequence: one.end_utc_s for one in street.journal}
    assert told and [end for _, end, _ in told] == [true[n] for n, _, _ in told]


def test_a_zone_is_made_of_the_meters_rules() -> None:
    dates = DaylightDates(yearly=((3, 8, True), (11, 1, False)))
    rules = ClockRules(zone_min=-300, dst_min=60, dates=dates)
    summer, winter = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    for now in (summer, winter):
        zone = meter_zone(rules, int(now.timestamp()))
        for day in (summer, winter, summer + timedelta(days=3000)):
            wanted = rules.local(day).utcoffset()
            assert wanted is not None
            assert zone.offset_at(int(day.timestamp())) == wanted.total_seconds()


def test_a_meter_that_tells_no_dates_keeps_what_is_in_force() -> None:
    rules = ClockRules(zone_min=60, dst_min=60, dst_now=True)
    assert meter_zone(rules, 1_767_225_600).offset_at(0) == 2 * HOUR_S


@pytest.mark.parametrize("year, known", [(1970, True), (2105, True), (2107, False), (1969, False)])
def test_a_time_that_32_bits_of_seconds_do_not_hold_is_none_that_was_set(
    year: int, known: bool
) -> None:
    moment = datetime(year, 12, 31, tzinfo=UTC)
    expected = int(moment.timestamp()) if known else 0
    assert utc_seconds(TableTime(b"", moment), ClockRules()) == expected
