"""The load profile of the reference model: blocks of intervals, as they must be read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansi_tables import Snapshot
from smartmeter.meter.profile import dial
from tests.smartmeter.meter.reference_lists import ReferenceList
from tests.smartmeter.meter.reference_world import Sources

OK, OVERFLOW, PARTIAL, LONG, SKIPPED, TEST, CHANGED, STOPPED = range(8)
DST, POWER, FORWARD, BACKWARD = 1, 2, 4, 8
RANGES = {1: (0, 255), 2: (0, 65535), 4: (0, 2**32 - 1), 8: (-127, 127)}
RANGES |= {16: (-32767, 32767), 32: (1 - 2**31, 2**31 - 1)}


@dataclass
class Block:
    """One block: its rows (values, common flags, codes), end, readings and pulses at its end."""

    rows: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = field(default_factory=list)
    end: datetime = datetime.min
    end_s: int = 0
    readings: list[int] = field(default_factory=list)
    pulses: list[int] = field(default_factory=list)


class ReferenceProfile:
    """One set.  ``energy`` gives the sums so far of all sources, ``seconds`` how long they ran."""

    def __init__(self, number: int, sources: Sources, tables: Snapshot) -> None:
        dims, control = tables[61], tables[62]
        self.number, self.sources = number, sources
        selected = control[f"LP_SEL_SET{number}"]
        ones = [1] * len(selected)
        self.channels = [one.LP_SOURCE_SELECT for one in selected]
        self.scalars = list(control.get(f"SCALARS_SET{number}", ones))
        self.divisors = list(control.get(f"DIVISOR_SET{number}", ones))
        self.ends = [
            one.END_BLK_RDG_SOURCE_SELECT
            if one.CHNL_FLAG.END_RDG_FLAG and one.END_BLK_RDG_SOURCE_SELECT != 255
            else None
            for one in selected
        ]
        flags = dims.LP_FLAGS
        self.own_pulses = bool(flags.get("BLK_END_RD_INDICATOR_FLAG"))
        self.length = 60 * dims[f"MAX_INT_TIME_SET{number}"]
        self.size = dims[f"NBR_BLK_INTS_SET{number}"]
        inhibit = bool(flags[f"LP_SET{number}_INHIBIT_OVF_FLAG"])
        self.blocks = ReferenceList(dims[f"NBR_BLKS_SET{number}"], inhibit)
        codes = {64: tables[0].FORMAT_CONTROL_3.NI_FORMAT1, 128: tables[0].FORMAT_CONTROL_3}
        code = control[f"INT_FMT_CDE{number}"]
        if code in RANGES:
            self.low, self.high = RANGES[code]
        else:
            most = dial(codes[64] if code == 64 else codes[128].NI_FORMAT2)
            self.low, self.high = 1 - most, most - 1
        self.rests = [0] * len(self.channels)
        self.pulses = [0] * len(self.channels)
        self.common = 0
        self.short = self.long = self.changed = False
        self.used = 0

    def mark(self, energy: list[int], seconds: int) -> None:
        """Let the flow of an interval begin here."""
        self.start, self.start_s = list(energy), seconds
        self.rests = [0] * len(self.channels)

    def inside(self, standard_s: int) -> bool:
        return standard_s % self.length != 0

    def close(self, world: "World", end_s: int) -> None:
        """End the running interval."""
        code = TEST if world.test else CHANGED if self.changed else OK
        code = LONG if self.long else PARTIAL if self.short else code
        fresh = not self.blocks.entries or self.used >= self.size
        if fresh and self.own_pulses:
            self.pulses = [0] * len(self.channels)
        values = []
        for at, source in enumerate(self.channels):
            before, after = self.start[source], world.energy[source]
            if self.sources.is_energy(source):
                new = self.sources.count(source, after) - self.sources.count(source, before)
                self.pulses[at] += new
                scaled = new * self.scalars[at] + self.rests[at]
                values.append(scaled // self.divisors[at])
                self.rests[at] = scaled % self.divisors[at]
            elif world.seconds == self.start_s:
                values.append(0)
            else:
                mean = self.sources.mean(source, after - before, world.seconds - self.start_s)
                values.append(mean * self.scalars[at] // self.divisors[at])
        self.record(world, end_s, values, code)
        self.common, self.short, self.long, self.changed = 0, False, False, False
        self.start, self.start_s = list(world.energy), world.seconds

    def record(self, world: "World", end_s: int, values: list[int], code: int) -> None:
        """Write an interval into the newest block, or a new one."""
        if not self.blocks.entries or self.used >= self.size:
            if not self.blocks.add(Block()):
                return
            self.used = 0
            if self.own_pulses and code in (SKIPPED, STOPPED):
                self.pulses = [0] * len(self.channels)
        stored = tuple(max(self.low, min(value, self.high)) for value in values)
        codes = tuple(code if a == b else OVERFLOW for a, b in zip(stored, values, strict=True))
        block = self.blocks.entries[-1]
        block.rows.append((stored, self.common | world.dst(), codes))
        block.end, block.end_s = world.shown(end_s), end_s
        block.readings = [0 if s is None else world.count(s) for s in self.ends]
        block.pulses = list(self.pulses)
        self.used += 1

    def skip(self, world: "World", end_s: int, code: int = SKIPPED) -> None:
        self.record(world, end_s, [0] * len(self.channels), code)

    def fill(self, world: "World", code: int = SKIPPED) -> None:
        """End the newest block early."""
        while self.blocks.entries and self.used < self.size:
            self.skip(world, self.blocks.entries[-1].end_s + self.length, code)

    def pass_over(self, world: "World", old: int, flag: int) -> None:
        """Go on later without a flow: after an outage, or a clock set forward."""
        self.common |= flag
        self.short = True
        end = old - (old + world.zone) % self.length + self.length
        if world.now < end:
            return
        if world.recording:
            self.close(world, end)
            last = world.now - (world.now + world.zone) % self.length
            kept = self.blocks.capacity * self.size
            oldest = end if self.blocks.inhibit else last - kept * self.length
            end = max(end + self.length, oldest)
            while end <= last:
                self.common = flag
                self.skip(world, end)
                end += self.length
        inside = self.inside(world.now + world.zone)
        self.common, self.short = (flag, True) if inside else (0, False)

    def move(self, world: "World", seconds: int) -> None:
        """Go on with boundaries elsewhere: a new zone is a clock that was set, for local time."""
        if seconds % self.length == 0:
            return
        flag = FORWARD if seconds > 0 else BACKWARD
        ran = (world.now + world.zone) % self.length
        if world.recording:
            if ran:
                self.common, self.short = self.common | flag, True
                self.close(world, world.now - ran + self.length)
            self.fill(world)
        inside = self.inside(world.now + world.zone + seconds)
        self.common, self.short = (flag, True) if inside else (0, False)

    def set_back(self, world: "World", old: int) -> None:
        self.common |= BACKWARD
        start = old - (old + world.zone) % self.length
        if world.now >= start:
            self.long = True
            return
        if world.recording:
            self.short = True
            self.close(world, start + self.length)
            self.common = BACKWARD
            self.fill(world)
        inside = self.inside(world.now + world.zone)
        self.common, self.short = (BACKWARD, True) if inside else (0, False)


@dataclass
class World:
    """What the sets are told of the meter around them."""

    energy: list[int]
    count: Callable[[int], int]
    shown: Callable[[int], datetime]
    dst: Callable[[], int]
    now: int = 0
    zone: int = 0
    seconds: int = 0
    recording: bool = True
    test: bool = False

    def sets(self, sources: Sources, tables: Any) -> list[ReferenceProfile]:
        """Give the sets of a device with nothing recorded, beginning now."""
        found = [
            ReferenceProfile(n, sources, tables)
            for n in (1, 2, 3, 4)
            if 63 + n in tables[0].STD_TBLS_USED
        ]
        for one in found:
            one.mark(self.energy, self.seconds)
            one.short = one.inside(self.now + self.zone)
        return found
