"""Numbers of tables and procedures, as they go over the wire (C12.19 table ids).

An id has 16 bits: the number in bits 0 to 10, a manufacturer's table in bit 11,
the pending copy in bit 12, a user-defined table in bit 13.  The ranges are
those of the 2008 edition: 0 to 2039, and the same above each of those bits.
Procedures are numbered likewise; where an id may be of either (TABLE_IDC_BFLD),
bit 12 is set of a procedure.
"""

from __future__ import annotations

from ansi_tables.errors import TableValueError

MANUFACTURER_BIT = 0x0800
PENDING_BIT = PROCEDURE_BIT = 0x1000
USER_DEFINED_BIT = 0x2000
NUMBER_MASK = 0x07FF
#: The number, and whether it is a manufacturer's.
NAME_MASK = MANUFACTURER_BIT | NUMBER_MASK
#: The last number of each range; those up to 2047 are reserved.
LAST_NUMBER = 2039


def standard(number: int) -> int:
    """Give the id of standard table ``number``; TableValueError beyond 0 to 2039."""
    if not 0 <= number <= LAST_NUMBER:
        raise TableValueError(f"table number {number}: 0 to {LAST_NUMBER}")
    return number


def manufacturer(number: int) -> int:
    """Give the id of manufacturer table ``number``: 2048 above it."""
    return MANUFACTURER_BIT | standard(number)


def pending(table: int) -> int:
    """Give the id of the pending copy of a table: 4096 above its own."""
    return PENDING_BIT | table


def name_of(table: int) -> str:
    """Give the name a person uses: ST-23, MT-5 (id 2053), pending ST-6.

    >>> name_of(2053)
    'MT-05'
    """
    kind = "MT" if table & MANUFACTURER_BIT else "UT" if table & USER_DEFINED_BIT else "ST"
    prefix = "pending " if table & PENDING_BIT else ""
    return f"{prefix}{kind}-{table & NUMBER_MASK:02d}"
