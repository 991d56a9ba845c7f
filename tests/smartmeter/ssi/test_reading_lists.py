"""Load profile and event log, read while they move, whichever way they run."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansi_tables import Snapshot, layout_for
from ansi_tables.meaning.clock import ClockRules, clock_rules
from ansi_tables.profile_columns import profile_columns
from ansi_tables.ssi_layouts import RAW
from ansi_tables.ssi_tables import SsiTable, decode
from protocols.c1218.steps import Script
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import block, decode_request
from protocols.psem.services import FullRead, OffsetRead, Response
from smartmeter.base.clock import MAX_CALENDAR_S, US_PER_S
from smartmeter.meter.profiles import PROFILES, draw_profile, parts
from smartmeter.ssi.log_reading import LogRead, read_log
from smartmeter.ssi.meter_data import MeterContext, read_context
from smartmeter.ssi.profile_reading import Interval, ProfileRead, read_profile
from smartmeter.ssi.reports import interval_parts, profile_image, profile_part
from smartmeter.ssi.work import begin
from tests.ansi_tables.profiles import Drawn, profiles
from tests.ansi_tables.real_tables import IMAGES, maker, one_block_only, snapshot
from tests.smartmeter.ssi.reading import EPOCH_S, EVERYTHING, LIMITS, ORDERS, Bench

STATUS, PROFILE, LOG = 63, 64, 76


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("moving", [STATUS, PROFILE])
def test_a_ring_that_moves_at_each_read_gives_each_finished_interval_once(
    name: str, moving: int
) -> None:
    bench = Bench(PROFILES[name])
    bench.run(290)
    step = 1 if moving == STATUS else 0.1
    bench.between = lambda table: bench.run(step) if table == moving else None
    expected, found = None, []
    for _ in range(25):
        bench.run(1)
        try:
            read = bench.read(expected)
        except RemoteProtocolError:
            continue  # only the newest block is left, which is not finished
        assert expected is None or read.oldest <= expected
        bench.agrees(read)
        found += [one.sequence for one in read.intervals]
        expected = found[-1] + 1 if found else None
    assert found == list(range(found[0], expected)) and len(found) > 250


@pytest.mark.parametrize("name", ORDERS)
def test_a_block_that_is_overwritten_while_the_ring_is_read_is_not_taken_for_a_newer_one(
    name: str,
) -> None:
    bench = Bench(PROFILES[name])
    bench.run(900)
    reads = iter(range(1000))
    # The first blocks are read when they are overwritten already.
    bench.between = lambda table: bench.run(70) if table == PROFILE and next(reads) < 3 else None
    read = bench.read()
    bench.agrees(read)
    assert read.intervals and read.intervals[0].sequence == read.oldest


@pytest.mark.parametrize("name", ORDERS)
def test_a_ring_that_turns_faster_than_it_is_read_ends_the_reading(name: str) -> None:
    bench = Bench(PROFILES[name])
    bench.run(400)
    bench.between = lambda table: bench.run(1000) if table == PROFILE else None
    first = bench.journal[-1].sequence - 5
    read = bench.read(first)
    assert not read.intervals and read.oldest > first + 5


@pytest.mark.parametrize("name", ORDERS)
def test_a_block_that_grows_each_time_is_an_error_and_no_endless_reading(name: str) -> None:
    bench = Bench(PROFILES[name])
    bench.run(100)
    bench.between = lambda table: bench.run(1)
    with pytest.raises(RemoteProtocolError, match="moved"):
        bench.read(bench.journal[-1].sequence)
    assert len(bench.asked) < 100


def test_of_a_long_list_each_block_is_read_once_though_the_newest_moves() -> None:
    bench = Bench(PROFILES["residential"])
    bench.run(96 * 9 + 30)
    still = bench.read()
    pieces = bench.asked.count(PROFILE)
    bench.asked.clear()
    moves = iter([False, True])
    bench.between = lambda table: bench.run(1) if table == STATUS and next(moves, False) else None
    assert [one.sequence for one in bench.read().intervals] == [
        one.sequence for one in still.intervals
    ]
    assert bench.asked.count(PROFILE) <= pieces + 2


# Any set, built as a table: closed blocks, pointers that are ahead, any octets.


def answered(script: Script[Any], images: dict[int, bytes]) -> Any:
    """Run a script against images."""
    try:
        request = next(script)
        while True:
            assert isinstance(request, FullRead | OffsetRead)
            image = images[request.table]
            if isinstance(request, OffsetRead):
                image = image[request.offset : request.offset + request.count]
            request = script.send(Response(0, block(image)))
    except StopIteration as stop:
        return stop.value


def built(drawn: Drawn) -> tuple[MeterContext, dict[int, bytes]]:
    layout = layout_for(STATUS, drawn.context)
    status = layout.decode(bytes(layout.size or 0))
    name = f"LP_STATUS_SET{drawn.set_number}"
    if name not in status:  # no block, no status
        return MeterContext({}, drawn.context, 1, ClockRules()), {}
    flags = status[name].LP_SET_STATUS_FLAGS | drawn.status.LP_SET_STATUS_FLAGS
    status[name] = drawn.status | {"LP_SET_STATUS_FLAGS": flags}
    context = MeterContext({}, drawn.context, 1, ClockRules())
    return context, {STATUS: layout.encode(status), STATUS + drawn.set_number: drawn.data}


def is_count(number: object) -> bool:
    """Tell whether it is a whole number that 64 bits have room for."""
    known = isinstance(number, int | float | Decimal) and isfinite(number)
    return known and -(2**63) <= number < 2**63 and number == int(number)


@settings(max_examples=300)
@given(profiles(), st.integers(0, 80), st.integers(1, 80))
def test_any_set_is_read_as_its_columns_are_decoded(drawn: Drawn, begin: int, count: int) -> None:
    context, images = built(drawn)
    chosen = drawn.set_number
    columns = profile_columns(drawn.context, chosen, drawn.data, drawn.status)
    read = answered(read_profile(context, chosen, None, EVERYTHING, LIMITS), images)
    first = read.oldest + begin
    part = answered(read_profile(context, chosen, first, count, LIMITS), images)
    rows = [[channel[at] for channel in columns.values] for at in range(len(columns))]
    told = [at for at, row in enumerate(rows) if all(map(is_count, row))]
    assert read.left_out == len(rows) - len(told)
    assert [one.sequence for one in read.intervals] == [columns.sequences[at] for at in told]
    ends = [columns.ends_utc_s[at] for at in told]
    ends = [end if 0 < end < MAX_CALENDAR_S else 0 for end in ends]
    assert [one.end_s for one in read.intervals] == ends
    assert [one.status[0] for one in read.intervals] == [columns.valid[at] for at in told]
    common = [(one.status[1] >> 4 if len(one.status) > 1 else 0) for one in read.intervals]
    assert common == [columns.common_status[at] for at in told]
    assert [list(one.values) for one in read.intervals] == [rows[at] for at in told]
    span = range(first, first + count)
    assert list(part.intervals) == [one for one in read.intervals if one.sequence in span]
    assert part.reached == max(read.oldest, min(span.stop, max(span.start, read.following)))


def test_intervals_of_a_block_that_ends_soon_after_1970_are_reported_without_a_time() -> None:
    """The clock of a meter begins there when it was lost: what was before has no time by it."""
    bench = Bench(PROFILES["commercial"])
    bench.run(5)
    images = {number: bench.meter.table(number, bench.now_us) for number in (STATUS, PROFILE)}
    images[PROFILE] = (150).to_bytes(4, "little") + images[PROFILE][4:]
    read = answered(read_profile(bench.context, 1, None, EVERYTHING, LIMITS), images)
    [part] = interval_parts(read, 1, 1)
    told = decode(SsiTable.LOAD_PROFILE_PART, decode_request(part.service).data)
    assert [one["END_TIME"] for one in told["INTERVALS"]] == [0, 0, 30, 90, 150]


@pytest.mark.parametrize("ahead", [(), (1,), (2,), (1, 2)])
def test_a_pointer_that_is_ahead_is_that_of_its_own_set(ahead: tuple[int, ...]) -> None:
    bench = Bench(PROFILES["commercial"], None)
    bench.run(30 * 60)
    images = {n: bench.meter.table(n, bench.now_us) for n in (STATUS, STATUS + 1, STATUS + 2)}
    whole = {
        n: answered(read_profile(bench.context, n, None, EVERYTHING, LIMITS), images)
        for n in (1, 2)
    }
    assert all(one.intervals for one in whole.values())
    layout = layout_for(STATUS, bench.context.context)
    status = layout.decode(images[STATUS])
    for n in ahead:
        of_set = status[f"LP_STATUS_SET{n}"]
        of_set["LAST_BLOCK_ELEMENT"] += 1
        of_set["LAST_BLOCK_SEQ_NBR"] += 1
    images[STATUS] = layout.encode(status)
    context = bench.script(read_context(LIMITS))
    for n in (1, 2):
        read = answered(read_profile(context, n, None, EVERYTHING, LIMITS), images)
        assert read.intervals == whole[n].intervals


def test_a_pointer_that_is_ahead_is_known_as_such_when_the_meter_is_read_anew() -> None:
    bench = Bench(PROFILES["residential"])
    layout = layout_for(STATUS, bench.context.context)

    def ahead() -> dict[int, bytes]:
        images = {n: bench.meter.table(n, bench.now_us) for n in (STATUS, PROFILE)}
        status = layout.decode(images[STATUS])
        of_set = status["LP_STATUS_SET1"]
        of_set["LAST_BLOCK_ELEMENT"] = (of_set["LAST_BLOCK_ELEMENT"] + 1) % blocks
        of_set["LAST_BLOCK_SEQ_NBR"] += 1
        return images | {STATUS: layout.encode(status)}

    blocks = bench.context.context.table(61).NBR_BLKS_SET1
    bench.run(30)
    answered(read_profile(bench.context, 1, None, EVERYTHING, LIMITS), ahead())
    bench.run(1000)
    again = bench.script(begin("", None, bench.context, LIMITS)).meter
    bench.context = bench.script(read_context(LIMITS))
    whole = bench.read()
    assert whole.oldest > 0, "the ring is full"
    read = answered(read_profile(again, 1, None, EVERYTHING, LIMITS), ahead())
    assert read.intervals == whole.intervals


@pytest.mark.parametrize("name", ORDERS)
def test_a_pointer_that_is_ahead_is_known_as_such_in_a_full_ring_too(name: str) -> None:
    bench = Bench(PROFILES[name])
    bench.run(1000)
    whole = bench.read()
    images = {n: bench.meter.table(n, bench.now_us) for n in (STATUS, PROFILE)}
    layout = layout_for(STATUS, bench.context.context)
    status = layout.decode(images[STATUS])
    of_set = status["LP_STATUS_SET1"]
    assert of_set.NBR_VALID_BLOCKS == bench.context.context.table(61).NBR_BLKS_SET1
    step = -1 if of_set.LP_SET_STATUS_FLAGS["ORDER"] else 1
    of_set["LAST_BLOCK_ELEMENT"] = (of_set.LAST_BLOCK_ELEMENT + step) % of_set.NBR_VALID_BLOCKS
    of_set["LAST_BLOCK_SEQ_NBR"] += 1
    images[STATUS] = layout.encode(status)
    context = bench.script(read_context(LIMITS))
    read = answered(read_profile(context, 1, None, EVERYTHING, LIMITS), images)
    assert read.intervals == whole.intervals
    told = Snapshot({**context.images, **images}).load_profile(1)
    assert list(told.sequences) == [one.sequence for one in whole.intervals]


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("back_s", [3600, 86_400, 365 * 86_400])
def test_a_clock_that_is_set_back_makes_no_pointer_one_that_is_ahead(
    name: str, back_s: int
) -> None:
    """The newest block of a full ring is the oldest by its time then."""
    bench = Bench(PROFILES[name])
    bench.run(1000)
    clock_us = bench.meter.clock.utc_us(bench.now_us)
    bench.meter.set_clock(clock_us - back_s * US_PER_S, bench.now_us)
    bench.run(3)
    images = {n: bench.meter.table(n, bench.now_us) for n in (STATUS, PROFILE)}
    context = bench.script(read_context(LIMITS))
    read = answered(read_profile(context, 1, None, EVERYTHING, LIMITS), images)
    told = Snapshot({**context.images, **images}).load_profile(1)
    newest = bench.journal[-1].sequence
    assert (read.intervals[-1].sequence, told.sequences[-1]) == (newest, newest)


@pytest.mark.parametrize("seed", range(15))
def test_any_order_of_any_device_is_read_as_it_was_recorded(seed: int) -> None:
    bench = Bench(draw_profile(seed), None)
    if not {STATUS, PROFILE} <= bench.context.context.fmt.std_tbls_used:
        return
    bench.run(1500)
    whole = bench.read()
    if not whole.intervals:
        return
    bench.agrees(whole)
    assert whole.intervals[-1].sequence == whole.following - 1
    for at in range(0, len(whole.intervals), 7):
        first = whole.intervals[at].sequence
        assert bench.read(first, 3).intervals == whole.intervals[at : at + 3]


def log(bench: Bench, after: int | None) -> LogRead:
    read: LogRead = bench.script(read_log(bench.context, after, LIMITS))
    return read


@pytest.mark.parametrize("name", ORDERS)
def test_the_event_log_is_read_whichever_way_it_runs_and_while_it_grows(name: str) -> None:
    bench = Bench(PROFILES[name])
    for _ in range(70):
        bench.interrupt()
    capacity = bench.context.context.table(71).NBR_EVENT_ENTRIES
    whole = log(bench, None)
    assert len(whole.entries) == capacity and whole.last == whole.entries[-1].sequence
    times = [entry.time_s for entry in whole.entries]
    assert times == sorted(times) and times[-1] >= EPOCH_S + 69 * 60
    after, found = whole.last, [entry.sequence for entry in whole.entries]
    for _ in range(10):
        bench.interrupt()
        moves = iter([False, True])
        bench.between = lambda table, m=moves: bench.interrupt() if next(m, False) else None  # type: ignore[misc]
        read = log(bench, after)
        assert not read.missed
        found += [entry.sequence for entry in read.entries]
        after = read.last
    assert found == list(range(found[0], found[-1] + 1)) and found[-1] == after
    codes = {entry.sequence: entry.code for entry in log(bench, None).entries}
    assert all(codes[n] != codes[n + 1] for n in codes if n + 1 in codes)


def test_a_log_whose_numbers_begin_anew_is_read_from_its_oldest_entry_on() -> None:
    bench = Bench(PROFILES["residential"])
    bench.interrupt()
    whole = log(bench, None)
    assert whole.entries and not whole.missed
    assert log(bench, whole.last + 1) == whole


#: Daylight saving ends in the United States, in a zone of five hours west.
AUTUMN_S = int(datetime(2026, 11, 1, 6, tzinfo=UTC).timestamp())
POWER_DOWN, POWER_UP = 1, 2


def assert_cuts_are_dated(bench: Bench, begin_s: int, code: int, looks: range) -> None:
    """Cut the power twenty times, for a minute each; ``looks`` are the cuts that are looked at.

    What is read piece by piece, and the whole log in the end, has the true times.
    """
    after, found, true = 0, [], []
    for cut in range(20):
        bench.run(12)
        cut_s = begin_s + bench.now_us // US_PER_S
        bench.meter.mains(False, bench.now_us)
        bench.run(1)
        bench.meter.mains(True, bench.now_us)
        true.append(cut_s if code == POWER_DOWN else begin_s + bench.now_us // US_PER_S)
        if cut in looks:
            read = log(bench, after)
            found += [entry.time_s for entry in read.entries if entry.code == code]
            after = read.last
    whole = [entry.time_s for entry in log(bench, None).entries if entry.code == code]
    assert whole == true
    assert found == true


@pytest.mark.parametrize("told", [True, False], ids=["logged", "not logged"])
def test_entries_of_the_hour_that_comes_twice_have_their_own_times(told: bool) -> None:
    profile = PROFILES["residential-tou"]
    if not told:
        logged = set(profile.events) - {7, 8, 9, 12, 27, 22, 23}
        monitored = parts.monitored(logged, parts.CONFIGURABLE, ())
        profile = replace(profile, tables={**profile.tables, 75: monitored})
    bench = Bench(profile, epoch_s=AUTUMN_S - 7200)
    assert_cuts_are_dated(bench, AUTUMN_S - 7200, POWER_UP, range(20))


#: Daylight saving begins and ends there in a zone of seven hours west.
MOUNTAIN_SPRING_S = int(datetime(2026, 3, 8, 9, tzinfo=UTC).timestamp())
MOUNTAIN_AUTUMN_S = int(datetime(2026, 11, 1, 8, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("change_s", [MOUNTAIN_SPRING_S, MOUNTAIN_AUTUMN_S], ids=["on", "off"])
def test_the_log_of_a_meter_without_dates_of_daylight_saving_is_dated_by_its_changes(
    change_s: int,
) -> None:
    bench = Bench(PROFILES["bcd-1997"], epoch_s=change_s - 7200)
    assert bench.context.rules.tells_only_now and "that of now" in bench.context.rules.note
    # Nobody looks at the clock in between.
    assert_cuts_are_dated(bench, change_s - 7200, POWER_DOWN, range(3, 20, 4))


def test_a_real_meters_descending_ring_is_read_as_its_columns_are_decoded() -> None:
    tables = snapshot("HX")
    for image in IMAGES:
        if maker(image) == "HX":
            one_block_only(image, tables)
    context = MeterContext({}, tables.context, 1, clock_rules(tables))
    read = answered(read_profile(context, 1, None, EVERYTHING, LIMITS), tables.images)
    decoded = tables.load_profile(1)
    assert tables[STATUS].LP_STATUS_SET1.LP_SET_STATUS_FLAGS.ORDER and len(decoded) == 4
    assert [one.sequence for one in read.intervals] == list(decoded.sequences)
    assert [one.end_s for one in read.intervals] == list(decoded.ends_utc_s)
    assert [list(one.values) for one in read.intervals] == [
        [channel.raw[row] for channel in decoded.channels] for row in range(4)
    ]


def test_sequences_that_a_meter_left_out_part_a_report_in_two() -> None:
    ends = {4: 900, 5: 1800, 8: 2700}
    intervals = tuple(Interval(n, end, b"\1", (n,)) for n, end in ends.items())
    read = ProfileRead(1, intervals, 4, 9, 9, 900)
    parts = interval_parts(read, 1, 7)
    told = [decode(SsiTable.LOAD_PROFILE_PART, decode_request(one.service).data) for one in parts]
    assert [(one["FIRST_SEQUENCE"], len(one["INTERVALS"])) for one in told] == [(4, 2), (8, 1)]
    assert [(one.carried.first, one.carried.end) for one in parts] == [(4, 6), (8, 9)]


def test_intervals_that_the_compact_form_cannot_hold_are_sent_raw() -> None:
    chance = Random(1)
    noise = [Interval(n, 900 * n, chance.randbytes(255), ()) for n in range(260)]
    image = profile_image(profile_part(1, noise, 900, 1, 7))
    part = decode(SsiTable.LOAD_PROFILE_PART, image)
    assert part["ENCODING"] == RAW
    assert [one["STATUS"] for one in part["INTERVALS"]] == [one.status for one in noise]
