"""What ``gateway check`` says of a meter: what it shows, its clock, its history log."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from fractions import Fraction

from ansi_tables.errors import TableError
from ansi_tables.meaning.identity import IDENTITY, identity_of
from ansi_tables.profile_columns import profile_columns, whole_counts
from ansi_tables.snapshot import Snapshot
from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings
from protocols.errors import ProtocolError, ServiceRefused
from protocols.transports.names import open_port
from protocols.transports.pump import MeterPort
from smartmeter.base.clock import DAY_S, US_PER_S, wall_utc_us
from smartmeter.base.finding import Finding, well, without_port, wrong
from smartmeter.gateway.settings import SeatSettings

#: What the default provisioning reads: formats, sources, registers, clock, load profile, logs.
NEEDED = (0, 1, 3, 11, 12, 16, 21, 22, 23, 52, 61, 62, 63, 64, 71, 76)
CLOCK = 52
PROFILE_STATUS, PROFILE = 63, 64
#: What tells the zone of a clock that shows local time.
ZONE = (51, 53, 54)
#: Sessions a day of the default provisioning: load profile, register, clock; and watching.
SESSIONS_DAY = 96 + 2
WATCH_PERIOD_S = 2
#: Clocks that are no further apart are not told of; a module refuses a meter at 600 s.
CLOCKS_APART_S = 60
HISTORY_DATA, LOG_DIMENSIONS, HISTORY_CONTROL = 74, 71, 73
#: A session opened for reading, and one that ended normally (C12.19 event codes).
SESSION_EVENTS = (7, 12)


def check_meter(seat: SeatSettings) -> Iterator[Finding]:
    """Read what the gateway will read, and tell what it lacks."""
    factory = seat.factory
    there = seat.port.startswith("/") and os.path.exists(seat.port)
    if there and not os.access(seat.port, os.R_OK | os.W_OK):
        yield wrong(seat.port, "no permission", "sudo usermod -aG dialout $USER")
        return
    password = factory.optical_password or None
    logon = LogonSettings(factory.optical_user_id, factory.optical_user.encode(), password)
    try:
        with MeterPort(open_port(seat.port, seat.rts, seat.dtr), logon, ClientOptions()) as meter:
            opened = meter.opened
            images, locked, used = _read_needed(meter)
    except (ProtocolError, ValueError, TableError) as error:
        fault, _, remedy = without_port(seat.port, str(error)).partition("; ")
        remedy = remedy or "run: smartmeter doctor, with this port"
        yield wrong(seat.port, fault, remedy)
        return
    refused = opened is not None and opened.password_accepted is False
    how = "without" if password is None or refused else "with"
    told = f"a meter answers; {how} a password it shows {_listed(images)}"
    yield well(seat.port, told)
    if refused:
        yield wrong(seat.port, "the meter refuses the password", "mend password_file")
    yield from _locked(seat.port, locked, password is not None)
    yield from _identity(seat.port, Snapshot(images))
    missing = [n for n in NEEDED if n not in used and n != CLOCK]
    if missing:
        told = f"the meter has no {_listed(missing)}: reports go without them"
        yield well(seat.port, told)
    if CLOCK in images:
        yield from _clock(seat.port, Snapshot(images), wall_utc_us() // US_PER_S)
    elif CLOCK not in used:
        yield wrong(seat.port, "it keeps no clock (ST-52): the module cannot begin")
    yield from _intervals(seat.port, Snapshot(images))
    yield _history(seat.port, Snapshot(images), used, locked)


def _read_needed(meter: MeterPort) -> tuple[dict[int, bytes], list[int], frozenset[int]]:
    """Read what the gateway will read; give the images, what is refused, and what ST-00 lists."""
    images, locked = {0: meter.read(0)}, []
    used = Snapshot(images).context.fmt.std_tbls_used
    for number in (*NEEDED[1:], *ZONE, HISTORY_CONTROL, HISTORY_DATA):
        if number in used:
            try:
                images[number] = meter.read(number)
            except ServiceRefused:
                locked.append(number)
    return images, locked, used


def _listed(tables: Iterable[int]) -> str:
    return ", ".join(f"ST-{number:02d}" for number in sorted(tables))


def _clock(port: str, tables: Snapshot, board_s: int) -> Iterator[Finding]:
    """Compare the meter's clock, which the module goes by, with the board's, which it does not."""
    try:
        clock = tables.clock()
    except TableError as error:
        yield wrong(port, f"its clock cannot be read: {error}")
        return
    if clock.now is None:
        fault = "its clock is not set: the module cannot begin"
        yield wrong(port, fault, "have the meter's clock set by whoever may")
        return
    ahead_s = round(clock.now.timestamp()) - board_s
    if abs(ahead_s) > CLOCKS_APART_S:
        yield well(
            port,
            f"its clock is {ahead_s:+d} s to the board's: "
            + (clock.rules.note or "one of the two is wrong"),
            "if it is the meter's, have it set: intervals keep the times that it gives them",
        )


def _identity(port: str, tables: Snapshot) -> Iterator[Finding]:
    """Tell of a meter that cannot be told from another one."""
    if identity_of(tables.images.get(IDENTITY, b""), tables.context) is None:
        told = "it tells no serial number (ST-01): another meter in its place is not noticed"
        yield well(port, told)


def _intervals(port: str, tables: Snapshot) -> Iterator[Finding]:
    """Tell of a load profile whose intervals hold what no report has a form for."""
    if not {PROFILE_STATUS, PROFILE} <= set(tables.images):
        return
    try:
        status = tables[PROFILE_STATUS].LP_STATUS_SET1
        read = profile_columns(tables.context, 1, tables.images[PROFILE], status)
    except TableError:  # as where a pointer is one ahead, which a module copes with
        return
    left_out = [values for values in zip(*read.values, strict=True) if whole_counts(values) is None]
    if left_out:
        told = f"{len(left_out)} of {len(read)} intervals of its load profile (ST-64) hold no whole"
        told += " numbers, as a fraction or blanks: reports go without them"
        remedy = "have it record counts (ST-61, INT_FMT_CDE), or read ST-64 by number"
        yield well(port, told, remedy)


def _locked(port: str, locked: list[int], with_password: bool) -> Iterator[Finding]:
    if not locked:
        return
    remedy = "ask the meter's owner for a password that may read them"
    if not with_password:
        remedy = "give password_file; without it these stay unread"
    vital = bool({0, CLOCK} & set(locked))
    yield Finding(port, vital, f"locked: {_listed(locked)}", remedy)


def _history(port: str, tables: Snapshot, used: Container[int], locked: list[int]) -> Finding:
    """Tell in how many days the sessions of the gateway fill the meter's history log."""
    if HISTORY_CONTROL not in used or LOG_DIMENSIONS not in used:
        return well(port, "the meter keeps no history log that sessions would fill")
    shut = {HISTORY_CONTROL, LOG_DIMENSIONS}.intersection(locked)
    if shut:
        told = f"when sessions fill its history log cannot be told: {_listed(shut)} locked"
        return well(port, told, "give a password that may read them, and check again")
    try:
        entries = int(tables[LOG_DIMENSIONS].NBR_HISTORY_ENTRIES)
        noted = tables[HISTORY_CONTROL].STD_EVENTS_MONITORED_FLAGS
        events = [event for event in SESSION_EVENTS if event in noted]
    except (TableError, AttributeError, TypeError) as error:
        return well(port, f"its history log cannot be judged: {error}")
    if not events or not entries:
        return well(port, "sessions leave no entry in the meter's history log")
    return well(
        port,
        f"its history log notes sessions: {_filled(entries, len(events))}",
        "watch fewer elements or less often (monitors' PERIOD_MS) if the log matters",
    )


def _filled(entries: int, noted: int) -> str:
    """Say in how many days sessions that leave ``noted`` entries each overwrite all."""
    days = Fraction(entries, (SESSIONS_DAY + DAY_S // WATCH_PERIOD_S) * noted)
    return f"{entries} entries are overwritten in {float(days):.5f} days ({round(days * DAY_S)} s)"
