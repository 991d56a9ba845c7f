"""The scripted bad month of ``tests/smartmeter/gateway/test_bad_month.py``, in virtual time.

Meters by seed, each with its own hours of the same bad things: daily unplugged, moved
away, 13 hours without a network, silent, mains lost, killed, the meter's clock set and the
module's wrong; a head-end that is killed; and both changes of the hour, on meters that live on
local time.  Intervals of an hour that are reported three times a day go through every one of
these as those of a quarter do.
"""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from random import Random

import pytest

from ansi_tables.ssi_tables import AlarmSource, Content, ModuleAlarm, Task
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
            {"SCHEDULE_NBR": 3, "PERIOD_MIN": 240, "TASK": int(Task.CLOCK_CHECK)},
        ],
        "outage": {"SAG_PERMILLE": 0, "SWELL_PERMILLE": 0},
        "general": {"REGISTRATION_PERIOD_S": 6 * 3600},
    }
)
#: What happens to a meter on some days of each half of its month, beside being unplugged on
#: every day: kind, from hour, hours.
SCRIPT = {
    0: (Kind.PROBE, 12, 10),
    2: (Kind.NETWORK, 9, 13),
    4: (Kind.WATCHDOG, 11, 0),
    6: (Kind.MAINS, 13, 2),
    # Not in the hour that changes: a clock that is set back over it has it twice.
    8: (Kind.CLOCK_SET, 10, 9),
    10: (Kind.CLOCK, 10, 3),
    12: (Kind.SILENCE, 9, 6),
}
HALF = 15
#: Seconds that the module's clock is wrong by, minutes that the meter's is set by: both are told.
AMOUNTS = (11, 60)
#: Standard events of the change of the hour.
DST_BEGAN, DST_ENDED = 22, 23


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
        shift = chance.randrange(HALF)
        for day in range(days):
            at_us = QUIET_US + day * DAY_US + chance.randrange(2 * HOUR_US)
            faults.append(
                Fault(at_us, at_us + HOUR_US // 2 + chance.randrange(HOUR_US), Kind.PROBE, esn, 0)
            )
            if (day + shift) % HALF in SCRIPT:
                kind, hour, hours = SCRIPT[(day + shift) % HALF]
                at_us = day * DAY_US + hour * HOUR_US + chance.randrange(HOUR_US)
                end_us, amount = at_us + hours * HOUR_US, chance.randint(*AMOUNTS)
                faults.append(Fault(at_us, end_us, kind, esn, amount))
    for day in range(2, days, 5):
        at_us = day * DAY_US + chance.randrange(20 * HOUR_US)
        faults.append(Fault(at_us, at_us, Kind.HEAD_END, "", 0))
    return sorted(faults, key=lambda one: (one.begin_us, one.kind, one.esn))


def run_month(meters: int, seed: int, days: int = 30) -> Counter[Kind]:
    """Run a month to its end, see that nothing is lost and all is named; give its faults."""
    settings = FleetSettings(
        meters, days, seed, profile=local_meter(days), interval_min=60, load_step_min=60
    )
    esns = [f"SM{number:06d}" for number in range(1, meters + 1)]
    faults = bad_month(esns, days, seed)
    fleet = Fleet(settings, template=TEMPLATE, faults=faults)
    assert list(fleet.houses) == esns
    count = run_to_the_end(fleet)
    assert count.sound and count.provisioned == meters
    assert count.intervals_expected >= meters * (24 * days - 3)
    kinds = Counter(fault.kind for fault in faults)
    # Who is not heard for so long is missed, and nobody else.
    assert count.silences == count.recovered == kinds[Kind.NETWORK] + kinds[Kind.SILENCE]
    assert count.outages == count.restorations == kinds[Kind.MAINS]
    alarms = own_alarms(fleet)
    assert alarms[ModuleAlarm.WATCHDOG_RESET] == kinds[Kind.WATCHDOG]
    assert alarms[ModuleAlarm.CLOCK_OFF] == kinds[Kind.CLOCK] + kinds[Kind.CLOCK_SET]
    # A probe that was back before anything was due is nobody's business, ten hours are.
    noticed = alarms[ModuleAlarm.METER_UNREACHABLE]
    assert 2 * meters <= noticed == alarms[ModuleAlarm.METER_BACK] <= kinds[Kind.PROBE]
    for code in (DST_BEGAN, DST_ENDED):
        told = fleet.store.number("SELECT count(*) FROM events WHERE code=?", code)
        assert told == meters, f"event {code}"
    return kinds


def own_alarms(fleet: Fleet) -> Counter[int]:
    """Count by code what the modules themselves have told."""
    sql = "SELECT code, count(*) AS number FROM alarms WHERE source=? GROUP BY code"
    rows = fleet.store.read(sql, AlarmSource.MODULE)
    return Counter({row["code"]: row["number"] for row in rows})


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_month_loses_and_doubles_nothing_and_names_every_fault_once(seed: int) -> None:
    meters = 15
    kinds = run_month(meters, seed)
    scripted = {kind for kind, _, _ in SCRIPT.values()}
    assert all(kinds[kind] >= 2 * meters for kind in scripted)
    assert kinds[Kind.PROBE] >= 30 * meters


@pytest.mark.night
def test_a_bad_month_of_a_thousand_meters_loses_and_doubles_nothing() -> None:
    """Twenty fleets of fifty, each with a seed and a process of its own, on all cores."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=spawn, max_tasks_per_child=1) as pool:
        months = list(pool.map(run_month, [50] * 20, range(100, 120)))
    assert sum(month[Kind.PROBE] for month in months) >= 30 * 1000
