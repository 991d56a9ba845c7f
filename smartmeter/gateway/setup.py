"""``gateway init``: find meters by harmless sessions, and write settings, keys and shipment file.

A probe identifies, logs on as a reader and reads a handful of tables; it
writes nothing and runs no procedure.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansi_tables.errors import TableError
from ansi_tables.rendering import text_shown
from ansi_tables.snapshot import Snapshot
from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings
from protocols.c1222.security import KEY_OCTETS
from protocols.errors import ProtocolError, ServiceRefused
from protocols.transports.names import open_port
from protocols.transports.pump import MeterPort
from protocols.transports.serial_port import local_ports
from smartmeter.base.errors import SettingsError, SmartMeterError, StorageError
from smartmeter.base.file import make_folder, read_file, read_text, write_new
from smartmeter.base.finding import without_port
from smartmeter.comms.bearers import check_address
from smartmeter.ssi.factory import ALPHABET, MAX_ESN, Factory, TmsAddress, relative_title

SETTINGS = "gateway.toml"
#: Of a shipment file or key that an init has left.
MAX_LEFT_OCTETS = 1 << 20
LOOKED_AT = (0, 1, 3, 5, 52)
USER = b"SSI"


@dataclass(frozen=True)
class Found:
    """What a port led to; ``meter`` is false where there is none, or none that lets anybody in."""

    port: str
    meter: bool
    text: str
    serial: str = ""
    model: str = ""
    rts: bool = True
    dtr: bool = False

    def __str__(self) -> str:
        return f"{self.port}: {self.text}"


def list_ports() -> list[str]:
    """Give the serial ports of this board, by a name that stays where there is one."""
    by_id = Path("/dev/serial/by-id")
    stable = {str(link.resolve()): str(link) for link in by_id.glob("*")}
    return [stable.get(str(Path(name).resolve()), name) for name in local_ports()]


def probe(port: str, password: str, user_id: int, rts: bool = True, dtr: bool = False) -> Found:
    """Look what is behind one port."""
    logon = LogonSettings(user_id, USER, password.encode() or None)
    images: dict[int, bytes] = {}
    locked: list[int] = []
    try:
        with MeterPort(open_port(port, rts, dtr), logon, ClientOptions()) as meter:
            for number in LOOKED_AT:
                if _is_lacking(number, images):
                    continue
                try:
                    images[number] = meter.read(number)
                except ServiceRefused:
                    locked.append(number)
    except (ProtocolError, ValueError) as error:
        who = "a meter lets nobody in" if isinstance(error, ServiceRefused) else "no meter answers"
        return Found(port, False, f"{who}: {without_port(port, str(error))}")
    try:
        identity = Snapshot(images)[1]
    except KeyError:
        return Found(port, True, "a meter that does not show who it is (ST-01)")
    except TableError as error:
        return Found(port, True, f"a meter without an identity that can be read: {error}")
    maker, model = (text_shown(identity.get(n, "")) for n in ("MANUFACTURER", "ED_MODEL"))
    serial = text_shown(identity.get("MFG_SERIAL_NUMBER", ""))
    told = f"meter {maker} {model}, serial {serial}"
    if locked:
        told += f"; locked without a password: {', '.join(f'ST-{n:02d}' for n in locked)}"
    return Found(port, True, told, serial, f"{maker} {model}".strip(), rts, dtr)


def _is_lacking(number: int, images: dict[int, bytes]) -> bool:
    """Tell whether ST-00 says that the meter has no such table."""
    try:
        return number not in Snapshot(images).context.fmt.std_tbls_used
    except TableError:
        return False  # ST-00 is locked, or tells nothing


def module_name(serial: str) -> str:
    """Make an ESN of a meter's serial number: digits and capitals, the last 16."""
    return "".join(c for c in serial.upper() if c in ALPHABET)[-MAX_ESN:]


