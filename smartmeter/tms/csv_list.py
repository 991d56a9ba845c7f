"""Lists of meters as CSV with a header, read a row at a time; SettingsError names the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from smartmeter.base.errors import SettingsError

MAX_ESN = 16


def read_rows(
    text: str, name: str, columns: list[str], most: int, optional: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Give the place of each row and its cells, as many as there are columns; blank rows go.

    SettingsError for more than ``most`` rows, too.

    Lines end as on any system, and semicolons may stand for commas, as some spreadsheets write
    them.  An ``optional`` column may follow the others; where a file has none, its cells are empty.
    """
    lines = io.StringIO(text.removeprefix("\ufeff"), newline=None)
    first = next(lines, "")
    lines.seek(0)
    reader = csv.reader(lines, delimiter=";" if ";" in first and "," not in first else ",")
    try:
        header = next(reader, [])
        found = [column.strip().lower() for column in header]
        if found != columns and (not optional or found != [*columns, optional]):
            raise SettingsError(f"{name}, line 1", "no header", f"begin with {','.join(columns)}")
        missing = [""] * (bool(optional) and found == columns)
        rows = (row for row in reader if any(cell.strip() for cell in row))
        for number, row in enumerate(rows, 1):
            place = f"{name}, line {reader.line_num}"
            if number > most:
                raise SettingsError(place, f"more than {most:,} rows", "make several files of it")
            if len(row) != len(found):
                raise SettingsError(place, f"{len(row)} columns", f"write {','.join(found)}")
            yield place, [cell.strip() for cell in row] + missing
    except csv.Error as error:
        raise SettingsError(f"{name}, line {reader.line_num}", str(error), "write CSV") from error


def check_esn(esn: str, place: str) -> None:
    """Refuse what is no ESN."""
    if not (0 < len(esn) <= MAX_ESN and esn.isascii() and esn.isalnum()):
        raise SettingsError(place, f"ESN {esn!r:.40}", f"use 1 to {MAX_ESN} letters and digits")
