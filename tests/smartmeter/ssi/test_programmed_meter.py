"""A meter that is programmed, locked or refuses something while the module has work for it."""

from collections.abc import Callable

import pytest

from ansi_tables import layout_for
from ansi_tables.ssi_tables import (
    Cause,
    Command,
    Content,
    ModuleAlarm,
    ScheduleKind,
    SsiTable,
    Task,
)
from protocols.c1218.device import Refused
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import US_PER_S
from smartmeter.gateway.permissions import LocalPermission
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.meter import Meter
from smartmeter.ssi.log_reading import LogEntry, LogRead
from tests.smartmeter.ssi.host import (
    Street,
    command,
    decoded,
    own_read,
    own_write,
    raise_alarms,
    schedule,
    schedules,
    small_outbox,
)
from tests.smartmeter.ssi.other_meter import other_meter, put

HOUR_S = 3600


def run_to(street: Street, second: float) -> None:
    street.run(second - street.world.now_us / US_PER_S)


def program(street: Street, meter: Meter) -> None:
    """Leave a meter's load profile one channel of two, by whatever port."""
    known = street.device.module.meter
    assert known is not None
    image = bytearray(known.images[61])
    image[layout_for(61, known.context).field("NBR_CHNS_SET1")[0]] = 1
    meter.write_table(61, bytes(image), street.world.now_us)


def refuse(street: Street, refuses: Callable[[int], bool]) -> None:
    """Let the meter refuse tables for a time."""
    meter = street.device.meter
    genuine = meter.table

    def table(number: int, now_us: int) -> bytes:
        if refuses(number):
            raise Refused(ResponseCode.dnr)
        return genuine(number, now_us)

    meter.table = table  # type: ignore[method-assign]


def alarms(street: Street) -> list[int]:
    return [one["CODE"] for one in street.host.parts(SsiTable.ALARM) if not one["SOURCE"]]


def provisioned(baud: int | None = None, **changes: object) -> Street:
    street = Street(baud=baud)
    street.run(60)
    assert set(street.provision(SCHEDULES=schedules(schedule(**changes)))) == {b"\0"}
    return street


def test_a_report_that_waits_while_the_context_is_read_anew_is_read_by_the_new_one() -> None:
    street = provisioned(baud=300)
    run_to(street, HOUR_S - 10)
    program(street, street.device.meter)
    run_to(street, HOUR_S - 5)
    street.device.module.parts.link.table_written(
        61, street.world.now_us
    )  # at 300 baud that is read until after the hour
    run_to(street, HOUR_S + 1000)
    recorded = [list(one.values) for one in street.journal if len(one.values) == 1]
    told = [values for _, _, values in street.host.intervals()]
    assert told[3:] == recorded and len(recorded) == 2


def test_a_meter_that_was_programmed_while_its_probe_was_off_is_read_anew_before_it_is_told() -> (
    None
):
    street = provisioned()
    run_to(street, HOUR_S - 100)
    meter, nobody = street.device.meter, other_meter().meter
    nobody.mains(False, 0)
    put(street, nobody)
    run_to(street, HOUR_S + 100)
    assert not street.device.module.parts.link.answers
    meter.advance(street.world.now_us)
    program(street, meter)
    run_to(street, 2 * HOUR_S)
    meter.advance(street.world.now_us)
    put(street, meter)
    street.run(HOUR_S)
    module = street.device.module
    assert module.meter is not None and module.parts.link.answers
    recorded = [list(one.values) for one in street.journal if len(one.values) == 1]
    told = [values for _, _, values in street.host.intervals()]
    assert told[3:] == recorded and len(recorded) == 8
    assert alarms(street)[:2] == [ModuleAlarm.METER_UNREACHABLE, ModuleAlarm.METER_BACK]


