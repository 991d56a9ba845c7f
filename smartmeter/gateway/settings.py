"""The settings of a gateway: one TOML file, read whole or refused with the place.

::

    [gateway]                           # all of it may be left out
    data = "/var/lib/smartmeter"        # readings, local TMS; default: the folder of the state file
    allow = "/etc/smartmeter/allow.toml"   # what may be written; without: read-only
    mains = "meter"                     # or "power_supply", "gpio:/dev/gpiochip0:17"
    metrics = "127.0.0.1:9118"          # Prometheus
    socket = "/run/smartmeter/gateway.sock"   # for ``gateway status``; default: in data
    keep_days = 800                     # readings and its own TMS; without, that TMS keeps all

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

    [[tms]]
    address = "udp:tms.example:1153"
    segment = 1232                      # longer messages in C12.22 segments, if the TMS joins them

    [csv]
    file = "/var/lib/smartmeter/intervals.csv"
    [mqtt]
    host = "127.0.0.1"                  # tls = true inside TLS, with files as of tls:…
    [influx]
    url = "http://127.0.0.1:8086/api/v2/write?org=home&bucket=meter&precision=s"
                                        # or https: and, below, wss:, with files as of tls:…
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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from protocols.c1222.node_events import MAX_APDU_OCTETS
from protocols.psem.codec import PASSWORD_OCTETS, USER_OCTETS
from smartmeter.base.address import host_port
from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.base.file import parse_toml, read_text
from smartmeter.base.signing import KEY_OCTETS
from smartmeter.base.title import node_title
from smartmeter.comms.bearer import (
    MAX_SEGMENT_OCTETS,
    MIN_SEGMENT_OCTETS,
    BearerSettings,
    When,
)
from smartmeter.comms.bearers import check_address
from smartmeter.comms.mqtt_topics import check_node
from smartmeter.comms.tls import TlsFiles
from smartmeter.comms.way import MAX_REPORT_OCTETS, Carries
from smartmeter.gateway.mains import check_sense
from smartmeter.gateway.permissions import LocalPermission, read_permission
from smartmeter.gateway.settings_file import MAX_OCTETS, Section, SettingsFile
from smartmeter.gateway.sinks.settings import Sinks, read_sinks
from smartmeter.ssi.factory import Factory, TmsAddress

KEY_VARIABLE, PASSWORD_VARIABLE = "SMARTMETER_MODULE_KEY", "SMARTMETER_OPTICAL_PASSWORD"
MAX_METERS, MAX_BEARERS = 32, 16
#: A registration, and a short alarm, must fit.
MIN_APDU_OCTETS = 256
LOCAL = "local"
#: What sinks are behind with after a week's absence is not forgotten before they had it.
MIN_KEEP_DAYS, MAX_KEEP_DAYS = 7, 36_500


@dataclass(frozen=True)
class SeatSettings:
    """One meter: its module's factory memory, state file and port.

    ``private_files`` are those that the module's key and the meter's password were read from.
    """

    factory: Factory
    state: Path
    port: str
    model: str = ""
    rts: bool = True
    dtr: bool = False
    private_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class UpgradeSettings:
    """Whose images are taken, where they are unpacked, how long a version is on trial."""

    public_key: bytes
    slots: Path
    trial_s: int


@dataclass(frozen=True)
class GatewaySettings:
    """A gateway's settings, checked.  Without ``bearers`` it has its own TMS.

    ``keep_days`` None: readings are kept as long as is usual, and all that its TMS has.
    """

    seats: tuple[SeatSettings, ...]
    bearers: tuple[BearerSettings, ...]
    data: Path
    socket: Path
    permission: LocalPermission = field(default_factory=LocalPermission)
    mains: str = "meter"
    metrics: tuple[str, int] | None = None
    sinks: Sinks = field(default_factory=Sinks)
    upgrade: UpgradeSettings | None = None
    keep_days: int | None = None

    @property
    def readings(self) -> Path:
        """Give the database of what was read."""
        return self.data / "readings.sqlite3"

    @property
    def local_tms(self) -> Path:
        """Give the folder of a TMS in the gateway's own process."""
        return self.data / "tms"

    def runs_tms(self, has_page: bool) -> bool:
        """Tell whether there is one: for its page, or where no other is named."""
        return has_page or not self.bearers

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing that is set could come to speak TLS; its own TMS needs none."""
        kinds = {one.address.partition(":")[0] for one in self.bearers}
        sinks = self.sinks
        others = (sinks.mqtt, sinks.influx, sinks.home_assistant, self.metrics)
        return kinds <= {"tcp", "udp"} and not any(others)


def read_settings(path: Path, environment: Mapping[str, str]) -> GatewaySettings:
    """Read a settings file; SettingsError names place, fault and remedy."""
    place = str(path)
    value = parse_toml(read_text(path, MAX_OCTETS), place)
    file = SettingsFile(value, place, environment)
    bearers, addresses = _tms(file)
    gateway = file.optional("gateway") or Section({}, "gateway", place, environment)
    data = gateway.path("data") if "data" in gateway else None
    seats = _seats(file, value, addresses, data)
    data = data or seats[0].state.parent
    upgrade = _upgrade(file, data)
    if upgrade is not None:
        # A gateway is one program: the first module takes images for all.
        first = replace(seats[0].factory, upgrade_key=upgrade.public_key)
        seats = (replace(seats[0], factory=first), *seats[1:])
    settings = GatewaySettings(
        seats,
        bearers,
        data,
        _socket(gateway, data),
        _permission(gateway) if "allow" in gateway else LocalPermission(),
        check_sense(f"{gateway.place}, mains", gateway.text("mains", "meter")),
        _listen(gateway) if "metrics" in gateway else None,
        read_sinks(file),
        upgrade,
        _keep_days(gateway),
    )
    files = [settings.readings, settings.socket, *(one.state for one in seats)]
    files += [] if settings.sinks.csv is None else [settings.sinks.csv]
    if len({path.absolute() for path in files}) < len(files):
        raise SettingsError(place, "two settings name the same file", "give each its own")
    return settings


def _seats(
    file: SettingsFile,
    value: Mapping[str, object],
    addresses: tuple[TmsAddress, ...],
    data: Path | None,
) -> tuple[SeatSettings, ...]:
    """Read the meters, each with its module: of two no ESN, state file or port is the same."""
    several = file.several("meters")
    if several and ("module" in value or "meter" in value):
        raise SettingsError(file.place, "[module] and [[meters]]", "use one of the two forms")
    pairs = [(one, one) for one in several] or [(file.section("module"), file.section("meter"))]
    if len(pairs) > MAX_METERS:
        raise SettingsError(file.place, f"{len(pairs)} meters", f"give at most {MAX_METERS}")
    seats = tuple(_seat(module, meter, addresses, data) for module, meter in pairs)
    for name, of_each in (
        ("esn", [one.factory.esn for one in seats]),
        ("state", [one.state for one in seats]),
        ("port", [one.port for one in seats]),
    ):
        if len(set(of_each)) < len(seats):
            raise SettingsError(file.place, f"two meters have the same {name}", "give each its own")
    return seats


def read_socket(path: Path) -> Path:
    """Give the status socket, and read no secret: who may ask need not know any.

    SettingsError as of ``read_settings``.
    """
    place = str(path)
    file = SettingsFile(parse_toml(read_text(path, MAX_OCTETS), place), place, {})
    gateway = file.optional("gateway") or Section({}, "gateway", place, {})
    if "data" in gateway:
        data = gateway.path("data")
    else:
        data = (file.several("meters") or [file.section("module")])[0].file("state").parent
    return _socket(gateway, data)


def _socket(gateway: Section, data: Path) -> Path:
    return gateway.file("socket", str(data / "gateway.sock"))


def _tms(file: SettingsFile) -> tuple[tuple[BearerSettings, ...], tuple[TmsAddress, ...]]:
    bearers, addresses = [], []
    hosts = file.several("tms")
    if len(hosts) > MAX_BEARERS:
        raise SettingsError(file.place, f"{len(hosts)} [[tms]]", f"give at most {MAX_BEARERS}")
    for number, host in enumerate(hosts, 1):
        bearers.append(_bearer(number, host))
        addresses.append(TmsAddress(bearers[-1].address, _title(host)))
    return tuple(bearers), tuple(addresses) or (TmsAddress(LOCAL),)


def _title(host: Section) -> str:
    text = host.text("title", ".1")
    node_title(host.place, text)
    return text


def _bearer(number: int, host: Section) -> BearerSettings:
    address = host.text("address")
    try:
        kind = check_address(address)
    except SettingsError as error:
        raise SettingsError(f"{host.place}, {error.place}", error.fault, error.remedy) from None
    # A short message costs: it is for alarms unless the settings say otherwise.
    carries = ["urgent", "all"] if kind == "sms" else ["all", "urgent"]
    bearer = BearerSettings(
        f"tms{number}",
        address,
        host.number("cost", number, 0, 1 << 16),
        host.number("max_apdu", MAX_REPORT_OCTETS, MIN_APDU_OCTETS, MAX_APDU_OCTETS),
        host.tls_files(),
        When(host.choice("when", [one.value for one in When])),
        Carries(host.choice("carries", carries)),
        _node(host, kind),
        host.text("user", ""),
        host.secret("password_file", default=""),
        segment_octets=_segment(host, address),
    )
    if bearer.tls != TlsFiles() and not bearer.speaks_tls:
        # Whoever gives them must not believe that strangers are kept away.
        remedy = "write tls: or mqtts:, or listen: with tls_certificate and tls_key"
        raise SettingsError(host.place, f"TLS files, but {kind}: speaks none", remedy)
    return bearer


def _node(host: Section, kind: str) -> str:
    """Give the node's name at a broker; SettingsError for one that no topic may carry."""
    name = host.text("node", "")
    if not name or kind not in ("mqtt", "mqtts"):
        return name
    try:
        return check_node(name)
    except SettingsError as error:
        raise SettingsError(f"{host.place}, {error.place}", error.fault, error.remedy) from None


