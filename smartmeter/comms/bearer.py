"""What a bearer is: one way of carrying APDUs to the TMS, with its price and its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from protocols.c1222.registration import OVER_TCP, OVER_UDP
from smartmeter.base.address import host_port
from smartmeter.base.clock import US_PER_S
from smartmeter.base.errors import SettingsError
from smartmeter.comms.tls import TlsFiles
from smartmeter.comms.way import MAX_REPORT_OCTETS, Carries, Way

#: The least that leaves room beside two long titles, and what a datagram may hold at most.
MIN_SEGMENT_OCTETS, MAX_SEGMENT_OCTETS = 256, 32_767


class When(Enum):
    """When a bearer is open: always, or while something waits for it or the TMS has called."""

    ALWAYS = "always"
    WANTED = "wanted"


@dataclass(frozen=True)
class BearerSettings:
    """A bearer as it is configured: the cheapest that works is used.

    ``node`` is the name of the node at a broker, ``user`` and ``password`` its
    log-in there.  ``segment_octets``: what is longer goes in C12.22 segments, where the
    bearer sends datagrams.
    """

    name: str
    address: str
    cost: int = 0
    max_apdu_octets: int = MAX_REPORT_OCTETS
    tls: TlsFiles = field(default_factory=TlsFiles)
    when: When = When.ALWAYS
    carries: Carries = Carries.ALL
    node: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    #: How long an answer may well take, where the carrier itself takes its time.
    answer_s: int = 0
    segment_octets: int | None = None

    @property
    def speaks_tls(self) -> bool:
        """Tell whether it speaks TLS, as its kind says; a listener does that has a certificate."""
        kind = self.address.partition(":")[0]
        return kind in ("tls", "mqtts") or (kind == "listen" and self.tls.certificate is not None)

    @property
    def way(self) -> Way:
        """Give what the node must know."""
        answer_us = self.answer_s * US_PER_S
        has_segments = self.segment_octets is not None
        kind = OVER_UDP if self.address.startswith("udp:") else OVER_TCP
        most, tells_class = self.max_apdu_octets, not self.address.startswith("sms:")
        return Way(self.cost, self.carries, most, answer_us, has_segments, kind, tells_class)


class Connection(Protocol):
    """An open way to the TMS."""

    def send(self, octets: bytes) -> None:
        """Send one APDU; a connection that has gone drops it."""

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give what arrives, APDU by APDU, until the connection ends.

        OSError, with the reason, where it did not end in order.
        """

    def close(self) -> None:
        """End it."""


class Bearer(Protocol):
    """Something that can be connected, again and again.

    One that ``stands_by`` is open beside all others: that costs nothing, and
    only so the far end can reach it.
    """

    settings: BearerSettings
    stands_by: bool

    async def connect(self) -> Connection:
        """Open the way; OSError when it cannot be."""


def ip_address(address: str) -> tuple[str, int]:
    """Read ``KIND:HOST:PORT``, an IPv6 host in brackets; SettingsError when it is none."""
    kind, _, rest = address.partition(":")
    place, example = f"address {address!r:.80}", f"{kind}:HOST:PORT"
    host, port = host_port(place, rest, example)
    if port == 0:
        raise SettingsError(place, "has no port", f"write {example}")
    return host, port
