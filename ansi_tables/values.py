"""What tables decode to: records with attribute access, and times that keep their octets."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, NamedTuple


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


class TableTime(NamedTuple):
    """A date, a time or both, as octets and as a value.

    ``value`` is None for a field that is not set (all zero, all ones, month or
    day 0) or holds no date of the calendar.  A datetime has UTC as its zone
    under TM_FORMAT 3 and 4, which count from 1970-01-01 UTC, and none under 1
    and 2, where ST-52 and ST-53 tell the zone.
    """

    raw: bytes
    value: datetime | date | time | None
