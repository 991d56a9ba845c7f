"""Another meter at the address of a plain one: its lists are cut at the change, and it is told."""

from pathlib import Path

import pytest

from ansi_tables.profile_blocks import first_since
from protocols.psem.codes import ResponseCode
from smartmeter.tms.alarm_list import AlarmList
from smartmeter.tms.exchanges import ExchangeFailed
from smartmeter.tms.poll_plan import PollDue
from smartmeter.tms.polled_list import PolledMeter, import_polled
from smartmeter.tms.polled_reading import Known
from smartmeter.tms.polled_source import PolledSource, store_poll
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import make_template
from tests.smartmeter.tms.polling import EPOCH_S, SCHEDULES, US_PER_S, Bench, flat

HOUR_S = 3600
INTERVALS, DAILY = 1, 2


class Place:
    """A place that is polled, and whichever meter stands there."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "tms.sqlite3")
        meters = [PolledMeter("P1", "socket://h:1", 2, b"", "")]
        self.store.write_now(lambda c: import_polled(c, meters, EPOCH_S))
        self.source = PolledSource(self.store, make_template())
        self.source.load(EPOCH_S)

    def poll(self, bench: Bench, utc_s: int, schedule: int = INTERVALS) -> None:
        """Poll the meter that is there at a second."""
        bench.run((utc_s - EPOCH_S) / 3600 - bench.now_us / 3600 / US_PER_S)
        due = PollDue("P1", SCHEDULES[schedule], utc_s)
        reading = bench.run_script(self.source.script(due, lambda: utc_s)())
        self.store.write_now(lambda c: store_poll(c, due, reading, utc_s))

    def ends(self) -> list[tuple[int, int]]:
        """Give the epoch of each interval, and its end in hours."""
        sql = "SELECT ring_epoch, end_s FROM intervals ORDER BY ring_epoch, sequence"
        return [(row[0], (row[1] - EPOCH_S) / HOUR_S) for row in self.store.read(sql)]  # type: ignore[misc]

    def alarms(self) -> list[tuple[str, str]]:
        page = AlarmList(self.store).page()
        return [(one["source"], one["text"]) for one in page["alarms"]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def meter(serial: str) -> Bench:
    return Bench(interval_min=60, serial=serial)


@pytest.mark.parametrize("first_seen_by", [INTERVALS, DAILY])
def test_what_another_meter_recorded_before_the_change_is_not_of_this_place(
    place: Place, first_seen_by: int
) -> None:
    old, new = meter("1"), meter("9999")
    place.poll(old, EPOCH_S + 10 * HOUR_S + 60)
    # The new one has been on a bench all the time, with a longer ring; it came between two polls.
    place.poll(new, EPOCH_S + 12 * HOUR_S + 60, first_seen_by)
    place.poll(new, EPOCH_S + 13 * HOUR_S + 60)
    assert place.ends() == [(1, h) for h in range(1, 11)] + [(2, 11), (2, 12), (2, 13)]
    assert place.alarms() == [("tms", "meter 9999, before 1")]


def test_another_meter_that_has_recorded_nothing_since_goes_on_in_an_epoch_of_its_own(
    place: Place,
) -> None:
    old, new = meter("1"), meter("9999")
    place.poll(old, EPOCH_S + 3 * HOUR_S + 60)
    place.poll(new, EPOCH_S + 3 * HOUR_S + 900)
    place.poll(new, EPOCH_S + 3 * HOUR_S + 1800)
    assert place.ends() == [(1, 1), (1, 2), (1, 3)]
    place.poll(new, EPOCH_S + 5 * HOUR_S + 60)
    assert place.ends()[3:] == [(2, 4), (2, 5)]
    # The former one comes back: what it recorded meanwhile is not added to what the other did.
    place.poll(old, EPOCH_S + 6 * HOUR_S + 60)
    assert place.ends()[5:] == [(3, 6)]
    texts = [text for _, text in place.alarms()]
    assert texts == ["meter 1, before 9999", "meter 9999, before 1"]


def test_entries_of_its_log_from_before_the_change_are_not_of_this_place(place: Place) -> None:
    old, new = meter("1"), meter("9999")
    for bench, hours in ((old, 1), (new, 2)):
        bench.run(hours)
        interrupt(bench)
    place.poll(old, EPOCH_S + 10 * HOUR_S, DAILY)
    of_old = place.store.number("SELECT count(*) FROM events")
    new.run(9)
    interrupt(new)
    for hours in (12, 13):
        place.poll(new, EPOCH_S + hours * HOUR_S, DAILY)
        sql = "SELECT time_s FROM events ORDER BY received_s, sequence"
        of_new = [row["time_s"] for row in place.store.read(sql)][of_old:]
        assert of_old and len(of_new) == of_old and min(of_new) >= EPOCH_S + 11 * HOUR_S


@pytest.mark.parametrize("messages", [1, 2, 3, 4])
def test_a_line_that_leads_to_another_meter_amid_a_poll_brings_nothing(
    place: Place, messages: int
) -> None:
    here, there, now_s = meter("1"), meter("9999"), EPOCH_S + 10 * HOUR_S
    for bench in (here, there):
        bench.run(10)
    script = place.source.script(PollDue("P1", SCHEDULES[INTERVALS], now_s), lambda: now_s)()
    services = next(script)
    with pytest.raises(ExchangeFailed, match="another meter answered amid the poll"):
        for bench in (*[here] * messages, there):
            services = script.send([bench.answer(one) for one in services])


@pytest.mark.parametrize(
    ("table", "refusal"),
    [(63, ResponseCode.bsy), (63, ResponseCode.isc), (76, ResponseCode.dnr)],
)
def test_of_another_meter_whose_lists_cannot_be_cut_now_nothing_is_taken(
    place: Place, table: int, refusal: ResponseCode
) -> None:
    place.poll(meter("1"), EPOCH_S + 10 * HOUR_S + 60)
    new = meter("9999")
    new.run(11)
    interrupt(new)
    new.refusal = refusal
    if refusal is ResponseCode.isc:  # its ring has moved while it was read, and then it refuses

        def moves(request: object) -> None:
            if getattr(request, "table", None) == 64:
                new.run(1)
                new.refused = {table}

        new.between = moves
    else:
        new.refused = {table}
    with pytest.raises(ExchangeFailed, match=f"ST-{table}: .* answered {refusal.name}"):
        place.poll(new, EPOCH_S + 12 * HOUR_S + 60, DAILY)
    new.refused, new.between = set(), lambda request: None
    place.poll(new, EPOCH_S + 14 * HOUR_S + 60, DAILY)
    assert place.ends()[10:] == [(2, 11), (2, 12), (2, 13), (2, 14)]
    assert place.store.number("SELECT min(time_s) FROM events") >= EPOCH_S + 11 * HOUR_S


@pytest.mark.parametrize("refused", [61, 63, 64])
@pytest.mark.parametrize("first_seen_by", [INTERVALS, DAILY])
def test_another_meter_that_refuses_its_load_profile_is_read_else_and_cut_when_it_no_longer_does(
    place: Place, refused: int, first_seen_by: int
) -> None:
    place.poll(meter("1"), EPOCH_S + 10 * HOUR_S + 60)
    new = meter("9999")
    new.refused = {refused}
    place.poll(new, EPOCH_S + 12 * HOUR_S + 60, first_seen_by)
    place.poll(new, EPOCH_S + 13 * HOUR_S + 60, DAILY)
    assert place.alarms() == [("tms", "meter 9999, before 1")]
    sql = "SELECT count(*) FROM readings WHERE table_nbr=23 AND received_s=?"
    assert place.store.number(sql, EPOCH_S + 13 * HOUR_S + 60) == 1
    new.refused = set()
    place.poll(new, EPOCH_S + 13 * HOUR_S + 120, DAILY)  # which reads the context anew
    for hours in (14, 15):
        place.poll(new, EPOCH_S + hours * HOUR_S + 60)
    assert place.ends()[10:] == [(2, 11), (2, 12), (2, 13), (2, 14), (2, 15)]


def interrupt(bench: Bench) -> None:
    """Cut the mains for a minute, which puts entries into the meter's log."""
    bench.meter.mains(False, bench.now_us)
    bench.run(1 / 60)
    bench.meter.mains(True, bench.now_us)