def _segment(host: Section, address: str) -> int | None:
    """Give the size of C12.22 segments; SettingsError where no datagrams are sent."""
    if "segment" not in host:
        return None
    if not address.startswith("udp:"):
        raise SettingsError(f"{host.place}, segment", "is for udp: alone", "leave it out")
    return host.number("segment", MAX_SEGMENT_OCTETS, MIN_SEGMENT_OCTETS, MAX_SEGMENT_OCTETS)


def _seat(
    module: Section, meter: Section, addresses: tuple[TmsAddress, ...], data: Path | None
) -> SeatSettings:
    key = module.secret("key_file", KEY_VARIABLE)
    password = meter.secret("password_file", PASSWORD_VARIABLE, "")
    try:
        factory = Factory(
            module.text("esn"),
            bytes.fromhex(key),
            addresses,
            meter.number("user_id", 2, 0, 65_535),
            _no_longer(meter, "user", meter.text("user", "SSI"), USER_OCTETS),
            _no_longer(meter, "password_file", password, PASSWORD_OCTETS).encode(),
        ).check()
    except StorageError as error:
        raise SettingsError(module.place, error.fault, "mend it") from error
    except ValueError:
        raise SettingsError(module.place, "the key is not hex", "write 32 hex digits") from None
    default = None if data is None else str(data / f"{factory.esn}.nvram")
    state = module.file("state", default)
    power = meter.switch("rts", True), meter.switch("dtr", False)
    named = ((module, "key_file"), (meter, "password_file"))
    files = tuple(section.path(name) for section, name in named if name in section)
    return SeatSettings(factory, state, _port(meter), meter.text("model", ""), *power, files)


