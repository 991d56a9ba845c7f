"""A store that came back from a backup, a module whose memory was lost: what follows is mended."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest

from smartmeter.base.clock import US_PER_S
from smartmeter.base.nvram import MemoryNvram
from smartmeter.simulation.checks import Safety
from smartmeter.simulation.count import compare
from smartmeter.simulation.fleet import DRAIN_US, Fleet, FleetSettings
from smartmeter.simulation.swarm import HOUR_US, MINUTE_US, Fault, Kind
from smartmeter.ssi.factory import FACTORY_PAGE
from smartmeter.ssi.module import Module
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.store.records import Stored
from smartmeter.tms.template import make_template

ESN = "SM000001"
OUTAGES = "SELECT start_s, end_s FROM outages ORDER BY start_s"


def test_an_outage_whose_end_was_acknowledged_after_the_backup_ends_when_it_comes_back() -> None:
    mains = [
        Fault(5 * HOUR_US, 7 * HOUR_US, Kind.MAINS, ESN, 0),
        Fault(8 * HOUR_US, 9 * HOUR_US, Kind.MAINS, ESN, 0),
    ]
    fleet = Fleet(FleetSettings(1, 1, 5), faults=mains)
    fleet.run(6 * HOUR_US)
    backup = fleet.store._connection.serialize()
    fleet.run(10 * HOUR_US)
    outages = [tuple(row) for row in fleet.store.read(OUTAGES)]
    fleet.store._connection.deserialize(backup)
    assert [tuple(row)[1] for row in fleet.store.read(OUTAGES)] == [0]
    fleet.head_end = fleet._open_office()
    fleet.run(11 * HOUR_US)
    assert [tuple(row) for row in fleet.store.read(OUTAGES)] == outages
    assert len(outages) == 2 and 0 not in outages[0] + outages[1]
    row = fleet.store.one("SELECT state FROM meters")
    assert row is not None and row["state"] == "provisioned"
    assert not fleet.head_end.silence.powerless(ESN)


#: Intervals and the log, every hour.
HOURLY = {"SCHEDULE_NBR": 1, "PERIOD_MIN": 60, "JITTER_S": 60, "CONTENT": 3}
ENTRIES = "SELECT esn, sequence, time_s, code, user_id, argument FROM events ORDER BY 1, 2"


@pytest.mark.parametrize("backup_h", [1, 4])
def test_entries_of_the_log_acknowledged_after_the_backup_are_placed_once(backup_h: int) -> None:
    """At 1 h the store knows the module and has nothing of it yet."""
    moments = range(3 * HOUR_US, 23 * HOUR_US, 30 * MINUTE_US)
    mains = [Fault(at_us, at_us + MINUTE_US, Kind.MAINS, ESN, 0) for at_us in moments]
    template = make_template({"schedules": [HOURLY], "outage": {"VOLTAGE_PERIOD_MS": 900_000}})
    fleet = Fleet(FleetSettings(1, 1, 5), faults=mains, template=template)
    fleet.run(backup_h * HOUR_US)
    backup = fleet.store._connection.serialize()
    fleet.run(23 * HOUR_US + 50 * MINUTE_US)
    entries = [tuple(row) for row in fleet.store.read(ENTRIES)]
    fleet.store._connection.deserialize(backup)
    assert len(fleet.store.read(ENTRIES)) < len(entries) - 60, "it takes more than one message"
    fleet.head_end = fleet._open_office()
    fleet.run(24 * HOUR_US + 30 * MINUTE_US)
    assert [tuple(row) for row in fleet.store.read(ENTRIES)][: len(entries)] == entries


def test_what_was_asked_for_after_the_return_is_asked_again_when_it_was_cut_off() -> None:
    mains = [Fault(n * HOUR_US, n * HOUR_US + MINUTE_US, Kind.MAINS, ESN, 0) for n in range(3, 9)]
    template = make_template({"schedules": [HOURLY], "outage": {"VOLTAGE_PERIOD_MS": 900_000}})
    fleet = Fleet(FleetSettings(1, 1, 5), faults=mains, template=template)
    fleet.run(4 * HOUR_US)
    backup = fleet.store._connection.serialize()
    fleet.run(10 * HOUR_US)
    entries = [tuple(row) for row in fleet.store.read(ENTRIES)]
    fleet.store._connection.deserialize(backup)
    asked = "SELECT count(*) FROM jobs WHERE kind='read event log'"
    fleet.head_end = fleet._open_office()
    while not fleet.store.number(asked):
        fleet.run(fleet.now_us + US_PER_S)
    fleet.head_end = fleet._open_office()
    assert len(fleet.store.read(ENTRIES)) < len(entries)
    fleet.run(12 * HOUR_US)
    assert [tuple(row) for row in fleet.store.read(ENTRIES)][: len(entries)] == entries
    assert fleet.store.number(asked) == 2
    fleet.head_end = fleet._open_office()
    fleet.run(14 * HOUR_US)
    assert fleet.store.number(asked) == 2, "what was had is not asked for again"


@pytest.mark.night
@pytest.mark.parametrize("seed", range(1, 45))
def test_a_backup_that_is_put_back_at_a_drawn_moment_amid_faults_lacks_nothing_at_the_end(
    seed: int,
) -> None:
    chance = Random(seed)
    schedules = [HOURLY, HOURLY | {"SCHEDULE_NBR": 2, "PERIOD_MIN": 30, "CONTENT": 1}]
    template = make_template({"schedules": schedules, "outage": {"VOLTAGE_PERIOD_MS": 900_000}})
    fleet = Fleet(FleetSettings(3, 2, seed), template=template)
    fleet.safety = Unwatched(fleet.journals)
    made_us = chance.randrange(HOUR_US, 31 * HOUR_US)
    fleet.run(made_us)
    backup = fleet.store._connection.serialize()
    fleet.run(made_us + chance.randrange(10 * MINUTE_US, 15 * HOUR_US))
    entries = {tuple(row) for row in fleet.store.read(ENTRIES)}
    fleet.store._connection.deserialize(backup)
    fleet.head_end = fleet._open_office()
    fleet.run(48 * HOUR_US)
    fleet.stop_recording()
    end_us = fleet.now_us + DRAIN_US
    while fleet.now_us < end_us and not fleet.at_rest:
        fleet.run(fleet.now_us + HOUR_US)
    expected, stored, altered = compare(fleet.store, fleet.journals)
    assert (stored, altered) == (expected, 0)
    kept = [tuple(row) for row in fleet.store.read(ENTRIES)]
    assert entries <= set(kept)
    assert len({one[:2] for one in kept}) == len(kept), "no entry is there twice"


class Unwatched(Safety):
    """Reports that were acknowledged before a backup came back are not at the TMS."""

    def stored(self, report: Stored, now_us: int) -> None:
        """Let it be."""

    def step(self, module: Module, now_us: int) -> None:
        """Let it be."""


def test_a_module_with_an_empty_memory_is_watched_though_nobody_tells_its_outage_s_end() -> None:
    mains = [Fault(5 * HOUR_US, 7 * HOUR_US, Kind.MAINS, ESN, 0)]
    fleet = Fleet(FleetSettings(1, 1, 5), faults=mains)
    fleet.run(6 * HOUR_US)
    assert fleet.head_end.silence.powerless(ESN)
    lose_memory(fleet)
    fleet.run(9 * HOUR_US)
    assert not fleet.head_end.silence.powerless(ESN)
    row = fleet.store.one("SELECT state FROM meters")
    assert row is not None and row["state"] == "provisioned"


def lose_memory(fleet: Fleet) -> None:
    """Put an empty memory into the module of the first SmartMeter."""
    [house, *_] = fleet.houses.values()
    device = house.device
    device.nvram = MemoryNvram()
    device.nvram.commit({FACTORY_PAGE: device._factory.page()})
    fleet.safety = Safety(fleet.journals)  # its reports are counted anew
    if device.meter.mains_on:
        device.restart(fleet.now_us)


def test_another_module_in_the_same_meter_goes_on_under_its_serial_number() -> None:
    fleet = Fleet(FleetSettings(1, 1, 5, faults=False, load_step_min=15))
    [house] = fleet.houses.values()
    fleet.run(5 * HOUR_US + 7 * MINUTE_US)
    new = replace(house.device._factory, own_title=".7.99.1", key=bytes(range(16)))
    house.device._factory = new
    shipped = [Shipped(ESN, ".7.99.1", new.key, "new")]
    fleet.store.write_now(lambda c: import_shipment(c, shipped, fleet.now_us // US_PER_S))
    fleet.head_end.load_keys()
    lose_memory(fleet)
    fleet.run(10 * HOUR_US)
    fleet.stop_recording()
    fleet.run(11 * HOUR_US)
    expected, stored, altered = compare(fleet.store, fleet.journals)
    assert (stored, altered) == (expected, 0) and expected >= 40
    row = fleet.store.one("SELECT title, state, config_version FROM meters")
    assert row is not None and tuple(row) == (".7.99.1", "provisioned", fleet.template.version)


def test_an_empty_memory_beside_a_ring_that_began_anew_before_loses_and_doubles_nothing() -> None:
    fleet = Fleet(FleetSettings(1, 3, 5, faults=False, load_step_min=15))
    [house] = fleet.houses.values()
    [ring, *_] = house.device.meter.metering.recorders
    measured: list[tuple[int, list[int]]] = []

    def note() -> None:
        measured.extend((one.end_utc_s, list(one.values)) for one in house.journal.values())
        house.journal.clear()

    fleet.run(20 * HOUR_US + 10 * MINUTE_US)
    note()
    ring.clear()
    ring.pointers.added = 0  # as real meters do, and ours does not
    fleet.run(30 * HOUR_US)
    lose_memory(fleet)
    fleet.run(60 * HOUR_US)
    fleet.stop_recording()
    fleet.run(61 * HOUR_US)
    note()
    sql = "SELECT end_s, raw FROM intervals WHERE set_nbr=1 AND end_s<=?"
    rows = fleet.store.read(sql, max(measured)[0])
    assert sorted((row["end_s"], json.loads(row["raw"])) for row in rows) == sorted(measured)
    assert len(measured) > 230
