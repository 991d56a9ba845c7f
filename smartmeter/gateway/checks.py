"""``gateway check``: what would fail with these settings, and what cannot work.  It only reads."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ansi_tables.errors import TableError
from ansi_tables.snapshot import Snapshot
from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings
from protocols.errors import ProtocolError, ServiceRefused
from protocols.transports.names import open_port
from protocols.transports.pump import MeterPort
from smartmeter.base.address import shown
from smartmeter.base.clock import US_PER_S, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.gateway.bearer_checks import check_bearer, check_order
from smartmeter.gateway.finding import Finding
from smartmeter.gateway.mains import MeterAlone, make_sense
from smartmeter.gateway.settings import GatewaySettings, SeatSettings

CONNECT_TIMEOUT_S = 5.0
#: What the default provisioning reads: formats, sources, registers, clock, load profile, logs.
NEEDED = (0, 1, 3, 11, 12, 16, 21, 22, 23, 52, 61, 62, 63, 64, 71, 76)
CLOCK = 52
#: What tells the zone of a clock that shows local time.
ZONE = (51, 53, 54)
#: Sessions a day of the default provisioning: load profile, register, clock; and watching.
SESSIONS_DAY = 96 + 2
WATCH_PERIOD_S = 2
DAY_S = 86_400
ENTRIES_A_SESSION = 2
#: Clocks that are no further apart are not told of; a module refuses a meter at 600 s.
CLOCKS_APART_S = 60
HISTORY_DATA, LOG_DIMENSIONS, HISTORY_CONTROL = 74, 71, 73
MIN_FREE_OCTETS = 64 << 20
#: A session opened for reading, and one that ended normally (C12.19 event codes).
SESSION_EVENTS = (7, 12)


def check_settings(settings: GatewaySettings, ask_meters: bool) -> list[Finding]:
    """Look at everything; the meters' ports only when asked to."""
    found = [Finding("permission", False, str(settings.permission))]
    found += _storage(settings)
    found += _mains(settings)
    found += _tms(settings)
    found += _sinks(settings)
    found.append(_upgrade(settings))
    if ask_meters:
        for seat in settings.seats:
            found += _meter(seat)
    return found


def _storage(settings: GatewaySettings) -> Iterator[Finding]:
    folders = {settings.data, settings.socket.parent, *(s.state.parent for s in settings.seats)}
    if settings.upgrade is not None:
        folders.add(settings.upgrade.slots)
    if settings.sinks.csv is not None:
        folders.add(settings.sinks.csv.parent)
    for folder in sorted(folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())
            free = os.statvfs(folder)
        except OSError as error:
            yield Finding(str(folder), True, str(error.strerror), "make it, or change its owner")
            continue
        octets = free.f_bavail * free.f_frsize
        if octets < MIN_FREE_OCTETS:
            yield Finding(str(folder), True, f"{octets >> 20} MB are free", "make room")
        else:
            yield Finding(str(folder), False, f"can be written, {octets >> 20} MB are free")


def _mains(settings: GatewaySettings) -> Iterator[Finding]:
    try:
        sense = make_sense(settings.mains)
    except SettingsError as error:
        yield Finding("mains", True, error.fault, error.remedy)
        return
    felt = sense.read()
    sense.close()
    if isinstance(sense, MeterAlone):
        yield Finding(
            "mains",
            False,
            "the board feels no outage: there is no last gasp, outages show in the meter's log",
            'if the board has a backed supply, set mains = "power_supply" or "gpio:CHIP:LINE"',
        )
    else:
        yield Finding(
            "mains",
            felt is None,
            "cannot be told" if felt is None else f"{'on' if felt else 'off'} now",
            "a last gasp needs a supply that outlives the mains for some seconds",
        )


def _tms(settings: GatewaySettings) -> Iterator[Finding]:
    if not settings.bearers:
        yield Finding("TMS", False, "none is set: one runs in the gateway's process")
    for bearer in settings.bearers:
        yield from check_bearer(bearer)
    if settings.bearers:
        yield check_order(settings.bearers)


def _sinks(settings: GatewaySettings) -> Iterator[Finding]:
    sinks = settings.sinks
    for name, value, package in (
        ("mqtt", sinks.mqtt, "aiomqtt"),
        ("home_assistant", sinks.home_assistant, "websockets"),
        ("metrics", settings.metrics, "prometheus_client"),
    ):
        if value is not None and find_spec(package) is None:
            yield Finding(
                name, True, f"needs the package {package}", 'pip install "smartmeter[gateway]"'
            )
    if sinks.mqtt is not None:
        yield _reached("broker", sinks.mqtt.host, sinks.mqtt.port)
    for name, sink in (("InfluxDB", sinks.influx), ("Home Assistant", sinks.home_assistant)):
        if sink is not None:
            url = urlsplit(sink.url)
            usual = 443 if url.scheme in ("https", "wss") else 80
            yield _reached(name, url.hostname or "", url.port or usual)


def _reached(name: str, host: str, port: int) -> Finding:
    """Tell whether somebody takes connections there."""
    subject = f"{name} {shown(host, port)}"
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except (OSError, UnicodeError) as error:  # a name may be none that the network can look up
        told = str(getattr(error, "strerror", None) or error)
        return Finding(subject, True, told, "start it, check the address")
    return Finding(subject, False, "takes connections")


