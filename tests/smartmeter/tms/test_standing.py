"""How a SmartMeter stands: what names its state, and that no state outlives its reason."""

from __future__ import annotations

import pytest

from protocols.psem.codes import ResponseCode
from smartmeter.tms.model import Kind
from smartmeter.tms.polled_list import PolledMeter, import_polled
from smartmeter.tms.template import make_template
from tests.smartmeter.tms.reporting import UTC_S, report
from tests.smartmeter.tms.street import Street

HOUR_US = 3_600_000_000
REFUSED = "MODULE_VERSION: the SmartMeter answered iar (inappropriate action requested)"


@pytest.fixture
def street() -> Street:
    return Street()


@pytest.fixture
def version(street: Street) -> int:
    return street.head_end.template.version


def test_a_report_with_the_template_tells_that_it_is_provisioned_when_no_answer_did(
    street: Street, version: int
) -> None:
    street.register()
    assert street.state == "provisioning"
    street.go_on(120)
    assert street.state == "not provisioned"
    street.report(version)
    assert street.state == "provisioned" and street.head_end.silence.version(street.esn)


def test_who_is_provisioned_stays_so_when_doing_it_again_fails(
    street: Street, version: int
) -> None:
    street.report(version)
    street.head_end.request(street.esn, Kind.PROVISION, "ann")
    assert street.state == "provisioned"
    street.go_on(400)
    [job] = street.store.read("SELECT state FROM jobs WHERE kind='provision'")
    assert (job["state"], street.state) == ("failed", "provisioned")


def test_provisioning_that_a_restart_cut_off_is_said_and_done_at_the_next_registration(
    street: Street,
) -> None:
    street.register()
    street.restart()
    assert street.state == "not provisioned"
    street.register()
    assert street.state == "provisioning"


def test_an_order_that_a_restart_cut_off_is_not_said_to_be_undone(
    street: Street, version: int
) -> None:
    street.report(version)
    street.head_end.request(street.esn, Kind.DEMAND_RESET, "ann")
    street.head_end.orders.look_after(street.esn)
    street.now_us += 12 * HOUR_US
    street.restart()
    kinds = Kind.DEMAND_RESET, Kind.RECOVER
    rows = street.store.read("SELECT cause FROM jobs WHERE kind IN (?,?) ORDER BY id", *kinds)
    assert [row["cause"] for row in rows] == [
        "the TMS was restarted; what had gone out may have been done",
        "the TMS was restarted",
    ]


def test_another_template_is_brought_at_the_next_registration(street: Street, version: int) -> None:
    street.report(version)
    other = make_template({"schedules": []})
    street.head_end.template = other
    street.restart()
    street.register()
    assert street.state == "provisioning"


def test_a_template_that_a_module_refuses_is_told_once_and_brought_ever_more_rarely(
    street: Street,
) -> None:
    for _ in range(4 * 24):
        street.report(0)
        street.go_on_answering(ResponseCode.iar)
        while street.head_end.jobs.under_way():
            street.go_on_answering(ResponseCode.iar)
        assert (street.state, street.cause) == ("not provisioned", REFUSED)
        street.now_us += 900_000_000
    tried = street.store.number("SELECT count(*) FROM jobs WHERE kind='provision'")
    assert 5 <= tried <= 8, "after a quarter of an hour, a half, one, two, four and eight hours"
    street.head_end.request(street.esn, Kind.PROVISION, "ann")
    assert street.state == "provisioning", "a person need not wait"


def test_a_module_that_refused_the_template_is_asked_again_once_it_was_upgraded(
    street: Street,
) -> None:
    for tell in (street.report, street.report, street.upgraded):
        tell(0)
        while street.head_end.jobs.under_way():
            street.go_on_answering(ResponseCode.iar)
    assert street.store.number("SELECT count(*) FROM jobs WHERE kind='provision'") == 2


def test_a_module_that_refuses_the_template_is_late_by_the_one_that_it_keeps_to(
    street: Street, version: int
) -> None:
    street.meets_another_template(version)
    while street.state != "not provisioned":
        street.go_on_answering(ResponseCode.iar)
    street.outage(1, restored=True, version=version)
    assert (street.state, street.cause) == ("not provisioned", REFUSED)
    street.go_on(3600)
    assert (street.state, street.open_silences) == ("silent", 1)
    street.report(version)
    assert street.open_silences == 0
    while street.head_end.jobs.under_way():
        street.go_on_answering(ResponseCode.iar)
    assert (street.state, street.cause) == ("not provisioned", REFUSED)


def test_who_could_not_be_brought_to_another_template_and_never_comes_is_silent(
    street: Street, version: int
) -> None:
    street.meets_another_template(version)
    street.go_on(200)
    assert street.state == "not provisioned"
    street.go_on(3600)
    assert (street.state, street.open_silences) == ("silent", 1)
    street.report(version)
    assert (street.state, street.open_silences) == ("provisioning", 0)


def test_a_module_that_lost_its_configuration_is_not_late_but_provisioned(
    street: Street, version: int
) -> None:
    street.report(version)
    street.report(0)
    assert street.state == "provisioning"
    street.go_on(3600)
    assert street.state == "not provisioned" and not street.open_silences


def test_provisioning_ends_a_silence_that_was_open(street: Street, version: int) -> None:
    street.report(version)
    street.go_on(3600)
    assert street.state == "silent" and street.open_silences == 1
    street.report(0, due=False)
    street.report(version, due=False)
    assert street.state == "provisioned" and not street.open_silences


