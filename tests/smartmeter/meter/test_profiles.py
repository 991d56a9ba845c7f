"""Every device profile is a legal device, and what it shows follows from what flowed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmeter.base.clock import US_PER_S
from smartmeter.base.errors import SettingsError
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import PROFILES, profile_named
from smartmeter.meter.sample import meter_named
from tests.smartmeter.meter.bench import HOUR_US, Bench, exact

#: A Friday in May, so that the weekend and its tiers are in a few days.
MAY_US = 1_778_803_200 * US_PER_S


@pytest.fixture(params=PROFILES.values(), ids=list(PROFILES))
def profile(request: pytest.FixtureRequest) -> DeviceProfile:
    found = request.param
    assert isinstance(found, DeviceProfile)
    return found


def test_every_table_of_a_profile_decodes_to_its_exact_length(profile: DeviceProfile) -> None:
    bench = Bench(profile)
    exact(bench.snapshot())
    bench.wait(30 * HOUR_US)
    tables = bench.snapshot()
    exact(tables)
    assert frozenset(profile.used) == tables[0].STD_TBLS_USED
    assert tables[1].ED_MODEL.strip() == profile.model


@pytest.mark.parametrize("seed", (20, 41, 47, 139))
def test_a_count_is_worth_what_the_tables_tell_a_reader(seed: int) -> None:
    """These devices have ratios that nobody applied, and constants that no host is to apply."""
    bench = Bench(profile_named("random", seed))
    told = [one.scale.factor if one.scale else None for one in bench.snapshot().sources()]
    assert told == [one.weight / 1000 for one in bench.meter.program.sources]


def test_the_sum_over_the_tiers_is_the_total_always(profile: DeviceProfile) -> None:
    bench = Bench(profile, epoch_us=MAY_US)
    for _ in range(10):
        bench.wait(7 * HOUR_US + 12_345_678)
        registers = bench.snapshot()[23]
        if not registers.TIER_DATA_BLOCK:
            return
        total = registers.TOT_DATA_BLOCK.SUMMATIONS
        tiers = [block.SUMMATIONS for block in registers.TIER_DATA_BLOCK]
        assert [sum(parts) for parts in zip(*tiers, strict=True)] == total
    assert all(any(block.SUMMATIONS) for block in registers.TIER_DATA_BLOCK[:2])


def test_a_profile_goes_on_after_a_kill_as_if_nothing_had_been(profile: DeviceProfile) -> None:
    killed, whole = Bench(profile), Bench(profile)
    for _ in range(5):
        killed.wait(3 * HOUR_US + 777)
        whole.wait(3 * HOUR_US + 777)
        killed.start()
    assert killed.snapshot().images == whole.snapshot().images


def test_a_profile_survives_an_outage(profile: DeviceProfile) -> None:
    bench = Bench(profile)
    bench.wait(5 * HOUR_US + 1)
    before = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    bench.meter.mains(False, bench.now_us)
    bench.now_us += 49 * HOUR_US
    bench.start()
    assert before == bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    bench.wait(26 * HOUR_US)
    exact(bench.snapshot())
    assert bench.snapshot()[3].ED_STD_STATUS1.POWER_FAILURE_FLAG == 1


@given(st.integers(0, 1 << 32))
@settings(max_examples=15, deadline=None)
def test_a_device_drawn_by_seed_is_legal_and_goes_on_after_a_kill(seed: int) -> None:
    profile = profile_named("random", seed)
    assert profile.used == profile_named("random", seed).used
    bench = Bench(profile, epoch_us=MAY_US, seed=seed)
    exact(bench.snapshot())
    bench.wait(9 * HOUR_US + 1)
    tables = bench.snapshot()
    exact(tables)
    registers = tables[23]
    tiers = [block.SUMMATIONS for block in registers.TIER_DATA_BLOCK]
    if tiers:
        sums = [sum(parts) for parts in zip(*tiers, strict=True)]
        assert sums == list(registers.TOT_DATA_BLOCK.SUMMATIONS)
    bench.start()
    assert bench.snapshot().images == tables.images


def test_a_simulated_port_names_a_profile_and_a_seed() -> None:
    drawn = meter_named("sim:random:7", MAY_US, 0)
    assert drawn.profile.title == profile_named("random", 7).title
    assert meter_named("sim:", MAY_US, 0).profile.name == "residential"
    for wrong in ("sim:random:x", "sim:random:-1", "sim:toaster", "sim:random:" + "9" * 30):
        with pytest.raises(SettingsError) as caught:
            meter_named(wrong, MAY_US, 0)
        assert caught.value.remedy
