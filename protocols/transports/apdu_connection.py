"""What carries APDUs to one far end, blocking: TCP, TLS on it, or UDP (RFC 6142).

Over UDP a datagram is an APDU, and a request is sent again, the same octets, until something
answers it: whoever has seen it serves it once.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress

from protocols.c1222.datagrams import REPEAT_AFTER_S, awaited_id
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.node_events import MAX_APDU_OCTETS
from protocols.c1222.stream import ApduStream
from protocols.errors import PortError
from protocols.transports.capture import socket_notes
from protocols.transports.network_name import Carried, NetworkName
from protocols.transports.port import system_words

CONNECT_TIMEOUT_S = 10.0
READ_OCTETS = 65_536


class ApduConnection:
    """Sends octets and gives the APDUs that come; made anew when it is used after its end.

    ``why_ended`` says how it ended, if it has.  ``tls`` is for a name that asks for TLS.
    """

    def __init__(
        self, name: NetworkName, tls: ssl.SSLContext | None = None, limit: int = MAX_APDU_OCTETS
    ) -> None:
        self._name, self._limit = name, limit
        self._tls = (tls or ssl.create_default_context()) if name.carried is Carried.TLS else None
        self._socket: socket.socket | None = None
        self._found: list[bytes] = []
        self._asked: _Asked | None = None
        self.is_stream, self.why_ended = name.carried is not Carried.UDP, ""

    @property
    def line(self) -> socket.socket | None:
        """Give what can be waited for, or None while there is no connection."""
        return self._socket

    def open(self) -> bool:
        """Connect where there is no connection, or where the far end has closed it; PortError.

        Tell whether the connection is a new one.
        """
        if self._socket is not None and self.is_stream:
            self._socket.setblocking(False)
            self._found += self._read() or []
        if self._socket is not None:
            return False
        try:
            self._socket = self._connected()
            far_end = self._socket.getpeername()
        except UnicodeError as error:
            raise PortError("nothing bears such a name; check the address") from error
        except OSError as error:
            self.close()
            raise PortError(_words(error)) from error
        self._stream, self._found, self._asked = ApduStream(self._limit), [], None
        self._has_heard = False
        self._notes = socket_notes(self._socket, far_end, listens=False, is_stream=self.is_stream)
        return True

    def send(self, octets: bytes) -> None:
        """Send octets, on a new connection if there is none; PortError."""
        self.open()
        assert self._socket is not None
        self._asked = None if self.is_stream else _Asked.of(octets)
        try:
            self._socket.settimeout(CONNECT_TIMEOUT_S)
            self._notes.sent(octets)
            self._socket.sendall(octets)
        except OSError as error:
            self.close()
            raise PortError(self._told(error)) from error

    def receive(self, within_s: float) -> list[bytes] | None:
        """Give the APDUs that come next, none in time, or None when the connection has ended."""
        deadline_s = time.monotonic() + within_s
        while not self._found and self._socket is not None:
            wait_s = max(0.0, deadline_s - time.monotonic())
            self._socket.settimeout(min(wait_s, self._ask_again()))
            self._found += self._read() or []
            if not wait_s:
                break
        if not self._found and self._socket is None:
            return None
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """End it."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        host, port = self._name.host, self._name.port
        if not self.is_stream:
            return _datagrams(host, port)
        made = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                return self._tls.wrap_socket(made, server_hostname=host.partition("%")[0])
        except BaseException:
            made.close()
            raise
        return made

    def _ask_again(self) -> float:
        """Send a request again when it is time, and give when it will be time once more (s)."""
        assert self._socket is not None
        if self._asked is None or self._asked.due_s is None:
            return CONNECT_TIMEOUT_S
        if self._asked.due_s <= time.monotonic():
            self._asked.repeated()
            self._notes.sent(self._asked.octets)
            with suppress(OSError):  # what is wrong shows in what is read
                self._socket.sendall(self._asked.octets)
        return max(0.01, (self._asked.due_s or float("inf")) - time.monotonic())

    def _read(self) -> list[bytes] | None:
        """Give the APDUs of what has come, none where nothing has; None at the end."""
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_OCTETS)
            found = self._apdus(data)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return []
        except OSError as error:
            found, self.why_ended = None, self._told(error)
        except ApduRejected as error:
            found, self.why_ended = None, f"what came is no C12.22: {error}"
        if found is None:
            self.close()
            return None
        for octets in found:
            self._has_heard = True
            self._notes.received(octets)
        return found

    def _apdus(self, data: bytes) -> list[bytes] | None:
        if not self.is_stream:
            if self._asked is not None and self._asked.is_answered_by(data):
                self._asked = None
            return [data]
        if not data:
            self.why_ended = f"the connection was closed{self._doubt}"
            return None
        return self._stream.feed(data)

    def _told(self, error: OSError) -> str:
        return _words(error) + (self._doubt if isinstance(error, ConnectionError) else "")

    @property
    def _doubt(self) -> str:
        """Ask about our certificate where a server ends TLS and never said anything.

        Many do not say why; TLS 1.3 tells a client only when it reads, and not if it writes then.
        """
        if self._tls is None or self._has_heard:
            return ""
        return ": is our certificate one that is wanted? see --tls-certificate"


class _Asked:
    """A request over UDP that may be sent again."""

    def __init__(self, octets: bytes, own_id: int) -> None:
        self.octets, self._own_id, self._turn = octets, own_id, 0
        self.due_s: float | None = time.monotonic() + REPEAT_AFTER_S[0]

    @classmethod
    def of(cls, octets: bytes) -> _Asked | None:
        """Give what a message is of that waits for an answer; None for another."""
        own_id = awaited_id(octets)
        return None if own_id is None else cls(octets, own_id)

    def repeated(self) -> None:
        """It is sent once more."""
        self._turn += 1
        more = self._turn < len(REPEAT_AFTER_S)
        self.due_s = time.monotonic() + REPEAT_AFTER_S[self._turn] if more else None

    def is_answered_by(self, octets: bytes) -> bool:
        """Tell whether a datagram answers it."""
        try:
            return decode_apdu(octets).called_invocation_id == self._own_id
        except ApduRejected:
            return False


def _datagrams(host: str, port: int) -> socket.socket:
    """Give a socket that is connected to the first address of a host that there is a way to."""
    fault = OSError("nobody bears the name")
    for family, kind, number, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        made = socket.socket(family, kind, number)
        try:
            made.connect(address)
        except OSError as error:
            made.close()
            fault = error
        else:
            return made
    raise fault


def _words(error: OSError) -> str:
    hint = "; see --tls-ca" if isinstance(error, ssl.SSLCertVerificationError) else ""
    hint = "; is it listening there?" if isinstance(error, ConnectionRefusedError) else hint
    return system_words(error) + hint
