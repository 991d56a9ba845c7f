"""What ST-56 says is to come comes then, and not before."""

import pytest

from smartmeter.base.clock import US_PER_S
from smartmeter.meter.profiles import PROFILES, profile_named
from smartmeter.meter.remaining import NO_READ, NO_TIER
from tests.smartmeter.meter.bench import HOUR_US, MINUTE_US, Bench
from tests.smartmeter.meter.reference import STARTS

TOU = PROFILES["residential-tou"]


def tiers(bench: Bench) -> tuple[int, int]:
    state = bench.meter.metering.time.state
    return state.summation_tier, state.demand_tier


def minutes(bench: Bench) -> list[int]:
    """Give the minutes of ST-56, of one tier or of two."""
    return [value for name, value in bench.snapshot()[56].items() if name.endswith("TIME_REMAIN")]


@pytest.mark.parametrize("start_s", STARTS[:4])
@pytest.mark.parametrize("name", ["residential-tou", "industrial", "random:3"])
def test_the_tier_changes_when_st56_says_over_midnight_and_a_change_of_the_hour(
    name: str, start_s: int
) -> None:
    kind, _, seed = name.partition(":")
    bench = Bench(profile_named(kind, int(seed or 1)), epoch_us=start_s * US_PER_S)
    for _ in range(4):
        before, told = tiers(bench), minutes(bench)
        if min(told) == NO_TIER:
            bench.wait(48 * HOUR_US)
            assert tiers(bench) == before
            return
        bench.wait(min(told) * MINUTE_US - MINUTE_US)
        assert tiers(bench) == before
        bench.wait(MINUTE_US)
        now = tiers(bench)
        changed = [old != new for old, new in zip(before, now, strict=True)]
        assert any(changed)
        if len(told) == 2:
            assert changed == [each == min(told) for each in told]


def test_it_reads_itself_on_the_date_that_st56_says() -> None:
    bench = Bench(TOU, epoch_us=STARTS[1] * US_PER_S)  # 29 May: on the first, and with a season
    for _ in range(2):
        days = bench.snapshot()[56].SELF_READ_DAYS_REMAIN
        reads = bench.snapshot()[26].LAST_ENTRY_SEQ_NBR
        assert 1 <= days < NO_READ
        local = bench.meter.clock.local(bench.meter.clock.utc_s(bench.now_us))
        past_us = (local.hour * 3600 + local.minute * 60 + local.second) * US_PER_S
        bench.wait(days * 24 * HOUR_US - past_us - MINUTE_US)
        assert reads == bench.snapshot()[26].LAST_ENTRY_SEQ_NBR
        bench.wait(2 * MINUTE_US)
        assert reads < bench.snapshot()[26].LAST_ENTRY_SEQ_NBR


def test_a_daily_self_read_is_a_day_ahead_and_none_is_none() -> None:
    bench = Bench(TOU)
    flags = bench.snapshot()[21].REG_FUNC2_FLAGS
    layout = bench.meter.layout(21)
    image = layout.encode(
        bench.snapshot()[21] | {"REG_FUNC2_FLAGS": flags | {"DAILY_SELF_READ_FLAG": 1}}
    )
    bench.meter.write_table(21, image, bench.now_us)
    assert bench.snapshot()[56].SELF_READ_DAYS_REMAIN == 1
    image = layout.encode(bench.snapshot()[21] | {"NBR_SELF_READS": 0})
    bench.meter.write_table(21, image, bench.now_us)
    assert bench.snapshot()[56].SELF_READ_DAYS_REMAIN == NO_READ
