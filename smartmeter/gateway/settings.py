"""The settings of a gateway: one TOML file, read whole or refused with the place.

::

    [gateway]                           # all of it may be left out
    data = "/var/lib/smartmeter"        # readings, local TMS; default: the folder of the state file
    allow = "/etc/smartmeter/allow.toml"   # what may be written; without: read-only
    mains = "meter"                     # or "power_supply", "gpio:/dev/gpiochip0:17"
    metrics = "127.0.0.1:9118"          # Prometheus
    socket = "/run/smartmeter/gateway.sock"   # for ``gateway status``; default: in data

    [module]
    esn = "SM000001"
    key_file = "/etc/smartmeter/key"    # 32 hex digits, mode 0600
    state = "/var/lib/smartmeter/module.nvram"

    [meter]
    port = "/dev/smartmeter0"           # any pyserial URL, or tcp:HOST:PORT
    user_id = 2
    user = "SSI"
    password_file = "/etc/smartmeter/optical"

    [[tms]]                             # none: a TMS in the same process
    address = "tcp:tms.example:1153"    # tls:… with tls_ca, tls_certificate, tls_key if wanted
    title = ".1"
    cost = 1                            # the cheapest that works is used
    when = "always"                     # or "wanted": open while something waits
    carries = "all"                     # or "urgent": alarms only
    max_apdu = 2048                     # longer messages wait for another bearer

    [[tms]]                             # more: the next when the first fails
    address = "mqtt:broker.example:1883/c1222"   # see docs/bearers.rst for the kinds
    user = "gateway"                    # password_file beside it

    [csv]
    file = "/var/lib/smartmeter/intervals.csv"
    [mqtt]
    host = "127.0.0.1"
    [influx]
    url = "http://127.0.0.1:8086/api/v2/write?org=home&bucket=meter&precision=s"
    [home_assistant]
    url = "ws://homeassistant.local:8123/api/websocket"
    token_file = "/etc/smartmeter/home-assistant"

    [upgrade]                           # without: images are refused
    public_key_file = "/etc/smartmeter/upgrade.pub"   # Ed25519, 64 hex digits
    slots = "/var/lib/smartmeter/slots" # default: the folder slots in data
    trial_s = 900                       # a new version must have reached its TMS by then

Several meters: ``[[meters]]``, each with what stands in ``[module]`` and
``[meter]``, in their place.  Secrets come from files or, for tests and first
steps, from the environment (``SMARTMETER_MODULE_KEY``,
``SMARTMETER_OPTICAL_PASSWORD``); never from the command line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from smartmeter.base.address import host_port, may_be_a_name
from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.base.file import read_file, read_text
from smartmeter.base.signing import KEY_OCTETS
from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.bearers import check_address
from smartmeter.comms.tls import TlsFiles
from smartmeter.comms.way import DEFAULT_MAX_APDU_OCTETS, Carries
from smartmeter.gateway.mains import check_sense
from smartmeter.gateway.permissions import LocalPermission, read_permission
from smartmeter.gateway.sinks.settings import (
    HomeAssistantSettings,
    InfluxSettings,
    MqttSettings,
)
from smartmeter.ssi.factory import Factory, TmsAddress

KEY_VARIABLE, PASSWORD_VARIABLE = "SMARTMETER_MODULE_KEY", "SMARTMETER_OPTICAL_PASSWORD"
MAX_OCTETS = 65_536
MAX_METERS = 32
#: A registration, and a short alarm, must fit.
MIN_APDU_OCTETS = 256
LOCAL = "local"
_SECTIONS = {
    "gateway": {"data", "allow", "mains", "metrics", "socket"},
    "module": {"esn", "key_file", "state"},
    "meter": {"port", "user_id", "user", "password_file", "model"},
    "tms": {"address", "title", "cost", "tls_ca", "tls_certificate", "tls_key"}
    | {"when", "carries", "max_apdu", "node", "user", "password_file"},
    "csv": {"file"},
    "mqtt": {"host", "port", "user", "password_file", "base", "discovery"},
    "influx": {"url", "token_file"},
    "home_assistant": {"url", "token_file"},
    "upgrade": {"public_key_file", "slots", "trial_s"},
}
_SECTIONS["meters"] = _SECTIONS["module"] | _SECTIONS["meter"]


@dataclass(frozen=True)
class SeatSettings:
    """One meter: its module's factory memory, state file and port."""

    factory: Factory
    state: Path
    port: str
    model: str = ""


