"""A plain meter that the TMS polls."""

from collections.abc import Callable
from typing import Any

from protocols.c1218.device import Refused
from protocols.c1218.steps import ClientLimits
from protocols.psem.codec import block, decode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, OffsetRead, Response
from smartmeter.base.clock import Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profiles import PROFILES
from smartmeter.ssi.meter_data import read_context
from smartmeter.ssi.profile_reading import Interval, read_profile
from smartmeter.tms.exchanges import Exchange
from smartmeter.tms.poll_plan import poll_schedules
from smartmeter.tms.polled_reading import Known, PlainReading, poll
from smartmeter.tms.template import make_template

EPOCH_S = 1_767_225_600
SCHEDULES = {one.number: one for one in poll_schedules(make_template())}
EVERYTHING = Known({}, {})
US_PER_S = 1_000_000


class Bench:
    """A meter, and scripts answered by the device behind its port."""

    def __init__(
        self, profile: str = "residential", interval_min: int | None = None, serial: str = "1"
    ) -> None:
        self.calendar = Calendar(EPOCH_S * US_PER_S)
        settings = MeterSettings(serial, profile=PROFILES[profile], interval_min=interval_min)
        self.refused, self.refusal = set[int](), ResponseCode.isc
        self.meter = Meter(settings, MemoryNvram(), self.calendar, 0)
        self.now_us = 0
        self.asked: list[object] = []
        self.between: Callable[[object], None] = lambda request: None

    def run(self, hours: float) -> None:
        self.now_us += int(hours * 3600) * US_PER_S
        self.meter.expire(self.now_us)

    def answer(self, octets: bytes) -> bytes:
        request = decode_request(octets)
        self.asked.append(request)
        self.between(request)
        assert isinstance(request, FullRead | OffsetRead)
        if request.table in self.refused:
            return bytes([self.refusal])
        port = OpticalPort(self.meter)
        port.logon(2, b"TMS", self.now_us)
        port.security(b"reader".ljust(20), self.now_us)
        try:
            if isinstance(request, FullRead):
                return b"\0" + block(port.read(request.table, self.now_us))
            image = port.read(request.table, self.now_us)
            return b"\0" + block(image[request.offset : request.offset + request.count])
        except Refused as refused:
            return bytes([refused.code])
        finally:
            port.session_ended(True, self.now_us)

    def poll(self, schedule: int, known: Known = EVERYTHING) -> PlainReading:
        return self.run_script(poll(SCHEDULES[schedule], known))

    def run_script(self, script: Exchange[PlainReading]) -> PlainReading:
        self.asked.clear()
        answers: list[bytes] | None = None
        try:
            while True:
                services = script.send(answers) if answers is not None else next(script)
                answers = [self.answer(one) for one in services]
        except StopIteration as stop:
            reading: PlainReading = stop.value
            return reading

    def module_reads(self, set_nbr: int) -> list[Interval]:
        """What the SSI module reads of the same ring."""

        def script() -> Any:
            limits = ClientLimits()
            context = yield from read_context(limits)
            return (yield from read_profile(context, set_nbr, None, 5000, limits))

        work = script()
        response: Response | None = None
        try:
            while True:
                request = work.send(response) if response is not None else next(work)
                port = OpticalPort(self.meter)
                port.security(b"reader".ljust(20), self.now_us)
                image = port.read(request.table, self.now_us)
                if isinstance(request, OffsetRead):
                    image = image[request.offset : request.offset + request.count]
                response = Response(0, block(image))
        except StopIteration as stop:
            return list(stop.value.intervals)


def flat(reading: PlainReading, set_nbr: int = 1) -> list[tuple[int, int, bytes, list[int]]]:
    return [
        (run["FIRST_SEQUENCE"] + n, one["END_TIME"], one["STATUS"], one["VALUES"])
        for run in reading.profile
        if run["SET"] == set_nbr
        for n, one in enumerate(run["INTERVALS"])
    ]


LIST = "esn,address,user_id,password,model\nP1,socket://127.0.0.1:1,2,secret,kV\n"
