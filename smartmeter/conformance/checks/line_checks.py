"""Group *line*: octets outside packets (C12.18 2.5, 2.6)."""

from __future__ import annotations

from functools import partial

from protocols.psem.services import FullRead
from smartmeter.conformance.bench import Bench, in_group
from smartmeter.conformance.tester import TURN_AROUND_US
from smartmeter.conformance.verdicts import Basis

check = partial(in_group, "line")
QUIET_US = 1_500_000


@check("D01", "in Base state a device is silent", seconds=4)
def silent_in_base(bench: Bench) -> None:
    """Nothing is sent on its own."""
    bench.base().silence(3_000_000, "Base state")


@check("D04", "octets of no packet get no answer, and a packet after them works", seconds=3)
def noise_in_base(bench: Bench) -> None:
    """Noise, ACK and NAK in Base are nothing."""
    tester = bench.base()
    tester.write(bytes.fromhex("00ff550615"))
    tester.silence(QUIET_US, "noise in Base")
    tester.identify()


@check("D05", "noise directly before a packet is skipped")
def noise_before_a_packet(bench: Bench) -> None:
    """The packet is found."""
    tester = bench.base()
    tester.deliver(bytes.fromhex("5500ff") + tester.packet(b"\x20"), "a packet after noise")
    tester.answer()


@check("D33", "an ACK or NAK that nobody waits for gets no answer", seconds=4)
def stray_acknowledgments(bench: Bench) -> None:
    """Neither in ID nor in Session state."""
    tester = bench.id_state()
    for stray in (b"\x06", b"\x15"):
        tester.write(stray)
        tester.silence(QUIET_US, "a stray ACK or NAK")
    tester.ask(bench.logon())


@check("D31", "octets that are no ACK do not end the wait for one", seconds=3)
def noise_instead_of_an_ack(bench: Bench) -> None:
    """What is neither 06, 15 nor EE is ignored; the ACK after it counts.

    On a long way it follows sooner, so that it is there before the answer is due again.
    """
    tester = bench.base()
    tester.write(tester.packet(b"\x20"))
    asked_us = tester.now_us()
    way_us = tester.want_ack().at_us - asked_us
    tester.want_packet()
    tester.write(bytes.fromhex("00a5ff"))
    left_us = bench.rules.response_us - way_us - 3 * TURN_AROUND_US
    tester.silence(max(0, min(400_000, left_us)), "noise instead of an ACK")
    tester.ack()
    tester.silence(2_600_000, "an answer that was acknowledged")
    tester.ask(bench.logon())


@check("D32", "a new request instead of the ACK is served", Basis.RECOMMENDATION, seconds=3)
def a_request_instead_of_an_ack(bench: Bench) -> None:
    """The client has moved on: the answer is given up, the request processed."""
    tester = bench.session()
    tester.unacknowledged(b"\x30\x00\x00")
    tester.ask(FullRead(1))


@check("D02", "Identification is acknowledged and answered; so it is with toggle 1 (D03)")
def identification_with_either_toggle(bench: Bench) -> None:
    """The first packet after Base may carry any toggle."""
    for toggle in (0, 0x20):
        tester = bench.base()
        tester.toggle = toggle
        tester.identify()
