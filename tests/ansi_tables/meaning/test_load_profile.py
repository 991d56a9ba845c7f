"""A load profile is columns in units with UTC ends, statuses and gaps."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansi_tables import MissingContextError, Snapshot
from ansi_tables.meaning.channels import channel_sources
from ansi_tables.meaning.load_profile import CommonStatus, IntervalStatus
from tests.ansi_tables.meaning.device import put
from tests.ansi_tables.meaning.recorder import a_recorder, one_block, write_block

EXAMPLE = Path(__file__).parents[3] / "docs" / "c1219" / "example_meter.json"
INTERVAL = timedelta(minutes=15)


@settings(max_examples=40)
@given(
    blocks=st.integers(1, 4),
    intervals=st.integers(1, 5),
    order=st.integers(0, 1),
    interval_order=st.integers(0, 1),
    data=st.data(),
)
def test_rows_come_oldest_first_whichever_way_ring_and_blocks_run(
    blocks: int, intervals: int, order: int, interval_order: int, data: st.DataObject
) -> None:
    made, ring = a_recorder(blocks, intervals)
    held = data.draw(st.integers(1, blocks))
    last = data.draw(st.integers(0, blocks - 1))
    in_newest = data.draw(st.integers(1, intervals))
    newest_end = datetime(2026, 7, 1, 12)
    total = (held - 1) * intervals + in_newest
    for age in range(held):
        element = (last + (age if order else -age)) % blocks
        first = (held - 1 - age) * intervals
        rows = list(range(first, total if age == 0 else first + intervals))
        end = newest_end - INTERVAL * (total - 1 - rows[-1])
        write_block(ring, element, rows, end, intervals, bool(interval_order))
    put(made, 64, ring)
    flags = {"ORDER": order, "INTERVAL_ORDER": interval_order}
    status = {f"LP_STATUS_SET1.LP_SET_STATUS_FLAGS.{n}": v for n, v in flags.items()}
    counts = {"NBR_VALID_BLOCKS": held, "LAST_BLOCK_ELEMENT": last, "NBR_VALID_INT": in_newest}
    counts["LAST_BLOCK_SEQ_NBR"] = 1000
    put(made, 63, status | {f"LP_STATUS_SET1.{n}": v for n, v in counts.items()})
    profile = made.load_profile()
    assert len(profile) == total and profile.gaps == ()
    last_end = int(newest_end.replace(tzinfo=UTC).timestamp())
    assert list(profile.ends_utc_s) == [last_end - 900 * (total - 1 - n) for n in range(total)]
    energy, volts = profile.channels
    assert list(energy.raw) == [10 * n for n in range(total)]
    assert energy.values == tuple(Decimal(10 * n) / 2 * 100 for n in range(total))
    assert (energy.unit, energy.direction, volts.unit) == ("Wh", "delivered", "Vh")
    assert volts.values == tuple(Decimal(10 * n + 1) / 2 / 100 for n in range(total))
    assert energy.statuses == tuple(IntervalStatus(n % 8) for n in range(total))
    assert volts.statuses == tuple(IntervalStatus(7 - n % 8) for n in range(total))
    rows_read = list(profile)
    assert [row.common for row in rows_read] == [CommonStatus(n % 4 << 1) for n in range(total)]
    assert [row.end for row in rows_read] == list(profile.ends)
    assert rows_read[-1].values == (energy.values[-1], volts.values[-1])


def test_a_divisor_that_has_no_end_gives_exact_fractions() -> None:
    made, ring = a_recorder(1, 2)
    put(made, 62, {"INT_FMT_CDE1": 4, "SCALARS_SET1.0": 3, "DIVISOR_SET1.0": 1})
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1), 2, False)
    one_block(made, ring)
    assert made.load_profile().channels[0].values == (Fraction(1000, 3), Fraction(2000, 3))


def test_gaps_and_times_that_come_twice_are_told() -> None:
    made, ring = a_recorder(3, 2)
    for element, end in enumerate(
        (datetime(2026, 1, 1, 0, 30), datetime(2026, 1, 1, 2), datetime(2026, 1, 1, 1, 45))
    ):
        write_block(ring, element, [1, 2], end, 2, False)
    one_block(made, ring, NBR_VALID_BLOCKS=3, LAST_BLOCK_ELEMENT=2, LAST_BLOCK_SEQ_NBR=2)
    profile = made.load_profile()
    assert [(gap.row, gap.missing_s) for gap in profile.gaps] == [(2, 3600), (4, -2700)]
    assert [block.rows for block in profile.blocks] == [range(2), range(2, 4), range(4, 6)]


def test_block_ends_have_readings_in_the_unit_of_their_own_source() -> None:
    made, ring = a_recorder(1, 2)
    put(made, 62, {"INT_FMT_CDE1": 4, "LP_SEL_SET1.0.END_BLK_RDG_SOURCE_SELECT": 1})
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1), 2, False)
    ring["LP_DATA_SET1.0.END_READINGS.0.BLOCK_END_READ"] = 12345
    ring["LP_DATA_SET1.0.END_READINGS.0.BLOCK_END_PULSE"] = 77
    one_block(made, ring)
    reading = made.load_profile().blocks[0].readings[0]
    assert (reading.value, reading.unit, reading.pulses) == (Decimal("123.45"), "Vh", 77)


def test_local_block_ends_become_utc_and_civil_time_again() -> None:
    made, ring = a_recorder(1, 2)
    put(made, 51, {"TIME_FUNC_FLAG2.CAP_TM_ZN_OFFSET_FLAG": 1})
    put(made, 52, {"TIME_DATE_QUAL.TM_ZN_APPLIED_FLAG": 1})
    put(made, 53, {"TIME_ZONE_OFFSET": -300})
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1, 12), 2, False)
    one_block(made, ring)
    profile = made.load_profile()
    assert profile.ends_utc_s[-1] == datetime(2026, 1, 1, 17, tzinfo=UTC).timestamp()
    end = profile.ends[-1]
    assert end is not None and (end.hour, end.utcoffset()) == (12, timedelta(hours=-5))


def test_a_block_without_a_time_has_intervals_without_ends() -> None:
    made, ring = a_recorder(1, 2)
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1), 2, False)
    del ring["LP_DATA_SET1.0.BLK_END_TIME"]
    one_block(made, ring)
    profile = made.load_profile()
    assert profile.ends == (None, None) and profile.gaps == () and profile.blocks[0].end is None


def test_a_channel_whose_source_is_not_known_has_raw_counts_only() -> None:
    made, ring = a_recorder(1, 2)
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1), 2, False)
    one_block(made, ring)
    del made.images[12]
    channel = made.load_profile().channels[0]
    assert channel.values == (None, None) and list(channel.raw) == [10, 20]
    assert channel.unit == channel.quantity == "" and "ST-12" in channel.source.note


def test_a_full_ring_that_must_not_overwrite_says_so() -> None:
    made, ring = a_recorder(1, 2)
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1), 2, False)
    one_block(made, ring, NBR_UNREAD_BLOCKS=1)
    image = bytearray(made.images[63])
    image[0] = 0b10_1010
    made.images[63] = bytes(image)
    profile = made.load_profile()
    assert (profile.active, profile.overflow, profile.inhibited) == (True, True, True)
    assert profile.unread_blocks == 1 and profile.channels[0].phase == ""


def test_an_empty_ring_is_an_empty_profile() -> None:
    made, ring = a_recorder(2, 2)
    one_block(made, ring, NBR_VALID_BLOCKS=0)
    assert len(made.load_profile()) == 0 and made.load_profile().blocks == ()


@pytest.mark.parametrize("missing", [61, 62, 63, 64])
def test_a_missing_table_is_named(missing: int) -> None:
    made, ring = a_recorder(1, 2)
    one_block(made, ring)
    del made.images[missing]
    with pytest.raises(MissingContextError, match=f"ST-{missing}"):
        made.load_profile()


def test_a_set_that_the_meter_has_not_is_named() -> None:
    made, ring = a_recorder(1, 2)
    one_block(made, ring)
    made.images[65] = b""
    with pytest.raises(MissingContextError, match="ST-65"):
        made.load_profile(2)
    assert made.profile_sets() == (1, 2) and made.load_profile().set_number == 1
    with pytest.raises(ValueError, match="1 to 4"):
        made.load_profile(5)


def test_reserved_status_codes_are_one() -> None:
    made, ring = a_recorder(1, 2)
    write_block(ring, 0, [1, 2], datetime(2026, 1, 1), 2, False)
    status = "LP_DATA_SET1.0.LP_INT.0.EXTENDED_INT_STATUS.0"
    ring[status] = {"LOW_NIBBLE": 13, "HIGH_NIBBLE": 0}
    one_block(made, ring)
    assert made.load_profile().channels[0].statuses[0] is IntervalStatus.RESERVED


def test_without_st_62_and_for_a_set_that_it_does_not_have_no_channel_is_made_up() -> None:
    assert channel_sources(Snapshot({})) == ()
    meter = Snapshot.from_json(EXAMPLE.read_text())
    assert channel_sources(meter) and channel_sources(meter, 4) == ()


def test_a_profile_says_what_it_holds_by_its_repr() -> None:
    profile = Snapshot.from_json(EXAMPLE.read_text()).load_profile()
    first, last = (profile.ends[place].isoformat(" ", "minutes") for place in (0, -1))
    assert repr(profile).startswith(f"<load profile 1: {len(profile)} intervals of 60 min, {first}")
    assert f" to {last}: [<channel 0: active energy delivered in Wh, " in repr(profile)


def test_a_set_that_the_meter_does_not_list_is_named() -> None:
    images = Snapshot.from_json(EXAMPLE.read_text()).images
    with pytest.raises(
        MissingContextError, match="ST-00 lists no ST-65: the meter has no such set"
    ):
        Snapshot({**images, 65: b""}).load_profile(2)


def test_of_a_block_that_was_closed_early_its_valid_intervals_are_known() -> None:
    made, ring = a_recorder(2, 4)
    for element, rows in enumerate(([1, 2], [3, 4, 5, 6])):
        write_block(ring, element, rows, datetime(2026, 1, 1, element), 4, False)
    for name in [name for name in ring if ".EXTENDED_INT_STATUS" in name]:
        ring[name] = {"LOW_NIBBLE": 0, "HIGH_NIBBLE": 0}
    newest = {"LAST_BLOCK_ELEMENT": 1, "LAST_BLOCK_SEQ_NBR": 1, "NBR_VALID_INT": 4}
    one_block(made, ring, NBR_VALID_BLOCKS=2, **newest)
    profile = made.load_profile()
    assert list(profile.channels[0].raw) == [10, 20, 30, 40, 50, 60]
    assert list(profile.sequences) == [0, 1, 4, 5, 6, 7]
    # One that was skipped was written, though it is not valid: channel 1 alone says so.
    skipped = "LP_DATA_SET1.0.LP_INT.2.EXTENDED_INT_STATUS.1"
    one_block(
        made, ring | {skipped: {"LOW_NIBBLE": 0, "HIGH_NIBBLE": 5}}, NBR_VALID_BLOCKS=2, **newest
    )
    assert list(made.load_profile().sequences) == [0, 1, 2, 4, 5, 6, 7]
