"""Nothing that the network asks reaches the meter against the host's permission."""

from dataclasses import dataclass

import pytest

from ansi_tables.ssi_tables import Command, ScheduleKind, SsiTable, Task
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    FullRead,
    FullWrite,
    IndexWrite,
    Logon,
    OffsetWrite,
    Request,
    Security,
    Unknown,
)
from smartmeter.gateway.permissions import LocalPermission
from smartmeter.ssi.guard import Guard, WriteDenied
from tests.smartmeter.ssi.host import Street, command, own_write, schedule, schedules

ISC, OK = bytes([ResponseCode.isc]), b"\0"
DAY_S = 86_400
CALL_10_LITTLE, CALL_10_BIG = b"\x0a\x00\x01", b"\x00\x0a\x01"


def test_what_only_reads_or_opens_a_session_passes() -> None:
    guard = Guard(LocalPermission())
    for request in (FullRead(42), Logon(1, b"x"), Security(b"x" * 20)):
        assert guard.judge(request) is None


@pytest.mark.parametrize(
    "request_",
    [
        FullWrite(5, b"x"),
        OffsetWrite(5, 0, b"x"),
        IndexWrite(5, (0,), b"x"),
        FullWrite(7, CALL_10_LITTLE),
        OffsetWrite(7, 0, CALL_10_LITTLE),
        IndexWrite(7, (0,), CALL_10_LITTLE),
        Unknown(0x4B, b"x"),
    ],
    ids=repr,
)
def test_a_gateway_without_permission_passes_nothing_that_writes(request_: Request) -> None:
    guard = Guard(LocalPermission())
    guard.byte_order = "little"
    assert guard.judge(request_) is not None


def test_a_procedure_is_told_by_its_number_in_the_meters_byte_order() -> None:
    guard = Guard(LocalPermission(procedures=frozenset({10})))
    assert guard.judge(FullWrite(7, CALL_10_LITTLE)) is not None, "the order is not known yet"
    guard.byte_order = "little"
    assert guard.judge(FullWrite(7, CALL_10_LITTLE)) is None
    assert guard.judge(FullWrite(7, CALL_10_BIG)) is not None
    guard.byte_order = "big"
    assert guard.judge(FullWrite(7, CALL_10_BIG)) is None
    assert guard.judge(FullWrite(7, b"\x08\x0a\x01")) is not None, (
        "the manufacturer's 10 is another"
    )
    assert guard.judge(FullWrite(7, b"\xf0\x0a\x01")) is None, "the selector is no part of it"
    assert guard.judge(OffsetWrite(7, 0, CALL_10_BIG)) is not None


def test_a_module_inside_its_own_meter_may_do_everything() -> None:
    assert Guard(None).judge(OffsetWrite(7, 0, CALL_10_BIG)) is None


def read_only_street(permission: LocalPermission) -> Street:
    street = Street(permission=permission)
    street.run(10)
    street.device.events()
    return street


def test_a_write_over_the_network_is_answered_isc_and_never_reaches_the_meter() -> None:
    street = read_only_street(LocalPermission())
    before = street.ask(encode_request(FullRead(5)))
    answers = street.ask(
        encode_request(FullRead(1)),
        encode_request(FullWrite(5, b"HACKED".ljust(20))),
        encode_request(FullWrite(7, CALL_10_LITTLE + bytes(7))),
    )
    assert answers[0][:1] == OK and answers[1:] == [ISC, ISC]
    assert street.ask(encode_request(FullRead(5))) == before
    denied = [e for e in street.device.events() if isinstance(e, WriteDenied)]
    assert [event.what for event in denied] == ["write of table 5", "procedure 10"]


def test_what_the_host_allows_is_done() -> None:
    street = read_only_street(LocalPermission(tables=frozenset({5})))
    name = b"NEW NAME".ljust(20)
    assert street.ask(encode_request(FullWrite(5, name))) == [OK]
    assert name in street.ask(encode_request(FullRead(5)))[0]


def test_neither_a_schedule_nor_a_command_resets_the_demand_of_a_guarded_meter() -> None:
    street = read_only_street(LocalPermission(tables=frozenset({5})))
    reset = schedule() | {"TASK": Task.DEMAND_RESET}
    assert set(street.provision(SCHEDULES=schedules(reset))) == {OK}
    street.run(3600)
    street.ask(own_write(SsiTable.COMMAND, command(Command.DEMAND_RESET)))
    assert street.device.meter.metering.registers.resets == 0
    denied = [e for e in street.device.events() if isinstance(e, WriteDenied)]
    assert {event.what for event in denied} == {"procedure 9"}


@dataclass
class Changing:
    """A permission that its host gives later."""

    allows: bool = False

    def table(self, number: int) -> bool:
        return False

    def procedure(self, number: int) -> bool:
        return self.allows


def denials(street: Street) -> int:
    return sum(isinstance(event, WriteDenied) for event in street.device.events())


@pytest.mark.parametrize("ordered", [False, True])
def test_a_reset_that_is_refused_for_good_opens_few_sessions_and_is_done_when_it_may_be(
    ordered: bool,
) -> None:
    """A meter notes each session in its history log."""
    permission = Changing()
    street = Street(permission=permission)
    street.run(10)
    reset = schedule(TASK=Task.DEMAND_RESET, KIND=ScheduleKind.DAILY, AT_MINUTE=5)
    street.provision(SCHEDULES=schedules(reset))
    street.run(2 * DAY_S)
    assert 10 < denials(street) < 30
    permission.allows = True
    if ordered:
        order = command(Command.REPORT_NOW, SCHEDULE_NBR=1)
        street.ask(own_write(SsiTable.COMMAND, order))
    street.run(60 if ordered else DAY_S)
    assert street.device.meter.metering.registers.resets == 1
