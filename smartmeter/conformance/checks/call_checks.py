"""Group *call*: what C12.21 adds on the telephone (D97 to D106); only planned in a call."""

from __future__ import annotations

from functools import partial

from protocols.errors import RemoteProtocolError
from protocols.psem.codes import ResponseCode
from protocols.psem.identification import Identification, parse_identification
from protocols.psem.services import (
    Authenticate,
    Disconnect,
    FullRead,
    Identify,
    Negotiate,
    TimingSetup,
)
from smartmeter.conformance.bench import Bench, Permit, in_group
from smartmeter.conformance.tester import SLACK_US
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "call")
isss, ok, sns = ResponseCode.isss, ResponseCode.ok, ResponseCode.sns
isc, err = ResponseCode.isc, ResponseCode.err
#: The check's own time-outs: traffic 10 s, and the others as by default.
SETUP = TimingSetup(10, 1, 4, 3)
DES_OCTETS = 8


@check("D97", "a foreign identity is met with silence", Basis.MEMORY, seconds=6)
def foreign_identity(bench: Bench) -> None:
    """On a shared line others answer; a device that says anything would disturb them."""
    tester = bench.base()
    if not tester.identity:
        raise NotApplicable("the device's own identity is not given: modem:NUMBER/IDENTITY@PORT")
    foreign = tester.packet(b"\x20", identity=tester.identity ^ 0x55)
    tester.write(foreign)
    tester.silence(bench.rules.response_us, "a request to another identity")
    tester.identify()


@check("D98", "the own identity and 00 are answered with the same", Basis.ONE_SOURCE)
def own_identity(bench: Bench) -> None:
    """Whoever calls a line with one device need not know its identity."""
    for identity in (bench.tester.identity, 0):
        tester = bench.base()
        tester.identity = identity
        tester.identify()


@check("D99", "before Timing Setup the time-outs of a call hold", seconds=30)
def default_time_outs(bench: Bench) -> None:
    """An ID state of 25 s survives (traffic 30 s), and so does a pause of 0.8 s in a packet."""
    tester = bench.id_state()
    tester.rest(25_000_000, "the channel traffic time-out of a call is 30 s")
    octets = tester.packet(b"\x61\x00\x40\x01")
    tester.write(octets[:7])
    tester.pause(800_000)
    tester.deliver(octets[7:], "a packet with a pause of 0.8 s in it")
    tester.answer()
    tester.ask(bench.logon()).want(ok)


@check("D100", "Timing Setup is answered with what is then used; in ID only", seconds=14)
def timing_setup(bench: Bench) -> None:
    """Four values, none 0; with 10 s of traffic time-out asked for, less than 30 s are kept."""
    bench.base().ask(SETUP).want(isss, sns)
    tester = bench.id_state()
    values = tester.ask(SETUP).want_served("TimingSetup").want(ok).data
    if len(values) != 4 or not all(values[:3]):
        raise Deviation(f"answered with {values.hex(' ') or 'nothing'}, four values are due")
    traffic_us = values[0] * 1_000_000
    if traffic_us < bench.rules.traffic_us:
        tester.rest(traffic_us + SLACK_US, f"the device has taken {values[0]} s")
        tester.ask(bench.logon()).want(isss)
    bench.session().ask(SETUP).want(isss)


@check("D103", "every Identification has a ticket of its own", Basis.MEMORY, seconds=3)
def tickets(bench: Bench) -> None:
    """One that comes again lets a recorded proof in."""
    found = set()
    for _ in range(3):
        found.add(_announced(bench).ticket)
    if len(found) != 3:
        raise Deviation(f"{len(found)} tickets in three sessions")


@check("D101", "a right proof of the key is answered with the device's own", seconds=3)
def right_proof(bench: Bench) -> None:
    """``00 09 key-id E(key, E(key, ticket))``."""
    key_id, key = _key(bench)
    block, second = _proofs(key, _ticket(bench))
    bench.tester.ask(bench.logon()).want(ok)
    answer = bench.tester.ask(Authenticate(key_id, block)).want(ok)
    if answer.data != bytes((1 + DES_OCTETS, key_id)) + second:
        raise Deviation("the device does not prove the key")


@check(
    "D102",
    "a wrong proof or key is refused, and the session stays",
    needs=Permit.ATTACKS,
    seconds=4,
)
def wrong_proof(bench: Bench) -> None:
    """``03`` or ``01``, and no rights."""
    _ticket(bench)
    bench.tester.ask(bench.logon()).want(ok)
    for key_id in (0, 255):
        bench.tester.ask(Authenticate(key_id, bytes(DES_OCTETS))).want(isc, err)
    bench.want_session()


@check("D104", "a proof of an earlier session is refused", needs=Permit.ATTACKS, seconds=5)
def recorded_proof(bench: Bench) -> None:
    """Whoever has listened in must not come in."""
    key_id, key = _key(bench)
    block, _ = _proofs(key, _ticket(bench))
    bench.tester.ask(bench.logon()).want(ok)
    bench.tester.ask(Authenticate(key_id, block)).want(ok)
    _ticket(bench)
    bench.tester.ask(bench.logon()).want(ok)
    bench.tester.ask(Authenticate(key_id, block)).want(isc, err)


@check("D105", "Disconnect is ok in every state, and ends it", Basis.ONE_SOURCE, seconds=8)
def disconnect(bench: Bench) -> None:
    """The device hangs up after our ACK; whoever calls again finds it in Base."""
    for state in (bench.base, bench.id_state, bench.session):
        state().ask(Disconnect()).want(ok)
        bench.tester.defaults()
        bench.tester.pause(1_000_000)
        bench.tester.ask(bench.logon()).want(isss)


@check("D106", "a lost carrier ends the session", Basis.RECOMMENDATION, seconds=20)
def lost_carrier(bench: Bench) -> None:
    """The next call begins in Base, whatever the one before was at."""
    tester = bench.best_session()
    if not tester.line.cut():
        raise NotApplicable("this line cannot be cut off and called again")
    tester.transcript.remark("the carrier is lost; called again", tester.now_us())
    tester.forget()
    tester.defaults()
    tester.ask(FullRead(0)).want(isss)
    tester.ask(Identify()).want(ok)
    tester.ask(Negotiate(64, 1)).want(ok, sns)


def _announced(bench: Bench) -> Identification:
    """Identify from Base on; NotApplicable where the device announces no Authenticate."""
    try:
        found = parse_identification(bench.base().identify().data)
    except RemoteProtocolError as error:
        raise Deviation(str(error)) from error
    if found.ticket is None:
        raise NotApplicable("the device announces no Authenticate")
    return found


def _ticket(bench: Bench) -> bytes:
    found = _announced(bench)
    assert found.ticket is not None
    if len(found.ticket) != DES_OCTETS:
        raise NotApplicable(f"a ticket of {len(found.ticket)} octets is none for DES")
    return found.ticket


def _key(bench: Bench) -> tuple[int, bytes]:
    if bench.call_key is None:
        raise NotApplicable("no key is given: SMARTMETER_CALL_KEY=ID=HEX")
    return bench.call_key


def _proofs(key: bytes, ticket: bytes) -> tuple[bytes, bytes]:
    """Give E(key, ticket), and the device's answer to it."""
    from protocols.c1221.authentication import proof

    block = proof(key, ticket)
    return block, proof(key, block)
