"""A node that has gone to another relay, and left a connection behind that says nothing."""

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, ON_EXCEPTION, Envelope, build_apdu
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node, RequestArrived, ResponseArrived
from protocols.c1222.registrar import Registrar, RegistrarSettings
from protocols.c1222.registration import Register
from protocols.c1222.relay import Relay
from protocols.c1222.services import encode_service
from protocols.c1222.ways import RelayOwner
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from tests.protocols.c1222.chain import ESN, FIRST, MASTER, SECOND, Chain
from tests.protocols.c1222.conversation import (
    HOST,
    KEY_ID,
    METER,
    NOW_US,
    OPEN,
    READ_1,
    Clock,
    Ring,
    items,
    request,
)


class Moving:
    """A node that has gone from one relay to another, whose first connection stays and says
    nothing; both relays are below one master, and a client is below the first."""

    def __init__(self) -> None:
        node = Chain()._node
        self.now_us = NOW_US
        self.master = Relay(
            node(MASTER), Registrar(ApTitle.parse(".7"), RegistrarSettings(3600, 60))
        )
        self.old, self.new = (Relay(node(title), upstream="up") for title in (FIRST, SECOND))
        self.node = Node(METER, Ring(), Clock(), SecurityState(9), OPEN)
        self.client = Node(HOST, Ring(), Clock(), SecurityState(700), OPEN)
        self.served = 0
        #: Whether the node hears by its first connection; None: late.
        self.hears_old: bool | None = True
        self.late: list[bytes] = []

    def settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for name, relay in (("old", self.old), ("new", self.new), ("master", self.master)):
                for path, octets in relay.outgoing():
                    moved = True
                    self._carry(name, str(path), octets)
            for path, octets in self.node.outgoing():
                moved = True
                relay = self.old if path == "old" else self.new
                relay.receive("node", octets, self.now_us)
            for _, octets in self.client.outgoing():
                moved = True
                self.old.receive("client", octets, self.now_us)

    def _carry(self, name: str, path: str, octets: bytes) -> None:
        if path == "up":
            self.master.receive(name, octets, self.now_us)
        elif name == "master":
            (self.old if path == "old" else self.new).receive("up", octets, self.now_us)
        elif path == "client":
            self.client.receive("old", octets, self.now_us)
        elif name == "new" or self.hears_old:
            self._hear(name, octets)
        elif self.hears_old is None:
            self.late.append(octets)

    def _hear(self, name: str, octets: bytes) -> None:
        self.node.receive(name, octets, self.now_us)
        for event in self.node.events():
            if isinstance(event, RequestArrived):
                self.served += 1
                self.node.answer(event.token, [b"\0"], self.now_us)

    def register(self, path: str) -> None:
        asked = encode_service(Register(METER, ESN, 86_400))
        self.node.request([asked], MASTER, path, self.now_us)
        self.settle()

    def ask(self, key_id: int | None = None) -> None:
        self.client.request([READ_1], METER, "old", self.now_us, key_id=key_id, timeout_us=10**9)
        self.settle()

    def later(self, seconds: int) -> None:
        self.now_us += seconds * 1_000_000
        for relay in (self.old, self.new, self.master):
            relay.expire(self.now_us)
        self.settle()

    def answers(self) -> list[bytes]:
        return [
            item
            for e in self.client.events()
            if isinstance(e, ResponseArrived)
            for item in e.responses
        ]


@pytest.mark.parametrize("key_id", [None, KEY_ID])
def test_a_node_that_moved_is_reached_though_its_old_connection_is_silent(
    key_id: int | None,
) -> None:
    net = Moving()
    net.register("old")
    net.ask(key_id)
    assert net.answers() == [b"\0"]
    net.hears_old = False
    net.register("new")
    net.ask(key_id)
    assert net.answers() == []
    net.later(10)
    assert net.answers() == [b"\0"] and net.served == 2
    net.ask(key_id)
    assert net.answers() == [b"\0"], "the next one does not wait"
    net.later(60)
    assert net.answers() == [], "nobody is told anything else"
    # It comes back, and is reached here at once.
    net.hears_old = True
    net.register("old")
    net.ask(key_id)
    assert net.answers() == [b"\0"] and net.old.counts["went another way too"] == 1


@pytest.mark.parametrize("key_id", [None, KEY_ID])
def test_a_slow_node_that_did_not_move_is_waited_for_and_served_once(key_id: int | None) -> None:
    net = Moving()
    net.register("old")
    net.hears_old = None
    net.ask(key_id)
    net.later(12)
    assert net.answers() == [] and net.old.counts["went another way too"] == 1
    net._hear("old", net.late.pop())
    net.settle()
    assert net.answers() == [b"\0"] and net.served == 1
    net.hears_old = True
    net.ask(key_id)
    assert net.answers() == [b"\0"], "it is looked for where it is"


def test_a_slow_node_stays_known_when_the_other_way_says_later_still_that_it_is_not_there() -> None:
    net = Moving()
    net.register("old")
    net.hears_old = None
    asked = net.client.next_invocation_id
    net.ask(KEY_ID)
    net.later(10)
    net._hear("old", net.late.pop())
    net.settle()
    assert len(net.answers()) == 1
    error = Envelope(77, HOST, METER, asked)
    net.old.receive("up", build_apdu(error, [b"\x0e"]), net.now_us)
    assert net.old.outgoing() == [] and net.old.routes()[METER.absolute] == "node"


def test_nobody_who_moved_nowhere_and_is_gone_is_told_by_nett_once() -> None:
    net = Moving()
    net.register("old")
    net.hears_old = False
    net.ask()
    net.later(10)
    assert net.answers() == []
    net.later(50)
    assert net.answers() == [b"\x0d"]