@dataclass(frozen=True)
class UpgradeSettings:
    """Whose images are taken, where they are unpacked, how long a version is on trial."""

    public_key: bytes
    slots: Path
    trial_s: int


@dataclass(frozen=True)
class Sinks:
    """Where readings go beside the TMS; None for those that are not set."""

    csv: Path | None = None
    mqtt: MqttSettings | None = None
    influx: InfluxSettings | None = None
    home_assistant: HomeAssistantSettings | None = None


@dataclass(frozen=True)
class GatewaySettings:
    """A gateway's settings, checked.  Without ``bearers`` it has its own TMS."""

    seats: tuple[SeatSettings, ...]
    bearers: tuple[BearerSettings, ...]
    data: Path
    socket: Path
    permission: LocalPermission = field(default_factory=LocalPermission)
    mains: str = "meter"
    metrics: tuple[str, int] | None = None
    sinks: Sinks = Sinks()
    upgrade: UpgradeSettings | None = None


class _Section:
    """One table of the file with its place; every getter refuses what is not of its kind."""

    def __init__(
        self, value: object, name: str, place: str, environment: Mapping[str, str]
    ) -> None:
        self.place = place
        self._environment = environment
        if not isinstance(value, dict):
            known = ", ".join(sorted(_SECTIONS[name]))
            raise SettingsError(place, "is missing", f"give it with {known}")
        unknown = set(value) - _SECTIONS[name]
        if unknown:
            known = ", ".join(sorted(_SECTIONS[name]))
            raise SettingsError(place, f"unknown setting {min(unknown)!r}", f"use {known}")
        self._value: dict[str, Any] = value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def text(self, name: str, default: str | None = None) -> str:
        """Give a text that is not empty."""
        value = self._value.get(name, default)
        if not isinstance(value, str) or (not value and default is None):
            raise SettingsError(
                self.place, f"{name} is missing or no text", f'write {name} = "..."'
            )
        return value

    def choice(self, name: str, known: Sequence[str]) -> str:
        """Give one of the texts that are known; the first is the default."""
        value = self.text(name, known[0])
        if value not in known:
            raise SettingsError(self.place, f"{name} is {value!r}", f"use {' or '.join(known)}")
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Give a whole number in a range."""
        value = self._value.get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise SettingsError(
                self.place, f"{name} is {value!r}", f"write a number from {low} to {high}"
            )
        return value

    def secret(self, name: str, variable: str = "", default: str | None = None) -> str:
        """Give what stands in a file, else in an environment variable, else the default."""
        if name in self._value:
            path = Path(self.text(name))
            octets = read_file(path, MAX_OCTETS, f"{self.place}, {name} {path}")
            return octets.decode("utf-8", "replace").strip()
        if variable in self._environment:
            return self._environment[variable]
        if default is None:
            raise SettingsError(
                self.place, f"{name} is missing", f"give it, or set {variable}" if variable else ""
            )
        return default


class _File:
    """The whole file."""

    def __init__(self, value: dict[str, Any], place: str, environment: Mapping[str, str]) -> None:
        unknown = set(value) - set(_SECTIONS)
        if unknown:
            known = ", ".join(f"[{name}]" for name in _SECTIONS)
            raise SettingsError(place, f"unknown [{min(unknown)}]", f"use {known}")
        self._value, self._place, self._environment = value, place, environment

    def section(self, name: str) -> _Section:
        """Give a table that must be there."""
        place = f"{self._place}, [{name}]"
        return _Section(self._value.get(name), name, place, self._environment)

    def optional(self, name: str) -> _Section | None:
        """Give a table that may be left out."""
        return self.section(name) if name in self._value else None

    def several(self, name: str) -> list[_Section]:
        """Give the tables of an array of tables."""
        found = self._value.get(name, [])
        if not isinstance(found, list):
            raise SettingsError(f"{self._place}, [{name}]", "is one table", f"write [[{name}]]")
        return [
            _Section(one, name, f"{self._place}, [[{name}]] number {n}", self._environment)
            for n, one in enumerate(found, 1)
        ]


def read_settings(path: Path, environment: Mapping[str, str]) -> GatewaySettings:
    """Read a settings file; SettingsError names place, fault and remedy."""
    place = str(path)
    try:
        value = tomllib.loads(read_text(path, MAX_OCTETS))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(place, str(error), "write TOML") from error
    file = _File(value, place, environment)
    bearers, addresses = _tms(file)
    several = file.several("meters")
    if several and ("module" in value or "meter" in value):
        raise SettingsError(place, "[module] and [[meters]]", "use one of the two forms")
    pairs = [(one, one) for one in several] or [(file.section("module"), file.section("meter"))]
    if len(pairs) > MAX_METERS:
        raise SettingsError(place, f"{len(pairs)} meters", f"give at most {MAX_METERS}")
    gateway = file.optional("gateway") or _Section({}, "gateway", place, environment)
    data = Path(gateway.text("data")) if "data" in gateway else None
    seats = tuple(_seat(module, meter, addresses, data) for module, meter in pairs)
    for name in ("esn", "state", "port"):
        seen = [one.factory.esn if name == "esn" else getattr(one, name) for one in seats]
        if len(set(seen)) < len(seen):
            raise SettingsError(place, f"two meters have the same {name}", "give each its own")
    data = data or seats[0].state.parent
    upgrade = _upgrade(file, data)
    if upgrade is not None:
        # A gateway is one program: the first module takes images for all.
        first = replace(seats[0].factory, upgrade_key=upgrade.public_key)
        seats = (replace(seats[0], factory=first), *seats[1:])
    return GatewaySettings(
        seats,
        bearers,
        data,
        Path(gateway.text("socket", str(data / "gateway.sock"))),
        read_permission(Path(gateway.text("allow"))) if "allow" in gateway else LocalPermission(),
        check_sense(f"{gateway.place}, mains", gateway.text("mains", "meter")),
        _listen(gateway) if "metrics" in gateway else None,
        _sinks(file),
        upgrade,
    )


def _tms(file: _File) -> tuple[tuple[BearerSettings, ...], tuple[TmsAddress, ...]]:
    bearers, addresses = [], []
    for number, host in enumerate(file.several("tms"), 1):
        bearers.append(_bearer(number, host))
        addresses.append(TmsAddress(bearers[-1].address, host.text("title", ".1")))
    return tuple(bearers), tuple(addresses) or (TmsAddress(LOCAL),)


def _bearer(number: int, host: _Section) -> BearerSettings:
    address = host.text("address")
    # A short message costs: it is for alarms unless the settings say otherwise.
    dear = check_address(address) == "sms"
    names = ("tls_ca", "tls_certificate", "tls_key")
    return BearerSettings(
        f"tms{number}",
        address,
        host.number("cost", number, 0, 1 << 16),
        host.number("max_apdu", DEFAULT_MAX_APDU_OCTETS, MIN_APDU_OCTETS, 32_767),
        TlsFiles(*(Path(host.text(name)) if name in host else None for name in names)),
        When(host.choice("when", [one.value for one in When])),
        Carries(host.choice("carries", ["urgent", "all"] if dear else ["all", "urgent"])),
        host.text("node", ""),
        host.text("user", ""),
        host.secret("password_file", default=""),
    )


def _seat(
    module: _Section, meter: _Section, addresses: tuple[TmsAddress, ...], data: Path | None
) -> SeatSettings:
    key = module.secret("key_file", KEY_VARIABLE)
    try:
        factory = Factory(
            module.text("esn"),
            bytes.fromhex(key),
            addresses,
            meter.number("user_id", 2, 0, 65_535),
            meter.text("user", "SSI"),
            meter.secret("password_file", PASSWORD_VARIABLE, "").encode(),
        ).check()
    except StorageError as error:
        raise SettingsError(module.place, error.fault, "mend it") from error
    except ValueError:
        raise SettingsError(module.place, "the key is not hex", "write 32 hex digits") from None
    default = None if data is None else str(data / f"{factory.esn}.nvram")
    state = Path(module.text("state", default))
    return SeatSettings(factory, state, _port(meter), meter.text("model", ""))


def _port(meter: _Section) -> str:
    """Give a port's name; a TCP port without host or number never comes up."""
    name = meter.text("port")
    if name.startswith("tcp:"):
        host_port(f"{meter.place}, port", name.removeprefix("tcp:"), "tcp:HOST:PORT")
    return name