def _no_longer(meter: Section, name: str, text: str, limit: int) -> str:
    """Give what a log-on has room for."""
    octets = len(text.encode())
    if octets > limit:
        fault = f"{name} gives {octets} octets"
        raise SettingsError(meter.place, fault, f"give at most {limit}: no meter takes more")
    return text


def _port(meter: Section) -> str:
    """Give a port's name; a TCP port without host or number never comes up."""
    name = meter.text("port")
    if name.startswith("tcp:"):
        host_port(f"{meter.place}, port", name.removeprefix("tcp:"), "tcp:HOST:PORT")
    return name


def _permission(gateway: Section) -> LocalPermission:
    path = gateway.path("allow")
    return read_permission(path, f"{gateway.place}, allow {path}")


def _listen(gateway: Section) -> tuple[str, int]:
    return host_port(f"{gateway.place}, metrics", gateway.text("metrics"), "127.0.0.1:9118")


def _keep_days(gateway: Section) -> int | None:
    if "keep_days" not in gateway:
        return None
    return gateway.number("keep_days", 0, MIN_KEEP_DAYS, MAX_KEEP_DAYS)


def _upgrade(file: SettingsFile, data: Path) -> UpgradeSettings | None:
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
    slots = section.path("slots", str(data / "slots"))
    return UpgradeSettings(key, slots, section.number("trial_s", 900, 10, 86_400))
