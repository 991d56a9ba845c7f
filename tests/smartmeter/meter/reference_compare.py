"""What a meter shows against what the reference model has: every element that both know."""

from datetime import datetime
from typing import Any

from ansi_tables import Snapshot
from tests.smartmeter.meter.reference import Reference
from tests.smartmeter.meter.reference_lists import newest_first
from tests.smartmeter.meter.reference_profile import SKIPPED, STOPPED, ReferenceProfile
from tests.smartmeter.meter.reference_world import THERMAL


def compare(tables: Snapshot, reference: Reference) -> None:
    """AssertionError names the first element in which they differ."""
    compare_registers(tables, reference)
    compare_kept(tables, reference)
    compare_present(tables, reference)
    for one in reference.profiles:
        compare_profile(tables, reference, one)
    compare_logs(tables, reference)
    if 55 in tables:
        status, calendar = tables[55].STATUS, reference.calendar
        assert (calendar.season, calendar.special) == (status.SEASON, status.SPECIAL_SCHD_ACTIVE)
        shown = status.get("CURR_TIER", status.get("CURR_SUMM_TIER"))
        assert shown == calendar.in_force[0], "tier"
    modes = tables[3].ED_MODE
    assert (not reference.test, reference.test) == (modes.METERING_FLAG, modes.TEST_MODE_FLAG)
    if 52 in tables:
        assert reference.calendar.dst == tables[52].TIME_DATE_QUAL.DST_FLAG
        weekday = reference.calendar.shown(reference.now).isoweekday() % 7
        assert weekday == tables[52].TIME_DATE_QUAL.DAY_OF_WEEK
        _same_time(tables, tables[52].CLOCK_CALENDAR, reference.calendar.shown(reference.now))


def compare_registers(tables: Snapshot, reference: Reference) -> None:
    registers = tables[23]
    assert registers.get("NBR_DEMAND_RESETS", reference.resets % 256) == reference.resets % 256
    _blocks(tables, reference, registers, reference.registers(), "ST-23")


def _blocks(
    tables: Snapshot, reference: Reference, registers: Any, wanted: list[Any], where: str
) -> None:
    shown = [registers.TOT_DATA_BLOCK, *registers.TIER_DATA_BLOCK]
    if len(shown) > 1:
        tiers = zip(*(block.SUMMATIONS for block in shown[1:]), strict=True)
        # As dials show them: each one turns over by itself.
        sums = [_on_dial(sum(map(int, parts)), reference.dial1) for parts in tiers]
        totals = [_on_dial(int(total), reference.dial1) for total in shown[0].SUMMATIONS]
        assert sums == totals, f"{where}: the sum over the tiers is not the total"
    for tier, (block, expected) in enumerate(zip(shown, wanted, strict=True)):
        place = f"{where} block {tier}"
        sums = [int(value) for value in block.SUMMATIONS]
        assert sums == expected["SUMMATIONS"], f"{place} summations"
        for index, demand in enumerate(block.DEMANDS):
            away = _tolerance(reference, reference.demand_sources[index])
            _demand(tables, demand, expected["DEMANDS"][index], away, f"{place} demand {index}")
        for at, one in enumerate(block.COINCIDENTS):
            demand = reference.tables[22].COIN_DEMAND_ASSOC[at]
            if _tolerance(reference, reference.demand_sources[demand]):
                continue  # equal ones change places
            away = _tolerance(reference, reference.coincidents[at])
            pairs = zip(one.COINCIDENT_VALUES, expected["COINCIDENTS"][at], strict=True)
            assert all(abs(int(a) - b) <= away for a, b in pairs), f"{place} coincident {at}"


def _on_dial(count: int, dial: int) -> int:
    return count % dial


def _tolerance(reference: Reference, source: int) -> int:
    """Give the counts by which a source may differ: one where it is thermal."""
    return int(source != 255 and reference.units[source].TIME_BASE == THERMAL)


def _demand(tables: Snapshot, demand: Any, expected: Any, thermal: int, place: str) -> None:
    """Compare one demand; a thermal one may be a count away, and equal ones change places."""
    away = [abs(int(a) - b) for a, b in zip(demand.DEMAND, expected["DEMAND"], strict=True)]
    assert max(away, default=0) <= thermal, f"{place}: {demand.DEMAND} {expected['DEMAND']}"
    for name in ("CUM_DEMAND", "CONT_CUM_DEMAND"):
        if name in demand:
            assert abs(int(demand[name]) - expected[name]) <= 50 * thermal, f"{place} {name}"
    if "EVENT_TIME" in demand and not thermal:
        for shown, at in zip(demand.EVENT_TIME, expected["TIMES"], strict=False):
            _same_time(tables, shown, at, place)


