"""Group *session*: states, and what ends them (C12.18 4.13, 2.9)."""

from __future__ import annotations

from functools import partial

from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    DefaultRead,
    FullRead,
    Identify,
    IndexRead,
    Logoff,
    Negotiate,
    OffsetRead,
    Security,
    Terminate,
    Wait,
)
from smartmeter.conformance.bench import Bench, Permit, damaged, in_group
from smartmeter.conformance.tester import SLACK_US
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "session")
isss, ok, sns = ResponseCode.isss, ResponseCode.ok, ResponseCode.sns


@check("D46", "Identification in Base is answered with its list of features ended by 00")
def identification(bench: Bench) -> None:
    """``00 std ver rev features 00``, and ID state after it; at most 56 octets (D48)."""
    answer = bench.base().identify()
    if len(answer.data) < 3:
        raise Deviation(f"{len(answer.data)} octets, at least std, ver and rev are due")
    if len(answer.data) < 4 or answer.data[-1] != 0:
        raise Deviation("the answer does not end with 00")
    if len(answer.data) > 55 or len(answer.packets) > 1:
        raise Deviation("the answer does not fit the default packet")
    if answer.data[0] != bench.rules.standard:
        due = f"std {answer.data[0]:02X}H on this line, not {bench.rules.standard:02X}"
        raise Deviation(due, Basis.ONE_SOURCE)
    bench.tester.ask(bench.logon()).want(ok)


@check("D47", "Identification in ID and Session is isss and changes nothing", seconds=2)
def identification_again(bench: Bench) -> None:
    """The Logon, then the Read, that follow still work."""
    tester = bench.id_state()
    tester.ask(Identify()).want(isss)
    tester.ask(bench.logon()).want(ok)
    tester.ask(Identify()).want(isss)
    bench.want_session()


@check("D50", "Logon is ok in ID only", seconds=2)
def logon(bench: Bench) -> None:
    """In Base and Session it is isss."""
    bench.base().ask(bench.logon()).want(isss)
    tester = bench.session()
    tester.ask(bench.logon()).want(isss)
    bench.want_session()


@check("D53", "a user padded with blanks or with NULs may log on", Basis.ONE_SOURCE, seconds=2)
def user_padding(bench: Bench) -> None:
    """Devices must not interpret the padding."""
    head = b"\x50" + bench.profile.user_id.to_bytes(2, "big")
    for fill in (b" ", b"\0"):
        bench.id_state().ask(head + bench.profile.user.ljust(10, fill)).want(ok)


@check("D57", "Read is isss in Base and ID", seconds=2)
def read_too_early(bench: Bench) -> None:
    """Full; by offset, by index and the default, where the device has them."""
    for request in (FullRead(0), OffsetRead(0, 0, 1), IndexRead(0, (0,), 1), DefaultRead()):
        known = (isss,) if isinstance(request, FullRead) else (isss, sns)
        bench.base().ask(request).want(*known)
        bench.id_state().ask(request).want(*known)


@check("D56", "Security is isss in Base and ID, or sns everywhere", seconds=2)
def security_too_early(bench: Bench) -> None:
    """With the right password, as none other is tried."""
    password = bench.need_password()
    bench.base().ask(Security(password)).want(isss, sns)
    bench.id_state().ask(Security(password)).want(isss, sns)


@check("D57b", "Write is isss in Base and ID", needs=Permit.WRITES, seconds=2)
def write_too_early(bench: Bench) -> None:
    """The state is looked at before the table: nothing can be written."""
    # No octets, to a table that is not there: whole, by offset and by index.
    whole = b"\x40\x07\xff\x00\x00\x00"
    offset = b"\x4f\x07\xff\x00\x00\x00\x00\x00\x00"
    for nothing in (whole, offset, b"\x41\x07\xff\x00\x00\x00\x00\x00"):
        bench.base().ask(nothing).want(isss, sns)
        bench.id_state().ask(nothing).want(isss, sns)


@check("D82", "Negotiate is ok in ID only", seconds=2)
def negotiate_elsewhere(bench: Bench) -> None:
    """In Base and Session it is isss; sns where the device has no Negotiate."""
    request = Negotiate(64, 1)
    bench.base().ask(request).want(isss, sns)
    bench.id_state().ask(request).want(ok, sns)
    tester = bench.session()
    tester.ask(request).want(isss, sns)
    bench.want_session()


@check("D86", "Wait is isss in Base, and ok in ID and Session", Basis.ONE_SOURCE, seconds=2)
def wait_by_state(bench: Bench) -> None:
    """Where the device has it."""
    bench.base().ask(Wait(1)).want(isss, sns)
    bench.id_state()
    bench.wait(1).want(ok)
    bench.session()
    bench.wait(1).want(ok)
    bench.want_session()


@check("D88", "Logoff leads from Session to ID", seconds=2)
def logoff(bench: Bench) -> None:
    """Reads end; negotiated values and a new Logon stay possible."""
    tester = bench.session(room=True)
    fits = tester.ask(FullRead(0)).ok
    tester.ask(Logoff()).want(ok)
    tester.ask(FullRead(0)).want(isss)
    tester.ask(bench.logon()).want(ok)
    if fits and tester.ask(FullRead(0)).code == ResponseCode.onp:
        raise Deviation("negotiated values are gone after Logoff", Basis.ONE_SOURCE)


@check("D89", "Logoff in Base and ID is isss", seconds=2)
def logoff_elsewhere(bench: Bench) -> None:
    """There is nothing to log off from."""
    bench.base().ask(Logoff()).want(isss)
    tester = bench.id_state()
    tester.ask(Logoff()).want(isss)
    tester.ask(bench.logon()).want(ok)