def test_a_meter_whose_serial_number_is_blank_cannot_be_told_from_another(place: Place) -> None:
    place.poll(meter("1"), EPOCH_S + 3 * HOUR_S + 60)
    place.poll(meter("0"), EPOCH_S + 5 * HOUR_S + 60)
    assert {epoch for epoch, _ in place.ends()} == {1} and place.alarms() == []


def test_no_end_of_an_interval_comes_from_two_meters(place: Place) -> None:
    """The clock of the new one is a second slow: by number alone, one too many would be read."""
    place.poll(meter("1"), EPOCH_S + 3 * HOUR_S + 1800)
    new, now_s = meter("9999"), EPOCH_S + 4 * HOUR_S
    new.run(4 - 1 / HOUR_S)
    script = place.source.script(PollDue("P1", SCHEDULES[INTERVALS], now_s), lambda: now_s)
    reading = new.run_script(script())
    assert reading.taken_over is not None and flat(reading) == []


def test_a_session_that_was_waited_for_costs_no_interval(place: Place) -> None:
    place.poll(meter("1"), EPOCH_S + 3 * HOUR_S + 60)
    new, waited_s = meter("9999"), 2 * HOUR_S
    begun_s = EPOCH_S + 5 * HOUR_S + 60
    new.run((begun_s + waited_s - EPOCH_S) / HOUR_S)
    due = PollDue("P1", SCHEDULES[INTERVALS], begun_s)
    script = place.source.script(due, lambda: begun_s + waited_s * (len(new.asked) > 0))()
    reading = new.run_script(script)
    assert [end_s for _, end_s, _, _ in flat(reading)] == [
        EPOCH_S + hours * HOUR_S for hours in (4, 5, 6, 7)
    ]


def test_of_a_meter_that_was_never_heard_what_ends_from_now_on_counts() -> None:
    bench = meter("9999")
    bench.run(5)
    first = bench.poll(INTERVALS)
    another = meter("8")
    another.run(5)
    known = Known(first.context, {}, first.images[1], 0, lambda: EPOCH_S + 5 * HOUR_S)
    assert flat(another.poll(INTERVALS, known)) == []
    assert first_since(3, 9, 0, (0, 100)) == 9 and first_since(3, 9, 10, (15, 100)) == 3
