"""The scripted bad month of ``tests/smartmeter/gateway/test_bad_month.py``, in virtual time.

Meters by seed, each with its own hours of the same bad things: daily unplugged, moved
away, 13 hours without a network, mains lost, killed, clock wrong; a head-end that is killed;
and both changes of the hour, on meters that live on local time.  Intervals of an hour that are
reported three times a day go through every one of these as those of a quarter do.
"""

from collections import Counter
from dataclasses import replace
from datetime import date
from random import Random

import pytest

from ansi_tables.ssi_tables import Content, Task
from smartmeter.meter.calendar_table import DST_OFF, DST_ON, END_OF_LIST
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import PROFILES
from smartmeter.simulation.fleet import (
    QUIET_US,
    Fleet,
    FleetSettings,
    run_to_the_end,
)
from smartmeter.simulation.swarm import DAY_US, HOUR_US, Fault, Kind
from smartmeter.tms.template import make_template

TEMPLATE = make_template(
    {
        "schedules": [
            {"SCHEDULE_NBR": 1, "PERIOD_MIN": 480, "CONTENT": int(Content.LOAD_PROFILE)},
            {"SCHEDULE_NBR": 2, "KIND": 2, "AT_MINUTE": 5, "CONTENT": int(Content.EVENT_LOG)},
            {"SCHEDULE_NBR": 3, "KIND": 2, "AT_MINUTE": 35, "TASK": int(Task.CLOCK_CHECK)},
        ],
        "outage": {"SAG_PERMILLE": 0, "SWELL_PERMILLE": 0},
    }
)
#: What happens to a meter on a day of its month beside being unplugged: kind, from hour, hours.
SCRIPT = (
    (Kind.PROBE, 12, 10),
    (Kind.NETWORK, 9, 13),
    (Kind.WATCHDOG, 11, 0),
    (Kind.MAINS, 13, 2),
    (Kind.CLOCK, 10, 3),
    (Kind.SILENCE, 9, 6),
)


def local_meter(days: int) -> DeviceProfile:
    """Give the meter with time of use, its daylight saving from the first night to the last."""
    profile = PROFILES["residential-tou"]
    first, last = date(2026, 1, 1), date(2026, 1, days)
    dates = ((first, DST_ON), (last, DST_OFF), (last, END_OF_LIST))
    entries = [
        {"NON_RECURR_DATE": day, "CALENDAR_ACTION": {"CALENDAR_CTRL": control}}
        for day, control in dates
    ]
    calendar = dict(profile.tables[54]) | {"NON_RECURR_DATES": entries}
    return replace(profile, tables={**profile.tables, 54: calendar})


def bad_month(esns: list[str], days: int, seed: int) -> list[Fault]:
    """Give the faults of a month, the same kinds for everybody, at times of their own."""
    chance, faults = Random(f"month/{seed}"), []
    for esn in esns:
        shift = chance.randrange(len(SCRIPT))
        for day in range(days):
            at_us = QUIET_US + day * DAY_US + chance.randrange(2 * HOUR_US)
            faults.append(
                Fault(at_us, at_us + HOUR_US + chance.randrange(HOUR_US), Kind.PROBE, esn, 0)
            )
            kind, hour, hours = SCRIPT[(day + shift) % len(SCRIPT)]
            at_us = day * DAY_US + hour * HOUR_US + chance.randrange(HOUR_US)
            faults.append(Fault(at_us, at_us + hours * HOUR_US, kind, esn, chance.randint(10, 60)))
    for day in range(2, days, 5):
        at_us = day * DAY_US + chance.randrange(20 * HOUR_US)
        faults.append(Fault(at_us, at_us, Kind.HEAD_END, "", 0))
    return sorted(faults, key=lambda one: (one.begin_us, one.kind, one.esn))


def run_month(meters: int, days: int, seed: int) -> None:
    settings = FleetSettings(meters, days, seed, profile=local_meter(days), interval_min=60)
    esns = [f"SM{number:06d}" for number in range(1, meters + 1)]
    faults = bad_month(esns, days, seed)
    fleet = Fleet(settings, template=TEMPLATE, faults=faults)
    assert list(fleet.houses) == esns
    count = run_to_the_end(fleet, lambda: 0)
    assert count.sound and count.provisioned == meters
    assert count.intervals_expected >= meters * (24 * days - 3)
    kinds = Counter(fault.kind for fault in faults)
    assert count.outages == count.restorations == kinds[Kind.MAINS]
    assert count.recovered == count.silences
    for code in (22, 23):
        told = fleet.store.number("SELECT count(*) FROM events WHERE code=?", code)
        assert told == meters, f"event {code}"


def test_two_bad_days_of_twelve_meters_lose_and_double_nothing() -> None:
    run_month(12, 2, 1)


@pytest.mark.night
@pytest.mark.parametrize(("meters", "seed"), [(30, 1), (1000, 2)])
def test_a_bad_month_loses_and_doubles_nothing(meters: int, seed: int) -> None:
    run_month(meters, 30, seed)
