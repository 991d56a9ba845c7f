"""Rows as text, a piece at a time: CSV with a header, or JSON lines.

CSV: UTF-8, commas, LF, quotes as in RFC 4180.  Text that a spreadsheet would
take for a formula has an apostrophe before it, also behind a semicolon, a tab or the end
of a line, where many begin a cell whatever the quotes; JSON lines have it as it is.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from smartmeter.tms.exports.selection import Export, Row

PIECE_ROWS = 200
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(/\d+)?")
_FORMULA = re.compile(r"(?<![^;\t\r\n])(?=[=+\-@\t\r])")


def csv_pieces(export: Export) -> Iterator[str]:
    """Give the header with the names of all channels, and then the rows."""
    channels = export.channels()
    header = [
        name
        for column in export.columns
        for name in (channels if column == "values" else (column,))
    ]
    yield _lines([[_cell(name) for name in header]])
    rows = export.rows()
    while piece := list(islice(rows, PIECE_ROWS)):
        yield _lines([list(_cells(row, export.columns, channels)) for row in piece])


def json_pieces(export: Export) -> Iterator[str]:
    """Give one JSON object a line."""
    rows = export.rows()
    while piece := list(islice(rows, PIECE_ROWS)):
        yield "".join(
            json.dumps({name: row[name] for name in export.columns}) + "\n" for row in piece
        )


def _lines(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _cells(row: Row, columns: tuple[str, ...], channels: tuple[str, ...]) -> Iterator[Any]:
    for column in columns:
        if column == "values":
            values = row["values"]
            yield from (values.get(name, "") for name in channels)
        else:
            yield _cell(row[column])


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        value = "; ".join(value)
    if isinstance(value, str) and _FORMULA.search(value) and not _NUMBER.fullmatch(value):
        return _FORMULA.sub("'", value)
    return value
