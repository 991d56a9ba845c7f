"""Power can be cut between any two writes to non-volatile memory: nothing tears or goes back."""

from collections.abc import Callable
from random import Random

import pytest

from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import PROFILES, profile_named
from tests.smartmeter.meter.bench import HOUR_US, MINUTE_US, Bench, CutNvram, PowerCut, exact
from tests.smartmeter.meter.reference import STARTS
from tests.smartmeter.meter.reference_history import ACTS, Pair


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


#: Acts of a history after which a register may show less than before.
FORGETTING = ("clear", "reprogram")


def whole(bench: Bench) -> list[int]:
    """Check that a meter is whole: tables, tiers, and that it starts the same again; its sums."""
    bench.meter.ended(bench.now_us)  # a meter that starts tells that the one before was programmed
    tables = bench.snapshot()
    exact(tables)
    pages = {name: bench.nvram.get(name) or b"" for name in bench.nvram.names()}
    twin = Meter(bench.settings, MemoryNvram(pages), bench.calendar, bench.now_us)
    for number in sorted({23, 24, 25, 26, 63, 64, 74, 76} & set(tables)):
        assert twin.table(number, bench.now_us) == tables.images[number], number
    registers = tables[23]
    tiers = [block.SUMMATIONS for block in registers.TIER_DATA_BLOCK]
    totals = [int(total) for total in registers.TOT_DATA_BLOCK.SUMMATIONS]
    if tiers:
        assert [int(sum(parts)) for parts in zip(*tiers, strict=True)] == totals
    sources, chosen = bench.meter.program.sources, bench.meter.program.summations
    return [t for t, n in zip(totals, chosen, strict=True) if n is None or not sources[n].unit.net]


def cut_in_history(profile: DeviceProfile, seed: int, commits: int) -> bool:
    """Cut the power after so many commits of a drawn history; True when it had more of them."""
    nvram, chance = CutNvram(commits), Random(f"cut/{profile.title}/{seed}")
    pair = Pair(profile, seed, STARTS[seed % len(STARTS)], nvram)
    cut, act = False, "run"
    shown: list[int] = []
    try:
        for act in chance.choices(list(ACTS), list(ACTS.values()), k=12):
            shown = [] if act in FORGETTING else whole(pair.bench)
            getattr(pair, act)(chance)
    except PowerCut:
        cut = True
    nvram.left = -1
    pair.bench.start()
    now = whole(pair.bench)
    assert all(new >= old for new, old in zip(now, shown, strict=False)), (act, shown, now)
    pair.bench.wait(5 * HOUR_US)
    whole(pair.bench)
    return cut


def test_a_cut_in_a_drawn_history_of_any_device_leaves_a_whole_meter() -> None:
    for seed, name in enumerate(("residential", "unusual", "random")):
        cut_in_history(profile_named(name, seed), seed, 4 + 9 * seed)


@pytest.mark.night
@pytest.mark.parametrize("name", [*PROFILES, "random"])
def test_a_cut_between_any_two_writes_of_drawn_histories_leaves_a_whole_meter(name: str) -> None:
    for seed in range(6):
        profile, commits = profile_named(name, seed), 1
        while cut_in_history(profile, seed, commits):
            commits += 1 + commits // 12  # every one of the first dozen, then thinner


@pytest.mark.parametrize("name", ["residential", "residential-tou"])
def test_a_cut_after_any_commit_leaves_a_whole_meter(name: str) -> None:
    commits = 1
    while cut_after(name, commits):
        commits += 1
    assert commits > 12
