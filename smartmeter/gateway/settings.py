"""The settings of a gateway: one TOML file, read whole or refused with the place.

::

    [module]
    esn = "SM000001"
    key_file = "/etc/smartmeter/key"    # 32 hex digits; or key = "..." in a file of mode 0600
    state = "/var/lib/smartmeter/module.nvram"

    [meter]
    port = "/dev/ttyUSB0"               # any pyserial URL, or tcp:HOST:PORT
    user_id = 2
    user = "SSI"
    password_file = "/etc/smartmeter/optical"

    [[tms]]
    address = "tcp:tms.example:1153"
    title = ".1"

Secrets come from files or, for tests and first steps, from the environment
(``SMARTMETER_MODULE_KEY``, ``SMARTMETER_OPTICAL_PASSWORD``); never from the
command line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.comms.bearer import BearerSettings, tcp_address
from smartmeter.ssi.factory import Factory, TmsAddress

KEY_VARIABLE, PASSWORD_VARIABLE = "SMARTMETER_MODULE_KEY", "SMARTMETER_OPTICAL_PASSWORD"
MAX_OCTETS = 65_536
_TABLES = {
    "module": {"esn", "key_file", "state"},
    "meter": {"port", "user_id", "user", "password_file"},
    "tms": {"address", "title", "cost"},
}


@dataclass(frozen=True)
class GatewaySettings:
    """A gateway's settings, checked."""

    factory: Factory
    state: Path
    port: str
    bearers: tuple[BearerSettings, ...]


def read_settings(path: Path, environment: Mapping[str, str]) -> GatewaySettings:
    """Read a settings file; SettingsError names place, fault and remedy."""
    place = str(path)
    try:
        value = tomllib.loads(_read(path, place).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(place, str(error), "write TOML") from error
    module, meter = _table(value, "module", place), _table(value, "meter", place)
    hosts = value.get("tms")
    if not isinstance(hosts, list) or not hosts:
        raise SettingsError(place, "no [[tms]]", "give at least one address")
    bearers, addresses = [], []
    for number, host in enumerate(hosts, 1):
        where = f"{place}, [[tms]] number {number}"
        _known(host, "tms", where)
        address = _text(host, "address", where)
        tcp_address(address)
        bearers.append(BearerSettings(f"tms{number}", address, int(host.get("cost", number))))
        addresses.append(TmsAddress(address, _text(host, "title", where, ".1")))
    key = _secret(module, "key_file", KEY_VARIABLE, environment, f"{place}, [module]")
    password = _secret(
        meter, "password_file", PASSWORD_VARIABLE, environment, f"{place}, [meter]", optional=True
    )
    try:
        factory = Factory(
            _text(module, "esn", f"{place}, [module]"),
            bytes.fromhex(key),
            tuple(addresses),
            int(meter.get("user_id", 2)),
            _text(meter, "user", f"{place}, [meter]", "SSI"),
            password.encode(),
        ).check()
    except StorageError as error:
        raise SettingsError(f"{place}, [module]", error.fault, "mend it") from error
    except (TypeError, ValueError):
        raise SettingsError(
            f"{place}, [module]", "the key is not hex, or user_id no number", "mend it"
        ) from None
    state = Path(_text(module, "state", f"{place}, [module]"))
    port = _text(meter, "port", f"{place}, [meter]")
    return GatewaySettings(factory, state, port, tuple(bearers))


def _read(path: Path, place: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise SettingsError(place, str(error.strerror), "check name and rights") from error
    if len(data) > MAX_OCTETS:
        raise SettingsError(place, f"is larger than {MAX_OCTETS} octets", "check the name")
    return data


def _table(value: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
    table = value.get(name)
    where = f"{place}, [{name}]"
    _known(table, name, where)
    assert isinstance(table, dict)
    return table


def _known(table: object, name: str, where: str) -> None:
    if not isinstance(table, dict):
        raise SettingsError(where, "is missing", f"give it with {', '.join(sorted(_TABLES[name]))}")
    unknown = set(table) - _TABLES[name]
    if unknown:
        known = ", ".join(sorted(_TABLES[name]))
        raise SettingsError(where, f"unknown setting {min(unknown)!r}", f"use {known}")


def _text(table: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
    value = table.get(name, default)
    if not isinstance(value, str) or not value:
        raise SettingsError(where, f"{name} is missing or no text", f'write {name} = "..."')
    return value


def _secret(
    table: Mapping[str, Any],
    name: str,
    variable: str,
    environment: Mapping[str, str],
    where: str,
    optional: bool = False,
) -> str:
    if name in table:
        path = Path(_text(table, name, where))
        return _read(path, f"{where}, {name} {path}").decode("ascii", "replace").strip()
    if variable in environment or optional:
        return environment.get(variable, "")
    raise SettingsError(where, f"{name} is missing", f"give it, or set {variable}")
