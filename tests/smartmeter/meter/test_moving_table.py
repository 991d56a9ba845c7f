"""A list that its meter writes while it is read by pieces comes out as of one moment."""

from collections.abc import Callable

import pytest

from ansi_tables import Snapshot
from ansi_tables.ssi_tables import CONTEXT_TABLES
from protocols.c1218.device import Refused
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.transfer import Progress
from protocols.psem.codec import block
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    FullRead,
    Identify,
    Logon,
    OffsetRead,
    Request,
    Response,
    Security,
)
from smartmeter.meter.cloning import CloneSettings, Cloning
from smartmeter.meter.moving_table import read_steady
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.meter.profiles import PROFILES
from tests.smartmeter.ssi.reading import LIMITS, ORDERS, Bench

PIECE_OCTETS = 2000


class Slow:
    """A meter whose tables come by pieces, each of which takes some of its time."""

    def __init__(self, bench: Bench, minutes: float) -> None:
        self.bench, self.minutes = bench, minutes
        self.reads = 0
        #: What happens before a read, by its number.
        self.at_read: dict[int, Callable[[], None]] = {}

    def read(self, table: int, progress: Progress | None = None) -> bytes:
        image = b""
        while len(image) % PIECE_OCTETS == 0:
            image += self.read_part(table, len(image), PIECE_OCTETS)
        return image

    def read_part(self, table: int, offset: int, count: int) -> bytes:
        self.bench.run(self.minutes)
        self.reads += 1
        self.at_read.pop(self.reads, lambda: None)()
        port = OpticalPort(self.bench.meter)
        port.security(b"reader".ljust(20), self.bench.now_us)
        piece = port.read(table, self.bench.now_us)[offset : offset + count]
        return piece


def context_of(meter: Slow) -> Snapshot:
    tables = Snapshot({0: meter.read(0)})
    used = tables[0].STD_TBLS_USED
    tables.images.update(
        {number: meter.read(number) for number in CONTEXT_TABLES if number in used}
    )
    return tables


def agrees(bench: Bench, tables: Snapshot) -> None:
    """See that a load profile holds what its meter recorded."""
    read = tables.load_profile(1)
    recorded = {one.sequence: one.values for one in bench.journal}
    columns = [channel.raw for channel in read.channels]
    for n, sequence in enumerate(read.sequences):
        assert tuple(column[n] for column in columns) == recorded[sequence]
    assert len(read) > 100


@pytest.mark.parametrize("name", ORDERS)
def test_a_load_profile_that_goes_on_while_it_is_read_is_what_was_recorded(name: str) -> None:
    bench = Bench(PROFILES[name], interval_min=5)
    bench.run(60 * 24 * 5)
    meter = Slow(bench, 0)
    tables = context_of(meter)
    meter.minutes = 0.9
    tables.images[64], steady = read_steady(meter, tables, 64)
    assert steady
    agrees(bench, tables)


class Line:
    """Answers the script of a clone; each read takes some of the meter's time."""

    def __init__(self, bench: Bench, minutes: float) -> None:
        self.bench, self.minutes = bench, minutes

    def answer(self, request: Request) -> Response:
        port, now_us = OpticalPort(self.bench.meter), self.bench.now_us
        match request:
            case Identify():
                return Response(ResponseCode.ok, bytes((0, 1, 0, 0)))
            case Security(password):
                return Response(port.security(password, now_us))
            case Logon():
                return Response(ResponseCode.ok)
            case FullRead(table) | OffsetRead(table):
                self.bench.run(self.minutes)
                try:
                    image = port.read(table, self.bench.now_us)
                except Refused as refusal:
                    return Response(refusal.code)
                if isinstance(request, OffsetRead):
                    image = image[request.offset :][: request.count]
                return Response(ResponseCode.ok, block(image))
        return Response(ResponseCode.sns)


@pytest.mark.parametrize("name", ORDERS)
def test_the_clone_of_a_meter_that_goes_on_holds_what_was_recorded(name: str) -> None:
    bench = Bench(PROFILES[name], interval_min=15)
    bench.run(60 * 24 * 3 + 80)
    settings = CloneSettings(LogonSettings(password=b"reader".ljust(20)), try_bauds=False)
    cloning = Cloning(settings, list, lambda done, total: None)
    line, script = Line(bench, 1.7), cloning.script(LIMITS)
    step = next(script)
    try:
        while True:
            step = script.send(line.answer(step) if isinstance(step, Request) else Response(0))
    except StopIteration:
        tables = Snapshot(cloning.image().tables)
    agrees(bench, tables)
    newest = tables[64].LP_DATA_SET1[tables[63].LP_STATUS_SET1.LAST_BLOCK_ELEMENT]
    assert newest.BLK_END_TIME.value <= tables[52].CLOCK_CALENDAR.value


def test_a_log_that_grows_while_it_is_read_is_what_was_logged() -> None:
    bench = Bench(PROFILES["residential"])
    meter = Slow(bench, 0)
    tables = context_of(meter)
    for _ in range(400):
        bench.interrupt()
    meter.at_read[meter.reads + 2] = bench.interrupt
    tables.images[76], steady = read_steady(meter, tables, 76)
    assert steady and tables.images[76] == meter.read(76)


def test_what_moves_at_every_look_is_told_and_ends() -> None:
    bench = Bench(PROFILES["residential"], interval_min=1)
    bench.run(60 * 24)
    meter = Slow(bench, 0)
    tables = context_of(meter)
    meter.minutes = 130
    _, steady = read_steady(meter, tables, 64)
    assert not steady


def test_a_table_that_is_no_list_or_is_refused_is_read_as_ever() -> None:
    meter = Slow(Bench(PROFILES["residential"]), 0)
    tables = context_of(meter)
    assert read_steady(meter, tables, 23) == (meter.read(23), True)
