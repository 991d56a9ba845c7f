"""Light meters: arrays that give what one meter at a time gives, to the last bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmeter.meter.light import LightMeters, mix_arrays
from smartmeter.meter.loads import mix
from tests.smartmeter.meter.bench import EPOCH_US, MINUTE_US, Bench

EPOCH_MINUTE = EPOCH_US // MINUTE_US


@given(st.lists(st.integers(0, (1 << 63) - 1), min_size=1, max_size=5), st.integers(-1000, 1 << 40))
def test_arrays_mix_as_single_numbers_do(seeds: list[int], part: int) -> None:
    mixed = mix_arrays(np.asarray(seeds, dtype=np.int64), part, 7)
    assert [int(word) for word in mixed] == [mix(seed, part, 7) for seed in seeds]
    assert mix_arrays(part, 7) == mix(part, 7)


@given(st.lists(st.integers(1, 1 << 30), min_size=1, max_size=3), st.integers(1, 400))
@settings(max_examples=10, deadline=None)
def test_light_meters_hold_what_full_meters_hold(seeds: list[int], minutes: int) -> None:
    light = LightMeters(seeds, EPOCH_MINUTE)
    light.advance(minutes)
    for number, seed in enumerate(seeds):
        bench = Bench(seed=seed)
        bench.wait(minutes * MINUTE_US)
        block = bench.snapshot()[23].TOT_DATA_BLOCK
        assert light.energy_wh[:, number].tolist() == list(block.SUMMATIONS)
        assert light.max_demand_w[number] == block.DEMANDS[0].DEMAND[0]
        wh = [interval.values[0] for interval in bench.book]
        assert light.profile_wh[: len(wh), number].tolist() == wh
