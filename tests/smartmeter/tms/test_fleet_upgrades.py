"""Upgrades as a person begins them: all of a list or nothing, and the truth about each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import SsiTable, UpgradeResult, UpgradeState
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.ssi.factory import relative_title
from smartmeter.tms.fleet_upgrades import MAX_LIST, FleetUpgrades
from smartmeter.tms.job_list import JobList
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.store.job_rows import store_job
from smartmeter.tms.store.queries import UnknownMeter
from smartmeter.tms.store.records import store_image
from smartmeter.tms.topology import topology_of
from smartmeter.tms.upgrades import make_image
from smartmeter.tms.web.meter_page import identity_lines
from tests.smartmeter.tms.polling import LIST
from tests.smartmeter.tms.running import running_tms

ESN = "SM000001"
IMAGE = make_image(b"payload", "M", "2.0", bytes(32)).file()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path, Calendar(1_767_225_600 * US_PER_S)) as running:
        running.import_shipment([Shipped(ESN, str(relative_title(ESN)), bytes(16), "M")])
        yield running


async def test_a_list_with_somebody_unknown_begins_nothing(server: TmsServer) -> None:
    upgrades = FleetUpgrades(server)
    with pytest.raises(UnknownMeter, match="SM000002"):
        upgrades.begin([ESN, "SM000002"], IMAGE, 0, "ann")
    assert upgrades.status() == {"total": 0, "upgrades": []}


@pytest.mark.parametrize(
    ("esns", "octets", "second"),
    [([], IMAGE, 0), ([ESN] * (MAX_LIST + 1), IMAGE, 0), ([ESN], b"x", 0), ([ESN], IMAGE, -1)],
)
async def test_what_cannot_be_is_refused(
    server: TmsServer, esns: list[str], octets: bytes, second: int
) -> None:
    with pytest.raises(SettingsError):
        FleetUpgrades(server).begin(esns, octets, second, "ann")


async def test_a_list_with_a_plain_meter_begins_nothing(server: TmsServer) -> None:
    """It would be called twenty times for a table that it does not have."""
    await Service(server).enter_polled(LIST)
    upgrades = FleetUpgrades(server)
    with pytest.raises(SettingsError, match="P1: is a plain meter: no upgrade"):
        upgrades.begin([ESN, "P1"], IMAGE, 0, "ann")
    assert upgrades.status() == {"total": 0, "upgrades": []}


async def test_who_gives_a_list_with_several_that_can_be_sent_nothing_is_told_of_all_at_once(
    server: TmsServer,
) -> None:
    """Of thousands each run would tell of the next one alone."""
    service, upgrades = Service(server), FleetUpgrades(server)
    await service.enter_polled(LIST)
    service.retire(ESN, "ann")
    told = "esns: 3 of them can be sent no image: SM000001 is retired, SmartMeter X1 is not known,"
    with pytest.raises(SettingsError, match=f"{told} P1 is a plain meter: no upgrade; leave"):
        upgrades.begin([ESN, "X1", "P1", ESN], IMAGE, 0, "ann")
    with pytest.raises(SettingsError, match="X19 is not known and 5 more; leave them out"):
        upgrades.begin([f"X{n}" for n in range(25)], IMAGE, 0, "ann")
    assert upgrades.status()["total"] == 0


async def test_a_list_of_upgrades_takes_one_commit(server: TmsServer) -> None:
    """Each would hold up reports and pages for milliseconds, and a list is of thousands."""
    esns = [f"SM{n:06}" for n in range(1, 201)]
    shipped = [Shipped(esn, str(relative_title(esn)), bytes(16), "M") for esn in esns[1:]]
    server.import_shipment(shipped)
    commits: list[int] = []
    write_now = server.store.write_now
    server.store.write_now = lambda change: commits.append(1) or write_now(change)  # type: ignore
    begun = FleetUpgrades(server).begin(esns, IMAGE, 0, "ann")
    assert (list(begun["jobs"]), len(commits)) == (esns, 1)


async def test_pages_of_work_upgrades_and_ways_are_had_without_a_look_at_all_the_work(
    server: TmsServer,
) -> None:
    """The loop waits for them, and with it every report that is to be acknowledged."""
    esns = [f"SM{n:06}" for n in range(1, 6)]
    shipped = [Shipped(esn, str(relative_title(esn)), bytes(16), "M") for esn in esns[1:]]
    server.import_shipment(shipped)

    def work(kind: str, count: int) -> None:
        rows = [(esn, kind, "done", "ann", 1, f"{n}") for n in range(count) for esn in esns]
        server.store.write_now(lambda c: [store_job(c, row) for row in rows])

    for kind in (Kind.UPGRADE, Kind.TRACE, Kind.UPGRADE):
        work(kind, 1)
    steps: list[int] = []
    server.store._reader.set_progress_handler(lambda: steps.append(1), 10)

    def told() -> tuple[int, object]:
        steps.clear()
        upgrades, after, pages = FleetUpgrades(server), "", []
        while page := upgrades.status(after=after, limit=2)["upgrades"]:
            after = page[-1]["esn"]
            pages.append([(one["esn"], one["job"]) for one in page])
        topology_of(server)
        total = JobList(server).page(limit=2)["total"]
        looked = len(steps)
        assert total == server.store.number("SELECT count(*) FROM jobs")
        return looked, pages

    before, pages = told()
    newest = list(zip(esns, range(11, 16), strict=True))
    assert pages == [newest[:2], newest[2:4], newest[4:]]
    assert upgrades_of(server, "SM000002") == [12]
    work(Kind.EVENTS, 500)
    after, again = told()
    assert again == pages and after < 1.5 * before
    server.store.write_now(lambda c: c.execute("DELETE FROM jobs WHERE id > 20").rowcount)
    assert JobList(server).page()["total"] == 20


def upgrades_of(server: TmsServer, esn: str) -> list[int]:
    return [one["job"] for one in FleetUpgrades(server).status(esn)["upgrades"]]


async def test_an_upgrade_is_begun_once_and_shows_what_the_module_said(server: TmsServer) -> None:
    upgrades = FleetUpgrades(server)
    begun = upgrades.begin([ESN, ESN], IMAGE, 0, "ann")
    assert begun["version"] == "2.0" and list(begun["jobs"]) == [ESN] and begun["busy"] == []
    assert upgrades.begin([ESN], IMAGE, 0, "bob")["busy"] == [ESN]
    [one] = upgrades.status(ESN)["upgrades"]
    assert (one["requested_by"], one["image"], one["module"]) == ("ann", "image 2.0", None)
    told = {
        "STATE": UpgradeState.IDLE,
        "RESULT": UpgradeResult.ROLLED_BACK,
        "RUNNING_VERSION": "1.0",
        "RUNNING_SLOT": 0,
        "IMAGE_VERSION": "",
        "IMAGE_DIGEST": bytes(32),
        "IMAGE_OCTETS": 0,
        "RECEIVED_OCTETS": 0,
        "ACTIVATION_TIME": 0,
    }
    octets = ssi_tables.encode(SsiTable.UPGRADE_STATUS, told)
    table = ssi_tables.DEFAULT_BASE + SsiTable.UPGRADE_STATUS
    server.store.write_now(lambda c: store_image(c, ESN, table, octets, 1_767_225_600))
    [one] = upgrades.status()["upgrades"]
    module = one["module"]
    assert (module["running_version"], module["last_result"]) == ("1.0", "rolled back")
    assert upgrades.told(ESN) == module and upgrades.told("SM9") is None
    meter = Service(server).meter(ESN)
    assert dict(identity_lines(meter, None))["Upgrade"] == "-"
    assert dict(identity_lines(meter, module))["Upgrade"] == "idle; the last: rolled back"
    coming = {"state": "receiving", "last_result": "none", "activation": None}
    coming |= {"image_version": "2.0", "image_octets": 4096, "received_octets": 1024}
    shown = dict(identity_lines(meter, coming))["Upgrade"]
    assert shown == "receiving, version 2.0, 1,024 of 4,096 octets"
