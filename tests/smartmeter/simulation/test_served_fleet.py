"""Meters for a head-end that is not ours: plain ones, broken ways, the control, the process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Hashable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, NEVER, NOTIFICATION, URGENT, Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import Node, RequestArrived, ResponseArrived
from protocols.c1222.registration import Register, Registered
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import (
    Deregister,
    NetworkSecurity,
    Trace,
    decode_service,
    encode_service,
)
from protocols.errors import LinkError
from protocols.psem.codec import encode_request, table_data
from protocols.psem.codes import ResponseCode
from protocols.psem.services import DefaultRead, FullRead, FullWrite, Identify, IndexRead
from protocols.transports.network_meter import NetworkMeter
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.comms.bearer import BearerSettings
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.network.link import Link, LinkSettings
from smartmeter.simulation.actions import ControlError, openapi
from smartmeter.simulation.breakable_node import (
    BreakableNode,
    NetworkFault,
    NetworkFaultKind,
)
from smartmeter.simulation.fleet_control import ACTIONS, FleetControl
from smartmeter.simulation.fleet_keys import key_text, made_keys, read_keys
from smartmeter.simulation.plain_meter import PlainMeter, PlainSettings, Registering
from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings
from smartmeter.tms.server import TmsServer
from tests.waiting import until, wait_until

S = 1_000_000
EPOCH_US = 1_767_225_600 * S
HOST, METER = ApTitle.parse(".1"), ApTitle.parse(".7.42")
KEY = bytes(range(16))


class Bench:
    """A plain meter and a head-end's node, without anything between."""

    def __init__(self, registering: Registering = Registering.SECURED) -> None:
        self.calendar = Calendar(EPOCH_US)
        self.now_us = 0
        meter = Meter(MeterSettings(), MemoryNvram(), self.calendar, 0)
        settings = PlainSettings("SM000001", METER, KEY, HOST, registering)
        self.meter = PlainMeter(settings, meter, self.calendar, 1, lambda low, high: low)
        self._cipher = EaxPrime(KEY)
        self.host = Node(HOST, self, self.calendar)
        self.got: list[Any] = []

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self._cipher

    def restart(self) -> None:
        """Begin anew with nothing but the meter's tables."""
        meter, settings = self.meter.meter, self.meter.settings
        self.meter = PlainMeter(settings, meter, self.calendar, 1, max, self.now_us)

    def run(self, seconds: int) -> None:
        end_us = self.now_us + seconds * S
        while True:
            self.carry()
            due_us = self.meter.deadline_us()
            if due_us is None or due_us > end_us:
                self.now_us = end_us
                return
            self.now_us = max(self.now_us, due_us)
            self.meter.expire(self.now_us)

    def carry(self) -> None:
        moved = True
        while moved:
            moved = False
            for _, octets in self.meter.outgoing():
                moved = True
                self.host.receive("x", octets, self.now_us)
            for event in self.host.events():
                self.got.append(event)
                if isinstance(event, RequestArrived) and event.qualifier == 0:
                    self.host.answer(
                        event.token, [Registered(METER, 0, 3600).encode()], self.now_us
                    )
            for _, octets in self.host.outgoing():
                moved = True
                self.meter.receive("x", octets, self.now_us)

    def ask(self, *services: bytes) -> tuple[bytes, ...]:
        self.host.request(services, METER, "x", self.now_us, key_id=0)
        self.carry()
        [answer] = [event for event in self.got if isinstance(event, ResponseArrived)][-1:]
        return answer.responses

    def notifications(self) -> list[tuple[int, list[int]]]:
        found = []
        for event in self.got:
            if isinstance(event, RequestArrived) and event.qualifier:
                writes = [decode_service(one) for one in event.services]
                found.append((event.qualifier, [one.table for one in writes]))  # type: ignore[union-attr]
        return found


def test_a_plain_meter_registers_keeps_its_registration_and_notifies() -> None:
    bench = Bench()
    bench.meter.bearer_up("x", 0)
    bench.run(3 * 3600 + 60)
    asked = [e for e in bench.got if isinstance(e, RequestArrived) and not e.qualifier]
    assert len(asked) == 4, "anew before the hour is over, each time"
    assert all(isinstance(decode_service(one.services[0]), Register) for one in asked)
    assert {one.key_id for one in asked} == {0}
    told = bench.notifications()
    assert told == [(NOTIFICATION, [3, 23])] * 13, "at once, then every quarter of an hour"
    bench.meter.meter.inject("low-battery", bench.now_us, None, None)
    bench.meter.expire(bench.now_us)
    bench.carry()
    assert bench.notifications()[-1] == (NOTIFICATION | URGENT, [3])


