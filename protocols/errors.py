"""What can go wrong in a protocol; each error carries its data, and its text is made from it.

::

    ProtocolError
      LocalProtocolError       our own caller asked for something impossible
      RemoteProtocolError      the peer sent what it must not
        TableChecksumError     a table's octets and their checksum differ
      LinkError                the line gave no answer: time-out, retries used up
        NotAcknowledged        no acknowledgment after all repetitions
          PacketRefused        each of them was NAKed: the peer never had the message
        NotAnswered            acknowledged, but no answer came
        Unanswered             one request brings no answer, and others do
        SessionEnded           the peer ended the session
          SessionOver          it answered so: what was asked was not carried out
        OutcomeUnknown         the line failed while a write was under way
          ProcedureUnanswered  a procedure was started, and its answer is missing
      ServiceRefused           the peer answered a request with a negative code
      PortError                a port cannot be opened or has gone
        PortNameError          no port can have such a name
"""

from __future__ import annotations

from typing import Any


class ProtocolError(Exception):
    """Anything that ends an exchange."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be copied, and go to another process, whatever its class is made from."""
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[ProtocolError], args: tuple[object, ...]) -> ProtocolError:
    return kind.__new__(kind, *args)


class LocalProtocolError(ProtocolError):
    """Our own caller asked for what the protocol cannot do."""


class RemoteProtocolError(ProtocolError):
    """The peer sent octets that the protocol does not know."""


class TableChecksumError(RemoteProtocolError):
    """Table octets (``data``) came with a wrong checksum.

    ``ones_complement``: the sum was negated without the 1 that makes it a two's complement.
    """

    def __init__(self, data: bytes, found: int, want: int) -> None:
        self.data = data
        self.ones_complement = found == want - 1 & 0xFF
        super().__init__(f"table checksum {found:02X}H, computed {want:02X}H")


class LinkError(ProtocolError):
    """The line failed: no acknowledgment, no answer, or the session was lost."""


class NotAcknowledged(LinkError):
    """Nobody acknowledged our packet, however often it was sent."""


class PacketRefused(NotAcknowledged):
    """The peer refused each copy of our packet: what was asked was not carried out."""


class NotAnswered(LinkError):
    """The request was acknowledged, and then no answer came."""


class Unanswered(LinkError):
    """A request brings no answer, and others do: only what was asked for cannot be had."""


class SessionEnded(LinkError):
    """The peer ended the session by itself."""


class SessionOver(SessionEnded):
    """The peer answered that there is no session any more: what was asked was not carried out."""


class OutcomeUnknown(LinkError):
    """The line failed during a write, or its answer cannot be read: it was carried out, or not.

    Never repeated silently.  ``confirmed`` octets had been acknowledged before.
    """

    def __init__(self, what: str, confirmed: int, cause: Exception) -> None:
        self.confirmed = confirmed
        super().__init__(
            f"{what}: {cause}; whether it was carried out is not known: read it back before"
            " you repeat it"
        )


class ProcedureUnanswered(OutcomeUnknown):
    """A procedure was started, but its answer (ST-08) cannot be had: what it did is not known.

    A refusal to show ST-08 counts as well.  Starting the procedure again may do it twice.
    """

    def __init__(self, cause: Exception) -> None:
        self.confirmed = 0
        LinkError.__init__(
            self,
            f"the procedure was started, and its answer is missing: {cause}; see what it has done"
            " before you run it again",
        )


#: What the codes of a refusal say, and what can be done.
_MEANINGS = {
    "sns": "it does not know this service",
    "isc": "the log-on has no right to this; use a password that has",
    "onp": "not possible as things are; look at size and place",
    "iar": "there is no such table or procedure, or not for this",
    "bsy": "it is busy; try again later",
    "dnr": "the data are not ready; try again later",
    "dlk": "the data are locked; try again later",
}
#: What they say to a Logon, which names a user and no table.
_OF_A_LOGON = dict.fromkeys(("err", "isc", "iar"), "it may want another user id or user name")


class ServiceRefused(ProtocolError):
    """The peer answered with a negative response code (``code``); ``request`` says to what."""

    def __init__(self, code: int, name: str, request: str) -> None:
        self.code = code
        self.name = name
        self.request = request
        text = f"{request}: the meter answered {name} ({code:02X}H)"
        meanings = _MEANINGS | _OF_A_LOGON if request.endswith("Logon") else _MEANINGS
        meaning = meanings.get(name)
        super().__init__(f"{text}: {meaning}" if meaning else text)


class PortError(ProtocolError):
    """A port cannot be opened, or it has gone."""


class PortNameError(PortError):
    """What was given is no name of a port: whoever gave it must write another."""