def test_a_load_profile_that_began_anew_in_another_shape_is_not_read_by_the_one_before() -> None:
    street = provisioned()
    street.run(HOUR_S + 100)
    program(street, street.device.meter)
    street.run(HOUR_S)
    recorded = [list(one.values) for one in street.journal if len(one.values) == 1]
    told = [values for _, _, values in street.host.intervals()]
    assert told[4:] == recorded and len(recorded) == 4


def test_what_waits_behind_a_ring_of_another_shape_is_not_read_by_the_context_before() -> None:
    street = Street()
    street.run(60)
    registers = schedule(2, PRIORITY=2, CONTENT=0, TABLES=[28])
    street.provision(SCHEDULES=schedules(schedule(), registers))
    run_to(street, HOUR_S + 100)
    before = street.device.module.meter
    assert before is not None
    program(street, street.device.meter)
    run_to(street, 2 * HOUR_S + 100)
    module = street.device.module
    assert module.meter is not None and module.meter.id != before.id
    told = [one for one in street.host.reports if any(table == 28 for table, _ in one.parts)]
    contexts = [one.header["CONTEXT_ID"] for one in told]
    assert contexts == [before.id] * 4 + [module.meter.id] * 4


@pytest.mark.parametrize("at_each_look, reports", [(False, 1), (True, 1), (True, 3)])
def test_a_report_whose_own_log_tells_of_programming_is_read_again_by_the_new_context(
    at_each_look: bool, reports: int
) -> None:
    """Nothing else looks at the log; and a meter may call each look at it a programming."""
    street = Street()
    street.run(60)
    module, meter = street.device.module, street.device.meter
    general = module.parts.configuration.value(SsiTable.GENERAL)
    numbers = range(1, reports + 1)
    present = [schedule(number, CONTENT=Content.EVENT_LOG, TABLES=[28]) for number in numbers]
    street.provision(SCHEDULES=schedules(*present), GENERAL={**general, "STATUS_PERIOD_MS": 0})
    run_to(street, HOUR_S + 100)
    before = module.meter
    assert before is not None
    image = bytearray(before.images[27])
    image[1] ^= 1  # another of the present values
    meter.write_table(27, bytes(image), street.world.now_us)
    meter.note(EventCode.ED_REPROGRAMMED, street.world.now_us)
    if at_each_look:
        genuine = meter.table

        def table(number: int, now_us: int) -> bytes:
            if number == 0:
                meter.note(EventCode.ED_REPROGRAMMED, now_us)
            return genuine(number, now_us)

        meter.table = table  # type: ignore[method-assign]
    run_to(street, 2 * HOUR_S + 100)
    assert module.meter is not None and module.meter.id != before.id
    told = [one for one in street.host.reports if any(table == 28 for table, _ in one.parts)]
    contexts = [one.header["CONTEXT_ID"] for one in told]
    assert contexts == [before.id] * 4 * reports + [module.meter.id] * 4 * reports


def programs_by(code: int, argument: bytes) -> bool:
    """Tell whether one more entry of the log, with this argument, counts as a programming."""
    street = provisioned(CONTENT=Content.EVENT_LOG)
    street.run(HOUR_S)
    parts = street.device.module.parts
    sequence = (parts.memory.lists.events_judged or 0) + 1
    entry = LogEntry(sequence, 0, 77, code, False, argument)
    return parts.log.judge(LogRead((entry,), sequence, 0), 0, street.world.now_us).programmed


@pytest.mark.parametrize("code", [10, 28, 59, 64, 69])
@pytest.mark.parametrize(("table", "programs"), [(61, True), (5, False)])
def test_a_written_table_of_the_context_programs_the_meter_in_whichever_words_it_is_logged(
    code: int, table: int, programs: bool
) -> None:
    """Alone, as a pending one that is active now, with what was written, with a signature."""
    assert programs_by(code, table.to_bytes(2, "little") + b"\x01\x02") is programs


def test_a_pending_table_that_is_active_now_programs_the_meter_also_where_the_log_names_none() -> (
    None
):
    assert programs_by(EventCode.PENDING_TABLE_ACTIVATED, b"")


