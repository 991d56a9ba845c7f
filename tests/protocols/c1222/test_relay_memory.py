"""What leaves nothing behind at a relay: what it refuses, and nodes that have gone."""

import tracemalloc

from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.relay import Relay
from protocols.c1222.services import Deregister, encode_service
from protocols.c1222.ways import RelayOwner
from tests.protocols.c1222.chain import MASTER, SECOND, Chain
from tests.protocols.c1222.conversation import (
    HOST,
    METER,
    NOW_US,
    READ_1,
    items,
    lock,
    request,
)


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


def test_a_title_that_was_given_up_is_unknown_to_the_relays_on_the_way_too() -> None:
    chain, learned = Chain(), []
    owner = RelayOwner(learned=lambda title, path: learned.append((title, path)))
    chain.first = Relay(chain.first.node, None, "second", owner=owner)
    chain.register()
    leaving = encode_service(Deregister(METER))
    chain.meter.server.node.request([leaving], MASTER, "first", NOW_US)
    chain.settle()
    for relay in (chain.master, chain.second, chain.first):
        assert METER.absolute not in relay.routes()
    assert learned == [(METER, "meter"), (METER, None)]
    chain.first.receive("another", request([READ_1], 7), NOW_US)
    chain.settle()
    [told] = [octets for _, path, octets in chain.carried if path == "another"]
    assert items(told) == [b"\x0c"]


def test_a_title_whose_giving_up_is_refused_keeps_its_way() -> None:
    chain = Chain()
    chain.register()
    leaving = request([encode_service(Deregister(METER))], 7, called=MASTER)
    chain.first.receive("another", leaving, NOW_US)
    chain.settle()
    [told] = [octets for _, path, octets in chain.carried if path == "another"]
    assert items(told) == [b"\x03"] and chain.ask(READ_1)[0][0] == 0
