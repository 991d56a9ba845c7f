"""How the TMS says that it reaches its meters: connection, relay, serial server, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocols.c1222.ap_title import ApTitle
from smartmeter.comms.event_loop import ended
from smartmeter.comms.relay_host import RelayHost
from smartmeter.simulation.street import MODEL, Street, factory_of
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.topology import MAX_METERS, TMS, topology_of
from tests.smartmeter.comms.relays import tcp
from tests.smartmeter.tms.running import rest, running_tms
from tests.waiting import until

SEED = 5
ESNS = [f"SM00000{n}" for n in range(1, 5)]


@pytest.fixture
async def tms(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path) as server:
        factories = [factory_of(n, SEED, "x") for n in range(1, 5)]
        server.import_shipment([Shipped(f.esn, str(f.title), f.key, MODEL) for f in factories])
        yield server


def uppers(tms: TmsServer) -> dict[str, str]:
    return {way.lower: way.upper for way in topology_of(tms)[0].ways.values()}


async def test_a_relay_has_no_name_before_a_trace_and_its_title_after(tms: TmsServer) -> None:
    relay = RelayHost(ApTitle.parse(".91"), tcp(tms.address))
    await relay.start("127.0.0.1", 0)
    behind = Street(2, SEED, tms.calendar, tcp(relay.address))
    running = asyncio.create_task(behind.run())
    service = Service(tms)
    await service.enter_polled("esn,address,user_id,password,model\nP1,socket://127.0.0.1:1,2,,\n")
    try:
        await until(lambda: len(tms.head_end.collector.paths) == 2, "both register")
        known = uppers(tms)
        assert known["SM000001"] == known["SM000002"] != TMS
        assert known["SM000001"].startswith("relay at 127.0.0.1:")
        assert known["P1"] == "socket://127.0.0.1:1" and known[known["P1"]] == TMS
        lost = {one["esn"] for one in service.topology()["out_of_reach"]}
        assert lost - {"P1"} == {"SM000003", "SM000004"}
        state = "SELECT count(*) FROM meters WHERE state='provisioned'"
        await until(lambda: tms.store.number(state) == 2, "both are ready")
        number = service.request("SM000001", "trace", "ann")
        await until(lambda: service.work.one(number)["state"] == "done", "one is traced")
        assert [uppers(tms)[esn] for esn in ESNS[:2]] == [".91", ".91"]
        silent = "UPDATE meters SET state='silent' WHERE esn='SM000001'"
        tms.store.write_now(lambda c: c.execute(silent))
        lost = {one["esn"] for one in service.topology()["out_of_reach"]}
        assert {"SM000001"} <= lost, "a way over which nobody answers is none"
        tree = service.topology()["tree"]
        [named] = [one for one in tree["children"] if one["name"] == ".91"]
        assert {one["name"] for one in named["children"]} == set(ESNS[:2])
    finally:
        await ended(running)
        await relay.stop()


async def test_no_name_and_no_way_that_meters_tell_breaks_the_picture(tms: TmsServer) -> None:
    service = Service(tms)
    await service.enter_shipment(f"esn,title,key,model\nTMS,.7.99,{bytes(16).hex()},m\n")
    paths = tms.head_end.collector.paths
    ways = {ESNS[0]: [".91", ".92", ".91"], ESNS[1]: [".92", ".91"], ESNS[2]: [".93"] * 3000}
    for number, (esn, relays) in enumerate([*ways.items(), ("TMS", [])]):
        paths.heard(esn, Somewhere(number))
        result = " > ".join([".1", *relays, ".7"])
        job = f"('{esn}', 'trace', 'done', 'ann', 0, '{result}')"
        sql = f"INSERT INTO jobs (esn, kind, state, requested_by, created_s, result) VALUES {job}"
        tms.store.write_now(lambda c, sql=sql: c.execute(sql))  # type: ignore[misc]
    drawn = json.dumps(service.topology()["tree"])
    assert all(f'"{esn}"' in drawn for esn in ("TMS", *ESNS[:3]))


async def test_traces_that_together_tell_an_endless_way_are_drawn(tms: TmsServer) -> None:
    esns = [f"X{n:03}" for n in range(100)]
    tms.import_shipment([Shipped(e, f".8.{n}", bytes(16), "") for n, e in enumerate(esns)])
    for number, esn in enumerate(esns):  # each begins where the one before it ended
        tms.head_end.collector.paths.heard(esn, Somewhere(number))
        relays = [f".9.{15 * number + step}" for step in range(16)]
        values = esn, " > ".join([".1", *relays, ".7"])
        sql = "INSERT INTO jobs (esn, kind, state, requested_by, created_s, result)"
        sql += " VALUES (?, 'trace', 'done', 'ann', 0, ?)"
        tms.store.write_now(lambda c, sql=sql, values=values: c.execute(sql, values))  # type: ignore[misc]
    drawn = json.dumps(Service(tms).topology()["tree"])
    assert all(f'"{esn}"' in drawn for esn in esns)


@dataclass(frozen=True)
class Somewhere:
    """A path that is only looked at."""

    number: int

    @property
    def remote(self) -> tuple[str, int]:
        return "192.0.2.1", self.number


async def test_the_picture_is_served_as_graphviz_text(tms: TmsServer) -> None:
    async with rest(tms) as client:
        answer = await client.get("/api/topology.dot")
        assert answer.headers["content-type"].startswith("text/vnd.graphviz")
        assert answer.text.startswith('graph "SmartMeter TMS" {') and ESNS[0] in answer.text
        assert (await client.get("/api/topology")).json()["left_out"] == 0


async def test_of_the_meters_that_are_drawn_none_out_of_reach_is_left_out(tms: TmsServer) -> None:
    tms.import_shipment([Shipped(f"X{n:03}", f".8.{n}", bytes(16), "") for n in range(1, 600)])
    told = Service(tms).topology()
    assert len(told["out_of_reach"]) == MAX_METERS and told["left_out"] == 103


async def test_who_is_only_shipped_hides_nobody_who_fell_silent(tms: TmsServer) -> None:
    silent = "UPDATE meters SET state='silent' WHERE esn='SM000003'"
    tms.store.write_now(lambda c: c.execute(silent))
    lost = [one["esn"] for one in Service(tms).topology()["out_of_reach"]]
    assert lost == ["SM000003", "SM000001", "SM000002", "SM000004"]
