"""The bench on our own meter: it passes, sends nothing harmful, and its reports hold all."""

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from xml.etree import ElementTree

import pytest

from protocols.c1218.server import Server, ServerOptions
from protocols.c1221.server import CallOptions, CallServer
from protocols.datalink.packet import OVERHEAD_OCTETS, STP, decode_packet
from protocols.errors import PortError, RemoteProtocolError
from protocols.machine import Event, Machine, earliest
from protocols.psem.codes import START_BAUD, ResponseCode
from protocols.psem.services import Identify, Logon, Negotiate, Response
from protocols.transports.memory import MachinePort
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.conformance.bench import GROUPS, ROOM_OCTETS, Bench, Permit, all_checks
from smartmeter.conformance.html_report import to_html
from smartmeter.conformance.line import PortLine, SimulatedLine
from smartmeter.conformance.line_rules import CALL
from smartmeter.conformance.model import Model, Step
from smartmeter.conformance.replaying import replay
from smartmeter.conformance.report import Report, difference, from_json, to_junit
from smartmeter.conformance.runner import plan, run
from smartmeter.conformance.settings import read_profile, read_waivers
from smartmeter.conformance.verdicts import Deviation, Result, Verdict
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES, RANDOM, profile_named
from smartmeter.meter.sample import measured_meter
from smartmeter.simulation.control import EditableMeter
from smartmeter.simulation.telephone_meter import KeyedPort
from tests.protocols.c1218.device_bench import ModelDevice
from tests.smartmeter.meter.sessions import NOON_UTC_US, original

ALL = frozenset(Permit)
CALL_KEY = bytes.fromhex("0123456789abcdef")


class Recorded:
    """A machine, and all octets that it was given."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.heard = bytearray()

    def __getattr__(self, name: str) -> object:
        return getattr(self._machine, name)

    def receive(self, data: bytes, now_us: int) -> None:
        self.heard += data
        self._machine.receive(data, now_us)

    def requests(self) -> Iterator[bytes]:
        """Give the data of every good packet that was heard, first ones of a message only."""
        heard, at = bytes(self.heard), -1
        while (at := heard.find(bytes((STP,)), at + 1)) >= 0:
            length = int.from_bytes(heard[at + 4 : at + 6], "big")
            with suppress(RemoteProtocolError):
                packet = decode_packet(heard[at : at + 8 + length])
                if packet.data and (packet.is_first or not packet.is_multi):
                    yield packet.data


def bench_on(machine: object, permits: frozenset[Permit] = frozenset(), seed: int = 1) -> Bench:
    bench = Bench.on(SimulatedLine(machine), seed)  # type: ignore[arg-type]
    bench.reader, bench.master, bench.permits = b"reader", b"master", permits
    return bench


def failures(results: list[Result]) -> list[tuple[str, str]]:
    return [(result.check, result.text) for result in results if result.verdict.failed]


class OnTelephone:
    """A meter in a call that never ends: C12.21 without a modem."""

    def __init__(self) -> None:
        self._meter = original()
        tickets = count(1)
        options = CallOptions(lambda: next(tickets).to_bytes(8, "big"), 7)
        self._server = CallServer(KeyedPort(self._meter, {1: CALL_KEY}), options)
        self.line_lost = self._server.line_lost
        self.receive, self.outgoing = self._server.receive, self._server.outgoing
        self.sent, self.events = self._server.sent, self._server.events

    def expire(self, now_us: int) -> None:
        self._meter.expire(now_us)
        self._server.expire(now_us)

    def deadline_us(self) -> int | None:
        dues = (self._meter.deadline_us(), self._server.deadline_us())
        return min((due for due in dues if due is not None), default=None)


def test_our_meter_passes_every_group_in_a_call() -> None:
    bench = Bench.on(SimulatedLine(OnTelephone()), 1, CALL, identity=7)  # type: ignore[arg-type]
    bench.reader, bench.master, bench.permits = b"reader", b"master", ALL
    bench.call_key = (1, CALL_KEY)
    results = run(bench, plan(ALL, seed=1, in_a_call=True))
    assert failures(results) == []
    missing = {r.check for r in results if r.verdict is Verdict.NOT_APPLICABLE}
    assert missing <= {"D80", "D80b", "D81", "D91", "T08", "S15", "S16"}


CALL_CHECKS = tuple(f"D{number}" for number in range(97, 107))


def in_a_call(machine: object, key: bytes = CALL_KEY) -> dict[str, Verdict]:
    """Give what the checks of a call say of a device."""
    bench = Bench.on(SimulatedLine(machine), 1, CALL, identity=7)  # type: ignore[arg-type]
    bench.permits, bench.call_key = ALL, (1, key)
    results = run(bench, plan(ALL, frozenset({"call"}), in_a_call=True))
    return {result.check: result.verdict for result in results}


class WrongOnTelephone(OnTelephone):
    """A device that does one thing wrong in a call; each is caught by its check."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self._wrong, server = wrong, self._server
        if wrong == "D97":
            server._link.accepts = None
        elif wrong == "D98":
            server._link.accepts = frozenset((7,))
        elif wrong == "D103":
            server._call = replace(server._call, ticket=lambda: bytes(8))
        elif wrong == "D106":
            self.line_lost = lambda now_us: None  # type: ignore[method-assign]


