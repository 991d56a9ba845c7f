"""Group *timing*: how fast, and never too fast (C12.18 2.9)."""

from __future__ import annotations

from functools import partial
from statistics import median

from protocols.psem.services import FullRead, OffsetRead
from smartmeter.conformance.bench import Bench, damaged, in_group
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "timing")
TURN_AROUND_US = 175
#: One octet at 9600 baud: what is measured ends with the first octet of the reaction.
OCTET_US = 1042
MAX_TABLES = 12


@check("M01", "no reaction comes before the turn-around delay (D35)", Basis.TWO_SOURCES, seconds=3)
def turn_around(bench: Bench) -> None:
    """175 us after the last octet, ACK and NAK; a computer's port is too coarse to tell."""
    tester = bench.base()
    if not tester.line.exact:
        raise NotApplicable("175 us cannot be measured through a computer's port")
    good = tester.packet(b"\x20")
    for octets in (damaged(good, 1), good):
        tester.write(octets)
        sent_us = tester.now_us()
        item = tester.next(bench.rules.response_us)
        if item is None:
            raise Deviation("no reaction")
        if item.at_us - sent_us < TURN_AROUND_US + OCTET_US - 50:
            raise Deviation(f"{item} was complete after {item.at_us - sent_us} us")
    tester.answer()


@check("M02", "packets are acknowledged within the response time-out", seconds=4)
def acknowledged_in_time(bench: Bench) -> None:
    """2 s is the client's patience; the usual time is told."""
    tester = bench.session()
    times = [tester.ask(OffsetRead(0, 0, 1)).acknowledged_us for _ in range(8)]
    if max(times) > bench.rules.response_us:
        raise Deviation(f"acknowledged after {max(times) // 1000} ms")
    if median(times) > bench.rules.response_us // 4:
        raise Deviation(f"usually after {median(times) // 1000:.0f} ms", Basis.RECOMMENDATION)


@check("M03", "no answer is late", seconds=20)
def answered_in_time(bench: Bench) -> None:
    """What needs longer than the client waits must be bsy; drawn tables, whole."""
    numbers = [n for n in bench.listed() if n != 7]
    tester = bench.best_session()
    for number in bench.rng.sample(numbers, min(MAX_TABLES, len(numbers))):
        took_us = tester.ask(FullRead(number)).answered_us
        if took_us > bench.rules.answer_us:
            raise Deviation(f"table {number} was answered after {took_us // 1000} ms")


@check("M04", "the line's speed is 9600 baud, start to end", Basis.TWO_SOURCES, seconds=2)
def speed(bench: Bench) -> None:
    """A device at another speed is not heard at all."""
    bench.session()
    bench.base()
