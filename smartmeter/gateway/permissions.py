"""What a gateway may do to its meter: nothing but read, unless a local file says otherwise.

::

    tables = [5]                  # these tables may be written
    procedures = [10]             # these procedures may be run
    dangerous_procedures = []     # and of those that reset, clear, switch or move pointers, these

The file lies on the board and is read once, at start.  Nothing that arrives
over the network can change it: the module has no way to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartmeter.base.errors import SettingsError
from smartmeter.base.file import parse_toml, read_text

MAX_OCTETS = 65_536
MAX_NUMBER = 4095
#: Written through procedures only.
PROCEDURE_TABLES = (7, 8)
#: Standard procedures that neither reset, clear, switch nor move pointers (C12.19 table 07):
#: save configuration, set date and time, set date, log in and out, quality-of-service monitor.
HARMLESS_PROCEDURES = frozenset({2, 10, 11, 18, 19, 28, 29})
_NAMES = ("tables", "procedures", "dangerous_procedures")


@dataclass(frozen=True)
class LocalPermission:
    """A ``smartmeter.ssi.guard.Permission``; without numbers the gateway only reads."""

    tables: frozenset[int] = frozenset()
    procedures: frozenset[int] = frozenset()

    def table(self, number: int) -> bool:
        """Tell whether a table may be written."""
        return number in self.tables

    def procedure(self, number: int) -> bool:
        """Tell whether a procedure may be run; a manufacturer's counts from 2048."""
        return number in self.procedures

    def __str__(self) -> str:
        if not self.tables and not self.procedures:
            return "read-only"
        tables = ", ".join(map(str, sorted(self.tables))) or "none"
        procedures = ", ".join(map(str, sorted(self.procedures))) or "none"
        return f"may write tables {tables}; may run procedures {procedures}"


def read_permission(path: Path, place: str = "") -> LocalPermission:
    """Read the file; SettingsError names ``place``, or else the file, fault and remedy."""
    place = place or str(path)
    value = parse_toml(read_text(path, MAX_OCTETS, place), place)
    unknown = set(value) - set(_NAMES)
    if unknown:
        raise SettingsError(place, f"unknown {min(unknown)!r:.80}", f"use {', '.join(_NAMES)}")
    tables, procedures, dangerous = (_numbers(value.get(name, []), name, place) for name in _NAMES)
    for number in sorted(tables & set(PROCEDURE_TABLES)):
        raise SettingsError(
            f"{place}, tables", f"table {number} runs procedures", "list these under procedures"
        )
    for number in sorted(procedures - HARMLESS_PROCEDURES):
        raise SettingsError(
            f"{place}, procedures",
            f"procedure {number} may reset, clear, switch or move pointers",
            "list it under dangerous_procedures if you mean it",
        )
    return LocalPermission(tables, procedures | dangerous)


def _numbers(value: object, name: str, place: str) -> frozenset[int]:
    remedy = f"write [n, …], n 0 to {MAX_NUMBER}"
    if not isinstance(value, list):
        raise SettingsError(f"{place}, {name}", f"{value!r:.80} is no list", remedy)
    for number in value:
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise SettingsError(f"{place}, {name}", f"{number!r:.80} is no number", remedy)
    return frozenset(value)