@pytest.mark.parametrize("wrong", ["D97", "D98", "D103", "D106"])
def test_a_device_that_is_wrong_in_a_call_is_caught_by_the_check(wrong: str) -> None:
    assert in_a_call(WrongOnTelephone(wrong))[wrong].failed


def test_a_device_without_the_key_is_caught_and_checks_of_a_call_are_for_calls_only() -> None:
    found = in_a_call(OnTelephone(), bytes(8))
    assert found["D101"] is Verdict.VIOLATION
    assert set(found) == set(CALL_CHECKS)
    assert not {each.name for each in plan(ALL).checks} & set(CALL_CHECKS)


class Ending:
    """A port whose call ends before anything is said."""

    closed = 0

    def read(self, timeout_s: float) -> bytes:
        raise PortError("the call has ended")

    write = read  # type: ignore[assignment]

    def close(self) -> None:
        self.closed += 1


def test_a_line_whose_call_has_ended_is_called_again_and_a_cable_is_not() -> None:
    ended, machine = Ending(), MachinePort(original(), lambda: 0)
    line = PortLine(ended, lambda: 0, lambda: machine, hangs_up=True)  # type: ignore[arg-type]
    assert line.read(0) == b"" and ended.closed == 1
    line = PortLine(ended, lambda: 0, lambda: machine, hangs_up=True)  # type: ignore[arg-type]
    line.write(b"\xee")
    with pytest.raises(PortError):
        PortLine(ended, lambda: 0).read(0)  # type: ignore[arg-type]


class Fragile(SimulatedLine):
    """A meter that ends at a packet of no data; whoever opens its port finds one begun anew."""

    gone = False

    def write(self, data: bytes) -> None:
        self.gone = self.gone or data[4:6] == b"\0\0"
        self._raise_if_gone()
        super().write(data)

    def read(self, until_us: int) -> bytes:
        self._raise_if_gone()
        return super().read(until_us)

    def reopen(self) -> None:
        self.gone = False
        self._machine = original()

    def _raise_if_gone(self) -> None:
        if self.gone:
            raise PortError("closed the connection")


def test_a_device_that_ends_at_a_packet_fails_that_check_and_the_others_go_on() -> None:
    bench = Bench.on(Fragile(original()), 1)
    results = run(bench, plan(frozenset(), names=frozenset({"D14", "D15", "D16"})))
    verdicts = [(result.check, result.verdict) for result in results]
    assert verdicts == [
        ("D14", Verdict.PASSED),
        ("D15", Verdict.VIOLATION),
        ("D16", Verdict.PASSED),
    ]
    assert "closed the connection" in results[1].text and list(results[1].transcript.lines())


def test_a_grant_that_holds_no_request_is_a_deviation_and_not_an_error_of_ours() -> None:
    options = ServerOptions(max_packet_octets=9, max_packets=1, min_packet_octets=9)
    meter = Server(ModelDevice(), options)
    results = run(bench_on(meter), plan(frozenset(), groups=frozenset({"tables"})))
    assert any("hold no request" in result.text for result in results)


class Stingy(Server):
    """A device that grants room only to whom asks for much, and packets of no data to others."""

    def _negotiate(self, request: Negotiate) -> Response:
        if request.packet_size >= ROOM_OCTETS:
            return super()._negotiate(request)
        return Response(ResponseCode.ok, bytes((0, OVERHEAD_OCTETS, 1, 0)))


def test_a_grant_that_holds_no_request_is_a_deviation_in_a_drawn_session_too() -> None:
    bench = bench_on(Stingy(ModelDevice()))
    session = [Step(Identify()), Step(Negotiate(64, 1)), Step(Logon(0, b"reader"))]
    with pytest.raises(Deviation, match=r"step 2, .* hold no request"):
        Model(bench).run(session)


