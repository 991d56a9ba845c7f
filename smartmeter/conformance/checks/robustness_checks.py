"""Group *robustness*: the device stays up, and is itself afterwards."""

from __future__ import annotations

from functools import partial

from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, OffsetRead
from smartmeter.conformance.bench import Bench, Permit, in_group, raw
from smartmeter.conformance.verdicts import Deviation, Unreachable

check = partial(in_group, "robustness")
SETTLE_US = 2_000_000
SESSIONS = 12
FLOOD_OCTETS = 20_000


def _still_itself(bench: Bench, before: bytes, why: str) -> None:
    try:
        tester = bench.session(room=True, password=bench.password)
    except (Deviation, Unreachable) as error:
        raise Deviation(f"{why}: no session is possible any more ({error})") from error
    answer = tester.ask(FullRead(1))
    if answer.ok and answer.data != before:
        raise Deviation(f"{why}: ST-01 has changed")


def _identity(bench: Bench) -> bytes:
    answer = bench.best_session().ask(FullRead(1))
    return answer.data


@check("R01", "many sessions one after the other are served", seconds=20)
def many_sessions(bench: Bench) -> None:
    """Ended properly, and left open."""
    before = _identity(bench)
    for number in range(SESSIONS):
        tester = bench.session(room=bool(number % 2))
        tester.ask(OffsetRead(0, 0, 1))
    _still_itself(bench, before, "after many sessions")


@check("R02", "packets cut short anywhere leave no trace", seconds=30)
def cut_packets(bench: Bench) -> None:
    """A Logon cut at drawn places; then a whole one."""
    before = _identity(bench)
    whole = bench.tester.packet(encode_request(bench.logon()))
    for _ in range(4):
        tester = bench.id_state()
        tester.write(whole[: bench.rng.randrange(1, len(whole))])
        tester.pause(SETTLE_US + tester.way_us)
        tester.forget()
        tester.ask(bench.logon()).want(ResponseCode.ok)
    _still_itself(bench, before, "after packets cut short")


@check("R03", "a client that vanishes inside an answer leaves no trace", seconds=20)
def vanished_client(bench: Bench) -> None:
    """After the request, after the ACK, after a part of the answer."""
    before = _identity(bench)
    for acknowledge in (False, True):
        tester = bench.session(room=True)
        tester.write(tester.packet(b"\x30\x00\x00"))
        if acknowledge:
            tester.want_ack()
            tester.want_packet()
        tester.rest(9_000_000 + tester.way_us, "the client has vanished")
        tester.forget()
    _still_itself(bench, before, "after a client that vanished")


@check("R04", "every one-octet request is answered", needs=Permit.ATTACKS, seconds=60)
def one_octet_requests(bench: Bench) -> None:
    """All 256 codes, in Session; those that end it begin a new one."""
    before = _identity(bench)
    tester = bench.session()
    for code in range(256):
        tester.ask(bytes((code,)))
        if code in (0x21, 0x52) or not code % 64:
            tester = bench.session()
    _still_itself(bench, before, "after every code")


@check(
    "R05", "malformed requests are answered and change nothing", needs=Permit.ATTACKS, seconds=40
)
def malformed_requests(bench: Bench) -> None:
    """Drawn codes with drawn octets behind them; writes only to tables that cannot be."""
    before = _identity(bench)
    tester = bench.session()
    codes = (0x20, 0x30, 0x31, 0x35, 0x39, 0x3F, 0x41, 0x49, 0x50, 0x51, 0x60, 0x6B, 0x70)
    for _ in range(40):
        code = bench.rng.choice(codes)
        size = bench.rng.randrange(30)
        body = bytes(bench.rng.randrange(256) for _ in range(size))
        if code & 0xF0 == 0x40:
            body = b"\x07\xff" + body
        if code == 0x51 and size == 20:
            continue  # that would be a wrong password
        tester.ask(bytes((code,)) + body)
    _still_itself(bench, before, "after malformed requests")


@check("R06", "a flood of octets leaves no trace", needs=Permit.ATTACKS, seconds=60)
def flood(bench: Bench) -> None:
    """Random octets, begun packets and packets of any header; no password, no Write."""
    before = _identity(bench)
    tester = bench.base()
    left = FLOOD_OCTETS
    while left > 0:
        size = bench.rng.randrange(1, 120)
        octets = bytes(bench.rng.randrange(256) for _ in range(size))
        if bench.rng.random() < 0.4:
            octets = raw(
                bench.rng.randrange(256), bench.rng.randrange(4), size, b"\x20" + octets[1:]
            )
        tester.line.write(octets)
        left -= len(octets)
    tester.transcript.remark(f"{FLOOD_OCTETS} random octets were sent", tester.now_us())
    tester.pause(SETTLE_US + tester.way_us)
    tester.forget()
    _still_itself(bench, before, "after a flood")
