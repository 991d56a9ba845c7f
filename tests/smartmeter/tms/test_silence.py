"""The watch over silence: who is overdue, once an episode, and never who reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables.ssi_tables import Task
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.zone import Zone
from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.model import State
from smartmeter.tms.shipment import Shipped, import_shipment
from smartmeter.tms.silence import HeardAgain, Overdue, SilenceWatch
from smartmeter.tms.template import make_template

EPOCH_S = 1_767_225_600
QUARTER_S = 900
TEMPLATE = make_template(
    {"schedules": [{"SCHEDULE_NBR": 1, "JITTER_S": 60}], "general": {"REPORT_GRACE_S": 300}}
)


def a_watch() -> SilenceWatch:
    watch = SilenceWatch()
    watch.watch("SM1", TEMPLATE, EPOCH_S, EPOCH_S)
    return watch


def test_a_late_report_is_noticed_when_grace_and_jitter_are_over_and_not_before() -> None:
    watch = a_watch()
    watch.tick(EPOCH_S + QUARTER_S + 359)
    assert not watch.events()
    watch.tick(EPOCH_S + QUARTER_S + 360)
    assert watch.events() == [Overdue("SM1", 1, EPOCH_S + QUARTER_S, again=False)]


def test_an_episode_is_opened_once_and_looked_at_ever_more_rarely() -> None:
    watch = a_watch()
    seen = []
    for second in range(EPOCH_S, EPOCH_S + 2 * 86_400, 60):
        watch.tick(second)
        seen += watch.events()
    assert [event.again for event in seen if isinstance(event, Overdue)].count(False) == 1
    assert 4 <= len(seen) <= 12


@pytest.mark.parametrize(
    ("task", "overdue"), [(Task.REPORT, 1), (Task.HEALTH, 1), (Task.SELF_READ, 0)]
)
def test_every_schedule_that_reports_is_watched(task: Task, overdue: int) -> None:
    watch = SilenceWatch()
    schedules = [{"SCHEDULE_NBR": 7, "TASK": int(task)}]
    watch.watch("SM1", make_template({"schedules": schedules}), EPOCH_S, EPOCH_S)
    watch.tick(EPOCH_S + 4 * QUARTER_S)
    assert len(watch.events()) == overdue


def test_a_report_ends_the_episode() -> None:
    watch = a_watch()
    watch.tick(EPOCH_S + 2 * QUARTER_S)
    watch.events()
    now_s = EPOCH_S + 2 * QUARTER_S
    watch.reported("SM1", 1, EPOCH_S + QUARTER_S, now_s, now_s)
    assert watch.events() == [HeardAgain("SM1")]
    assert not watch.silent("SM1")


def looks(watch: SilenceWatch, begin_s: int, end_s: int) -> list[tuple[int, Overdue]]:
    """Give when somebody is overdue, looking every half minute."""
    found = []
    for second in range(begin_s, end_s, 30):
        watch.tick(second)
        found += [(second, event) for event in watch.events() if isinstance(event, Overdue)]
    return found


def test_who_falls_silent_again_is_noticed_at_its_next_due_time_however_long_it_was_silent() -> (
    None
):
    watch = a_watch()
    heard_s = EPOCH_S + 2 * 86_400
    assert looks(watch, EPOCH_S, heard_s)
    watch.reported("SM1", 1, heard_s, heard_s + 30, heard_s + 30)
    [(noticed_s, event), *_] = looks(watch, heard_s + 30, heard_s + 86_400)
    assert (noticed_s, event.due_s) == (heard_s + QUARTER_S + 360, heard_s + QUARTER_S)
    assert not event.again


def test_what_else_was_late_in_a_silence_has_time_to_come_after_it() -> None:
    watch = a_watch()
    looks(watch, EPOCH_S, EPOCH_S + 3 * 3600)
    heard_s = EPOCH_S + 3 * 3600
    watch.reported("SM1", 1, EPOCH_S + QUARTER_S, heard_s, heard_s)
    assert not looks(watch, heard_s, heard_s + QUARTER_S + 360)


def test_a_rare_schedule_that_is_missed_first_does_not_hide_the_frequent_one() -> None:
    daily = {"SCHEDULE_NBR": 2, "KIND": 2, "AT_MINUTE": 5}
    watch = SilenceWatch()
    both = make_template({"schedules": [{"SCHEDULE_NBR": 1}, daily]})
    watch.watch("SM1", both, EPOCH_S, EPOCH_S)
    (first_s, first), (second_s, _), *_ = looks(watch, EPOCH_S, EPOCH_S + 86_400)
    assert first.schedule_nbr == 2 and second_s - first_s <= 2 * QUARTER_S


def test_what_was_due_while_nobody_watched_is_late_when_its_grace_has_passed() -> None:
    watch = SilenceWatch()
    monthly = make_template({"schedules": [{"SCHEDULE_NBR": 1, "KIND": 4, "DAY": 1}]})
    began_s = EPOCH_S + 5 * 86_400
    watch.watch("SM1", monthly, EPOCH_S - 86_400, began_s)
    [(noticed_s, event)] = looks(watch, began_s, began_s + 86_400)
    assert (noticed_s, event.due_s) == (began_s + 300, EPOCH_S)


def test_an_alarm_shows_life_but_does_not_answer_for_a_schedule() -> None:
    watch = a_watch()
    watch.reported("SM1", 255, 0, EPOCH_S + 100, EPOCH_S + 100)
    watch.tick(EPOCH_S + 2 * QUARTER_S)
    assert len(watch.events()) == 1


def test_without_power_nobody_is_overdue_and_afterwards_there_is_grace() -> None:
    watch = a_watch()
    watch.power("SM1", False, EPOCH_S + 10)
    watch.tick(EPOCH_S + 40 * QUARTER_S)
    assert not watch.events()
    watch.power("SM1", True, EPOCH_S + 40 * QUARTER_S)
    watch.tick(EPOCH_S + 41 * QUARTER_S + 359)
    assert not watch.events()
    watch.tick(EPOCH_S + 41 * QUARTER_S + 360)
    assert len(watch.events()) == 1


@given(st.lists(st.integers(0, 359), min_size=1, max_size=60), st.integers(1, 500))
def test_who_reports_within_grace_is_never_overdue(delays: list[int], step_s: int) -> None:
    watch = a_watch()
    arrivals = [
        (EPOCH_S + n * QUARTER_S + delay, EPOCH_S + n * QUARTER_S)
        for n, delay in enumerate(delays, 1)
    ]
    end_s = EPOCH_S + len(delays) * QUARTER_S + 359
    moment = EPOCH_S
    while moment <= end_s:
        while arrivals and arrivals[0][0] <= moment:
            arrived_s, due_s = arrivals.pop(0)
            watch.tick(arrived_s)
            watch.reported("SM1", 1, due_s, arrived_s, arrived_s)
        watch.tick(moment)
        moment += step_s
    assert not watch.events()


def test_an_episode_from_before_a_restart_goes_on() -> None:
    watch = a_watch()
    watch.resume("SM1", EPOCH_S + QUARTER_S)
    watch.tick(EPOCH_S + 3 * QUARTER_S)
    [event] = watch.events()
    assert isinstance(event, Overdue) and event.again
    now_s = EPOCH_S + 3 * QUARTER_S
    watch.reported("SM1", 1, now_s, now_s, now_s)
    assert watch.events() == [HeardAgain("SM1")]


def test_local_schedules_without_a_zone_are_watched_in_the_meters_own() -> None:
    daily = {"SCHEDULE_NBR": 1, "KIND": 2, "AT_MINUTE": 60, "LOCAL": 1, "CONTENT": 1}
    template = make_template({"schedules": [daily]})
    assert template.goes_by_meters_zone
    [due] = template.in_zone(Zone(-5 * 3600)).reports
    assert due.recurrence.following(1_767_225_600) == 1_767_225_600 + 6 * 3600
    named = make_template({"schedules": [daily], "zone": "America/New_York"})
    assert not named.goes_by_meters_zone and not make_template().goes_by_meters_zone


def test_who_keeps_to_an_older_template_and_never_comes_is_named_by_what_it_was_told() -> None:
    store = MemoryStore()
    hourly = make_template({"schedules": [{"SCHEDULE_NBR": 7, "CONTENT": 1, "PERIOD_MIN": 60}]})
    shipped = [Shipped("SM1", ".7.1", bytes(16), "")]
    store.write_now(lambda c: import_shipment(c, shipped, EPOCH_S) and None)
    row = (hourly.version, EPOCH_S, State.PROVISIONED)
    sql = "UPDATE meters SET config_version=?, heard_s=?, state=?"
    store.write_now(lambda c: c.execute(sql, row) and None)
    for template in (hourly, make_template()):  # the TMS begins again with another one
        head_end = HeadEnd(store, Calendar(EPOCH_S * US_PER_S), template, lambda call: call())
        head_end.load(0)
    head_end.expire(3000 * US_PER_S)  # a quarter of an hour is what only the new one says
    assert store.number("SELECT count(*) FROM silences") == 0
    head_end.expire((3600 + template.grace_s) * US_PER_S)
    told = store.one("SELECT state, cause FROM meters")
    assert told is not None and tuple(told) == ("overdue", "report of schedule 7 is late")
    head_end.expire((3600 + 2 * template.grace_s) * US_PER_S)
    told = store.one("SELECT state, cause FROM meters")
    assert told is not None and tuple(told) == ("silent", "does not answer: not connected")
