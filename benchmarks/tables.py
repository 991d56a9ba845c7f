"""How fast tables are decoded and encoded, as ratios measured in one run.

Each ratio is the median time of a competitor over ours, the two taken in turn:
construct interpreting the same definition, its containers made the records that
callers get, or ``struct`` written by hand (``table_rivals.py``).  All are
checked to give equal results.

``python benchmarks/tables.py [--rounds N] [--seed N] [--json]``

Formats: little-endian, TM_FORMAT 2, NI_FMAT1 INT32, NI_FMAT2 FIXED_BCD6.  ST-23
with 1 + 4 blocks of 6 summations, 4 demands with times and 4 coincident values
(521 octets); ST-64 with 64 blocks of 96 intervals of 4 channels, UINT16, with
simple and extended status; ST-76 with 500 entries.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from table_rivals import columns_of_records, decode_registers, encode_registers

from ansi_tables import Context, DeviceFormat, Layout, Record, layout_for
from ansi_tables.events import STANDARD_EVENTS
from ansi_tables.profile_columns import ProfileColumns, profile_columns
from ansi_tables.profile_numpy import profile_columns_numpy

BLOCKS, INTERVALS, CHANNELS, INTERVAL_MIN = 64, 96, 4, 15
EVENTS = 500
ONE_FIELD = "TIER_DATA_BLOCK.2.SUMMATIONS.3"
FORMATS = "little-endian, TM_FORMAT 2, NI INT32 and FIXED_BCD6"
#: What the figures must reach.
BARS = {
    "register_decode_vs_construct": 20,
    "register_decode_vs_struct": 0.9,
    "register_encode_vs_construct": 18,
    "register_encode_vs_struct": 0.8,
    "profile_columns_vs_construct": 25,
    "profile_columns_numpy_vs_construct": 500,
    "one_field_vs_construct": 1000,
    "event_log_vs_construct": 20,
}
#: Each sample of a contender takes at least so long, by repetition.
SAMPLE_S = 0.01

Call = Callable[[], Any]


@dataclass(frozen=True)
class Meter:
    """The device, with the images of the three tables and the record of the first."""

    context: Context
    registers: bytes
    profile: bytes
    profile_status: Record
    events: bytes


def make_meter(chance: Random) -> Meter:
    """Draw a meter: numbers at random, times of this decade, a full block a day."""
    fmt = DeviceFormat(tm_format=2, ni_format1=8, ni_format2=5, std_tbls_used=frozenset({64}))
    act = {21: registers_act(), 61: profile_act(), 71: log_act()}
    tables = {n: layout_for(n, Context(fmt)).decode(image) for n, image in act.items()}
    tables[62] = Record(INT_FMT_CDE1=2)
    context = Context(fmt, tables)
    registers = fill(layout_for(23, context), chance)
    profile = fill(layout_for(64, context), chance)
    flags = Record(ORDER=0, INTERVAL_ORDER=0)
    status = Record(
        LP_SET_STATUS_FLAGS=flags,
        NBR_VALID_BLOCKS=BLOCKS,
        LAST_BLOCK_ELEMENT=BLOCKS - 1,
        LAST_BLOCK_SEQ_NBR=BLOCKS - 1,
        NBR_VALID_INT=INTERVALS,
    )
    return Meter(context, registers, profile, status, fill(layout_for(76, context), chance))


def registers_act() -> bytes:
    """ST-21: times, a reset counter, 6 summations, 4 demands, 4 coincidents, once, 4 tiers."""
    return bytes([0b110, 0, 0, 6, 4, 4, 1, 4, 0, 0])


def profile_act() -> bytes:
    """ST-61: one set, simple and extended status."""
    flags = (1 << 10 | 1 << 11).to_bytes(2, "little")
    sizes = BLOCKS.to_bytes(2, "little") + INTERVALS.to_bytes(2, "little")
    return bytes(4) + flags + b"\2" + sizes + bytes([CHANNELS, INTERVAL_MIN])


def log_act() -> bytes:
    """ST-71: event numbers, arguments of 4 octets."""
    return bytes([1, 10, 0, 0, 4, 0, 0]) + EVENTS.to_bytes(2, "little")


def fill(layout: Layout, chance: Random) -> bytes:
    """Give an image: times set, BCD of digits, events of the standard, the rest at random."""
    octets = bytearray()
    block_end = datetime(2025, 1, 1)
    for field in layout.listing():
        if field.path.endswith("BLK_END_TIME"):
            block_end += timedelta(minutes=INTERVALS * INTERVAL_MIN)
            octets += bytes((block_end.year - 2000, *block_end.timetuple()[1:5]))
        elif field.type_name in ("STIME_DATE", "LTIME_DATE"):
            limits = ((20, 29), (1, 12), (1, 28), (0, 23), (0, 59), (0, 59))
            octets += bytes(chance.randint(*limit) for limit in limits[: field.width])
        elif field.type_name == "NI_FMAT2":
            octets += bytes.fromhex(f"{chance.randrange(10**8):0{2 * field.width}}")
        elif field.path.endswith("EVENT_CODE"):
            octets += chance.choice(list(STANDARD_EVENTS)).to_bytes(2, "little")
        elif "STATUS" in field.path:
            # Only full blocks: the hand-written columns need not look for early ends.
            octets += b"\xff" * field.width if "SIMPLE" in field.path else b"\0"
        else:
            octets += chance.randbytes(field.width)
    return bytes(octets)


def ratio(rounds: int, ours: Call, rival: Call) -> float:
    """Give the rival's time over ours: the two are timed in turn, the median of the rounds."""
    repeats = {call: max(1, round(SAMPLE_S / timed(call, 1))) for call in (ours, rival)}
    found = [timed(rival, repeats[rival]) / timed(ours, repeats[ours]) for _ in range(rounds)]
    return statistics.median(found)


