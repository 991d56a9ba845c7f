"""A relay that is flooded: what it refuses leaves nothing behind."""

import tracemalloc

from protocols.c1222.builder import Envelope, build_apdu
from tests.protocols.c1222.conversation import HOST, NOW_US, READ_1, lock
from tests.protocols.c1222.test_checks_relay import SECOND, Chain


def test_a_relay_keeps_nothing_of_what_it_refuses() -> None:
    chain = Chain()
    octets = build_apdu(Envelope(1, SECOND, HOST), [READ_1], lock())
    tracemalloc.start()
    for wave in range(3):
        for number in range(500):
            chain.second.receive(f"flood {wave}", octets[:-1] + bytes([number % 256]), NOW_US)
            chain.second.outgoing()
        if wave == 0:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000
