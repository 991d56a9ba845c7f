"""What arrives over the links of a simulated fleet, in the capture of the process.

Each place has an address of its own: the TMS 192.0.2.1, relays 198.18.0.1 and on,
meters 10.0.0.1 and on in their order; the stamps are the simulation's calendar.
A message is one datagram, as links lose, repeat and reorder whole messages.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from protocols.c1222.native_address import DEFAULT_PORT
from protocols.transports.capture import Capture
from protocols.transports.ip_packets import Endpoint

OFFICE_ADDRESS = "192.0.2.1"
_RELAYS, _METERS = (int(ipaddress.IPv4Address(base)) for base in ("198.18.0.0", "10.0.0.0"))
#: Meters of one run, where several share a file.
_RUN = 1 << 16


class LinkCapture:
    """Writes messages of one run; ``run`` keeps the meters of several apart, ``comment`` tells."""

    def __init__(
        self,
        capture: Capture,
        office: str,
        relays: Iterable[str],
        meters: Iterable[str],
        run: int = 0,
        comment: str = "",
    ) -> None:
        self._capture, self._comment = capture, comment
        self._places = {office: (OFFICE_ADDRESS, DEFAULT_PORT)}
        self._places |= _numbered(relays, _RELAYS)
        self._places |= _numbered(meters, _METERS + run * _RUN)

    def __call__(self, source: str, destination: str, octets: bytes, utc_us: int) -> None:
        """Note a message that has arrived."""
        ends = self._places[source], self._places[destination]
        self._capture.simulated(utc_us, *ends, octets, self._comment)


def _numbered(names: Iterable[str], base: int) -> dict[str, Endpoint]:
    return {
        name: (str(ipaddress.IPv4Address(base + number)), DEFAULT_PORT)
        for number, name in enumerate(names, 1)
    }
