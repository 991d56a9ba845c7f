"""Home Assistant's websocket: log-in with a token, and ``recorder/import_statistics``.

Importing an hour again replaces it, so this may be repeated at will: after a
cut everything from the first changed hour on is sent again.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from smartmeter.gateway.sinks.influx import SinkRefused

TIMEOUT_S = 20.0
MAX_MESSAGE_OCTETS = 1 << 20
#: Entries in one command.
MAX_ENTRIES = 500


@dataclass(frozen=True)
class HomeAssistantSettings:
    """``url`` is ws://HOST:8123/api/websocket; the token is a long-lived one."""

    url: str
    token: str = field(repr=False)


async def import_statistics(
    settings: HomeAssistantSettings, metadata: dict[str, Any], entries: list[dict[str, Any]]
) -> None:
    """Bring hourly entries in, all or an error; SinkRefused says in one line why not."""
    try:
        async with asyncio.timeout(TIMEOUT_S * (1 + len(entries) // MAX_ENTRIES)):
            async with connect(settings.url, max_size=MAX_MESSAGE_OCTETS) as socket:
                await _log_in(socket, settings.token)
                for number, at in enumerate(range(0, len(entries), MAX_ENTRIES), 1):
                    await _call(
                        socket,
                        number,
                        type="recorder/import_statistics",
                        metadata=metadata,
                        stats=entries[at : at + MAX_ENTRIES],
                    )
    except TimeoutError:
        raise SinkRefused(f"Home Assistant at {settings.url} does not answer") from None
    except (OSError, ValueError, websockets.exceptions.WebSocketException) as error:
        raise SinkRefused(f"Home Assistant: {error}") from None


async def _log_in(socket: ClientConnection, token: str) -> None:
    hello = _object(await socket.recv())
    if hello.get("type") == "auth_required":
        await socket.send(json.dumps({"type": "auth", "access_token": token}))
        hello = _object(await socket.recv())
    if hello.get("type") != "auth_ok":
        raise SinkRefused(f"Home Assistant refuses the token: {hello.get('message', '')}")


async def _call(socket: ClientConnection, number: int, **command: Any) -> None:
    await socket.send(json.dumps({"id": number, **command}))
    while True:
        answer = _object(await socket.recv())
        if answer.get("id") != number or answer.get("type") != "result":
            continue
        if not answer.get("success"):
            fault = answer.get("error")
            told = fault.get("message", fault) if isinstance(fault, dict) else fault
            raise SinkRefused(f"Home Assistant refuses the statistics: {told}")
        return


def _object(text: str | bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise SinkRefused("Home Assistant sent what is no message")
    return value