@pytest.mark.parametrize("name", ["D84", "D88"])
def test_a_check_of_limits_finds_no_fault_where_st_00_is_long_and_grants_are_small(
    name: str,
) -> None:
    options = ServerOptions(max_packet_octets=128, max_packets=1)
    bench = Bench.on(SimulatedLine(Server(ModelDevice({0: bytes(200)}), options)), 1)
    (result,) = run(bench, plan(frozenset(), names=frozenset({name})))
    assert result.verdict is Verdict.PASSED, result.text


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_our_meter_passes_every_group(seed: int) -> None:
    results = run(bench_on(original(), ALL, seed), plan(ALL, seed=seed))
    assert failures(results) == []
    passed = {result.group for result in results if result.verdict is Verdict.PASSED}
    assert passed == set(GROUPS) - {"call"}
    missing = {r.check for r in results if r.verdict is Verdict.NOT_APPLICABLE}
    # No speeds are claimed, no clock is there to compare with, its log monitors no accesses.
    assert missing <= {"D80b", "T08", "S15", "S16"}


@pytest.mark.night
@pytest.mark.parametrize("seed", range(10, 60))
def test_our_meter_passes_over_fifty_seeds(seed: int) -> None:
    assert failures(run(bench_on(original(), ALL, seed), plan(ALL, seed=seed))) == []


@pytest.mark.night
@pytest.mark.parametrize("name", [*PROFILES, *(f"{RANDOM} {seed}" for seed in range(1, 41))])
def test_every_profile_and_drawn_devices_pass(name: str) -> None:
    kind, _, seed = name.partition(" ")
    settings = MeterSettings(profile=profile_named(kind, int(seed or 1)))
    bench = bench_on(measured_meter(settings, NOON_UTC_US, 0), ALL, int(seed or 1))
    assert failures(run(bench, plan(ALL, seed=int(seed or 1)))) == []


def test_without_a_permit_nothing_harmful_is_sent() -> None:
    recorded = Recorded(original())
    run(bench_on(recorded), plan(frozenset()))
    sent = list(recorded.requests())
    assert len(sent) > 500
    assert not [psem.hex() for psem in sent if 0x40 <= psem[0] <= 0x4F], "a Write"
    passwords = {psem[1:].rstrip() for psem in sent if psem[0] == 0x51}
    assert passwords == {b"reader"}
    assert len(recorded.heard) < 100_000, "a flood"


def test_no_report_holds_a_password_not_even_one_cut_short() -> None:
    report = Report(
        tuple(run(bench_on(original(), ALL), plan(ALL, groups=frozenset({"security"}))))
    )
    octets = report.to_json().replace(" ", "")
    for word in (b"reader", b"master", b"reade"):
        assert word.hex() not in octets
    assert b"*" in bytes.fromhex("".join(re.findall('"hex": ?"([0-9a-f]*)"', octets)))


def test_what_the_bench_wrote_it_has_put_back() -> None:
    meter = original()
    before = [meter.table(number, 0) for number in (5, 6)]
    permits = frozenset({Permit.WRITES})
    results = run(bench_on(meter, permits), plan(permits, names=frozenset({"D71", "D75", "D74"})))
    assert [result.verdict for result in results] == [Verdict.PASSED] * 3
    now_us = 10**12
    assert [meter.table(number, now_us) for number in (5, 6)] == before


class Deaf:
    """A device that hears nothing."""

    def receive(self, data: bytes, now_us: int) -> None: ...
    def expire(self, now_us: int) -> None: ...
    def deadline_us(self) -> None: ...
    def outgoing(self) -> bytes:
        return b""

    def sent(self, now_us: int) -> None: ...
    def events(self) -> list[object]:
        return []


def test_a_device_that_does_not_answer_is_one_violation_and_the_rest_is_not_run() -> None:
    results = run(bench_on(Deaf()), plan(frozenset(), groups=frozenset({"line"})))
    assert results[0].verdict is Verdict.VIOLATION
    assert {result.verdict for result in results[1:]} == {Verdict.NOT_RUN}


def test_a_spent_budget_leaves_checks_out_and_says_so() -> None:
    results = run(bench_on(original()), plan(frozenset(), budget_s=20))
    assert results[0].verdict is Verdict.PASSED
    assert results[-1].verdict is Verdict.NOT_RUN and "budget" in results[-1].text


def test_a_clock_that_shows_no_date_is_told_by_its_octets() -> None:
    meter = EditableMeter(MeterSettings(), MemoryNvram(), Calendar(NOON_UTC_US), 0)
    meter.edited[52] = b"\xff" * len(meter.table(52, 0))
    (result,) = run(bench_on(meter), plan(frozenset(), names=frozenset({"T07"})))
    assert result.text == "the clock shows FF FF FF FF FF FF, which is no date"


