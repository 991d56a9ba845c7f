"""What tables decode to: records with attribute access, and times that keep their octets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any


class Record(dict[str, Any]):
    """The members of a record by the standard's names, in wire order.

    >>> Record(NBR_SELF_READS=3).NBR_SELF_READS
    3
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Give a member; AttributeError lists those there are."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no member {name}; there are {', '.join(self)}") from None

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{name}={value!r}' for name, value in self.items())})"


class TableTime:
    """A date, a time or both, as octets and as a value; not to be changed.

    ``value`` is None for a field that is not set (all zero, all ones, month or
    day 0) or holds no date of the calendar.  A datetime has UTC as its zone
    under TM_FORMAT 3 and 4, which count from 1970-01-01 UTC, and none under 1
    and 2, where ST-52 and ST-53 tell the zone.
    """

    __slots__ = ("raw", "value")

    def __init__(self, raw: bytes, value: datetime | date | time | None) -> None:
        self.raw = raw
        self.value = value

    def __eq__(self, other: object) -> bool:
        """Tell whether octets and value are the same."""
        if not isinstance(other, TableTime):
            return NotImplemented
        return self.raw == other.raw and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.raw)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be copied and pickled, one that was not read yet as well."""
        return TableTime, (self.raw, self.value)

    def __repr__(self) -> str:
        return f"TableTime(raw={self.raw!r}, value={self.value!r})"


class UnreadTime(TableTime):
    """A time of a decoded table: its octets become a value when that is asked for.

    A log holds hundreds of times of which most are never looked at.
    """

    __slots__ = ("_read",)

    def __init__(self, raw: bytes, read: Callable[[bytes], datetime | date | time | None]) -> None:
        self.raw = raw
        self._read = read

    @property
    def value(self) -> datetime | date | time | None:  # type: ignore[override]
        """Give the date, the time or both, or None."""
        return self._read(self.raw)
