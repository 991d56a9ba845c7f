"""What people ordered and has not ended can be cancelled, and is said to be what it is then."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from smartmeter.base.clock import Calendar
from smartmeter.cli.tms import command
from smartmeter.simulation.fleet import Fleet, FleetSettings
from smartmeter.simulation.swarm import HOUR_US
from smartmeter.ssi.upgrade import MODEL
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import read_shipment
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.upgrades import make_image
from smartmeter.tms.users import Users
from smartmeter.tms.web.site import Site
from smartmeter.version import VERSION
from tests.smartmeter.ssi.upgrade_image import NEW, PRIVATE, PUBLIC
from tests.smartmeter.tms.bell import FACTORY, Office
from tests.smartmeter.tms.running import running_tms
from tests.smartmeter.tms.stored import EPOCH_S
from tests.waiting import PATIENCE_S

IMAGE = make_image(b"payload", MODEL, "2", bytes(32))
ESN, WAY = FACTORY.esn, "its connection"
NOTHING = "by ann; nothing had gone out"


def cancel(office: Office, kind: str = "") -> None:
    office.head_end.cancel(office.head_end.orders.of_people(kind), "ann")


def test_what_waits_ends_and_what_went_out_is_told() -> None:
    office = Office("")
    office.heard(WAY)
    ping = office.head_end.request(ESN, Kind.PING, "ann")
    read = office.head_end.request(ESN, Kind.READ, "bob")
    assert office.later_by(0) == [WAY]
    cancel(office)
    gone = "by ann; 1 message had gone out, and what came of it stays"
    assert (office.job(ping)[:2], office.job(read)[:2]) == (
        ("cancelled", gone),
        ("cancelled", NOTHING),
    )
    assert office.later_by(60_000_000) == [], "nothing goes out for them"
    assert office.head_end.store.number("SELECT ended_s FROM jobs WHERE id=?", read)


def test_a_datagram_of_what_was_cancelled_is_sent_no_more() -> None:
    office = Office("")
    office.head_end.shell.is_lossy = lambda path: True
    office.heard("udp")
    office.head_end.request(FACTORY.esn, Kind.DEMAND_RESET, "ann")
    assert office.later_by(0) == ["udp"]
    office.head_end.cancel(office.head_end.orders.of_people(), "ann")
    assert [office.later_by(1_000_000) for _ in range(20)] == [[]] * 20


def test_the_answer_to_what_was_cancelled_is_not_told_as_refused() -> None:
    fleet = Fleet(FleetSettings(1, 1, 1, faults=False))
    [esn] = fleet.houses
    fleet.run(2 * HOUR_US)
    fleet.head_end.request(esn, Kind.READ, "ann")
    fleet.run(fleet.now_us + 1)
    fleet.head_end.cancel(fleet.head_end.orders.of_people(), "ann")
    fleet.run(fleet.now_us + HOUR_US)
    assert fleet.head_end.figures.refused == 0
    assert fleet.store.read("SELECT * FROM security_events") == []


def test_what_waited_behind_it_goes_on_at_once() -> None:
    office = Office("")
    office.head_end.upgrade([ESN], IMAGE, 0, "ann")
    trace = office.head_end.request(ESN, Kind.TRACE, "ann")
    cancel(office, Kind.UPGRADE)
    office.heard(WAY)
    assert office.later_by(0) == [WAY] and office.job(trace)[0] == "running"
    assert office.head_end.orders.of_people(Kind.UPGRADE) == []


def test_a_provisioning_that_is_cancelled_leaves_a_meter_that_is_not_provisioned() -> None:
    office = Office("")
    office.head_end.request(ESN, Kind.PROVISION, "ann")
    cancel(office)
    office.later_by(0)
    [row] = office.head_end.store.read("SELECT state, cause FROM meters")
    assert tuple(row) == ("not provisioned", NOTHING)


def test_an_image_that_a_module_has_is_withdrawn_before_it_starts() -> None:
    fleet = Fleet(FleetSettings(1, 1, 1, faults=False), upgrade_key=PUBLIC)
    [(esn, house)] = fleet.houses.items()
    fleet.run(HOUR_US)
    later_s = fleet.head_end.utc_s + 3 * 3600
    fleet.head_end.upgrade([esn], make_image(b"p" * 3000, MODEL, NEW, PRIVATE), later_s, "ann")
    fleet.run(2 * HOUR_US)
    for _ in range(2):
        fleet.head_end.request(esn, Kind.WITHDRAW, "ann")
        fleet.run(fleet.now_us + HOUR_US // 4)
    fleet.run(6 * HOUR_US)
    jobs = fleet.store.read("SELECT kind, state, cause FROM jobs WHERE requested_by='ann'")
    nothing = f"there is nothing to withdraw: idle, and runs {VERSION}"
    assert [tuple(row) for row in jobs] == [
        ("upgrade", "done", ""),
        ("withdraw upgrade", "done", ""),
        ("withdraw upgrade", "failed", nothing),
    ]
    assert house.device.starts[-1] == VERSION


def test_an_upgrade_that_is_still_being_sent_ends_when_it_is_withdrawn() -> None:
    office = Office("")
    [upgrade] = office.head_end.upgrade([ESN], IMAGE, 0, "ann").values()
    office.head_end.request(ESN, Kind.WITHDRAW, "bob")
    office.later_by(0)
    assert office.job(upgrade)[:2] == ("cancelled", "by bob; nothing had gone out")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, TmsServer]]:
    async with running_tms(tmp_path, Calendar(EPOCH_S * 1_000_000)) as tms:
        rows = [f"SM{n},.7.{n},{bytes(16).hex()},m\n" for n in (1, 2)]
        tms.import_shipment(read_shipment(f"esn,title,key,model\n{''.join(rows)}"))
        Users(tms.store).set("ann", "good enough")
        site = Site(tms, Service(tms))
        await site.start("127.0.0.1", 0)
        address = f"http://127.0.0.1:{site.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
            await client.post("/login", data={"user": "ann", "password": "good enough"})
            yield client, tms
        await site.stop()


async def test_one_job_or_a_list_is_cancelled_by_the_api(
    site: tuple[httpx.AsyncClient, TmsServer], tmp_path: Path
) -> None:
    client, tms = site
    numbers = tms.head_end.upgrade(["SM1", "SM2"], IMAGE, 0, "ann")
    own = tms.head_end.orders.look_after("SM1", attempts=2)
    ping = (await client.post("/api/meters/SM1/jobs", json={"kind": "ping"})).json()["job"]
    answer = await client.post(f"/api/jobs/{ping}/cancel")
    assert answer.json() == {"status": "cancelled", "cause": NOTHING}
    for number, status, told in (
        (ping, 400, "has ended: cancelled"),
        (own, 400, "is the TMS's own work"),
        (0, 404, "job 0: is not known"),
    ):
        answer = await client.post(f"/api/jobs/{number}/cancel")
        assert answer.status_code == status and told in answer.json()["error"]
    for body, status in (
        ({}, 400),
        ({"kind": "lunch"}, 400),
        ({"esns": ["SM1", "SM3"]}, 404),
        ({"esns": ["S" * 17]}, 400),
    ):
        assert (await client.post("/api/jobs/cancel", json=body)).status_code == status
    answer = await client.post("/api/jobs/cancel", json={"kind": "upgrade", "esns": ["SM2"]})
    told = {"job": numbers["SM2"], "esn": "SM2", "kind": "upgrade", "cause": NOTHING}
    assert answer.json() == {"cancelled": [told]}
    answer = await client.post("/api/jobs/cancel", json={"kind": "upgrade"})
    assert [one["esn"] for one in answer.json()["cancelled"]] == ["SM1"]
    # What was answered is durable: another reader of the file has it.
    copy = Store(tmp_path / "tms.sqlite3")
    states = copy.read("SELECT state FROM jobs WHERE id!=?", own)
    assert {row["state"] for row in states} == {"cancelled"}
    copy.close()


def test_the_verb_wants_to_know_what_is_meant() -> None:
    told = CliRunner().invoke(command, ["cancel"])
    assert told.exit_code == 2 and "name SmartMeters, or give --list FILE or --kind" in told.output
