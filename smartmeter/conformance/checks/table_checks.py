"""Group *tables*: what the tables say of each other (C12.19)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ansi_tables import Record, Snapshot, TableError, name_of
from ansi_tables.registry import definition
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead
from smartmeter.conformance.bench import WRITE_ONLY, Bench, in_group
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "tables")
#: A meter's clock may be off by a time zone and a day; more is worth a remark.
CLOCK_OFF_S = 26 * 3600
#: Dimension (limits) and actual tables, by their decade.
PAIRS = ((10, 11), (20, 21), (30, 31), (40, 41), (50, 51), (60, 61), (70, 71))


def _decoded(bench: Bench, number: int) -> Record:
    snapshot = bench.snapshot()
    if number not in snapshot.images:
        raise NotApplicable(f"{name_of(number)} is not readable")
    try:
        return snapshot[number]
    except TableError as error:
        raise Deviation(str(error)) from error


@check("T01", "ST-00 decodes, and its size is the sum of its sets", seconds=2)
def general_configuration(bench: Bench) -> None:
    """19 octets, and the sets whose sizes it tells."""
    fmt, octets = bench.format, len(bench.table(0))
    size = 19 + 2 * (fmt.dim_std_tbls_used + fmt.dim_mfg_tbls_used)
    size += fmt.dim_std_proc_used + fmt.dim_mfg_proc_used
    if octets != size:
        raise Deviation(f"ST-00 has {octets} octets, its sets make {size}")
    if not {0, 1} <= fmt.std_tbls_used:
        raise Deviation("ST-00 does not list itself and ST-01", Basis.ONE_SOURCE)


@check("T02", "every table that ST-00 lists is there", seconds=20)
def listed_tables_exist(bench: Bench) -> None:
    """Readable, or refused for a right, or write-only: not iar."""
    bench.snapshot()
    gone = [n for n, code in bench.refused.items() if code == ResponseCode.iar and n != WRITE_ONLY]
    if gone:
        raise Deviation(f"listed, and iar: {', '.join(map(name_of, sorted(gone)))}")


@check("T03", "tables that ST-00 does not list are not there", Basis.ONE_SOURCE, seconds=6)
def unlisted_tables_are_absent(bench: Bench) -> None:
    """Ten drawn standard numbers."""
    fmt = bench.format
    absent = [n for n in range(8 * fmt.dim_std_tbls_used + 24) if n not in fmt.std_tbls_used]
    tester = bench.best_session()
    for number in bench.rng.sample(absent, min(10, len(absent))):
        if tester.ask(FullRead(number)).code != ResponseCode.iar:
            raise Deviation(f"{name_of(number)} is not listed, and not iar")


@check("T04", "every table has the size that ST-00 and its actual table give it", seconds=20)
def sizes(bench: Bench) -> None:
    """Of those whose layout is known; what follows the last element is a doubt."""
    snapshot = bench.snapshot()
    for number in snapshot.numbers():
        if definition(number) is None:
            continue
        try:
            _, trailing = snapshot.layout(number).decode_with_trailing(snapshot.images[number])
        except TableError as error:
            raise Deviation(str(error), Basis.ONE_SOURCE) from error
        if trailing:
            raise Deviation(f"{name_of(number)}: {len(trailing)} octets too many", Basis.ONE_SOURCE)


@check("T05", "no actual table is beyond its limits", Basis.ONE_SOURCE, seconds=4)
def actual_within_limits(bench: Bench) -> None:
    """x1 within x0, member by member; a flag that is set must be possible."""
    snapshot = bench.snapshot()
    looked = False
    for limits, actual in PAIRS:
        if limits in snapshot.images and actual in snapshot.images:
            looked = True
            for path, low, high in _numbers(_decoded(bench, actual), _decoded(bench, limits)):
                if low > high:
                    raise Deviation(f"{name_of(actual)} {path}: {low}, the limit is {high}")
    if not looked:
        raise NotApplicable("no pair of limits and actual values is readable")


def _numbers(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, int, int]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() & other.keys():
            yield from _numbers(one[name], other[name], f"{path}.{name}".lstrip("."))
    elif isinstance(one, int) and isinstance(other, int):
        yield path, one, other


@check("T06", "pointers lie within their lists", seconds=6)
def pointers_within_rings(bench: Bench) -> None:
    """Load profile, event and history logs, self-reads: valid, last and unread."""
    snapshot, looked = bench.snapshot(), False
    for number in (26, 63, 74, 76):
        if number in snapshot.images:
            looked = True
            for path, record, entries in _lists(snapshot, number):
                _check_pointers(f"{name_of(number)} {path}".strip(), record, entries)
    if not looked:
        raise NotApplicable("no list is readable")


def _lists(snapshot: Snapshot, number: int) -> Iterator[tuple[str, Record, int]]:
    """Give each list's status, and how many entries it has."""
    try:
        record = snapshot[number]
    except TableError as error:
        raise Deviation(str(error)) from error
    if number != 63:
        arrays = [value for value in record.values() if isinstance(value, list)]
        yield "", record, len(arrays[0]) if arrays else 0
        return
    for name, status in record.items():
        blocks = snapshot[61].get(f"NBR_BLKS_{name.rsplit('_', 1)[-1]}", 0)
        yield name, status, blocks


