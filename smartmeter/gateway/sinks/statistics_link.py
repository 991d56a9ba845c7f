"""Home Assistant's websocket: log-in with a token, and its commands for statistics.

``recorder/import_statistics``: importing an hour again replaces it, so this may be repeated at
will: after a cut everything from the first changed hour on is looked at, and sent where it is not
there.
``recorder/statistics_during_period``: the sums that are there already, and whether what was
sent is stored.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from protocols.transports.port import system_words
from smartmeter.base.clock import HOUR_S, utc_moment
from smartmeter.comms.standing import Tell, tell_nobody
from smartmeter.comms.tls_renewal import ClientTls
from smartmeter.gateway.sinks.home_assistant import metadata_for
from smartmeter.gateway.sinks.settings import HomeAssistantSettings, SinkRefused, TokenRefused

TIMEOUT_S = 20.0
MAX_MESSAGE_OCTETS = 1 << 20
#: Of one command: Home Assistant, beside other load, stored some 200 hours a second.
MAX_HOURS = 200
#: When it is looked whether they are stored, each after the one before.
STORED_AFTER_S = (0.0, 0.1, 0.4, 1.0, 2.0, 4.0)
#: Before an hour its predecessor is looked for here, hour by hour; months are looked through
#: before that, as a month's answer may reach beyond what was asked by as much as it is long.
NEAR_S = 33 * 86_400


class NotStored(SinkRefused):
    """It took what it was sent, and does not have it yet."""


class _Session:
    """A connection that was logged in; each command has its number."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        #: Which Home Assistant it is, as 2025.11.3; known once it was logged in.
        self.edition = ""

    async def log_in(self, token: str) -> None:
        hello = _object(await self._socket.recv())
        if hello.get("type") == "auth_required":
            await self._socket.send(json.dumps({"type": "auth", "access_token": token}))
            hello = _object(await self._socket.recv())
        if hello.get("type") == "auth_invalid":
            told = hello.get("message", "")
            remedy = "write another to token_file, and start the gateway anew"
            raise TokenRefused(f"Home Assistant refuses the token: {told}; {remedy}")
        if hello.get("type") != "auth_ok":
            raise SinkRefused("Home Assistant's log-in is not spoken there: does url lead to it?")
        self.edition = str(hello.get("ha_version", ""))

    async def ask(self, kind: str, **members: object) -> Any:
        """Give the result of a command; SinkRefused."""
        self._number += 1
        await self._socket.send(json.dumps({"id": self._number, "type": kind, **members}))
        while True:
            answer = _object(await self._socket.recv())
            if answer.get("id") != self._number or answer.get("type") != "result":
                continue
            if not answer.get("success"):
                fault = answer.get("error")
                told = fault.get("message", fault) if isinstance(fault, dict) else fault
                raise SinkRefused(f"Home Assistant refuses the statistics: {told}")
            return answer.get("result")


