"""A node of datagrams does not notice that a relay, or its way up, began anew: it is looked for."""

from itertools import permutations

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node, ResponseArrived, TransactionFailed
from protocols.c1222.registrar import Registrar, RegistrarSettings
from protocols.c1222.relay import Relay
from protocols.c1222.services import Resolve, encode_service
from protocols.psem.services import Identify
from tests.protocols.c1222.chain import FIRST, MASTER, SECOND, Chain
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

ABOVE = {"first": "second", "second": "master", "other": "master"}
OTHER = ApTitle.parse(".94")


class Anew(Chain):
    """The chain, and one more relay at the master, below which nobody is."""

    def __init__(self) -> None:
        super().__init__()
        self.other = Relay(self._node(OTHER), upstream="master")
        self.links["other", "master"] = ("master", "other")
        self.links["master", "other"] = ("other", "master")
        for name in ("second", "first", "other"):
            getattr(self, name).ask_above(NOW_US)
        self.settle()
        self.register()

    def settle(self) -> None:
        super().settle()
        if sent := self.other.outgoing():
            for path, octets in sent:
                self.master.receive("other", octets, self.now_us)
                assert path == "master"
            self.settle()

    def connects_anew(self, name: str) -> None:
        """The way up of a relay ends, and is there again."""
        above = ABOVE[name]
        getattr(self, above).path_failed(name)
        getattr(self, name).path_failed(above)
        getattr(self, name).ask_above(self.now_us)
        self.settle()

    def starts_anew(self, name: str) -> None:
        """A relay is killed and comes back, a master with its list; those below find it again."""
        title = {"master": MASTER, "second": SECOND, "first": FIRST}[name]
        node = Node(title, Ring(), Clock(), SecurityState(1_000_000), OPEN)
        if name == "master":
            kept = Registrar(ApTitle.parse(".7"), RegistrarSettings(3600, 60))
            kept.load(self.registrar, self.now_us)
            self.master = Relay(node, kept)
        else:
            setattr(self, name, Relay(node, upstream=ABOVE[name]))
            self.connects_anew(name)
        for below, above in ABOVE.items():
            if above == name:
                self.connects_anew(below)


@pytest.mark.parametrize("key_id", [None, KEY_ID])
@pytest.mark.parametrize("what", ["first connects", "second connects", "second", "master"])
def test_a_node_that_did_not_notice_is_asked_again_at_once(what: str, key_id: int | None) -> None:
    net = Anew()
    if "connects" in what:
        net.connects_anew(what.split()[0])
    else:
        net.starts_anew(what)
    for _ in range(2):
        assert net.ask(READ_1, key_id=key_id)[0][0] == 0
    assert net.other.counts["answered uat"] <= 1, "the second time it is known where it is"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_request_that_is_repeated_is_looked_for_to_the_last_relay(is_there: bool) -> None:
    """The first says twice then that it does not know the node, while another is asked."""
    net = Anew()
    net.starts_anew("master")
    if not is_there:
        net.starts_anew("first")
    net.host.request([READ_1], METER, "master", net.now_us, key_id=KEY_ID)
    [(_, octets)] = net.host.outgoing()
    for _ in range(2):
        net.master.receive("host", octets, net.now_us)
    net.settle()
    assert net.other.counts["answered uat"] == 2
    [event] = net.host.events()
    if is_there:
        assert isinstance(event, ResponseArrived) and event.responses[0][0] == 0
    else:
        assert isinstance(event, TransactionFailed) and net.first.counts["answered uat"] == 1


def relay_that_came(net: Anew, path: str) -> Relay:
    """Give one more relay below the master, which has asked who is above it."""
    relay = Relay(net._node(ApTitle.parse(".95")), upstream="master")
    relay.ask_above(net.now_us)
    for _, octets in relay.outgoing():
        net.master.receive(path, octets, net.now_us)
    return relay