def timed(call: Call, repeats: int) -> float:
    """Give the processor's time of one call, out of so many, in seconds."""
    gc.collect()
    gc.disable()
    if repeats > 1:
        call()  # warms the caches that the collector has cleared
    begin = time.thread_time()
    for _ in range(repeats):
        call()
    elapsed = time.thread_time() - begin
    gc.enable()
    return max(elapsed / repeats, 1e-9)


def listed(columns: ProfileColumns) -> list[list[Any]]:
    """Give all columns as lists."""
    simple = (columns.sequences, columns.ends_utc_s, columns.valid, columns.common_status)
    return [[*map(int, column)] for column in (*simple, *columns.channel_status, *columns.values)]


def equal(*results: Any) -> None:
    """Refuse to compare the speed of what gives different results."""
    if any(repr(result) != repr(results[0]) for result in results):
        raise SystemExit("the contenders do not give equal results")


def plain(value: Any) -> Any:
    """Give construct's containers as records."""
    if isinstance(value, dict):
        return Record({k: plain(v) for k, v in value.items() if k != "_io"})
    return [*map(plain, value)] if isinstance(value, list) else value


def measure(rounds: int, seed: int) -> dict[str, float]:
    """Check that all agree, then give the ratios."""
    meter = make_meter(Random(seed))
    registers, log, ring = (layout_for(n, meter.context) for n in (23, 76, 64))
    image, events = meter.registers, meter.events
    value = registers.decode(image)
    arguments = (meter.context, 1, meter.profile, meter.profile_status)
    # A layout is flattened when it is used again.
    for layout, octets in ((registers, image), (log, events)):
        for _ in range(2):
            layout.encode(layout.decode(octets))

    def parsed(layout: Layout, octets: bytes) -> Record:
        record: Record = plain(layout.construct.parse(octets))
        return record

    def columns_by_construct() -> list[list[Any]]:
        parsed = ring.construct.parse(meter.profile)
        return columns_of_records(parsed["LP_DATA_SET1"], INTERVAL_MIN * 60, 0)

    tree = registers.construct
    equal(registers.decode(image), decode_registers(image), parsed(registers, image), value)
    equal(registers.encode(value), encode_registers(value), tree.build(value), image)
    equal(log.decode(events), parsed(log, events))
    equal(
        listed(profile_columns(*arguments)),
        listed(profile_columns_numpy(*arguments)),
        columns_by_construct(),
    )
    equal(registers.value(ONE_FIELD, image), value.TIER_DATA_BLOCK[2].SUMMATIONS[3])
    contests: dict[str, tuple[Call, Call]] = {
        "register_decode_vs_construct": (
            lambda: registers.decode(image),
            lambda: parsed(registers, image),
        ),
        "register_decode_vs_struct": (
            lambda: registers.decode(image),
            lambda: decode_registers(image),
        ),
        "register_encode_vs_construct": (
            lambda: registers.encode(value),
            lambda: tree.build(value),
        ),
        "register_encode_vs_struct": (
            lambda: registers.encode(value),
            lambda: encode_registers(value),
        ),
        "profile_columns_vs_construct": (
            lambda: profile_columns(*arguments),
            columns_by_construct,
        ),
        "profile_columns_numpy_vs_construct": (
            lambda: profile_columns_numpy(*arguments),
            columns_by_construct,
        ),
        "one_field_vs_construct": (
            lambda: registers.value(ONE_FIELD, image),
            lambda: parsed(registers, image),
        ),
        "event_log_vs_construct": (
            lambda: log.decode(events),
            lambda: parsed(log, events),
        ),
    }
    return {name: round(ratio(rounds, *calls), 2) for name, calls in contests.items()}


def main() -> None:
    """Print the figures; status 1 when one does not reach its bar."""
    parser = argparse.ArgumentParser(description="Tables against construct and struct.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(max(1, arguments.rounds), arguments.seed)
    if arguments.json:
        print(json.dumps({"formats": FORMATS, **figures}))
    else:
        print(FORMATS)
        for name, figure in figures.items():
            print(f"{name:36} {figure:10.2f}   at least {BARS[name]}")
    if any(figure < BARS[name] for name, figure in figures.items()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
