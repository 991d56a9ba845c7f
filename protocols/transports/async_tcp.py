"""A C12.18 session with a meter behind a TCP serial server, in an asyncio loop, without a thread.

The far end's serial line is not ours to set: no speed is ever asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from protocols.c1218.client import ScriptDone, ScriptFailed
from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.steps import Script, T
from protocols.errors import LocalProtocolError, PortError, ProtocolError
from protocols.transports.capture import line_notes
from protocols.transports.port import monotonic_us

CONNECT_TIMEOUT_S = 10.0
READ_OCTETS = 4096
MAX_WAIT_S = 1.0
#: Octets of an earlier session that a serial server may still hold come within so long.
LEFTOVERS_S = 0.05
SCHEMES = ("socket://", "tcp:")


def parse_address(name: str) -> tuple[str, int]:
    """Read ``socket://HOST:PORT`` or ``tcp:HOST:PORT``; LocalProtocolError when it is neither."""
    rest = next((name.removeprefix(s) for s in SCHEMES if name.startswith(s)), "")
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65_536:
        raise LocalProtocolError(f"{name!r:.80} is no serial server; write socket://HOST:PORT")
    return host.strip("[]"), int(port)


async def converse(
    name: str, settings: LogonSettings, work: Callable[[Conversation], Script[T]]
) -> T:
    """Connect, open a session, do the work and close; ProtocolError when it cannot be done.

    PortError: nobody listens there, or the connection went; LinkError: no meter
    answers behind it.
    """
    host, port = parse_address(name)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError as error:
        raise PortError(f"{name}: the connection is refused; is a server listening?") from error
    except ValueError as error:  # of what no name may hold, or is too long for one
        raise PortError(f"{name:.80}: nothing bears such a name; check the address") from error
    except (OSError, TimeoutError) as error:
        raise PortError(f"{name}: {error.strerror or 'no answer'}") from error
    line = _Line(name, reader, writer, Conversation(settings, None))
    try:
        await line.drop_leftovers()
        await line.run(line.conversation.open())
        result = await line.run(work(line.conversation))
        with contextlib.suppress(ProtocolError):  # the meter returns to Base by itself
            await line.run(line.conversation.close())
        return result
    finally:
        writer.close()


class _Line:
    """One connection with the client machine on it."""

    def __init__(
        self,
        name: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        conversation: Conversation,
    ) -> None:
        self._name, self._reader, self._writer = name, reader, writer
        self.conversation = conversation
        self._notes = line_notes()
        connected = writer.get_extra_info("socket")
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def drop_leftovers(self) -> None:
        """Throw away what an earlier session left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEFTOVERS_S):
                await self._read()

    async def run(self, script: Script[T]) -> T:
        """Run a script to its end."""
        client, token = self.conversation.client, object()
        ended: ScriptDone | ScriptFailed | None = None
        client.run(script, token, monotonic_us())
        while True:
            if data := client.outgoing():
                self._notes.sent(data)
                self._writer.write(data)
                client.sent(monotonic_us())
            ended = self.conversation.heed_events(lambda baud: None, token) or ended
            if ended is not None and client.quiet:
                result: T = ended.outcome()
                return result
            await self._wait()

    async def _wait(self) -> None:
        data = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.conversation.wait_s(monotonic_us(), MAX_WAIT_S)):
                data = await self._read()
        self.conversation.waited(data, monotonic_us())

    async def _read(self) -> bytes:
        try:
            data = await self._reader.read(READ_OCTETS)
        except OSError as error:
            raise PortError(f"{self._name} has gone: {error}") from error
        if not data:
            raise PortError(f"{self._name} closed the connection")
        self._notes.received(data)
        return data
