"""A node of C12.22 in memory for the bench, right or made wrong, and what the bench finds of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocols.c1222.errors import ApduRejected
from protocols.c1222.node import NodeSettings
from protocols.c1222.security import EaxPrime
from protocols.c1222.stream import ApduStream
from protocols.errors import PortError
from smartmeter.conformance.network_bench import NetworkBench, NetworkCheck, run_network
from smartmeter.conformance.network_checks import NETWORK_CHECKS
from smartmeter.conformance.verdicts import Result, Verdict
from tests.protocols.c1222.conversation import (
    KEY,
    KEY_ID,
    METER,
    PASSWORD,
    VECTOR_UTC_S,
    Tables,
    Talk,
)

Change = Callable[[bytes], bytes]
#: A device that demands security, and one that serves in clear.
DEMANDING = NodeSettings(max_apdu_octets=2048)
OPEN = NodeSettings(max_apdu_octets=2048, demand_security=False)
#: What no node takes for a message, so that it says nothing.
NOTHING = b"\x60\0"


def named() -> Tables:
    """Give a device with names, of who owns it."""
    tables = Tables()
    tables.images[5] = b"OWNER".ljust(20)
    return tables


@dataclass
class MemoryLine:
    """A node in memory; ``asked`` and ``said`` change what passes, to make it wrong.

    ``closes``: it ends a stream that cannot be recovered.  ``anew``: it forgets all with each
    message, and ``forgets``: its sessions with each connection.  ``gone_after`` so many
    connections there is no way to it.
    """

    asked: Change = bytes
    said: Change = bytes
    closes: bool = True
    anew: bool = False
    forgets: bool = False
    settings: NodeSettings = DEMANDING
    tables: Tables = field(default_factory=named)
    is_stream: bool = True
    gone_after: int | None = None
    why_ended: str = field(default="the connection was closed", init=False)

    def __post_init__(self) -> None:
        self.talk = Talk(self.settings, tables=self.tables)
        self._connections = 0
        self.close()

    def close(self) -> None:
        self._stream, self._ended, self._is_open = ApduStream(), False, False
        self._found: list[bytes] = []
        if self.forgets:
            self.talk.server.node.sessions.end_all()

    def send(self, octets: bytes) -> None:
        if self._ended:
            self.close()
        if not self._is_open:
            self._connections += 1
            self._is_open = True
        if self.gone_after is not None and self._connections > self.gone_after:
            raise PortError("Connection refused")
        try:
            for apdu in self._stream.feed(octets) if self.is_stream else [octets]:
                if self.anew:
                    self.talk = Talk(self.settings)
                self._found += map(self.said, self.talk.offer(self.asked(apdu)))
        except ApduRejected:
            self._ended = self.closes

    def receive(self, within_s: float) -> list[bytes] | None:
        found, self._found = self._found, []
        return found or (None if self._ended else [])


def results(
    line: MemoryLine,
    key: bytes | None = KEY,
    password: bytes | None = PASSWORD,
    checks: Sequence[NetworkCheck] = NETWORK_CHECKS,
) -> dict[str, Result]:
    """Run the checks on a node."""
    keys = {} if key is None else {KEY_ID: EaxPrime(key)}
    bench = NetworkBench(line, METER, lambda: 0, lambda: VECTOR_UTC_S, 1, keys, password, 2)
    return {one.check: one for one in run_network(bench, checks, {}, lambda result: None)}


def found(
    line: MemoryLine, key: bytes | None = KEY, password: bytes | None = PASSWORD
) -> dict[str, Verdict]:
    """Run the checks on a node; give how each ended."""
    return {name: one.verdict for name, one in results(line, key, password).items()}