def _check_pointers(where: str, status: Record, entries: int) -> None:
    counts = {name: value for name, value in status.items() if name.startswith("NBR_")}
    for name, value in counts.items():
        if name.startswith(("NBR_VALID_E", "NBR_VALID_B", "NBR_UNREAD")) and value > entries:
            raise Deviation(f"{where} {name}: {value} of {entries}")
    for name, value in status.items():
        if name.startswith("LAST_") and name.endswith("_ELEMENT") and entries and value >= entries:
            raise Deviation(f"{where} {name}: element {value} of {entries}")
    valid = next((v for n, v in counts.items() if n.startswith(("NBR_VALID_E", "NBR_VALID_B"))), 0)
    unread = next((v for n, v in counts.items() if n.startswith("NBR_UNREAD")), 0)
    if unread > valid:
        raise Deviation(f"{where}: {unread} unread of {valid} valid", Basis.ONE_SOURCE)


def _clock(bench: Bench) -> datetime:
    """Read the clock now."""
    if 52 not in bench.listed():
        raise NotApplicable("ST-00 does not list ST-52")
    bench.best_session()
    shown = Snapshot({**bench.tables, 52: bench.read(52)})[52].CLOCK_CALENDAR
    value = shown.value
    if not isinstance(value, datetime):
        octets = shown.raw.hex(" ").upper()
        raise Deviation(f"the clock shows {octets}, which is no date", Basis.ONE_SOURCE)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


@check("T07", "the clock shows a date, and runs", Basis.ONE_SOURCE, seconds=6)
def clock_runs(bench: Bench) -> None:
    """Two readings some seconds apart differ by that time, unless a calendar is sped up."""
    first, begin_us = _clock(bench), bench.tester.now_us()
    bench.tester.rest(3_000_000, "the clock runs")
    second = _clock(bench)
    passed_s = (bench.tester.now_us() - begin_us) / 1e6
    shown_s = (second - first).total_seconds()
    if shown_s < 0:
        raise Deviation(f"the clock went back by {-shown_s:.0f} s")
    if shown_s < passed_s - 61:
        raise Deviation(f"{passed_s:.0f} s passed, the clock shows {shown_s:.0f} s")


@check("T08", "the clock is near ours", Basis.RECOMMENDATION, seconds=2)
def clock_is_near(bench: Bench) -> None:
    """Within a day and a time zone."""
    if bench.now_utc_s is None:
        raise NotApplicable("there is no clock to compare with")
    off_s = abs(_clock(bench).timestamp() - bench.now_utc_s())
    if off_s > CLOCK_OFF_S:
        raise Deviation(f"the clock is {off_s / 3600:.0f} h off")


@check("T09", "selectors name sources that are there", Basis.ONE_SOURCE, seconds=3)
def selectors(bench: Bench) -> None:
    """ST-22, 27 and 62 count from 0 to below NBR_SOURCES of ST-11; 255 is none."""
    sources = _decoded(bench, 11).NBR_SOURCES
    snapshot, looked = bench.snapshot(), False
    for number in (22, 27, 62):
        if number in snapshot.images:
            looked = True
            for path, index in _selected(_decoded(bench, number)):
                if index >= sources and index != 255:
                    raise Deviation(f"{name_of(number)} {path}: source {index} of {sources}")
    if not looked:
        raise NotApplicable("no selection is readable")


def _selected(value: Any, path: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _selected(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _selected(inner, f"{path}.{index}")
    elif isinstance(value, int) and path.endswith(("SOURCE_INDEX", "LP_SOURCE_SELECT")):
        yield path, value


@check("T10", "what is decoded encodes to the same octets", Basis.ONE_SOURCE, seconds=4)
def values_round_trip(bench: Bench) -> None:
    """Fill that is not 0, or octets that are no text, show here."""
    snapshot = bench.snapshot()
    for number in snapshot.numbers():
        if definition(number) is None:
            continue
        try:
            value = snapshot[number]
            if not snapshot.images[number].startswith(snapshot.layout(number).encode(value)):
                raise Deviation(f"{name_of(number)}: its octets are not what its values give")
        except TableError as error:
            raise Deviation(str(error)) from error


@check("T11", "ST-01 names a maker, a model and a serial number", Basis.RECOMMENDATION, seconds=2)
def identity(bench: Bench) -> None:
    """Printable text."""
    record = _decoded(bench, 1)
    for name in ("MANUFACTURER", "ED_MODEL", "MFG_SERIAL_NUMBER"):
        text = str(record.get(name, "")).strip(" \0")
        if not text or not text.isprintable():
            raise Deviation(f"{name} is {text!r}")
