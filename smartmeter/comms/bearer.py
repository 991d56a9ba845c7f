"""What a bearer is: one way of carrying APDUs to the TMS, with its price and its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from smartmeter.base.address import host_port
from smartmeter.base.errors import SettingsError
from smartmeter.comms.tls import TlsFiles

DEFAULT_MAX_APDU_OCTETS = 2048


@dataclass(frozen=True)
class BearerSettings:
    """A bearer as it is configured: the cheapest that works is used."""

    name: str
    address: str
    cost: int = 0
    max_apdu_octets: int = DEFAULT_MAX_APDU_OCTETS
    tls: TlsFiles = field(default_factory=TlsFiles)


class Connection(Protocol):
    """An open way to the TMS."""

    def send(self, octets: bytes) -> None:
        """Send one APDU; a connection that has gone drops it."""

    async def receive(self, take: Callable[[bytes], None]) -> None:
        """Give what arrives, APDU by APDU, until the connection ends."""

    def close(self) -> None:
        """End it."""


class Bearer(Protocol):
    """Something that can be connected, again and again."""

    settings: BearerSettings

    async def connect(self) -> Connection:
        """Open the way; OSError when it cannot be."""


def tcp_address(address: str) -> tuple[str, int]:
    """Read ``tcp:HOST:PORT``, ``tls:…`` or ``udp:…``; SettingsError when it is none."""
    kind, _, rest = address.partition(":")
    place, example = f"address {address!r:.80}", "tcp:HOST:PORT, tls:HOST:PORT or udp:HOST:PORT"
    if kind not in ("tcp", "tls", "udp"):
        raise SettingsError(place, "is no bearer", f"write {example}")
    host, port = host_port(place, rest, example)
    if port == 0:
        raise SettingsError(place, "has no port", f"write {example}")
    return host, port
