"""The TMS on a real socket: garbage, strangers and wrong keys meet one clear answer each."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from threading import get_ident

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.services import encode_service
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, Identify
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.comms.event_loop import ended
from smartmeter.simulation.street import MODEL, Street, factory_of
from smartmeter.tms.api.wrong_requests import NO_JSON
from smartmeter.tms.refusals import Refusals
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.store import records
from tests.smartmeter.tms.peer import SEED, Peer, reasons
from tests.smartmeter.tms.running import rest, running_tms
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path, Calendar(wall_utc_us(), 60, monotonic_us())) as tms:
        factories = [factory_of(n, SEED, "tcp:127.0.0.1:1") for n in (1, 2)]
        tms.import_shipment([Shipped(f.esn, str(f.title), f.key, MODEL) for f in factories])
        yield tms


async def test_garbage_ends_its_own_connection_and_no_other(server: TmsServer) -> None:
    chance = Random(SEED)
    host, port = server.address
    street = Street(2, SEED, server.calendar, f"tcp:{host}:{port}")
    running = asyncio.create_task(street.run())
    for number in range(60):
        reader, writer = await asyncio.open_connection(host, port)
        octets = chance.randbytes(chance.randrange(1, 300))
        if number % 3 == 0:
            octets = b"\x60\x83\xff\xff\xff" + octets
        writer.write(octets)
        async with asyncio.timeout(60):
            if octets[:1] != b"\x60" or number % 3 == 0:
                assert await reader.read() == b"", "the connection is closed without an answer"
        writer.close()
    provisioned = "SELECT count(*) FROM meters WHERE provisioned_s != 0"
    await until(lambda: server.store.number(provisioned) == 2, "others are unaffected")
    await ended(running)
    assert any(reason.startswith("stream: ") for reason in reasons(server))
    await until(lambda: server.connections == 0, "nothing stays open")


async def test_a_full_disk_does_not_end_what_is_done_when_it_is_due(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    healed = asyncio.Event()

    def expire(now_us: int) -> None:
        told.append(now_us)
        if len(told) == 1:
            raise StorageError("tms.sqlite3", "database or disk is full", "free some space")
        healed.set()

    monkeypatch.setattr(server.head_end, "expire", expire)
    async with asyncio.timeout(60):
        await healed.wait()
    assert server.counts["store takes nothing"] == 1


async def test_a_full_disk_costs_nobody_its_connection(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(path: object, octets: bytes, now_us: int) -> None:
        raise StorageError("tms.sqlite3", "database or disk is full", "free some space")

    monkeypatch.setattr(server.head_end, "receive", receive)
    server.receive("a path", b"octets")
    assert server.counts["store takes nothing"] == 1


async def test_a_database_that_takes_nothing_is_told_once_and_so_is_that_it_does_again(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    tms = TmsServer(tmp_path, Calendar(wall_utc_us(), 1, monotonic_us()), tell=told.append)
    await tms.start("127.0.0.1", 0)
    service = Service(tms)

    def limit(pages: str) -> None:
        tms.store.write_now(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchall())

    def note(size: int) -> None:
        sql = "INSERT INTO settings VALUES ('note', ?)"
        tms.store.write_now(lambda c: c.execute(sql, ("x" * size,)))

    try:
        limit("1")  # no more than it has
        for _ in range(2):
            with pytest.raises(StorageError, match="is full"):
                note(1_000_000)
        await until(lambda: told, "it is told")
        assert service.overview()["fault"] == service.fault() != ""
        limit("1000000")
        note(1_000_000)
        await until(lambda: len(told) > 1, "it is told again")
    finally:
        await tms.stop()
    full, works = told
    assert full.startswith("database: takes nothing (") and "is full; free some space" in full
    assert works == "database: works" and service.fault() == ""


async def test_a_stranger_is_refused_and_listed(server: TmsServer) -> None:
    answer = decode_apdu(await Peer(".7.99", bytes(16), server).ask(encode_request(Identify())))
    assert answer.user_information[-1] == ResponseCode.sme
    titles = "SELECT count(*) FROM unknown_devices WHERE title='.7.99'"
    await until(lambda: server.store.number(titles) == 1, "it is in the operator's list")
    assert server.store.number("SELECT count(*) FROM meters") == 2


async def test_a_wrong_key_is_refused_and_is_a_security_event(server: TmsServer) -> None:
    title = str(factory_of(1, SEED, "x").title)
    octets = encode_service(Register(ApTitle.parse(title), serial_uid("SM000001")))
    answer = decode_apdu(await Peer(title, bytes(16), server).ask(octets))
    assert answer.user_information[-1] == ResponseCode.sme
    await until(lambda: "mac-mismatch" in reasons(server), "it is noted")
    assert server.store.number("SELECT count(*) FROM meters WHERE state='registered'") == 0


async def test_a_registration_in_clear_is_refused(server: TmsServer) -> None:
    factory = factory_of(1, SEED, "x")
    octets = encode_service(Register(factory.title, serial_uid(factory.esn)))
    peer = Peer(str(factory.title), factory.key, server)
    answer = decode_apdu(await peer.ask(octets, key_id=None))
    assert answer.user_information[-1] == ResponseCode.sme


async def test_a_meter_cannot_register_or_report_as_another(server: TmsServer) -> None:
    factory = factory_of(1, SEED, "x")
    peer = Peer(str(factory.title), factory.key, server)
    octets = encode_service(Register(factory.title, serial_uid("SM000002")))
    peer.node.receive("tcp", await peer.ask(octets), monotonic_us())
    await until(lambda: "serial-differs" in reasons(server), "it is noted")


async def test_a_report_that_cannot_be_read_is_refused_whole(server: TmsServer) -> None:
    factory = factory_of(1, SEED, "x")
    peer = Peer(str(factory.title), factory.key, server)
    torn = encode_request(FullWrite(4032, b"SSI1" + bytes(7)))
    peer.node.receive("tcp", await peer.ask(torn, encode_request(FullRead(0))), monotonic_us())
    [event] = peer.node.events()
    assert {response[0] for response in event.responses} == {ResponseCode.iar}  # type: ignore[attr-defined]
    assert server.store.number("SELECT count(*) FROM reports") == 0


async def test_a_title_that_was_given_up_is_nobodys_and_a_known_key_stays_the_same(
    server: TmsServer,
) -> None:
    factory, meters = factory_of(1, SEED, "x"), server.head_end.meters
    cipher = meters.key(factory.title, 0)
    server.import_shipment([Shipped(factory.esn, ".7.4711", factory.key, MODEL)])
    assert meters.esn(factory.title) is None
    assert meters.key(ApTitle.parse(".7.4711"), 0) is cipher, "its uses go on being counted"
    server.import_shipment([Shipped(factory.esn, ".7.4711", bytes(16), MODEL)])
    assert meters.key(ApTitle.parse(".7.4711"), 0) is not cipher


async def test_an_address_that_is_taken_is_one_clear_error(
    server: TmsServer, tmp_path: Path
) -> None:
    other = TmsServer(tmp_path / "other", server.calendar)
    with pytest.raises(SettingsError, match="cannot listen"):
        await other.start(*server.address)
    await other.stop()


async def test_the_api_answers_wrong_questions_with_one_line(server: TmsServer) -> None:
    async with rest(server) as client:
        assert (await client.get("/api/overview")).json()["meters"] == 2
        assert (await client.get("/api/meters/NOBODY")).status_code == 404
        for path in (
            "/api/meters?limit=0",
            "/api/meters?offset=-1",
            "/api/meters?offset=x",
            "/api/meters/SM000001/load-profile?from_s=1e99",
            f"/api/meters?search={'x' * 1000}",
        ):
            answer = await client.get(path)
            assert answer.status_code == 400 and "\n" not in answer.json()["error"], path
        assert (await client.get("/api/meters?search=%25")).json()["total"] == 0
        jobs = "/api/meters/SM000001/jobs"
        for body in (b"", b"{", b'{"kind": "explode"}', b'{"kind": 5}', b"\xff" * 10):
            assert (await client.post(jobs, content=body)).status_code == 400, body
        for kind in ("explode", "poll"):
            refused = (await client.post(jobs, json={"kind": kind})).json()["error"]
            assert refused.endswith("trace, withdraw upgrade, change key"), refused
        as_json = {"Content-Type": "application/json"}
        for body in (b"{", b"\xff" * 10):
            answer = await client.post(jobs, content=body, headers=as_json)
            assert answer.json()["error"].endswith(NO_JSON), body
        for newest in (True, 1.5, "5"):
            answer = await client.post("/api/alarms/close", json={"newest": newest})
            assert answer.status_code == 400, newest
        assert (await client.get("/api/meters/X%0D%0AY")).json()["error"].isprintable()
        assert (await client.post("/api/shipment", content=b"\xff")).status_code == 400
        assert (await client.post("/api/shipment", content=b"esn")).status_code == 400
        begun = await client.post(jobs, json={"kind": "ping"})
        assert begun.status_code == 202
        number = begun.json()["job"]
        await until(
            lambda: server.store.one("SELECT cause FROM jobs WHERE id=?", number)["cause"],  # type: ignore[index]
            "the job says why it cannot be done",
        )
        assert (await client.get(f"/api/jobs/{number}")).json()["cause"] == "not connected"


async def test_keys_of_a_shipment_that_comes_meanwhile_are_loaded_where_they_are_used(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was changed between a look into the store and its end would be the old one."""
    threads = set[int]()
    meters = server.head_end.meters
    add = meters.add

    def noted(esn: str, title: str, key_id: int, key: bytes) -> None:
        threads.add(get_ident())
        add(esn, title, key_id, key)

    monkeypatch.setattr(meters, "add", noted)
    monkeypatch.setattr("smartmeter.tms.server.LOADED_AT_ONCE", 1)
    one, other = (factory_of(n, SEED, "x") for n in (1, 2))
    lines = [
        f"{one.esn},{other.title},{one.key.hex()},m",
        f"{other.esn},{one.title},{other.key.hex()},m",
        f"NEW,.7.4711,{bytes(16).hex()},m",
    ]
    text = "\n".join(["esn,title,key,model", *lines, ""])
    async with rest(server) as client:
        answer = await client.post("/api/shipment", content=text)
    assert answer.json() == {"read": 3, "new": 1}
    assert [meters.esn(title) for title in (one.title, other.title)] == [other.esn, one.esn]
    assert meters.esn(ApTitle.parse(".7.4711")) == "NEW"
    assert threads == {get_ident()}