def _listen(gateway: _Section) -> tuple[str, int]:
    return host_port(f"{gateway.place}, metrics", gateway.text("metrics"), "127.0.0.1:9118")


def _upgrade(file: _File, data: Path) -> UpgradeSettings | None:
    section = file.optional("upgrade")
    if section is None:
        return None
    try:
        key = bytes.fromhex(section.secret("public_key_file"))
    except ValueError:
        key = b""
    if len(key) != KEY_OCTETS:
        raise SettingsError(
            section.place, "public_key_file holds no key", f"write {2 * KEY_OCTETS} hex digits"
        )
    slots = Path(section.text("slots", str(data / "slots")))
    return UpgradeSettings(key, slots, section.number("trial_s", 900, 10, 86_400))


def _host(mqtt: _Section) -> str:
    host = mqtt.text("host")
    if not may_be_a_name(host):
        raise SettingsError(f"{mqtt.place}, host", f"{host!r:.80} is none", "write its name")
    return host


def _url(section: _Section, schemes: tuple[str, ...], example: str) -> str:
    text = section.text("url")
    try:
        parts = urlsplit(text)
        host = parts.hostname
        good = parts.scheme in schemes and host and may_be_a_name(host) and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise SettingsError(f"{section.place}, url", f"{text!r:.80} is none", f"write {example}")
    return text


def _influx_url(influx: _Section) -> str:
    example = "http://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET&precision=s"
    url = _url(influx, ("http", "https"), example)
    if parse_qs(urlsplit(url).query).get("precision") not in (["s"], ["second"]):
        # Without it the server takes seconds for nanoseconds.
        raise SettingsError(f"{influx.place}, url", "its times are not seconds", "add precision=s")
    return url


def _sinks(file: _File) -> Sinks:
    csv, mqtt = file.optional("csv"), file.optional("mqtt")
    influx, home = file.optional("influx"), file.optional("home_assistant")
    return Sinks(
        None if csv is None else Path(csv.text("file")),
        None
        if mqtt is None
        else MqttSettings(
            _host(mqtt),
            mqtt.number("port", 1883, 1, 65_535),
            mqtt.text("user", ""),
            mqtt.secret("password_file", default=""),
            mqtt.text("base", "smartmeter"),
            mqtt.text("discovery", "homeassistant"),
        ),
        None
        if influx is None
        else InfluxSettings(_influx_url(influx), influx.secret("token_file", default="")),
        None
        if home is None
        else HomeAssistantSettings(
            _url(home, ("ws", "wss"), "ws://HOST:8123/api/websocket"), home.secret("token_file")
        ),
    )