def test_a_relay_whose_connection_has_ended_meanwhile_is_not_waited_for() -> None:
    net = Anew()
    net.starts_anew("master")
    identify = request([encode_service(Identify())], 9, called=None, calling=ApTitle.parse(".95"))
    net.master.receive("gone", identify, net.now_us)
    net.other.ask_above(net.now_us)  # the latest is asked first
    net.settle()
    net.host.request([READ_1], METER, "master", net.now_us, key_id=KEY_ID)
    [(_, octets)] = net.host.outgoing()
    net.master.receive("host", octets, net.now_us)
    [(path, asked)] = net.master.outgoing()
    assert path == "other"
    net.master.path_failed("gone")
    net.other.receive("master", asked, net.now_us)
    net.settle()
    [event] = net.host.events()
    assert isinstance(event, ResponseArrived) and event.responses[0][0] == 0


def test_a_search_that_a_relay_brings_back_goes_round_no_more() -> None:
    net = Anew()
    net.starts_anew("master")
    net.host.request([READ_1], METER, "master", net.now_us, key_id=KEY_ID)
    [(_, octets)] = net.host.outgoing()
    net.master.receive("host", octets, net.now_us)
    assert net.master.outgoing() == [("other", octets)]
    net.master.receive("second", octets, net.now_us)  # the same relay, by a later path
    [(path, _)] = net.master.outgoing()
    assert path == "second" and net.master.counts["answered netr"] == 1
    forged = request([encode_service(Identify())], 77, called=METER, calling=HOST)
    net.master.receive("a stranger", forged, net.now_us)
    net.master.outgoing()
    true = request([READ_1], 77, called=METER, calling=HOST)
    net.master.receive("second", true, net.now_us)
    assert net.master.outgoing() == [("other", true)], "another may write its title and id"


def test_who_is_nowhere_is_told_of_when_all_relays_were_asked() -> None:
    net = Anew()
    net.starts_anew("master")
    net.starts_anew("first")
    assert net.ask(READ_1) == [b"\x0c"]
    assert net.other.counts["answered uat"] == 1 and net.first.counts["answered uat"] == 1


def test_who_is_not_registered_is_looked_for_nowhere() -> None:
    net = Anew()
    assert net.ask(READ_1, called=ApTitle.parse(".7.99")) == [b"\x0c"]
    assert not net.other.counts["answered uat"]


def test_what_wants_no_answer_goes_to_all_relays_that_may_know_its_node() -> None:
    net = Anew()
    net.starts_anew("master")
    net.master.receive("host", request([READ_1], 9, response_control=NEVER), NOW_US)
    before = net.meter.server.node.counts["served"]
    net.settle()
    assert net.meter.server.node.counts["served"] == before + 1


def test_beside_a_relay_that_is_silent_a_node_answers_after_ten_seconds() -> None:
    net = Anew()
    net.starts_anew("master")
    del net.links["master", "other"]  # its connection looks open
    net.host.request([READ_1], METER, "master", net.now_us)
    net.settle()
    assert not net.host.events()
    net.later(10)
    [event] = net.host.events()
    assert isinstance(event, ResponseArrived) and event.responses[0][0] == 0


