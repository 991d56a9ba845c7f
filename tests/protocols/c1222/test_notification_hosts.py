"""Notification hosts of a master relay: told who comes and who goes, bounded, never in a loop."""

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node
from protocols.c1222.registrar import MAX_NOTIFICATION_HOSTS, Registrar, RegistrarSettings
from protocols.c1222.registration import NodeType, Register, serial_uid
from protocols.c1222.relay import Relay
from protocols.c1222.services import Deregister, decode_service, encode_service
from protocols.psem.codes import ResponseCode
from tests.protocols.c1222.conversation import NOW_US, OPEN, Clock, Ring, items, request

MASTER = ApTitle.parse(".1")
TOLD = NodeType.HOST | NodeType.NOTIFICATION_HOST


class Master:
    """A master relay with a path for each node."""

    def __init__(self) -> None:
        self.registrar = Registrar(ApTitle.parse(".7"), RegistrarSettings(3600, 60))
        node = Node(MASTER, Ring(), Clock(), SecurityState(1), OPEN)
        self.relay = Relay(node, self.registrar)
        self._id, self.now_us = 100, NOW_US

    def ask(self, title: str, service: object) -> list[tuple[object, bytes]]:
        """Let a node ask over its own path; give what is sent."""
        self._id += 1
        asked = request(
            [encode_service(service)],  # type: ignore[arg-type]
            self._id,
            called=MASTER,
            calling=ApTitle.parse(title),
            ed_class=b"SMOP",
        )
        self.relay.receive(title, asked, self.now_us)
        return self.relay.outgoing()

    def register(self, title: str, kind: NodeType = NodeType.END_DEVICE) -> list[object]:
        """Register; give the paths and services that others are told by, and the own code."""
        register = Register(ApTitle.parse(title), serial_uid(title), 3600, kind)
        return [
            decode_service(items(octets)[0]) if path != title else items(octets)[0][0]
            for path, octets in self.ask(title, register)
        ]


def test_a_host_is_told_of_others_and_not_of_itself() -> None:
    master = Master()
    assert master.register(".5", TOLD) == [0]
    told = [one for one in master.register(".7.42") if isinstance(one, Register)]
    assert [(one.title, one.serial) for one in told] == [
        (ApTitle.parse(".7.42"), serial_uid(".7.42"))
    ]
    assert 0 < told[0].period_s <= 3660
    gone = [o for p, o in master.ask(".7.42", Deregister(ApTitle.parse(".7.42"))) if p == ".5"]
    assert [decode_service(items(octets)[0]) for octets in gone] == [
        Deregister(ApTitle.parse(".7.42"))
    ]


def test_a_lapse_is_told_too_and_a_host_that_went_hears_no_more() -> None:
    master = Master()
    master.register(".5", TOLD)
    master.register(".7.42")
    master.now_us += 600_000_000
    master.register(".5", TOLD)
    assert len(master.registrar.notification_hosts()) == 1
    master.relay.expire(NOW_US + 3_661_000_000)
    told = [decode_service(items(octets)[0]) for _, octets in master.relay.outgoing()]
    assert told == [Deregister(ApTitle.parse(".7.42"))]
    master.relay.expire(NOW_US + 4_300_000_000)
    assert master.relay.outgoing() == [], "it has lapsed itself"
    assert master.registrar.notification_hosts() == []
    assert [one for one in master.register(".7.43") if isinstance(one, Register)] == []


def test_more_hosts_than_the_limit_are_busy_and_a_plain_node_is_not() -> None:
    master = Master()
    for number in range(MAX_NOTIFICATION_HOSTS):
        assert 0 in master.register(f".5.{number + 1}", TOLD)
    assert master.register(".5.99", TOLD) == [ResponseCode.bsy]
    assert master.register(".5.99").count(0) == 1
    assert 0 in master.register(".5.1", TOLD), "one of them keeps itself alive"


def test_a_host_without_a_way_is_counted_and_stops_nobody() -> None:
    master = Master()
    master.register(".5", TOLD)
    master.relay.path_failed(".5")
    assert master.register(".7.42") == [0]
    assert master.relay.counts["host not told"] == 1
