"""Relays of tests: in this process, or one of their own."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from protocols.c1222.stream import ApduStream
from smartmeter.comms.relay_host import RelayHost
from smartmeter.simulation.street import factory_of
from smartmeter.tms.server import TmsServer
from tests.smartmeter.tms.peer import Peer

#: The SmartMeter behind them.
FACTORY = factory_of(1, 5, "tcp:127.0.0.1:1")


def tcp(address: tuple[str, int]) -> str:
    return f"tcp:{address[0]}:{address[1]}"


class Through(Peer):
    """A SmartMeter's node that reaches the TMS through a relay."""

    def __init__(self, relay: RelayHost, tms: TmsServer) -> None:
        super().__init__(str(FACTORY.title), FACTORY.key, tms)
        self._tms = relay  # type: ignore[assignment]


def relay_process(
    data: Path,
    metrics: int | None = None,
    more: Sequence[str] = (),
    place: Sequence[str] = ("--title", ".1", "--master", ".7"),
    port: int = 0,
) -> tuple["subprocess.Popen[str]", tuple[str, int]]:
    options = ["--listen", f"127.0.0.1:{port}", *place, "--data", str(data), *more]
    if metrics is not None:
        options += ["--metrics", f"127.0.0.1:{metrics}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "smartmeter", "relay", "run", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    host, _, port = process.stdout.readline().split()[1].removeprefix("tcp:").rpartition(":")
    return process, (host, int(port))


async def asked(relay: RelayHost | TmsServer, octets: bytes) -> bytes:
    """Send one APDU on a connection of its own; give what comes back there."""
    reader, writer = await asyncio.open_connection(*relay.address)
    writer.write(octets)
    stream, found = ApduStream(), []
    async with asyncio.timeout(60):
        while not found:
            found = stream.feed(await reader.read(4096))
    writer.close()
    return bytes(found[0])
