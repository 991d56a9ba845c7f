"""Poll by exception against polling: the same meters, links and faults, once each way.

Polling is told as fairly as it can be: the head-end reads each meter in turn,
one after the other as over one line, with the same requests that it uses for
back-fill, one try each, and begins a round every quarter of an hour.  It never
asks for what it has.  An outage is known to it when a meter does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from protocols.transports.capture import Capture
from smartmeter.base.clock import US_PER_S
from smartmeter.network.link import LinkSettings
from smartmeter.simulation.fleet import EPOCH_US, Fleet, FleetSettings
from smartmeter.simulation.swarm import DAY_US, HOUR_US, Kind
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
    were not known while they lasted are ``outages_missed``.
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
        if self.head_end.look_after(esn, attempts=1) is not None:
            self._asked = esn
            self.head_end.expire(now_us)
        self._agenda.put(POLLER, now_us + STEP_US)


def measure(
    fleet: Fleet, mode: str, known: Callable[[Fleet, str, int, int], int | None]
) -> Figures:
    """Give the figures of a fleet that has run; ``known`` tells when an outage was known."""
    settings, store = fleet.settings, fleet.store
    ages = ages_of(fleet)
    stored = store.number("SELECT count(*) FROM intervals")
    expected = sum(len(house.journal) for house in fleet.houses.values())
    octets = sum(house.octets for house in fleet.houses.values())
    meter_days = settings.meters * settings.days
    delays: list[float] = []
    outages = [
        fault
        for fault in fleet.faults
        if fault.kind is Kind.MAINS and fault.end_us - fault.begin_us > SUSTAINED_US
    ]
    for fault in outages:
        begin_s, end_s = ((EPOCH_US + at) // US_PER_S for at in (fault.begin_us, fault.end_us))
        known_s = known(fleet, fault.esn, begin_s, end_s)
        if known_s is not None:
            delays.append(known_s - begin_s)
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


def told(fleet: Fleet, esn: str, begin_s: int, end_s: int) -> int | None:
    """Give when a last gasp told of an outage while it lasted."""
    sql = "SELECT told_s FROM outages WHERE esn=? AND abs(start_s - ?) <= ? AND told_s < ?"
    return fleet.store.number(sql, esn, begin_s, SAME_S, end_s) or None


def unanswered(fleet: Fleet, esn: str, begin_s: int, end_s: int) -> int | None:
    """Give when the first poll within an outage was given up."""
    sql = "SELECT min(ended_s) FROM jobs WHERE esn=? AND kind=? AND state='failed'"
    sql += " AND created_s BETWEEN ? AND ? AND ended_s < ?"
    return fleet.store.number(sql, esn, JobKind.RECOVER, begin_s, end_s, end_s) or None


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
    return measure(by_exception, MODES[0], told), measure(polled, MODES[1], unanswered)
