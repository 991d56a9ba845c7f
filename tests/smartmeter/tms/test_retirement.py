"""A meter that is out of service: nothing due, nothing asked, nothing taken, nothing forgotten."""

import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import RequestArrived, ResponseArrived
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import Calendar
from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.cli.tms_client import PASSWORD_VARIABLE, TmsClient
from smartmeter.tms.exports.archive import Archive
from smartmeter.tms.model import Kind
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped, import_shipment
from tests.smartmeter.tms.polling import LIST
from tests.smartmeter.tms.running import running_tms
from tests.smartmeter.tms.street import Street
from tests.waiting import until

DAY_S = 86_400


def retire(street: Street) -> None:
    street.head_end.retirement.retire(street.esn, "by ann", street.head_end.utc_s, street.now_us)


def bring_back(street: Street) -> None:
    street.head_end.retirement.bring_back(street.esn, street.head_end.utc_s)
    street.settle()


def answered(street: Street) -> list[int]:
    """Give the code of each answer that the SmartMeter has had."""
    for _, octets in street.head_end.outgoing():
        street.nodes[0].receive("tms", octets, street.now_us)
    told = [one for one in street.nodes[0].events() if isinstance(one, ResponseArrived)]
    return [response[0] for one in told for response in one.responses]


def count(street: Street, table: str) -> int:
    return street.store.number(f"SELECT count(*) FROM {table} WHERE esn=?", street.esn)


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_is_due_or_asked_and_what_it_sends_is_refused_until_it_is_back(
    restarted: bool,
) -> None:
    street = Street()
    version = street.head_end.template.version
    street.register()
    street.report(version)
    answered(street)
    retire(street)
    if restarted:
        street.restart()
    jobs, kept = count(street, "jobs"), count(street, "intervals")
    street.go_on(DAY_S // 4)
    assert (street.state, street.open_silences) == ("retired", 0)
    assert count(street, "jobs") == jobs
    [job] = street.store.read("SELECT state, cause FROM jobs ORDER BY id DESC LIMIT 1")
    assert tuple(job) == ("failed", "the meter was retired")

    for tell in (street.register, lambda: street.report(version)):
        tell()
        assert set(answered(street)) == {ResponseCode.isc}
    assert street.head_end.connected(street.esn) is False
    street.go_on(5)
    assert (count(street, "reports"), count(street, "intervals")) == (1, kept)
    [refused] = street.store.read("SELECT reason, count FROM security_events")
    assert tuple(refused) == ("retired", 2)

    bring_back(street)
    assert street.state == "provisioned" and street.head_end.silence.version(street.esn)
    street.number -= 1  # the module kept the report that was refused
    street.report(version)
    assert set(answered(street)) == {ResponseCode.ok}
    assert (count(street, "reports"), count(street, "intervals")) == (2, kept + 2)
    street.go_on(7200)
    assert street.state == "silent", "it is watched again"


@pytest.mark.parametrize("restarted", [False, True])
def test_who_is_retired_yields_its_title_to_the_one_that_comes_in_its_place(
    restarted: bool,
) -> None:
    street = Street()
    key, title = street.factories[0].key, str(street.factories[0].title)

    def enter(esn: str, title: str) -> None:
        shipped = [Shipped(esn, title, key, "")]
        street.store.write_now(lambda c: import_shipment(c, shipped, street.head_end.utc_s))
        street.head_end.load_keys()

    with pytest.raises(sqlite3.IntegrityError, match="which has it until it is retired"):
        enter("NEW", title)
    old = street.esn
    retire(street)
    enter("NEW", title)
    if restarted:
        street.restart()
    street.esn = "NEW"
    street.report(0)  # what bears the title now is the new one
    assert set(answered(street)) == {ResponseCode.ok} and count(street, "reports") == 1
    street.esn = old
    with pytest.raises(SettingsError, match=r"has no title: .*; enter it with its title in a s"):
        bring_back(street)
    enter(old, f"{title}.9")
    bring_back(street)
    assert street.head_end.meters.title(old) == ApTitle.parse(f"{title}.9")


def test_nobody_is_retired_or_brought_back_twice() -> None:
    street = Street()
    street.register()
    retire(street)
    bring_back(street)
    assert street.state == "registered", "what it was provisioned with is not known"
    with pytest.raises(SettingsError, match="is in service"):
        bring_back(street)
    retire(street)
    with pytest.raises(SettingsError, match="is retired already"):
        retire(street)


def test_who_refused_the_template_and_was_retired_is_asked_when_it_is_back() -> None:
    street = Street()
    street.report(0)
    while street.state != "not provisioned":
        street.go_on_answering(ResponseCode.iar)
    retire(street)
    bring_back(street)
    street.report(0)
    assert street.state == "provisioning"


def test_an_answer_that_comes_after_its_work_was_dropped_is_nobodys() -> None:
    street = Street()
    street.register()  # it is being provisioned
    asked = street.head_end.outgoing()
    assert asked
    retire(street)
    assert not street.head_end.jobs.has(street.esn, Kind.PROVISION)
    bring_back(street)
    number = street.head_end.request(street.esn, Kind.PING, "ann")
    for _, octets in asked:
        street.nodes[0].receive("tms", octets, street.now_us)
    for event in street.nodes[0].events():
        if isinstance(event, RequestArrived):
            street.nodes[0].answer(event.token, [b"\0"] * len(event.services), street.now_us)
    for path, octets in street.nodes[0].outgoing():
        street.head_end.receive(path, octets, street.now_us)
    street.settle()
    [job] = street.store.read("SELECT kind, state FROM jobs WHERE id=?", number)
    assert job["kind"] == "ping" and job["state"] in ("waiting", "running")


async def test_people_are_told_what_cannot_be_asked_and_plain_meters_rest_too(
    tmp_path: Path,
) -> None:
    async with running_tms(tmp_path, Calendar(1_767_225_600_000_000)) as tms:
        tms.import_shipment([Shipped(f"SM{n}", f".7.{n}", bytes(16), "M") for n in (1, 2)])
        service, polls = Service(tms), "SELECT count(*) FROM polls WHERE esn='P1'"
        with pytest.raises(SettingsError, match="names the meter itself"):
            service.retire("SM1", "ann", "SM1")
        with pytest.raises(SettingsError, match="SM9: is not known"):
            service.retire("SM1", "ann", "SM9")
        service.retire("SM1", "ann", "SM2")
        told = service.meter("SM1")
        assert (told["state"], told["cause"]) == ("retired", "replaced by SM2, by ann")
        assert service.overview()["meters"] == 1
        assert service.topology()["out_of_reach"] == [{"esn": "SM2", "state": "shipped"}]
        with pytest.raises(SettingsError, match="SM1: is retired; bring it back first"):
            service.request("SM1", Kind.READ, "ann")
        await service.enter_polled(LIST)
        await until(lambda: tms.store.number(polls) > 0, "a poll has failed")
        service.retire("P1", "ann")
        assert service.meter("P1")["polled"]
        await service.enter_polled(LIST)  # as each start with --poll does
        assert service.meter("P1")["state"] == "retired"
        assert not [due for due in tms.head_end.polled.plan.tick(1 << 33) if due.esn == "P1"]
        service.bring_back("P1")
        assert service.meter("P1")["state"] == "polled"
        assert [due for due in tms.head_end.polled.plan.tick(1 << 33) if due.esn == "P1"]
        service.retire("P1", "ann")
        service.remove_polled("P1")
        await service.enter_polled(LIST)
        assert service.meter("P1")["state"] == "polled", "entered anew, it is a new one"
        assert "P1" not in tms.head_end.retirement


async def test_a_retired_plain_meter_yields_its_address_to_the_one_that_replaces_it(
    tmp_path: Path,
) -> None:
    async with running_tms(tmp_path, Calendar(1_767_225_600_000_000)) as tms:
        service, newer, elsewhere = (
            Service(tms),
            LIST.replace("P1", "P2"),
            LIST.replace(":1,", ":3,"),
        )
        await service.enter_polled(LIST)
        with pytest.raises(SettingsError, match="address of P1, which has it until it is retired"):
            await service.enter_polled(newer)
        service.retire("P1", "ann")
        assert (await service.enter_polled(newer))["new"] == 1
        service.replace("P1", "P2", "ann")
        assert service.meter("P1")["title"] == "none: P1"
        assert [one["esn"] for one in service.meter("P2")["place"]] == ["P2", "P1"]
        with pytest.raises(SettingsError, match="P1: has no address: another meter has it now"):
            service.bring_back("P1")
        await service.enter_polled(elsewhere)
        service.bring_back("P1")
        told = service.meter("P1")
        assert (told["title"], told["state"]) == ("socket://127.0.0.1:3", "polled")
        assert tms.head_end.polled.meters["P2"].address == "socket://127.0.0.1:1"


def test_who_was_retired_or_replaced_stays_so_when_the_tms_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    shipment, data = tmp_path / "shipment.csv", tmp_path / "data"
    shipment.write_text(
        "esn,title,key,model\n" + "".join(f"SM{n},.7.{n},{n:032x},m\n" for n in range(1, 17))
    )
    run = ("tms", "run", "--data", str(data), "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0")
    process = subprocess.Popen(
        [sys.executable, "-m", "smartmeter", *run, "--shipment", str(shipment)],
        stdout=subprocess.PIPE,
        text=True,
    )
    told = []
    try:
        assert process.stdout is not None
        page = next(line for line in process.stdout if line.startswith("page "))
        client = TmsClient(page.split()[1], "operator")
        Timer(0.05, process.kill).start()
        for number in range(1, 9):
            with suppress(SmartMeterError):  # the one in which it was killed
                client.post(f"/api/meters/SM{number}/replace", {"by": f"SM{number + 8}"})
                told.append(f"SM{number}")
    finally:
        process.kill()
        process.communicate(timeout=60)
    archive = Archive(data)
    rows = archive.rows("SELECT esn FROM meters WHERE state='retired' ORDER BY esn")
    places = archive.rows("SELECT old_esn, new_esn FROM replacements ORDER BY old_esn")
    archive.close()
    kept = [row["esn"] for row in rows]
    assert [tuple(row) for row in places] == [(one, f"SM{int(one[2:]) + 8}") for one in kept]
    assert kept[: len(told)] == told and len(kept) <= len(told) + 1