def test_intervals_are_not_given_by_a_context_that_may_be_another_now() -> None:
    street = provisioned()
    street.run(HOUR_S)
    chosen = own_write(SsiTable.COMMAND, command(Command.SELECT_INTERVALS, COUNT=5))
    read = own_read(SsiTable.LOAD_PROFILE_PART)
    known = street.device.module.meter
    assert known is not None
    known.old = True
    assert street.ask(chosen, read) == [b"\0", bytes([ResponseCode.dnr])]
    street.device.module.parts.link.read_again(street.world.now_us)
    street.run(60)
    assert decoded(SsiTable.LOAD_PROFILE_PART, street.ask(chosen, read)[1])["INTERVALS"]


def test_the_context_is_read_where_a_meter_refuses_its_clock_for_a_time() -> None:
    street = provisioned()
    street.run(HOUR_S)
    module = street.device.module
    before, refusing = module.meter, [52]
    refuse(street, refusing.__contains__)
    module.parts.link.table_written(0, street.world.now_us)
    street.run(HOUR_S)
    assert module.meter is not None and module.meter is not before and not module.meter.old
    assert len(street.host.intervals()) == len(street.journal)


def test_a_meter_that_only_refuses_what_is_asked_is_not_told_as_unreachable() -> None:
    street = Street(permission=LocalPermission())
    street.run(10)
    reset = schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=5)
    street.provision(SCHEDULES=schedules(reset))
    street.run(HOUR_S)
    assert street.device.meter.metering.registers.resets == 0
    assert street.device.module.parts.link.answers and not alarms(street)


def test_what_a_reset_has_left_is_reported_once_a_locked_meter_lets_the_module_in() -> None:
    street = provisioned()
    module, locked_us = street.device.module, HOUR_S * US_PER_S
    street.device.meter.access.locked_until_us = street.world.now_us + locked_us
    module.parts.memory.resets.reset_told = False
    module.parts.tasks.report_reset(street.world.now_us)
    street.device.expire(street.world.now_us)
    street.run(60)
    assert module.parts.optical.password_accepted is False
    street.run(5 * HOUR_S)
    told = [one for one in street.host.reports if any(table == 25 for table, _ in one.parts)]
    assert module.parts.optical.password_accepted and len(told) == 1
    assert told[0].header["CAUSE"] == Cause.ON_DEMAND


def with_a_gap(monkeypatch: pytest.MonkeyPatch) -> Street:
    """Give a module that has intervals to read again, and nothing else to do for a day."""
    street = provisioned()
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 4)
    street.host.refusing = True
    street.run(3 * HOUR_S)
    raise_alarms(street, 12)
    assert street.device.module.parts.memory.lists.profile_gaps
    street.provision(SCHEDULES=schedules(schedule(KIND=ScheduleKind.DAILY)))
    return street


def test_a_gap_that_the_meter_refuses_is_asked_for_again_though_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = with_a_gap(monkeypatch)
    refusing = [64]
    refuse(street, refusing.__contains__)
    street.host.refusing = False
    street.run(600)
    assert street.device.module.parts.memory.lists.profile_gaps
    refusing.clear()
    due_us = street.device.module.parts.gaps.next_us()
    assert due_us is not None
    run_to(street, due_us / US_PER_S + 10)
    assert not street.device.module.parts.memory.lists.profile_gaps


def test_a_silent_meter_is_asked_for_a_gap_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = with_a_gap(monkeypatch)
    street.device.meter.mains(False, street.world.now_us)
    street.host.refusing = False
    street.run(HOUR_S)
    module = street.device.module
    assert module.parts.memory.lists.profile_gaps and module.parts.link.failures <= 80
    street.device.meter.mains(True, street.world.now_us)
    street.run(120)
    assert not module.parts.memory.lists.profile_gaps
