"""The status socket: how ``gateway status`` asks a gateway that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smartmeter.base.errors import SettingsError, SmartMeterError

TIMEOUT_S = 5.0
MAX_STATUS_OCTETS = 1 << 20


class StatusSocket:
    """A Unix socket that writes the status as JSON to whoever connects, and closes."""

    def __init__(self, path: Path, status: Callable[[], dict[str, Any]]) -> None:
        self._path, self._status = path, status
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; SettingsError when the name is taken by what is no socket, or still answers."""
        try:
            if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
                if _answers(self._path):
                    raise SettingsError(
                        f"socket {self._path}", "a gateway runs with these settings", "end it first"
                    )
                self._path.unlink()  # of a gateway that was killed
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self._path)
            self._path.chmod(0o660)
        except OSError as error:
            raise SettingsError(
                f"socket {self._path}", str(error.strerror), "choose another name"
            ) from error

    def stop(self) -> None:
        """End, and take the name away."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self._status()).encode())
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(TIMEOUT_S)
        try:
            asking.connect(str(path))
        except OSError:
            return False
        return True


def ask_status(path: Path) -> dict[str, Any]:
    """Ask the gateway behind a socket, blocking; SmartMeterError when none answers."""
    octets = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(TIMEOUT_S)
            asking.connect(str(path))
            while (data := asking.recv(65_536)) and len(octets) <= MAX_STATUS_OCTETS:
                octets += data
        value: dict[str, Any] = json.loads(octets)
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise SmartMeterError(str(path), f"no gateway answers: {told}", "is it running?") from None
    return value
