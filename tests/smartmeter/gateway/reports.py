"""Reports of a module as its outbox holds them, made by the module's own code."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import Cause, SsiTable
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.service import Gateway
from smartmeter.gateway.settings import read_settings
from smartmeter.gateway.sinks.csv_file import CsvFile
from smartmeter.ssi.profile_reading import Interval, ProfileRead
from smartmeter.ssi.reports import carry_table, interval_parts
from tests.smartmeter.gateway.settings_file import WORKS, settings_file
from tests.smartmeter.ssi.host import EPOCH_US, FACTORY, Street

EPOCH_S = EPOCH_US // 1_000_000
CONTEXT_ID = 77
QUARTER_S = 900


def header(
    number: int, cause: Cause = Cause.SCHEDULE, epoch: int = 1, time_s: int = EPOCH_S
) -> bytes:
    value = {
        "SIGNATURE": b"SSI1",
        "BASE": ssi_tables.DEFAULT_BASE,
        "ESN": FACTORY.esn,
        "OUTBOX_EPOCH": epoch,
        "REPORT_NBR": number,
        "CAUSE": cause,
        "SCHEDULE_NBR": 1,
        "TIME": time_s,
        "DUE_TIME": time_s,
        "CONFIG_VERSION": 1,
        "CONTEXT_ID": CONTEXT_ID,
        "STATE": 6,
        "WARNING": 0,
    }
    octets = ssi_tables.encode(SsiTable.REPORT_HEADER, value)
    return encode_request(FullWrite(ssi_tables.DEFAULT_BASE + SsiTable.REPORT_HEADER, octets))


def meter_images() -> dict[int, bytes]:
    """Give the context of the simulated meter, as its module read it."""
    street = Street()
    street.run(10)
    assert street.device.module.meter is not None
    return street.device.module.meter.images


def hello(number: int, images: dict[int, bytes]) -> list[bytes]:
    services = [service for n, image in images.items() for service in carry_table(n, image)]
    return [header(number, Cause.HELLO), *services]


def profile(
    number: int, first: int, values: Sequence[Sequence[int]], set_nbr: int = 1
) -> list[bytes]:
    """Give a report of intervals: sequence n ends n + 1 quarters after the epoch."""
    return recorded(
        number,
        [
            Interval(first + n, EPOCH_S + (first + n + 1) * QUARTER_S, b"\x01", tuple(one))
            for n, one in enumerate(values)
        ],
        set_nbr,
    )


def recorded(number: int, intervals: Sequence[Interval], set_nbr: int = 1) -> list[bytes]:
    """Give a report of intervals that follow one another."""
    first, end = intervals[0].sequence, intervals[-1].sequence + 1
    read = ProfileRead(set_nbr, tuple(intervals), first, end, end, QUARTER_S)
    parts = interval_parts(read, 1, CONTEXT_ID)
    return [header(number), *(part.service for part in parts)]


ESN = FACTORY.esn


def gateway_with_readings(folder: Path, said: list[str]) -> Gateway:
    """Give a gateway that was filled before; its meter's port is not there."""
    data = folder / "data"
    sections = WORKS | {"gateway": {"data": f'"{data}"'}, "csv": {"file": f'"{data / "i.csv"}"'}}
    settings = read_settings(settings_file(folder, sections), {})
    if not data.exists():
        readings = Readings(settings.readings)
        readings.keep(ESN, 1, [(1, profile(1, 0, [[n, n] for n in range(200)]))])
        CsvFile(data / "i.csv", readings).step()
        readings.close()
    return Gateway(settings, Fraction(1), said.append, None)
