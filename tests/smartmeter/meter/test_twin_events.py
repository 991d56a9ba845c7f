"""A storm of events in a twin leaves the log that it leaves in its original."""

from dataclasses import replace

import pytest

from ansi_tables import Snapshot
from smartmeter.base.clock import Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profile import ListStyle
from smartmeter.meter.profiles import profile_named
from smartmeter.meter.twin_events import with_events
from tests.smartmeter.meter.sessions import NOON_UTC_US, STANDING


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("profile", ["residential", "commercial", "bcd-1997"])
def test_the_log_is_that_of_the_original(profile: str, fifo: bool, descending: bool) -> None:
    kind = profile_named(profile)
    kind = replace(kind, lists={**kind.lists, "event": ListStyle(descending, fifo)})
    calendar = Calendar(NOON_UTC_US, STANDING)
    meter = Meter(MeterSettings(profile=kind), MemoryNvram(), calendar, 0)
    numbers = (0, 52, 71, 76)
    for count in (1, 5, 300):
        tables = Snapshot({number: meter.table(number, 0) for number in numbers})
        code = EventCode.LOW_BATTERY
        image, taken = with_events(tables, code, count)
        for _ in range(count):
            meter.note(code, 0)
        expected = meter.table(76, 0)
        assert len(image) == len(expected)
        assert (
            Snapshot({**tables.images, 76: image})[76]
            == Snapshot({**tables.images, 76: expected})[76]
        ), (count, taken)
