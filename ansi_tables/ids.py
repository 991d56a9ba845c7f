"""Numbers of tables and procedures, as they go over the wire (C12.19 table ids)."""

from __future__ import annotations

MANUFACTURER_BIT = 0x0800
PENDING_BIT = 0x1000
USER_DEFINED_BIT = 0x2000
NUMBER_MASK = 0x07FF


def standard(number: int) -> int:
    """Give the id of standard table ``number``."""
    return number


def manufacturer(number: int) -> int:
    """Give the id of manufacturer table ``number``: 2048 above it."""
    return MANUFACTURER_BIT | number


def pending(table: int) -> int:
    """Give the id of the pending copy of a table."""
    return PENDING_BIT | table


def name_of(table: int) -> str:
    """Give the name a person uses: ST-23, MT-5 (id 2053), pending ST-6.

    >>> name_of(2053)
    'MT-5'
    """
    kind = "MT" if table & MANUFACTURER_BIT else "UT" if table & USER_DEFINED_BIT else "ST"
    prefix = "pending " if table & PENDING_BIT else ""
    return f"{prefix}{kind}-{table & NUMBER_MASK:02d}"
