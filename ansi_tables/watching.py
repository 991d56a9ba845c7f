"""What a definition looks at while it is built: each flag and count, and the device without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ansi_tables.context import Context
from ansi_tables.errors import TableError
from ansi_tables.formats import DeviceFormat
from ansi_tables.ids import name_of
from ansi_tables.values import Record

#: Members of ST-00 that change how a number or a time is coded; the type's name says so already.
_CODING = {
    "data_order",
    "char_format",
    "int_format",
    "ni_format1",
    "ni_format2",
    "tm_format",
    "overrides",
}
#: The codes tried for a member that selects one of several records, or where one lies.
_CODES = (0, 1, 2, 3)
_CODED = ("NAMEPLATE_TYPE", "SELECTOR", "VERSION_NO", "BIT_RATE")
#: Members of one bit beside those whose name says so.
_FLAGS = ("ID_FORM", "NO_LOCKOUT_PARM", "ID_IN_PURPOSE")


@dataclass(frozen=True)
class Change:
    """One thing that the definition looked at, and the device with it changed.

    ``now`` and ``then`` are conditions in words: as it is, and after the change.
    """

    name: str
    now: str
    then: str
    made: Callable[[Context], Context | None]


class Watch:
    """A context that notes what it is asked, so that it can be asked again otherwise."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.fmt: Any = _WatchedFormat(context.fmt, self)
        self.of_format: dict[str, Any] = {}
        self.of_tables: dict[tuple[int, tuple[str, ...]], int] = {}
        self.of_uses: dict[int, bool] = {}

    def table(self, number: int) -> Record:
        """Give a context table whose members note that they were looked at."""
        return _WatchedRecord(self._context.table(number), self.of_tables, number, ())

    def uses(self, number: int) -> bool:
        """Tell whether ST-00 lists a standard table."""
        self.of_uses[number] = self._context.uses(number)
        return self.of_uses[number]

    def changes(self) -> Iterator[Change]:
        """Give each thing that was looked at, changed."""
        for number, used in self.of_uses.items():
            name = f"ST-00 lists {name_of(number)}"
            yield Change(name, *_told(name, int(used), int(not used)), _listing(number))
        for attribute, value in self.of_format.items():
            if attribute in _CODING or not isinstance(value, int):
                continue
            name = f"ST-00.{attribute.upper()}"
            for other in _others(name, value):
                yield Change(name, *_told(name, value, other), _formatted(attribute, other))
        for (number, path), value in self.of_tables.items():
            name = ".".join((name_of(number), *path))
            for other in _others(name, value):
                yield Change(name, *_told(name, value, other), _member(number, path, other))


def _others(name: str, value: int) -> tuple[int, ...]:
    """Give other values for a member: a flag the other way, a count one more or 0, a code all."""
    if "FLAG" in name.rpartition(".")[2] or name.endswith(_FLAGS):
        return (1 - value,) if value in (0, 1) else (0,)
    if name.endswith(_CODED):
        return tuple(code for code in _CODES if code != value)
    return (value + 1, 0) if value else (1,)


def _told(name: str, value: int, other: int) -> tuple[str, str]:
    """Give the words for a value and for another one."""
    if name.endswith(_CODED) or 0 not in (value, other):
        return f"{name} = {value}", f"{name} = {other}"
    if "FLAG" in name.rpartition(".")[2] or " lists " in name or name.endswith(_FLAGS):
        words = f"not {name}", name
    else:
        words = f"{name} = 0", f"{name} > 0"
    return words[value > 0], words[other > 0]


def _listing(number: int) -> Callable[[Context], Context | None]:
    def made(context: Context) -> Context | None:
        listed = context.fmt.std_tbls_used ^ {number}
        return context.changed(replace(context.fmt, std_tbls_used=listed), {})

    return made


def _formatted(attribute: str, value: int) -> Callable[[Context], Context | None]:
    def made(context: Context) -> Context | None:
        changes: dict[str, Any] = {attribute: value}
        try:
            return context.changed(replace(context.fmt, **changes), {})
        except TableError:
            return None

    return made


def _member(number: int, path: tuple[str, ...], value: int) -> Callable[[Context], Context | None]:
    def made(context: Context) -> Context | None:
        changed = Record(context.table(number))
        inner = changed
        for name in path[:-1]:
            inner[name] = Record(inner[name])
            inner = inner[name]
        inner[path[-1]] = value
        return context.changed(context.fmt, {number: changed})

    return made


class _WatchedFormat:
    """DeviceFormat that notes which of its members are looked at."""

    def __init__(self, fmt: DeviceFormat, watch: Watch) -> None:
        self._fmt, self._watch = fmt, watch

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._fmt, name)
        self._watch.of_format[name] = value
        return value


class _WatchedRecord(Record):
    """A record of a context table that notes which of its numbers are looked at."""

    def __init__(
        self, record: Record, noted: dict[Any, int], number: int, path: tuple[str, ...]
    ) -> None:
        super().__init__(record)
        self.__dict__.update(noted=noted, number=number, path=path)

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        path = (*self.__dict__["path"], name)
        if isinstance(value, Record):
            return _WatchedRecord(value, self.__dict__["noted"], self.__dict__["number"], path)
        if isinstance(value, int):
            self.__dict__["noted"][self.__dict__["number"], path] = value
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Give a member, noting it, or the default."""
        try:
            return self[name]
        except KeyError:
            return default
