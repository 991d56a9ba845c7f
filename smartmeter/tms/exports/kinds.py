"""The kinds of export, by the names that command line and API have for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.exports.archive import Archive
from smartmeter.tms.exports.intervals import Intervals
from smartmeter.tms.exports.records import Alarms, Events, Outages, Readings
from smartmeter.tms.exports.selection import Export, Selection
from smartmeter.tms.exports.text import csv_pieces, json_pieces
from smartmeter.tms.store.queries import UnknownMeter

KINDS: dict[str, Callable[[Archive, Selection], Export]] = {
    "intervals": Intervals,
    "readings": Readings,
    "events": Events,
    "alarms": Alarms,
    "outages": Outages,
}
FORMATS: dict[str, Callable[[Export], Iterator[str]]] = {
    "csv": csv_pieces,
    "jsonl": json_pieces,
}


def export_pieces(
    archive: Archive, selection: Selection, kind: str, format_name: str
) -> Iterator[str]:
    """Give one kind of rows as text, piece by piece; UnknownMeter before the first."""
    for esn in selection.esns or ():
        if not archive.knows(esn):
            raise UnknownMeter(esn)
    return _explaining(archive, FORMATS[format_name](KINDS[kind](archive, selection)))


def _explaining(archive: Archive, pieces: Iterator[str]) -> Iterator[str]:
    try:
        yield from pieces
    except SmartMeterError:
        raise
    except Exception as error:
        raise archive.explained(error) from error
