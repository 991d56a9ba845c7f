"""The door to a meter's tables answers as its optical port does, service by service."""

from typing import Any

import pytest

from protocols.c1218.scripts import LogonSettings
from protocols.c1218.steps import ClientLimits, Script
from protocols.psem.codec import table_data
from protocols.psem.codes import ResponseCode
from protocols.psem.services import DefaultRead, FullRead, IndexRead, IndexWrite, Request, Wait
from smartmeter.base.clock import Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profiles import profile_named
from smartmeter.simulation.direct_door import DirectDoor
from smartmeter.ssi.meter_side import JobDone, Priority

EPOCH_US = 1_767_225_600_000_000


def answers(profile: str, *requests: Request) -> list[Any]:
    settings = MeterSettings(profile=profile_named(profile, 1))
    meter = Meter(settings, MemoryNvram(), Calendar(EPOCH_US), 0)
    door = DirectDoor(lambda: OpticalPort(meter), LogonSettings(2, b"SSI", b"master"))

    def work(limits: ClientLimits) -> Script[list[Any]]:
        found = []
        for request in requests:
            found.append((yield request))
        return found

    assert door.submit(Priority.REQUEST, work, "job", 0)
    [event] = door.ended()
    assert isinstance(event, JobDone)
    return list(event.result)


def test_elements_and_the_default_table_are_read_and_an_element_is_written() -> None:
    whole, element, none, by_default, registers, written, short, back = answers(
        "residential",
        *(FullRead(1), IndexRead(1, (0,), 1), IndexRead(1, (99,), 1)),
        *(DefaultRead(), FullRead(23)),
        *(IndexWrite(6, (0,), b"ANN".ljust(20)), IndexWrite(6, (0,), b"x"), FullRead(6)),
    )
    assert table_data(element.data) == table_data(whole.data)[:4]
    assert none.code == ResponseCode.onp and by_default.data == registers.data
    assert written.ok and short.code == ResponseCode.onp
    assert table_data(back.data).startswith(b"ANN ")


@pytest.mark.parametrize("request_", [IndexRead(1, (0,), 1), Wait(5)])
def test_a_service_that_the_meter_does_not_announce_is_sns(request_: Request) -> None:
    [answer] = answers("industrial", request_)  # by offset only
    assert answer.code == ResponseCode.sns