@check("D90", "Terminate is ok in ID and Session, and leads to Base", seconds=3)
def terminate(bench: Bench) -> None:
    """In Base it is ok or isss: sources differ."""
    bench.id_state().ask(Terminate()).want(ok)
    bench.tester.ask(bench.logon()).want(isss)
    bench.session().ask(Terminate()).want(ok)
    bench.tester.ask(FullRead(0)).want(isss)
    bench.tester.ask(Terminate()).want(ok, isss)
    bench.tester.identify()


@check("D84", "after Terminate the default limits hold again", seconds=2)
def defaults_after_terminate(bench: Bench) -> None:
    """An answer of more than 56 octets is refused."""
    bench.need("Negotiate")
    number = bench.table_of(60)
    tester = bench.id_state()
    if not tester.negotiate(512, 8).ok:
        raise NotApplicable("the device has no Negotiate")
    tester.ask(Terminate()).want(ok)
    tester.defaults()
    tester.identify()
    bench.begin_session(bench.password)
    tester.ask(OffsetRead(number, 0, 60)).want_refusal()


@check("D36", "more than 6 s without traffic end ID and Session, silently", seconds=16)
def traffic_time_out(bench: Bench) -> None:
    """Base, default limits, no octet sent."""
    tester = bench.id_state()
    tester.silence(bench.rules.traffic_us + SLACK_US, "the traffic time-out in ID state")
    tester.ask(bench.logon()).want(isss)
    tester = bench.session()
    tester.silence(bench.rules.traffic_us + SLACK_US, "the traffic time-out in Session state")
    tester.ask(FullRead(0)).want(isss)
    tester.identify()


@check("D37", "traffic every 5 s keeps a session", seconds=16)
def traffic_keeps_a_session(bench: Bench) -> None:
    """Three times; a request that is refused is traffic as well."""
    absent = bench.unlisted()
    tester = bench.session()
    for request in (OffsetRead(0, 0, 1), FullRead(absent), FullRead(absent)):
        tester.rest(bench.rules.traffic_us - 1_000_000, "shorter than the traffic time-out")
        if tester.ask(request).code == isss:
            raise Deviation("the session ended within the traffic time-out")


@check("D38", "broken packets do not keep a session", Basis.RECOMMENDATION, seconds=9)
def broken_packets_are_no_traffic(bench: Bench) -> None:
    """Whether they restart the time-out is told by no source."""
    tester = bench.session()
    for _ in range(3):
        tester.rest(bench.rules.traffic_us * 11 // 30, "between broken packets")
        broken = tester.packet(b"\x30\x00\x00")
        tester.write(damaged(broken, 1))
        tester.next(bench.rules.response_us)
    tester.ask(FullRead(0)).want(isss)


@check("D85", "Wait keeps a session for the seconds it says", Basis.ONE_SOURCE, seconds=26)
def wait_stretches_the_time_out(bench: Bench) -> None:
    """10 s of silence after Wait 12 are tolerated, more than 12 are not; in a call 58 and 60."""
    tester, usual_us = bench.session(), bench.rules.traffic_us
    bench.wait(2 * usual_us // 1_000_000).want(ok)
    tester.rest(2 * usual_us - 2_000_000, "shorter than the Wait")
    if not bench.in_session():
        raise Deviation("the session ended within the Wait")
    bench.wait(usual_us // 1_000_000 + 2).want(ok)
    tester.silence(usual_us + 2_000_000 + 2 * SLACK_US, "the Wait passes")
    tester.ask(FullRead(0)).want(isss)


@check("D87", "a Wait holds for one silence", Basis.MEMORY, seconds=8)
def wait_holds_once(bench: Bench) -> None:
    """After the next packet it is 6 s again."""
    tester = bench.session()
    bench.wait(5 * bench.rules.traffic_us // 1_000_000).want(ok)
    tester.ask(OffsetRead(0, 0, 1))
    tester.rest(bench.rules.traffic_us + SLACK_US, "longer than the default, shorter than the Wait")
    tester.ask(FullRead(0)).want(isss)


@check("D95", "a second client is isss until the first one's session ends", seconds=8)
def second_client(bench: Bench) -> None:
    """The first client crashed: Identification is isss, and ok after the traffic time-out."""
    tester = bench.session()
    tester.toggle = 0
    tester.ask(Identify()).want(isss)
    tester.rest(bench.rules.traffic_us + SLACK_US, "the first client's session times out")
    tester.identify()


@check("D29b", "retries exhausted end the session", seconds=12)
def exhausted_retries_end_the_session(bench: Bench) -> None:
    """The answer to a Read was never acknowledged: Base."""
    tester = bench.session()
    tester.unacknowledged(b"\x30\x00\x00")
    for _ in range(8):
        if tester.next(bench.rules.response_us + 2 * SLACK_US) is None:
            break
    tester.ask(FullRead(0)).want(isss)


@check("D30b", "NAKs without end exhaust the retries and end the session", seconds=6)
def naks_end_the_session(bench: Bench) -> None:
    """NAKs and time-outs share one count: after the last repetition Base."""
    tester = bench.session()
    tester.unacknowledged(b"\x30\x00\x00")
    for _ in range(6):
        tester.nak()
        if tester.next(bench.rules.response_us - SLACK_US + tester.way_us) is None:
            break
    else:
        raise Deviation("the answer came again seven times")
    tester.ask(FullRead(0)).want(isss)
