"""Where a relay sends what is for many: by every way to a member, and by no other."""

import pytest

from protocols.c1222.ap_title import ApTitle, absolute
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.group_messages import GroupMessages
from protocols.c1222.node import Node
from protocols.c1222.relay import Relay
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from tests.protocols.c1222.conversation import NOW_US, OPEN, READ_1, Clock, Ring, request


@pytest.mark.parametrize(
    ("called", "ways"),
    [
        (".7.0", ["a", "b", "up"]),
        (".7.1.0", ["a", "up"]),
        (".0", ["a", "b", "c", "up"]),
        (".7.0.9", ["a", "b", "up"]),
        (".7.1.0.9", ["a", "up"]),
        (".9.0", ["up"]),
    ],
)
def test_a_relay_sends_to_many_by_each_way_to_one_below_the_title(
    called: str, ways: list[str]
) -> None:
    relay = Relay(Node(ApTitle.parse(".91"), Ring(), Clock(), None, OPEN), upstream="up")
    for title, path in ((".7.1.2", "a"), (".7.3", "b"), (".8.1", "c"), (".7.5", "asker")):
        relay.way_found(ApTitle.parse(title), path, NOW_US)
    asked = request([encode_request(Identify())], called=ApTitle.parse(called))
    relay.receive("asker", asked, NOW_US)
    assert [way for way, octets in relay.outgoing() if octets == asked] == ways


def test_a_relay_knows_who_asked_many_until_it_forgets_the_oldest() -> None:
    groups = GroupMessages(9, keep_us=10)
    first, second = (decode_apdu(request([READ_1], number)) for number in (1, 2))
    for now_us, came, apdu in ((0, "a", first), (5, "b", second)):
        groups.passes(came, apdu, now_us)
    key = absolute(first.calling), 1
    assert (groups.askers(key, "below"), groups.askers(key, "a")) == (["a"], [])
    groups.expire(10)
    assert not groups.has_passed(first) and groups.has_passed(second)
