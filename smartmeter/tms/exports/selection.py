"""What of a store is exported: which meters, between which instants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from smartmeter.base.errors import SettingsError
from smartmeter.tms.store.places import BEGIN, MAX_SECOND

Row = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """``esns`` None: all of which there is something.

    From the second ``from_s`` on and before ``to_s``; an interval counts by its
    begin and its end, which may be ``to_s`` itself.  So spans that follow each
    other lose nothing and give nothing twice.  What the meter gave no time is
    there where nothing is said of the begin.  ``by_place``: each meter only for the time in
    which it was in its place, and with it those that were there before it.
    """

    esns: tuple[str, ...] | None = None
    from_s: int = BEGIN
    to_s: int = MAX_SECOND
    by_place: bool = False

    def __post_init__(self) -> None:
        """Refuse a span that ends before it begins: it would hold nothing, whatever there is."""
        if self.from_s > self.to_s:
            raise SettingsError("to", "is before from", "give a later time")


class Export(Protocol):
    """One kind of rows, each a dict by the names of the columns.

    A value is text, a whole number, a tuple of texts, or None where the meter
    told nothing; exact decimals are text.  In the place of ``values`` an
    interval has a dict, by the names that ``channels`` gives.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Give the names of the columns."""

    def channels(self) -> tuple[str, ...]:
        """Give the names that the values of all rows have; empty for a kind without."""

    def rows(self) -> Iterator[Row]:
        """Give the rows: by meter, and in the order in which the meter numbered them."""
