"""A meter on the table: its memory, its book of intervals, and a line to it."""

from random import Random
from typing import Any

from ansi_tables import Snapshot
from protocols.c1218.client import Client, ScriptDone
from protocols.c1218.scripts import LogonSettings, open_session, run_procedure
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.load_profile import Interval
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.profiles import RESIDENTIAL
from tests.protocols.c1218.line import Line

EPOCH_US = 1_767_225_600 * US_PER_S
HOUR_US = 3600 * US_PER_S
MINUTE_US = 60 * US_PER_S
#: Tables that nobody can read: ST-07 is write-only, the passwords are secret.
UNREADABLE = (7, 42, 45)


class Bench:
    """A meter on the table; ``start`` is what a processor does after a power cut or a kill."""

    def __init__(
        self,
        profile: DeviceProfile = RESIDENTIAL,
        epoch_us: int = EPOCH_US,
        nvram: MemoryNvram | None = None,
        **settings: Any,
    ) -> None:
        self.nvram = nvram or MemoryNvram()
        self.book: list[Interval] = []
        self.settings = MeterSettings(profile=profile, **settings)
        self.now_us = 0
        self.calendar = Calendar(epoch_us)
        self.start()

    def start(self) -> None:
        self.meter = Meter(self.settings, self.nvram, self.calendar, self.now_us, self.book.append)

    def wait(self, span_us: int) -> None:
        self.now_us += span_us
        self.meter.expire(self.now_us)

    def line(self) -> Line:
        return Line(Client(), self.meter, Random(1), now_us=self.now_us)  # type: ignore[arg-type]

    def snapshot(self) -> Snapshot:
        readable = [n for n in self.meter.profile.used if n not in UNREADABLE]
        return Snapshot({n: self.meter.table(n, self.now_us) for n in readable})


def logged_on(bench: Bench, password: bytes | None) -> Line:
    line = bench.line()
    opened = line.run(open_session(LogonSettings(password=password)))
    assert isinstance(opened, ScriptDone)
    return line


def procedure(bench: Bench, number: int, parameters: bytes, password: bytes = b"master") -> bytes:
    """Run a procedure over the optical port; gives the result code and the result."""
    line = logged_on(bench, password)
    order = bench.meter.program.formats.data_order
    initiate = number.to_bytes(2, order) + b"\x11" + parameters
    done = line.run(run_procedure(initiate, line.client.limits))
    assert isinstance(done, ScriptDone), done
    bench.now_us = line.now_us
    answer = done.result
    assert isinstance(answer, bytes)
    return answer[3:]