def test_a_plain_meter_registers_on_each_new_connection_so_that_relays_know_it_again() -> None:
    bench = Bench()
    bench.meter.bearer_up("x", 0)
    bench.run(100)
    registrations = sum(one.qualifier == 0 for one in bench.got if isinstance(one, RequestArrived))
    bench.meter.bearer_down("x", bench.now_us)
    bench.run(10)
    bench.meter.bearer_up("x", bench.now_us)
    bench.run(10)
    again = sum(one.qualifier == 0 for one in bench.got if isinstance(one, RequestArrived))
    assert (registrations, again) == (1, 2) and bench.meter.registered


def test_a_plain_meter_says_who_it_is_and_ends_a_trace_in_clear_but_shows_no_table() -> None:
    bench = Bench(Registering.OFF)
    bench.meter.bearer_up("x", 0)
    for service, code in (
        (Identify(), ResponseCode.ok),
        (Trace((HOST,)), ResponseCode.ok),
        (FullRead(1), ResponseCode.sme),
    ):
        bench.host.request([encode_service(service)], METER, "x", bench.now_us)
        bench.carry()
        answer = [event for event in bench.got if isinstance(event, ResponseArrived)][-1]
        assert answer.responses[0][0] == code
    assert answer.responses == (bytes([ResponseCode.sme]),)


def test_a_plain_meter_is_read_by_index_and_by_default() -> None:
    bench = Bench(Registering.OFF)
    bench.meter.bearer_up("x", 0)
    whole, first, registers, by_default, nothing, unseen = bench.ask(
        *(encode_service(FullRead(1)), encode_service(IndexRead(1, (0,), 1))),
        *(encode_service(FullRead(23)), encode_service(DefaultRead())),
        *(encode_service(IndexRead(1, (99,), 1)), encode_service(IndexRead(42, (0,), 1))),
    )
    assert first[0] == 0 and table_data(first[1:]) == table_data(whole[1:])[:4]
    assert by_default == registers
    assert nothing == bytes([ResponseCode.onp]) and unseen == bytes([ResponseCode.isc])


def test_a_plain_meter_without_registration_still_notifies_and_never_asks() -> None:
    bench = Bench(Registering.OFF)
    bench.meter.bearer_up("x", 0)
    bench.run(60)
    assert len(bench.notifications()) == 1 and not bench.meter.registered


def test_its_tables_are_read_by_key_and_more_of_them_by_password() -> None:
    bench = Bench()
    read_1, read_76 = (encode_request(FullRead(table)) for table in (1, 76))
    assert bench.ask(read_1)[0][:1] == b"\0"
    assert bench.ask(read_76)[0][0] == 3
    for password, code in ((b"reader", 0), (b"wrong", 3)):
        security = encode_service(NetworkSecurity(password.ljust(20), 2))
        assert [item[0] for item in bench.ask(security, read_76)] == [code, code]
    security = encode_service(NetworkSecurity(b"master".ljust(20), 2))
    write = encode_request(FullWrite(5, b"POLE 17".ljust(20)))
    read_5 = encode_request(FullRead(5))
    assert [item[0] for item in bench.ask(security, write, read_5)] == [0, 0, 0]
    assert bench.ask(write)[0] != b"\0", "rights end with their message"


def test_a_meter_that_is_deregistered_says_so_and_comes_back() -> None:
    bench = Bench()
    bench.meter.bearer_up("x", 0)
    bench.run(5)
    assert bench.meter.registered
    assert bench.ask(encode_service(Deregister(METER))) == (b"\0",)
    bench.run(5)
    assert bench.meter.registered


def test_without_mains_it_is_silent_and_comes_back_with_them() -> None:
    bench = Bench()
    bench.meter.bearer_up("x", 0)
    bench.run(5)
    bench.meter.mains(False, bench.now_us)
    before = len(bench.got)
    bench.host.request([encode_request(FullRead(1))], METER, "x", bench.now_us, key_id=0)
    bench.run(7200)
    assert len(bench.got) == before
    bench.meter.mains(True, bench.now_us)
    bench.meter.expire(bench.now_us)
    bench.run(60)
    assert bench.meter.registered and bench.notifications()