@pytest.mark.parametrize("control, told", [(ALWAYS, [b"\x0d"]), (ON_EXCEPTION, [])])
def test_silence_is_no_time_out_where_an_answer_is_wanted_on_exception_only(
    control: int, told: list[bytes]
) -> None:
    net = Moving()
    net.register("old")
    net.hears_old = None  # the node serves it and, on exception, says nothing
    net.client.request(
        [READ_1], METER, "old", net.now_us, response_control=control, timeout_us=10**9
    )
    net.settle()
    net.later(10)
    net.later(50)
    assert net.answers() == told


@pytest.mark.parametrize("control", [ALWAYS, ON_EXCEPTION])
def test_a_request_whose_connection_ends_is_not_taken_for_one_that_was_well(control: int) -> None:
    net = Moving()
    net.register("old")
    net.hears_old = False
    net.client.request([READ_1], METER, "old", net.now_us, response_control=control)
    net.settle()
    net.old.path_failed("node")
    net.settle()
    assert net.answers() == [b"\x0e"]


def test_a_way_that_leads_back_to_who_sent_the_message_is_left_for_the_way_up() -> None:
    """The relay below has tried its own way; where the node is now is known above."""
    chain = Chain()
    chain.register()
    read = request([READ_1], called=METER)
    chain.second.outgoing()
    chain.second.receive("first", read, chain.now_us)
    assert chain.second.outgoing() == [("master", read)]


@pytest.mark.parametrize("key_id", [None, KEY_ID])
@pytest.mark.parametrize("answers", ["by the call", "late", "not at all"])
def test_a_node_whose_connection_is_silent_is_called_where_it_listens(
    answers: str, key_id: int | None
) -> None:
    sought: list[ApTitle] = []
    moved: list[tuple[ApTitle, object]] = []
    relay = Relay(
        Node(MASTER, Ring(), Clock(), None, OPEN),
        Registrar(ApTitle.parse(".7")),
        owner=RelayOwner(
            call=lambda title: not sought.append(title),  # type: ignore[func-returns-value]
            moved=lambda title, path: moved.append((title, path)),
        ),
    )
    node = Node(METER, Ring(), Clock(), SecurityState(9), OPEN)
    client = Node(HOST, Ring(), Clock(), SecurityState(700), OPEN)
    node.request([encode_service(Register(METER, ESN, 86_400))], MASTER, "own", NOW_US)
    [(_, registering)] = node.outgoing()
    relay.receive("own", registering, NOW_US)
    [(path, _)] = relay.outgoing()
    assert path == "own"

    def ask(now_us: int) -> list[object]:
        client.request([READ_1], METER, "relay", now_us, key_id=key_id, timeout_us=10**9)
        [(_, octets)] = client.outgoing()
        relay.receive("client", octets, now_us)
        node.receive("x", octets, now_us)
        return [way for way, _ in relay.outgoing()]

    def answer(path: str, now_us: int) -> int:
        [event] = [one for one in node.events() if isinstance(one, RequestArrived)]
        node.answer(event.token, [b"\0"], now_us)
        [(_, octets)] = node.outgoing()
        relay.receive(path, octets, now_us)
        return len(relay.outgoing())

    assert ask(NOW_US) == ["own"] and sought == []
    now_us = NOW_US + 10_000_000
    relay.expire(now_us)
    assert sought == [METER] and relay.outgoing() == []
    if answers == "late":
        assert answer("own", now_us) == 1
    relay.way_found(METER, "called", now_us)
    assert [way for way, _ in relay.outgoing()] == ["called"] * (answers != "late")
    if answers == "by the call":
        assert answer("called", now_us) == 1
        assert ask(now_us) == ["called"], "the next one does not wait"
        assert moved == [(METER, "called")]
    else:
        node.events()
        assert ask(now_us) == ["own"] and not moved, "only an answer moves a way"


def test_who_cannot_be_called_either_may_still_answer_and_is_told_of_once() -> None:
    owner = RelayOwner(call=lambda title: True)
    relay = Relay(Node(MASTER, Ring(), Clock(), None, OPEN), owner=owner)
    relay.way_found(METER, "own", NOW_US)
    relay.receive("client", request([READ_1], called=METER), NOW_US)
    relay.expire(NOW_US + 10_000_000)
    relay.way_lost(METER)
    assert [way for way, _ in relay.outgoing()] == ["own"]
    relay.expire(NOW_US + 60_000_000)
    [(path, told)] = relay.outgoing()
    assert path == "client" and items(told) == [b"\x0d"]
    relay.expire(NOW_US + 200_000_000)
    assert relay.outgoing() == []


def test_a_recorded_message_that_comes_again_moves_no_way() -> None:
    chain = Chain()
    chain.links |= {("meter", "other"): ("first", "moved"), ("first", "moved"): ("meter", "other")}
    node, identify = chain.meter.server.node, encode_request(Identify())

    def speak(path: str) -> bytes:
        node.request([identify], MASTER, path, chain.now_us, key_id=KEY_ID)
        chain.settle()
        return [o for who, way, o in chain.carried if (who, way) == ("meter", path)][-1]

    recorded = [speak("first") for _ in range(3)]
    for octets in recorded:
        for relay, path, known in ((chain.first, "thief", "meter"), (chain.second, "a", "first")):
            relay.receive(path, octets, chain.now_us)
            chain.settle()
            assert relay.routes()[METER.absolute] == known
    assert [o for who, way, o in chain.carried if way == "thief"], "the kept answers still come"
    speak("other")
    assert chain.first.routes()[METER.absolute] == "moved", "the node itself has gone there"
    chain.first.receive("meter", recorded[-1], chain.now_us)
    chain.settle()
    assert chain.first.routes()[METER.absolute] == "moved"
