"""Leave out of an image what must not be shown: secrets, and for sharing whose meter it is.

Every table keeps its size and every element its place; what is left out is fill
(blanks in text, zeros elsewhere) and named in ``blanked``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ansi_tables import Snapshot, TableError, name_of
from ansi_tables.places import Field
from smartmeter.meter.cloning import identity_of
from smartmeter.meter.image import MeterImage

#: Elements that are secrets, by table.
SECRETS = {42: r"PASSWORD$", 45: r"\bKEY$"}
#: Elements that tell whose meter it is, or when its people are at home.
PERSONAL = {
    1: r"MFG_SERIAL_NUMBER",
    5: r".*",
    6: r"^(?!EX[12]_SW_).*",
    **dict.fromkeys((64, 65, 66, 67), r"\.(INT_DATA|END_READINGS|BLK_END_(READ|PULSE))"),
    74: r"USER_ID|_ARGUMENT",
    76: r"USER_ID|_ARGUMENT",
}
#: A shorter text may occur anywhere by chance.
MIN_NAME_OCTETS = 5
#: So may a few digits.  A number of so many octets and more is looked for with its zeros before it.
MIN_BCD_OCTETS = 3
#: What a number is filled with that is shorter, or was never given; a text with blanks, too.
UNSET = b"\0\xff"


def without_secrets(image: MeterImage) -> MeterImage:
    """Give the image without passwords and keys."""
    return _blanked(replace(image, passwords=()), SECRETS)


def shareable(image: MeterImage) -> MeterImage:
    """Give the image without secrets, identity, customer data and habits.

    The serial number and the names of ST-05 and ST-06 are also looked for in all
    other tables and in the identification.
    """
    # The longest first: a shorter one within it would leave its rest.
    names = sorted(set(_names(image)), key=lambda name: len(name[0]), reverse=True)
    blanked = _blanked(without_secrets(image), PERSONAL)
    tables = {number: _scrub(octets, names) for number, octets in blanked.tables.items()}
    link = replace(blanked.link, identification=_scrub(blanked.link.identification, names))
    return replace(blanked, tables=tables, link=link, identity=identity_of(tables))


def _names(image: MeterImage) -> Iterator[tuple[bytes, bytes]]:
    """Give each name as text or as BCD digits, with its fill."""
    snapshot = Snapshot(image.tables)
    for number in (1, 5, 6):
        for field, octets in _elements(snapshot, number, PERSONAL[number]):
            text = octets.strip(b" " + UNSET)
            if field.type_name.startswith("STRING") and len(text) >= MIN_NAME_OCTETS:
                yield text, _fill(field)
            elif field.type_name.startswith("BCD") and len(octets.strip(UNSET)) >= MIN_BCD_OCTETS:
                yield octets, _fill(field)


def _fill(field: Field) -> bytes:
    return b" " if field.type_name.startswith("STRING") else b"\0"


def _scrub(octets: bytes, names: list[tuple[bytes, bytes]]) -> bytes:
    for name, fill in names:
        octets = octets.replace(name, fill * len(name))
    return octets


def _blanked(image: MeterImage, elements: dict[int, str]) -> MeterImage:
    """Fill the elements of a table whose path matches; a table that does not decode, whole."""
    snapshot = Snapshot(image.tables)
    tables, done = dict(image.tables), list(image.blanked)
    for number, pattern in elements.items():
        if number not in tables:
            continue
        octets = bytearray(tables[number])
        try:
            for field, old in _elements(snapshot, number, pattern):
                octets[field.offset : field.offset + len(old)] = _fill(field) * len(old)
            end = snapshot.layout(number).size
            if end is not None and end < len(octets):  # octets that no definition knows
                octets[end:] = bytes(len(octets) - end)
        except TableError:
            octets = bytearray(len(octets))
        tables[number] = bytes(octets)
        done.append(f"{name_of(number)} {pattern}")
    return replace(image, tables=tables, blanked=tuple(dict.fromkeys(done)))


def _elements(snapshot: Snapshot, number: int, pattern: str) -> Iterator[tuple[Field, bytes]]:
    if number not in snapshot.images:
        return
    image = snapshot.images[number]
    for field in snapshot.layout(number).listing():
        if re.search(pattern, field.path):
            yield field, image[field.offset : field.offset + field.width]
