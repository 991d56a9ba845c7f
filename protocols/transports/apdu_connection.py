"""One TCP connection that carries APDUs, blocking: for a bench that sends what no client should."""

from __future__ import annotations

import contextlib
import socket
import time

from protocols.c1222.errors import ApduRejected
from protocols.c1222.stream import ApduStream
from protocols.errors import PortError
from protocols.transports.capture import noting_apdus

CONNECT_TIMEOUT_S = 10.0
READ_OCTETS = 65_536


class ApduConnection:
    """Sends octets and gives the APDUs that come; opened again when it is used after its end."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._stream = ApduStream()

    def send(self, octets: bytes) -> None:
        """Send octets, on a new connection if there is none; PortError."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, CONNECT_TIMEOUT_S)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._stream = ApduStream()
                far_end = self._socket.getpeername()
                self._note = noting_apdus(self._socket, far_end, listens=False)
            self._note(True, octets)
            self._socket.sendall(octets)
        except (OSError, UnicodeError) as error:
            self.close()
            raise PortError(f"{self._address[0]}:{self._address[1]}: {error}") from error

    def receive(self, within_s: float) -> list[bytes] | None:
        """Give the APDUs that come next, none in time, or None when the peer has closed."""
        if self._socket is None:
            return None
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            self._socket.settimeout(left_s)
            try:
                data = self._socket.recv(READ_OCTETS)
                found = self._stream.feed(data) if data else None
            except TimeoutError:
                return []
            except (OSError, ApduRejected):
                found = None
            if found is None:
                self.close()
                return None
            for octets in found:
                self._note(False, octets)
            if found:
                return found
        return []

    def close(self) -> None:
        """End it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