async def test_a_long_shipment_that_comes_meanwhile_has_each_number_loaded_once(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that are known with each part of it would hold the loop up for seconds."""
    loaded: list[str] = []
    read = server.store.read

    def noted(sql: str, *values: object) -> list[sqlite3.Row]:
        rows = read(sql, *values)
        loaded.extend(row["esn"] for row in rows if "wake_number" in sql)
        return rows

    monkeypatch.setattr(server.store, "read", noted)
    monkeypatch.setattr("smartmeter.tms.server.LOADED_AT_ONCE", 1)
    lines = [f"NEW{n},.7.{4711 + n},{bytes(16).hex()},m,+1555000{n}" for n in range(3)]
    text = "\n".join(["esn,title,key,model,wake", *lines, ""])
    assert await server.enter_shipment(text) == (3, 3)
    assert loaded == ["NEW0", "NEW1", "NEW2"]
    assert server.head_end.waking._numbers == {f"NEW{n}": f"+1555000{n}" for n in range(3)}


async def test_a_long_list_of_plain_meters_holds_the_loop_up_for_a_part_of_it_only(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of 50,000 at once would take it seconds; those that are known already, a second."""
    loaded: list[list[str]] = []
    read = server.store.read

    def noted(sql: str, *values: object) -> list[sqlite3.Row]:
        rows = read(sql, *values)
        if "JOIN meters USING" in sql:
            loaded.append([row["esn"] for row in rows])
        return rows

    lines = [f"P{n},socket://127.0.0.1:{n + 1},2,,m" for n in range(5)]
    head = "esn,address,user_id,password,model"
    assert await server.enter_polled("\n".join([head, *lines[:2], ""])) == (2, 2)
    monkeypatch.setattr(server.store, "read", noted)
    monkeypatch.setattr("smartmeter.tms.server.PLANNED_AT_ONCE", 2)
    assert await server.enter_polled("\n".join([head, *lines[1:], ""])) == (4, 3)
    assert loaded == [["P1", "P2"], ["P3", "P4"]]
    assert list(server.head_end.polled.meters) == [f"P{n}" for n in range(5)]
    assert all(f"P{n}" in server.head_end.polled.plan for n in range(5))


async def test_strangers_that_a_clock_ahead_dated_neither_hide_nor_outlast_those_of_today(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_UNKNOWN_DEVICES", 2)
    for title, at_s in ((".7.1", 10**9), (".7.2", 10**9 + 1), (".7.3", 0)):
        refusals = Refusals()
        refusals.note(title, "no-such-key", unknown=True)
        change = refusals.take(server.utc_s + at_s)
        assert change is not None
        server.store.write_now(change)
    assert [one["title"] for one in Service(server).unknown_devices()] == [".7.3", ".7.2"]
