"""What is written into a table changes what the meter does; what it cannot do is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ansi_tables import Record, Snapshot, TableError, layout_for
from ansi_tables.meaning.clock import clock_rules
from protocols.c1218.client import ScriptDone
from protocols.c1218.scripts import close_session, read_table, write_table
from protocols.c1218.server import Refused
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.access import Rule
from smartmeter.meter.configuration import with_tables
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.load_profile import CHANGED, OK, PARTIAL
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profile import ACTUAL, factory_images
from smartmeter.meter.profiles import PROFILES, profile_named
from smartmeter.meter.program import ConfigurationRefused
from tests.smartmeter.meter.bench import HOUR_US, MINUTE_US, Bench, codes, exact, logged_on, run

TOU, COMMERCIAL = PROFILES["residential-tou"], PROFILES["commercial"]


def write(bench: Bench, number: int, **members: object) -> None:
    """Write a table as it is, but for some members; under its own new sizes."""
    tables = bench.snapshot()
    layout = layout_for(number & 0x0FFF, tables.context)
    image = layout.encode(tables[number & 0x0FFF] | members)
    bench.meter.write_table(number, image, bench.now_us)


def test_a_shorter_profile_interval_is_recorded_from_then_on_and_the_old_data_is_gone() -> None:
    bench = Bench()
    bench.wait(10 * HOUR_US)
    write(bench, 61, MAX_INT_TIME_SET1=5)
    cleared = bench.snapshot()
    assert cleared[63].LP_STATUS_SET1.NBR_VALID_BLOCKS == 0
    begun = len(bench.book)
    bench.wait(HOUR_US)
    recorded = bench.book[begun:]
    assert len(recorded) == 12
    assert all(interval.end_utc_s % 300 == 0 for interval in recorded)
    assert EventCode.TABLE_WRITTEN in codes(bench)
    bench.start()
    assert bench.snapshot()[61].MAX_INT_TIME_SET1 == 5


def test_more_channels_than_the_device_can_is_refused_and_changes_nothing() -> None:
    bench = Bench()
    bench.wait(HOUR_US)
    before = bench.snapshot().images
    for member, value in (("NBR_CHNS_SET1", 3), ("NBR_BLKS_SET1", 11), ("MAX_INT_TIME_SET1", 7)):
        with pytest.raises(Refused):
            write(bench, 61, **{member: value})
    with pytest.raises(Refused):
        bench.meter.write_table(61, before[61] + b"\0", bench.now_us)
    assert bench.snapshot().images == before


def test_fewer_channels_shorten_the_tables_of_the_decade() -> None:
    bench = Bench()
    write(bench, 61, NBR_CHNS_SET1=1)
    tables = bench.snapshot()
    exact(tables)
    assert len(tables[62].LP_SEL_SET1) == 1 and tables[62].LP_SEL_SET1[0].LP_SOURCE_SELECT == 0
    bench.wait(5 * HOUR_US)
    assert all(len(interval.values) == 1 for interval in bench.book)
    exact(bench.snapshot())


def test_another_source_in_a_register_is_what_the_register_then_counts() -> None:
    bench = Bench()
    bench.wait(24 * HOUR_US)
    var = bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS[2]
    write(bench, 22, SUMMATION_SELECT=[{"SOURCE_INDEX": n} for n in (2, 1, 0, 3)])
    assert bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS == [0, 0, 0, 0]
    bench.wait(24 * HOUR_US)
    assert 0 < bench.snapshot()[23].TOT_DATA_BLOCK.SUMMATIONS[0] < 3 * var
    with pytest.raises(Refused):
        write(bench, 22, SUMMATION_SELECT=[{"SOURCE_INDEX": 4}] * 4)  # a demand
    with pytest.raises(Refused):
        write(bench, 22, DEMAND_SELECT=[{"SOURCE_INDEX": 99}])


def test_a_longer_demand_interval_is_used_from_the_next_one_on() -> None:
    bench = Bench()
    write(bench, 13, INTERVAL_VALUE=[{"INT_LENGTH": 60}])
    bench.wait(3 * HOUR_US)
    event = bench.snapshot()[23].TOT_DATA_BLOCK.DEMANDS[0].EVENT_TIME[0].value
    assert event is not None and event.minute == 0
    with pytest.raises(Refused):
        write(bench, 13, INTERVAL_VALUE=[{"INT_LENGTH": 0}])


def test_a_new_calendar_moves_the_tier_at_once_and_the_sum_stays_the_total() -> None:
    bench = Bench(TOU)
    bench.wait(5 * HOUR_US)
    calendar = bench.snapshot()[54]
    switches = [dict(entry) for entry in calendar.TIER_SWITCHES]
    for entry in switches:
        if entry["TIER_SWITCH"].SWITCH_HOUR < 24:
            entry["TIER_SWITCH"] = entry["TIER_SWITCH"] | {"NEW_TIER": 3}
    write(bench, 54, TIER_SWITCHES=switches)
    assert bench.snapshot()[55].STATUS.CURR_TIER == 3
    bench.wait(5 * HOUR_US)
    registers = bench.snapshot()[23]
    tiers = [block.SUMMATIONS[0] for block in registers.TIER_DATA_BLOCK]
    assert tiers[3] > 0 and sum(tiers) == registers.TOT_DATA_BLOCK.SUMMATIONS[0]
    with pytest.raises(Refused):
        switches[0]["TIER_SWITCH"] = switches[0]["TIER_SWITCH"] | {"NEW_TIER": 4}
        write(bench, 54, TIER_SWITCHES=switches)


def test_a_clock_set_into_the_morning_goes_on_in_the_last_tier_of_the_day_before() -> None:
    """Where no switch is at midnight; the day before is not that on which the meter was."""
    bench = Bench(TOU)  # winter; schedule 0 is the weekend's, 1 that of other days
    moved = {(0, 0): {"SWITCH_HOUR": 1}, (1, 0): {"SWITCH_HOUR": 1}, (1, 22): {"NEW_TIER": 3}}
    switches = [dict(entry) for entry in bench.snapshot()[54].TIER_SWITCHES]
    for entry in switches:
        switch = entry["TIER_SWITCH"]
        entry["TIER_SWITCH"] |= moved.get((entry["DAY_SCH_NUM"], switch.SWITCH_HOUR), {})
    write(bench, 54, TIER_SWITCHES=switches)
    for day, carried in ((4, 0), (5, 0), (6, 3), (4, 0), (7, 3)):  # the 4th is a Sunday
        local_s = int(datetime(2026, 1, day, 0, 30, tzinfo=UTC).timestamp())
        bench.meter.set_clock((local_s + 5 * 3600) * 1_000_000, bench.now_us)
        tables = bench.snapshot()
        assert tables.clock().now.day == day and carried == tables[55].STATUS.CURR_TIER, day


def test_a_log_that_does_not_monitor_an_event_does_not_get_it() -> None:
    bench = Bench()
    write(bench, 75, STD_EVENTS_MONITORED_FLAGS=frozenset((20,)))
    before = codes(bench)
    bench.meter.mains(False, bench.now_us)
    bench.meter.mains(True, bench.now_us)
    run(bench, 9, {"ACTION_FLAG": 1})
    assert codes(bench) == [*before, 20]


def test_a_pending_table_becomes_active_when_its_time_comes() -> None:
    bench = Bench(TOU)
    tables = bench.snapshot()
    image = layout_for(61, tables.context).encode(tables[61] | {"MAX_INT_TIME_SET1": 30})
    at = datetime(2025, 12, 31, 22, 0, tzinfo=UTC)  # local time of the meter: 3 h ahead
    event = bytes([0, at.year % 100, at.month, at.day, at.hour, at.minute])
    bench.meter.write_table(0x1000 | 61, event + image, bench.now_us)
    waiting = bench.snapshot()[4]
    assert waiting.NBR_PENDING_ACTIVATION == 1
    assert waiting.PENDING_TABLES[0].TABLE_SELECTOR.TBL_PROC_NBR == 61
    assert bench.meter.table(0x1000 | 61, bench.now_us) == event + image
    bench.start()  # what waits survives a power cut
    bench.wait(3 * HOUR_US - MINUTE_US)
    assert bench.snapshot()[61].MAX_INT_TIME_SET1 == 15
    bench.wait(MINUTE_US)
    after = bench.snapshot()
    assert after[61].MAX_INT_TIME_SET1 == 30 and after[4].NBR_PENDING_ACTIVATION == 0
    assert after[4].LAST_ACTIVATION_DATE_TIME.value == at.replace(tzinfo=None)
    assert EventCode.PENDING_TABLE_ACTIVATED in codes(bench)


def test_a_meter_that_a_waiting_table_programmed_says_so_then_and_of_no_later_session() -> None:
    bench = Bench(TOU)
    image = bytearray(bench.meter.table(13, bench.now_us))
    image[0] += 1
    bench.meter.write_table(0x1000 | 13, bytes((1, 0, 0, 0, 0, 10, *image)), bench.now_us)
    bench.wait(MINUTE_US)
    assert codes(bench)[-2:] == [EventCode.PENDING_TABLE_ACTIVATED, EventCode.ED_PROGRAMMED]
    line = logged_on(bench, b"reader")
    line.run(close_session())
    bench.now_us = line.now_us
    told = [one.code for one in bench.snapshot().history()]
    assert told[-1] == EventCode.COMM_TERMINATED_NORMALLY
    assert told.count(EventCode.ED_PROGRAMMED) == 1


@pytest.mark.parametrize("start, wanted", [((3, 7), (3, 9)), ((10, 31), (11, 2))])
def test_a_pending_table_waits_for_what_the_clock_shows_also_over_daylight_saving(
    start: tuple[int, int], wanted: tuple[int, int]
) -> None:
    begun = datetime(2026, *start, tzinfo=UTC)
    bench = Bench(TOU, epoch_us=int(begun.timestamp()) * US_PER_S)
    event = bytes([0, 26, *wanted, 6, 30])
    bench.meter.write_table(0x1000 | 5, event + b"POLE 17".ljust(20), bench.now_us)
    bench.start()
    summer = wanted[0] == 3
    due = datetime(2026, *wanted, 6 + (4 if summer else 5), 30, tzinfo=UTC)
    bench.wait(int((due - begun).total_seconds() - 1) * US_PER_S)
    assert bench.snapshot()[5].IDENTIFICATION.strip() != "POLE 17"
    bench.wait(US_PER_S)
    after = bench.snapshot()
    assert after[5].IDENTIFICATION.strip() == "POLE 17"
    assert after[4].LAST_ACTIVATION_DATE_TIME.value == datetime(2026, *wanted, 6, 30)


def test_a_clock_that_is_set_moves_a_time_that_is_waited_for_but_no_span() -> None:
    bench = Bench(TOU)  # 2025-12-31 19:00 where it is
    until, after = bytes([0, 25, 12, 31, 21, 0]), bytes([1, 0, 0, 3, 0, 0])
    bench.meter.write_table(0x1000 | 5, until + b"POLE 17".ljust(20), bench.now_us)
    names = bench.meter.images[6]
    bench.meter.write_table(0x1000 | 6, after + b"N" * len(names), bench.now_us)
    bench.meter.set_clock(bench.meter.clock.utc_us(bench.now_us) + HOUR_US, bench.now_us)
    for hours, number, image in ((1, 5, b"POLE 17".ljust(20)), (3, 6, b"N" * len(names))):
        bench.wait(hours * HOUR_US - bench.now_us - US_PER_S)
        assert bench.meter.table(number, bench.now_us) != image
        bench.wait(US_PER_S)
        assert bench.meter.table(number, bench.now_us) == image


def test_pending_tables_of_one_event_are_activated_together_or_discarded() -> None:
    bench = Bench(COMMERCIAL)
    tables = bench.snapshot()
    trigger = b"\x02hello"
    dims = layout_for(61, tables.context).encode(tables[61] | {"NBR_CHNS_SET2": 1})
    bench.meter.write_table(0x1000 | 61, trigger + dims, bench.now_us)
    bench.meter.write_table(0x1000 | 27, b"\x01" + bytes((0, 0, 0, 5, 0)) + tables.images[27], 0)
    assert bench.snapshot()[4].NBR_PENDING_ACTIVATION == 2
    event = {"EVENT_SELECTOR": {"EVENT_CODE": 2, "SELF_READ_FLAG": 0, "DEMAND_RESET_FLAG": 0}}
    event |= {"EVENT_STORAGE": b"hello"}
    assert run(bench, 13, {"PENDING_EVENT": event})[0] == 0
    active = bench.snapshot()
    assert active[61].NBR_CHNS_SET2 == 1 and len(active[62].LP_SEL_SET2) == 1
    exact(active)
    assert active[4].NBR_PENDING_ACTIVATION == 1
    assert run(bench, 14)[0] == 0
    assert bench.snapshot()[4].NBR_PENDING_ACTIVATION == 0
    assert run(bench, 13, {"PENDING_EVENT": event})[0] == 2


def test_filler_in_the_event_of_a_pending_table_does_not_matter_to_who_activates_it() -> None:
    bench = Bench(COMMERCIAL)
    image = bench.snapshot().images[27]
    bench.meter.write_table(0x1000 | 27, b"\xc2hello" + image, bench.now_us)
    event = {"EVENT_SELECTOR": {"EVENT_CODE": 2, "SELF_READ_FLAG": 0, "DEMAND_RESET_FLAG": 0}}
    assert run(bench, 13, {"PENDING_EVENT": event | {"EVENT_STORAGE": b"hello"}})[0] == 0
    assert bench.snapshot()[4].NBR_PENDING_ACTIVATION == 0


def test_a_pending_table_of_a_wrong_size_is_refused_when_it_is_written() -> None:
    bench = Bench(COMMERCIAL)
    tables, event = bench.snapshot(), b"\x02hello"
    images = tables.images
    for number, image in ((61, images[61][:-1]), (62, images[62] + b"\0"), (22, b""), (5, b"POLE")):
        with pytest.raises(Refused):
            bench.meter.write_table(0x1000 | number, event + image, bench.now_us)
    fewer = layout_for(61, tables.context).encode(tables[61] | {"NBR_CHNS_SET2": 1})
    shorter = with_tables(bench.meter.images, {61: fewer})[0][62]
    assert len(shorter) < len(images[62])
    with pytest.raises(Refused):
        bench.meter.write_table(0x1000 | 62, event + shorter, bench.now_us)
    bench.meter.write_table(0x1000 | 61, event + fewer, bench.now_us)
    bench.meter.write_table(0x1000 | 62, event + shorter, bench.now_us)
    assert bench.snapshot()[4].NBR_PENDING_ACTIVATION == 2


def test_pending_tables_that_make_no_meter_stay_and_are_reported() -> None:
    bench = Bench(COMMERCIAL)
    dims = bench.snapshot()[61] | {"MAX_INT_TIME_SET1": 7}
    image = layout_for(61, bench.snapshot().context).encode(dims)
    bench.meter.write_table(0x1000 | 61, b"\x02hello" + image, bench.now_us)
    assert run(bench, 12)[0] == 3
    assert bench.snapshot()[4].NBR_PENDING_ACTIVATION == 1
    bench.meter.write_table(0x1000 | 61, b"\x01" + bytes((0, 0, 1, 0, 0)) + image, bench.now_us)
    bench.wait(HOUR_US)
    status = bench.snapshot()
    assert status[4].NBR_PENDING_ACTIVATION == 0 and status[61].MAX_INT_TIME_SET1 == 15
    assert status[3].ED_STD_STATUS1.CONFIGURATION_ERROR_FLAG == 1
    assert EventCode.CONFIGURATION_ERROR in codes(bench)


def test_a_clock_over_daylight_saving_shows_local_time_and_loses_no_interval() -> None:
    begin = int(datetime(2026, 3, 8, 4, 0, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=begin * US_PER_S)
    bench.wait(2 * HOUR_US + 59 * MINUTE_US)
    clock = bench.snapshot()[52]
    assert str(clock.CLOCK_CALENDAR.value) == "2026-03-08 01:59:00"
    bench.wait(MINUTE_US)
    clock = bench.snapshot()[52]
    assert str(clock.CLOCK_CALENDAR.value) == "2026-03-08 03:00:00"
    assert clock.TIME_DATE_QUAL.DST_FLAG == 1
    bench.wait(HOUR_US)
    assert [interval.end_utc_s for interval in bench.book] == list(
        range(begin + 900, begin + 4 * 3600 + 1, 900)
    )
    assert [interval.common & 1 for interval in bench.book] == [0] * 12 + [1] * 4
    assert EventCode.DST_ON in codes(bench)


@pytest.mark.parametrize("words, told", [((1, 2), []), ((2, 1), [EventCode.DST_ON])])
def test_of_two_words_on_daylight_saving_for_one_date_the_last_counts(
    words: tuple[int, int], told: list[int]
) -> None:
    bench = Bench(TOU, epoch_us=int(datetime(2026, 3, 8, 4, tzinfo=UTC).timestamp()) * US_PER_S)
    dates = bench.snapshot()[54].NON_RECURR_DATES
    today = dates[2]
    assert str(today.NON_RECURR_DATE.value) == "2026-03-08"
    both = [
        today | {"CALENDAR_ACTION": today.CALENDAR_ACTION | {"CALENDAR_CTRL": word}}
        for word in words
    ]
    write(bench, 54, NON_RECURR_DATES=[*dates[:2], *both, *dates[4:]])
    bench.wait(20 * HOUR_US)
    assert [code for code in codes(bench) if code in (22, 23)] == told
    # And for who reads it.
    tables = bench.snapshot()
    shown = clock_rules(tables).utc_s(tables[52].CLOCK_CALENDAR)
    assert shown == bench.meter.clock.utc_us(bench.now_us) // US_PER_S


def test_a_third_password_is_a_third_role_and_one_less_takes_its_rights() -> None:
    bench = Bench(TOU)
    write(bench, 41, NBR_PASSWORDS=3)
    entries = layout_for(42, bench.meter.program.context).decode(bench.meter.images[42])
    guest = {"PASSWORD": b"guest".ljust(20), "ACCESS_PERMISSIONS": {"GROUP_PERM_0_FLAG": 1}}
    kept = [dict(entry) for entry in entries.SECURITY_ENTRIES]
    none = dict.fromkeys((f"GROUP_PERM_{k}_FLAG" for k in range(8)), 0)
    kept[2] = guest | {"ACCESS_PERMISSIONS": none | {"GROUP_PERM_0_FLAG": 1}}
    image = layout_for(42, bench.meter.program.context).encode({"SECURITY_ENTRIES": kept})
    bench.meter.write_table(42, image, bench.now_us)
    access = bench.meter.access
    assert access.try_password(b"guest", 0) and access.may_read(76) and not access.may_write(5)
    with pytest.raises(Refused):
        write(bench, 41, NBR_PASSWORDS=99)
    write(bench, 41, NBR_PASSWORDS=2)
    assert access.try_password(b"guest", 0) is False
    assert access.try_password(b"master", 0) and access.may_write(5)
    bench.start()
    assert bench.snapshot()[41].NBR_PASSWORDS == 2


def test_shorter_passwords_are_the_same_ones_and_there_is_always_one() -> None:
    bench = Bench(TOU)
    for member in ("NBR_PASSWORDS", "PASSWORD_LEN"):
        with pytest.raises(Refused):
            write(bench, 41, **{member: 0})
    write(bench, 41, PASSWORD_LEN=8)
    access = bench.meter.access
    assert access.try_password(b"master", 0) and access.may_write(5)
    assert access.try_password(b"reader", 0) and not access.may_write(5)


def test_a_calendar_reads_itself_only_where_st51_lets_it() -> None:
    begin = int(datetime(2026, 1, 31, 12, 0, tzinfo=UTC).timestamp())
    for flag, reads in ((1, 1), (0, 0)):
        bench = Bench(TOU, epoch_us=begin * US_PER_S)
        flags = bench.snapshot()[51].TIME_FUNC_FLAG1 | {"TOU_SELF_READ_FLAG": flag}
        write(bench, 51, TIME_FUNC_FLAG1=flags)
        bench.wait(24 * HOUR_US)
        assert reads == bench.snapshot()[26].NBR_VALID_ENTRIES
        assert bench.snapshot()[23].NBR_DEMAND_RESETS == 1


def test_demand_resets_follow_each_other_at_once_where_st21_has_no_lockout() -> None:
    for flag, second in ((1, 4), (0, 0)):
        bench = Bench(TOU)
        flags = bench.snapshot()[21].REG_FUNC1_FLAGS | {"DEMAND_RESET_LOCK_FLAG": flag}
        write(bench, 21, REG_FUNC1_FLAGS=flags)
        bench.wait(HOUR_US)
        reset = {"ACTION_FLAG": 1}
        assert [run(bench, 9, reset)[0] for _ in range(2)] == [0, second]


def test_a_season_that_waits_begins_once_though_its_self_read_resets_demand() -> None:
    bench = Bench(TOU)
    time_flags = bench.snapshot()[51].TIME_FUNC_FLAG1
    write(bench, 51, TIME_FUNC_FLAG1=time_flags | {"SEASON_CHNG_ARMED_FLAG": 1})
    tables = bench.snapshot()
    write(bench, 21, REG_FUNC2_FLAGS=tables[21].REG_FUNC2_FLAGS | {"SELF_READ_DEMAND_RESET": 2})
    write(bench, 13, RESET_EXCLUSION=0)
    bench.meter.metering.time.state.armed_season = 1
    assert run(bench, 9, {"ACTION_FLAG": 1})[0] == 0
    assert bench.snapshot()[55].STATUS.SEASON == 1
    assert codes(bench).count(EventCode.SEASON_CHANGED) == 1


def test_a_clock_set_into_the_hour_that_comes_twice_takes_the_one_that_is_meant() -> None:
    begin = int(datetime(2026, 11, 1, 12, 0, tzinfo=UTC).timestamp())
    for hour, saving in ((5, 1), (6, 0)):  # UTC: 01:30 for the first and the second time
        bench = Bench(TOU, epoch_us=begin * US_PER_S)
        wanted = int(datetime(2026, 11, 1, hour, 30, tzinfo=UTC).timestamp())
        bench.meter.set_clock(wanted * US_PER_S, 0)
        clock = bench.snapshot()[52]
        assert (clock.CLOCK_CALENDAR.value.hour, clock.TIME_DATE_QUAL.DST_FLAG) == (1, saving)


@pytest.mark.parametrize("saving", [0, 1])
def test_a_qualifier_that_is_set_with_the_time_tells_which_hour_is_meant(saving: int) -> None:
    """At half past one, which comes twice: the clock is in one of them, the other is meant."""
    hours = {1: 5, 0: 6}  # UTC
    begin = int(datetime(2026, 11, 1, hours[1 - saving], 30, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=begin * US_PER_S)
    clock = bench.snapshot()[52]
    assert 1 - saving == clock.TIME_DATE_QUAL.DST_FLAG
    given = {
        "SET_MASK": {"SET_TIME_FLAG": 1, "SET_DATE_FLAG": 1, "SET_TIME_DATE_QUAL": 1},
        "DATE_TIME": clock.CLOCK_CALENDAR.value,
        "TIME_DATE_QUAL": clock.TIME_DATE_QUAL | {"DST_FLAG": saving},
    }
    assert run(bench, 10, given)[0] == 0
    after = bench.snapshot()[52]
    assert after.CLOCK_CALENDAR.value == clock.CLOCK_CALENDAR.value
    assert saving == after.TIME_DATE_QUAL.DST_FLAG
    wanted = datetime(2026, 11, 1, hours[saving], 30, tzinfo=UTC)
    assert bench.meter.clock.utc_s(bench.now_us) == int(wanted.timestamp())


@pytest.mark.parametrize("month", [1, 7])
def test_a_time_in_the_hour_that_is_left_out_is_one_without_daylight_saving(month: int) -> None:
    begin = int(datetime(2026, month, 1, tzinfo=UTC).timestamp())
    bench = Bench(TOU, epoch_us=begin * US_PER_S)
    shown = int(datetime(2026, 3, 8, 2, 30, tzinfo=UTC).timestamp())
    meant = int(datetime(2026, 3, 8, 7, 30, tzinfo=UTC).timestamp())
    assert bench.meter.metering.time.instant_of(shown) == meant


def test_a_user_defined_table_is_its_fragments_back_to_back() -> None:
    bench = Bench(PROFILES["industrial"])
    bench.wait(HOUR_US)
    tables = bench.snapshot()
    width = 10 * tables.layout(23).field("TOT_DATA_BLOCK.SUMMATIONS.0")[1]
    at = tables.layout(23).field("TOT_DATA_BLOCK.SUMMATIONS")[0]
    values = tables.layout(28).field("PRESENT_VALUE")[0]
    sums, now = tables.images[23][at : at + width], tables.images[28][values:]
    assert tables.images[84] == tables.images[52] + sums + now
    assert tables.images[85].endswith(tables.images[5] + tables.images[63])
    write(bench, 21, NBR_PRESENT_VALUES=2)
    assert len(bench.snapshot().images[84]) < len(tables.images[84])


def test_an_interval_in_which_the_meter_was_reprogrammed_says_so_in_edition_2() -> None:
    for profile, code in ((TOU, CHANGED), (PROFILES["bcd-1997"], OK)):
        bench = Bench(profile)
        bench.wait(HOUR_US)
        zone = bench.snapshot()[75]
        write(bench, 75, STD_EVENTS_MONITORED_FLAGS=zone.STD_EVENTS_MONITORED_FLAGS ^ {20})
        bench.start()
        begun = len(bench.book)
        bench.wait(2 * HOUR_US)
        assert [interval.code for interval in bench.book[begun : begun + 2]] == [code, OK]
        write(bench, 5, **bench.snapshot()[5])  # a name is no program
        begun = len(bench.book)
        bench.wait(2 * HOUR_US)
        assert bench.book[begun].code == OK


def test_a_zone_and_a_profile_that_come_together_begin_inside_an_interval() -> None:
    bench = Bench(TOU)
    zone = bench.snapshot()[53].TIME_ZONE_OFFSET
    write(bench, 53, TIME_ZONE_OFFSET=zone + 7)
    bench.wait(8 * MINUTE_US)  # an interval ends in this zone, and none in the other
    tables = bench.snapshot()
    for number, member in ((53, {"TIME_ZONE_OFFSET": zone}), (61, {"NBR_BLKS_SET1": 3})):
        image = tables.layout(number).encode(tables[number] | member)
        bench.meter.write_table(number | 0x1000, bytes((2, 0, 0, 0, 0, 0)) + image, bench.now_us)
    assert run(bench, 12)[0] == 0
    begun = len(bench.book)
    bench.wait(HOUR_US)
    assert [interval.code for interval in bench.book[begun:]][:2] == [PARTIAL, OK]


def test_the_history_log_tells_who_read_and_wrote_once_a_session() -> None:
    bench = Bench(TOU)
    before = len(codes(bench, 74))
    line = logged_on(bench, b"master")
    limits = line.client.limits
    for _ in range(2):
        assert isinstance(line.run(read_table(1, limits)), ScriptDone)
    name = b"POLE 17".ljust(20)
    assert isinstance(line.run(write_table(5, name, limits)), ScriptDone)
    assert isinstance(line.run(close_session()), ScriptDone)
    bench.now_us = line.now_us
    assert codes(bench, 74)[before:] == [7, 8, 10, 12]
    bench.start()
    assert codes(bench, 74)[before:] == [7, 8, 10, 12]


def test_a_cold_start_is_told_in_the_new_log() -> None:
    bench = Bench(TOU)
    bench.wait(HOUR_US)
    run(bench, 0)
    assert EventCode.ED_REPROGRAMMED in codes(bench)


def test_a_user_defined_table_shows_nobody_what_its_fragments_would_not() -> None:
    meter = Bench(PROFILES["industrial"]).meter
    port, access = OpticalPort(meter), meter.access
    assert access.try_password(b"reader", 0)
    assert port.read(84, 0) == meter.table(84, 0)
    access.rules = replace(access.rules, listed={**access.rules.listed, 23: Rule(read=0)})
    with pytest.raises(Refused):
        port.read(84, 0)


def members(table: Record, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Go through the numbers of a table, and its flags."""
    for name, value in table.items():
        if isinstance(value, Record):
            yield from members(value, (*path, name))
        elif isinstance(value, int):
            yield (*path, name), value


