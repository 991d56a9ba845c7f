"""States of a SmartMeter as the TMS sees it, kinds of jobs, and running figures."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

US_PER_S = 1_000_000
#: Seconds over which arrivals are counted for the overview.
RATE_SECONDS = 600
#: The name in the place of a person's, for what the TMS does by itself.
SYSTEM = "system"
#: Why a meter that was asked is silent: nothing came, or nothing that would do.
NO_ANSWER = "does not answer"
NOTHING_GIVEN = "answers, but gave nothing"
#: Stands before the ESN of a retired meter whose title or address another one has: none looks so.
YIELDED = "none: "


class State(StrEnum):
    """Where a SmartMeter stands."""

    SHIPPED = "shipped"
    REGISTERED = "registered"
    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    OVERDUE = "overdue"
    SILENT = "silent"
    POWERLESS = "no power"
    FAILED = "not provisioned"
    #: A plain meter that the TMS polls, and that answers.
    POLLED = "polled"
    #: Taken out of service by a person.
    RETIRED = "retired"


class Kind(StrEnum):
    """Kinds of jobs."""

    PROVISION = "provision"
    RECOVER = "look after silence"
    CONTEXT = "ask for context"
    OUTAGES = "read outage log"
    EVENTS = "read event log"
    READ = "on-demand read"
    DEMAND_RESET = "demand reset"
    PING = "ping"
    UPGRADE = "upgrade"
    WITHDRAW = "withdraw upgrade"
    POLL = "poll"
    TRACE = "trace"
    KEY = "change key"


@dataclass
class Figures:
    """Counts since the start; ``arrivals`` holds reports by the second they came in."""

    reports: int = 0
    repeated: int = 0
    polls: int = 0
    #: Polls of plain meters on their schedules; ``polls`` counts those by exception only.
    scheduled_polls: int = 0
    #: Messages by which plain C12.22 nodes told tables.
    notifications: int = 0
    refused: int = 0
    arrivals: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RATE_SECONDS))

    def report(self, now_us: int, repeated: bool) -> None:
        """Count a report."""
        if repeated:
            self.repeated += 1
            return
        self.reports += 1
        second = now_us // US_PER_S
        if self.arrivals and self.arrivals[-1][0] == second:
            self.arrivals[-1] = (second, self.arrivals[-1][1] + 1)
        else:
            self.arrivals.append((second, 1))

    def per_minute(self, now_us: int) -> int:
        """Give the reports of the last minute."""
        since = now_us // US_PER_S - 60
        return sum(count for second, count in self.arrivals if second > since)
