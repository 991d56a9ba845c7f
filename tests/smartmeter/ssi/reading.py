"""A meter whose lists are read while they move."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocols.c1218.steps import ClientLimits, Script
from protocols.psem.codec import block
from protocols.psem.services import FullRead, OffsetRead, Response
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.load_profile import Interval as Recorded
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profile import DeviceProfile
from smartmeter.ssi.meter_data import read_context
from smartmeter.ssi.profile_reading import ProfileRead, read_profile

EPOCH_S = 1_767_225_600
EVERYTHING = 100_000
LIMITS = ClientLimits(packet_octets=1024, packets=16)
ORDERS = ("residential", "bcd-1997", "unusual")


def overflowing(profile: DeviceProfile) -> DeviceProfile:
    """Give a profile whose load profile does not stop when it is full of unread blocks."""
    dims = profile.tables.get(61)
    if dims is None:
        return profile
    flags = tuple(flag for flag in dims["LP_FLAGS"] if "INHIBIT" not in flag)
    return replace(profile, tables={**profile.tables, 61: {**dims, "LP_FLAGS": flags}})


class Bench:
    """A meter behind its tables; ``between`` is called before each answer."""

    def __init__(
        self, profile: DeviceProfile, interval_min: int | None = 1, epoch_s: int = EPOCH_S
    ) -> None:
        self.journal: list[Recorded] = []
        calendar = Calendar(epoch_s * US_PER_S)
        settings = MeterSettings(profile=overflowing(profile), interval_min=interval_min)
        self.meter = Meter(settings, MemoryNvram(), calendar, 0, self.journal.append)
        self.now_us = 0
        self.between: Callable[[int], None] = lambda table: None
        self.asked: list[int] = []
        self.context = self.script(read_context(LIMITS))

    def run(self, minutes: float) -> None:
        self.now_us += int(minutes * 60) * US_PER_S
        self.meter.expire(self.now_us)

    def interrupt(self) -> None:
        """Cut the mains for a minute, which puts entries into the meter's logs."""
        self.meter.mains(False, self.now_us)
        self.run(1)
        self.meter.mains(True, self.now_us)

    def script(self, script: Script[Any]) -> Any:
        try:
            request = next(script)
            while True:
                assert isinstance(request, FullRead | OffsetRead)
                self.asked.append(request.table)
                self.between(request.table)
                port = OpticalPort(self.meter)
                port.security(b"reader".ljust(20), self.now_us)
                image = port.read(request.table, self.now_us)
                if isinstance(request, OffsetRead):
                    image = image[request.offset : request.offset + request.count]
                request = script.send(Response(0, block(image)))
        except StopIteration as stop:
            return stop.value

    def read(self, first: int | None = None, count: int = EVERYTHING) -> ProfileRead:
        read: ProfileRead = self.script(read_profile(self.context, 1, first, count, LIMITS))
        return read

    def agrees(self, read: ProfileRead) -> None:
        """See that what was read is what was recorded, without a jump."""
        sequences = [one.sequence for one in read.intervals]
        first = sequences[0] if sequences else 0
        assert sequences == list(range(first, first + len(sequences)))
        recorded = {one.sequence: (one.end_utc_s, one.values) for one in self.journal}
        for one in read.intervals:
            assert (one.end_s, one.values) == recorded[one.sequence]
