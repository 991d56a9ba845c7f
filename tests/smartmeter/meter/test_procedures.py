"""Every standard procedure that a device lists does its work; the others are refused."""

from datetime import UTC, datetime

import pytest

from ansi_tables import Record
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.load_profile import OK, SKIPPED
from smartmeter.meter.profiles import PROFILES
from tests.smartmeter.meter.bench import EPOCH_US, HOUR_US, MINUTE_US, Bench, codes, procedure, run

TOU = PROFILES["residential-tou"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_what_st00_does_not_list_answers_unrecognized(profile) -> None:  # type: ignore[no-untyped-def]
    bench = Bench(profile)
    listed = bench.snapshot()[0].STD_PROC_USED
    for number in range(64):
        initiate = number.to_bytes(2, bench.meter.program.formats.data_order) + b"\x01"
        bench.meter.write_table(7, initiate, bench.now_us)
        answer = bench.meter.table(8, bench.now_us)
        assert answer[:3] == initiate
        assert (answer[3] == 6) == (number not in listed), number


def test_a_selector_says_whether_an_answer_is_posted() -> None:
    bench = Bench()
    before = bench.meter.table(8, 0)
    assert run(bench, 11, selector=2) == before[3:]
    assert run(bench, 11, selector=1) == before[3:]
    assert run(bench, 4, {"TBL_LIST": 99}, selector=1)[0] == 2
    assert run(bench, 11, selector=9)[0] == 2


def test_a_selector_says_so_for_parameters_that_cannot_be_read_as_well() -> None:
    bench = Bench()
    before = bench.meter.table(8, 0)
    for selector, posted in ((2, False), (1, True), (0, True)):
        initiate = (selector << 12 | 4).to_bytes(2, bench.meter.program.formats.data_order)
        bench.meter.write_table(7, initiate + b"\x01", 0)  # without TBL_LIST
        after = bench.meter.table(8, 0)
        assert after == (initiate + b"\x01\x02" if posted else before), selector


def test_the_log_names_the_procedure_that_ran_as_a_procedure_and_no_table() -> None:
    bench = Bench()
    run(bench, 11)
    done = bench.snapshot().events()[-1]
    assert done.code == 9 and done.details is not None
    assert done.details["PROCEDURE"].PROC_FLAG == 1
    assert done.details["PROCEDURE"].TBL_PROC_NBR == 11


def test_a_list_that_the_meter_has_not_is_no_parameter() -> None:
    bench = Bench()
    assert 74 not in bench.snapshot()[0].STD_TBLS_USED
    assert run(bench, 4, {"TBL_LIST": 8})[0] == 2
    assert run(bench, 5, {"TBL_LIST": 8, "ENTRIES_READ": 1})[0] == 2
    assert run(bench, 4, {"TBL_LIST": 255})[0] == 0  # of the others


def test_lists_are_acknowledged_and_reset_by_their_codes() -> None:
    # Not over the first of a month, on which this meter reads itself.
    bench = Bench(TOU, epoch_us=EPOCH_US + 4 * 24 * HOUR_US)
    bench.wait(60 * HOUR_US)
    run(bench, 9, {"ACTION_FLAG": flags(SELF_READ_FLAG=1)})
    unread = bench.snapshot()
    assert unread[63].LP_STATUS_SET1.NBR_UNREAD_BLOCKS == 3
    assert unread[26].NBR_UNREAD_ENTRIES == 1
    run(bench, 5, {"TBL_LIST": 3, "ENTRIES_READ": 2})
    run(bench, 5, {"TBL_LIST": 2, "ENTRIES_READ": 1})
    read = bench.snapshot()
    assert read[63].LP_STATUS_SET1.NBR_UNREAD_BLOCKS == 1
    assert read[26].NBR_UNREAD_ENTRIES == 0 and read[26].NBR_VALID_ENTRIES == 1
    assert run(bench, 4, {"TBL_LIST": 255})[0] == 0
    empty = bench.snapshot()
    assert empty[63].LP_STATUS_SET1.NBR_VALID_BLOCKS == 0
    assert empty[63].LP_STATUS_SET1.LAST_BLOCK_SEQ_NBR == 3
    assert empty[26].NBR_VALID_ENTRIES == 0
    assert run(bench, 4, {"TBL_LIST": 1})[0] == 0
    assert codes(bench)[0] == EventCode.EVENT_LOG_CLEARED


def flags(**ones: int) -> dict[str, int]:
    names = ("DEMAND_RESET_FLAG", "SELF_READ_FLAG", "SEASON_CHANGE_FLAG", "NEW_SEASON")
    return {**dict.fromkeys(names, 0), **ones}


def test_whoever_clears_the_data_is_seen_in_the_log_that_was_cleared_with_it() -> None:
    bench = Bench()
    bench.meter.inject("tamper", bench.now_us)
    assert codes(bench) == [EventCode.TAMPER_ATTEMPT]
    assert run(bench, 3)[0] == 0
    assert codes(bench)[0] == EventCode.EVENT_LOG_CLEARED


def test_readings_at_a_blocks_end_begin_anew_with_the_registers_when_the_data_are_cleared() -> None:
    for name, kind in (("commercial", "BLOCK_END_READ"), ("bcd-1997", "BLOCK_END_PULSE")):
        bench = Bench(PROFILES[name])
        bench.wait(30 * HOUR_US)
        assert run(bench, 3)[0] == 0
        bench.wait(3 * HOUR_US)
        tables = bench.snapshot()
        block = tables[64].LP_DATA_SET1[tables[63].LP_STATUS_SET1.LAST_BLOCK_ELEMENT]
        ends = [reading[kind] for reading in block.END_READINGS]
        if kind == "BLOCK_END_READ":
            assert any(ends) and ends == tables[23].TOT_DATA_BLOCK.SUMMATIONS
        else:
            rows = [interval.INT_DATA for interval in block.LP_INT]
            assert any(ends) and [sum(channel) for channel in zip(*rows, strict=True)] == ends


def test_a_second_demand_reset_within_the_exclusion_is_refused() -> None:
    bench = Bench(TOU)
    bench.wait(3 * HOUR_US)
    reset = {"ACTION_FLAG": flags(DEMAND_RESET_FLAG=1)}
    assert run(bench, 9, reset)[0] == 0
    bench.wait(29 * MINUTE_US)
    assert run(bench, 9, reset)[0] == 4
    bench.wait(MINUTE_US)
    assert run(bench, 9, reset)[0] == 0
    assert bench.snapshot()[23].NBR_DEMAND_RESETS == 2


@pytest.mark.parametrize("days", [-1, 1])
def test_an_exclusion_lasts_its_minutes_however_the_clock_is_set(days: int) -> None:
    bench = Bench(TOU)
    bench.wait(3 * HOUR_US)
    reset = {"ACTION_FLAG": flags(DEMAND_RESET_FLAG=1)}
    assert run(bench, 9, reset)[0] == 0
    bench.meter.set_clock(
        bench.meter.clock.utc_us(bench.now_us) + days * 24 * HOUR_US, bench.now_us
    )
    bench.wait(29 * MINUTE_US)
    assert run(bench, 9, reset)[0] == 4
    bench.wait(MINUTE_US)
    assert run(bench, 9, reset)[0] == 0


def program(bench: Bench, number: int, **changed: object) -> None:
    image = bench.meter.encode(number, bench.snapshot()[number] | changed)
    bench.meter.write_table(number, image, bench.now_us)


def _best(registers: Record) -> list[object]:
    return [demand.DEMAND for demand in registers.TOT_DATA_BLOCK.DEMANDS]


@pytest.mark.parametrize("name", ["bcd-1997", "commercial", "residential-tou"])
def test_one_command_to_read_and_reset_does_each_once_and_keeps_what_it_resets(name: str) -> None:
    """ST-21 of two of them has the one bring the other as well."""
    bench = Bench(PROFILES[name], epoch_us=EPOCH_US + 4 * 24 * HOUR_US)
    bench.wait(10 * HOUR_US)
    before = bench.snapshot()
    both = {"ACTION_FLAG": flags(DEMAND_RESET_FLAG=1, SELF_READ_FLAG=1)}
    assert run(bench, 9, both) == b"\x00\x03"
    after = bench.snapshot()
    assert after[23].NBR_DEMAND_RESETS == before[23].NBR_DEMAND_RESETS + 1
    assert before[23] == after[25].PREV_DEMAND_RESET_DATA
    assert after[26].NBR_VALID_ENTRIES == before[26].NBR_VALID_ENTRIES + 1
    newest = after[26].SELF_READS_ENTRIES[after[26].LAST_ENTRY_ELEMENT]
    assert before[23] == newest.SELF_READ_REGISTER_DATA


@pytest.mark.parametrize("armed", [0, 1])
def test_the_last_season_keeps_its_demand_though_a_reset_ends_it(armed: int) -> None:
    bench = Bench(TOU)
    flags_51 = bench.snapshot()[51].TIME_FUNC_FLAG1 | {"SEASON_CHNG_ARMED_FLAG": armed}
    program(bench, 51, TIME_FUNC_FLAG1=flags_51)
    bench.wait(10 * HOUR_US)
    bench.meter.metering.time.state.armed_season = 1 if armed else None
    before = bench.snapshot()[23]
    change = {} if armed else {"SEASON_CHANGE_FLAG": 1, "NEW_SEASON": 1}
    assert run(bench, 9, {"ACTION_FLAG": flags(DEMAND_RESET_FLAG=1, **change)})[0] == 0
    after = bench.snapshot()
    assert after[55].STATUS.SEASON == 1 and any(any(best) for best in _best(before))
    assert not any(any(best) for best in _best(after[23]))
    assert before == after[24].PREV_SEASON_REG_DATA
    assert after[24].REGISTER_INFO.SEASON == after[25].REGISTER_INFO.SEASON == 0


def test_an_armed_season_is_given_up_when_the_calendar_returns_to_the_one_in_force() -> None:
    begin_s = int(datetime(2026, 9, 30, 12, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=begin_s * US_PER_S)
    armed = bench.snapshot()[51].TIME_FUNC_FLAG1 | {"SEASON_CHNG_ARMED_FLAG": 1}
    program(bench, 51, TIME_FUNC_FLAG1=armed)
    state = bench.meter.metering.time.state
    state.season, state.armed_season = 0, 1  # since June, when the calendar had no reset
    bench.wait(24 * HOUR_US)  # over the date on which season 0 begins, with a reset
    assert EventCode.DEMAND_RESET in codes(bench)
    assert bench.snapshot()[55].STATUS.SEASON == 0


def test_a_date_that_the_clock_comes_to_again_is_read_and_reset_once() -> None:
    """The first of March, for which this meter's calendar has both."""
    eve_s = int(datetime(2026, 3, 1, 4, 59, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=eve_s * US_PER_S)
    program(bench, 13, RESET_EXCLUSION=0)
    for back_s in (3, 20 * 3600, 0):
        bench.wait(2 * MINUTE_US)
        tables = bench.snapshot()
        assert tables[23].NBR_DEMAND_RESETS == tables[26].NBR_VALID_ENTRIES == 1
        utc_us = (eve_s + 57) * US_PER_S - back_s * US_PER_S
        bench.meter.set_clock(utc_us, bench.now_us)
        assert bench.snapshot()[52].CLOCK_CALENDAR.value.day == 28
        bench.wait(back_s * US_PER_S)
    april_us = int(datetime(2026, 4, 1, 3, 59, tzinfo=UTC).timestamp()) * US_PER_S
    bench.meter.set_clock(april_us, bench.now_us)
    bench.wait(2 * MINUTE_US)
    assert bench.snapshot()[23].NBR_DEMAND_RESETS == 2


def test_a_season_that_the_clock_comes_to_again_is_read_and_reset_once() -> None:
    eve_s = int(datetime(2026, 6, 1, 3, 59, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=eve_s * US_PER_S)
    flags = {"SEASON_SELF_READ_FLAG": 1, "SEASON_DEMAND_RESET_FLAG": 1}
    program(bench, 51, TIME_FUNC_FLAG1=bench.snapshot()[51].TIME_FUNC_FLAG1 | flags)
    program(bench, 13, RESET_EXCLUSION=0)
    bench.wait(2 * MINUTE_US)
    first = bench.snapshot()
    assert first[23].NBR_DEMAND_RESETS == first[26].NBR_VALID_ENTRIES == 1
    bench.meter.set_clock((eve_s + 57) * US_PER_S, bench.now_us)
    assert bench.snapshot()[55].STATUS.SEASON == 0
    bench.wait(2 * MINUTE_US)
    tables = bench.snapshot()
    assert tables[55].STATUS.SEASON == first[55].STATUS.SEASON == 1
    assert tables[23].NBR_DEMAND_RESETS == tables[26].NBR_VALID_ENTRIES == 1
    assert tables[24] == first[24] and tables[25] == first[25]


def test_a_date_that_a_clock_set_passed_over_is_read_and_reset_when_it_comes() -> None:
    """The clock is a day ahead for hours in which a tier begins."""
    eve_s = int(datetime(2026, 2, 28, 17, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=eve_s * US_PER_S)
    bench.meter.set_clock((eve_s + 24 * 3600) * US_PER_S, bench.now_us)
    bench.wait(10 * HOUR_US)
    bench.meter.set_clock((eve_s + 10 * 3600) * US_PER_S, bench.now_us)
    assert bench.snapshot()[23].NBR_DEMAND_RESETS == 0
    bench.wait(10 * HOUR_US)
    tables = bench.snapshot()
    assert tables[23].NBR_DEMAND_RESETS == tables[26].NBR_VALID_ENTRIES == 1


@pytest.mark.parametrize("armed", [0, 1])
def test_a_clock_set_within_a_season_of_the_calendar_leaves_the_season_as_it_was(
    armed: int,
) -> None:
    bench = Bench(TOU, epoch_us=EPOCH_US + 4 * 24 * HOUR_US)
    bench.wait(10 * HOUR_US)
    if armed:
        bench.meter.metering.time.state.armed_season = 1
    else:
        run(bench, 9, {"ACTION_FLAG": flags(SEASON_CHANGE_FLAG=1, NEW_SEASON=1)})
    now_us = bench.meter.clock.utc_us(bench.now_us)
    bench.meter.set_clock(now_us + 3 * US_PER_S, bench.now_us)
    assert 1 - armed == bench.snapshot()[55].STATUS.SEASON
    run(bench, 9, {"ACTION_FLAG": flags(DEMAND_RESET_FLAG=1)})
    assert bench.snapshot()[55].STATUS.SEASON == 1
    july_us = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) * US_PER_S
    bench.meter.set_clock(july_us, bench.now_us)
    bench.meter.set_clock(now_us, bench.now_us)
    assert bench.snapshot()[55].STATUS.SEASON == 0


def test_a_season_changes_on_command_and_keeps_the_registers_of_the_old_one() -> None:
    bench = Bench(TOU)
    bench.wait(10 * HOUR_US)
    before = bench.snapshot()
    assert before[55].STATUS.SEASON == 0
    change = {"ACTION_FLAG": flags(SEASON_CHANGE_FLAG=1, NEW_SEASON=1)}
    assert run(bench, 9, change)[0] == 0
    after = bench.snapshot()
    assert after[55].STATUS.SEASON == 1
    assert after[24].REGISTER_INFO.SEASON == 0
    assert before[23] == after[24].PREV_SEASON_REG_DATA
    assert EventCode.SEASON_CHANGED in codes(bench)
    wrong = {"ACTION_FLAG": flags(SEASON_CHANGE_FLAG=1, NEW_SEASON=2)}
    assert run(bench, 9, wrong)[0] == 2


def test_test_mode_keeps_what_flows_out_of_the_billing_registers() -> None:
    bench = Bench(TOU)
    bench.wait(2 * HOUR_US)
    modes = {"METERING_FLAG": 0, "TEST_MODE_FLAG": 1, "METER_SHOP_MODE_FLAG": 0, "FACTORY_FLAG": 0}
    assert run(bench, 6, {"ED_MODE": modes})[0] == 0
    before = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS
    bench.wait(2 * HOUR_US)
    tables = bench.snapshot()
    assert tables[3].ED_MODE.TEST_MODE_FLAG == 1 and tables[3].ED_MODE.METERING_FLAG == 0
    assert before == tables[23].TOT_DATA_BLOCK.SUMMATIONS
    assert tables[63].LP_STATUS_SET1.LP_SET_STATUS_FLAGS.TEST_MODE == 1
    bench.start()
    assert bench.snapshot()[3].ED_MODE.TEST_MODE_FLAG == 1
    back = modes | {"METERING_FLAG": 1, "TEST_MODE_FLAG": 0}
    assert run(bench, 6, {"ED_MODE": back})[0] == 0
    bench.wait(HOUR_US)
    assert bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS[0] > before[0]
    assert {32, 33} <= set(codes(bench))


@pytest.mark.parametrize(
    "number, octets", [(6, b"\xf1"), (9, b"\x82"), (10, b"\xfb" + bytes((26, 1, 5, 1, 2, 3, 0)))]
)
def test_spare_bits_of_parameters_are_not_looked_at(number: int, octets: bytes) -> None:
    bench = Bench(TOU)
    initiate = number.to_bytes(2, bench.meter.program.formats.data_order) + b"\x05" + octets
    bench.meter.write_table(7, initiate, bench.now_us)
    assert bench.meter.table(8, bench.now_us)[3] == 0


def test_stopped_recording_leaves_a_gap_and_a_full_block() -> None:
    bench = Bench()
    bench.wait(3 * HOUR_US)
    assert run(bench, 17)[0] == 0
    flags_off = bench.snapshot()[63].LP_STATUS_SET1.LP_SET_STATUS_FLAGS
    assert flags_off.ACTIVE_MODE_FLAG == 0
    bench.wait(3 * HOUR_US)
    assert len(bench.book) == 12
    assert run(bench, 16)[0] == 0
    bench.wait(HOUR_US)
    status = bench.snapshot()[63].LP_STATUS_SET1
    assert status.LAST_BLOCK_SEQ_NBR == 1 and status.NBR_VALID_INT == 4
    assert [interval.code for interval in bench.book[12:96]] == [SKIPPED] * 84
    assert [interval.code for interval in bench.book[96:]] == [OK] * 4


def test_status_flags_are_cleared_but_for_those_whose_cause_is_there() -> None:
    bench = Bench()
    bench.meter.inject("low-battery", bench.now_us)
    bench.meter.inject("cover", bench.now_us)
    bench.meter.relieve("cover", bench.now_us)
    status = bench.snapshot()[3].ED_STD_STATUS1
    assert status.LOW_BATTERY_FLAG and status.TAMPER_DETECT_FLAG
    answer = run(bench, 7)
    assert answer[0] == 0 and len(answer) == 4
    status = bench.snapshot()[3].ED_STD_STATUS1
    assert status.LOW_BATTERY_FLAG and not status.TAMPER_DETECT_FLAG


def test_what_clearing_the_status_flags_leaves_is_what_st03_shows() -> None:
    bench = Bench()
    bench.meter.access.try_password(b"guess", bench.now_us)
    answer = run(bench, 7, {})
    assert answer[1:] == bench.meter.table(3, bench.now_us)[1:4] != bytes(3)


def test_manufacturer_flags_are_cleared_but_for_those_whose_cause_is_there() -> None:
    bench = Bench(TOU)
    for kind in ("swell", "load-side-voltage"):
        bench.meter.inject(kind, bench.now_us)
    bench.meter.relieve("swell", bench.now_us)
    assert {2, 3} == bench.snapshot()[3].ED_MFG_STATUS
    answer = run(bench, 8, {"ED_MFG_STATUS": frozenset()})
    assert answer == bytes((0, 1 << 3))
    assert {3} == bench.snapshot()[3].ED_MFG_STATUS


def test_a_log_in_by_procedure_gives_rights_and_counts_wrong_passwords() -> None:
    bench = Bench(TOU)
    wrong = (77).to_bytes(2, "little") + b"guess".ljust(20)
    assert procedure(bench, 18, wrong, password=b"reader")[0] == 5
    assert bench.meter.access.failures == 1
    right = (77).to_bytes(2, "little") + b"master".ljust(20)
    assert procedure(bench, 18, right, password=b"reader")[0] == 0
    assert bench.meter.access.failures == 0


def test_after_a_log_out_by_procedure_a_session_is_that_of_its_own_user_again() -> None:
    bench = Bench(TOU)
    bench.meter.access.log_on(5)
    run(bench, 18, {"USER_ID": 77, "PASSWORD": b"master".ljust(20)})
    assert bench.meter.access.groups and bench.snapshot().history()[-1].user == 77
    run(bench, 19)
    assert not bench.meter.access.groups and bench.snapshot().history()[-1].user == 5


def test_a_cold_start_brings_the_factory_back() -> None:
    bench = Bench()
    factory = bench.snapshot()
    bench.wait(5 * HOUR_US)
    image = bytearray(bench.meter.table(13, bench.now_us))
    image[0] = 30
    bench.meter.write_table(13, bytes(image), bench.now_us)
    assert run(bench, 0)[0] == 0
    now = bench.snapshot()
    assert now.images[13] == factory.images[13]
    assert now[23].TOT_DATA_BLOCK.SUMMATIONS == [0, 0, 0, 0]
    bench.start()
    assert bench.snapshot().images[13] == factory.images[13]


def test_the_clock_takes_date_time_or_both() -> None:
    bench = Bench()
    before = bench.meter.table(52, 0)
    mask_time = bytes((1, 1, 2, 3, 23, 59, 58, 0))
    answer = procedure(bench, 10, mask_time)
    assert answer[0] == 0 and answer[1:7] >= before[:6]
    assert answer[7:13] == bytes((26, 1, 1, 23, 59, 58))
    mask_date = bytes((2, 27, 2, 3, 0, 0, 0, 0))
    assert procedure(bench, 10, mask_date)[7:10] == bytes((27, 2, 3))


@pytest.mark.parametrize(
    "given, shown",
    [
        ("010000000c1e0000", (26, 1, 1, 12, 30, 0)),
        ("01ffffff0c1e0000", (26, 1, 1, 12, 30, 0)),
        ("021b0203ffffff00", (27, 2, 3, 0, 0, 0)),
    ],
)
def test_what_the_mask_leaves_out_of_a_time_is_not_looked_at(
    given: str, shown: tuple[int, ...]
) -> None:
    answer = procedure(Bench(), 10, bytes.fromhex(given))
    assert answer == bytes((0, 26, 1, 1, 0, 0, 0, *shown))


@pytest.mark.parametrize("start", [1, 7])
@pytest.mark.parametrize(
    "wanted",
    [(26, 7, 1, 12, 0, 0), (26, 12, 1, 12, 0, 0), (26, 3, 8, 1, 59, 59), (26, 3, 8, 3, 0, 0)],
)
def test_a_clock_set_into_the_other_half_of_the_year_shows_what_it_was_set_to(
    start: int, wanted: tuple[int, ...]
) -> None:
    epoch_s = int(datetime(2026, start, 10, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=epoch_s * US_PER_S)
    assert procedure(bench, 10, bytes((3, *wanted, 0)))[7:13] == bytes(wanted)


def test_an_hour_that_comes_twice_is_set_as_daylight_saving_is_now() -> None:
    for start, on in ((1, 0), (7, 1)):
        epoch_s = int(datetime(2026, start, 10, tzinfo=UTC).timestamp())
        bench = Bench(TOU, epoch_us=epoch_s * US_PER_S)
        procedure(bench, 10, bytes((3, 26, 11, 1, 1, 30, 0, 0)))
        assert on == bench.snapshot()[52].TIME_DATE_QUAL.DST_FLAG


def test_a_date_that_is_none_changes_nothing_of_the_qualifier_either() -> None:
    bench = Bench()
    before = bench.snapshot()[52]
    assert procedure(bench, 10, bytes((7, 27, 13, 1, 0, 0, 0, 0x60)))[0] == 2
    assert bench.snapshot()[52] == before


def test_a_precise_clock_takes_and_shows_hundredths_of_a_second() -> None:
    bench = Bench(TOU)
    bench.wait(1_230_000)
    before = bench.snapshot()[57]
    assert before.CLOCK_CALENDAR.value.microsecond == 230_000
    assert before.STATUS == bench.snapshot()[55].STATUS
    mask = {"SET_TIME_FLAG": 1, "SET_DATE_FLAG": 1, "SET_TIME_DATE_QUAL": 0}
    moment = datetime(2026, 2, 3, 4, 5, 6, 780_000)
    given = {"SET_MASK": mask, "DATE_TIME": moment, "TIME_DATE_QUAL": 0}
    answer = run(bench, 32, given)
    assert answer[0] == 0
    assert answer[8:] == bytes((26, 2, 3, 4, 5, 6, 78))
    bench.wait(220_000)
    assert bench.snapshot()[57].CLOCK_CALENDAR.value == moment.replace(second=7, microsecond=0)
    assert {3, 4, 9} <= set(codes(bench)) | set(codes(bench, 74))


def test_a_device_without_a_known_shape_of_precise_times_does_not_offer_them() -> None:
    for profile in (PROFILES["commercial"], PROFILES["bcd-1997"], PROFILES["unusual"]):
        assert 32 not in profile.procedures and 57 not in profile.used
