"""Group *security*: what is refused leaves a mark in the event logs (C12.19 decade 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ansi_tables import Record, Snapshot, TableError
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, Logoff, Security
from smartmeter.conformance.bench import WRITE_ONLY, Bench, Permit, in_group
from smartmeter.conformance.checks.security_checks import WRONG_PASSWORD, protected_table_of
from smartmeter.conformance.checks.write_checks import safe_table_of, unknown_initiate
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "security")
ADVICE = Basis.RECOMMENDATION
#: Control and data table of the history log, and of the event log.
LOGS = ((73, 74), (75, 76))
#: A table that every device shows.
IDENTIFICATION = 1
#: Events of C12.19: a table was read, a session ended well or broke off, an attempt to tamper.
ACCESSED_READ, TERMINATED_NORMALLY, TERMINATED_ABNORMALLY, TAMPER_ATTEMPT = 7, 12, 13, 47
#: So many reads of a session that fill a log when each is one event.
MANY = 12


def _records(bench: Bench) -> Iterator[tuple[Record, Record]]:
    """Give what each log monitors, and how it stands now."""
    images = dict(bench.snapshot().images)
    bench.best_session()
    for control, data in LOGS:
        if control in images and data in images:
            images[data] = bench.read(data)
            now = Snapshot(images)
            try:
                yield now[control], now[data]
            except TableError as error:
                raise Deviation(str(error), Basis.ONE_SOURCE) from error


def _taken(bench: Bench, code: int) -> tuple[int, bool]:
    """Give how many events the logs that monitor a code have ever taken; and whether one is full.

    One that is full of unread events, and may not overflow, takes no more.
    """
    logs = [data for control, data in _records(bench) if code in control.STD_EVENTS_MONITORED_FLAGS]
    if not logs:
        raise NotApplicable(f"no log that can be read is told to monitor event {code}")
    flags = [next(iter(data.values())) for data in logs]
    return sum(data.LAST_ENTRY_SEQ_NBR for data in logs), any(f.OVERFLOW_FLAG for f in flags)


def _events(bench: Bench, code: int, act: Callable[[], object]) -> int:
    """Give how many events an act leaves, beyond those that looking at the logs leaves."""
    idle, _ = _taken(bench, code)
    before, _ = _taken(bench, code)
    act()
    after, full = _taken(bench, code)
    if full and after == before:
        raise NotApplicable("a log is full and takes no more events")
    return after - before - (before - idle)


def _want_one(bench: Bench, code: int, act: Callable[[], object], what: str) -> None:
    if _events(bench, code, act) <= 0:
        raise Deviation(f"{what} leaves nothing in the logs")


@check("S09", "a refused read is logged", ADVICE, seconds=8)
def refused_read_is_logged(bench: Bench) -> None:
    """Where a log monitors tampering: the standard has no closer event."""
    number = protected_table_of(bench)

    def read() -> None:
        bench.session(room=True).ask(FullRead(number)).want_refusal()

    _want_one(bench, TAMPER_ATTEMPT, read, "a refused read")


@check("S10", "refused reads do not fill the logs", ADVICE, seconds=12)
def refused_reads_do_not_fill_the_logs(bench: Bench) -> None:
    """Else anybody washes out what is in them, without a password."""
    number = protected_table_of(bench)

    def read() -> None:
        tester = bench.session(room=True)
        for _ in range(MANY):
            tester.ask(FullRead(number)).want_refusal()

    if (events := _events(bench, TAMPER_ATTEMPT, read)) >= MANY:
        raise Deviation(f"{MANY} refused reads of one session are {events} events")


@check("S11", "a session that breaks off is logged", ADVICE, seconds=16)
def broken_session_is_logged(bench: Bench) -> None:
    """The traffic time-out ended it, no Logoff and no Terminate."""

    def vanish() -> None:
        bench.session().rest(bench.rules.traffic_us + 1_000_000, "the client has vanished")

    _want_one(bench, TERMINATED_ABNORMALLY, vanish, "a session that breaks off")


@check("S12", "a wrong password is logged", ADVICE, Permit.ATTACKS, seconds=8)
def wrong_password_is_logged(bench: Bench) -> None:
    """One that no device has."""

    def guess() -> None:
        bench.session(room=True).ask(Security(WRONG_PASSWORD)).want_served("Security")

    _want_one(bench, TAMPER_ATTEMPT, guess, "a wrong password")


@check("S13", "a refused Write is logged", ADVICE, Permit.WRITES, seconds=8)
def refused_write_is_logged(bench: Bench) -> None:
    """Of a table's own octets, without a password."""
    number = safe_table_of(bench)
    own = bench.table(number)

    def write() -> None:
        bench.session(room=True).ask(FullWrite(number, own)).want_refusal()

    _want_one(bench, TAMPER_ATTEMPT, write, "a refused Write")


@check("S14", "a refused procedure is logged", ADVICE, Permit.PROCEDURES, seconds=8)
def refused_procedure_is_logged(bench: Bench) -> None:
    """One that the device does not have, without a password."""
    initiate = unknown_initiate(bench, 0x22)

    def run() -> None:
        bench.session(room=True).ask(FullWrite(WRITE_ONLY, initiate)).want_refusal()

    _want_one(bench, TAMPER_ATTEMPT, run, "a refused procedure")


@check("S15", "a session that reads is logged once", ADVICE, seconds=20)
def reading_session_is_logged(bench: Bench) -> None:
    """Where a log monitors reads: not at all hides who was there, each read fills the log.

    What a session leaves that reads nothing, its end for one, does not count.
    """

    def come() -> None:
        bench.session(room=True)

    def read() -> None:
        tester = bench.session(room=True)
        for _ in range(MANY):
            tester.ask(FullRead(IDENTIFICATION)).want(ResponseCode.ok)

    events = _events(bench, ACCESSED_READ, read) - _events(bench, ACCESSED_READ, come)
    if not 0 < events < MANY:
        raise Deviation(f"{MANY} reads of one session are {events} events")


@check("S16", "a session that ends well is logged", ADVICE, seconds=8)
def ended_session_is_logged(bench: Bench) -> None:
    """Where a log monitors the end of sessions, without which nobody knows how long one lasted."""

    def come_and_go() -> None:
        bench.session().ask(Logoff()).want(ResponseCode.ok)

    _want_one(bench, TERMINATED_NORMALLY, come_and_go, "a session that ends with Logoff")