def changed(table: Record, path: tuple[str, ...], value: int) -> Record:
    name, *rest = path
    return Record(table | {name: changed(table[name], tuple(rest), value) if rest else value})


@pytest.mark.parametrize("name", ["residential-tou", "unusual"])
def test_no_member_of_an_actual_table_may_be_more_than_its_dimension_table_says(name: str) -> None:
    images = factory_images(PROFILES[name])
    tables = Snapshot(images)
    tried = 0
    for actual in set(ACTUAL) & set(tables) & {limit + 1 for limit in tables}:
        for path, most in members(tables[actual - 1]):
            layout = tables.layout(actual)
            try:
                image = layout.encode(changed(tables[actual], path, most + 1))
            except TableError:
                continue  # it has no room for more
            with pytest.raises(ConfigurationRefused):
                with_tables(images, {actual: image})
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("name", [*PROFILES, *(f"random:{seed}" for seed in range(20, 24))])
def test_the_tables_tell_the_octets_of_calendar_and_load_profile(name: str) -> None:
    kind, _, seed = name.partition(":")
    tables = Snapshot(factory_images(profile_named(kind, int(seed or 1))))
    sets = [n for n in (64, 65, 66, 67) if n in tables[0].STD_TBLS_USED]
    if sets:
        octets = sum(layout_for(n, tables.context).size or 0 for n in sets)
        assert tables[61].LP_MEMORY_LEN == octets > 0
    if 54 in tables:
        assert len(tables.images[54]) == tables[51].CALENDAR_TBL_SIZE


