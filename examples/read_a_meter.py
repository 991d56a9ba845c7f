"""Read a meter: here a simulated one in memory; on a probe the rest stays as it is.

With a probe, ``open_meter("/dev/ttyUSB0", password=b"reader")`` (on Windows
``"COM3"``) takes the place of ``simulated()``.
"""

from ansi_tables import Snapshot
from protocols.c1218.scripts import LogonSettings
from protocols.transports.memory import MachinePort
from protocols.transports.pump import MeterPort, monotonic_us
from smartmeter.base.clock import Calendar, wall_utc_us
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter, MeterSettings


def simulated() -> MeterPort:
    """Give a meter that has measured since yesterday."""
    now_us = monotonic_us()
    calendar = Calendar(wall_utc_us() - 86_400_000_000, origin_us=now_us)
    meter = Meter(MeterSettings(), MemoryNvram(), calendar, now_us)
    calendar.set(wall_utc_us(), now_us)
    return MeterPort(MachinePort(meter, monotonic_us), LogonSettings(password=b"reader"))


with simulated() as meter:
    tables = Snapshot({number: meter.read(number) for number in (0, 1, 21, 23, 52)})

delivered_wh, received_wh, *_ = tables[23].TOT_DATA_BLOCK.SUMMATIONS
print("meter    ", tables[1].MFG_SERIAL_NUMBER.strip())
print("clock    ", tables[52].CLOCK_CALENDAR.value)
print("delivered", delivered_wh, "Wh")
print("received ", received_wh, "Wh")
