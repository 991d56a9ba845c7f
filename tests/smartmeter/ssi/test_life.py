"""Every state, error and warning of a module, each reached by a fault; provisioning cut."""

from dataclasses import replace

import pytest

from ansi_tables.ssi_tables import (
    AlarmSource,
    Content,
    Disposition,
    ModuleAlarm,
    ScheduleKind,
    SsiTable,
    Task,
)
from smartmeter.base.clock import Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import DAMAGED_PAGE, MemoryNvram
from smartmeter.network.faults import Partition
from smartmeter.simulation.smart_meter import SmartMeter
from smartmeter.ssi.factory import FACTORY_PAGE
from smartmeter.ssi.module import MemoryFailed, Module
from smartmeter.ssi.outbox import ENTRY_PREFIX, Outbox
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.states import ErrorCode, Life, StartCause, State, WarningCode, warning
from tests.smartmeter.ssi import host
from tests.smartmeter.ssi.host import (
    FACTORY,
    GENERAL,
    OUTAGE,
    FailingNvram,
    PowerCut,
    Street,
    cut_nvram,
    monitor,
    schedule,
    schedules,
)

HOUR_S = 3600


def module_of(quality: int = 2, **pages: bytes) -> Module:
    factory = replace(FACTORY, quality=quality)
    nvram = MemoryNvram({FACTORY_PAGE: factory.page(), **pages})
    return Module(Parts(nvram, Calendar(None), 0))


