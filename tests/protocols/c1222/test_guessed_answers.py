"""Nodes behind one path that answer for each other: a relay waits on for the right answer."""

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.node import Node
from protocols.c1222.relay import Relay
from tests.protocols.c1222.chain import FIRST
from tests.protocols.c1222.conversation import (
    HOST,
    METER,
    NOW_US,
    OPEN,
    READ_1,
    Clock,
    Ring,
    items,
    lock,
    request,
)


def forgeries() -> dict[str, bytes]:
    """What a neighbour of the meter may send as the answer to the host's request 7 to it."""
    forged = bytearray(build_apdu(Envelope(1, HOST, METER, 7), [b"\0"], lock()))
    forged[-1] ^= 1
    neighbour = ApTitle.parse(".7.43")
    return {
        "its own": build_apdu(Envelope(1, HOST, neighbour, 7), [b"\0"], lock()),
        "its own in clear": build_apdu(Envelope(1, HOST, neighbour, 7), [b"\0"]),
        "of no title": build_apdu(Envelope(1, HOST, None, 7), [b"\0"]),
        "in the meter's name in clear": build_apdu(Envelope(1, HOST, METER, 7), [b"\0"]),
        "in the meter's name": bytes(forged),
        "as from a relay": build_apdu(Envelope(1, HOST, METER, 7), [b"\x0e"]),
    }


@pytest.mark.parametrize("answers_by", ["below", "a connection of its own"])
@pytest.mark.parametrize("forged", forgeries().values(), ids=forgeries())
def test_a_neighbours_answer_on_the_same_path_does_not_take_the_place_of_a_nodes(
    forged: bytes, answers_by: str
) -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    relay.way_found(METER, "below", NOW_US)
    relay.receive("host", request([READ_1], 7, lock()), NOW_US)
    relay.receive("below", forged, NOW_US)
    answer = build_apdu(Envelope(2, HOST, METER, 7), [b"\0"], lock())
    relay.receive(answers_by, answer, NOW_US)
    assert relay.outgoing()[1:] == [("host", forged), ("host", answer)]
    later_us = NOW_US + 100_000_000
    relay.expire(later_us)
    assert "host" not in dict(relay.outgoing()), "it was answered"
    relay.receive(answers_by, answer, later_us)
    assert relay.outgoing() == [("up", answer)], "it is remembered no longer than it was waited for"


def test_who_is_answered_by_a_neighbour_alone_is_told_that_the_node_was_silent() -> None:
    relay = Relay(Node(FIRST, Ring(), Clock(), None, OPEN), upstream="up")
    relay.way_found(METER, "below", NOW_US)
    relay.receive("host", request([READ_1], 7), NOW_US)
    relay.receive("below", forgeries()["its own in clear"], NOW_US)
    relay.outgoing()
    relay.expire(NOW_US + 60_000_000)
    assert [items(told) for path, told in relay.outgoing() if path == "host"] == [[b"\x0d"]]
