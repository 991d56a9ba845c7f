"""The current registers (ST-23): summations, demands and coincident values, in total and by tier.

When they are reset, read and kept is :mod:`smartmeter.meter.billing`'s.  A source's whole
counts are credited to the total and to the tier in force, one by one: the sum over the
tiers equals the total, always, in what is shown.  Registers start again from zero at the
power of ten that their format holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smartmeter.meter.clock import Clock
from smartmeter.meter.program import Program

#: One occurrence of a demand: value, the clock's stamp, and the coincident values captured with it.
Occurrence = tuple[int, int, list[int]]


@dataclass
class Demand:
    """One demand register: its best occurrences, and the sum of the maxima at resets."""

    cumulative: int = 0
    best: list[Occurrence] = field(default_factory=list)


@dataclass
class Block:
    """The registers of all tiers together, or of one."""

    summations: list[int]
    demands: list[Demand]

    @classmethod
    def new(cls, program: Program) -> Block:
        """Give a block of zeros."""
        return cls([0] * len(program.summations), [Demand() for _ in program.demands])


class Registers:
    """The current registers, and which counts of the sources they already hold."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.resets = 0
        self.blocks = [Block.new(program) for _ in range(1 + program.tiers)]
        #: Counts of each summation's source that are in the registers.
        self._credited = [0] * len(program.summations)

    def use(self, program: Program) -> None:
        """Take a program with the same registers."""
        self._program = program

    # Running.

    def credited_from(self, counts: Sequence[int]) -> None:
        """Begin with these counts as already taken: the registers stand at zero."""
        self._credited = list(counts)

    def _counting(self, tier: int) -> list[Block]:
        """Give the blocks that count now: the total, and that of the tier if there is one."""
        return [self.blocks[0], *self.blocks[1 + tier : 2 + tier]]

    def credit(self, counts: Sequence[int], tier: int) -> None:
        """Take new whole counts of the summations' sources into the total and a tier."""
        for at, count in enumerate(counts):
            new = count - self._credited[at]
            if new:
                self._credited[at] = count
                for block in self._counting(tier):
                    block.summations[at] += new

    def demand_ended(
        self, index: int, value: int, stamp: int, tier: int, coincident: list[int]
    ) -> None:
        """Take a new demand into the total and a tier, if it is among the best there."""
        maximum = index in self._program.maximum
        for block in self._counting(tier):
            best = block.demands[index].best
            _insert(best, (value, stamp, coincident), maximum)
            del best[self._program.occurrences :]

    def reset_demand(self) -> None:
        """Add the maxima to the cumulative demands, count, start anew."""
        self.resets = (self.resets + 1) % 256
        for block in self.blocks:
            for index, demand in enumerate(block.demands):
                if demand.best and index in self._program.maximum:
                    demand.cumulative += demand.best[0][0]
                demand.best = []

    # Showing.

    def table(self, clock: Clock) -> dict[str, Any]:
        """Give ST-23."""
        shown = [self._block(block, clock) for block in self.blocks]
        return {
            "NBR_DEMAND_RESETS": self.resets,
            "TOT_DATA_BLOCK": shown[0],
            "TIER_DATA_BLOCK": shown[1:],
        }

    def _block(self, block: Block, clock: Clock) -> dict[str, Any]:
        program = self._program
        demands = []
        for index, demand in enumerate(block.demands):
            filled = [*demand.best, *[_NEVER] * program.occurrences][: program.occurrences]
            running = filled[0][0] if demand.best and index in program.maximum else 0
            demands.append(
                {
                    "EVENT_TIME": [clock.moment(stamp) for _, stamp, _ in filled],
                    "CUM_DEMAND": wrapped(demand.cumulative, program.dial1),
                    "CONT_CUM_DEMAND": wrapped(demand.cumulative + running, program.dial1),
                    "DEMAND": [clamped(value, program.dial2) for value, _, _ in filled],
                }
            )
        coincidents = []
        for at, associated in enumerate(program.associated):
            best = block.demands[associated].best
            values = [clamped(captured[at], program.dial2) for _, _, captured in best]
            values += [0] * (program.occurrences - len(values))
            coincidents.append({"COINCIDENT_VALUES": values})
        return {
            "SUMMATIONS": [wrapped(count, program.dial1) for count in block.summations],
            "DEMANDS": demands,
            "COINCIDENTS": coincidents,
        }

    # Memory.

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        return {
            "resets": self.resets,
            "credited": self._credited,
            "blocks": [
                [block.summations, [[d.cumulative, d.best] for d in block.demands]]
                for block in self.blocks
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state back."""
        self.resets, self._credited = state["resets"], state["credited"]
        self.blocks = [
            Block(
                summations,
                [
                    Demand(cumulative, [(value, stamp, got) for value, stamp, got in best])
                    for cumulative, best in demands
                ],
            )
            for summations, demands in state["blocks"]
        ]


_NEVER: Occurrence = (0, 0, [])


def _insert(best: list[Occurrence], new: Occurrence, maximum: bool) -> None:
    """Put a demand in its place among the best; an equal one that was there stays before it."""
    at = 0
    while at < len(best) and (best[at][0] >= new[0] if maximum else best[at][0] <= new[0]):
        at += 1
    best.insert(at, new)


def wrapped(count: int, dial: int) -> int:
    """Give a count as a dial shows it; a negative one runs down from zero."""
    return count % dial if count >= 0 else -(-count % dial)


def clamped(value: int, dial: int) -> int:
    """Give a value that does not turn over, at most what the format holds."""
    return max(-(dial - 1), min(value, dial - 1))