@pytest.mark.parametrize("told", [((1, False), (1, True)), ((1, True), (1, False))])
def test_an_outage_that_is_over_is_over_in_whichever_order_it_was_told(
    street: Street, version: int, told: tuple[tuple[int, bool], ...]
) -> None:
    street.report(version)
    for number, restored in told:
        street.outage(number, restored)
    assert street.state == "provisioned"
    street.go_on(3600)
    assert street.open_silences == 1, "its silence is noticed"


def test_without_power_it_is_until_the_newest_outage_is_over(street: Street, version: int) -> None:
    street.report(version)
    street.outage(2, False)
    street.outage(1, True)
    assert street.state == "no power"
    street.restart()
    street.go_on(3600)
    assert street.state == "no power" and not street.open_silences
    street.outage(2, True)
    assert street.state == "provisioned"


@pytest.mark.parametrize("forgets", [True, False])
def test_only_an_outbox_that_begins_anew_after_an_outage_has_forgotten_its_end(
    street: Street, version: int, forgets: bool
) -> None:
    def other_epoch() -> None:
        header = {"TIME": UTC_S, "CONFIG_VERSION": version, "OUTBOX_EPOCH": 9}
        street.tell(report(street.esn, 1, 90, **header))

    street.report(version)
    if not forgets:
        other_epoch()  # of a clock that was ahead, before its module lost its memory
        street.go_on(60)
    street.outage(1, restored=False)
    assert street.state == "no power"
    street.go_on(60)
    if forgets:
        other_epoch()
    street.report(version, due=False)
    assert street.state == ("provisioned" if forgets else "no power")


def test_a_report_from_before_that_ends_a_silence_does_not_bring_the_power_back(
    street: Street, version: int
) -> None:
    street.report(version)
    street.go_on(3600)
    assert street.open_silences == 1
    street.outage(1, False)
    street.report(version)
    assert street.state == "no power" and not street.open_silences


def test_a_silent_one_whose_mains_return_is_late_until_it_reports_and_soon_looked_at(
    street: Street, version: int
) -> None:
    street.report(version)
    street.go_on(12 * 3600)
    assert (street.state, street.open_silences) == ("silent", 1)
    street.outage(1, restored=True)
    assert (street.state, street.open_silences) == ("overdue", 1)
    street.go_on(1600)
    assert street.state == "silent", "the next due time and its grace are over"
    street.outage(2, restored=True)
    street.report(version)
    assert (street.state, street.open_silences) == ("provisioned", 0)


def test_who_loses_its_mains_while_it_is_looked_after_has_no_power(
    street: Street, version: int
) -> None:
    street.report(version)
    while street.state == "provisioned":
        street.go_on(5)
    assert street.state == "overdue"
    street.outage(1, restored=False)
    street.go_on(600)
    [job] = street.store.read("SELECT state FROM jobs WHERE kind='look after silence'")
    assert (job["state"], street.state) == ("failed", "no power")


def test_a_module_that_answers_without_its_meter_is_not_said_to_be_mute(
    street: Street, version: int
) -> None:
    street.report(version)
    while street.state in ("provisioned", "overdue"):
        street.go_on_answering(ResponseCode.dnr)
    assert street.cause == (
        "answers, but gave nothing: SELECT_INTERVALS: the SmartMeter answered dnr (data not ready)"
    )


def test_who_fell_silent_while_the_tms_was_down_is_noticed(street: Street, version: int) -> None:
    street.report(version)
    street.now_us += 5 * HOUR_US
    street.restart()
    street.go_on(400)
    assert not street.open_silences, "it has had no time yet"
    street.go_on(100)
    assert street.open_silences == 1


@pytest.mark.parametrize("hours", [5, -24 * 365])
def test_when_the_clock_is_set_nobody_is_late_for_what_was_due_before_and_everybody_after(
    street: Street, version: int, hours: int
) -> None:
    street.report(version)
    moved_us = hours * HOUR_US
    street.calendar.set(UTC_S * 1_000_000 + street.now_us + moved_us, street.now_us)
    street.go_on(600)
    assert not street.open_silences
    street.go_on(1800)
    assert street.open_silences == 1, "it is silent by the new clock"


def test_when_the_clock_is_set_back_the_tms_stamps_by_it(street: Street, version: int) -> None:
    street.report(version)
    node = street.head_end.collector.node
    set_back_s = UTC_S - 86_400
    for second, kind in ((UTC_S, Kind.PING), (set_back_s, Kind.READ)):
        street.calendar.set(second * 1_000_000, street.now_us)
        street.head_end.expire(street.now_us)
        street.head_end.request(street.esn, kind, "ann")
        street.go_on(60)
        assert second <= node.locks.state.last_iv <= second + 60


def test_polls_go_on_by_a_clock_that_was_set_back(street: Street) -> None:
    head_end = street.head_end
    meter = PolledMeter("P1", "socket://192.0.2.1:2000", 2, b"", "")
    street.store.write_now(lambda c: import_polled(c, [meter], UTC_S))
    head_end.polled.load(UTC_S)
    street.go_on(10)
    street.calendar.set((UTC_S - 86_400) * 1_000_000, street.now_us)
    before = head_end.figures.scheduled_polls
    for _ in range(80):
        street.go_on(60)
        for question in head_end.polled.take():
            head_end.polled.unanswered(question.transaction, "no answer")
    assert head_end.figures.scheduled_polls - before >= 4


def test_only_a_report_on_schedule_of_one_without_mains_has_its_outage_log_read(
    street: Street, version: int
) -> None:
    """What it tells of an exception it tells from the energy that it holds."""
    street.report(version)
    street.outage(1, restored=False)
    street.report(version, due=False)
    assert not street.head_end.jobs.has(street.esn, Kind.OUTAGES)
    street.report(version)
    assert street.head_end.jobs.has(street.esn, Kind.OUTAGES)
