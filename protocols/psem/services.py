"""The requests of PSEM and its answer, as values (C12.18 clause 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.psem.codes import ResponseCode
from protocols.shown_by_repr import ShownByRepr

#: Services that a device may lack, by the names of their classes.
OPTIONAL_SERVICES = ("Negotiate", "Security", "Wait", "OffsetRead", "IndexRead", "DefaultRead")


@dataclass(frozen=True)
class Request:
    """The base of all requests."""


@dataclass(frozen=True)
class Identify(Request):
    """20H: who are you; opens the conversation."""


@dataclass(frozen=True)
class Terminate(Request):
    """21H: the conversation is over, defaults apply again."""


@dataclass(frozen=True)
class FullRead(Request):
    """30H: a whole table."""

    table: int


@dataclass(frozen=True)
class IndexRead(Request):
    """31H to 39H: elements by their position in the table's structure."""

    table: int
    indices: tuple[int, ...]
    count: int


@dataclass(frozen=True)
class DefaultRead(Request):
    """3EH: the table that the device chooses."""


@dataclass(frozen=True)
class OffsetRead(Request):
    """3FH: ``count`` octets from ``offset`` on."""

    table: int
    offset: int
    count: int


@dataclass(frozen=True)
class FullWrite(Request):
    """40H: a whole table."""

    table: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class IndexWrite(Request):
    """41H to 49H: elements by their position."""

    table: int
    indices: tuple[int, ...]
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class OffsetWrite(Request):
    """4FH: octets from ``offset`` on."""

    table: int
    offset: int
    data: bytes = field(repr=False)


#: Reads and writes of a table that the request names.
READS = (FullRead, IndexRead, OffsetRead)
WRITES = (FullWrite, IndexWrite, OffsetWrite)


@dataclass(frozen=True)
class Logon(Request):
    """50H: opens a session; ``user`` is 10 octets on the wire."""

    user_id: int
    user: bytes


@dataclass(frozen=True)
class Security(ShownByRepr, Request):
    """51H: a password of 20 octets; never shown."""

    password: bytes = field(repr=False)


@dataclass(frozen=True)
class Logoff(Request):
    """52H: closes the session, keeps the conversation."""


@dataclass(frozen=True)
class Negotiate(Request):
    """60H to 6BH: packet size in octets, packets a message, and baud codes on offer."""

    packet_size: int
    nbr_packets: int
    bauds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wait(Request):
    """70H: stretches the channel traffic time-out once, in seconds."""

    seconds: int


@dataclass(frozen=True)
class Disconnect(Request):
    """22H.  C12.21: the call is over, the line is hung up; C12.22: leave the network."""


@dataclass(frozen=True)
class Authenticate(Request):
    """53H (C12.21): a proof that a key is known; ``block`` is the ticket, encrypted by it.

    One source: another public client puts an octet 00 between key and block.
    """

    key_id: int
    block: bytes = field(repr=False)


@dataclass(frozen=True)
class TimingSetup(Request):
    """71H (C12.21): the time-outs of both ends in whole seconds, and the repetitions."""

    traffic_s: int
    inter_character_s: int
    response_s: int
    retries: int


@dataclass(frozen=True)
class Unknown(Request):
    """A request code that is not served here."""

    code: int
    data: bytes


@dataclass(frozen=True)
class Response:
    """An answer: the code, and the octets after it as they came."""

    code: int
    data: bytes = b""

    @property
    def ok(self) -> bool:
        """Tell whether the request was carried out."""
        return self.code == ResponseCode.ok
