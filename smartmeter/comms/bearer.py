"""What a bearer is: one way of carrying APDUs to the TMS, with its price and its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

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
    host, _, port = rest.rpartition(":")
    number = int(port) if port.isdecimal() else 0
    if kind not in ("tcp", "tls", "udp") or not host or not 0 < number < 65_536:
        raise SettingsError(
            f"address {address!r}",
            "is no bearer",
            "write tcp:HOST:PORT, tls:HOST:PORT or udp:HOST:PORT",
        )
    return host.strip("[]"), number
