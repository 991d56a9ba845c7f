"""Where answers may come that do not come on the connection of their request.

Some meters open a connection of their own to answer, to port 1153 of whoever
asked.  RFC 6142 lets them, if that one listens.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from typing import NamedTuple

from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from protocols.errors import PortError
from protocols.transports.capture import Notes, socket_notes

#: Connections at once: one meter needs one.
MAX_CONNECTIONS = 8
READ_OCTETS = 65_536


class _Caller(NamedTuple):
    """What belongs to a connection: its octets so far, and what notes its APDUs."""

    stream: ApduStream
    notes: Notes


class AnswerDoor:
    """Listens on a port, on all addresses of both families where there are both."""

    def __init__(self, port: int, limit: int) -> None:
        self._limit = limit
        self._callers: dict[socket.socket, _Caller] = {}
        self._selector = selectors.DefaultSelector()
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        try:
            self._listens = socket.create_server(
                ("", port), family=family, backlog=MAX_CONNECTIONS, dualstack_ipv6=both
            )
        except (OSError, OverflowError) as error:
            told = getattr(error, "strerror", None) or error
            raise PortError(f"port {port} for answers: {told}; choose another") from error
        self._listens.setblocking(False)
        self._selector.register(self._listens, selectors.EVENT_READ)

    @property
    def port(self) -> int:
        """Give the port that is listened at."""
        return int(self._listens.getsockname()[1])

    def wait(self, own: socket.socket | None, wait_s: float) -> list[bytes]:
        """Wait for octets, here or at ``own``; give the APDUs that came here."""
        if own is not None:
            self._selector.register(own, selectors.EVENT_READ)
        try:
            ready = {key.fileobj for key, _ in self._selector.select(wait_s)}
        finally:
            if own is not None:
                self._selector.unregister(own)
        found: list[bytes] = []
        for one in list(self._callers):
            if one in ready:
                found += self._read(one)
        if self._listens in ready:
            self._accept()
        return found

    def close(self) -> None:
        """Listen no more."""
        for one in (*self._callers, self._listens):
            one.close()
        self._callers.clear()
        self._selector.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, far_end = self._listens.accept()
            if len(self._callers) >= MAX_CONNECTIONS:
                connection.close()
                return
            connection.setblocking(False)
            notes = socket_notes(connection, far_end, listens=True)
            self._callers[connection] = _Caller(ApduStream(self._limit), notes)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> list[bytes]:
        """Give the APDUs of a connection; one that ends, or carries anything else, is closed."""
        with contextlib.suppress(OSError, ApduRejected):
            if data := connection.recv(READ_OCTETS):
                caller = self._callers[connection]
                found = caller.stream.feed(data)
                for octets in found:
                    caller.notes.received(octets)
                return found
        self._selector.unregister(connection)
        del self._callers[connection]
        connection.close()
        return []