def test_a_silent_relay_keeps_no_other_from_being_asked() -> None:
    """One of the others knows no such node either: the search goes on, to the last."""
    net = Anew()
    net.starts_anew("master")
    relay_that_came(net, "silent")  # and is never heard again
    net.host.request([READ_1], METER, "master", net.now_us)
    net.settle()
    net.later(10)
    assert net.other.counts["answered uat"] == 1
    [event] = net.host.events()
    assert isinstance(event, ResponseArrived) and event.responses[0][0] == 0


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("order", permutations(("other", "third", "second")))
def test_all_relays_are_asked_once_in_whichever_order_they_answer_beside_one_that_is_slow(
    order: tuple[str, ...], is_there: bool
) -> None:
    net = Anew()
    net.starts_anew("master")
    if not is_there:
        net.starts_anew("first")
    third = relay_that_came(net, "third")
    net.settle()
    net.links = {ends: way for ends, way in net.links.items() if "master" not in ends}
    asked, told = list[str](), list[bytes]()
    waiting: dict[str, bytes] = {}

    def look() -> None:
        for path, octets in net.master.outgoing():
            if path == "host":
                told.append(octets)
            else:
                asked.append(str(path))
                waiting[str(path)] = octets

    net.master.receive("host", request([READ_1], 9), net.now_us)
    look()
    net.now_us += 10_000_000
    net.master.expire(net.now_us)
    look()
    while waiting:
        name = next(one for one in order if one in waiting)
        relay = third if name == "third" else getattr(net, name)
        relay.receive("master", waiting.pop(name), net.now_us)
        net.carried.clear()
        Chain.settle(net)
        answers = [octets for who, to, octets in net.carried if (who, to) == (name, "master")]
        answers += [octets for one in (third, net.other) for _, octets in one.outgoing()]
        for octets in answers:
            net.master.receive(name, octets, net.now_us)
        look()
    if is_there:
        assert items(told[0])[0][0] == 0 and len(told) == 1
    else:
        assert [items(octets) for octets in told] == [[b"\x0c"]]
        assert sorted(asked) == ["other", "second", "third"]
    assert len(set(asked)) == len(asked)


def test_a_relay_is_reached_from_above_by_the_title_that_it_came_under() -> None:
    net = Anew()
    for name, title in (("second", SECOND), ("other", OTHER)):
        assert net.ask(encode_service(Identify()), called=title)[0][0] == 0, name
        net.connects_anew(name)
        assert net.ask(encode_service(Identify()), called=title)[0][0] == 0, name
    assert net.ask(encode_service(Resolve(FIRST)), called=MASTER) == [b"\x0c"]
    net.master.path_failed("other")
    net.host.request([READ_1], OTHER, "master", net.now_us)
    net.settle()
    [event] = net.host.events()
    assert isinstance(event, ResponseArrived) and event.responses == (b"\x0c",)


def test_a_title_that_is_registered_does_not_lead_to_a_relay_that_only_says_it_has_it() -> None:
    net = Anew()
    claim = request([encode_service(Identify())], 9, called=None, calling=METER)
    net.master.receive("a stranger", claim, net.now_us)
    net.master.outgoing()
    assert net.ask(READ_1, key_id=KEY_ID)[0][0] == 0
    # Nor does what such a one brings back by another path go round.
    claim = request([encode_service(Identify())], 10, called=None, calling=ApTitle.parse(".9.9"))
    net.master.receive("a stranger", claim, net.now_us)
    net.master.outgoing()
    asked = request([READ_1], 78, called=ApTitle.parse(".9.9"), calling=HOST)
    net.master.receive("host", asked, net.now_us)
    assert net.master.outgoing() == [("a stranger", asked)]
    net.master.receive("second", asked, net.now_us)
    assert [path for path, _ in net.master.outgoing()] == ["second"]


def test_a_node_is_looked_for_though_a_stranger_says_that_he_has_its_title() -> None:
    net = Anew()
    net.starts_anew("second")
    claim = request([encode_service(Identify())], 9, called=None, calling=METER)
    net.second.receive("a stranger", claim, net.now_us)
    net.settle()
    net.host.request([READ_1], METER, "master", net.now_us, key_id=KEY_ID)
    net.settle()
    net.later(11)  # the stranger says nothing
    [event] = net.host.events()
    assert isinstance(event, ResponseArrived) and event.responses[0][0] == 0


def test_a_relay_is_reached_though_another_path_is_known_under_its_title() -> None:
    net = Anew()
    claim = request([encode_service(Identify())], 9, called=None, calling=OTHER)
    net.master.receive("where it was, or a stranger", claim, net.now_us)
    net.settle()
    net.host.request([encode_service(Identify())], OTHER, "master", net.now_us)
    net.settle()
    net.later(11)  # nobody answers there
    [event] = net.host.events()
    assert isinstance(event, ResponseArrived) and event.responses[0][0] == 0