def test_the_checks_carry_the_numbers_of_the_digest() -> None:
    numbered = {each.name for each in all_checks() if re.fullmatch(r"D\d\d[a-z]?", each.name)}
    assert len(numbered) >= 80
    assert len({each.title for each in all_checks()}) == len(all_checks())


class Stuttering(Recorded):
    """A meter whose every answer comes with its second-to-last octet wrong."""

    def outgoing(self) -> bytes:
        data: bytes = self._machine.outgoing()
        return data if len(data) < 9 else data[:-2] + bytes((data[-2] ^ 1,)) + data[-1:]


class Empty(Recorded):
    """A meter whose answers of at least so many octets are packets of no data, rightly summed."""

    def __init__(self, machine: Machine, least: int) -> None:
        super().__init__(machine)
        self._least = least

    def outgoing(self) -> bytes:
        data: bytes = self._machine.outgoing()
        at = data.find(bytes((STP,)))
        if at < 0 or len(data) - at - OVERHEAD_OCTETS < self._least:
            return data
        return data[:at] + bytes.fromhex("EE00000000003E4C")


@pytest.mark.parametrize("least", [1, 2])
def test_a_packet_of_no_data_is_no_answer(least: int) -> None:
    """Of 1: to Terminate neither; of 2: Identify is the first that is answered so."""
    results = run(bench_on(Empty(original(), least)), plan(frozenset(), groups=frozenset({"line"})))
    assert Verdict.VIOLATION in {result.verdict for result in results}
    report = Report(tuple(results))
    assert from_json(report.to_json(), "report.json").to_json() == report.to_json()


def broken_report() -> Report:
    results = run(bench_on(Stuttering(original())), plan(frozenset(), groups=frozenset({"line"})))
    return Report(tuple(results), {"model": "<broken & bad>"}, {"seed": 1})


def test_a_broken_device_is_told_with_its_octets_in_every_report() -> None:
    report = broken_report()
    assert report.failed
    again = from_json(report.to_json(), "report.json")
    assert again.to_json() == report.to_json()
    suites = ElementTree.fromstring(to_junit(report))
    assert suites.find(".//failure") is not None
    page = to_html(report)
    assert "&lt;broken &amp; bad&gt;" in page and "<broken" not in page
    assert "http" not in page and "<script" not in page
    assert "EE 00" in page


def test_the_difference_of_two_reports_names_what_got_worse() -> None:
    good = Report(tuple(run(bench_on(original()), plan(frozenset(), groups=frozenset({"line"})))))
    changes = difference(good, broken_report())
    assert any(change.worse for change in changes)
    assert difference(good, good) == []


def test_a_waived_failure_is_no_violation() -> None:
    waivers = {each.name: "known" for each in all_checks()}
    chosen = replace(plan(frozenset(), groups=frozenset({"line"})), waivers=waivers)
    results = run(bench_on(Stuttering(original())), chosen)
    assert Verdict.WAIVED in {result.verdict for result in results}
    assert not Report(tuple(results)).failed


class Forgetful(Recorded):
    """A meter that ends the session at every Wait: only a session with a Wait shows it."""

    def receive(self, data: bytes, now_us: int) -> None:
        self._machine.receive(data, now_us)
        if b"\x00\x02\x70" in data:
            meter: object = self._machine
            meter._server._wait_us = 1  # type: ignore[attr-defined]
            meter._server.state = type(meter._server.state).BASE  # type: ignore[attr-defined]