def check_options(folder: Path, esn: str, tms: str | None) -> None:
    """Refuse what is wrong, or done already, before any port is touched; SettingsError."""
    if tms is not None:
        try:
            check_address(tms)
        except SettingsError as error:
            raise SettingsError(f"--tms, {error.place}", error.fault, error.remedy) from None
    if esn:
        _check_name("--esn", esn, "give another")
    if os.path.lexists(folder / SETTINGS):
        raise _there_already(folder / SETTINGS)
    there = next((one for one in (folder, *folder.parents) if os.path.lexists(one)), None)
    if there is not None and not os.path.isdir(there):
        raise SettingsError(f"--out {folder}", f"{there} is no folder", "name a folder")


def _check_name(place: str, name: str, remedy: str) -> None:
    try:
        Factory(name, bytes(16), (TmsAddress("none"),)).check()
    except StorageError as error:
        raise SettingsError(place, error.fault, remedy) from error


def write_files(
    folder: Path, data: Path, meters: Sequence[Found], esn: str, tms: str | None, user_id: int
) -> list[Path]:
    """Write gateway.toml, a key a module, and shipment.csv; nothing that is there is replaced.

    The settings come last: what is there without them is of a call that was cut off, and its keys
    are used again.  ``data`` is where the gateway will keep what it reads; it is not made here.
    Gives the files, the settings first; SmartMeterError when there is no meter, SettingsError when
    there is no name for its module.
    """
    names = _module_names(meters, esn)
    settings, shipment = folder / SETTINGS, folder / "shipment.csv"
    keys = [folder / f"{name}.key" for name in names]
    made = [_key(path) for path in keys]
    rows = [
        f"{name},{relative_title(name)},{key},{one.model.replace(',', ' ')}\n"
        for name, key, one in zip(names, made, meters, strict=True)
    ]
    texts = dict(zip(keys, (key + "\n" for key in made), strict=True))
    texts[shipment] = "esn,title,key,model\n" + "".join(rows)
    try:
        texts[settings] = _settings(folder.resolve(), data.resolve(), names, meters, tms, user_id)
        if os.path.lexists(settings):
            raise _there_already(settings)
        octets = {path: text.encode() for path, text in texts.items()}
        missing = {path: each for path, each in octets.items() if not _is_left(path, each)}
        make_folder(folder)
        _write_all(missing)
    except OSError as error:
        taken = isinstance(error, FileExistsError | NotADirectoryError)
        remedy = "name a folder" if taken else "check its rights and space"
        raise SettingsError(str(folder), str(error.strerror), remedy) from error
    except UnicodeEncodeError as error:  # a name in octets of another kind
        fault = "a name there is no UTF-8 text"
        raise SettingsError("--out, --data or --port", fault, "choose another") from error
    except RuntimeError as error:  # what Python before 3.13 says of links that lead to themselves
        raise SettingsError("--out or --data", str(error), "name another folder") from error
    return [settings, shipment, *keys]


def _module_names(meters: Sequence[Found], esn: str) -> list[str]:
    """Give the ESN of each meter's module: ``esn``, or one of its serial number."""
    if not meters:
        raise SmartMeterError("ports", "no meter was found", "look at the probe; try another port")
    if esn and len(meters) > 1:
        raise SettingsError("--esn", f"{len(meters)} meters were found", "name one --port")
    names = [esn or module_name(one.serial) for one in meters]
    if len(set(names)) < len(names):
        fault = "two meters have the same serial number, or it is one meter"
        raise SettingsError("--port", fault, "name one --port, and give --esn")
    for name, one in zip(names, meters, strict=True):
        _check_name(f"{one.port}: module", name, "give --esn")
    return names


def _key(path: Path) -> str:
    """Give the key that a call which was cut off has left in a file, or else a new one."""
    with suppress(OSError, SettingsError, ValueError):
        if path.is_file() and len(left := bytes.fromhex(read_text(path, 100))) == KEY_OCTETS:
            return left.hex()
    return secrets.token_hex(KEY_OCTETS)


