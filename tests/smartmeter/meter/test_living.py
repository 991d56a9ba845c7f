"""An image runs on: clock, registers and load profile go together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from ansi_tables import Snapshot
from ansi_tables.meaning.load_profile import IntervalStatus, load_profile
from protocols.c1218.scripts import LogonSettings
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.cloning import CloneSettings
from smartmeter.meter.image import MeterImage
from smartmeter.meter.living import RunningOn
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profile import ListStyle, with_interval
from smartmeter.meter.profiles import profile_named
from smartmeter.meter.sample import measured_meter
from smartmeter.meter.twin import Twin, TwinDevice, TwinPasswords
from tests.smartmeter.meter import sessions

HOURS = 30
PASSED_US = HOURS * 3600 * US_PER_S


def cloned(profile: str, seed: int = 1) -> MeterImage:
    settings = MeterSettings(profile=profile_named(profile, seed))
    meter = measured_meter(settings, sessions.NOON_UTC_US, 0)
    return sessions.clone(meter, CloneSettings(LogonSettings(password=b"reader")))


def after(image: MeterImage, passed_us: int) -> Snapshot:
    running = RunningOn(image, Calendar(0, 1), 5, 0)
    moved = {n: running.current(n, passed_us) or octets for n, octets in image.tables.items()}
    return Snapshot(moved)


@pytest.mark.parametrize("profile", ["residential", "residential-tou", "commercial", "unusual"])
def test_a_live_image_counts_what_flows_in_its_own_units(profile: str) -> None:
    image = cloned(profile)
    before, later = Snapshot(image.tables), after(image, PASSED_US)
    shown = later[52].CLOCK_CALENDAR.value - before[52].CLOCK_CALENDAR.value
    assert shown == timedelta(hours=HOURS)
    assert {n: len(o) for n, o in later.images.items()} == {
        n: len(o) for n, o in before.images.items()
    }
    then = {r.path: r.value for r in before.registers() if r.unit == "Wh"}
    now = {r.path: r.value for r in later.registers() if r.unit == "Wh"}
    assert then.keys() == now.keys() and then
    used = [now[path] - then[path] for path in now]  # type: ignore[operator]
    assert min(used) >= 0 and 2_000 < max(used) < 200_000, used


def counted(image: MeterImage, seed: int) -> dict[str, int]:
    """Give by how much the registers of all tiers, in base units, grow by a house of a seed."""
    running = RunningOn(image, Calendar(0, 1), seed, 0)
    before, later = Snapshot(image.tables), running.current(23, PASSED_US)
    after = Snapshot({**image.tables, 23: later or b""})
    totals = [
        {r.source.name: r.value for r in tables.registers() if r.tier is None and r.source.scale}
        for tables in (before, after)
    ]
    return {name: int(totals[1][name] - totals[0][name]) for name in totals[0]}  # type: ignore[operator]


def test_a_live_image_counts_both_ways_and_their_net() -> None:
    flown = counted(cloned("residential-tou"), 6)  # with photovoltaics
    both = [flown[f"active energy {way}"] for way in ("delivered", "received")]
    assert min(both) > 1_000
    assert abs(both[0] - both[1] - flown["active energy net"]) <= 1


def test_a_live_image_counts_reactive_energy_in_the_quadrant_in_which_it_flows() -> None:
    flown = counted(cloned("industrial"), 5)
    quadrants = [flown[f"reactive energy {way}"] for way in _QUADRANTS]
    assert not flown["active energy received"] and quadrants[1:3] == [0, 0]
    assert min(quadrants[0], quadrants[3]) > 0
    assert abs(quadrants[0] - quadrants[3] - flown["reactive energy net"]) <= 1


_QUADRANTS = ("delivered Q1", "delivered Q2", "received Q3", "received Q4")


def test_every_table_that_shows_the_clock_runs_on_with_it() -> None:
    later = after(cloned("residential-tou"), PASSED_US)
    shown = [later[number].CLOCK_CALENDAR.value for number in (52, 55, 57)]
    assert len(set(shown)) == 1


def test_the_profile_records_what_the_registers_count() -> None:
    image = cloned("residential")
    before, later = load_profile(Snapshot(image.tables)), load_profile(after(image, PASSED_US))
    assert later.ends_utc_s[-1] == before.ends_utc_s[-1] + HOURS * 3600
    new = list(later)[-HOURS * 4 :]
    assert [i.sequence for i in new] == list(range(new[0].sequence, new[0].sequence + HOURS * 4))
    assert all(interval.valid for interval in new)
    recorded = sum(interval.values[0] for interval in new)  # type: ignore[misc]
    first = next(r for r in Snapshot(image.tables).registers() if r.direction == "delivered")
    last = next(r for r in after(image, PASSED_US).registers() if r.direction == "delivered")
    counted = last.value - first.value  # type: ignore[operator]
    assert abs(recorded - counted) <= 1, (recorded, counted)


def test_intervals_are_recorded_in_the_daylight_saving_of_the_image() -> None:
    kind = MeterSettings(profile=profile_named("residential-tou"))
    july_us = int(datetime(2026, 7, 10, 16, tzinfo=UTC).timestamp()) * US_PER_S
    image = MeterImage(tables_of(measured_meter(kind, july_us, 0)))
    assert Snapshot(image.tables)[52].TIME_DATE_QUAL.DST_FLAG
    ends = load_profile(after(image, PASSED_US)).ends_utc_s
    assert ends[-1] == july_us // US_PER_S + HOURS * 3600
    assert all(later - end == 900 for end, later in pairwise(ends))


def tables_of(meter: Meter) -> dict[int, bytes]:
    return {number: meter.table(number, 0) for number in meter.profile.used if number != 7}


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("interval_min, zone_min", [(15, 0), (240, -330), (160, 345)])
def test_blocks_and_intervals_are_those_of_the_original(
    fifo: bool, interval_min: int, zone_min: int
) -> None:
    kind = with_interval(profile_named("residential-tou"), interval_min)
    tables = {**kind.tables, 53: {**kind.tables[53], "TIME_ZONE_OFFSET": zone_min}}
    lists = {"profile1": ListStyle(fifo=fifo)}
    kind = replace(kind, clock=("GMT_FLAG",), lists=lists, tables=tables)
    meter = Meter(MeterSettings(profile=kind), MemoryNvram(), Calendar(sessions.NOON_UTC_US, 1), 0)
    meter.expire(passed_us := 9 * PASSED_US)
    image = MeterImage({n: meter.table(n, passed_us) for n in kind.used if n != 7})
    running = RunningOn(image, Calendar(sessions.NOON_UTC_US + passed_us, 1), 1, 0)
    for minutes in (*range(10, 480, 30), 18_010):
        later_us = minutes * 60 * US_PER_S
        meter.expire(passed_us + later_us)
        status = running.current(63, later_us)
        assert status == meter.table(63, passed_us + later_us)
        ends = [
            [
                block.BLK_END_TIME.value
                for block in Snapshot({**image.tables, 64: octets})[64].LP_DATA_SET1
            ]
            for octets in (
                running.current(64, later_us) or b"",
                meter.table(64, passed_us + later_us),
            )
        ]
        assert ends[0] == ends[1]


def test_a_profile_that_had_stopped_goes_on_with_the_time_that_it_is() -> None:
    kind = profile_named("residential")
    dims = {**kind.tables[61], "LP_FLAGS": ("LP_SET1_INHIBIT_OVF_FLAG",), "NBR_BLKS_SET1": 2}
    kind = replace(kind, tables={**kind.tables, 61: dims})
    meter = Meter(MeterSettings(profile=kind), MemoryNvram(), Calendar(sessions.NOON_UTC_US, 1), 0)
    meter.expire(3 * PASSED_US)  # in two blocks are 48 hours
    image = MeterImage({n: meter.table(n, 3 * PASSED_US) for n in kind.used if n != 7})
    running = RunningOn(image, Calendar(0, 1), 1, 0)
    status = Snapshot(image.tables)[63]
    assert status.LP_STATUS_SET1.LP_SET_STATUS_FLAGS.OVERFLOW_FLAG
    status.LP_STATUS_SET1["NBR_UNREAD_BLOCKS"] = 0
    running.go_on_from(63, Snapshot(image.tables).layout(63).encode(status), 0)
    moved = {number: running.current(number, PASSED_US) or b"" for number in (52, 63, 64)}
    later = Snapshot({**image.tables, **moved})
    newest = later[64].LP_DATA_SET1[later[63].LP_STATUS_SET1.LAST_BLOCK_ELEMENT]
    assert newest.BLK_END_TIME.value == later[52].CLOCK_CALENDAR.value


@pytest.mark.parametrize("profile", ["commercial", "bcd-1997"])
def test_readings_at_a_blocks_end_go_on_with_the_intervals(profile: str) -> None:
    """Of active energy, which flows in a live image as it did in the meter."""
    image = cloned(profile)
    before, later = load_profile(Snapshot(image.tables)), load_profile(after(image, PASSED_US))
    new = [interval for interval in later if interval.sequence > before.sequences[-1]]
    recorded = sum(interval.values[0] for interval in new)  # type: ignore[misc]
    first, last = before.blocks[-1].readings[0], later.blocks[-1].readings[0]
    a_count_wh = 10 if profile == "commercial" else 1
    moved = last.value - first.value  # type: ignore[operator]
    assert recorded > 0 and abs(moved - recorded) <= a_count_wh
    ends = [block.readings[0].value for block in later.blocks[-3:]]
    assert ends == sorted(ends)  # type: ignore[type-var]
    if last.pulses is not None and first.pulses is not None:
        assert abs(last.pulses - first.pulses - recorded) <= 1


@pytest.mark.parametrize("profile", ["residential", "bcd-1997"])
def test_blocks_that_begin_are_whole_and_numbered_on_beyond_sixteen_bits(profile: str) -> None:
    image = cloned(profile)
    tables = Snapshot(image.tables)
    status = tables[63]
    status.LP_STATUS_SET1["LAST_BLOCK_SEQ_NBR"] = 65_535
    number = {63: tables.layout(63).encode(status)}
    unwritten = {64: tables.images[64].replace(b"\0\0\0\0\0\0", b"\xff" * 6)}
    before = load_profile(Snapshot({**image.tables, **number}))
    moved = replace(image, tables={**image.tables, **number, **unwritten})
    later = load_profile(after(moved, PASSED_US))
    rows = HOURS * 3600 // later.interval_s
    assert later.sequences[-1] == before.sequences[-1] + rows
    assert later.sequences[-rows:] == list(range(later.sequences[-rows], later.sequences[-1] + 1))


def test_what_an_interval_of_eight_bits_cannot_hold_is_an_overflow() -> None:
    image = inhibited(
        cloned("random", 77), 0
    )  # intervals of 16 minutes, with statuses of their own
    before, later = load_profile(Snapshot(image.tables)), load_profile(after(image, PASSED_US))
    assert later.sequences[-1] - before.sequences[-1] == HOURS * 60 // 16
    for row in list(later)[-10:]:
        assert row.values[-1] == 127 and row.statuses[-1] is IntervalStatus.OVERFLOW
        assert set(row.statuses[1:-1]) == {IntervalStatus.OK}
    assert {row.values[0] for row in list(later)[-HOURS:]} == {127}, "the net of both ways"


def test_a_net_that_its_interval_cannot_hold_is_an_overflow_in_either_direction() -> None:
    image = inhibited(cloned("random", 77), 0)
    running = RunningOn(image, Calendar(0, 1), 42, 0)  # with photovoltaics
    shown = {n: running.current(n, PASSED_US) or b"" for n in (52, 63, 64)}
    rows = list(load_profile(Snapshot({**image.tables, **shown})))[-HOURS * 60 // 16 :]
    held = {row.values[0] for row in rows if row.statuses[0] is IntervalStatus.OVERFLOW}
    assert held == {127, -127}


def inhibited(image: MeterImage, inhibit: int) -> MeterImage:
    """Give the image of a meter that loses what is unread, or rather records no more."""
    tables = Snapshot(image.tables)
    flags = tables[63].LP_STATUS_SET1.LP_SET_STATUS_FLAGS
    flags["BLOCK_INHIBIT_OVERFLOW_FLAG"] = inhibit
    return replace(image, tables={**image.tables, 63: tables.layout(63).encode(tables[63])})


def all_unread() -> MeterImage:
    """Give an image whose newest block is full, and of which nobody has read anything."""
    image = cloned("residential")
    tables = Snapshot(image.tables)
    status, blocks = tables[63].LP_STATUS_SET1, tables[61].NBR_BLKS_SET1
    status["NBR_VALID_BLOCKS"] = status["NBR_UNREAD_BLOCKS"] = blocks
    status["NBR_VALID_INT"] = tables[61].NBR_BLK_INTS_SET1
    return replace(image, tables={**image.tables, 63: tables.layout(63).encode(tables[63])})


def test_a_block_that_is_needed_while_all_are_unread_is_an_overflow() -> None:
    image = inhibited(all_unread(), 0)
    later = after(image, PASSED_US)[63].LP_STATUS_SET1
    before = Snapshot(image.tables)[63].LP_STATUS_SET1
    assert later.LP_SET_STATUS_FLAGS.OVERFLOW_FLAG == 1
    assert later.LAST_BLOCK_SEQ_NBR > before.LAST_BLOCK_SEQ_NBR
    assert later.NBR_UNREAD_BLOCKS == before.NBR_UNREAD_BLOCKS


def test_what_overflowed_does_so_no_more_once_something_was_read() -> None:
    image = inhibited(all_unread(), 0)
    tables, running = Snapshot(image.tables), RunningOn(image, Calendar(0, 1), 5, 0)
    for read, flag in ((0, 1), (1, 0)):
        shown = running.current(63, PASSED_US)
        assert shown is not None
        record = tables.layout(63).decode(shown)
        record.LP_STATUS_SET1["NBR_UNREAD_BLOCKS"] -= read
        running.go_on_from(63, tables.layout(63).encode(record), PASSED_US)
        later = running.current(63, PASSED_US)
        assert later is not None
        flags = tables.layout(63).decode(later).LP_STATUS_SET1.LP_SET_STATUS_FLAGS
        assert int(flags.OVERFLOW_FLAG) == flag


def test_a_profile_that_may_lose_nothing_stands_still_until_something_is_read() -> None:
    image = inhibited(all_unread(), 1)
    tables, running = Snapshot(image.tables), RunningOn(image, Calendar(0, 1), 5, 0)
    stopped = running.current(63, PASSED_US)
    assert stopped is not None
    tables.images[63] = stopped
    status = tables[63].LP_STATUS_SET1
    assert status.LP_SET_STATUS_FLAGS.OVERFLOW_FLAG == 1
    assert running.current(64, PASSED_US) == image.tables[64]
    status["NBR_UNREAD_BLOCKS"] -= 1
    running.go_on_from(63, tables.layout(63).encode(tables[63]), PASSED_US)
    later_us = PASSED_US + 2 * 3600 * US_PER_S
    moved = {n: running.current(n, later_us) or octets for n, octets in image.tables.items()}
    profile, clock = load_profile(Snapshot(moved)), Snapshot(moved)[52].CLOCK_CALENDAR.value
    end = profile.ends[-1]
    assert end is not None
    behind = clock.replace(tzinfo=end.tzinfo) - end
    assert timedelta(0) <= behind < timedelta(seconds=profile.interval_s)


@pytest.mark.parametrize("profile", ["residential", "residential-tou", "bcd-1997"])
@pytest.mark.parametrize("hours", [2, -5, 9000])
def test_intervals_end_by_the_clock_that_was_set(profile: str, hours: int) -> None:
    image = cloned(profile)
    tables, running = Snapshot(image.tables), RunningOn(image, Calendar(0, 1), 5, 0)
    before = load_profile(tables)
    shown = running.current(52, PASSED_US)
    assert shown is not None
    clock = tables.layout(52).decode(shown)
    old = clock.CLOCK_CALENDAR.value
    clock["CLOCK_CALENDAR"] = old + timedelta(hours=hours)
    running.go_on_from(52, tables.layout(52).encode(clock), PASSED_US)
    later_us = PASSED_US + 3 * 3600 * US_PER_S
    moved = {n: running.current(n, later_us) or octets for n, octets in image.tables.items()}
    later, interval = Snapshot(moved), timedelta(seconds=before.interval_s)
    end = later[64].LP_DATA_SET1[later[63].LP_STATUS_SET1.LAST_BLOCK_ELEMENT].BLK_END_TIME.value
    assert timedelta(0) <= later[52].CLOCK_CALENDAR.value - end < interval
    rows = {row.end: row for row in load_profile(later)}
    assert len(rows) > 3 * 3600 // before.interval_s
    skipped = {s for row in rows.values() for s in row.statuses if s is IntervalStatus.SKIPPED}
    extended = "EXTENDED_INT_STATUS" in later[64].LP_DATA_SET1[0].LP_INT[0]
    assert not extended or skipped


@pytest.mark.parametrize(
    "moved_min",
    [[2], [-2], [20], [46], [-50], [2, -3], [-2, 3, -20], [-18, 31], [3_000], [60_000, -40]],
)
@pytest.mark.parametrize("profile", ["residential-tou", "commercial", "industrial"])
def test_intervals_tell_of_a_clock_that_was_set_as_those_of_the_original_do(
    profile: str, moved_min: list[int]
) -> None:
    kind = replace(profile_named(profile), clock=("GMT_FLAG",))
    calendar = Calendar(sessions.NOON_UTC_US, 1)
    meter = Meter(MeterSettings(profile=kind), MemoryNvram(), calendar, 0)
    now_us = PASSED_US + 306 * US_PER_S
    meter.expire(now_us)
    image = MeterImage({n: meter.table(n, now_us) for n in kind.used if n != 7})
    running = RunningOn(image, Calendar(sessions.NOON_UTC_US, 1, now_us), 1, now_us)
    for moved in (*moved_min, 0):
        utc_us = meter.clock.utc_us(now_us) + moved * 60 * US_PER_S
        meter.set_clock(utc_us, now_us) if moved else None
        running.move_clock(moved * 60, now_us)
        now_us += 3 * 60 * US_PER_S
        meter.expire(now_us)
    now_us += 2 * 3600 * US_PER_S
    meter.expire(now_us)
    shown = [
        load_profile(Snapshot({**image.tables, **{n: table or b"" for n, table in moved.items()}}))
        for moved in (
            {number: running.current(number, now_us) for number in (52, 63, 64)},
            {number: meter.table(number, now_us) for number in (52, 63, 64)},
        )
    ]
    rows = [[(r.sequence, r.end, r.statuses, r.common) for r in one] for one in shown]
    assert rows[0] == rows[1] and len(rows[0]) > 8


def test_what_flowed_before_the_clock_was_set_forward_is_recorded() -> None:
    image = cloned("residential")
    tables, running = Snapshot(image.tables), RunningOn(image, Calendar(0, 1), 5, 0)
    before = load_profile(tables)
    clock = tables[52]
    clock["CLOCK_CALENDAR"] = clock.CLOCK_CALENDAR.value + timedelta(hours=1, minutes=14)
    passed_us = 14 * 60 * US_PER_S
    running.go_on_from(52, tables.layout(52).encode(clock), passed_us)
    moved = {n: running.current(n, passed_us) or octets for n, octets in image.tables.items()}
    rows = list(load_profile(Snapshot(moved)))[len(before) :]
    ended, *others = [row.values[0] for row in rows]
    assert ended and others == [0] * 3


def test_an_octet_that_is_written_does_not_set_the_clock_back() -> None:
    general = Snapshot(cloned("residential").tables)
    tables = general[0] | {"STD_TBLS_WRITE": general[0].STD_TBLS_WRITE | {52}}
    image = MeterImage({**general.images, 0: general.layout(0).encode(tables)})
    device = TwinDevice(image, TwinPasswords(), RunningOn(image, Calendar(0, 1), 1, 0))
    device.security(b"master", 0)
    before, hour_us = device.read(52, 0), 3600 * US_PER_S
    device.write(52, len(before) - 1, before[-1:], hour_us)
    shown = Snapshot({**image.tables, 52: device.read(52, hour_us)})[52].CLOCK_CALENDAR.value
    assert shown == general[52].CLOCK_CALENDAR.value + timedelta(hours=1)


def test_a_profile_whose_newest_block_is_none_stands_still() -> None:
    image = cloned("residential")
    tables = Snapshot(image.tables)
    status = tables[63]
    status.LP_STATUS_SET1["LAST_BLOCK_ELEMENT"] = 0xFFFF
    astray = {63: tables.layout(63).encode(status)}
    moved = after(replace(image, tables={**image.tables, **astray}), PASSED_US)
    assert moved.images[63] == astray[63] and moved.images[64] == image.tables[64]
    assert moved.images[23] != image.tables[23]


def test_a_register_that_its_meter_writes_in_a_way_of_its_own_counts_on() -> None:
    image = cloned("unusual")
    at, width = Snapshot(image.tables).layout(23).field("TOT_DATA_BLOCK.SUMMATIONS.0")
    octets = image.tables[23]
    left = octets[at : at + width].lstrip().ljust(width)
    own_way = {23: octets[:at] + left + octets[at + width :]}
    assert own_way[23] != octets
    moved = after(replace(image, tables={**image.tables, **own_way}), PASSED_US)
    assert moved.images[23] == after(image, PASSED_US).images[23] != octets


def test_a_channel_whose_divisor_is_nought_counts_nothing() -> None:
    image = cloned("commercial")
    tables = Snapshot(image.tables)
    told = tables[62]
    told["DIVISOR_SET1"] = [0 for _ in told.DIVISOR_SET1]
    moved = {62: tables.layout(62).encode(told)}
    later = after(replace(image, tables={**image.tables, **moved}), PASSED_US)
    assert set(load_profile(later).channels[0].raw[-HOURS:]) == {0}
    assert later.images[23] != image.tables[23]


def test_a_twin_runs_on_hour_by_hour_also_when_nobody_looks() -> None:
    image, calendar = cloned("residential"), Calendar(0, 3600)
    twin = Twin(image, TwinPasswords(), RunningOn(image, calendar, 5, 0))
    for hour in range(1, 50):
        due_us = twin.deadline_us()
        assert due_us == hour * US_PER_S, "an hour of the calendar"
        twin.expire(due_us)
        assert not twin.outgoing()
    later_us = 50_700_000
    alone = RunningOn(image, Calendar(0, 3600), 5, 0)
    shown = twin.device.present(later_us).images
    assert shown == {n: alone.current(n, later_us) or octets for n, octets in image.tables.items()}


def test_a_clock_stands_still_where_dates_end() -> None:
    image = cloned("unusual")  # its dates go beyond the year 9999
    tables = Snapshot(image.tables)
    end = tables[52] | {"CLOCK_CALENDAR": datetime(9999, 12, 31, 20, tzinfo=UTC)}
    moved = {52: tables.layout(52).encode(end)}
    running = RunningOn(MeterImage({**image.tables, **moved}), Calendar(0, 1), 5, 0)
    assert running.current(52, 3600 * US_PER_S)
    running.expire(PASSED_US)
    assert running.current(52, PASSED_US) is None
    assert running.current(23, PASSED_US) != image.tables[23]


def test_a_clock_that_is_set_back_from_where_dates_end_goes_on() -> None:
    image = cloned("random", 31)  # its dates go beyond the year 9999
    tables, running = Snapshot(image.tables), RunningOn(image, Calendar(0, 1), 5, 0)
    late = tables[52] | {"CLOCK_CALENDAR": datetime(9999, 12, 31, 20, tzinfo=UTC)}
    running.go_on_from(52, tables.layout(52).encode(late), 0)
    assert running.current(52, PASSED_US) is None
    running.go_on_from(52, image.tables[52], PASSED_US)
    assert running.current(52, PASSED_US) == image.tables[52]
    profile = {n: running.current(n, PASSED_US + 3600 * US_PER_S) or b"" for n in (63, 64)}
    assert len(load_profile(Snapshot({**image.tables, **profile})))


def test_a_twin_that_is_behind_runs_on_an_hour_at_a_time_so_that_others_have_their_turn() -> None:
    image, calendar = cloned("residential"), Calendar(0, 3600)
    twin = Twin(image, TwinPasswords(), RunningOn(image, calendar, 5, 0))
    late_us = 9 * US_PER_S
    assert twin.device.current(1, late_us) == image.tables[1], "which waits for none of them"
    for hour in range(1, 10):
        assert twin.deadline_us() == hour * US_PER_S
        twin.expire(late_us)
    assert twin.deadline_us() == late_us + US_PER_S
    alone = RunningOn(image, calendar, 5, 0)
    assert twin.device.current(64, late_us) == alone.current(64, late_us)


def test_time_that_stands_changes_nothing_and_a_bare_image_stands_still() -> None:
    image = cloned("residential")
    assert after(image, 0).images == dict(image.tables)
    bare = RunningOn(MeterImage({0: image.tables[0]}), Calendar(0, 1), 5, 0)
    assert bare.current(52, PASSED_US) is None and bare.current(23, PASSED_US) is None
    broken = RunningOn(MeterImage({**image.tables, 23: b"\0"}), Calendar(0, 1), 5, 0)
    assert broken.current(23, PASSED_US) is None
