"""The network goes away for thirteen hours and comes back: nothing is lost, nothing doubled.

A SmartMeter with a cheap bearer and a dear one, in virtual time; what the TMS
has is compared with the meter's own journal.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from ansi_tables.ssi_tables import SsiTable
from smartmeter.base.clock import US_PER_S
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.failover import Failover
from smartmeter.comms.way import Carries
from smartmeter.network.link import Link, LinkSettings
from tests.smartmeter.ssi.host import OUTAGE, Street, schedule, schedules

HOUR_S = 3600
CHEAP = BearerSettings("cheap", "tcp:a:1", cost=1)
DEAR = BearerSettings("dear", "sms:a", cost=9, carries=Carries.URGENT, max_apdu_octets=1024)


class Connected(Street):
    """A street whose SmartMeter has bearers; ``works`` tells which of them the network carries.

    A network that goes leaves connections open that carry nothing, or ends them, by chance.
    """

    def __init__(
        self,
        seed: int,
        standing_by: tuple[str, ...] = (),
        bearers: Sequence[BearerSettings] = (CHEAP, DEAR),
    ) -> None:
        super().__init__()
        self.device.bearer_down("link", 0)
        self.chance = Random(seed)
        self.failover = Failover(bearers, standing_by)
        self.settings = {one.name: one for one in bearers}
        self.links = {name: Link(LinkSettings(), self.chance) for name in self.settings}
        self.works = dict.fromkeys(self.settings, True)
        self.live: set[str] = set()
        self.opening: list[str] = []
        self.again_us: int | None = 0
        self.sent: list[tuple[str, int, int]] = []

    def network(self, name: str, works: bool) -> None:
        self.works[name] = works
        if not works and name in self.live and self.chance.random() < 0.5:
            self._end(name)

    def _end(self, name: str) -> None:
        now_us = self.world.now_us
        self.live.discard(name)
        self.failover.ended(name, now_us)
        self.device.bearer_down(name, now_us)

    def _plan(self, now_us: int) -> None:
        for path in self.device.doubted():
            name = str(path)
            if name in self.live:
                self.failover.doubted(name, now_us)
                self._end(name)
        lengths = self.failover.lengths(self.device.longest)
        plan = self.failover.plan(self.device.need(now_us), now_us, lengths)
        self.again_us = plan.again_us
        for name in plan.close:
            self.live.discard(name)
            self.failover.closed(name)
            self.device.bearer_down(name, now_us)
        for name in plan.open:
            if self.works[name]:
                self.live.add(name)
                self.failover.up(name)
                self.device.bearer_up(name, now_us, self.settings[name].way)
            else:
                self.failover.failed(name, "no network", now_us)
                self.again_us = now_us + 1

    def expire(self, now_us: int) -> None:
        super().expire(now_us)
        self._plan(now_us)

    def deadline_us(self) -> int | None:
        dues = [super().deadline_us(), *(link.deadline_us() for link in self.links.values())]
        return min((due for due in [*dues, self.again_us] if due is not None), default=None)

    def settle(self, now_us: int) -> bool:
        self._plan(now_us)
        for path, octets in self.device.outgoing():
            name = str(path)
            self.sent.append((name, now_us, len(octets)))
            if name in self.live and self.works[name]:
                self.links[name].put(octets, True, now_us)
        for path, octets in self.host.node.outgoing():
            if str(path) in self.live and self.works[str(path)]:
                self.links[str(path)].put(octets, False, now_us)
        moved = False
        for name, link in self.links.items():
            for outward, octets in link.arrived(now_us):
                moved = True
                if not self.works[name]:
                    continue
                if outward:
                    self.host.node.receive(name, octets, now_us)
                else:
                    self.failover.heard(name)
                    self.device.receive(name, octets, now_us)
        self.host.drain(now_us)
        return moved

    def ask(self, *services: bytes) -> list[bytes]:
        from tests.smartmeter.ssi.host import FACTORY

        number = self.host.node.request(
            services, FACTORY.title, "cheap", self.world.now_us, key_id=0
        )
        self.world.run(self.world.now_us + 60 * US_PER_S, lambda: number in self.host.answers)
        answer = self.host.answers[number]
        assert not isinstance(answer, str), answer
        return list(answer)

    def outage(self) -> None:
        """A power cut that is long enough to be told of."""
        self.device.mains(False, self.world.now_us)
        self.run(45)
        self.device.mains(True, self.world.now_us)
        self.run(15)

    def urgent_waits(self) -> bool:
        return self.device.module.parts.outbox.first(only_urgent=True) is not None


def provisioned(seed: int, standing_by: tuple[str, ...] = ()) -> Connected:
    street = Connected(seed, standing_by)
    street.run(120)
    assert street.host.registrations == 1
    answers = street.provision(
        SCHEDULES=schedules(schedule(CATCH_UP=1)), OUTAGE=OUTAGE | {"ENABLED": 1}
    )
    assert all(answer[0] == 0 for answer in answers)
    street.run(HOUR_S)
    return street


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.night) for seed in range(2, 22))]
)
def test_thirteen_hours_without_a_network_lose_nothing_and_alarms_take_the_dear_way(
    seed: int,
) -> None:
    street = provisioned(seed)
    gone_us = street.world.now_us
    street.network("cheap", False)
    street.run(2 * HOUR_S)
    assert not [one for one in street.sent if one[0] == "dear"], "the load profile waits"
    street.outage()
    street.run(300)
    assert not street.urgent_waits(), "an alarm takes the dear way within minutes"
    dear = [one for one in street.sent if one[0] == "dear"]
    assert dear and all(octets <= DEAR.max_apdu_octets for _, _, octets in dear)
    street.network("dear", False)
    street.outage()
    street.run(3 * HOUR_S)
    assert street.urgent_waits(), "nobody is there"
    street.network("dear", True)
    street.run(1200)
    assert not street.urgent_waits()
    street.run(13 * HOUR_S - (street.world.now_us - gone_us) / US_PER_S)
    before = len(street.host.intervals())
    street.network("cheap", True)
    street.run(2 * HOUR_S)
    # All that the meter finished is there once, and as the meter measured it.
    got = {sequence: values for sequence, _, values in street.host.intervals()}
    assert len(street.host.intervals()) == len(got) > before
    wanted = {one.sequence: list(one.values) for one in street.journal}
    missing = sorted(set(wanted) - set(got))
    assert not missing or (missing == sorted(wanted)[-len(missing) :] and len(missing) <= 1)
    assert all(got[sequence] == wanted[sequence] for sequence in got)
    assert street.failover.status(street.world.now_us)[0]["works"]
    assert street.live == {"cheap"}, "the dear one is closed again"


def test_what_is_too_long_for_the_cheap_way_goes_by_a_dearer_one_that_is_opened_for_it() -> None:
    wide = BearerSettings("wide", "tcp:b:1", cost=5)
    street = Connected(1, bearers=(replace(CHEAP, max_apdu_octets=300), wide))
    street.run(120)
    street.provision(SCHEDULES=schedules(schedule(PERIOD_MIN=60)))
    street.run(HOUR_S)
    assert len(street.device.module.parts.outbox) == 0, "the meter's context is a long report"
    used = {name for name, _, octets in street.sent if octets > 300}
    assert used == {"wide"}
    before = len(street.sent)
    street.run(2 * HOUR_S)
    assert {name for name, _, _ in street.sent[before:]} == {"cheap"}
    assert street.live == {"cheap"}


def test_a_last_gasp_takes_each_bearer_in_turn_as_the_mains_may_have_fed_the_way() -> None:
    street = provisioned(1, standing_by=("dear",))
    assert street.live == {"cheap", "dear"}
    before = len(street.sent)
    street.works["cheap"] = False  # the router is dead with the mains, and nobody says so
    street.device.mains(False, street.world.now_us)
    street.run(50)
    ways = [name for name, _, _ in street.sent[before:]]
    assert ways[:2] == ["cheap", "dear"], ways
    gasps = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert gasps and gasps[0]["RESTORED"] == 0, "it has arrived while the power is away"