# Broken ways.


class Echo:
    """A node that answers every APDU with the same octets, and notifies when told to."""

    def __init__(self) -> None:
        self.out: list[tuple[Hashable, bytes]] = []
        self.got: list[bytes] = []

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        self.got.append(octets)
        self.out.append((path, octets))

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        out, self.out = self.out, []
        return out

    def bearer_up(self, path: Hashable, now_us: int) -> None: ...
    def bearer_down(self, path: Hashable, now_us: int) -> None: ...
    def expire(self, now_us: int) -> None: ...
    def deadline_us(self) -> int | None:
        return None


def a_link() -> Link:
    return Link(LinkSettings(), Random(1))


def a_line() -> tuple[BreakableNode, Echo]:
    echo = Echo()
    return BreakableNode(echo, a_link, Random(1)), echo


def passed(line: BreakableNode, octets: bytes, now_us: int) -> list[bytes]:
    line.receive("way", octets, now_us)
    return [one for _, one in line.outgoing()]


def test_a_fault_holds_for_its_count_in_its_direction() -> None:
    line, echo = a_line()
    line.add(NetworkFault(NetworkFaultKind.DROP, 2, "out"))
    assert [passed(line, b"%d" % n, n) for n in range(3)] == [[], [], [b"2"]]
    assert echo.got == [b"0", b"1", b"2"] and line.faults == [] and line.lost == 2
    line.add(NetworkFault(NetworkFaultKind.REPEAT, 1, "in", times=3))
    assert passed(line, b"x", 5) == [b"x"] * 3
    line.add(NetworkFault(NetworkFaultKind.CORRUPT, 1, "out"))
    [wrong] = passed(line, b"abc", 6)
    assert wrong != b"abc" and len(wrong) == 3
    assert passed(line, b"abc", 7) == [b"abc"]


def test_a_delay_of_one_holds_it_back_and_no_other() -> None:
    line, _ = a_line()
    line.add(NetworkFault(NetworkFaultKind.DELAY, 1, "out", ms=500))
    assert passed(line, b"slow", 0) == [] and passed(line, b"fast", 1000) == [b"fast"]
    assert line.deadline_us() == 500_000
    line.expire(500_000)
    assert [one for _, one in line.outgoing()] == [b"slow"] and line.faults == []


def test_a_cut_holds_on_ways_that_come_later_until_it_is_taken_away() -> None:
    line, echo = a_line()
    cut = NetworkFault(NetworkFaultKind.CUT)
    line.add(cut)
    assert passed(line, b"a", 0) == [] and echo.got == []
    line.receive("another", b"b", 1)
    assert line.outgoing() == [] and echo.got == []
    line.clear()
    assert passed(line, b"c", 2) == [b"c"]
    line.forget("another")
    assert line.lost == 2


def test_mute_takes_notifications_only() -> None:
    line, echo = a_line()
    line.add(NetworkFault(NetworkFaultKind.MUTE))
    envelope = Envelope(1, HOST, METER, qualifier=NOTIFICATION)
    read = [encode_request(FullRead(1))]
    echo.out += [("way", build_apdu(envelope, read, None, NEVER)), ("way", b"answer")]
    assert [one for _, one in line.outgoing()] == [b"answer"]


@given(st.lists(st.sampled_from(list(NetworkFaultKind)), max_size=5), st.integers(0, 99))
def test_any_faults_together_end_and_leave_a_whole_line(
    kinds: list[NetworkFaultKind], seed: int
) -> None:
    line = BreakableNode(Echo(), a_link, Random(seed))
    for kind in kinds:
        line.add(NetworkFault(kind, 3))
    for n in range(8):
        line.receive("way", b"%d" % n, n * S)
        line.outgoing()
    line.clear()
    line.expire(100 * S)
    line.outgoing()
    assert passed(line, b"whole", 101 * S) == [b"whole"]


# Keys, control and process.


