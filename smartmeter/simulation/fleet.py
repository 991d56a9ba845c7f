"""A fleet in virtual time: meters, modules, links and a TMS on one clock, with a seed's faults.

Deterministic: one queue, every chance from the seed, no thread and no clock.
The same seed gives the same trace, octet by octet.  Safety is checked after
every step; after the last fault everything must arrive within a bound.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from random import Random

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import NoKeys, SecurityState
from protocols.c1222.node import Node, NodeSettings
from protocols.c1222.relay import Relay
from protocols.c1222.relay_services import IN_CLEAR
from protocols.machine import earliest
from protocols.transports.capture import Capture
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import RESIDENTIAL
from smartmeter.network.area import Area, AreaFault
from smartmeter.network.faults import Partition
from smartmeter.network.link import Link, LinkSettings
from smartmeter.network.relay_node import UPSTREAM, RelayNode
from smartmeter.network.topology import Place, Topology, Way
from smartmeter.simulation.agenda import Agenda
from smartmeter.simulation.checks import Safety, Violation
from smartmeter.simulation.count import Count, Journal, compare, count, settled
from smartmeter.simulation.house import House
from smartmeter.simulation.link_capture import LinkCapture
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.simulation.street import MASTER, MODEL, factory_of
from smartmeter.simulation.swarm import DAY_US, HOUR_US, Fault, Kind, swarm
from smartmeter.tms.collector import HOST_TITLE
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.shell import Shell
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.store.records import Stored
from smartmeter.tms.template import Template, make_template

#: 2026-01-01 00:00 UTC: where every fleet begins.
EPOCH_US = 1_767_225_600 * US_PER_S
#: Meters come alive in the first hours, and no fault strikes before all are there.
QUIET_US = 2 * HOUR_US
#: After the last fault everything has arrived within so long.
DRAIN_US = 40 * HOUR_US
#: The head-end looks at its calendar so often.
TICK_US = 60 * US_PER_S
OFFICE, FAULTS = "office", "faults"
TMS = "TMS"
USUAL_LINK, USUAL_BACKHAUL = LinkSettings(40_000, 400_000), LinkSettings(15_000, 10_000)
#: Of the keys that the head-end gives.
KEY_OCTETS = 16
#: Under which title the relays have theirs.
RELAY_TITLES = ".90"


@dataclass(frozen=True)
class FleetSettings:
    """How many meters, for how many days, from which seed; ``faults`` False is a quiet world."""

    meters: int
    days: int
    seed: int
    faults: bool = True
    kinds: tuple[Kind, ...] | None = None
    link: LinkSettings = USUAL_LINK
    profile: DeviceProfile = field(default=RESIDENTIAL, repr=False)
    #: Length of the meters' intervals where it is not the profile's own.
    interval_min: int | None = None
    #: What flows through a meter stays the same for so long.
    load_step_min: int = 1
    #: Relays between the meters and the TMS, each with its share of the meters.
    relays: int = 0
    backhaul: LinkSettings = USUAL_BACKHAUL

    @property
    def command(self) -> str:
        """Give the command that repeats this run."""
        text = f"smartmeter fleet --meters {self.meters} --days {self.days} --seed {self.seed}"
        text += f" --relays {self.relays}" if self.relays else ""
        text += "" if self.faults else " --quiet"
        for option, link, usual in (
            ("--link", self.link, USUAL_LINK),
            ("--backhaul", self.backhaul, USUAL_BACKHAUL),
        ):
            for one in fields(LinkSettings):
                value = getattr(link, one.name)
                if value != getattr(usual, one.name):
                    text += f" {option} {one.name}={value}"
        return text


class FleetFailure(Exception):
    """A check failed; the text ends with the command that repeats it, ``count`` is to then."""

    def __init__(self, settings: FleetSettings, what: str, count: Count) -> None:
        super().__init__(f"{what}; repeat: {settings.command}")
        self.count = count


def fleet_template() -> Template:
    """Give the default provisioning; voltages are looked at with each interval only."""
    return make_template({"outage": {"VOLTAGE_PERIOD_MS": 900_000}})


class Fleet:
    """The world.  ``trace`` takes a line for everything that passes a link or breaks.

    Each of its actors (a SmartMeter, a relay, the office with the head-end, the faults) stands in
    the agenda with its next deadline.  What an actor does may reach others: these are planned
    anew at once, but for the ``current`` SmartMeter, which is planned when its turn ends.
    """

    def __init__(
        self,
        settings: FleetSettings,
        trace: Callable[[str], None] = lambda line: None,
        upgrade_key: bytes = b"",
        template: Template | None = None,
        faults: Sequence[Fault] | None = None,
    ) -> None:
        """``faults`` take the place of the seed's own swarm."""
        self.settings = settings
        self._upgrade_key = upgrade_key
        self._trace = trace
        #: Is told of each message that arrives: from where, where, octets, instant (UTC, us).
        self.tap: Callable[[str, str, bytes, int], None] | None = None
        self.now_us = 0
        self._agenda = Agenda()
        self.houses: dict[str, House] = {}
        self.store = MemoryStore()
        self.template = template or fleet_template()
        self._calendar = Calendar(EPOCH_US)
        #: What the head-end is to be told once its commit is done.
        self._waiting: list[Callable[[], None]] = []
        self._key_chance = Random(f"{settings.seed}/keys")
        self.relays = relays_of(settings)
        for name, relay in self.relays.items():
            relay.arrived = partial(self._tap, name, TMS)
        self._make_houses()
        self.safety = Safety({esn: house.journal for esn, house in self.houses.items()})
        self.head_end = self._open_office()
        #: Polls of the head-ends that were cut off: each counts from its own start.
        self._earlier_polls = 0
        end_us = settings.days * DAY_US
        esns = list(self.houses)
        if faults is None:
            faults = swarm(settings.seed, esns, QUIET_US, end_us, settings.kinds)
        self.faults = list(faults)
        self._moments = deque(_moments(self.faults if settings.faults else []))
        self._await_fault()
        self._area_fault: AreaFault | None = None

    def _make_houses(self) -> None:
        settings = self.settings
        shipped = []
        for number in range(1, settings.meters + 1):
            plain = factory_of(number, settings.seed, "tcp:127.0.0.1:1")
            factory = replace(plain, upgrade_key=self._upgrade_key)
            chance = Random(f"{settings.seed}/{number}")
            journal = Journal()
            meter = MeterSettings(
                serial=factory.esn,
                seed=chance.randrange(1 << 30),
                master_password=MASTER,
                profile=settings.profile,
                interval_min=settings.interval_min,
                load_step_min=settings.load_step_min,
            )
            calendar = Calendar(EPOCH_US)
            device = SmartMeter(
                factory, meter, calendar, 0, on_interval=journal.record, direct=True
            )
            link = Link(settings.link, chance)
            relay = list(self.relays)[number % len(self.relays)] if self.relays else ""
            self.houses[factory.esn] = House(device, link, journal, relay=relay)
            device.bearer_up(factory.esn, 0)
            self._agenda.put(factory.esn, chance.randrange(QUIET_US // 2))
            shipped.append(Shipped(factory.esn, str(factory.title), factory.key, MODEL))
        self.store.write_now(lambda c: import_shipment(c, shipped, EPOCH_US // US_PER_S))

    def _open_office(self) -> HeadEnd:
        """Start a head-end on what the store holds; also after one was cut off."""
        self._waiting = []
        draw_key = partial(self._key_chance.randbytes, KEY_OCTETS)
        # A way that loses messages is one of datagrams, as UdpPath is.
        lossy = self.settings.link.loss_percent + self.settings.backhaul.loss_percent > 0
        shell = Shell(is_lossy=lambda path: lossy)
        head_end = HeadEnd(
            self.store, self._calendar, self.template, self._call_soon, draw_key, shell
        )
        head_end.on_stored = self._stored
        head_end.load(self.now_us)
        self._tick_us = self.now_us + TICK_US
        self._agenda.put(OFFICE, self._tick_us)
        return head_end

    def _call_soon(self, function: Callable[[], None]) -> None:
        self._waiting.append(function)

    def _stored(self, report: Stored) -> None:
        self.safety.stored(report, self.now_us)

    def capture_to(self, capture: Capture | None, run: int = 0, comment: str = "") -> None:
        """Put what arrives over the links into a capture, if there is one."""
        if capture is not None:
            self.tap = LinkCapture(capture, TMS, self.relays, self.houses, run, comment)

    def stop_recording(self) -> None:
        """Close the journals: what meters finish from now on does not count."""
        for house in self.houses.values():
            house.journal.close()

    @property
    def journals(self) -> dict[str, Journal]:
        """Give what each meter measured."""
        return {esn: house.journal for esn, house in self.houses.items()}

    @property
    def polls(self) -> int:
        """Give how many polls the head-end sent, before it was cut off too."""
        return self._earlier_polls + self.head_end.figures.polls

    @property
    def at_rest(self) -> bool:
        """Tell whether all has arrived, and on the usual links that no silence or outage is open.

        Over links that are never good somebody is always late.
        """
        usual = (self.settings.link, self.settings.backhaul) == (USUAL_LINK, USUAL_BACKHAUL)
        if usual:
            return settled(self.store, self.journals)
        expected, stored, _ = compare(self.store, self.journals)
        return expected == stored

    # The clock.

    def run(self, until_us: int) -> None:
        """Go on to an instant; Violation when a promise is broken."""
        while (entry := self._agenda.take(until_us)) is not None:
            due_us, actor = entry
            self.now_us = max(self.now_us, due_us)
            self._act(actor)
        self.now_us = max(self.now_us, until_us)

    def _act(self, actor: Hashable) -> None:
        if actor == OFFICE:
            self.head_end.expire(self.now_us)
            self._tick_us = self.now_us + TICK_US
        elif actor == FAULTS:
            self._strike()
        elif actor in self.relays:
            self.relays[str(actor)].expire(self.now_us)
            self._run_relay(str(actor))
        else:
            self._run_house(str(actor))
        self._settle_office()

    def _run_house(self, esn: str) -> None:
        """Let a SmartMeter do what is due; carry what it sends, and what has arrived for it."""
        house = self.houses[esn]
        house.device.expire(self.now_us)
        moved = True
        while moved:
            moved = False
            for _, octets in house.device.outgoing():
                house.octets += len(octets)
                house.link.put(octets, True, self.now_us)
            for outward, octets in house.link.arrived(self.now_us):
                moved = True
                self._note(esn, "to" if outward else "from", octets)
                self._tap(esn, house.relay or TMS, outward, octets)
                if outward and house.relay:
                    self.relays[house.relay].from_below(esn, octets, self.now_us)
                    self._run_relay(house.relay, esn)
                elif outward:
                    self.head_end.receive(esn, octets, self.now_us)
                else:
                    house.device.receive(esn, octets, self.now_us)
            self._settle_office(esn)
        self.safety.step(house.device.module, self.now_us)
        self._plan(esn)

    def _run_relay(self, name: str, current: str = "") -> None:
        """Let a relay send up and down; what comes out above is the head-end's."""
        relay = self.relays[name]
        down, above = relay.step(self.now_us)
        for path, octets in down:
            esn = str(path)
            self.houses[esn].link.put(octets, False, self.now_us)
            if esn != current:
                self._plan(esn)
        for octets in above:
            self.head_end.receive(name, octets, self.now_us)
        self._agenda.put(name, relay.deadline_us())

    def _plan(self, esn: str) -> None:
        house = self.houses[esn]
        self._agenda.put(esn, earliest(house.device.deadline_us(), house.link.deadline_us()))

    def _settle_office(self, current: str = "") -> None:
        """Let the head-end act on its commits, and put what it sends on the links."""
        while self._waiting:
            self._waiting.pop(0)()
        for path, octets in self.head_end.outgoing():
            esn = str(path)
            if esn in self.relays:
                self.relays[esn].from_above(octets, self.now_us)
                self._run_relay(esn, current)
                continue
            house = self.houses[esn]
            house.octets += len(octets)
            house.link.put(octets, False, self.now_us)
            if esn != current:
                self._plan(esn)
        self._agenda.put(OFFICE, earliest(self._tick_us, self.head_end.deadline_us()))

    def _tap(self, below: str, above: str, outward: bool, octets: bytes) -> None:
        if self.tap is not None:
            source, destination = (below, above) if outward else (above, below)
            self.tap(source, destination, octets, EPOCH_US + self.now_us)

    def _note(self, esn: str, what: str, octets: bytes = b"") -> None:
        digest = hashlib.sha256(octets).hexdigest()[:12] if octets else ""
        self._trace(f"{self.now_us} {esn} {what} {len(octets)} {digest}".rstrip())

    # Faults.

    def _await_fault(self) -> None:
        self._agenda.put(FAULTS, self._moments[0][0] if self._moments else None)

    def _strike(self) -> None:
        while self._moments and self._moments[0][0] <= self.now_us:
            _, begins, fault = self._moments.popleft()
            self._note(fault.esn or "fleet", f"{fault.kind} {'begins' if begins else 'ends'}")
            if fault.kind is Kind.HEAD_END:
                self._earlier_polls = self.polls
                self.head_end = self._open_office()
            elif fault.kind is Kind.AREA:
                self._strike_area(begins, fault)
            else:
                chance = Random(f"{self.settings.seed}/{fault.esn}/{fault.begin_us}")
                self.houses[fault.esn].strike(fault, begins, chance, self.now_us)
                self._run_house(fault.esn)
        self._await_fault()

    def _strike_area(self, begins: bool, fault: Fault) -> None:
        """Cut an area off, or mend it: the meters of one relay, or the whole street."""
        if self._area_fault is not None:
            self._area_fault.mend(self.now_us)
            self._area_fault = None
        if begins:
            links = {esn: house.link for esn, house in self.houses.items()}
            if self.relays:
                name = list(self.relays)[fault.amount % len(self.relays)]
                links = {name: self.relays[name].link}
            self._area_fault = Area(links).strike(lambda name: Partition())
        for esn in self.houses:
            self._run_house(esn)

    def topology(self) -> Topology:
        """Give who is linked with whom."""
        graph = Topology()
        graph.add(Place(TMS, "tms", HOST_TITLE))
        for name in self.relays:
            graph.chain([graph.places[TMS], Place(name, "relay")])
        for esn, house in self.houses.items():
            graph.add(Place(esn, "meter", str(house.device.module.parts.factory.title)))
            graph.link(Way(esn, house.relay or TMS))
        return graph


def _moments(faults: Sequence[Fault]) -> list[tuple[int, bool, Fault]]:
    """Give when each fault begins and, unless it is of an instant, ends; in their order."""
    moments = [(one.begin_us, True, one) for one in faults]
    moments += [(one.end_us, False, one) for one in faults if one.end_us > one.begin_us]
    return sorted(moments, key=lambda entry: (entry[0], entry[1], entry[2].kind, entry[2].esn))


def relays_of(settings: FleetSettings) -> dict[str, RelayNode]:
    """Make the relays of a fleet, each with its own link to the head-end."""
    found = {}
    for number in range(1, settings.relays + 1):
        title = ApTitle.parse(f"{RELAY_TITLES}.{number}")
        open_node = NodeSettings(clear_services=IN_CLEAR)
        node = Node(title, NoKeys(), Calendar(EPOCH_US), SecurityState(1), open_node)
        link = Link(settings.backhaul, Random(f"{settings.seed}/{title}"))
        found[f"relay {title}"] = RelayNode(Relay(node, None, UPSTREAM), link)
    return found


def run_fleet(
    settings: FleetSettings,
    trace: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], None] = lambda days: None,
    capture: Capture | None = None,
) -> Count:
    """Run a fleet to its end; FleetFailure when a promise is broken.

    ``progress`` takes the days gone by.
    """
    fleet = Fleet(settings, trace)
    fleet.capture_to(capture)
    return run_to_the_end(fleet, progress)


def run_to_the_end(
    fleet: Fleet,
    progress: Callable[[int], None] = lambda days: None,
) -> Count:
    """Run a fleet for its days, then without faults until everything has arrived.

    The count's seconds are those of the world, so that a seed gives the same count each time.
    """
    settings = fleet.settings
    try:
        for day in range(1, settings.days + 1):
            fleet.run(day * DAY_US)
            progress(day)
        fleet.stop_recording()
        end_us = fleet.now_us + DRAIN_US
        while fleet.now_us < end_us and not fleet.at_rest:
            fleet.run(fleet.now_us + HOUR_US)
    except Violation as violation:
        raise FleetFailure(settings, str(violation), _count(fleet)) from violation
    found = _count(fleet)
    if not fleet.at_rest or not found.sound:
        what = f"{DRAIN_US // HOUR_US} h after the last fault: {found.json()}"
        raise FleetFailure(settings, what, found)
    return found


def _count(fleet: Fleet) -> Count:
    return count(fleet.store, fleet.journals, fleet.polls, fleet.now_us / US_PER_S)
