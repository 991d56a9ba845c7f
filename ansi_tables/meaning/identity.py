"""Which meter it is: maker and serial number, as the maker has written them into ST-01.

The versions in ST-01 change with the meter's firmware, and what ST-05 and ST-06 call the device
is the utility's to write: neither makes it another meter.  A meter without ST-01, or that
refuses it, or whose serial number is blank, cannot be told from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansi_tables.context import Context
from ansi_tables.errors import TableError
from ansi_tables.layout import layout_for

IDENTITY = 1
MAKER, SERIAL = "MANUFACTURER", "MFG_SERIAL_NUMBER"
#: A serial number of nothing but these was never written: NUL, blank, 0 and erased memory.
_BLANK = b"\x00 0\xff"


@dataclass(frozen=True)
class Identity:
    """Maker and serial number: ``mark`` is both as the meter holds them, in hex.

    ``places`` are where they lie in ST-01, offset and width each.
    """

    mark: str
    serial: str
    places: tuple[tuple[int, int], ...]


def mark_of(image: bytes, places: Sequence[tuple[int, int]]) -> str:
    """Give the mark of an image of ST-01; empty where it holds no serial number."""
    maker, serial = (image[offset : offset + width] for offset, width in places)
    return (maker + serial).hex() if serial.strip(_BLANK) else ""


def identity_of(image: bytes, context: Context) -> Identity | None:
    """Give who a meter is by its ST-01; None where that does not tell."""
    try:
        layout = layout_for(IDENTITY, context)
        places = tuple(layout.field(name) for name in (MAKER, SERIAL))
        mark = mark_of(image, places)
        serial = str(layout.decode(image)[SERIAL]) if mark else ""
    except TableError:
        return None
    shown = "".join(c for c in serial if c.isprintable()).strip()
    return Identity(mark, shown, places) if mark else None
