"""A node that speaks to a TMS over TCP, and what the TMS has against nodes."""

import asyncio

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import Node
from protocols.c1222.security import EaxPrime
from protocols.c1222.stream import ApduStream
from smartmeter.base.clock import monotonic_us
from smartmeter.tms.server import TmsServer

SEED = 5
HOST_TITLE = ApTitle.parse(".1")


class Peer:
    """A node of our own on a connection of its own."""

    def __init__(self, title: str, key: bytes, tms: TmsServer) -> None:
        self._cipher = EaxPrime(key)
        self.node = Node(ApTitle.parse(title), self, tms.calendar)
        self._tms = tms

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self._cipher if key_id == 0 else None

    async def ask(self, *services: bytes, key_id: int | None = 0) -> bytes:
        """Give the APDU that comes back."""
        self.node.request(services, HOST_TITLE, "tcp", monotonic_us(), key_id=key_id)
        [(_, octets)] = self.node.outgoing()
        return await answer_to(octets, self._tms)


async def answer_to(octets: bytes, tms: TmsServer) -> bytes:
    """Send a message on a connection of its own; give the APDU that comes back."""
    reader, writer = await asyncio.open_connection(*tms.address)
    writer.write(octets)
    stream = ApduStream()
    async with asyncio.timeout(60):
        while not (found := stream.feed(await reader.read(4096))):
            pass
    writer.close()
    return found[0]


def reasons(tms: TmsServer) -> set[str]:
    return {row["reason"] for row in tms.store.read("SELECT reason FROM security_events")}
