"""Intervals and registers as InfluxDB line protocol over HTTP.

A point's identity is its measurement, tags and time, so sending one twice
changes nothing; the cursor moves when the server has said that it has them.
An interval's identity is not its time: where a clock was set back, an end comes
again, and the later interval has the tag ``again`` so that both are kept.  One
that the meter marks as skipped was not measured, and is no point.
"""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterable
from http.client import HTTPException

from ansi_tables.meaning.load_profile import IntervalStatus
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.settings import InfluxSettings, SinkRefused

SINK = "influx"
TIMEOUT_S = 15.0
MAX_FAULT_OCTETS = 500
#: How a server answers points that its retention policy would drop at once (1.6.7 seen to, 2 is
#: documented to).
TOO_OLD_CODES, TOO_OLD = (400, 422), "partial write: points beyond retention policy"
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\ "})


def interval_line(row: sqlite3.Row, again: int = 0) -> str:
    """Give the point of one interval and channel, stamped with its end.

    ``value`` is a float field as line protocol knows no decimal; ``raw``, the
    meter's own count, is exact.  ``again`` tells how many had this end before it.
    """
    tags = {"esn": row["esn"], "set": row["set_nbr"], "channel": row["channel"]}
    tags |= {"quantity": row["quantity"], "direction": row["direction"], "unit": row["unit"]}
    tags |= {"again": again} if again else {}
    fields = f"value={row['value']},raw={row['raw']}i,length_s={row['length_s']}i"
    fields += f",sequence={row['sequence']}i,ring_epoch={row['ring_epoch']}i"
    fields += f',status="{row["status"]}"'
    return f"interval,{_tags(tags)} {fields} {row['end_s']}"


def register_line(row: sqlite3.Row) -> str:
    """Give the point of one register."""
    tags = {"esn": row["esn"], "name": row["name"], "unit": row["unit"]}
    return f"register,{_tags(tags)} value={row['value']} {row['time_s']}"


def _tags(tags: dict[str, object]) -> str:
    shown = ((name, str(value).translate(_TAG_ESCAPES)) for name, value in sorted(tags.items()))
    return ",".join(f"{name}={value}" for name, value in shown if value)


class InfluxSink:
    """Sends what is new; called in a thread of its own, given rows and not the database."""

    def __init__(self, settings: InfluxSettings, readings: Readings) -> None:
        self._settings, self._readings = settings, readings

    def batch(self) -> tuple[list[str], dict[str, int]]:
        """Give the next lines, and the position after them."""
        position = self._readings.position(SINK)
        intervals = self._readings.after("intervals", position.get("intervals", 0))
        registers = self._readings.after("registers", position.get("registers", 0))
        lines = [
            interval_line(row, sum(map(_is_point, self._readings.before_with_its_end(row))))
            for row in intervals
            if _is_point(row)
        ]
        lines += [register_line(row) for row in registers if _is_number(row["value"])]
        if intervals:
            position["intervals"] = intervals[-1]["number"]
        if registers:
            position["registers"] = registers[-1]["number"]
        return lines, position

    def send(self, lines: Iterable[str]) -> str:
        """Post lines, blocking; SinkRefused with one line when they were not taken.

        Give nothing, or what the server said when it took them but for those that are
        older than it keeps anything: versions 1 and 2 answer that with an error, too, and
        would answer the same for ever.
        """
        body = "\n".join(lines).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._settings.token:
            headers["Authorization"] = f"Token {self._settings.token}"
        try:
            request = urllib.request.Request(self._settings.url, body, headers, method="POST")
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                answer.read(MAX_FAULT_OCTETS)
            return ""
        except urllib.error.HTTPError as error:
            told = error.read(MAX_FAULT_OCTETS).decode("utf-8", "replace").replace("\n", " ")
            if error.code in TOO_OLD_CODES and TOO_OLD in told:
                return told.strip()
            raise SinkRefused(f"InfluxDB answered {error.code} {told}".strip()) from None
        except (OSError, ValueError, HTTPException) as error:
            raise SinkRefused(f"InfluxDB: {error or type(error).__name__}") from None

    def sent(self, position: dict[str, int]) -> None:
        """Note that everything up to a position has arrived."""
        if position != self._readings.position(SINK):
            self._readings.move(SINK, position)


def _is_point(row: sqlite3.Row) -> bool:
    """Tell whether an interval has a time, and was measured.

    ``status`` is, in hex, an octet for the block's flag, then of the extended
    status (ST-64, if the meter keeps it) a nibble for all channels and one for each.
    """
    code = row["status"][3 + row["channel"] : 4 + row["channel"]]
    return bool(row["end_s"]) and not (code and int(code, 16) == IntervalStatus.SKIPPED)


def _is_number(text: str) -> bool:
    return text.replace("-", "", 1).replace(".", "", 1).isdigit()
