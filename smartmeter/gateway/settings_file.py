"""The form of a gateway's settings file: its sections, and getters that name place and remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smartmeter.base.errors import SettingsError
from smartmeter.base.file import read_password
from smartmeter.comms.tls import TlsFiles

MAX_OCTETS = 65_536
#: The longest name of a file, and what all parts of a path may have together: Linux' own limits.
MAX_PART_OCTETS, MAX_PATH_OCTETS = 255, 3000
TLS_FILES = {"tls_ca", "tls_certificate", "tls_key"}
SECTIONS = {
    "gateway": {"data", "allow", "mains", "metrics", "socket", "keep_days"},
    "module": {"esn", "key_file", "state"},
    "meter": {"port", "rts", "dtr", "user_id", "user", "password_file", "model"},
    "tms": {"address", "title", "cost"}
    | TLS_FILES
    | {"when", "carries", "max_apdu", "segment", "node", "user", "password_file"},
    "csv": {"file"},
    "mqtt": {"host", "port", "user", "password_file", "base", "discovery"} | {"tls"} | TLS_FILES,
    "influx": {"url", "token_file"} | TLS_FILES,
    "home_assistant": {"url", "token_file"} | TLS_FILES,
    "upgrade": {"public_key_file", "slots", "trial_s"},
}
SECTIONS["meters"] = SECTIONS["module"] | SECTIONS["meter"]


class Section:
    """One table of the file with its place; every getter refuses what is not of its kind."""

    def __init__(
        self, value: object, name: str, place: str, environment: Mapping[str, str]
    ) -> None:
        self.place = place
        self._environment = environment
        if not isinstance(value, dict):
            known = ", ".join(sorted(SECTIONS[name]))
            if value is None:
                raise SettingsError(place, "is missing", f"give it with {known}")
            fault = "is a list" if isinstance(value, list) else "is no table"  # a list: [[csv]]
            raise SettingsError(place, fault, f"give one table with {known}")
        unknown = set(value) - SECTIONS[name]
        if unknown:
            known = ", ".join(sorted(SECTIONS[name]))
            raise SettingsError(place, f"unknown setting {min(unknown)!r:.80}", f"use {known}")
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
        if not value.isprintable():
            fault = f"{name} holds a character that cannot be seen"
            raise SettingsError(self.place, fault, f'write {name} = "..."')
        return value

    def path(self, name: str, default: str | None = None) -> Path:
        """Give the name of a file or folder, no longer than a system takes."""
        text = self.text(name, default)
        if not text.strip():
            raise SettingsError(self.place, f"{name} is empty", f'write {name} = "..."')
        path = Path(text)
        if path.parts and path.parts[0].startswith("~"):  # only a shell knows whose home that is
            fault = f"{name} begins with {path.parts[0]!r:.80}"
            raise SettingsError(self.place, fault, "write the whole path")
        octets = [len(os.fsencode(part)) for part in path.parts]
        if max(octets, default=0) > MAX_PART_OCTETS or sum(octets) > MAX_PATH_OCTETS:
            raise SettingsError(
                self.place, f"{name} is longer than a file's name", f'write {name} = "..."'
            )
        return path

    def file(self, name: str, default: str | None = None) -> Path:
        """Give the name of a file that is made here, and not that of a folder."""
        path = self.path(name, default)
        if not path.name or path.name == "..":
            raise SettingsError(self.place, f"{name} names a folder", f'write {name} = "..."')
        return path

    def choice(self, name: str, known: Sequence[str]) -> str:
        """Give one of the texts that are known; the first is the default."""
        value = self.text(name, known[0])
        if value not in known:
            raise SettingsError(self.place, f"{name} is {value!r:.80}", f"use {' or '.join(known)}")
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Give a whole number in a range."""
        value = self._value.get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise SettingsError(
                self.place, f"{name} is {value!r:.80}", f"write a number from {low} to {high}"
            )
        return value

    def switch(self, name: str, default: bool) -> bool:
        """Give true or false."""
        value = self._value.get(name, default)
        if not isinstance(value, bool):
            raise SettingsError(self.place, f"{name} is {value!r:.80}", "write true or false")
        return value

    def secret(self, name: str, variable: str = "", default: str | None = None) -> str:
        """Give what stands in a file, else in an environment variable, else the default."""
        if name in self._value:
            path = self.path(name)
            return read_password(path, f"{self.place}, {name} {path}")
        if variable in self._environment:
            return self._environment[variable]
        if default is None:
            remedy = f"give it, or set {variable}" if variable else "name a file"
            raise SettingsError(self.place, f"{name} is missing", remedy)
        return default

    def tls_files(self) -> TlsFiles:
        """Give the PEM files that are named; they are not looked at here."""
        if "tls_key" in self and "tls_certificate" not in self:
            raise SettingsError(self.place, "tls_key is of nothing", "give tls_certificate, too")
        names = ("tls_ca", "tls_certificate", "tls_key")
        return TlsFiles(*(self.path(name) if name in self else None for name in names))

    def token(self, name: str, default: str | None = None) -> str:
        """Give a secret that goes into the line of a request: one word, which no fault may show."""
        token = self.secret(name, default=default).strip()
        if name in self and not (
            token.isascii() and token.isprintable() and token.split() == [token]
        ):
            raise SettingsError(
                self.place, f"{name} holds no token", "write one word into the file"
            )
        return token


class SettingsFile:
    """The whole file."""

    def __init__(self, value: dict[str, Any], place: str, environment: Mapping[str, str]) -> None:
        unknown = set(value) - set(SECTIONS)
        if unknown:
            known = ", ".join(f"[{name}]" for name in SECTIONS)
            raise SettingsError(place, f"unknown [{min(unknown):.80}]", f"use {known}")
        self._value, self.place, self._environment = value, place, environment

    def section(self, name: str) -> Section:
        """Give a table that must be there."""
        place = f"{self.place}, [{name}]"
        return Section(self._value.get(name), name, place, self._environment)

    def optional(self, name: str) -> Section | None:
        """Give a table that may be left out."""
        return self.section(name) if name in self._value else None

    def several(self, name: str) -> list[Section]:
        """Give the tables of an array of tables."""
        found = self._value.get(name, [])
        if not isinstance(found, list):
            raise SettingsError(f"{self.place}, [{name}]", "is one table", f"write [[{name}]]")
        return [
            Section(one, name, f"{self.place}, [[{name}]] number {n}", self._environment)
            for n, one in enumerate(found, 1)
        ]
