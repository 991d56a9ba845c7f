"""Intervals and registers as InfluxDB line protocol over HTTP.

A point's identity is its measurement, tags and time, so sending one twice
changes nothing; the cursor moves when the server has said that it has them.
An interval's identity is not its time: where a clock was set back, an end comes
again, and the later interval has the tag ``again`` so that both are kept.  One
that the meter marks as skipped was not measured, and is no point.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import SHUT_RDWR, socket
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from ansi_tables.meaning.load_profile import IntervalStatus
from protocols.transports.port import system_words
from smartmeter.comms.standing import Tell, tell_nobody
from smartmeter.comms.tls_renewal import ClientTls
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.settings import InfluxSettings, SinkRefused

if TYPE_CHECKING:
    import ssl  # a Python without it writes to plain addresses all the same

SINK = "influx"
#: How long the server may be silent, at the beginning and later.
CONNECT_TIMEOUT_S, TIMEOUT_S = 5.0, 15.0
#: How long all of a request may take, however busily the server sends.
WHOLE_TIMEOUT_S = 60.0
TAKEN = 204
MAX_FAULT_OCTETS = 500
#: How a server answers points that its retention policy would drop at once (1.6.7 seen to, 2 is
#: documented to).
TOO_OLD_CODES, TOO_OLD = (400, 422), "partial write: points beyond retention policy"
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\ "})


def interval_line(row: sqlite3.Row, again: int) -> str:
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
    """Sends what is new; ``send`` in a thread of its own, given lines and not the database.

    ``tell`` hears of TLS files that were renewed.  SettingsError for those that are wrong.
    """

    def __init__(
        self, settings: InfluxSettings, readings: Readings, tell: Tell = tell_nobody
    ) -> None:
        self._settings, self._readings = settings, readings
        secured = urlsplit(settings.url).scheme == "https"
        self._tls = ClientTls(settings.tls, tell) if secured else None
        #: Of the last request: its connection lets go of it before the answer is read.
        self._socket: socket | None = None
        self._hung_up = False

    def batch(self) -> tuple[list[str], dict[str, int]]:
        """Give the next lines, and the position after them."""
        self._hung_up = False
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

    def tls(self) -> ssl.SSLContext | None:
        """Give what the next connection shows and trusts, None where it is plain."""
        return self._tls.context() if self._tls is not None else None

    def send(self, lines: Iterable[str], tls: ssl.SSLContext | None = None) -> str:
        """Post lines, blocking; SinkRefused with one line when they were not taken.

        Give nothing, or what the server said when it took them but for those that are
        older than it keeps anything: versions 1 and 2 answer that with an error, too, and
        would answer the same for ever.
        """
        body = "\n".join(lines).encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        if self._settings.token:
            headers["Authorization"] = f"Token {self._settings.token}"
        try:
            url = urlsplit(self._settings.url)
            connection = _connect(url, tls)
            self._socket = connection.sock
            try:
                if self._hung_up:
                    raise OSError("hung up before there was a connection")
                target = url._replace(scheme="", netloc="", path=url.path or "/").geturl()
                connection.request("POST", target, body, headers)
                return _judge(connection.getresponse())
            finally:
                connection.close()
        except (OSError, ValueError, HTTPException) as error:
            told = system_words(error) or type(error).__name__
            raise SinkRefused(f"InfluxDB: {told}") from None

    def hang_up(self) -> None:
        """End what is being sent, or is about to be: its thread must hold nobody up."""
        self._hung_up = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(SHUT_RDWR)

    def sent(self, position: dict[str, int]) -> bool:
        """Note that everything up to a position has arrived; False where that is not new."""
        is_new = position != self._readings.position(SINK)
        if is_new:
            self._readings.move(SINK, position)
        return is_new


def _connect(url: SplitResult, tls: ssl.SSLContext | None) -> HTTPConnection:
    """Give an open connection; OSError, or ValueError where the URL names no host."""
    if not url.hostname:
        raise ValueError("its URL names no host")
    # Without a port, the last group of an IPv6 address would be taken for it.
    if url.scheme == "https":
        port = url.port or HTTPSConnection.default_port
        connection: HTTPConnection = HTTPSConnection(
            url.hostname, port, timeout=CONNECT_TIMEOUT_S, context=tls
        )
    else:
        port = url.port or HTTPConnection.default_port
        connection = HTTPConnection(url.hostname, port, timeout=CONNECT_TIMEOUT_S)
    connection.connect()
    connection.sock.settimeout(TIMEOUT_S)
    return connection


def _judge(answer: HTTPResponse) -> str:
    """Give nothing, or what is too old, when lines were taken; SinkRefused otherwise.

    A place elsewhere is not gone to: who follows with what was posted would post it, and the
    token, to whomever the answer names.
    """
    page = answer.headers.get_content_type() == "text/html"
    if answer.status == TAKEN or (200 <= answer.status < 300 and not page):
        return ""
    try:
        told = answer.read(MAX_FAULT_OCTETS).decode("utf-8", "replace").replace("\n", " ").strip()
    except (OSError, HTTPException):
        told = ""  # the answer is known, its words were cut off
    if answer.status in TOO_OLD_CODES and TOO_OLD in told:
        return told
    if 300 <= answer.status < 400:
        told = f"it is at {answer.headers.get('Location', 'another place')}: write that as url"
    elif page:
        told = "with a web page: its url is no place to write to"
    raise SinkRefused(f"InfluxDB answered {answer.status} {told}".strip())


def _is_point(row: sqlite3.Row) -> bool:
    """Tell whether an interval has a time, and was measured.

    ``status`` is, in hex, an octet for the block's flag, then of the extended
    status (ST-64, if the meter keeps it) a nibble for all channels and one for each.
    """
    code = row["status"][3 + row["channel"] : 4 + row["channel"]]
    return bool(row["end_s"]) and not (code and int(code, 16) == IntervalStatus.SKIPPED)


def _is_number(text: str) -> bool:
    return text.replace("-", "", 1).replace(".", "", 1).isdigit()
