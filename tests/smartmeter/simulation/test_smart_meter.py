"""A whole SmartMeter as one machine."""

from smartmeter.simulation.smart_meter import MAX_EVENTS
from smartmeter.ssi.module import SecurityNote
from tests.smartmeter.ssi.host import Street


def test_what_strangers_send_does_not_pile_up_where_nobody_asks_what_happened() -> None:
    street = Street()
    street.run(10)
    device, now_us = street.device, street.world.now_us
    for _ in range(MAX_EVENTS + 500):
        device.receive("network", b"no APDU", now_us)
    events = device.events()
    assert len(events) == MAX_EVENTS and all(isinstance(one, SecurityNote) for one in events)
    assert not device.events()