def test_a_drawn_session_that_fails_is_shrunk_and_replays() -> None:
    bench = bench_on(Forgetful(original()))
    bench.examples = 200
    (result,) = run(bench, plan(frozenset(), names=frozenset({"H01"})))
    assert result.verdict is Verdict.VIOLATION
    assert len(result.steps) <= 4, result.steps
    assert any(" 70" in step for step in result.steps), result.steps
    report = from_json(Report((result,), {}, {"seed": 1}).to_json(), "r")
    how = plan(frozenset())
    (again,) = replay(bench_on(Forgetful(original())), report, how, lambda result: None)
    assert again.verdict is Verdict.VIOLATION and again.steps == result.steps
    (mended,) = replay(bench_on(original()), report, how, lambda result: None)
    assert mended.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    "read, text, words",
    [
        (read_profile, "lacks = ['Flight']", "lacks"),
        (read_profile, "user_id = -1", "user_id"),
        (read_profile, "colour = 1", "colour"),
        (read_profile, "bauds = [9601]", "bauds"),
        (read_profile, "bauds = [[9600]]", "bauds"),
        (read_profile, "= 1", "TOML"),
        (read_waivers, "[[waiver]]\ncheck = 'Z9'\nreason = 'x'", "Z9"),
        (read_waivers, "[[waiver]]\ncheck = 'D45'", "reason"),
        (read_waivers, "waiver = 3", "waivers"),
        (read_waivers, "[[waiver]]\ncheck = ['D45']\nreason = 'x'", "is no check"),
        (from_json, "{}", "report"),
        (from_json, json.dumps({"format": "smartmeter-conformance/1", "results": [1]}), "report"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(read: object, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        read(text, "file")  # type: ignore[operator]
    assert "Error(" not in str(caught.value), "the words of a person, not of Python"


def test_a_report_whose_times_are_no_numbers_is_refused() -> None:
    body = json.loads(broken_report().to_json())
    entry = next(entry for each in body["results"] for entry in each["transcript"])
    for wrong in (float("inf"), float("nan"), "x", None):
        entry["us"] = wrong
        with pytest.raises(SettingsError, match="is no report of ours"):
            from_json(json.dumps(body), "report.json")


def test_a_profile_that_lacks_a_service_makes_its_checks_not_applicable() -> None:
    bench = bench_on(original())
    bench.profile = read_profile("lacks = ['Wait']", "profile")
    (result,) = run(bench, plan(frozenset(), names=frozenset({"D85"})))
    assert result.verdict is Verdict.NOT_APPLICABLE and "Wait" in result.text


def test_the_registers_of_the_previous_season_are_no_list_whose_pointers_were_looked_at() -> None:
    settings = MeterSettings(profile=PROFILES["residential-tou"])
    bench = bench_on(measured_meter(settings, NOON_UTC_US, 0))
    assert bench.table(24)
    bench.refused |= dict.fromkeys((26, 63, 74, 76), ResponseCode.isc)
    (result,) = run(bench, plan(frozenset(), names=frozenset({"T06"})))
    assert result.verdict is Verdict.NOT_APPLICABLE, result.text


def test_a_log_of_sessions_that_moves_is_no_deviation() -> None:
    """Each session with this device is an entry of its history log, which the check has drawn."""
    settings = MeterSettings(profile=profile_named(RANDOM, 26))
    bench = bench_on(measured_meter(settings, NOON_UTC_US, 0), ALL, 26)
    assert failures(run(bench, plan(ALL, names=frozenset({"A02"}), seed=26))) == []


class FarAway:
    """A machine behind a way that keeps octets, in either direction, and passes them on later."""

    def __init__(self, machine: Machine, way_us: int) -> None:
        self._machine, self._way_us = machine, way_us
        self._there: deque[tuple[int, bytes]] = deque()
        self._back: deque[tuple[int, bytes]] = deque()
        self._leaves_us: int | None = None
        self._now_us = 0

    def receive(self, data: bytes, now_us: int) -> None:
        self._there.append((now_us + self._way_us, data))
        self.expire(now_us)

    def expire(self, now_us: int) -> None:
        self._now_us = now_us
        if self._leaves_us is not None and self._leaves_us <= now_us:
            self._leaves_us = None
            self._machine.sent(now_us)
        while self._there and self._there[0][0] <= now_us:
            self._machine.receive(self._there.popleft()[1], now_us)
        self._machine.expire(now_us)
        if data := self._machine.outgoing():
            self._leaves_us = now_us + len(data) * 10 * US_PER_S // START_BAUD
            self._back.append((now_us + self._way_us, data))  # the line adds how long it is

    def deadline_us(self) -> int | None:
        dues = [waiting[0][0] for waiting in (self._there, self._back) if waiting]
        return earliest(self._machine.deadline_us(), self._leaves_us, *dues)

    def outgoing(self) -> bytes:
        is_there = self._back and self._back[0][0] <= self._now_us
        return self._back.popleft()[1] if is_there else b""

    def sent(self, now_us: int) -> None: ...
    def events(self) -> Sequence[Event]:
        return self._machine.events()


#: A way of more than half a second is worth an advice of M02.
BUT_TIMING = tuple(group for group in GROUPS if group != "timing")


@pytest.mark.parametrize(
    "way_us, groups", [(50_000, GROUPS), (400_000, BUT_TIMING), (950_000, BUT_TIMING)]
)
def test_a_device_that_is_far_away_is_blamed_for_nothing(
    way_us: int, groups: tuple[str, ...]
) -> None:
    bench = bench_on(FarAway(original(), way_us), ALL)
    results = run(bench, plan(ALL, groups=frozenset(groups)))
    assert failures(results) == []
