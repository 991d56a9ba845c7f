"""What must be known of a device before one of its tables can be decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansi_tables.errors import MissingContextError, TableError
from ansi_tables.formats import AS_DECLARED, DeviceFormat
from ansi_tables.ids import name_of
from ansi_tables.overrides import Overrides
from ansi_tables.values import Record

if TYPE_CHECKING:
    from ansi_tables.layout import Layout
    from ansi_tables.registry import TableDefinition

#: The "actual" (x1) tables, and ST-62: all that layouts of other tables depend on beside ST-00.
CONTEXT_NUMBERS = (11, 21, 31, 41, 51, 61, 62, 71, 91, 121)


class Context:
    """One device configuration: ST-00 as a DeviceFormat, and the x1 tables decoded.

    Immutable in use: a device that was programmed anew gets a new context.
    """

    def __init__(
        self, fmt: DeviceFormat, tables: Mapping[int, Record] | None = None, key: object = None
    ) -> None:
        self.fmt = fmt
        self._tables = dict(tables or {})
        self._failed: dict[int, TableError] = {}
        self._key = key if key is not None else repr(sorted(self._tables.items()))
        #: Layouts that were asked for with this context, each with the definition it is made by:
        #: to find one among those of all devices, the whole configuration must be hashed.
        self.layouts: dict[int, tuple[TableDefinition | None, Layout]] = {}

    @property
    def key(self) -> tuple[DeviceFormat, object]:
        """Give what is equal for equal configurations; layouts are cached by it."""
        return (self.fmt, self._key)

    def table(self, number: int) -> Record:
        """Give a context table, decoded; MissingContextError names it when it was not read.

        An x1 table that ST-00 does not list counts as all zero: no entries and
        no flags (from memory of the standard).
        """
        found = self._tables.get(number)
        if found is None and number % 10 == 1 and self.fmt.std_tbls_used and not self.uses(number):
            found = self._tables[number] = self._zero(number)
        if found is None:
            raise self._failed.get(number) or MissingContextError(
                "is needed first", table=name_of(number)
            )
        return found

    def _zero(self, number: int) -> Record:
        from ansi_tables.layout import layout_for

        layout = layout_for(number, self)
        assert layout.size is not None
        return layout.decode(bytes(layout.size))

    def changed(self, fmt: DeviceFormat, tables: Mapping[int, Record]) -> Context:
        """Give a device with this ST-00, and with these x1 tables instead of its own."""
        other = Context(fmt, {**self._tables, **tables})
        other._failed = self._failed
        return other

    def has(self, number: int) -> bool:
        """Tell whether a context table is there."""
        return number in self._tables

    def uses(self, number: int) -> bool:
        """Tell whether ST-00 lists a standard table."""
        return number in self.fmt.std_tbls_used

    @classmethod
    def from_images(
        cls, images: Mapping[int, bytes], overrides: Overrides = AS_DECLARED
    ) -> Context:
        """Build the context from table images; those that are not there stay missing.

        One that does not decode fails where it is asked for, so that the tables
        that do not need it stay readable.  TableError when it is ST-00.
        """
        from ansi_tables.layout import layout_for

        if 0 not in images:
            raise MissingContextError("is needed first", table="ST-00")
        fmt = DeviceFormat.from_table0(images[0], overrides)
        present = {n: images[n] for n in CONTEXT_NUMBERS if n in images}
        tables: dict[int, Record] = {}
        failed: dict[int, TableError] = {}
        for number, image in present.items():
            partial = cls(fmt, tables, key=tuple(sorted((n, present[n]) for n in tables)))
            partial._failed = failed
            try:
                tables[number] = layout_for(number, partial).decode(image)
            except TableError as error:
                failed[number] = error
        context = cls(fmt, tables, key=tuple(sorted(present.items())))
        context._failed = failed
        return context
