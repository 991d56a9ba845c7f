"""Stored times become instants through ST-52, ST-53 and ST-54."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansi_tables import MissingContextError, Snapshot, TableTime
from ansi_tables.meaning.clock import ClockRules, TimesOverride, clock_rules
from ansi_tables.meaning.daylight import NO_CHANGES, DaylightDates
from tests.ansi_tables.meaning.device import device
from tests.ansi_tables.meaning.registers import calendar

LOCAL = {"TIME_DATE_QUAL.TM_ZN_APPLIED_FLAG": 1, "TIME_DATE_QUAL.DST_APPLIED_FLAG": 1}


def a_clock(shown: Any, qualifier: dict[str, int], more: Any = None, **fmt: Any) -> Snapshot:
    """A meter five hours west of Greenwich, whose daylight saving is an hour."""
    tables: dict[int, Any] = {
        51: {"TIME_FUNC_FLAG2.CAP_TM_ZN_OFFSET_FLAG": 1},
        52: {"CLOCK_CALENDAR": shown, **qualifier},
        53: {"DST_TIME_EFF": time(2), "DST_TIME_AMT": 60, "TIME_ZONE_OFFSET": -300},
    }
    return device(tables | (more or {}), **fmt)


@pytest.mark.parametrize(
    "flags, utc_hour, civil_hour",
    [
        ({}, 12, 7),
        ({"GMT_FLAG": 1}, 12, 7),
        ({"TM_ZN_APPLIED_FLAG": 1}, 17, 12),
        ({"TM_ZN_APPLIED_FLAG": 1, "DST_APPLIED_FLAG": 1}, 17, 12),
        ({"TM_ZN_APPLIED_FLAG": 1, "DST_APPLIED_FLAG": 1, "DST_FLAG": 1}, 16, 12),
        ({"TM_ZN_APPLIED_FLAG": 1, "DST_FLAG": 1}, 17, 13),
        ({"DST_FLAG": 1}, 12, 8),
        ({"DST_APPLIED_FLAG": 1, "DST_FLAG": 1}, 11, 7),
    ],
)
def test_the_qualifier_says_what_the_clock_already_contains(
    flags: dict[str, int], utc_hour: int, civil_hour: int
) -> None:
    qualifier = {f"TIME_DATE_QUAL.{name}": value for name, value in flags.items()}
    now = a_clock(datetime(2026, 5, 1, 12), qualifier).clock().now
    assert now is not None and now.astimezone(UTC) == datetime(2026, 5, 1, utc_hour, tzinfo=UTC)
    assert now.hour == civil_hour


def test_counts_are_utc_unless_a_person_knows_better() -> None:
    tables = a_clock(datetime(2026, 5, 1, 12), LOCAL, tm_format=4)
    assert tables.clock().now == datetime(2026, 5, 1, 12, tzinfo=UTC)
    tables.times = TimesOverride(local=True)
    assert tables.clock().now == datetime(2026, 5, 1, 17, tzinfo=UTC)


def test_a_meter_that_does_not_tell_its_zone_is_taken_as_utc_and_that_is_said() -> None:
    tables = device({51: {}, 52: {"CLOCK_CALENDAR": datetime(2013, 5, 3, 20, 56, 43)}})
    clock = tables.clock()
    assert clock.now == datetime(2013, 5, 3, 20, 56, 43, tzinfo=UTC)
    assert "does not tell its zone" in clock.rules.note
    tables.times = TimesOverride(zone_min=330, local=True)
    assert tables.clock().now == datetime(2013, 5, 3, 15, 26, 43, tzinfo=UTC)
    assert tables.clock().rules.note == ""


def test_without_a_clock_table_times_are_utc_and_that_is_said() -> None:
    rules = clock_rules(Snapshot({}))
    assert "neither ST-52 nor ST-55" in rules.note
    assert rules.utc_s(TableTime(b"", datetime(1970, 1, 2))) == 86400
    with pytest.raises(MissingContextError, match="ST-52"):
        Snapshot({}).clock()


def test_st_55_serves_where_st_52_was_not_read() -> None:
    tables = device({51: {}, 55: {"CLOCK_CALENDAR": datetime(2026, 1, 1)}})
    assert tables.clock().now == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_time_that_is_not_set_or_beyond_the_calendar_is_none() -> None:
    rules = ClockRules(zone_min=840, zone_applied=True)
    assert rules.moment(None) is None and rules.utc_s(TableTime(b"\0", None)) is None
    assert rules.moment(TableTime(b"", datetime(1, 1, 1))) is None
    assert rules.moment(TableTime(b"", time(3))) is None


def test_a_zone_that_is_none_on_earth_is_not_believed() -> None:
    tables = a_clock(datetime(2026, 5, 1, 12), LOCAL)
    tables.images[53] = tables.images[53][:4] + (20000).to_bytes(2, "little")
    assert tables.clock().now == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert "zone" in tables.clock().rules.note


NEW_YORK = ZoneInfo("America/New_York")
SUNDAYS = calendar(
    (date(2025, 3, 9), 1), (date(2025, 11, 2), 2), (date(2026, 3, 8), 1), (date(2026, 11, 1), 2)
)


def of_new_york() -> ClockRules:
    return clock_rules(a_clock(datetime(2026, 1, 1), LOCAL, SUNDAYS))


def comes(wall: datetime) -> bool:
    """Tell whether a time is on a clock of New York: an hour that never came is on none."""
    return wall.replace(tzinfo=NEW_YORK).astimezone(UTC).astimezone(NEW_YORK) == wall.replace(
        tzinfo=NEW_YORK
    )


#: What a table holds, where an hour that comes twice is the first: it has no ``fold``.
WALL_TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)).map(
    lambda wall: wall.replace(fold=0)
)


@example(datetime(2025, 11, 2, 1, 0))
@given(WALL_TIMES.filter(comes))
def test_the_dates_of_st_54_give_the_zone_of_new_york(wall: datetime) -> None:
    moment = of_new_york().moment(TableTime(b"", wall))
    assert moment is not None and moment == wall.replace(tzinfo=NEW_YORK).astimezone(UTC)
    assert moment.utcoffset() == wall.replace(tzinfo=NEW_YORK).utcoffset()


@given(st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)))
def test_an_instant_has_the_civil_time_of_new_york(utc: datetime) -> None:
    assert of_new_york().local(utc).replace(tzinfo=None) == utc.astimezone(NEW_YORK).replace(
        tzinfo=None
    )


def test_of_an_hour_that_comes_twice_the_first_is_meant_unless_the_meter_says() -> None:
    rules, stored = of_new_york(), TableTime(b"", datetime(2026, 11, 1, 1, 30))
    assert rules.moment(stored) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert rules.moment(stored, dst=False) == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize("moment", [datetime(2026, 11, 1, 1, 30), datetime(9999, 12, 31, 23)])
@pytest.mark.parametrize("zone_min", [-300, 300])
def test_a_count_of_utc_is_of_no_hour_that_comes_twice(moment: datetime, zone_min: int) -> None:
    dates = DaylightDates(yearly=((3, 8, True), (11, 1, False)), on_at=time(2), off_at=time(2))
    rules = ClockRules(zone_min, 60, dst_applied=True, dates=dates)
    assert not rules.comes_twice(TableTime(b"", moment.replace(tzinfo=UTC)))


@pytest.mark.parametrize("change", [datetime(2026, 3, 8, 7), datetime(2026, 11, 1, 6)])
def test_the_dates_are_civil_ones_on_a_clock_that_lacks_its_zone_and_has_daylight_saving(
    change: datetime,
) -> None:
    rules = clock_rules(
        a_clock(datetime(2026, 1, 1), {"TIME_DATE_QUAL.DST_APPLIED_FLAG": 1}, SUNDAYS)
    )
    for minutes in range(-600, 600, 20):
        utc = (change + timedelta(minutes=minutes)).replace(tzinfo=UTC)
        saving = utc.astimezone(NEW_YORK).dst()
        assert saving is not None
        stored = TableTime(b"", (utc + saving).replace(tzinfo=None))
        first = timedelta(hours=1 if rules.comes_twice(stored) and not saving else 0)
        assert rules.moment(stored) == utc - first


def test_rules_of_every_year_serve_all_years_and_both_hemispheres() -> None:
    northern = calendar(yearly=((3, 1, 1), (10, 1, 2)))
    southern = calendar(yearly=((10, 1, 1), (3, 1, 2)))
    for tables, in_summer in ((northern, True), (southern, False)):
        dates = clock_rules(a_clock(datetime(2026, 1, 1), LOCAL, tables)).dates
        for year in (1999, 2026, 2088):
            assert dates.in_force(datetime(year, 7, 1)) is in_summer
            assert dates.in_force(datetime(year, 12, 1)) is not in_summer


def test_a_rule_with_an_offset_code_tells_nothing_rather_than_something_wrong() -> None:
    tables = calendar(yearly=((3, 8, 1), (11, 1, 2)))
    tables[54]["RECURR_DATES.0.RECURR_DATE"]["OFFSET"] = 2
    rules = clock_rules(a_clock(datetime(2026, 1, 1), LOCAL, tables))
    assert rules.dates == NO_CHANGES and "that of now is taken" in rules.note


def test_the_change_back_has_its_own_hour_in_the_2008_edition() -> None:
    tables = calendar((date(2026, 3, 8), 1), (date(2026, 11, 1), 2))
    made = a_clock(datetime(2026, 1, 1), LOCAL, tables, std_version_no=2)
    assert clock_rules(made).dates.off_at == time(0)
    assert clock_rules(made).dates.on_at == time(2)


def test_no_change_known_is_not_known() -> None:
    assert DaylightDates().in_force(datetime(2026, 1, 1)) is None
    once = DaylightDates(once=((date(2026, 3, 8), True),))
    assert once.in_force(datetime(2026, 3, 8) - timedelta(1)) is False
    leap = DaylightDates(yearly=((2, 29, True),))
    assert leap.in_force(datetime(2025, 7, 1)) is True
