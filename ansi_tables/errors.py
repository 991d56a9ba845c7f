"""What can be wrong with a table; each error names the table, the field and the octet.

::

    TableError
      TruncatedTableError     the octets end inside a field
      MissingContextError     another table must be read first
      FormatRefusedError      ST-00 declares a format that is reserved or unknown
      TableTooLargeError      the declared sizes go beyond what can be addressed
      TableValueError         octets or a value that the field cannot hold
"""

from __future__ import annotations


class TableError(Exception):
    """Something is wrong with a table: ``table`` ("ST-23"), ``path`` of the field, ``offset``."""

    def __init__(
        self, fault: str, *, table: str = "", path: str = "", offset: int | None = None
    ) -> None:
        self.fault = fault
        self.table = table
        self.path = path
        self.offset = offset
        super().__init__(fault)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.table, self.path) if part)
        if self.offset is not None:
            where += f" at octet {self.offset}"
        return f"{where}: {self.fault}" if where else self.fault


class TruncatedTableError(TableError):
    """The octets end before the table does."""


class MissingContextError(TableError):
    """A table that this one depends on has not been read."""


class FormatRefusedError(TableError):
    """ST-00 declares a reserved or unknown format."""


class TableTooLargeError(TableError):
    """The table would be larger than the 24-bit offset of the protocol can address."""


class TableValueError(TableError):
    """A value does not fit its field, or octets mean nothing there."""