def test_a_key_file_goes_there_and_back_and_says_what_is_missing() -> None:
    made = made_keys(3, 7, True)
    assert read_keys(key_text(made), "keys", 2) == made[:2]
    with pytest.raises(SettingsError, match="holds 3 meters, 4 are wanted; lower --count"):
        read_keys(key_text(made), "keys", 4)
    assert made_keys(3, 8, True)[0].key != made[0].key


def test_the_openapi_document_lists_what_one_and_all_can_suffer() -> None:
    document = json.loads(json.dumps(openapi(ACTIONS, "fleet")))
    assert {"/meters/{meter}/faults", "/all/faults", "/all/power"} <= set(document["paths"])
    kinds = document["paths"]["/all/faults"]["post"]["requestBody"]["content"]
    assert kinds["application/json"]["schema"]["properties"]["kind"]["enum"] == list(
        NetworkFaultKind
    )


class Fleet:
    """``fleet serve`` as a process, and its control."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smartmeter", "fleet", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()
        assert self.ready.startswith("ready "), self.process.communicate(timeout=60)

    def told(self, word: str) -> str:
        return next(part.split()[1] for part in self.ready.split("; ") if part.split()[0] == word)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method != "GET" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.told("control") + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def end(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=60)[1]


async def test_smartmeters_of_another_process_report_to_a_head_end_and_are_broken_by_http(
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys.csv"
    keys.write_text(key_text(made_keys(2, 3, False)))
    tms = TmsServer(tmp_path / "tms", Calendar(wall_utc_us(), 1, monotonic_us()))
    await tms.start("127.0.0.1", 0)
    tms.import_shipment(read_keys(keys.read_text(), "keys", 2))
    host, port = tms.address
    options = ("--count", "2", "--keys", str(keys), "--control", "127.0.0.1:0")
    fleet = await asyncio.to_thread(Fleet, "--connect", f"{host}:{port}", *options)
    try:
        done = "SELECT count(*) FROM meters WHERE state='provisioned'"
        await until(lambda: tms.store.number(done) == 2, "both are provisioned")
        assert await asyncio.to_thread(fleet.ask, "POST", "/all/faults", kind="cut") == {
            "meters": 2,
            "refused": 0,
        }
        tried = await asyncio.to_thread(fleet.ask, "POST", "/meters/1/tamper")
        assert tried == {"tries": 1}
        shown = await asyncio.to_thread(fleet.ask, "GET", "/meters")
        # On a busy machine it may have been sent again by now.
        assert shown[0]["lost"] == 0 < shown[1]["lost"] and shown[1]["waiting"] == 1
        assert await asyncio.to_thread(fleet.ask, "GET", "/meters/0/faults")
        await asyncio.to_thread(fleet.ask, "DELETE", "/all/faults")
        await asyncio.to_thread(fleet.ask, "POST", "/meters/0/tamper")
        alarms = "SELECT esn FROM alarms"
        await until(lambda: tms.store.read(alarms), "the alarm of the other comes")
        assert tms.store.read(alarms)[0]["esn"] == "SM000001"
        clocks = [
            (await asyncio.to_thread(fleet.ask, "POST", f"/meters/{n}/clock", offset_s=ahead))
            for n, ahead in ((0, 7200), (1, 0))
        ]
        assert 7100 < clocks[0]["utc_s"] - clocks[1]["utc_s"] <= 7200, "each has its own"
        off = await asyncio.to_thread(fleet.ask, "POST", "/meters/0/power", on=False)
        assert off == {"on": False}
        for path, body in (("/meters/9/power", {"on": True}), ("/meters/0/faults", {"kind": "x"})):
            assert "error" in await asyncio.to_thread(fleet.ask, "POST", path, **body)
    finally:
        assert "Traceback" not in await asyncio.to_thread(fleet.end)
        await tms.stop()


def test_what_a_plain_meter_has_heard_is_not_carried_out_again_after_its_restart() -> None:
    bench = Bench()
    write = encode_request(FullWrite(5, b"ONCE".ljust(20)))
    services = [encode_service(NetworkSecurity(b"master", 2)), write]
    bench.host.request(services, METER, "x", bench.now_us, key_id=0)
    [(_, recorded)] = bench.host.outgoing()
    bench.meter.receive("x", recorded, bench.now_us)
    bench.now_us += 2 * S
    assert bench.ask(services[0], encode_request(FullWrite(5, b"TWICE".ljust(20)))) == (b"\0",) * 2
    bench.restart()
    bench.meter.receive("x", recorded, bench.now_us)
    assert bench.meter.meter.table(5, bench.now_us) == b"TWICE".ljust(20)
    assert bench.ask(services[0], write) == (b"\0",) * 2, "what is new is"


def test_a_plain_meter_answers_everybody_s_question_also_while_no_head_end_is_there() -> None:
    bench = Bench()
    identify = [encode_request(Identify())]
    bench.host.request(identify, ApTitle.parse(".7.0"), "x", bench.now_us, timeout_us=20 * S)
    bench.run(10)
    [answer] = bench.got
    assert isinstance(answer, ResponseArrived) and answer.responses[0][:2] == b"\0\3"


async def test_what_is_for_everybody_comes_to_every_meter_and_is_never_uat() -> None:
    settings = ServedSettings(BearerSettings("head-end", "tcp:127.0.0.1:1"), ".1", 1, True)
    calendar = Calendar(wall_utc_us(), 1, monotonic_us())
    fleet = ServedFleet(made_keys(2, 1, True), settings, lambda: calendar)
    envelope = Envelope(1, ApTitle.parse(".7.0"), HOST)
    fleet.receive("nobody's", build_apdu(envelope, [encode_request(Identify())]))
    assert [member.line.counts["in"] for member in fleet.members] == [1, 1]
    assert not fleet.counts["not here"]


def test_plain_meters_register_with_a_relay_process_and_are_read_through_it(
    tmp_path: Path,
) -> None:
    from tests.smartmeter.comms.relays import relay_process

    relay, address = relay_process(tmp_path / "registrations")
    fleet = None
    try:
        keys = tmp_path / "keys.csv"
        options = ("--plain", "--register", "clear", "--listen", "127.0.0.1:0")
        fleet = Fleet(
            "--connect", f"{address[0]}:{address[1]}", "--count", "2", "--keys", str(keys),
            "--control", "127.0.0.1:0", *options,
        )  # fmt: skip
        assert keys.stat().st_mode & 0o077 == 0
        second = read_keys(keys.read_text(), "keys", 2)[1]
        wait_until(lambda: all(one["state"] == "registered" for one in fleet.ask("GET", "/meters")))
        direct = fleet.told("listen").removeprefix("tcp:")
        for way in (f"{address[0]}:{address[1]}", direct):
            name, key = f"c1222://{way}/{second.title}", EaxPrime(second.key)
            with NetworkMeter(name, {0: key}, b"reader") as meter:
                assert second.esn.encode() in meter.read(1) and meter.read(76)
        no_title = pytest.raises(LinkError, match="uat: nobody there has this title")
        with no_title, NetworkMeter(f"c1222://{direct}/.7.1.1", {}) as nobody:
            nobody.read(1)
    finally:
        for process in (relay, fleet.process if fleet else None):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)


@pytest.mark.parametrize(
    "arguments, word",
    [
        (("--keys", "k"), "--connect"),
        (("--connect", "h:1"), "--keys"),
        (("--connect", "h:x", "--keys", "k"), "HOST:PORT"),
        (("--connect", "h:1", "--keys", "no/such/file"), "choose another"),
        (("--connect", "h:1", "--keys", os.devnull), "no header"),
        (("--connect", "h:1", "--keys", "k", "--host-title", "x"), "title"),
        (("--connect", "h:1", "--keys", "k", "--profile", "x"), "profile"),
        (("--connect", "h:1", "--keys", "k", "--count", "0"), "--count"),
        (("--connect", "h:1", "--keys", "k", "--template", "none"), "--template"),
    ],
)
def test_wrong_use_is_one_line_with_the_remedy(
    arguments: tuple[str, ...], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from click.testing import CliRunner

    from smartmeter.cli.fleet import command

    done = CliRunner().invoke(command, ["serve", *arguments])
    assert done.exit_code != 0
    assert word in f"{done.output} {done.exception}"


def test_an_action_that_cannot_be_is_refused() -> None:
    control = FleetControl([], dict)
    for method, path, status in (("GET", "/x", 404), ("PUT", "/all/faults", 405)):
        with pytest.raises(ControlError) as caught:
            control.handle(method, path, None, 0)
        assert caught.value.status == status
    assert decode_apdu(build_apdu(Envelope(1, HOST), [b"\x20"], None, ALWAYS)).called == HOST
