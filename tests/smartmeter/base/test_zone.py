"""Due times in a zone with summer time: against the time-zone database, and on both nights."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables.ssi_tables import ScheduleKind as Kind
from smartmeter.base.tasks import LAST_DAY, Recurrence
from smartmeter.base.zone import Zone, make_zone

NAME = "America/New_York"
#: Instants of 2025 to 2027 and offsets, from public tables.
NEW_YORK = Zone(
    -5 * 3600,
    (
        (1741503600, -4 * 3600),
        (1762063200, -5 * 3600),
        (1772953200, -4 * 3600),
        (1793512800, -5 * 3600),
        (1805007600, -4 * 3600),
    ),
)
SPRING, AUTUMN = 1772953200, 1793512800  # 2026-03-08 02:00 EST, 2026-11-01 02:00 EDT


def local(utc_s: int) -> datetime:
    return datetime.fromtimestamp(utc_s, ZoneInfo(NAME)).replace(tzinfo=None)


def due_in(recurrence: Recurrence, begin_s: int, end_s: int) -> list[str]:
    dues = recurrence.between(begin_s, end_s, 200)
    return [local(due).strftime("%d %H:%M") for due in dues]


@given(st.integers(1741600000, 1805000000))
def test_the_offset_is_that_of_the_database(utc_s: int) -> None:
    expected = datetime.fromtimestamp(utc_s, ZoneInfo(NAME)).utcoffset()
    assert expected is not None and NEW_YORK.offset_at(utc_s) == expected.total_seconds()


@given(st.integers(1741600000, 1805000000))
def test_a_local_time_is_the_instant_that_the_database_says(utc_s: int) -> None:
    wall = local(utc_s)
    wall_s = int(wall.replace(tzinfo=UTC).timestamp())
    first = wall.replace(tzinfo=ZoneInfo(NAME), fold=0).timestamp()
    assert NEW_YORK.utc_of(wall_s) == int(first)


def test_what_is_due_in_the_hour_that_is_left_out_is_due_at_the_change() -> None:
    daily = Recurrence(Kind.DAILY, at_minute=150, zone=NEW_YORK)
    found = due_in(daily, SPRING - 86_400, SPRING + 86_400)
    assert found == ["07 02:30", "08 03:00", "09 02:30"]


def test_what_is_due_in_the_hour_that_comes_twice_is_due_once() -> None:
    daily = Recurrence(Kind.DAILY, at_minute=90, zone=NEW_YORK)
    dues = daily.between(AUTUMN - 20 * 3600, AUTUMN + 20 * 3600, 10)
    assert [due - AUTUMN for due in dues] == [-1800]


def test_quarters_of_an_hour_go_on_through_both_hours_of_the_autumn_night() -> None:
    quarter = Recurrence(Kind.INTERVAL, 15, zone=NEW_YORK)
    dues = quarter.between(AUTUMN - 3600, AUTUMN + 3600, 100)
    assert [due - AUTUMN for due in dues] == [900 * n for n in range(-3, 5)]
    assert due_in(quarter, SPRING - 1000, SPRING + 1000) == ["08 01:45", "08 03:00", "08 03:15"]


@pytest.mark.parametrize("change", [1775314800, 1791041400])
@pytest.mark.parametrize("kind, minute", [(Kind.HOURLY, 20), (Kind.INTERVAL, 0)])
def test_each_hour_is_that_of_a_wall_clock_that_is_set_by_half_an_hour(
    kind: Kind, minute: int, change: int
) -> None:
    lord_howe = Zone(39_600, ((1775314800, 37_800), (1791041400, 39_600)))
    hourly = Recurrence(kind, 60, at_minute=minute, zone=lord_howe)
    near = range(change - 3 * 3600, change + 3 * 3600)
    due = [s for s in near if (s + lord_howe.offset_at(s)) % 3600 == 60 * minute]
    assert hourly.between(near[0] - 1, near[-1], 100) == due
    assert [hourly.following(one - 1) for one in due] == due
    assert [hourly.latest(one) for one in due] == due


def test_six_hourly_stays_on_the_wall_clock() -> None:
    six_hourly = Recurrence(Kind.INTERVAL, 360, zone=NEW_YORK)
    hours = {text.split()[1] for text in due_in(six_hourly, SPRING - 90_000, SPRING + 90_000)}
    assert hours == {"00:00", "06:00", "12:00", "18:00"}


@pytest.mark.parametrize(
    ("recurrence", "after", "due"),
    [
        (Recurrence(Kind.MONTHLY, 0, 0, LAST_DAY, zone=NEW_YORK), SPRING, "2026-03-31 00:00"),
        (Recurrence(Kind.WEEKLY, 0, 120, 0, zone=NEW_YORK), SPRING - 3600, "2026-03-08 03:00"),
        (Recurrence(Kind.WEEKLY, 0, 60, 0, zone=NEW_YORK), AUTUMN - 80_000, "2026-11-01 01:00"),
        (Recurrence(Kind.HOURLY, at_minute=20, zone=NEW_YORK), SPRING - 1800, "2026-03-08 03:20"),
    ],
)
def test_known_local_due_times(recurrence: Recurrence, after: int, due: str) -> None:
    found = recurrence.following(after)
    assert found is not None and local(found).strftime("%Y-%m-%d %H:%M") == due


kinds = st.sampled_from((Kind.INTERVAL, Kind.HOURLY, Kind.DAILY, Kind.WEEKLY, Kind.MONTHLY))
recurrences = st.builds(
    Recurrence,
    kinds,
    st.sampled_from((5, 15, 30, 60, 61, 90, 360, 1440)),
    st.integers(0, 1439),
    st.integers(1, 6) | st.just(LAST_DAY),
    st.just(0),
    st.just(NEW_YORK),
).filter(lambda recurrence: recurrence.fault() is None)
near_a_change = st.builds(
    lambda change, apart: change + apart,
    st.sampled_from([instant for instant, _ in NEW_YORK.transitions]),
    st.integers(-100_000, 100_000),
)


@given(recurrences, near_a_change)
def test_following_and_latest_agree_around_every_change(
    recurrence: Recurrence, moment: int
) -> None:
    following, latest = recurrence.following(moment), recurrence.latest(moment)
    assert following is not None and latest is not None
    assert latest <= moment < following
    assert recurrence.following(latest) == following
    assert recurrence.latest(following - 1) == latest


def test_a_zone_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="15 hours"):
        make_zone(90_000, [])
    with pytest.raises(ValueError, match="order"):
        make_zone(0, [(5, 3600), (5, 0)])
