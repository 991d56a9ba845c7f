"""What ``smartmeter doctor c1222://HOST[:PORT]/APTITLE`` finds out: a short, harmless visit.

It connects, identifies in clear, reads ST-01 with the key and the password that
there are, and compares the meter's clock: by the instant that a secured message
carries, one end refuses the other when their clocks are far apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from ansi_tables import TableError
from protocols.c1222.identification import NodeIdentification
from protocols.errors import PortError, ProtocolError
from protocols.psem.services import Security
from protocols.transports.network_meter import NetworkMeter
from protocols.transports.network_name import Carried, parse_name
from smartmeter.base.finding import Finding, well, wrong
from smartmeter.cli.meter_line import MeterLine, network_meter
from smartmeter.cli.read import Found, read_tables

T = TypeVar("T")
#: How far the instant of a message may be off, either way, at most receivers (one source).
WINDOW_S = 900
#: Later than this an answer is slow.
LATE_S = 1.0
_TITLE = "look at the title; a relay knows only those that have registered with it"
_KEY = f"another key, or this computer's clock is {WINDOW_S // 60} minutes or more off"
_SILENCE = (
    "the title leads to nobody, or answers come another way (--answer-port 1153) or late"
    " (--answer-timeout 60)"
)


def talk_over_network(line: MeterLine) -> Iterator[Finding]:
    """Visit the meter, and tell what was found."""
    try:
        name = parse_name(line.port)
        # The password is tried by itself, so that the rest is seen where it is refused.
        without = replace(line.logon, password=None)
        meter = network_meter(line.port, without, line.network)
    except PortError as error:
        yield wrong(line.port, str(error), "an IPv6 address goes into brackets")
        return
    try:
        with meter:
            told = f"{name.host} port {name.port} takes it ({name.carried.name})"
            if name.carried is Carried.UDP:  # nobody knows before an answer
                told = f"datagrams go to {name.host} port {name.port} (UDP)"
            yield well("connection", told)
            yield from _of_the_meter(meter, line.logon.password)
    except PortError as error:
        remedy = "is a meter, a relay or a TMS listening there, and no firewall between?"
        yield wrong("connection", str(error), remedy)
    except ProtocolError as error:
        yield wrong("meter", str(error), _remedy(str(error)))


def _remedy(text: str) -> str:
    if "answered uat" in text:
        return _TITLE
    if "answered sme" in text:
        return _KEY
    return _SILENCE if "no answer" in text else "give --pcap FILE, and look at what was said"


def _of_the_meter(meter: NetworkMeter, password: bytes | None) -> Iterator[Finding]:
    delays_s: list[float] = []
    yield _identified(_timed(delays_s, meter.identify))
    if not meter.is_secured:
        remedy = "--key-file FILE, or SMARTMETER_C1222_KEYS; most meters show little without"
        yield well("key", "none given: all is asked in clear", remedy)
    elif password is not None:
        accepted = _timed(delays_s, lambda: meter.ask(Security(password))).ok
        remedy = "" if accepted else "several wrong ones may lock it; the key alone may do"
        yield Finding("password", not accepted, "accepted" if accepted else "refused", remedy)
    found = _timed(delays_s, lambda: read_tables(meter, [1]))
    if meter.is_secured:
        yield well("key", "accepted")
    yield _of_st_01(found)
    yield from _of_clock(read_tables(meter, [52, 53]))
    late_s = statistics.median(delays_s)
    remedy = "a slow link, or a relay that must wake the meter" if late_s > LATE_S else ""
    yield well("latency", f"answers come after {late_s * 1000:.0f} ms", remedy)


def _timed(delays_s: list[float], ask: Callable[[], T]) -> T:
    begin_s = time.monotonic()
    answer = ask()
    delays_s.append(time.monotonic() - begin_s)
    return answer


def _identified(who: NodeIdentification) -> Finding:
    told = [f"standard {who.standard:02X}H, version {who.version}.{who.revision}"]
    if who.mechanism is not None:
        told.append(f"security {who.mechanism}")
    if who.sessions is not None:
        less = " and messages outside them" if who.sessionless else ""
        told.append(f"{who.sessions} sessions{less}")
    if who.device_class is not None:
        told.append(f"class {who.device_class}")
    return well("meter", ", ".join(told))


def _of_st_01(found: Found) -> Finding:
    if 1 in found.refused:
        return well("ST-01", str(found.refused[1]), "a key or a password may open it")
    return well("ST-01", f"{len(found.snapshot.images[1])} octets read")


def _of_clock(found: Found) -> Iterator[Finding]:
    """Compare the clocks, where the meter shows its own."""
    try:
        clock = found.snapshot.clock() if found.snapshot.get(52) is not None else None
    except TableError:
        return
    if clock is None:
        return
    if clock.now is None:
        yield wrong("meter's clock", "not set", "set it: procedure 10")
        return
    ahead_s = round((clock.now - datetime.now(UTC)).total_seconds())
    is_off = abs(ahead_s) >= WINDOW_S
    remedy = "set the wrong one; secured messages are refused outside a window" if is_off else ""
    yield Finding("meter's clock", is_off, f"{ahead_s:+d} s to this computer's", remedy)