@pytest.mark.parametrize("number, name", [(51, "CALENDAR_TBL_SIZE"), (61, "LP_MEMORY_LEN")])
def test_an_actual_table_of_fewer_octets_than_its_tables_take_is_refused(
    number: int, name: str
) -> None:
    images = factory_images(TOU)
    tables = Snapshot(images)
    layout, taken = tables.layout(number), tables[number][name]
    with pytest.raises(ConfigurationRefused, match=f"{name} {taken - 1}, the tables take {taken}"):
        with_tables(images, {number: layout.encode(tables[number] | {name: taken - 1})})
    with_tables(images, {number: images[number]})


def test_the_octets_of_all_the_device_has_are_enough_for_a_wider_interval_format() -> None:
    bench = Bench(
        replace(TOU, tables={**TOU.tables, 61: {**TOU.tables[61], "LP_FMATS": _TWO_FORMATS}})
    )
    write(bench, 62, INT_FMT_CDE1=4)
    tables = bench.snapshot()
    assert len(tables.images[64]) > tables[61].LP_MEMORY_LEN == tables[60].LP_MEMORY_LEN
    write(bench, 61, MAX_INT_TIME_SET1=30)
    assert bench.snapshot()[61].MAX_INT_TIME_SET1 == 30


def test_an_interval_format_for_which_fewer_octets_were_told_is_refused() -> None:
    dims = {**TOU.tables[61], "LP_FMATS": _TWO_FORMATS}
    images = factory_images(replace(TOU, tables={**TOU.tables, 61: dims}))
    tables = Snapshot(images)
    fewer = {"NBR_BLKS_SET1": tables[61].NBR_BLKS_SET1 - 1}
    image = tables.layout(61).encode(tables[61] | fewer)
    needed = layout_for(64, with_tables(images, {61: image})[1].context).size
    image = tables.layout(61).encode(tables[61] | fewer | {"LP_MEMORY_LEN": needed})
    told, _ = with_tables(images, {61: image})
    wider = tables.layout(62).encode(tables[62] | {"INT_FMT_CDE1": 4})
    with pytest.raises(ConfigurationRefused, match=f"ST-62.*LP_MEMORY_LEN {needed}, the tables"):
        with_tables(told, {62: wider})
    with_tables(told, {62: told[62]})


_TWO_FORMATS = ("INV_UINT16_FLAG", "INV_UINT32_FLAG")


def test_sources_with_an_entry_of_st14_are_at_most_as_many_as_there_are_entries() -> None:
    images = factory_images(TOU)
    tables = Snapshot(images)
    links = [link | {"DATA_CTRL_FLAG": 1} for link in tables[16].SOURCES_LINK]
    there = tables[11].NBR_DATA_CTRL_ENTRIES
    written = tables.layout(16).encode(tables[16] | {"SOURCES_LINK": links})
    with pytest.raises(ConfigurationRefused, match=f"{len(links)} sources .* there are {there}"):
        with_tables(images, {16: written})