def _upgrade(settings: GatewaySettings) -> Finding:
    upgrade = settings.upgrade
    if upgrade is None:
        remedy = "write [upgrade] with public_key_file, if the TMS may send new versions"
        return Finding("upgrade", False, "off: images from the network are refused", remedy)
    try:
        owner = upgrade.slots.stat() if upgrade.slots.exists() else None
    except OSError as error:
        return Finding("upgrade", True, f"{upgrade.slots}: {error.strerror}", "check its rights")
    if owner is not None and owner.st_mode & 0o022:
        fault = f"others may write {upgrade.slots}, from where programs are run"
        return Finding("upgrade", True, fault, f"chmod go-w {upgrade.slots}")
    esn, key = settings.seats[0].factory.esn, upgrade.public_key.hex()
    text = f"{esn} takes images signed for {key[:16]}..., on trial for {upgrade.trial_s} s"
    return Finding("upgrade", False, text)


def _meter(seat: SeatSettings) -> Iterator[Finding]:
    factory = seat.factory
    port = Path(seat.port)
    if seat.port.startswith("/") and port.exists() and not os.access(port, os.R_OK | os.W_OK):
        yield Finding(seat.port, True, "no permission", "sudo usermod -aG dialout $USER")
        return
    password = factory.optical_password or None
    logon = LogonSettings(factory.optical_user_id, factory.optical_user.encode(), password)
    images: dict[int, bytes] = {}
    locked: list[int] = []
    try:
        with MeterPort(open_port(seat.port), logon, ClientOptions()) as meter:
            opened = meter.opened
            images[0] = meter.read(0)
            used = Snapshot(images).context.fmt.std_tbls_used
            for number in (*NEEDED[1:], *ZONE, HISTORY_CONTROL, HISTORY_DATA):
                if number not in used:
                    continue
                try:
                    images[number] = meter.read(number)
                except ServiceRefused:
                    locked.append(number)
    except (ProtocolError, ValueError, TableError) as error:
        yield Finding(seat.port, True, str(error), "run: smartmeter doctor, with this port")
        return
    yield Finding(seat.port, False, f"a meter answers; {len(images)} of its tables were read")
    if opened is not None and opened.password_accepted is False:
        yield Finding(seat.port, True, "the meter refuses the password", "mend password_file")
    yield from _locked(seat.port, locked, password is not None)
    missing = [n for n in NEEDED if n not in used]
    if missing:
        lacking = ", ".join(f"ST-{n:02d}" for n in missing)
        yield Finding(seat.port, False, f"the meter has no {lacking}: reports go without them")
    if CLOCK in images:
        yield from _clock(seat.port, Snapshot(images), wall_utc_us() // US_PER_S)
    yield _history(seat.port, Snapshot(images))


def _clock(port: str, tables: Snapshot, board_s: int) -> Iterator[Finding]:
    """Compare the meter's clock, which the module goes by, with the board's, which it does not."""
    try:
        clock = tables.clock()
    except TableError as error:
        yield Finding(port, True, f"its clock cannot be read: {error}")
        return
    if clock.now is None:
        yield Finding(port, True, "its clock is not set: the module cannot begin", "have it set")
        return
    ahead_s = round(clock.now.timestamp()) - board_s
    if abs(ahead_s) > CLOCKS_APART_S:
        yield Finding(
            port,
            False,
            f"its clock is {ahead_s:+d} s to the board's: "
            + (clock.rules.note or "one of the two is wrong"),
            "if it is the meter's, have it set: intervals keep the times that it gives them",
        )


def _locked(port: str, locked: list[int], with_password: bool) -> Iterator[Finding]:
    if not locked:
        return
    tables = ", ".join(f"ST-{n:02d}" for n in locked)
    remedy = "ask the meter's owner for a password that may read them"
    if not with_password:
        remedy = "give password_file; without it these stay unread"
    vital = bool({0, CLOCK} & set(locked))
    yield Finding(port, vital, f"locked: {tables}", remedy)


def _history(port: str, tables: Snapshot) -> Finding:
    """Tell in how many days the sessions of the gateway fill the meter's history log."""
    if HISTORY_CONTROL not in tables or LOG_DIMENSIONS not in tables:
        return Finding(port, False, "the meter keeps no history log that sessions would fill")
    try:
        entries = int(tables[LOG_DIMENSIONS].NBR_HISTORY_ENTRIES)
        noted = tables[HISTORY_CONTROL].STD_EVENTS_MONITORED_FLAGS
        events = [event for event in SESSION_EVENTS if event in noted]
    except (TableError, AttributeError, TypeError) as error:
        return Finding(port, False, f"its history log cannot be judged: {error}")
    if not events or not entries:
        return Finding(port, False, "sessions leave no entry in the meter's history log")
    a_day = (SESSIONS_DAY + DAY_S // WATCH_PERIOD_S) * len(events)
    days = entries / a_day
    return Finding(
        port,
        False,
        f"its history log notes sessions: {entries} entries are overwritten in {days:.1f} days",
        "watch fewer elements or less often (monitors' PERIOD_MS) if the log matters",
    )
