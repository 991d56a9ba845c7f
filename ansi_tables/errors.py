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
    """Something is wrong with a table: ``table`` ("ST-23"), ``path`` of the field, ``offset``.

    ``remedy`` says what to try.
    """

    remedy = "check that the octets are those of this table and of this meter"

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

    remedy = (
        "read the table whole; if it is, the meter does not keep to what it declares: "
        "try another edition or an override, and check that ST-00 and the x1 tables are its own"
    )


class MissingContextError(TableError):
    """A table that this one depends on has not been read."""

    remedy = "read it from the meter, or decode with an image that holds it"

    def __str__(self) -> str:
        """Give the sentence without a colon where it is one: "ST-21 is needed first"."""
        whole = super().__str__()
        return whole.replace(": is ", " is ", 1) if self.fault.startswith("is ") else whole


class FormatRefusedError(TableError):
    """ST-00 declares a reserved or unknown format."""

    remedy = "check that this is the table of this meter, octet 0 first"


class TableTooLargeError(TableError):
    """The table would be larger than the 24-bit offset of the protocol can address."""

    remedy = "check the counts in the x1 table of its decade, and the byte order in ST-00"


class TableValueError(TableError):
    """A value does not fit its field, or octets mean nothing there."""
