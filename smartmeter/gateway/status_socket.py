"""The status socket: how ``gateway status`` asks a gateway that runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from smartmeter.base.errors import SettingsError, SmartMeterError, told_as

TIMEOUT_S = 5.0
MAX_STATUS_OCTETS = 1 << 20
#: What Linux has room for in a socket's address.
MAX_NAME_OCTETS = 107
#: Linux' list of such sockets, which everybody may read: flags, and a name as it was bound.
SOCKETS = Path("/proc/net/unix")
DESCRIPTORS = "/proc/self/fd"
_FLAGS, _NAME, _LISTENS = 3, 7, 1 << 16


class StatusSocket:
    """A Unix socket that writes the status as JSON to whoever connects, and closes."""

    def __init__(self, path: Path, status: Callable[[], Mapping[str, Any]]) -> None:
        self._path, self._status = path, status
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; SettingsError when the name is taken by what is no socket, or still answers."""
        with told_as(SettingsError, f"socket {self._path}", "choose another name"):
            if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
                refuse_second(self._path)
                self._path.unlink()  # of a gateway that was killed
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _short_name(self._path) as name:
                self._server = await asyncio.start_unix_server(self._serve, name)
            self._path.chmod(0o660)

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


@contextlib.contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """Give a name that fits a socket's address: where the path does not, its folder's descriptor.

    OSError when the folder is not there or the last part alone is too long.
    """
    if len(os.fsencode(path)) <= MAX_NAME_OCTETS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        name = f"{DESCRIPTORS}/{folder}/{path.name}"
        if len(os.fsencode(name)) > MAX_NAME_OCTETS:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        yield name
    finally:
        os.close(folder)


def answers(path: Path) -> bool:
    """Tell whether a gateway runs with these settings, perhaps another user's or one that hangs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(TIMEOUT_S)
        try:
            with _short_name(path) as name:
                asking.connect(name)
        except PermissionError:
            return _is_listened_to(path)
        except TimeoutError:
            return True
        except OSError:
            return False
        return True


def _is_listened_to(path: Path) -> bool:
    """Tell whether anybody listens at a socket that we may not ask, or it cannot be told.

    The rights of one that a killed gateway has left are looked at first, too.
    """
    try:
        octets = SOCKETS.read_bytes()
    except OSError:
        return True
    lines = [line.split(maxsplit=_NAME) for line in octets.split(b"\n")[1:]]
    names = (line[_NAME] for line in lines if len(line) > _NAME and _listens(line[_FLAGS]))
    return any(_may_be(Path(os.fsdecode(name)), path) for name in names)


def _listens(flags: bytes) -> bool:
    """Tell it by the flags; where these are none, a name has an end of line in it."""
    try:
        return bool(int(flags, 16) & _LISTENS)
    except ValueError:
        return False


def _may_be(bound: Path, path: Path) -> bool:
    """Tell whether a socket of this name may be ours: its folder may not be known."""
    is_whole = bound.is_absolute() and not bound.is_relative_to(DESCRIPTORS)
    return bound == path.absolute() if is_whole else bound.name == path.name


def refuse_second(path: Path) -> None:
    """SettingsError where a gateway runs with these settings."""
    if answers(path):
        raise SettingsError(f"socket {path}", "a gateway runs with these settings", "end it first")


def ask_status(path: Path) -> dict[str, Any]:
    """Ask the gateway behind a socket, blocking; SmartMeterError when none answers."""
    octets = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(TIMEOUT_S)
            with _short_name(path) as name:
                asking.connect(name)
            while (data := asking.recv(65_536)) and len(octets) <= MAX_STATUS_OCTETS:
                octets += data
        value = json.loads(octets)
    except OSError as error:
        if isinstance(error, PermissionError) and _is_listened_to(path):
            remedy = "ask as the gateway's user, or as one of its group"
            raise SmartMeterError(str(path), "no permission to ask", remedy) from None
        told = error.strerror or str(error)
        raise SmartMeterError(str(path), f"no gateway answers: {told}", "is it running?") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "meters" not in value:
        raise SmartMeterError(str(path), "what answers is no gateway", "is it running?")
    return value
