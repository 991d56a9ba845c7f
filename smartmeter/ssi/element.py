"""The element that a monitor watches: where it lies, and what its octets say."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from ansi_tables import Context, Layout, layout_for
from ansi_tables.errors import TableError, TableValueError
from ansi_tables.numbers import RawNumber
from ansi_tables.ssi_tables import Condition
from ansi_tables.values import Record

#: Conditions that look at octets, whatever they mean.
OF_OCTETS = (Condition.CHANGED, Condition.SILENT)
_NUMBERS = (int, Decimal, float, bytes, frozenset)
#: What octets of zero may mean in an element that is compared: in a text they are no digits.
_COMPARED = (*_NUMBERS, RawNumber)


class Element:
    """One monitor's element.  TableError when this meter has none, or none to compare."""

    def __init__(self, monitor: Mapping[str, Any], context: Context) -> None:
        self._order, self._signed = context.fmt.data_order, bool(monitor["SIGNED"])
        self._path: str = monitor["PATH"]
        self._layout: Layout | None = None
        self.offset, self.width = monitor["OFFSET"], monitor["WIDTH"]
        #: It is a bit field as a whole, or a member of one, which shares its octets with others.
        self._bits = self._member = False
        if self._path:
            self._layout = layout = layout_for(monitor["TABLE"], context)
            self.offset, self.width = layout.field(self._path)
            self._member = layout.place(self._path).bit is not None
            if monitor["CONDITION"] not in OF_OCTETS:
                self._must_compare(layout)

    def _must_compare(self, layout: Layout) -> None:
        """Find out what the element is, from what octets of zero mean."""
        try:
            sample = layout.value_at(self._path, bytes(self.width))
        except TableError:
            return
        if isinstance(sample, Record):
            member = f"{self._path}.{next(iter(sample), '')}"
            self._bits = layout.has(member) and layout.place(member).bit is not None
        if not self._bits and not isinstance(sample, _COMPARED):
            raise TableValueError("is no number", table=layout.table, path=self._path)

    def value(self, octets: bytes) -> Any:
        """Give the number that the octets mean, or a SET; None when they mean none."""
        if self._layout is None or self._bits:
            return int.from_bytes(octets, self._order, signed=self._signed and not self._bits)
        try:
            value = self._layout.value_at(self._path, octets)
        except TableError:
            return None
        finite = not isinstance(value, float | Decimal) or isfinite(value)
        return value if isinstance(value, _NUMBERS) and finite else None

    def seen(self, octets: bytes, value: Any) -> bytes:
        """Give what differs when the element does: a member shares its octets with others."""
        return repr(value).encode() if self._member else octets
