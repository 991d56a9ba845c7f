"""Load-profile sets at the TMS: each has its own holes, is asked for and shown by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.psem.codec import block, decode_request
from protocols.psem.services import FullWrite
from smartmeter.ssi.profile_reading import Interval
from smartmeter.ssi.reports import profile_part
from smartmeter.tms import exchanges
from smartmeter.tms.service import Service
from smartmeter.tms.store.interval_rows import store_intervals
from smartmeter.tms.store.queries import MAX_GAPS, NEWEST_GAPS, gaps_by_set, profile_sets
from smartmeter.tms.store.sqlite import Store
from tests.smartmeter.tms.running import rest, running_tms

EPOCH_S = 1_767_225_600
LENGTH_S = {1: 900, 2: 3600}


def part(set_nbr: int, first: int, count: int) -> dict[str, Any]:
    length_s = LENGTH_S[set_nbr]
    intervals = [
        Interval(n, EPOCH_S + (n + 1) * length_s, b"\x01", (100 * set_nbr + n,))
        for n in range(first, first + count)
    ]
    return profile_part(set_nbr, intervals, length_s, 1, 1)


def keep(store: Store, *parts: dict[str, Any]) -> None:
    store.write_now(lambda c: [store_intervals(c, "SM1", one, "report", EPOCH_S) for one in parts])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "tms.sqlite3")
    yield opened
    opened.close()


def test_what_is_missing_is_known_by_set(store: Store) -> None:
    assert gaps_by_set(store, "SM1") == {1: [(0, None)]}
    keep(store, part(1, 0, 4), part(1, 6, 2), part(2, 0, 1), part(2, 3, 1))
    assert profile_sets(store, "SM1") == [1, 2]
    assert gaps_by_set(store, "SM1") == {1: [(4, 6), (8, None)], 2: [(1, 3), (4, None)]}


def test_a_back_fill_asks_for_each_set_and_takes_what_comes() -> None:
    script = exchanges.back_fill(DEFAULT_BASE, {1: [(4, 6)], 2: [(1, 3), (4, None)]})
    asked, found = [], None
    services = next(script)
    while found is None:
        select = decode_request(services[0])
        assert isinstance(select, FullWrite)
        chosen = ssi_tables.decode(SsiTable.COMMAND, select.data)
        asked.append((chosen["SET"], chosen["FIRST_SEQUENCE"], chosen["COUNT"]))
        held = min(chosen["COUNT"], 2)
        image = ssi_tables.encode(
            SsiTable.LOAD_PROFILE_PART, part(chosen["SET"], chosen["FIRST_SEQUENCE"], held)
        )
        try:
            services = script.send([b"\0", b"\0" + block(image)])
        except StopIteration as stop:
            found = stop.value
    assert asked == [(1, 4, 2), (2, 1, 2), (2, 4, exchanges.BACK_FILL_STEP)]
    assert [(one["SET"], one["FIRST_SEQUENCE"]) for one in found] == [(1, 4), (2, 1), (2, 4)]


def test_of_many_holes_the_newest_are_filled_which_the_ring_still_has(store: Store) -> None:
    keep(store, *(part(1, 2 * n, 1) for n in range(30)))
    *holes, following = gaps_by_set(store, "SM1")[1]
    assert following == (59, None) and len(holes) == MAX_GAPS and holes == sorted(holes)
    assert holes[-NEWEST_GAPS:] == [(n, n + 1) for n in range(39, 58, 2)]


def test_holes_that_cannot_be_filled_hide_no_other_for_ever(store: Store) -> None:
    keep(store, *(part(1, 2 * n, 1) for n in range(500)))
    asked = set[tuple[int, int | None]]()
    for day in range(700):
        keep(store, part(1, 999 + 96 * day, 96))
        asked |= set(gaps_by_set(store, "SM1")[1])
        if (1, 2) in asked:
            break
    assert (1, 2) in asked


def test_what_a_meter_left_out_hides_nothing_of_a_hole_behind_it() -> None:
    step = exchanges.BACK_FILL_STEP
    script = exchanges.back_fill(DEFAULT_BASE, {1: [(4, 2 * step), (3 * step, None)]})
    given = [part(1, 4, 0), part(1, 4 + step, step - 4), part(1, 3 * step, 0)]
    next(script)
    for one in given[:-1]:
        image = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, one)
        script.send([b"\0", b"\0" + block(image)])
    image = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, given[-1])
    with pytest.raises(StopIteration) as end:
        script.send([b"\0", b"\0" + block(image)])
    assert [one["FIRST_SEQUENCE"] for one in end.value.value] == [4 + step]


def test_one_number_is_one_interval_unless_values_or_ends_tell_another_ring(store: Store) -> None:
    def values(end_s: int, *raw: int) -> dict[str, Any]:
        intervals = [Interval(n, end_s, b"\x01", (one,)) for n, one in enumerate(raw)]
        return profile_part(1, intervals, 900, 1, 1)

    later_s = EPOCH_S + 40 * 86_400
    keep(store, values(EPOCH_S, 7, 0), values(EPOCH_S + 3600, 7, 0), values(0, 7, 0))
    assert store.number("SELECT count(*) FROM intervals") == 2, "the clock was set meanwhile"
    other, third = values(later_s, 7, 0), values(later_s, 7, 9)
    keep(store, other, third, other, values(EPOCH_S, 7, 0), third)
    rows = store.read("SELECT ring_epoch, sequence, end_s, raw FROM intervals")
    assert [tuple(row) for row in rows] == [
        (1, 0, EPOCH_S, "[7]"),
        (1, 1, EPOCH_S, "[0]"),
        (2, 0, later_s, "[7]"),
        (2, 1, later_s, "[0]"),
        (3, 1, later_s, "[9]"),
    ]


def test_a_ring_that_began_anew_is_one_although_its_epoch_was_forgotten(store: Store) -> None:
    def told(epoch: int, first: int, count: int, begin_s: int = EPOCH_S) -> dict[str, Any]:
        intervals = [
            Interval(n, begin_s + 900 * n, b"\x01", (n,)) for n in range(first, first + count)
        ]
        return profile_part(1, intervals, 900, epoch, 1)

    later_s = EPOCH_S + 40 * 86_400
    keep(store, told(1, 500, 3), told(2, 0, 3, later_s))
    keep(store, told(1, 0, 3, later_s), told(1, 3, 2, later_s))  # a memory was lost meanwhile
    keep(store, told(1, 500, 4, later_s))
    rows = store.read("SELECT ring_epoch, sequence FROM intervals ORDER BY 1, 2")
    new = [(2, n) for n in (0, 1, 2, 3, 4, 500, 501, 502, 503)]
    assert [tuple(row) for row in rows] == [(1, 500), (1, 501), (1, 502), *new]
    assert gaps_by_set(store, "SM1") == {1: [(5, 500), (504, None)]}


def test_totals_are_what_the_tables_hold_whoever_brought_it(store: Store) -> None:
    keep(store, part(1, 0, 4), part(1, 2, 4), part(2, 0, 1))
    totals = {row["name"]: row["count"] for row in store.read("SELECT * FROM totals")}
    assert (totals["reports"], totals["intervals"]) == (0, 7)


@pytest.mark.parametrize(("set_nbr", "first"), [(2, 4), (1, 3), (1, 2**63 - 1)])
def test_intervals_that_were_not_asked_for_end_a_back_fill(set_nbr: int, first: int) -> None:
    script = exchanges.back_fill(DEFAULT_BASE, {1: [(4, None)]})
    next(script)
    given = part(1, 4, 1) | {"SET": set_nbr, "FIRST_SEQUENCE": first}
    image = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, given)
    with pytest.raises(exchanges.ExchangeFailed, match="other intervals"):
        script.send([b"\0", b"\0" + block(image)])


async def test_a_set_is_shown_by_itself_and_the_first_without_a_number(tmp_path: Path) -> None:
    async with running_tms(tmp_path) as tms:
        tms.store.write_now(
            lambda c: c.execute("INSERT INTO meters (esn, title) VALUES ('SM1', '.7.1')")
        )
        keep(tms.store, part(1, 0, 3), part(2, 0, 2))
        assert Service(tms).meter("SM1")["profile_sets"] == [1, 2]
        async with rest(tms) as client:
            path = "/api/meters/SM1/load-profile"
            shown = {n: (await client.get(path, params=n)).json() for n in ("", "set=2", "set=3")}
            assert shown[""]["values"] == [[100, 101, 102]] and shown[""]["set"] == 1
            assert shown["set=2"]["values"] == [[200, 201]]
            assert shown["set=2"]["end_s"] == [EPOCH_S + 3600, EPOCH_S + 7200]
            assert shown["set=3"]["values"] == []
            for wrong in ("set=0", "set=5", "set=x"):
                assert (await client.get(path, params=wrong)).status_code in (400, 422)