@pytest.fixture
def wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let modules have a password that their meters refuse."""
    monkeypatch.setattr(host, "FACTORY", replace(FACTORY, optical_password=b"guess"))


@pytest.mark.parametrize(
    ("password", "accepted"), [(b"master", True), (b"guess", False), (b"", None)]
)
def test_what_became_of_the_optical_password_is_known(
    password: bytes, accepted: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "FACTORY", replace(FACTORY, optical_password=password))
    street = Street(baud=9600)
    street.run(10)
    assert street.device.module.state is State.REGISTERED, "what needs no password is read"
    assert street.device.module.parts.optical.password_accepted is accepted


@pytest.mark.usefixtures("wrong_password")
def test_a_meter_that_begins_to_refuse_the_password_is_told_of_once_over_restarts_too() -> None:
    street = Street(baud=9600)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(PERIOD_MIN=1)))
    street.run(400)
    street.device.restart(street.world.now_us)
    street.run(400)
    told = [one["CODE"] for one in street.host.parts(SsiTable.ALARM) if not one["SOURCE"]]
    assert told == [ModuleAlarm.METER_SECURITY]


@pytest.mark.usefixtures("wrong_password")
def test_a_wrong_password_of_the_module_keeps_a_meter_locked_for_nobody_else() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(86_400)
    access, locked_h = street.device.meter.access, 0
    for _ in range(24):
        street.run(3600)
        locked_h += access.locked_until_us > street.world.now_us
    assert locked_h <= 5, "a meter is locked for an hour by each wrong one"


@pytest.mark.usefixtures("wrong_password")
def test_intervals_that_need_no_password_are_reported_where_the_log_needs_one() -> None:
    street = Street()
    street.run(10)
    street.provision(
        SCHEDULES=schedules(schedule(CONTENT=Content.LOAD_PROFILE | Content.EVENT_LOG))
    )
    street.run(2 * 3600)
    assert len(street.host.intervals()) == len(street.journal) >= 7
    told = [one["CODE"] for one in street.host.parts(SsiTable.ALARM) if not one["SOURCE"]]
    assert told == [ModuleAlarm.METER_SECURITY], "it answers"


# States.


@pytest.mark.parametrize("quality", [0, 1])
def test_a_module_that_has_not_passed_quality_control_does_nothing(quality: int) -> None:
    module = module_of(quality)
    assert module.state == State(quality)
    module.bearer_up("link", 0)
    module.expire(10**9)
    assert (
        module.deadline_us() is None
        and not module.outgoing()
        and not module.parts.optical.outgoing()
    )


def test_states_03_to_06_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[State] = []
    set_state = Life.set_state

    def noted(life: Life, state: State) -> None:
        seen.append(state)
        set_state(life, state)

    monkeypatch.setattr(Life, "set_state", noted)
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(60)
    order = list(dict.fromkeys(seen))
    assert order == [State.CONFIGURING, State.REGISTERING, State.REGISTERED, State.PROVISIONED]


# Errors.


@pytest.mark.parametrize("fails_in", [1, 2, 3, 5])
def test_error_1_a_write_that_failed_starts_the_module_anew_and_loses_nothing(
    fails_in: int,
) -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    failing = FailingNvram(dict(street.device.nvram._pages))
    street.device.nvram = failing
    street.device.restart(street.world.now_us)
    street.run(1000)
    failing.fails_in = fails_in
    street.run(HOUR_S)
    if failing.fails_in > 0:
        pytest.fail("nothing was written")
    starts = len(street.device.starts)
    assert starts == 3, "the host started the module anew"
    street.run(HOUR_S)
    alarms = [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert alarms == [ModuleAlarm.MEMORY_FAILED]
    told = street.host.intervals()
    assert told == [(o.sequence, o.end_utc_s, list(o.values)) for o in street.journal][: len(told)]
    assert len(told) >= len(street.journal) - 1
    assert street.device.module.error is ErrorCode.NONE, "it ends with the first report"


def test_error_1_is_shown_until_it_was_told() -> None:
    nvram = MemoryNvram({FACTORY_PAGE: FACTORY.page()})
    module = Module(Parts(nvram, Calendar(None), 0, cause=StartCause.MEMORY_FAILED))
    assert module.error is ErrorCode.NON_VOLATILE_MEMORY


def test_a_dead_memory_ends_the_module_and_says_so() -> None:
    failing = FailingNvram({FACTORY_PAGE: FACTORY.page()})
    module = Module(Parts(failing, Calendar(None), 0))
    failing.fails_in = 1
    module.mains(False, 5)
    assert module.dead
    assert any(isinstance(event, MemoryFailed) for event in module.events())


def test_error_2_a_damaged_common_area_is_named_with_its_remedy() -> None:
    with pytest.raises(StorageError, match="factory memory") as caught:
        module_of(**{FACTORY_PAGE: b"{}"})
    assert caught.value.code == ErrorCode.COMMON_AREA


@pytest.mark.parametrize("page", [b"\xff", b"5", b"[[1]]", b'[[1, 9, "00"]]', b'[[1, 0, "0"]]'])
def test_error_2_keys_that_cannot_be_read_leave_the_factorys_and_are_told(page: bytes) -> None:
    street = Street()
    street.run(10)
    street.device.nvram.commit({"keys": page, "ids": b"\xff" * 9})
    street.device.restart(street.world.now_us)
    assert street.device.module.error is ErrorCode.COMMON_AREA
    assert street.device.module.parts.keys.sending == 0
    street.run(60)
    assert street.device.module.error is ErrorCode.NONE, "a report has arrived"
    assert ModuleAlarm.MEMORY_FAILED in [a["CODE"] for a in street.host.parts(SsiTable.ALARM)]


@pytest.mark.parametrize("page", [b"\xff", b"null", b"5"])
def test_error_4_a_boot_page_that_cannot_be_read_starts_the_factorys_version(page: bytes) -> None:
    street = Street()
    street.run(10)
    street.device.nvram.commit({"boot": page})
    street.device.restart(street.world.now_us)
    assert street.device.module.error is ErrorCode.IMAGE_CORRUPT
    assert street.device.module.parts.upgrade.boot.slot == 0
    street.run(60)
    assert street.device.module.error is ErrorCode.NONE
    street.device.restart(street.world.now_us)
    assert street.device.module.error is ErrorCode.NONE, "said once"


@pytest.mark.parametrize(
    "pages",
    [
        {"module": b"\xff"},
        {"module": b"[]"},
        {"outbox": b"no"},
        {"out.0000000001": b"{}"},
        {"config": b"\0\0\0\1\1"},
        {"config": bytes(37)},
        {"active.8": b"\xff\xff"},
        {"upgrade": b"\xff"},
        {"upgrade": b'{"state": 99}'},
    ],
    ids=str,
)
def test_error_3_a_damaged_application_area_begins_anew_and_is_told(
    pages: dict[str, bytes],
) -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(2 * HOUR_S)
    street.device.nvram.commit(pages)
    street.device.restart(street.world.now_us)
    assert street.device.module.error is ErrorCode.APPLICATION_AREA
    is_lost = any(name in pages for name in ("config", "active.8"))
    assert street.device.module.parts.configuration.version == (0 if is_lost else 1)
    street.run(60)
    assert street.device.module.error is ErrorCode.NONE
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(HOUR_S)
    alarms = [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert ModuleAlarm.MEMORY_FAILED in alarms
    told = {(s, e, tuple(v)) for s, e, v in street.host.intervals()}
    measured = [(o.sequence, o.end_utc_s, tuple(o.values)) for o in street.journal]
    assert set(measured[:-1]) <= told


def test_error_3_a_medium_that_fell_back_never_uses_a_reports_number_twice() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.run(2 * HOUR_S)
    older = dict(street.device.nvram._pages)
    street.run(2 * HOUR_S)
    street.device.nvram = MemoryNvram({**older, DAMAGED_PAGE: b"1"})
    street.device.restart(street.world.now_us)
    assert street.device.module.error is ErrorCode.APPLICATION_AREA
    street.run(2 * HOUR_S)
    alarms = [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert alarms == [ModuleAlarm.MEMORY_FAILED]
    told = {(s, e, tuple(v)) for s, e, v in street.host.intervals()}
    measured = [(o.sequence, o.end_utc_s, tuple(o.values)) for o in street.journal]
    assert set(measured[:-1]) <= told, "a number that came twice would be taken for a repetition"
    street.device.restart(street.world.now_us)
    assert street.device.module.error is ErrorCode.NONE, "it has begun anew"


@pytest.mark.parametrize("damaged", [DAMAGED_PAGE, ENTRY_PREFIX + "0000000009"])
def test_error_3_an_outbox_that_begins_anew_does_so_above_the_epoch_before(damaged: str) -> None:
    """It was first used beside a clock that was far ahead; the TMS takes epochs in order."""
    nvram = MemoryNvram()
    Outbox(nvram).begin(2_000_000_000, {})
    nvram.commit({damaged: b"1"})
    anew = Outbox(nvram)
    if not anew.damaged:
        anew.renew()
        anew.renew()
    anew.begin(1_767_225_600, {})
    assert anew.epoch == Outbox(nvram).epoch == 2_000_000_001


def test_error_7_a_watchdogs_reset_is_shown_counted_and_told() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    street.device.restart(street.world.now_us, StartCause.WATCHDOG)
    assert street.device.module.error is ErrorCode.WATCHDOG_RESET
    street.run(HOUR_S)
    assert street.device.module.error is ErrorCode.NONE
    assert street.device.module.parts.memory.watchdog_resets == 1
    alarms = [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert alarms == [ModuleAlarm.WATCHDOG_RESET]


def test_error_30_a_meter_that_cannot_be_read_is_no_configuration() -> None:
    street = Street()
    street.device.meter.mains(False, 0)
    street.device.restart(0)
    street.run(120)
    assert street.device.module.error is ErrorCode.CONFIGURATION_FAILED
    assert street.device.module.parts.life.why, "the cause is told"
    street.device.meter.mains(True, street.world.now_us)
    street.run(120)
    assert street.device.module.error is ErrorCode.NONE
    assert street.device.module.state is State.REGISTERED


def test_error_31_without_a_tms_there_is_no_registration() -> None:
    street = Street()
    cut = Partition()
    street.link.wrap(cut)
    street.run(60)
    assert street.device.module.error is ErrorCode.REGISTRATION_FAILED
    assert street.device.module.parts.life.why == "no answer in time"
    assert street.device.module.state is State.REGISTERING
    street.link.unwrap(cut)
    street.run(120)
    assert street.device.module.error is ErrorCode.NONE


def test_a_registration_comes_again_in_its_period_also_when_a_module_is_configured() -> None:
    """The head-end grants less than the configuration asks for."""
    street = Street()
    street.host.grants_s = 600
    street.run(10)
    for turn in range(1, 5):
        before = street.host.registrations
        street.provision(SCHEDULES=schedules(schedule(turn)))
        street.run(600)
        assert street.host.registrations > before


def test_a_registration_comes_again_in_the_period_that_the_configuration_asks_for() -> None:
    street = Street()
    street.run(10)
    street.provision(GENERAL={**GENERAL, "REGISTRATION_PERIOD_S": 600})
    before = street.host.registrations
    street.run(HOUR_S)
    assert 5 <= street.host.registrations - before <= 6


# Warnings.


@pytest.mark.parametrize(
    ("hours", "period_min", "expected"),
    [
        (3, 15, WarningCode.QUIET),
        (26, 240, WarningCode.LONG_QUIET_FEW_WAITING),
        (26, 60, WarningCode.LONG_QUIET_MANY_WAITING),
    ],
)
def test_warnings_80_81_and_82_follow_the_silence_and_end_with_it(
    hours: int, period_min: int, expected: WarningCode
) -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(PERIOD_MIN=period_min)))
    street.run(5 * HOUR_S)
    cut = Partition()
    street.link.wrap(cut)
    street.run(hours * HOUR_S)
    assert street.device.module.parts.status()["WARNING"] == expected
    street.link.unwrap(cut)
    street.run(600)
    assert street.device.module.parts.status()["WARNING"] == WarningCode.NONE


def test_a_module_that_nobody_has_ever_heard_warns_too() -> None:
    street = Street()
    cut = Partition()
    street.link.wrap(cut)
    street.run(23 * HOUR_S)
    assert street.device.module.parts.status()["WARNING"] == WarningCode.NONE
    street.run(2 * HOUR_S)
    assert street.device.module.parts.status()["WARNING"] == WarningCode.LONG_QUIET_FEW_WAITING
    street.link.unwrap(cut)
    street.run(600)
    assert street.device.module.parts.status()["WARNING"] == WarningCode.NONE


def test_nothing_waiting_is_no_warning_before_a_day_is_over() -> None:
    assert warning(20 * HOUR_S, 0) is WarningCode.NONE
    assert warning(24 * HOUR_S, 0) is WarningCode.LONG_QUIET_FEW_WAITING


# Provisioning with power cuts.


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 9))
def test_a_power_cut_at_any_write_of_provisioning_leaves_all_of_it_or_nothing(
    step: int, after: bool
) -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()))
    old = dict(street.device.module.parts.configuration.active)
    cutting = cut_nvram(street)
    street.run(10)
    cutting.cut_in, cutting.after = step, after
    hourly = schedules(schedule(KIND=ScheduleKind.HOURLY), schedule(2, TASK=Task.CLOCK_CHECK))
    tables = {"SCHEDULES": hourly, "GENERAL": {**GENERAL, "DUTY_PERMILLE": 50}}
    # What is as it was is not written.
    tables |= {"OUTAGE": OUTAGE, "MONITORS": {"MONITORS": [monitor()]}}
    tables |= {"DISPOSITION": {"DEFAULT": 1, "ENTRIES": []}}
    tables |= {"ZONE": {"OFFSET_S": 3600, "TRANSITIONS": []}}
    try:
        street.provision(**tables)
        cut = False
    except PowerCut:
        cut = True
    street.device.restart(street.world.now_us)
    configuration = street.device.module.parts.configuration
    assert not configuration.damaged
    half = configuration.active != old
    assert (configuration.version == 2) is half
    assert cut or half
    if not half:
        street.run(10)
        street.provision(**tables)
    assert street.device.module.parts.configuration.active != old
    assert street.device.module.parts.configuration.version == 2


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 12))
def test_a_power_cut_at_any_write_loses_and_doubles_nothing_that_the_meters_log_tells(
    step: int, after: bool
) -> None:
    street = Street()
    street.run(30)
    content = Content.LOAD_PROFILE | Content.EVENT_LOG
    tables = {"SCHEDULES": schedules(schedule(CONTENT=content)), "OUTAGE": OUTAGE}
    tamper = {"SOURCE": AlarmSource.METER_STANDARD, "CODE": 47, "DISPOSITION": Disposition.ALARM}
    street.provision(**tables, DISPOSITION={"DEFAULT": 0, "ENTRIES": [tamper]})
    street.run(3600)
    meter = street.device.meter
    for _ in range(2):
        meter.mains(False, street.world.now_us)
        street.run(60)
        meter.mains(True, street.world.now_us)
        meter.inject("tamper", street.world.now_us)
        meter.relieve("tamper", street.world.now_us)
        street.run(60)
    cutting = cut_nvram(street)
    cutting.cut_in, cutting.after = step, after
    try:
        street.run(3600)
    except PowerCut:
        street.device.restart(street.world.now_us)
        street.run(3600)
    records = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert [record["OUTAGE_NBR"] for record in records] == [1, 2]
    told = [one["SOURCE"] for one in street.host.parts(SsiTable.ALARM)]
    assert told.count(AlarmSource.METER_STANDARD) == 2


def test_the_host_of_a_simulation_starts_a_module_again_after_every_ending() -> None:
    device = SmartMeter(FACTORY, host.MeterSettings(), Calendar(host.EPOCH_US), 0)
    device.restart(5, StartCause.WATCHDOG)
    assert len(device.starts) == 2 and device.module.error is ErrorCode.WATCHDOG_RESET
