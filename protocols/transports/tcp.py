"""A TCP connection as a port: a serial server in the field, or a simulated meter."""

from __future__ import annotations

import contextlib
import socket

from protocols.errors import PortError
from protocols.transports.port import system_words

READ_OCTETS = 4096
CONNECT_TIMEOUT_S = 10.0


class TcpPort:
    """A connected socket; it has no speed of its own."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._socket = connection
        self._name = name
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, host: str, port: int) -> TcpPort:
        """Open a connection; PortError says why not."""
        try:
            return cls(socket.create_connection((host, port), CONNECT_TIMEOUT_S), f"{host}:{port}")
        except UnicodeError as error:
            raise PortError(f"{host:.80}: nothing bears such a name; check the address") from error
        except (OSError, OverflowError) as error:
            fault = f"{host}:{port}: {system_words(error)}"
            raise PortError(f"{fault}; is it listening there?") from error

    def read(self, timeout_s: float) -> bytes:
        """Give what has arrived, waiting at most so long."""
        try:
            self._socket.settimeout(max(timeout_s, 0.0001))
            data = self._socket.recv(READ_OCTETS)
        except TimeoutError:
            return b""
        except OSError as error:
            raise PortError(f"{self._name} has gone: {system_words(error)}") from error
        if not data:
            raise PortError(f"{self._name} closed the connection")
        return data

    def write(self, data: bytes) -> None:
        """Write all of it."""
        try:
            self._socket.settimeout(CONNECT_TIMEOUT_S)
            self._socket.sendall(data)
        except OSError as error:
            raise PortError(f"{self._name} has gone: {system_words(error)}") from error

    def set_baud(self, baud: int) -> None:
        """Do nothing: the far end's serial line is not ours to set."""

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
