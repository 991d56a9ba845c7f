"""Poll by exception against polling: the same meters, links and faults, once each way.

Polling is told as fairly as it can be: the head-end reads each meter in turn,
one after the other as over one line, with the same requests that it uses for
back-fill, three tries each, and begins a round every quarter of an hour.  It never
asks for what it has.  An outage is known to it when a meter does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from protocols.transports.capture import Capture
from smartmeter.base.clock import US_PER_S
from smartmeter.network.link import LinkSettings
from smartmeter.simulation.fleet import EPOCH_US, Fleet, FleetSettings
from smartmeter.simulation.swarm import DAY_US, HOUR_US, Fault, Kind
from smartmeter.tms.jobs import FAILED, MAX_ATTEMPTS
from smartmeter.tms.model import Kind as JobKind
from smartmeter.tms.template import Template, make_template

ROUND_US = 900 * US_PER_S
#: The poller looks whether its job has ended so often.
STEP_US = US_PER_S // 4
#: Shorter losses of mains are momentary, and nobody's business (the default threshold).
SUSTAINED_US = 30 * US_PER_S
SAME_S = 120
FAULTS = (Kind.MAINS, Kind.NETWORK)
POLLER = "poller"
MODES = ("exception", "polling")


@dataclass(frozen=True)
class Figures:
    """What one way of reading came to.  Times in seconds, ages from an interval's end.

    An interval that never came counts with its age when the run ended: who leaves
    out what is hard to get shall not look fresher for it.
    ``line_s`` is for how long one line of the rate would be busy; outages that
    were not known while they lasted are ``outages_missed``, and what was taken for
    one while the meter had its mains are ``false_alarms``.
    """

    mode: str
    rate_bps: int
    loss_percent: int
    intervals_per_hour: float
    age_median_s: float
    age_p95_s: float
    octets_per_meter_day: int
    line_s_per_meter_day: float
    outages: int
    outages_missed: int
    outage_known_median_s: float | None
    false_alarms: int
    complete_percent: float

    def value(self) -> dict[str, Any]:
        """Give the figures as a plain object."""
        return asdict(self)


def silent_template() -> Template:
    """Give a provisioning under which a SmartMeter says nothing by itself."""
    quiet = {"ENABLED": 0, "SAG_PERMILLE": 0, "SWELL_PERMILLE": 0}
    general = {"STATUS_PERIOD_MS": 0, "REGISTRATION_PERIOD_S": 86_400}
    return make_template({"schedules": [], "outage": quiet, "general": general})


class PolledFleet(Fleet):
    """A fleet that says nothing by itself, and a head-end that asks one after the other."""

    def __init__(self, settings: FleetSettings) -> None:
        super().__init__(settings, template=silent_template())
        self._turn = list(self.houses)
        self._at = 0
        self._asked = ""
        self._round_us = ROUND_US
        self._agenda.put(POLLER, ROUND_US)

    def _act(self, actor: Any) -> None:
        if actor == POLLER:
            self._poll()
            self._settle_office()
        else:
            super()._act(actor)

    def _poll(self) -> None:
        """Ask the next meter, if the one before has answered or was given up."""
        now_us = self.now_us
        if self._asked and self.head_end.jobs.has(self._asked, JobKind.RECOVER):
            self._agenda.put(POLLER, now_us + STEP_US)
            return
        self._asked = ""
        if self._at == len(self._turn):
            self._at = 0
            self._round_us = max(self._round_us + ROUND_US, now_us)
            self._agenda.put(POLLER, max(now_us + STEP_US, self._round_us))
            return
        esn = self._turn[self._at]
        self._at += 1
        if self.head_end.orders.look_after(esn, attempts=MAX_ATTEMPTS) is not None:
            self._asked = esn
            self.head_end.expire(now_us)
        self._agenda.put(POLLER, now_us + STEP_US)


@dataclass(frozen=True)
class Claim:
    """That a SmartMeter has no mains, since when as far as the head-end knows, and when it knew."""

    esn: str
    since_s: int
    known_s: int

    def is_of(self, fault: Fault) -> bool:
        """Tell whether it is of this loss of mains, which nobody can know before it begins."""
        begin_s, end_s = _span_s(fault)
        is_then = begin_s - SAME_S <= self.since_s <= end_s + SAME_S
        return fault.esn == self.esn and is_then and self.known_s >= begin_s


def _span_s(fault: Fault) -> tuple[int, int]:
    return (EPOCH_US + fault.begin_us) // US_PER_S, (EPOCH_US + fault.end_us) // US_PER_S


def measure(fleet: Fleet, mode: str, claims: Sequence[Claim]) -> Figures:
    """Give the figures of a fleet that has run; ``claims`` are what it took for outages."""
    settings, store = fleet.settings, fleet.store
    ages = ages_of(fleet)
    stored = store.number("SELECT count(*) FROM intervals")
    expected = sum(len(house.journal) for house in fleet.houses.values())
    octets = sum(house.octets for house in fleet.houses.values())
    meter_days = settings.meters * settings.days
    losses = [fault for fault in fleet.faults if fault.kind is Kind.MAINS]
    outages = [one for one in losses if one.end_us - one.begin_us > SUSTAINED_US]
    delays: list[float] = []
    for fault in outages:
        begin_s, end_s = _span_s(fault)
        known = [one.known_s for one in claims if one.is_of(fault) and one.known_s < end_s]
        delays += [min(known) - begin_s] if known else []
    rate_bps = settings.link.rate_bps
    return Figures(
        mode=mode,
        rate_bps=rate_bps,
        loss_percent=settings.link.loss_percent,
        intervals_per_hour=round(stored * HOUR_US / fleet.now_us, 1),
        age_median_s=float(median(ages)) if ages else 0.0,
        age_p95_s=float(ages[int(0.95 * (len(ages) - 1))]) if ages else 0.0,
        octets_per_meter_day=octets // meter_days,
        line_s_per_meter_day=round(octets * 8 / rate_bps / meter_days, 1) if rate_bps else 0.0,
        outages=len(outages),
        outages_missed=len(outages) - len(delays),
        outage_known_median_s=float(median(delays)) if delays else None,
        false_alarms=sum(not any(map(one.is_of, losses)) for one in claims),
        complete_percent=round(100 * stored / max(1, expected), 2),
    )


def ages_of(fleet: Fleet) -> list[int]:
    """Give the age of each interval that was measured, when it came or at the end, in order."""
    sql = "SELECT esn, sequence, received_s FROM intervals"
    came = {(row["esn"], row["sequence"]): row["received_s"] for row in fleet.store.read(sql)}
    end_s = (EPOCH_US + fleet.now_us) // US_PER_S
    return sorted(
        came.get((esn, sequence), end_s) - interval.end_utc_s
        for esn, journal in fleet.journals.items()
        for sequence, interval in journal.items()
    )


def told(fleet: Fleet) -> list[Claim]:
    """Give the outages that SmartMeters told of."""
    rows = fleet.store.read("SELECT esn, start_s, told_s FROM outages")
    return [Claim(row["esn"], row["start_s"], row["told_s"]) for row in rows]


def unanswered(fleet: Fleet) -> list[Claim]:
    """Give the first poll of each row of polls that were given up: before it the meter answered.

    What was never heard has not gone: meters that are yet to come alive are no claim.
    """
    sql = "SELECT esn, state, ended_s FROM jobs WHERE kind=? AND ended_s > 0 ORDER BY esn, id"
    found: list[Claim] = []
    answers: dict[str, bool] = {}
    for row in fleet.store.read(sql, JobKind.RECOVER):
        failed = row["state"] == FAILED
        if failed and answers.get(row["esn"]):
            found.append(Claim(row["esn"], row["ended_s"], row["ended_s"]))
        answers[row["esn"]] = not failed
    return found


def compare(
    meters: int,
    days: int,
    seed: int,
    link: LinkSettings,
    capture: Capture | None = None,
    case: int = 0,
) -> tuple[Figures, Figures]:
    """Run both ways over the same links and faults: poll by exception, then polling.

    In a capture the meters of each ``case`` and way have addresses and a comment of their own.
    """
    settings = FleetSettings(meters, days, seed, kinds=FAULTS, link=link)
    by_exception, polled = Fleet(settings), PolledFleet(settings)
    for way, fleet in enumerate((by_exception, polled)):
        words = f"{MODES[way]}, {link.rate_bps} bit/s, {link.loss_percent} % lost"
        fleet.capture_to(capture, 2 * case + way, words)
        fleet.run(days * DAY_US)
    return (
        measure(by_exception, MODES[0], told(by_exception)),
        measure(polled, MODES[1], unanswered(polled)),
    )
