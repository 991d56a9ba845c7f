"""A meter on the table: its memory, its book of intervals, and a line to it."""

from collections.abc import Mapping
from random import Random
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.procedures import Initiate, encode_initiate
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


class PowerCut(Exception):
    """The power has gone in the middle of something."""


class CutNvram(MemoryNvram):
    """A memory whose power goes after so many commits."""

    def __init__(self, commits: int) -> None:
        super().__init__()
        self.left = commits

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        if self.left == 0:
            raise PowerCut
        self.left -= 1
        super().commit(changes)


def exact(tables: Snapshot) -> None:
    for number in tables:
        layout = tables.layout(number)
        value, trailing = layout.decode_with_trailing(tables.images[number])
        assert trailing == b"", number
        assert layout.encode(value) == tables.images[number], number


def run(bench: Bench, number: int, parameters: object = b"", selector: int = 0) -> bytes:
    """Run a procedure with the parameters as a record; gives result code and result."""
    call = Initiate(number, 5, parameters or {}, False, selector)
    image = encode_initiate(call, bench.meter.program.context)
    bench.meter.write_table(7, image, bench.now_us)
    return bench.meter.table(8, bench.now_us)[3:]


def codes(bench: Bench, table: int = 76) -> list[int]:
    """Give the codes of a log, oldest first; with bit 11 a manufacturer's."""
    log = bench.snapshot()[table]
    count = log.NBR_VALID_ENTRIES
    newest = log.LAST_ENTRY_ELEMENT
    capacity = len(log.ENTRIES)
    name = "EVENT_CODE" if table == 76 else "HISTORY_CODE"
    entries = [log.ENTRIES[(newest - age) % capacity] for age in range(count)]
    codes = (entry[name] for entry in reversed(entries))
    return [code.TBL_PROC_NBR | code.STD_VS_MFG_FLAG << 11 for code in codes]