def _same_time(tables: Snapshot, shown: Any, at: datetime, place: str = "clock") -> None:
    """Compare times as far as the type shows them: a STIME_DATE has no seconds."""
    if not tables[0].FORMAT_CONTROL_2.TM_FORMAT:
        return  # a device without a clock
    value = shown.value.replace(tzinfo=None)
    assert value in (at, at.replace(second=0)), f"{place}: {value} for {at}"


def compare_kept(tables: Snapshot, reference: Reference) -> None:
    """Compare ST-24, ST-25 and ST-26, which hold earlier registers."""
    for number, kept, name in (
        (24, reference.kept_season, "PREV_SEASON_REG_DATA"),
        (25, reference.kept_reset, "PREV_DEMAND_RESET_DATA"),
    ):
        if number in tables and kept is not None:
            table = tables[number]
            info = table.get("REGISTER_INFO", {})
            _kept(tables, reference, info, table[name], kept, f"ST-{number}")
    if 26 not in tables:
        return
    reads, list_ = tables[26], reference.self_reads
    held = list_.held()
    assert (len(held), list_.unread) == (reads.NBR_VALID_ENTRIES, reads.NBR_UNREAD_ENTRIES)
    assert list_.number % 65536 == reads.LAST_ENTRY_SEQ_NBR, "ST-26 sequence"
    assert list_.overflow == reads.LIST_STATUS.OVERFLOW_FLAG, "ST-26 overflow"
    order = reads.LIST_STATUS.ORDER
    shown = newest_first(reads.SELF_READS_ENTRIES, reads.LAST_ENTRY_ELEMENT, len(held), order)
    for age, (entry, kept) in enumerate(zip(shown, held, strict=True)):
        number = (list_.number - age) % 65536
        assert entry.get("SELF_READ_SEQ_NBR", number) == number
        info, registers = entry.get("REGISTER_INFO", {}), entry.SELF_READ_REGISTER_DATA
        _kept(tables, reference, info, registers, kept, f"ST-26 {age} back")


def _kept(
    tables: Snapshot, reference: Reference, info: Any, registers: Any, kept: Any, where: str
) -> None:
    at, season, resets, wanted = kept
    if "END_DATE_TIME" in info:
        _same_time(tables, info["END_DATE_TIME"], at, where)
    assert info.get("SEASON", season) == season, f"{where} season"
    assert registers.get("NBR_DEMAND_RESETS", resets) == resets, f"{where} resets"
    _blocks(tables, reference, registers, wanted, where)


def compare_present(tables: Snapshot, reference: Reference) -> None:
    """Compare ST-28, which is of now."""
    if 28 not in tables:
        return
    chosen = reference.tables[27]
    pairs = zip(chosen.PRESENT_DEMAND_SELECT, tables[28].PRESENT_DEMAND, strict=True)
    for at, (select, shown) in enumerate(pairs):
        source = select.SOURCE_INDEX
        wanted = left = 0
        if source != 255:
            wanted, left = reference.building_up(source), reference.seconds_left(source)
        away = abs(int(shown.DEMAND_VALUE) - reference.held(wanted))
        assert away <= _tolerance(reference, source), f"ST-28 demand {at}: {away} from {wanted}"
        time = shown.get("TIME_REMAINING")
        if time is not None and time.value is not None:
            told = time.value.hour * 3600 + time.value.minute * 60 + time.value.second
            assert told == min(left, 86_399), f"ST-28 demand {at}: {told} s of {left}"
    pairs = zip(chosen.PRESENT_VALUE_SELECT, tables[28].PRESENT_VALUE, strict=True)
    for at, (select, shown) in enumerate(pairs):
        wanted = 0 if select.SOURCE_INDEX == 255 else reference.present(select.SOURCE_INDEX)
        away = abs(int(shown) - wanted)
        assert away <= _tolerance(reference, select.SOURCE_INDEX), f"ST-28 value {at}: {wanted}"


