"""A fleet with its seed's faults, an operator who asks at any moment, restarts and new templates.

When the faults have ended every meter is provisioned with the newest template, nothing is open,
both ends have the same key, and the TMS holds what the meters measured, once and unaltered.
"""

from contextlib import suppress
from random import Random

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.simulation.count import count
from smartmeter.simulation.fleet import DRAIN_US, Fleet, FleetSettings, fleet_template
from smartmeter.simulation.swarm import DAY_US, HOUR_US
from smartmeter.simulation.swarm import Kind as Swarm
from smartmeter.ssi.keys import ModuleKeys
from smartmeter.ssi.states import StartCause
from smartmeter.tms.model import Kind
from smartmeter.tms.template import make_template

OTHER = make_template(
    {
        "outage": {"VOLTAGE_PERIOD_MS": 900_000},
        "schedules": [
            {"SCHEDULE_NBR": 1, "CONTENT": 1, "PERIOD_MIN": 30, "JITTER_S": 60},
            {"SCHEDULE_NBR": 2, "KIND": 2, "AT_MINUTE": 5, "CONTENT": 6, "TABLES": [3, 23]},
        ],
    }
)
ASKED = (Kind.PROVISION, Kind.PING, Kind.READ, Kind.TRACE, Kind.KEY)
#: Anything that is signed.
HEADER = bytes(32)
#: Waits between two acts: within an exchange, a retry, a schedule.
WAITS_US = (5_000_000, 600_000_000, 3 * HOUR_US)


class Office:
    """Who acts on a fleet's head-end, by chance."""

    def __init__(self, fleet: Fleet, chance: Random) -> None:
        self.fleet, self._chance = fleet, chance

    def act(self) -> None:
        """Ask something of a meter, or cut the head-end off, perhaps with another template."""
        chance, fleet = self._chance, self.fleet
        deed = chance.randrange(8)
        if deed < 6:
            with suppress(SettingsError):  # it is under way already
                esn = chance.choice(list(fleet.houses))
                fleet.head_end.request(esn, chance.choice(ASKED), "operator")
                fleet._settle_office()
        if deed == 5:
            fleet.run(fleet.now_us + chance.randrange(1_500_000))
        if deed == 7:
            fleet.template = chance.choice((fleet_template(), OTHER))
        if deed >= 5:
            fleet.head_end = fleet._open_office()


def bring_to_rest(seed: int, meters: int, days: int) -> None:
    """Run one fleet; AssertionError for what is not as it should be at the end."""
    chance = Random(f"operator/{seed}")
    fleet = Fleet(FleetSettings(meters, days, seed))
    office = Office(fleet, chance)
    while fleet.now_us < days * DAY_US:
        fleet.run(fleet.now_us + chance.randrange(1, chance.choice(WAITS_US)))
        office.act()
    let_everything_arrive(fleet)
    store, version = fleet.store, fleet.template.version
    for row in store.read("SELECT esn, state, cause, config_version FROM meters"):
        assert tuple(row)[1:] == ("provisioned", "", version), (seed, tuple(row))
    for query in (
        "SELECT count(*) FROM silences WHERE ended_s=0",
        "SELECT count(*) FROM outages WHERE end_s=0",
        "SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running')",
    ):
        assert not store.number(query), (seed, query)
    assert count(store, fleet.journals, 0, 0).sound, seed
    for esn, house in fleet.houses.items():
        assert both_ends_have_one_key(fleet, esn, house.device.module.parts.keys), (seed, esn)


def let_everything_arrive(fleet: Fleet) -> None:
    """End what is recorded, and go on until it has arrived."""
    fleet.stop_recording()
    end_us = fleet.now_us + DRAIN_US
    while fleet.now_us < end_us and not fleet.at_rest:
        fleet.run(fleet.now_us + HOUR_US)
    fleet.run(fleet.now_us + 2 * HOUR_US)


def both_ends_have_one_key(fleet: Fleet, esn: str, of_module: ModuleKeys) -> bool:
    """Tell whether TMS and module use the same key, and keep no other but the root.

    One that was offered counts too, where the job that offered it has failed.
    """
    rows = fleet.store.read("SELECT key_id, key, offered FROM keys WHERE esn=?", esn)
    last = "SELECT state FROM jobs WHERE esn=? AND kind=? ORDER BY id DESC"
    job = fleet.store.one(last, esn, Kind.KEY)
    gave_up = job is not None and job["state"] == "failed"
    sending = fleet.head_end.meters.sending(esn)
    kept = {row["key_id"] for row in rows if not row["offered"]}
    offered = {row["key_id"] for row in rows} - kept
    title = fleet.head_end.meters.title(esn)
    pair = of_module.key(title, sending), fleet.head_end.meters.key(title, sending)
    same = None not in pair and pair[0].sign(HEADER, b"") == pair[1].sign(HEADER, b"")
    return (
        same and of_module.sending == sending and kept == {0, sending} and (gave_up or not offered)
    )


@pytest.mark.parametrize("loses_datagrams", [False, True])
def test_keys_are_changed_while_either_end_is_cut_off(loses_datagrams: bool) -> None:
    change_keys(seed=2, days=1, loses_datagrams=loses_datagrams)


def change_keys(seed: int, days: int, loses_datagrams: bool) -> None:
    """Change keys of one meter at any moment, and cut off either end, also within that."""
    chance = Random(f"keys/{seed}")
    kinds = (Swarm.LOSS, Swarm.REPEAT, Swarm.REORDER, Swarm.CORRUPT)
    fleet = Fleet(FleetSettings(1, days, seed, kinds=kinds))
    [(esn, house)] = fleet.houses.items()
    while fleet.now_us < days * DAY_US:
        fleet.run(fleet.now_us + chance.randrange(1, chance.choice(WAITS_US)))
        deed = chance.randrange(4)
        if deed < 2:
            with suppress(SettingsError):
                fleet.head_end.request(esn, Kind.KEY, "operator")
                fleet._settle_office()
            fleet.run(fleet.now_us + chance.randrange(2_000_000))
        if deed in (1, 2):
            fleet.head_end = fleet._open_office()
            fleet.head_end.shell.is_lossy = lambda path: loses_datagrams
        if deed in (0, 2, 3) and not house.device.module.dead:
            house.device.restart(fleet.now_us, StartCause.WATCHDOG)
            fleet._run_house(esn)
    let_everything_arrive(fleet)
    assert count(fleet.store, fleet.journals, 0, 0).sound, seed
    assert both_ends_have_one_key(fleet, esn, house.device.module.parts.keys), seed
    changed = "SELECT count(*) FROM jobs WHERE state='done' AND kind=?"
    assert fleet.store.number(changed, Kind.KEY), seed


def test_whatever_an_operator_asks_everything_is_well_in_the_end() -> None:
    bring_to_rest(seed=18, meters=2, days=1)


@pytest.mark.night
@pytest.mark.parametrize("seed", range(40))
def test_many_operators_later_everything_is_well(seed: int) -> None:
    bring_to_rest(seed, meters=3, days=2)


@pytest.mark.night
@pytest.mark.parametrize("seed", range(40))
def test_many_changes_of_key_later_both_ends_have_one(seed: int) -> None:
    change_keys(seed, days=3, loses_datagrams=seed % 2 == 0)
