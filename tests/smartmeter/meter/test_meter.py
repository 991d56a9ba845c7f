"""The meter measures exactly, keeps what it measured, and shows it in its tables."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import layout_for
from ansi_tables.meaning.load_profile import load_profile
from protocols.c1218.client import ScriptDone, ScriptFailed
from protocols.c1218.scripts import LogonSettings, open_session, read_table, write_table
from protocols.errors import ServiceRefused
from protocols.machine import SetBaud
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.access import FIRST_DELAY_US, FREE_FAILURES
from smartmeter.meter.load_profile import SKIPPED
from smartmeter.meter.profiles import RESIDENTIAL, profile_named
from tests.protocols.c1218.line import Line
from tests.smartmeter.meter.bench import (
    EPOCH_US,
    HOUR_US,
    Bench,
    CutNvram,
    PowerCut,
    logged_on,
    procedure,
)


def test_every_table_that_st00_lists_decodes_to_its_exact_length() -> None:
    bench = Bench()
    bench.wait(30 * HOUR_US)
    tables = bench.snapshot()
    assert frozenset(RESIDENTIAL.used) == tables[0].STD_TBLS_USED
    for number in tables:
        layout = tables.layout(number)
        value, trailing = layout.decode_with_trailing(tables.images[number])
        assert trailing == b"", number
        assert layout.encode(value) == tables.images[number], number


def test_a_week_of_intervals_adds_up_to_the_registers() -> None:
    for seed in (1, 2, 3, 6):
        bench = Bench(seed=seed)
        bench.wait(7 * 24 * HOUR_US)
        shown = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
        assert len(bench.book) == 7 * 96
        for channel in (0, 1):
            assert sum(interval.values[channel] for interval in bench.book) == shown[channel]
        assert [i.sequence for i in bench.book] == list(range(7 * 96))
        assert bench.book[-1].end_utc_s % 900 == 0


@given(st.lists(st.integers(1, 5 * HOUR_US), min_size=1, max_size=8))
def test_how_often_the_meter_is_asked_does_not_change_what_it_measures(spans: list[int]) -> None:
    often, once = Bench(), Bench()
    for span in spans:
        often.wait(span)
        often.meter.table(23, often.now_us)
    once.wait(sum(spans))
    assert often.book == once.book
    assert often.snapshot().images == once.snapshot().images


@given(st.lists(st.tuples(st.integers(1, 4 * HOUR_US), st.booleans()), max_size=8))
def test_a_kill_at_any_moment_loses_and_doubles_no_interval(steps: list[tuple[int, bool]]) -> None:
    killed, whole = Bench(), Bench()
    for span, kill in steps:
        killed.wait(span)
        whole.wait(span)
        if kill:
            killed.start()
    assert killed.book == whole.book
    assert killed.snapshot()[23] == whole.snapshot()[23]


def test_an_outage_is_logged_and_its_intervals_are_marked_skipped() -> None:
    bench = Bench()
    bench.wait(HOUR_US + 5 * 60 * US_PER_S)
    bench.meter.mains(False, bench.now_us)
    assert bench.meter.outgoing() == b"" and bench.meter.deadline_us() is None
    before = bench.nvram.get("meter")
    bench.now_us += 3 * HOUR_US
    assert bench.nvram.get("meter") == before
    bench.start()  # the processor starts anew with what the memory holds
    bench.wait(HOUR_US)
    assert [i.sequence for i in bench.book] == list(range(20))
    skipped = [i for i in bench.book if i.code == SKIPPED]
    assert len(skipped) == 11 and not any(value for i in skipped for value in i.values)
    log = bench.snapshot()[76]
    codes = [entry.EVENT_CODE.TBL_PROC_NBR for entry in log.ENTRIES[: log.NBR_VALID_ENTRIES]]
    assert codes == [1, 2]


def programming() -> tuple[Bench, Line]:
    """Give a meter whose demand control was just written, in a session that goes on."""
    bench = Bench(profile_named("residential-tou"))
    line = logged_on(bench, b"master")
    image = bytearray(bench.meter.table(13, bench.now_us))
    image[0] += 1
    line.run(write_table(13, bytes(image), line.client.limits))
    return bench, line


def test_a_profile_that_may_lose_nothing_has_the_beginning_of_a_long_outage() -> None:
    flags = (*RESIDENTIAL.tables[61]["LP_FLAGS"], "LP_SET1_INHIBIT_OVF_FLAG")
    dims = {**RESIDENTIAL.tables[61], "LP_FLAGS": flags, "NBR_BLKS_SET1": 2}
    bench = Bench(replace(RESIDENTIAL, tables={**RESIDENTIAL.tables, 61: dims}))
    bench.wait(3 * HOUR_US)
    bench.meter.mains(False, bench.now_us)
    bench.now_us += 100 * HOUR_US  # in two blocks are 48 hours
    bench.meter.mains(True, bench.now_us)
    bench.wait(HOUR_US)
    shown = load_profile(bench.snapshot()).ends_utc_s
    assert len(shown) == 192 and shown == [interval.end_utc_s for interval in bench.book]
    assert all(later - end == 900 for end, later in pairwise(shown))


def test_a_session_that_an_outage_cuts_short_ends_there_with_what_it_programmed() -> None:
    bench, line = programming()
    for on in (False, True):
        bench.meter.mains(on, line.now_us)
    history = [event.code for event in bench.snapshot().history()]
    assert history[-2:] == [13, 11]
    assert [event.code for event in bench.snapshot().events()[-2:]] == [1, 2]


@pytest.mark.parametrize("looks", [False, True])
def test_an_outage_returns_the_port_to_the_speed_at_which_it_begins(looks: bool) -> None:
    bench = Bench()
    line = bench.line()
    assert isinstance(line.run(open_session(LogonSettings(bauds=(19200,)))), ScriptDone)
    bench.meter.mains(False, line.now_us)
    told = [*bench.meter.events()] if looks else []
    bench.meter.mains(True, line.now_us)
    assert [*told, *bench.meter.events()] == [SetBaud(9600)]
    assert not bench.meter.events()


def test_a_meter_that_was_killed_while_it_was_programmed_says_so_and_of_no_later_session() -> None:
    bench, line = programming()
    for _ in range(2):
        bench.start()
    assert [event.code for event in bench.snapshot().history()[-2:]] == [10, 11]
    bench.meter.ended(line.now_us)
    assert [event.code for event in bench.snapshot().history()[-2:]] == [10, 11]


def test_the_load_profile_table_shows_what_the_book_says() -> None:
    bench = Bench()
    bench.wait(40 * HOUR_US)
    tables = bench.snapshot()
    status = tables[63].LP_STATUS_SET1
    assert status.LAST_BLOCK_SEQ_NBR == 1 and status.NBR_VALID_INT == 160 - 96
    block = tables[64].LP_DATA_SET1[status.LAST_BLOCK_ELEMENT]
    shown = [tuple(row.INT_DATA) for row in block.LP_INT[: status.NBR_VALID_INT]]
    assert shown == [interval.values for interval in bench.book[96:]]
    assert frozenset(range(64)) == block.SIMPLE_INT_STATUS


def test_rights_follow_the_password() -> None:
    bench = Bench()
    for password, may_read in ((None, False), (b"reader", True), (b"master", True)):
        line = logged_on(bench, password)
        answer = line.run(read_table(76, line.client.limits))
        assert isinstance(answer, ScriptDone) == may_read
        secret = line.run(read_table(42, line.client.limits))
        assert isinstance(secret, ScriptFailed) and isinstance(secret.error, ServiceRefused)
        assert secret.error.name == "isc"
        bench.now_us = line.now_us + 10 * US_PER_S
        bench.meter.expire(bench.now_us)


def test_five_wrong_passwords_lock_the_port_and_a_power_failure_does_not_help() -> None:
    bench = Bench()
    for _ in range(FREE_FAILURES):
        assert bench.meter.access.try_password(b"guess", bench.now_us) is False
    bench.meter.keep_access()
    bench.start()
    assert bench.meter.access.try_password(b"master", bench.now_us) is None
    bench.now_us += FIRST_DELAY_US
    assert bench.meter.access.try_password(b"master".ljust(20), bench.now_us) is True


def test_a_demand_reset_keeps_the_old_registers_and_begins_anew() -> None:
    bench = Bench()
    bench.wait(24 * HOUR_US)
    before = bench.snapshot()[23]
    assert before.TOT_DATA_BLOCK.DEMANDS[0].DEMAND[0] > 100
    assert procedure(bench, 9, b"\x03") == b"\x00\x03"
    after = bench.snapshot()
    assert after[23].NBR_DEMAND_RESETS == 1
    assert after[23].TOT_DATA_BLOCK.DEMANDS[0].DEMAND == [0]
    assert before == after[25].PREV_DEMAND_RESET_DATA
    assert after[26].NBR_VALID_ENTRIES == 1


def test_the_clock_is_set_by_procedure_10_and_the_change_is_logged() -> None:
    bench = Bench()
    answer = procedure(bench, 10, bytes((3, 26, 1, 1, 5, 30, 0, 0)))
    assert answer[0] == 0 and answer[7:] == bytes((26, 1, 1, 5, 30, 0))
    clock = bench.snapshot()[52].CLOCK_CALENDAR.value
    assert (clock.hour, clock.minute) == (5, 30)


def test_unknown_and_malformed_procedures_are_answered_and_change_nothing() -> None:
    bench = Bench()
    assert procedure(bench, 21, b"\x00")[0] == 6
    assert procedure(bench, 9, b"\xff")[0] == 2
    assert procedure(bench, 10, b"\x03\xff\xff\xff\xff\xff\xff\x00")[0] == 2
    assert bench.snapshot()[76].NBR_VALID_ENTRIES == 0


def test_a_write_needs_the_master_and_the_exact_length() -> None:
    bench = Bench()
    tables = bench.snapshot()
    image = layout_for(5, tables.context).encode({"IDENTIFICATION": "POLE 17"})
    bench.meter.access.try_password(b"master", 0)
    bench.meter.write_table(5, image, bench.now_us)
    bench.start()
    assert bench.snapshot()[5].IDENTIFICATION.strip() == "POLE 17"


def test_a_clock_that_was_set_runs_on_in_a_new_process_as_its_battery_keeps_it() -> None:
    bench = Bench()
    bench.wait(HOUR_US)
    bench.meter.set_clock(bench.meter.clock.utc_us(bench.now_us) + 2 * HOUR_US, bench.now_us)
    bench.meter.set_clock(bench.meter.clock.utc_us(bench.now_us) - HOUR_US, bench.now_us)
    recorded = len(bench.book)
    for hours in (3, 4):
        bench.now_us = hours * HOUR_US
        bench.calendar = Calendar(EPOCH_US + bench.now_us, 1, bench.now_us)  # the host's
        bench.start()
        bench.wait(0)
        assert bench.meter.clock.utc_us(bench.now_us) == EPOCH_US + (hours + 1) * HOUR_US
        measured = [interval.common for interval in bench.book[recorded:]]
        assert measured == [0] * 4 * (hours - 1)


def test_a_clock_that_was_set_and_not_saved_is_not_set() -> None:
    bench = Bench(nvram=CutNvram(30))
    bench.wait(HOUR_US)
    assert isinstance(bench.nvram, CutNvram)
    bench.nvram.left = 0
    with pytest.raises(PowerCut):
        bench.meter.set_clock(bench.meter.clock.utc_us(bench.now_us) + 2 * HOUR_US, bench.now_us)
    bench.nvram.left = -1
    bench.start()
    assert bench.meter.clock.utc_us(bench.now_us) == EPOCH_US + HOUR_US


def test_a_meter_that_was_gone_for_years_was_without_power() -> None:
    bench = Bench()
    bench.wait(5 * HOUR_US)
    before = bench.snapshot()
    bench.now_us += 10 * 365 * 24 * HOUR_US
    bench.start()
    after = bench.snapshot()
    assert after[23].TOT_DATA_BLOCK.SUMMATIONS == before[23].TOT_DATA_BLOCK.SUMMATIONS
    assert [event.code for event in after.events()][-2:] == [1, 2]
    assert after[3].ED_STD_STATUS1.POWER_FAILURE_FLAG == 1
    bench.wait(5 * HOUR_US)
    grown = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    assert grown[0] > after[23].TOT_DATA_BLOCK.SUMMATIONS[0]


def test_a_memory_of_another_meter_is_one_clear_error() -> None:
    nvram = MemoryNvram()
    Bench(profile_named("random", 1), nvram=nvram)
    for page, words in ((b"{", "no meter"), (b"[]", "no meter"), (b"{}", "no meter")):
        with pytest.raises(StorageError, match=words):
            Bench(nvram=MemoryNvram({"meter": page}))
    with pytest.raises(StorageError, match="holds a meter of profile random, not residential"):
        Bench(nvram=nvram)
    for seed in (2, 3, 4):
        with pytest.raises(StorageError, match="this meter"):
            Bench(profile_named("random", seed), nvram=nvram)
    own = {"seed": 3, "serial": "A 1", "interval_min": 5}
    made = Bench(**own)
    for other, words in (
        ({"seed": 4}, "of seed 3, not 4; give what it was begun with"),
        ({"serial": "A 2"}, "of serial number A 1, not A 2"),
        ({"interval_min": 15}, "of interval 5 min, not 15 min"),
        ({"interval_min": None}, "of interval 5 min, not of its profile"),
    ):
        with pytest.raises(StorageError, match=words):
            Bench(nvram=made.nvram, **(own | other))
    made.start()
    nvram.commit({"table.12": bytes(5)})
    with pytest.raises(StorageError, match="tables of another meter, ST-12"):
        Bench(profile_named("random", 1), nvram=nvram)