def compare_profile(tables: Snapshot, reference: Reference, one: ReferenceProfile) -> None:
    """Compare all blocks of a set, newest first."""
    place = f"set {one.number}"
    status = tables[63][f"LP_STATUS_SET{one.number}"]
    held = one.blocks.held()
    flags = status.LP_SET_STATUS_FLAGS
    assert len(held) == status.NBR_VALID_BLOCKS, f"{place} blocks"
    assert one.blocks.unread == status.NBR_UNREAD_BLOCKS, f"{place} unread"
    assert one.blocks.overflow == flags.OVERFLOW_FLAG, f"{place} overflow"
    modes = (reference.world.recording, reference.test)
    assert modes == (flags.ACTIVE_MODE_FLAG, flags.TEST_MODE), f"{place} modes"
    if not held:
        return
    assert one.blocks.number - 1 == status.LAST_BLOCK_SEQ_NBR, f"{place} sequence"
    assert one.used == status.NBR_VALID_INT, f"{place} intervals"
    blocks = tables[63 + one.number][f"LP_DATA_SET{one.number}"]
    shown = newest_first(blocks, status.LAST_BLOCK_ELEMENT, len(held), flags.ORDER)
    for age, (block, wanted) in enumerate(zip(shown, held, strict=True)):
        _block(tables, one, block, wanted, bool(flags.INTERVAL_ORDER), f"{place} block {age} back")


def _block(
    tables: Snapshot,
    one: ReferenceProfile,
    block: Any,
    wanted: Any,
    newest_is_first: bool,
    place: str,
) -> None:
    _same_time(tables, block.BLK_END_TIME, wanted.end, place)
    count = len(wanted.rows)
    rows = block.LP_INT[:count]
    rows = rows[::-1] if newest_is_first else rows
    for at, (row, (values, common, codes)) in enumerate(zip(rows, wanted.rows, strict=True)):
        where = f"{place} interval {at}"
        assert [int(v) for v in row.INT_DATA] == list(values), where
        if "EXTENDED_INT_STATUS" in row:
            octets = row.EXTENDED_INT_STATUS
            nibbles = [n for o in octets for n in (o.HIGH_NIBBLE, o.LOW_NIBBLE)]
            assert (nibbles[0], tuple(nibbles[1 : 1 + len(codes)])) == (common, codes), where
    measured = {
        at
        for at, (_, _, codes) in enumerate(wanted.rows)
        if not codes or codes[0] not in (SKIPPED, STOPPED)
    }
    if "SIMPLE_INT_STATUS" in block:
        valid = {count - 1 - at for at in measured} if newest_is_first else measured
        assert set(block.SIMPLE_INT_STATUS) == valid, f"{place} simple status"
    if "END_READINGS" in block:
        _ends(tables, one, block, wanted, place)


def _ends(tables: Snapshot, one: ReferenceProfile, block: Any, wanted: Any, place: str) -> None:
    for at, ending in enumerate(block.END_READINGS):
        if "BLOCK_END_READ" in ending:
            assert int(ending.BLOCK_END_READ) == wanted.readings[at], f"{place} reading {at}"
        if "BLOCK_END_PULSE" in ending:
            assert wanted.pulses[at] % (1 << 32) == ending.BLOCK_END_PULSE, f"{place} pulses {at}"


def compare_logs(tables: Snapshot, reference: Reference) -> None:
    """Compare history and event log, every entry."""
    for number, log in reference.logs.logs.items():
        table, held = tables[number], log.held()
        place = f"ST-{number}"
        code_name = "EVENT_CODE" if number == 76 else "HISTORY_CODE"
        listed = newest_first(
            table.ENTRIES, table.LAST_ENTRY_ELEMENT, table.NBR_VALID_ENTRIES, _order(table)
        )
        shown = [_code(entry[code_name]) for entry in listed]
        assert shown == [event.code for event in held], f"{place} codes, newest first"
        assert log.number == table.LAST_ENTRY_SEQ_NBR, f"{place} sequence"
        assert log.unread == table.NBR_UNREAD_ENTRIES, f"{place} unread"
        flags = next(table[name] for name in table if name.endswith("FLAGS"))
        assert log.overflow == flags.OVERFLOW_FLAG, f"{place} overflow"
        for entry, event in zip(listed, held, strict=True):
            _entry(tables, entry, event, place)


def _code(identifier: Any) -> int:
    return int(identifier.TBL_PROC_NBR | identifier.STD_VS_MFG_FLAG << 11)


def _order(table: Any) -> int:
    name = next(name for name in table if name.endswith(("FLAGS", "STATUS")))
    return int(table[name].ORDER)


def _entry(tables: Snapshot, entry: Any, event: Any, place: str) -> None:
    for name, value in entry.items():
        if name.endswith("TIME"):
            _same_time(tables, value, event.at, f"{place} {event}")
        elif name.endswith("EVENT_NUMBER"):
            assert value == event.event, f"{place} {event}"
        elif name.endswith("SEQ_NBR"):
            assert value == event.sequence, f"{place} {event}"
        elif name.endswith("ARGUMENT"):
            assert bytes(value) == event.argument, f"{place} {event}"
