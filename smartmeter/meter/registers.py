"""Energy and demand: exact integers, kept through power failure, demand reset and self-read.

Energy is accumulated in watt-microseconds, so that nothing is rounded away; a
register shows the whole watt-hours in it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from smartmeter.meter.household import Load
from smartmeter.meter.profile import SELF_READS

#: Watt-microseconds in a watt-hour.
WUS_PER_WH = 3_600_000_000
#: INT48 and INT32 of ST-00's number formats, and UINT8 of the reset counter.
SUMMATION_LIMIT = 1 << 47
DEMAND_LIMIT_W = (1 << 31) - 1


@dataclass
class Reading:
    """The registers at one instant, as ST-23 shows them; energies in Wh and varh."""

    resets: int
    summations: list[int]
    demand_w: int
    demand_utc_s: int
    cumulative_w: int


@dataclass
class SelfRead:
    """One entry of ST-26."""

    sequence: int
    utc_s: int
    reading: Reading


@dataclass
class Registers:
    """Totals (W delivered, W received, var delivered, var received), and the demand.

    Demand is block demand: the average power delivered over an interval.
    """

    totals_wus: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    block_wus: int = 0
    resets: int = 0
    max_demand_w: int = 0
    max_demand_utc_s: int = 0
    cumulative_w: int = 0
    last_demand_w: int = 0
    previous: Reading | None = None
    previous_utc_s: int = 0
    self_reads: list[SelfRead] = field(default_factory=list)
    self_read_sequence: int = 0

    def add(self, load: Load, span_us: int) -> None:
        """Let a load flow for so many microseconds."""
        for at, flow in ((0, load.power_w), (2, load.reactive_var)):
            self.totals_wus[at + (flow < 0)] += abs(flow) * span_us
        self.block_wus += max(0, load.power_w) * span_us

    def end_demand_interval(self, length_us: int, utc_s: int) -> None:
        """Close a demand block: its average may be the new maximum."""
        self.last_demand_w = min(self.block_wus // length_us, DEMAND_LIMIT_W)
        self.block_wus = 0
        if self.last_demand_w > self.max_demand_w:
            self.max_demand_w, self.max_demand_utc_s = self.last_demand_w, utc_s

    def reading(self) -> Reading:
        """Give the registers now."""
        return Reading(
            self.resets,
            [total // WUS_PER_WH % SUMMATION_LIMIT for total in self.totals_wus],
            self.max_demand_w,
            self.max_demand_utc_s,
            self.cumulative_w,
        )

    def reset_demand(self, utc_s: int) -> None:
        """Keep the registers for ST-25, count, add the maximum to the cumulative, start anew."""
        self.previous, self.previous_utc_s = self.reading(), utc_s
        self.resets = (self.resets + 1) % 256
        self.cumulative_w += self.max_demand_w
        self.max_demand_w = self.max_demand_utc_s = 0

    def read_self(self, utc_s: int) -> None:
        """Add an entry to ST-26; the oldest gives way."""
        self.self_read_sequence = (self.self_read_sequence + 1) % 65536
        self.self_reads.append(SelfRead(self.self_read_sequence, utc_s, self.reading()))
        del self.self_reads[:-SELF_READS]

    def clear(self) -> None:
        """Forget collected data (procedure 3); the running totals are data too."""
        self.__init__()  # type: ignore[misc]

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Registers:
        """Give the registers back."""
        previous = Reading(**state["previous"]) if state["previous"] else None
        reads = [
            SelfRead(entry["sequence"], entry["utc_s"], Reading(**entry["reading"]))
            for entry in state["self_reads"]
        ]
        return cls(**{**state, "previous": previous, "self_reads": reads})
