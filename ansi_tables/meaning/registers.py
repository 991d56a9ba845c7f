"""Registers, demands, coincident and present values as engineering values.

:mod:`ansi_tables.meaning.register_tables` reads them from ST-23 to ST-28.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import overload

from ansi_tables.ids import name_of
from ansi_tables.meaning.scale import Exact, Raw, digits
from ansi_tables.meaning.sources import OfSource


class Kind(StrEnum):
    """What kind of register a value comes from."""

    SUMMATION = "summation"
    DEMAND = "demand"
    CUMULATIVE = "cumulative demand"
    CONTINUOUS_CUMULATIVE = "continuous cumulative demand"
    COINCIDENT = "coincident"
    PRESENT_DEMAND = "present demand"
    PRESENT_VALUE = "present value"


@dataclass(frozen=True)
class Register(OfSource):
    """One register: an exact ``value`` in ``unit``, and what it measures.

    ``tier`` is None for the total of all tiers, else 0 and up; ``season`` is None
    where the meter does not tell it.  ``time`` is when a demand occurred (aware,
    in the meter's own zone), ``occurrence`` 0 the highest.  ``extreme`` is
    "maximum" or "minimum" for a demand.  ``value`` is None, and ``unit`` empty,
    where ``source.note`` says why; ``raw`` is always what the table holds.
    ``path`` names the field in table ``table``.
    """

    kind: Kind
    index: int
    value: Exact | None
    raw: Raw
    tier: int | None = None
    season: int | None = None
    occurrence: int = 0
    time: datetime | None = None
    extreme: str = ""
    table: int = 23
    path: str = ""

    @property
    def name(self) -> str:
        """Give what it is, for a person: "active energy delivered, tier 2"."""
        parts = [self.source.name]
        if self.kind in (Kind.CUMULATIVE, Kind.CONTINUOUS_CUMULATIVE, Kind.COINCIDENT):
            parts.append(self.kind.value)
        if self.extreme:
            parts.append(self.extreme)
        if self.occurrence:
            parts.append(f"occurrence {self.occurrence}")
        if self.tier is not None:
            parts.append(f"tier {self.tier}")
        return ", ".join(parts)

    @property
    def number(self) -> str:
        """Give the value without its unit, in digits; the raw number where it is not known."""
        return str(self.raw) if self.value is None else digits(self.value)

    @property
    def text(self) -> str:
        """Give value and unit, or the raw number and that its unit is not known."""
        if self.value is None:
            return f"{self.raw} (raw: {self.source.note or 'no number'})"
        return self.source.told(self.number)

    def __str__(self) -> str:
        """Give name, value and time in one line."""
        when = f" at {self.time.isoformat(' ', 'minutes')}" if self.time else ""
        return f"{self.name}: {self.text}{when}"


@dataclass(frozen=True)
class Registers(Sequence[Register]):
    """The registers of one table, or of one self-read, in the order of the table.

    ``taken`` is when they were closed (None for the present ones), ``season``
    and ``demand_resets`` None where the meter does not tell them, ``sequence``
    the number of a self-read.
    """

    table: int
    items: tuple[Register, ...] = field(repr=False)
    taken: datetime | None = None
    season: int | None = None
    demand_resets: int | None = None
    sequence: int | None = None

    def __repr__(self) -> str:
        """Tell how many there are, and the first of them."""
        first = "; ".join(map(str, self.items[:3]))
        more = "; …" if len(self.items) > 3 else ""
        return f"<{len(self.items)} registers of {name_of(self.table)}: {first}{more}>"

    def __str__(self) -> str:
        """Give a line a register."""
        return "\n".join(map(str, self.items))

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Register]:
        """Go through them in the order of the table."""
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Register: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Register, ...]: ...
    def __getitem__(self, index: int | slice) -> Register | tuple[Register, ...]:
        """Give one by its place, or several."""
        return self.items[index]

    def where(self, **wanted: object) -> tuple[Register, ...]:
        """Give those whose attributes equal what is asked.

        ``registers.where(quantity="active energy", direction="delivered", tier=2)``;
        TypeError for a name that registers do not have.
        """
        for name in wanted:
            if not hasattr(Register, name) and name not in Register.__dataclass_fields__:
                raise TypeError(f"registers have no {name!r}")
        return tuple(
            one for one in self.items if all(getattr(one, n) == v for n, v in wanted.items())
        )

    def one(self, **wanted: object) -> Register:
        """Give the only one that :meth:`where` finds; LookupError tells how many there are."""
        found = self.where(**wanted)
        if len(found) != 1:
            names = "; ".join(one.name for one in found or self.items)
            raise LookupError(f"{len(found)} registers match {wanted}: {names:.400}")
        return found[0]
