"""A meter, two relays and a master with the host beside it, in memory."""

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node, NodeSettings, ResponseArrived
from protocols.c1222.registrar import Registrar, RegistrarSettings
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.relay import Relay
from protocols.c1222.services import encode_service
from tests.protocols.c1222.conversation import HOST, METER, NOW_US, OPEN, Clock, Ring, Talk

MASTER, FIRST, SECOND = (ApTitle.parse(text) for text in (".1", ".91", ".92"))
ESN = serial_uid("SM000001")


class Chain:
    """meter — first relay — second relay — master with the host beside it."""

    def __init__(self, settings: NodeSettings = OPEN) -> None:
        self.now_us = NOW_US
        self.registrar = Registrar(ApTitle.parse(".7"), RegistrarSettings(3600, 60))
        self.master = Relay(self._node(MASTER), self.registrar)
        self.second = Relay(self._node(SECOND), upstream="master")
        self.first = Relay(self._node(FIRST), upstream="second")
        self.meter = Talk(settings)
        self.host = Node(HOST, Ring(), Clock(), SecurityState(500), OPEN)
        #: (sender, path) -> (receiver, the path's name there).
        self.links = {
            ("meter", "first"): ("first", "meter"),
            ("first", "meter"): ("meter", "first"),
            ("first", "second"): ("second", "first"),
            ("second", "first"): ("first", "second"),
            ("second", "master"): ("master", "second"),
            ("master", "second"): ("second", "master"),
            ("master", "host"): ("host", "master"),
            ("host", "master"): ("master", "host"),
        }
        self.carried: list[tuple[str, str, bytes]] = []

    def _node(self, title: ApTitle) -> Node:
        return Node(title, Ring(), Clock(), SecurityState(1000 * title.arcs[0]), OPEN)

    def settle(self) -> None:
        moved = True
        machines = ("meter", "first", "second", "master", "host")
        while moved:
            moved = False
            for name in machines:
                machine = self.meter.server if name == "meter" else getattr(self, name)
                for path, octets in machine.outgoing():
                    moved = True
                    self.carried.append((name, str(path), octets))
                    if (name, path) in self.links:
                        receiver, way = self.links[name, path]
                        target = (
                            self.meter.server if receiver == "meter" else getattr(self, receiver)
                        )
                        target.receive(way, octets, self.now_us)

    def register(self, title: ApTitle | None = METER) -> list[bytes]:
        """Register the meter through both relays; give the items of the answer."""
        node = self.meter.server.node
        number = node.request(
            [encode_service(Register(title, ESN, 86_400))], MASTER, "first", self.now_us
        )
        self.settle()
        [event] = [e for e in self.meter.server.events() if isinstance(e, ResponseArrived)]
        assert event.transaction == number
        return list(event.responses)

    def ask(self, *services: bytes, called: ApTitle = METER, **options: object) -> list[bytes]:
        self.host.request(services, called, "master", self.now_us, **options)  # type: ignore[arg-type]
        self.settle()
        [event] = self.host.events()
        assert isinstance(event, ResponseArrived), event
        return list(event.responses)

    def later(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)
        for relay in (self.first, self.second, self.master):
            relay.expire(self.now_us)
        self.settle()
