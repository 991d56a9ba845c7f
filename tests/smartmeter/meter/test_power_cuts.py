"""Power can be cut between any two writes to non-volatile memory: nothing tears or goes back."""

from collections.abc import Callable, Mapping

import pytest

from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter
from smartmeter.meter.profiles import PROFILES
from tests.smartmeter.meter.bench import HOUR_US, MINUTE_US, Bench
from tests.smartmeter.meter.test_profiles import exact


class PowerCut(Exception):
    """The power has gone in the middle of something."""


class CutNvram(MemoryNvram):
    """A memory whose power goes after so many commits."""

    def __init__(self, commits: int) -> None:
        super().__init__()
        self.left = commits

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        if self.left == 0:
            raise PowerCut
        self.left -= 1
        super().commit(changes)


def set_back(bench: Bench) -> None:
    clock_us = bench.meter.clock.utc_us(bench.now_us)
    bench.meter.set_clock(clock_us - 2 * HOUR_US, bench.now_us)


def outage(bench: Bench) -> None:
    bench.meter.mains(False, bench.now_us)
    bench.now_us += HOUR_US
    bench.meter.mains(True, bench.now_us)


#: Everything that writes: intervals, resets, writes, events, an outage, a clock set.
STEPS: tuple[Callable[[Bench], None], ...] = (
    lambda bench: bench.wait(40 * MINUTE_US),
    lambda bench: bench.meter.write_table(7, bytes((9, 0, 1, 3)), bench.now_us),
    lambda bench: bench.meter.write_table(5, b"POLE 17".ljust(20), bench.now_us),
    lambda bench: bench.wait(HOUR_US),
    lambda bench: bench.meter.inject("tamper", bench.now_us),
    lambda bench: bench.meter.write_table(7, bytes((17, 0, 2)), bench.now_us),
    lambda bench: bench.meter.write_table(7, bytes((16, 0, 3)), bench.now_us),
    set_back,
    lambda bench: bench.wait(HOUR_US),
    outage,
    lambda bench: bench.wait(HOUR_US),
)


def cut_after(name: str, commits: int) -> bool:
    """Cut the power after so many commits; True when the history had more of them."""
    nvram = CutNvram(commits)
    bench = Bench(PROFILES[name], nvram=nvram)
    shown = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    cut = False
    try:
        for step in STEPS:
            step(bench)
            shown = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    except PowerCut:
        cut = True
    nvram.left = -1
    pages = {name: nvram.get(name) or b"" for name in nvram.names()}
    bench.start()
    restored = bench.snapshot()
    exact(restored)
    # The same memory gives the same meter, however often it starts.
    twin = Meter(bench.settings, MemoryNvram(pages), bench.calendar, bench.now_us)
    for number in (23, 26, 64, 76):
        assert twin.table(number, bench.now_us) == restored.images[number]
    now = restored[23].TOT_DATA_BLOCK.SUMMATIONS
    assert all(new >= old for new, old in zip(now[:2], shown[:2], strict=True))
    bench.wait(2 * HOUR_US)
    grown = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    assert sum(grown[:2]) > sum(now[:2]), "it measures on"
    return cut


@pytest.mark.parametrize("name", ["residential", "residential-tou"])
def test_a_cut_after_any_commit_leaves_a_whole_meter(name: str) -> None:
    commits = 1
    while cut_after(name, commits):
        commits += 1
    assert commits > 12
