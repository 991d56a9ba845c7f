"""Home Assistant's websocket: log-in with a token, and ``recorder/import_statistics``.

Importing an hour again replaces it, so this may be repeated at will: after a
cut everything from the first changed hour on is sent again.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from smartmeter.gateway.sinks.settings import HomeAssistantSettings, SinkRefused

TIMEOUT_S = 20.0
MAX_MESSAGE_OCTETS = 1 << 20
#: Entries in one command.
MAX_ENTRIES = 500


async def import_statistics(
    settings: HomeAssistantSettings, metadata: dict[str, Any], entries: list[dict[str, Any]]
) -> None:
    """Bring hourly entries in, all or an error; SinkRefused says in one line why not."""
    commands = [entries[at : at + MAX_ENTRIES] for at in range(0, len(entries), MAX_ENTRIES)]
    try:
        async with asyncio.timeout(TIMEOUT_S * (1 + len(commands))):
            async with connect(settings.url, max_size=MAX_MESSAGE_OCTETS) as socket:
                await _log_in(socket, settings.token)
                for number, part in enumerate(commands, 1):
                    await _import(socket, number, metadata, part)
    except TimeoutError:
        raise SinkRefused(f"Home Assistant at {settings.url} does not answer") from None
    except (OSError, ValueError, WebSocketException) as error:
        raise SinkRefused(f"Home Assistant: {error}") from None


async def _log_in(socket: ClientConnection, token: str) -> None:
    hello = _object(await socket.recv())
    if hello.get("type") == "auth_required":
        await socket.send(json.dumps({"type": "auth", "access_token": token}))
        hello = _object(await socket.recv())
    if hello.get("type") != "auth_ok":
        raise SinkRefused(f"Home Assistant refuses the token: {hello.get('message', '')}")


async def _import(
    socket: ClientConnection, number: int, metadata: dict[str, Any], part: list[dict[str, Any]]
) -> None:
    command = {"id": number, "type": "recorder/import_statistics", "metadata": metadata}
    await socket.send(json.dumps({**command, "stats": part}))
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
    try:
        value = json.loads(text)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise SinkRefused("Home Assistant sent what is no message")
    return value
