"""Another meter in the place of the one that a module knows."""

from dataclasses import dataclass

from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.meter import Meter, MeterSettings
from tests.smartmeter.ssi.host import (
    EPOCH_US,
    Street,
)

HOUR_S, QUARTER_S, DAY_US = 3600, 900, 86_400 * US_PER_S


@dataclass
class Other:
    """A meter that measured elsewhere for some days before the beginning, and its book."""

    meter: Meter
    book: list[Interval]


def other_meter(serial: str = "OTHER77", days: int = 3, seed: int = 77, ahead_s: int = 0) -> Other:
    book: list[Interval] = []
    nvram, of = MemoryNvram(), MeterSettings(seed=seed, serial=serial)
    before = Calendar(EPOCH_US - days * DAY_US)
    Meter(of, nvram, before, 0, book.append).advance(days * DAY_US)
    now = Calendar(EPOCH_US + ahead_s * US_PER_S)
    return Other(Meter(of, nvram, now, 0, book.append), book)


def put(street: Street, meter: Meter) -> None:
    """Put the probe on a meter, within an instant."""
    street.device.meter = meter
    meter._server = meter._port()
    street.device._line.clear()
