"""The module from the factory to reporting, in virtual time, over real C12.18 and C12.22 octets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansi_tables import ssi_tables
from ansi_tables.ids import PENDING_BIT
from ansi_tables.ssi_tables import (
    Cause,
    Command,
    CommitResult,
    Condition,
    Disposition,
    ModuleAlarm,
    SsiTable,
)
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.identification import identification
from protocols.c1222.registration import DEVICE_CLASS
from protocols.c1222.security import AUTHENTICATED
from protocols.c1222.services import NetworkLogon, NetworkSecurity, encode_service
from protocols.c1222.sessions import MAX_SESSIONS
from protocols.psem.codec import encode_request, table_data
from protocols.psem.services import (
    DefaultRead,
    Disconnect,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    Logoff,
    OffsetRead,
    OffsetWrite,
)
from smartmeter.base.clock import US_PER_S
from smartmeter.base.nvram import MemoryNvram
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.way import PLAIN_WAY
from smartmeter.meter.event_log import EventCode
from smartmeter.network.faults import Muted, Partition
from smartmeter.network.link import LinkSettings
from smartmeter.ssi.bearers_up import BearersUp
from smartmeter.ssi.configuration import Configuration
from smartmeter.ssi.keys import Role
from smartmeter.ssi.own_tables import MAX_ANSWER_OCTETS
from smartmeter.ssi.states import State
from tests.smartmeter.ssi.host import (
    FACTORY,
    GENERAL,
    KEY,
    OUTAGE,
    Street,
    command,
    decoded,
    monitor,
    own_read,
    own_write,
    schedule,
    schedules,
)

HOUR_S = 3600


def expected(street: Street) -> list[tuple[int, int, list[int]]]:
    return [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]


def provisioned(**changes: object) -> Street:
    street = Street()
    street.run(10)
    answers = street.provision(SCHEDULES=schedules(schedule(**changes)))
    assert set(answers) == {b"\0"}
    return street


def test_a_factory_module_registers_says_hello_and_reports_nothing() -> None:
    street = Street()
    street.run(24 * HOUR_S)
    assert street.device.module.state is State.REGISTERED
    assert street.host.registrations >= 1
    [hello] = street.host.reports
    assert hello.header["CAUSE"] == Cause.HELLO and hello.header["ESN"] == "SM000001"
    assert {number for number, _ in hello.parts} >= {0, 11, 12, 16, 21, 61, 62}
    assert not street.host.intervals()


def test_a_module_shows_itself_on_a_bearer_that_came_up_though_nothing_waits() -> None:
    street = Street()
    street.run(60)
    before = street.host.registrations
    street.device.bearer_down("link", street.world.now_us)
    street.device.bearer_up("link", street.world.now_us)
    street.run(60)
    assert street.host.registrations == before + 1, "once: the answer shows that it was seen"


def test_a_bearer_is_doubted_once_after_two_messages_in_a_row_without_an_answer() -> None:
    bearers = BearersUp()
    bearers.up("link", PLAIN_WAY)
    wait = bearers.wait("link", 1, 0)
    bearers.unanswered(wait)
    bearers.answered(wait, 1)
    bearers.unanswered(wait)
    assert bearers.doubted() == []
    bearers.unanswered(wait)
    bearers.unanswered(wait)
    assert (bearers.doubted(), bearers.doubted()) == (["link"], [])


def test_the_meters_default_table_and_elements_are_read_by_the_module() -> None:
    street = Street()
    street.run(10)
    requests = (DefaultRead(), FullRead(23), IndexRead(1, (0,), 1))
    by_default, registers, element = street.ask(*map(encode_request, requests))
    assert by_default[0] == 0 and len(by_default) == len(registers)
    assert table_data(element[1:]) == b"SMOP"


def test_a_provisioned_module_reports_every_interval_once_by_itself() -> None:
    street = provisioned()
    assert street.device.module.state is State.PROVISIONED
    street.run(30 * HOUR_S + 60)
    assert len(street.journal) >= 120
    assert street.host.intervals() == expected(street)
    reports = [r for r in street.host.reports if r.header["CAUSE"] == Cause.SCHEDULE]
    assert len(reports) == 120
    assert all(r.header["TIME"] - r.header["DUE_TIME"] < 5 for r in reports)


def test_nothing_is_lost_or_doubled_over_a_link_that_loses_every_third_message() -> None:
    street = Street(link=LinkSettings(delay_us=200_000, jitter_us=500_000, loss_percent=33))
    street.run(300)
    while street.device.module.state is not State.PROVISIONED:
        try:
            street.provision(SCHEDULES=schedules(schedule()))
        except AssertionError:
            street.run(10)
    street.run(24 * HOUR_S + 600)
    assert street.host.repeats > 0, "the seed lost no answer: choose another"
    assert street.host.intervals() == expected(street)


def test_a_cut_network_only_delays_what_is_told() -> None:
    street = provisioned()
    street.run(HOUR_S)
    cut = Partition()
    street.link.wrap(cut)
    street.run(6 * HOUR_S)
    before = len(street.host.intervals())
    street.link.unwrap(cut)
    street.run(120)
    assert before < len(street.journal)
    assert street.host.intervals() == expected(street)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=6))
def test_restarts_of_the_module_at_any_moment_lose_and_double_nothing(moments: list[int]) -> None:
    street = provisioned()
    for seconds in moments:
        street.world.run(street.world.now_us + seconds * 1_000_000 + 37_000 * seconds)
        street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    measured = expected(street)
    street.run(60)  # what ended just now is on its way
    assert street.host.intervals()[: len(measured)] == measured
    assert street.device.module.state is State.PROVISIONED


def test_an_outage_is_told_with_the_last_gasp_and_its_return() -> None:
    street = Street()
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule()), OUTAGE=OUTAGE)
    street.run(HOUR_S)
    street.device.mains(False, street.world.now_us)
    street.run(45)
    [gasp] = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert gasp["RESTORED"] == 0
    street.run(2 * HOUR_S)
    assert street.device.module.dead
    street.device.mains(True, street.world.now_us)
    street.run(HOUR_S)
    _, restored = street.host.parts(SsiTable.OUTAGE_RECORD)
    assert restored["RESTORED"] == 1 and restored["START_TIME"] == gasp["START_TIME"]
    assert restored["OUTAGE_NBR"] == gasp["OUTAGE_NBR"]
    assert abs(restored["DURATION_S"] - 2 * HOUR_S - 45) <= 2
    street.run(HOUR_S)
    assert street.host.intervals() == expected(street)


@pytest.mark.parametrize("disposition", [Disposition.LOG, Disposition.ADVISORY])
def test_an_outage_that_is_no_alarm_is_logged_and_as_an_advisory_rides_on_the_next_report(
    disposition: Disposition,
) -> None:
    street = Street()
    street.run(10)
    slow = schedules(schedule(PERIOD_MIN=60))
    street.provision(SCHEDULES=slow, OUTAGE=OUTAGE | {"DISPOSITION": disposition})
    for _ in range(20):  # more than the log keeps
        street.device.mains(False, street.world.now_us)
        street.run(45)
        street.device.mains(True, street.world.now_us)
        street.run(5)
    assert not street.host.parts(SsiTable.OUTAGE_RECORD)
    street.run(HOUR_S)
    told = [record["RESTORED"] for record in street.host.parts(SsiTable.OUTAGE_RECORD)]
    assert told == ([] if disposition is Disposition.LOG else [1] * 16)
    tables = street.ask(own_read(SsiTable.OUTAGE_LOG), own_read(SsiTable.MODULE_STATUS))
    assert len(decoded(SsiTable.OUTAGE_LOG, tables[0])["OUTAGES"]) == 16
    assert decoded(SsiTable.MODULE_STATUS, tables[1])["NBR_OUTAGES"] == 20


def test_a_momentary_loss_is_counted_and_not_told() -> None:
    street = Street()
    street.run(10)
    street.provision(OUTAGE=OUTAGE)
    street.device.mains(False, street.world.now_us)
    street.run(5)
    street.device.mains(True, street.world.now_us)
    street.run(120)
    assert not street.host.parts(SsiTable.OUTAGE_RECORD)
    status = decoded(SsiTable.MODULE_STATUS, street.ask(own_read(SsiTable.MODULE_STATUS))[0])
    assert status["NBR_MOMENTARIES"] == 1 and status["NBR_OUTAGES"] == 0


def test_a_monitored_change_is_told_at_once() -> None:
    street = Street()
    street.run(10)
    street.provision(MONITORS={"MONITORS": [monitor()]})
    street.run(30)
    reset = own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET))
    assert street.ask(reset) == [b"\0"]
    street.run(10)
    [alarm] = street.host.parts(SsiTable.ALARM)
    assert alarm["MONITOR_NBR"] == 1 and alarm["VALUE"] == 1


def test_events_of_the_meter_become_what_the_disposition_says() -> None:
    street = Street()
    street.run(10)
    entries = [{"SOURCE": 1, "CODE": 20, "DISPOSITION": 2}]
    watch = monitor(TABLE=76, PATH="LAST_ENTRY_SEQ_NBR", DISPOSITION=0)
    street.provision(MONITORS={"MONITORS": [watch]}, DISPOSITION={"DEFAULT": 0, "ENTRIES": entries})
    street.run(30)
    for _ in range(2):
        street.ask(own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET)))
        street.run(30)
    assert not street.host.parts(SsiTable.ALARM), "what the module caused is no alarm"
    street.run(300)
    street.device.meter.note(EventCode.DEMAND_RESET, street.world.now_us)
    street.run(30)
    assert [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)] == [20]


def test_a_read_over_the_network_is_the_meters_own_answer() -> None:
    street = provisioned()
    street.run(2 * HOUR_S)
    requests = [Identify(), FullRead(0), FullRead(64), OffsetRead(1, 0, 4), FullRead(99)]
    answers = street.ask(*map(encode_request, requests))
    meter, now_us = street.device.meter, street.world.now_us
    assert answers[0] == b"\0" + identification(MAX_SESSIONS)
    assert table_data(answers[1][1:]) == meter.table(0, now_us)
    assert table_data(answers[2][1:]) == meter.table(64, now_us)
    assert table_data(answers[3][1:]) == b"SMOP"
    assert answers[4] == b"\5"


def test_what_does_not_fit_an_answer_any_more_is_rstl_with_the_limit() -> None:
    street = provisioned()
    street.run(2 * HOUR_S)
    answers = street.ask(*[encode_request(FullRead(64))] * 40)
    assert answers[0][0] == 0 and answers[-1] == b"\x10" + MAX_ANSWER_OCTETS.to_bytes(4, "big")


def test_intervals_can_be_asked_for_in_one_message() -> None:
    street = provisioned()
    street.run(5 * HOUR_S)
    first = street.journal[3].sequence
    select = command(Command.SELECT_INTERVALS, FIRST_SEQUENCE=first, COUNT=7)
    answers = street.ask(own_write(SsiTable.COMMAND, select), own_read(SsiTable.LOAD_PROFILE_PART))
    part = decoded(SsiTable.LOAD_PROFILE_PART, answers[1])
    assert part["FIRST_SEQUENCE"] == first
    assert [one["VALUES"] for one in part["INTERVALS"]] == [
        list(one.values) for one in street.journal[3:10]
    ]


@pytest.mark.parametrize("table", [SsiTable.LOAD_PROFILE_PART, SsiTable.EVENT_PART])
def test_what_a_module_reads_of_its_meter_is_read_in_parts_too(table: SsiTable) -> None:
    street = provisioned()
    street.run(2 * HOUR_S)
    street.device.meter.note(EventCode.REVERSE_ROTATION, street.world.now_us)
    select = own_write(SsiTable.COMMAND, command(Command.SELECT_INTERVALS, COUNT=4))
    part = encode_request(OffsetRead(ssi_tables.DEFAULT_BASE + table, 3, 9))
    _, whole = street.ask(select, own_read(table))
    [cut] = street.ask(part)
    assert table_data(cut[1:]) == table_data(whole[1:])[3:12] and len(table_data(cut[1:])) == 9


def test_entries_of_the_log_can_be_asked_for_from_any_on() -> None:
    street = provisioned()
    for _ in range(9):
        street.run(60)
        street.device.meter.note(EventCode.REVERSE_ROTATION, street.world.now_us)
    [newest] = street.ask(own_read(SsiTable.EVENT_PART))
    held = decoded(SsiTable.EVENT_PART, newest)["ENTRIES"]
    assert len(held) > 8
    for first, count in ((held[3]["SEQUENCE"], 4), (-(1 << 62), 2), (held[-1]["SEQUENCE"] + 1, 9)):
        select = command(Command.SELECT_ENTRIES, FIRST_SEQUENCE=first, COUNT=count)
        answers = street.ask(own_write(SsiTable.COMMAND, select), own_read(SsiTable.EVENT_PART))
        entries = decoded(SsiTable.EVENT_PART, answers[1])["ENTRIES"]
        assert entries == [one for one in held if one["SEQUENCE"] >= first][:count]
    assert street.ask(own_read(SsiTable.EVENT_PART)) == [newest], "it counts once"


def test_a_muted_module_still_answers() -> None:
    street = provisioned()
    street.link.wrap(Muted())
    street.run(HOUR_S)
    assert not street.host.intervals()
    assert street.ask(encode_request(Identify())) == [b"\0" + identification(MAX_SESSIONS)]


def test_a_commit_with_a_wrong_digest_changes_nothing() -> None:
    street = provisioned()
    before = dict(street.device.module.parts.configuration.active)
    staging = ssi_tables.encode(SsiTable.SCHEDULES, schedules())
    commit = ssi_tables.encode(SsiTable.COMMIT, {"VERSION": 2, "DIGEST": bytes(32)})
    answers = street.ask(
        own_write(SsiTable.SCHEDULES_STAGING, staging), own_write(SsiTable.COMMIT, commit)
    )
    assert answers == [b"\0", b"\4"]
    assert street.device.module.parts.configuration.active == before
    status = decoded(SsiTable.CONFIG_STATUS, street.ask(own_read(SsiTable.CONFIG_STATUS))[0])
    assert status["ACTIVE_VERSION"] == 1
    assert status["LAST_RESULT"] == CommitResult.DIGEST_DIFFERS


@pytest.mark.parametrize(
    "changes",
    [
        {"PERIOD_MIN": 0},
        {"KIND": 9},
        {"TASK": 77},
        {"AT_MINUTE": 2000},
        {"CATCH_UP": 3},
        {"PARTS": [{"TABLE": 23, "OFFSET": 0, "COUNT": 0}]},
    ],
)
def test_an_impossible_schedule_is_not_committed(changes: dict[str, object]) -> None:
    street = Street()
    street.run(10)
    assert street.provision(SCHEDULES=schedules(schedule(**changes)))[-1] == b"\4"
    assert street.device.module.state is State.REGISTERED


@pytest.mark.parametrize(
    "changes",
    [
        {"CONDITION": Condition.BIT_SET, "THRESHOLD": -1},
        {"CONDITION": Condition.BIT_CLEAR, "THRESHOLD": 1 << 40},
        {"CONDITION": Condition.BIT_CLEAR, "THRESHOLD": 16, "PATH": "", "WIDTH": 2},
        {"CONDITION": Condition.OUTSIDE, "THRESHOLD": 1},
        {"CONDITION": Condition.RATE, "THRESHOLD": -1, "WINDOW_S": 60},
        {"HYSTERESIS": -1},
        {"DISPOSITION": 3},
    ],
)
def test_an_impossible_monitor_is_not_committed(changes: dict[str, int]) -> None:
    street = Street()
    street.run(10)
    monitors = {"MONITORS": [monitor(**changes)]}
    assert street.provision(MONITORS=monitors)[-1] == b"\4"
    disposition = {"DEFAULT": 0, "ENTRIES": [{"SOURCE": 1, "CODE": 2, "DISPOSITION": 9}]}
    assert street.provision(MONITORS={"MONITORS": []}, DISPOSITION=disposition)[-1] == b"\4"
    twice = {"DEFAULT": 0, "ENTRIES": [{"SOURCE": 1, "CODE": 2, "DISPOSITION": 1}] * 2}
    assert street.provision(MONITORS={"MONITORS": []}, DISPOSITION=twice)[-1] == b"\4"
    for wrong in ({"DISPOSITION": 7}, {"SAG_PERMILLE": 900, "SWELL_PERMILLE": 900}):
        assert street.provision(OUTAGE=OUTAGE | wrong)[-1] == b"\4"
    general = GENERAL | {"REGISTRATION_PERIOD_S": 0}
    assert street.provision(GENERAL=general)[-1] == b"\4"


def test_a_configuration_that_is_refused_is_written_once_however_often_it_comes() -> None:
    nvram = MemoryNvram()
    one = Configuration(nvram)
    impossible = ssi_tables.encode(SsiTable.SCHEDULES, schedules(schedule(PERIOD_MIN=0)))
    digest = ssi_tables.config_digest({**one.staging, SsiTable.SCHEDULES: impossible})
    for _ in range(3):
        assert one.stage(SsiTable.SCHEDULES_STAGING, impossible)
        assert one.commit(1, digest) is CommitResult.CONTENT_REFUSED
    assert nvram.commits == 2
    kept = Configuration(nvram)
    assert kept.status == one.status


def test_a_configuration_kept_from_an_older_program_goes_on_though_it_would_be_refused_now() -> (
    None
):
    factory = Configuration(MemoryNvram()).active
    twice = {"DEFAULT": 0, "ENTRIES": [{"SOURCE": 1, "CODE": 2, "DISPOSITION": 1}] * 2}
    images = factory | {SsiTable.DISPOSITION: ssi_tables.encode(SsiTable.DISPOSITION, twice)}
    pages = {f"active.{table}": image for table, image in images.items()}
    pages["config"] = b"\0\0\0\7\0" + ssi_tables.config_digest(images)
    kept = Configuration(MemoryNvram(pages))
    assert (kept.version, kept.damaged, kept.active) == (7, False, images)


def test_a_meter_that_cannot_be_reached_is_told_of() -> None:
    street = provisioned(PERIOD_MIN=1)
    street.device.meter.mains(False, street.world.now_us)
    street.run(300)
    codes = [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]
    assert codes == [ModuleAlarm.METER_UNREACHABLE]


def test_a_meter_is_given_up_at_the_third_failure_in_a_row_and_once() -> None:
    street = provisioned()
    link, now_us = street.device.module.parts.link, street.world.now_us
    assert not link.failed("silence", now_us) and not link.failed("silence", now_us)
    link.answered(now_us)
    assert [link.failed("silence", now_us) for _ in range(4)] == [False, False, True, False]
    assert not link.answers and link.failures == 6
    link.answered(now_us)
    assert link.answers


def test_what_is_for_everybody_is_answered_also_by_a_module_without_its_bearer() -> None:
    street = Street()
    street.run(60)
    street.device.bearer_down("link", street.world.now_us)
    begin_us = street.world.now_us
    number = street.host.node.request(
        [encode_request(Identify())], ApTitle.parse(".7.0"), "link", begin_us
    )
    street.world.run(begin_us + 10 * US_PER_S, lambda: number in street.host.answers)
    assert street.host.answers[number][0][:2] == b"\0\3"
    assert street.world.now_us < begin_us + 10 * US_PER_S, "not when something else was due"


def test_garbage_from_the_network_is_noted_and_answered_by_nobody() -> None:
    street = provisioned()
    for octets in (b"", b"\x60", b"\x60\x80", bytes(100), b"\x60\x03\xa8\x01\x02"):
        street.device.receive("link", octets, street.world.now_us)
    assert not street.device.outgoing()
    street.run(HOUR_S)
    assert street.host.intervals() == expected(street)


def test_a_key_that_was_written_is_used_and_cannot_be_read() -> None:
    street = provisioned()
    image = ssi_tables.encode(SsiTable.KEYS, {"KEY_ID": 1, "ROLE": 0, "KEY": bytes(16)})
    assert street.ask(own_write(SsiTable.KEYS, image)) == [b"\0"]
    assert street.ask(own_read(SsiTable.KEYS)) == [b"\5"]
    assert street.device.module.parts.keys.sending == 1


@pytest.mark.parametrize("role", [Role.MAINTENANCE, Role.READ_ONLY])
def test_who_is_not_the_head_end_brings_no_key_also_in_a_session_of_the_head_end(
    role: Role,
) -> None:
    street = provisioned()
    street.ring.ids = (0, 9)
    image = ssi_tables.encode(SsiTable.KEYS, {"KEY_ID": 9, "ROLE": role, "KEY": KEY})
    assert street.ask(own_write(SsiTable.KEYS, image)) == [b"\0"]
    own = ssi_tables.encode(SsiTable.KEYS, {"KEY_ID": 1, "ROLE": Role.TMS, "KEY": bytes(16)})
    bring, leave = own_write(SsiTable.KEYS, own), encode_service(Disconnect())
    assert street.ask(bring, leave, own_read(SsiTable.MODULE_STATUS), key_id=9)[:2] == [b"\3"] * 2
    logon = encode_service(NetworkLogon(2, b"TMS".ljust(10), 600))
    password = encode_service(NetworkSecurity(FACTORY.optical_password.ljust(20)))
    assert [answer[0] for answer in street.ask(logon, password)] == [0, 0]
    assert street.ask(bring, leave, key_id=9) == [b"\3"] * 2
    assert street.device.module.parts.keys.sending == 0


def test_keys_and_passwords_that_everybody_could_read_on_their_way_are_refused() -> None:
    street = provisioned()
    image = ssi_tables.encode(SsiTable.KEYS, {"KEY_ID": 1, "ROLE": 0, "KEY": bytes(16)})
    services = [
        own_write(SsiTable.KEYS, image),
        encode_request(OffsetWrite(42, 0, b"OPEN")),
        encode_request(FullWrite(45, bytes(16))),
        encode_request(FullWrite(PENDING_BIT | 42, bytes(26))),
        own_read(SsiTable.MODULE_STATUS),
    ]
    number = street.host.node.request(
        services, FACTORY.title, "link", street.world.now_us, key_id=0, mode=AUTHENTICATED
    )
    street.run(60)
    *refused, status = street.host.answers[number]
    assert refused == [b"\3"] * 4 and status[0] == 0
    assert street.device.module.parts.keys.sending == 0
    assert street.ask(encode_request(OffsetWrite(42, 0, b"OPEN"))) == [b"\0"], "in ciphertext"


def test_a_write_of_a_context_table_makes_the_module_read_the_context_again() -> None:
    street = provisioned()
    module = street.device.module
    before = module.meter
    assert before is not None and 13 in before.images and 5 not in before.images
    assert street.ask(encode_request(FullWrite(5, b"NEW IDENTIFICATION  "))) == [b"\0"]
    street.run(10)
    assert module.meter is before, "a name is no part of it"
    half_hours = bytes([30]) + before.images[13][1:]
    assert street.ask(encode_request(FullWrite(13, half_hours))) == [b"\0"]
    street.run(10)
    assert module.meter is not None and module.meter.images[13] == half_hours
    assert module.meter.id != before.id


def test_a_context_that_finds_no_room_at_the_port_is_read_again_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    street = provisioned()
    module = street.device.module
    before = module.meter
    with monkeypatch.context() as full:
        full.setattr("smartmeter.ssi.meter_side.MAX_JOBS", 0)
        module.parts.link.table_written(0, street.world.now_us)
        street.run(5)
        assert module.meter is before
    street.run(60)
    assert module.meter is not before


def test_clients_that_log_on_or_put_security_first_are_served_with_the_right_password() -> None:
    street = provisioned()
    read = encode_request(FullRead(0))
    password = FACTORY.optical_password.ljust(20)
    right, wrong = (encode_service(NetworkSecurity(p, 2)) for p in (password, b"guess".ljust(20)))
    assert [answer[0] for answer in street.ask(right, read)] == [0, 0]
    assert [answer[0] for answer in street.ask(wrong, read)] == [3, 3]
    logon = encode_service(NetworkLogon(2, b"OPERATOR  ", 60))
    logoff = encode_request(Logoff())
    assert street.ask(logon, right)[0] == bytes.fromhex("00003c")
    assert [answer[0] for answer in street.ask(read, logoff)] == [0, 0]
    assert street.ask(logoff) == [b"\x0a"]


def test_a_request_of_before_the_clock_was_set_back_is_left_without_an_answer() -> None:
    street = Street(baud=9600)
    street.run(60)
    number = street.host.node.request(
        [encode_request(FullRead(23))], FACTORY.title, "link", street.world.now_us, key_id=0
    )
    street.run(0.1)  # it has arrived, and the meter is being read
    module = street.device.module
    module.parts.network.renew_stamps(street.world.now_us)
    street.run(60)
    assert isinstance(street.host.answers[number], str), "no answer came, and nothing broke"
    street.run(120)
    assert street.ask(own_read(SsiTable.MODULE_STATUS))[0][:1] == b"\0"


def test_a_session_ends_when_the_module_is_told_to_leave_the_network() -> None:
    street = Street()
    street.run(60)
    logon = encode_service(NetworkLogon(2, b"OPERATOR  ", 60))
    assert street.ask(logon)[0][:1] == b"\0"
    assert street.ask(encode_service(Disconnect())) == [b"\0"]
    assert street.ask(encode_request(Logoff())) == [b"\x0a"]


@pytest.mark.parametrize("address, kind", [("tcp:192.0.2.1", 0x44), ("udp:192.0.2.1", 0x14)])
def test_a_module_registers_as_what_its_bearer_is(address: str, kind: int) -> None:
    """RFC 6142, table 1: over UDP alone, connectionless."""
    street = Street()
    street.device.bearer_down("link", 0)
    street.device.bearer_up("link", 0, BearerSettings("tms", address).way)
    street.run(60)
    assert street.host.registrations and street.host.connection_type == kind


def test_registrations_and_reports_bear_the_device_class() -> None:
    street = provisioned()
    street.run(HOUR_S)
    way = BearerSettings("tms", "udp:192.0.2.1", max_apdu_octets=548).way
    street.device.bearer_up("link", street.world.now_us, way)
    street.run(HOUR_S)
    assert street.host.ed_classes == {(True, DEVICE_CLASS), (False, DEVICE_CLASS)}


def test_what_goes_over_a_bearer_of_short_messages_bears_no_device_class() -> None:
    street = Street()
    street.run(10)
    street.provision(OUTAGE=OUTAGE)
    street.device.bearer_down("link", street.world.now_us)
    street.host.ed_classes.clear()
    way = BearerSettings("text", "sms:+15551234567@/dev/ttyUSB2", max_apdu_octets=300).way
    street.device.bearer_up("link", street.world.now_us, way)
    street.device.mains(False, street.world.now_us)
    street.run(45)
    assert len(street.host.parts(SsiTable.OUTAGE_RECORD)) == 1
    assert street.host.ed_classes == {(True, None), (False, None)}