def _is_left(path: Path, octets: bytes) -> bool:
    """Tell whether a file is there as it is to be; SettingsError when it is there otherwise."""
    if not os.path.lexists(path):
        return False
    if not path.is_file() or read_file(path, MAX_LEFT_OCTETS) != octets:
        raise _there_already(path)
    return True


def _there_already(path: Path) -> SettingsError:
    return SettingsError(str(path), "is there already", "choose another folder")


def _write_all(contents: dict[Path, bytes]) -> None:
    """Write new files, all or none; only where another call has come between, the first ones."""
    made: list[Path] = []
    try:
        for path, octets in contents.items():
            # Members of the group may ask for the status; the settings tell them the socket.
            write_new(path, octets, 0o640 if path.name == SETTINGS else 0o600)
            made.append(path)
    except FileExistsError as error:
        raise _there_already(path) from error
    except OSError:
        for path in made:
            path.unlink()
        raise


def _settings(
    folder: Path,
    data: Path,
    names: Sequence[str],
    meters: Sequence[Found],
    tms: str | None,
    user_id: int,
) -> str:
    parts = [_HEAD.format(data=_quoted(data))]
    for name, one in zip(names, meters, strict=True):
        parts.append(
            _METER.format(
                text=one.text,
                esn=_quoted(name),
                key=_quoted(folder / f"{name}.key"),
                state=_quoted(data / f"{name}.nvram"),
                port=_quoted(lasting_name(one.port)),
                rts=str(one.rts).lower(),
                dtr=str(one.dtr).lower(),
                user_id=user_id,
                model=_quoted(one.model),
            )
        )
    parts.append(_TMS.format(address=_quoted(tms)) if tms else _NO_TMS)
    return "".join(parts) + _SINKS.format(csv=_quoted(data / "intervals.csv"))


def lasting_name(port: str) -> str:
    """Give a port's name as it leads to the port from any folder; a link stays a link."""
    return os.path.abspath(port) if os.path.exists(port) else port


def _quoted(text: object) -> str:
    """Give a text as TOML writes it, which is how JSON does."""
    return json.dumps(str(text), ensure_ascii=False)


_HEAD = """\
# A SmartMeter gateway.  "smartmeter gateway check --settings THIS" tells what would fail.

[gateway]
data = {data}
# Towards the meter the gateway only reads, unless a file on this board says otherwise:
#   allow = "/etc/smartmeter/allow.toml"     # tables = [5]   procedures = [10]
# How the board knows of an outage: "meter" (from the meter's own log only),
# "power_supply", or "gpio:/dev/gpiochip0:17" (an isolated, low-voltage signal only).
mains = "meter"
# metrics = "127.0.0.1:9118"                 # Prometheus
# keep_days = 800                            # readings, and what the own TMS has collected

"""
_METER = """\
# {text}
[[meters]]
esn = {esn}
key_file = {key}
state = {state}
port = {port}
rts = {rts}                                   # where the probe takes its power from
dtr = {dtr}
user_id = {user_id}
model = {model}
# password_file = "/etc/smartmeter/optical"  # where tables are locked without one

"""
_TMS = """\
[[tms]]
address = {address}

"""
_NO_TMS = """\
# Without a [[tms]] the gateway has its own, in the same process.
# [[tms]]
# address = "tcp:tms.example:1153"           # give its operator shipment.csv

"""
_SINKS = """\
[csv]
file = {csv}

# [mqtt]                                     # with Home Assistant's discovery
# host = "127.0.0.1"
# tls = true                                 # a broker away from home; its port is then 8883
# tls_ca = "/etc/smartmeter/broker.ca"       # where the system does not know its authority
# [influx]
# url = "http://127.0.0.1:8086/api/v2/write?org=home&bucket=meter&precision=s"
# token_file = "/etc/smartmeter/influx"
# [home_assistant]                           # history, as external statistics
# url = "ws://homeassistant.local:8123/api/websocket"
# token_file = "/etc/smartmeter/home-assistant"
# [upgrade]                                  # without: images from the network are refused
# public_key_file = "/etc/smartmeter/upgrade.pub"
"""
