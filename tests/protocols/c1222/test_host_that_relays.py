"""A host that relays what its own node has no use for, as the TMS does."""

from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.node import NodeSettings
from tests.protocols.c1222.chain import Chain
from tests.protocols.c1222.conversation import METER, NOW_US, READ_1, lock, request


def test_who_asks_without_a_title_is_answered_also_through_a_host_that_relays() -> None:
    chain = Chain(NodeSettings())
    chain.register()
    asked = request([READ_1], 7, lock(), calling=None, called=METER)
    assert chain.master.forward("host", asked, NOW_US)
    answer = build_apdu(Envelope(1, None, METER, 7), [b"\0"], lock())
    other = build_apdu(Envelope(1, None, METER, 8), [b"\0"], lock())
    chain.master.outgoing()
    assert not chain.master.forward("second", other, NOW_US)
    assert not chain.master.forward("a stranger", answer, NOW_US)
    assert chain.master.forward("second", answer, NOW_US)
    assert chain.master.outgoing() == [("host", answer)]
