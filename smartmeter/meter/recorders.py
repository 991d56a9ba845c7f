"""All load-profile sets of a meter: how intervals end, what outages and clock sets do to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from smartmeter.base.clock import US_PER_S
from smartmeter.meter.clock import Clock
from smartmeter.meter.load_profile import (
    CLOCK_BACKWARD,
    CLOCK_FORWARD,
    POWER_FAILED,
    SKIPPED,
    STOPPED,
    Interval,
    Recorder,
)
from smartmeter.meter.profile import DeviceProfile, ListStyle
from smartmeter.meter.program import Program

#: Exact totals of the sources, by number.
Totals = Mapping[int, int]


class Recorders:
    """The sets that the program has.

    ``on_interval`` hears of each finished interval of the first; ``totals_now`` gives the exact
    totals of the sources, and whether this is test mode.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        clock: Clock,
        on_interval: Callable[[Interval], None],
        totals_now: Callable[[], tuple[Totals, bool]],
    ) -> None:
        self._profile, self._clock = profile, clock
        self._on_interval, self._totals_now = on_interval, totals_now
        self._sets: list[Recorder] = []
        self.recording = True

    def __iter__(self) -> Iterator[Recorder]:
        """Go through the sets."""
        return iter(self._sets)

    def begin(self, program: Program, utc_us: int) -> None:
        """Begin the sets of a program with nothing recorded."""
        styles, plain = self._profile.lists, ListStyle()
        self._sets = [
            Recorder(
                program,
                at,
                self._clock,
                styles.get(f"profile{one.number}", plain),
                styles.get(f"intervals{one.number}", plain).descending,
            )
            for at, one in enumerate(program.sets)
        ]
        for recorder in self._sets:
            recorder.changed = set(range(recorder.set.blocks))
        self._mark_all({**dict.fromkeys(program.measured, 0), **self._totals_now()[0]}, utc_us)

    def _mark_all(self, totals: Totals, utc_us: int) -> None:
        for recorder in self._sets:
            recorder.mark(totals)
            recorder.short = self._inside(recorder, utc_us)

    def use(self, program: Program) -> None:
        """Take a program with the same sets."""
        for at, recorder in enumerate(self._sets):
            recorder.set = program.sets[at]
            recorder.reprogrammed = program.formats.std_version_no > 1

    def _inside(self, recorder: Recorder, utc_us: int) -> bool:
        return self._clock.after_boundary_us(recorder.length_s, utc_us) != 0

    def measured(self, span_us: int) -> None:
        """Flow was seen for so long."""
        for recorder in self._sets:
            recorder.measured_us += span_us

    def minute_ended(self, local_minute: int, utc_s: int) -> None:
        """End the intervals that end with this minute of the local standard time."""
        totals, test = self._totals_now()
        for recorder in self._sets:
            if local_minute % recorder.set.length_min:
                continue
            if self.recording:
                self._tell(recorder, [recorder.end(utc_s, totals, test)])
            else:
                recorder.mark(totals)
                recorder.plain()

    def _tell(self, recorder: Recorder, intervals: Sequence[Interval | None]) -> None:
        if recorder is self._sets[0]:
            for interval in intervals:
                if interval is not None:
                    self._on_interval(interval)

    def record(self, on: bool, utc_us: int, edition: int) -> None:
        """Start or stop recording in all sets (procedures 16 and 17)."""
        if on == self.recording:
            return
        self.recording, (totals, _) = on, self._totals_now()
        code = STOPPED if edition > 1 else SKIPPED
        for recorder in self._sets if on else ():
            self._tell(recorder, recorder.fill_block(totals, code))
        self._mark_all(totals, utc_us)

    def power_returned(self, old_us: int, new_us: int) -> None:
        """Record the intervals of an outage as skipped; nothing flowed."""
        for recorder in self._sets:
            self._skip(recorder, old_us, new_us, POWER_FAILED)

    def clock_set(self, old_us: int, new_us: int) -> None:
        """Go on at another time: skipped, partial and long intervals, and their flags."""
        for recorder in self._sets:
            if new_us >= old_us:
                self._skip(recorder, old_us, new_us, CLOCK_FORWARD)
            else:
                self._set_back(recorder, old_us, new_us)

    def _skip(self, recorder: Recorder, old_us: int, new_us: int, flag: int) -> None:
        """End the running interval, and record those up to ``new_us`` as skipped."""
        totals, test = self._totals_now()
        length_us = recorder.length_s * US_PER_S
        recorder.common |= flag
        recorder.short = True
        end_us = old_us + length_us - self._clock.after_boundary_us(recorder.length_s, old_us)
        if new_us < end_us:
            return
        if self.recording:
            told = [recorder.end(end_us // US_PER_S, totals, test)]
            last_us = new_us - self._clock.after_boundary_us(recorder.length_s, new_us)
            first_us = end_us + length_us
            if not recorder.set.inhibit:  # what would be lost again is not recorded
                fits = recorder.set.blocks * recorder.set.intervals
                first_us = max(first_us, last_us - fits * length_us)
            for skipped_us in range(first_us, last_us + 1, length_us):
                recorder.common = flag
                told.append(recorder.skip(skipped_us // US_PER_S, totals))
                if told[-1] is None:
                    break  # nor may be the others
            self._tell(recorder, told)
        inside = self._inside(recorder, new_us)
        recorder.common, recorder.short = (flag, True) if inside else (0, False)

    def _set_back(self, recorder: Recorder, old_us: int, new_us: int) -> None:
        """Set back within the running interval, it is long; further back, the block ends."""
        totals, test = self._totals_now()
        recorder.common |= CLOCK_BACKWARD
        start_us = old_us - self._clock.after_boundary_us(recorder.length_s, old_us)
        if new_us >= start_us:
            recorder.long = True
            return
        if self.recording:
            recorder.short = True
            end_s = start_us // US_PER_S + recorder.length_s
            ended = recorder.end(end_s, totals, test)
            recorder.common = CLOCK_BACKWARD
            self._tell(recorder, [ended, *recorder.fill_block(totals)])
        inside = self._inside(recorder, new_us)
        recorder.common, recorder.short = CLOCK_BACKWARD if inside else 0, inside

    def zone_moved(self, moved_s: int, utc_us: int) -> None:
        """End the blocks whose boundaries a new zone moves, before the clock takes it.

        For local time, in which they lie, it is a clock that was set: the running
        interval is partial, and times in the block count back as before.
        """
        totals, test = self._totals_now()
        flag = CLOCK_FORWARD if moved_s > 0 else CLOCK_BACKWARD
        for recorder in self._sets:
            length_us = recorder.length_s * US_PER_S
            if not moved_s % recorder.length_s:
                continue
            after_us = self._clock.after_boundary_us(recorder.length_s, utc_us)
            if self.recording:
                ended = []
                if after_us:
                    recorder.common, recorder.short = recorder.common | flag, True
                    end_s = (utc_us - after_us + length_us) // US_PER_S
                    ended.append(recorder.end(end_s, totals, test))
                self._tell(recorder, [*ended, *recorder.fill_block(totals)])
            inside = (after_us + moved_s * US_PER_S) % length_us != 0
            recorder.common, recorder.short = flag if inside else 0, inside

    def clear(self, utc_us: int) -> None:
        """Empty all rings (procedure 3)."""
        for recorder in self._sets:
            recorder.clear()
            recorder.plain()
            for gauge in recorder.gauges:
                gauge.pulses = 0
        self._mark_all(self._totals_now()[0], utc_us)

    def to_json(self) -> list[Any]:
        """Give the state without the blocks for non-volatile memory."""
        return [self.recording, [recorder.to_json() for recorder in self._sets]]

    def restore(self, state: Sequence[Any], page: Callable[[str], bytes | None]) -> None:
        """Take state and blocks back."""
        self.recording, recorded = state
        for recorder, one in zip(self._sets, recorded, strict=True):
            recorder.restore(one, page)
