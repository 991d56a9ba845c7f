"""Intervals of load profiles, each scaled by the context that it was recorded under."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from functools import lru_cache

from ansi_tables.meaning.load_profile import CommonStatus, IntervalStatus
from ansi_tables.meaning.scale import Scale, digits
from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.exports.archive import Archive
from smartmeter.tms.exports.selection import Row, Selection
from smartmeter.tms.exports.stamps import LocalTime, utc_text
from smartmeter.tms.interval_channels import Channel, channels_of
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.places import Tenure
from smartmeter.tms.store.pruned_numbers import RANGES_IN_HOLE, Numbered, without_pruned

_KEY = ("set_nbr", "ring_epoch", "sequence")
_SPAN = "end_s>? AND end_s<=?"


class Intervals:
    """One row an interval.

    ``missing_before`` counts the intervals that the meter numbered since the one
    before, and that never came: a gap is told, and not filled with anything.
    """

    columns = (
        *("esn", "set", "begin_utc", "end_utc", "end_local", "length_s", "values", "status"),
        *("flags", "source", "received_utc", "ring_epoch", "sequence", "missing_before"),
    )

    def __init__(self, archive: Archive, selection: Selection) -> None:
        self._archive, self._selection = archive, selection
        self._channels: tuple[str, ...] | None = None

    def channels(self) -> tuple[str, ...]:
        """Give the names of all channels, by a look at every interval of the selection."""
        if self._channels is None:
            names: dict[str, None] = {}
            sql = (
                "SELECT DISTINCT set_nbr, context_id, json_array_length(raw) FROM intervals"
                f" WHERE esn=? AND {_SPAN} ORDER BY 1, 2, 3"
            )
            for one in self._archive.tenures("intervals", self._selection):
                for row in self._archive.rows(sql, one.esn, one.from_s, one.to_s):
                    context = self._archive.images(one.esn, row[1])
                    names |= dict.fromkeys(name for name, _ in channels_of(context, row[0], row[2]))
            self._channels = tuple(names)
        return self._channels

    def rows(self) -> Iterator[Row]:
        """Give the intervals."""
        for one in self._archive.tenures("intervals", self._selection):
            yield from self._of(one)

    def _of(self, one: Tenure) -> Iterator[Row]:
        esn, span = one.esn, (one.from_s, one.to_s)
        known = _Known(self._archive, esn)
        before: tuple[int, int, int] | None = None
        for row in self._archive.pages("intervals", esn, _KEY, _SPAN, *span):
            told = known.row(row)
            place = row["set_nbr"], row["ring_epoch"], row["sequence"]
            if before is None or before[:2] != place[:2]:
                before = *place[:2], self._newest_before(esn, *place)
            told["missing_before"] = self._missing(esn, *place[:2], before[2] + 1, place[2])
            if self._channels is not None and not told["values"].keys() <= set(self._channels):
                raise SmartMeterError(esn, "was programmed anew just now", "export once more")
            before = place
            yield told

    def _missing(self, esn: str, set_nbr: int, ring_epoch: int, first: int, end: int) -> int:
        """Count the numbers [first, end) that never came; those that were pruned did."""
        if first == end:
            return 0
        ring = Numbered.INTERVAL, esn, set_nbr, ring_epoch
        rows = self._archive.rows(RANGES_IN_HOLE, *ring, first, end)
        holes = without_pruned((first, end), [(row["first"], row["last"]) for row in rows])
        return sum(end - first for first, end in holes)

    def _newest_before(self, esn: str, set_nbr: int, ring_epoch: int, sequence: int) -> int:
        """Give the number of the interval before the span; where there is none, nothing lacks."""
        row = self._archive.one(
            "SELECT max(sequence) FROM intervals"
            " WHERE esn=? AND set_nbr=? AND ring_epoch=? AND sequence<?",
            *(esn, set_nbr, ring_epoch, sequence),
        )
        return sequence - 1 if row is None or row[0] is None else int(row[0])


class _Known:
    """What is looked up once for all intervals of one meter."""

    def __init__(self, archive: Archive, esn: str) -> None:
        self._archive, self._esn = archive, esn
        self._channels: dict[tuple[int, int, int], list[Channel]] = {}
        self._times: dict[int, LocalTime] = {}

    def row(self, row: sqlite3.Row) -> Row:
        counts, context_id = json.loads(row["raw"]), row["context_id"]
        layout = row["set_nbr"], context_id, len(counts)
        if layout not in self._channels:
            images = self._archive.images(self._esn, context_id)
            self._channels[layout] = channels_of(images, row["set_nbr"], len(counts))
            self._times[context_id] = LocalTime(images)
        end_s, status = row["end_s"], octets_of(row["status"])
        return {
            "esn": self._esn,
            "set": row["set_nbr"],
            "begin_utc": utc_text(end_s - row["length_s"]) if end_s else "",
            "end_utc": utc_text(end_s),
            "end_local": self._times[context_id].text(end_s),
            "length_s": row["length_s"],
            "values": {
                name: _digits(count, scale)
                for (name, scale), count in zip(self._channels[layout], counts, strict=True)
            },
            "status": status.hex(),
            "flags": status_words(status, len(counts)),
            "source": row["source"],
            "received_utc": utc_text(row["received_s"]),
            "ring_epoch": row["ring_epoch"],
            "sequence": row["sequence"],
        }


def _digits(count: int, scale: Scale | None) -> str:
    value = None if scale is None else scale.value(count)
    return str(count) if value is None else digits(value)


@lru_cache(maxsize=1024)
def status_words(status: bytes, channels: int) -> tuple[str, ...]:
    """Give what is not as usual with an interval, in words.

    ``status`` is the valid flag (0 or 1) and, where the meter has it,
    EXTENDED_INT_STATUS: nibbles, the common flags first, then a code a channel.
    """
    words = ["invalid"] if status[:1] == b"\0" else []
    nibbles = [half for octet in status[1:] for half in (octet >> 4, octet & 15)]
    if nibbles:
        common = CommonStatus(nibbles[0])
        words += [str(flag.name).lower().replace("_", " ") for flag in common]
    for channel, code in enumerate(nibbles[1 : channels + 1]):
        if code:
            word = IntervalStatus(min(code, IntervalStatus.RESERVED)).name.lower()
            words.append(f"channel {channel} {word.replace('_', ' ')}")
    return tuple(words)