class StatisticsLink:
    """The way there; ``tell`` hears of TLS files that were renewed.  SettingsError for wrong ones.

    What its methods raise is SinkRefused, which says in one line what went wrong.
    """

    def __init__(self, settings: HomeAssistantSettings, tell: Tell = tell_nobody) -> None:
        self._settings = settings
        secured = urlsplit(settings.url).scheme == "wss"
        self._tls = ClientTls(settings.tls, tell) if secured else None

    @asynccontextmanager
    async def _session(self, commands: int) -> AsyncIterator[_Session]:
        """Give a session for so many commands."""
        url, tls = self._settings.url, self._tls.context() if self._tls is not None else None
        try:
            async with asyncio.timeout(TIMEOUT_S * (1 + commands)):
                async with connect(url, max_size=MAX_MESSAGE_OCTETS, ssl=tls) as socket:
                    session = _Session(socket)
                    await session.log_in(self._settings.token)
                    yield session
        except TimeoutError:
            raise SinkRefused(f"Home Assistant at {url} does not answer") from None
        except (OSError, ValueError, WebSocketException) as error:
            # Without words where who speaks no TLS has ended it within the handshake.
            unsaid = "ends the connection: is TLS spoken there?"
            told = system_words(error) if str(error) else unsaid
            raise SinkRefused(f"Home Assistant: {told}") from None

    async def try_token(self) -> None:
        """Log in, and ask whose the token is: only an administrator may bring statistics in."""
        async with self._session(1) as session:
            user = await session.ask("auth/current_user")
        if isinstance(user, dict) and user.get("is_admin") is False:
            told = (
                "takes the token, which is not an administrator's: it takes no statistics under it"
            )
            raise SinkRefused(f"Home Assistant {told}")

    async def import_statistics(
        self, metadata: dict[str, Any], entries: list[dict[str, Any]]
    ) -> None:
        """Bring hourly entries in, in order of time: stored there, all of them, or an error."""
        parts = list(_parts(entries))
        async with self._session(2 * len(parts)) as session:
            described = metadata_for(session.edition, metadata)
            for part in parts:
                await _bring(session, described, part)

    async def sum_before(self, statistic_id: str, hour_s: int) -> int:
        """Give the sum in Wh at the end of the last hour before one, 0 for none."""
        near_s = max(hour_s - NEAR_S, 0)
        async with self._session(2) as session:
            sums = await _ask_sums(session, statistic_id, near_s, hour_s)
            sums = sums or await _ask_sums(session, statistic_id, 0, near_s, "month")
        return list(sums.values())[-1] if sums else 0

    async def sum_at_end(
        self, statistic_id: str, hour_s: int, until_s: int
    ) -> tuple[int | None, bool]:
        """Give the sum in Wh at the end of an hour, None for none.

        And if there are others of the hours that follow, before ``until_s``.
        """
        end_s, later = hour_s + HOUR_S, dict[int, int]()
        async with self._session(2) as session:
            sums = await _ask_sums(session, statistic_id, hour_s, end_s)
            if end_s < until_s:
                later = await _ask_sums(session, statistic_id, end_s, until_s)
        return sums.get(hour_s), bool(later)


def _parts(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Give entries in parts of so many hours at the most, counted with those that are missing."""
    part: list[dict[str, Any]] = []
    for entry in entries:
        if part and _start_s(entry) - _start_s(part[0]) >= MAX_HOURS * HOUR_S:
            yield part
            part = []
        part.append(entry)
    if part:
        yield part


async def _bring(session: _Session, metadata: dict[str, Any], part: list[dict[str, Any]]) -> None:
    """Bring entries in that are not there, and wait until they are; NotStored when it is long.

    Home Assistant takes an import before it stores it, which waits for its start, for a copy
    being made and for a slow medium; what was only taken is gone with a kill or a power cut.
    """
    if await _has(session, metadata["statistic_id"], part):
        return
    await session.ask("recorder/import_statistics", metadata=metadata, stats=part)
    for rest_s in STORED_AFTER_S:
        await asyncio.sleep(rest_s)
        if await _has(session, metadata["statistic_id"], part):
            return
    raise NotStored("Home Assistant has not stored the statistics yet that it was sent")


async def _has(session: _Session, statistic_id: str, part: list[dict[str, Any]]) -> bool:
    begin_s, end_s = _start_s(part[0]), _start_s(part[-1]) + HOUR_S
    sums = await _ask_sums(session, statistic_id, begin_s, end_s)
    return all(sums.get(_start_s(entry)) == entry["sum"] for entry in part)


def _start_s(entry: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(entry["start"]).timestamp())


async def _ask_sums(
    session: _Session, statistic_id: str, start_s: int, end_s: int, period: str = "hour"
) -> dict[int, int]:
    """Give the sums of the periods that begin within a time, by when they do."""
    found = await session.ask(
        "recorder/statistics_during_period",
        start_time=_iso(start_s),
        end_time=_iso(end_s),
        statistic_ids=[statistic_id],
        period=period,
        units={"energy": "Wh"},
        types=["sum"],
    )
    return _sums(found, statistic_id)


def _sums(found: object, statistic_id: str) -> dict[int, int]:
    """Give the sums of an answer, by when they begin; SinkRefused for one of another form."""
    rows = found.get(statistic_id, []) if isinstance(found, dict) else None
    try:
        if not isinstance(rows, list):
            raise TypeError
        known = (row for row in rows if row.get("sum") is not None)
        return {round(row["start"]) // 1000: round(row["sum"]) for row in known}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise SinkRefused("Home Assistant sent what are no statistics") from None


def _iso(utc_s: int) -> str:
    return utc_moment(utc_s).isoformat()


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise SinkRefused("Home Assistant sent what is no message")
    return value
