"""What can go wrong in a protocol; each error carries its data, and its text is made from it.

::

    ProtocolError
      LocalProtocolError       our own caller asked for something impossible
      RemoteProtocolError      the peer sent what it must not
      LinkError                the line gave no answer: time-out, retries used up
      ServiceRefused           the peer answered a request with a negative code
      PortError                a port cannot be opened or has gone
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Anything that ends an exchange."""


class LocalProtocolError(ProtocolError):
    """Our own caller asked for what the protocol cannot do."""


class RemoteProtocolError(ProtocolError):
    """The peer sent octets that the protocol does not know."""


class LinkError(ProtocolError):
    """The line failed: no acknowledgment, no answer, or the session was lost."""


class ServiceRefused(ProtocolError):
    """The peer answered with a negative response code (``code``); ``request`` says to what."""

    def __init__(self, code: int, name: str, request: str) -> None:
        self.code = code
        self.name = name
        self.request = request
        super().__init__(f"{request}: the meter answered {name} ({code:02X}H)")


class PortError(ProtocolError):
    """A port cannot be opened, or it has gone."""
