"""Load-profile sets drawn at random, and their rows by the plain rules: records, one at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat, Record, layout_for

EPOCH = datetime(1970, 1, 1)
BITS = {
    "BLK_END_READ_FLAG": 4,
    "BLK_END_PULSE_FLAG": 5,
    "EXTENDED_INT_STATUS_FLAG": 10,
    "SIMPLE_INT_STATUS_FLAG": 11,
    "CLOSURE_STATUS_FLAG": 12,
}


@dataclass(frozen=True)
class Drawn:
    """One set of one device with contents."""

    context: Context
    set_number: int
    data: bytes
    status: Record


def profile_context(
    fmt: DeviceFormat,
    set_number: int,
    blocks: int,
    intervals: int,
    channels: int,
    *,
    flags: int = 0,
    interval_min: int = 15,
    fmt_code: int = 2,
) -> Context:
    """A device that has just this set."""
    act = Record(LP_FLAGS=Record({name: flags >> bit & 1 for name, bit in BITS.items()}))
    act |= {
        f"NBR_BLKS_SET{set_number}": blocks,
        f"NBR_BLK_INTS_SET{set_number}": intervals,
        f"NBR_CHNS_SET{set_number}": channels,
        f"MAX_INT_TIME_SET{set_number}": interval_min,
    }
    return Context(fmt, {61: act, 62: Record({f"INT_FMT_CDE{set_number}": fmt_code})})


def status_of(
    valid_blocks: int,
    element: int,
    sequence: int,
    valid_intervals: int,
    order: int = 0,
    interval_order: int = 0,
) -> Record:
    """A set's member of ST-63."""
    return Record(
        LP_SET_STATUS_FLAGS=Record(ORDER=order, INTERVAL_ORDER=interval_order),
        NBR_VALID_BLOCKS=valid_blocks,
        LAST_BLOCK_ELEMENT=element,
        LAST_BLOCK_SEQ_NBR=sequence,
        NBR_UNREAD_BLOCKS=0,
        NBR_VALID_INT=valid_intervals,
    )


@st.composite
def profiles(draw: st.DrawFn, set_number: int | None = None) -> Drawn:
    """Any set (or the one named), its ring anywhere, its contents any octets."""
    set_number = set_number or draw(st.integers(1, 4))
    fmt = DeviceFormat(
        data_order=draw(st.sampled_from(["little", "big"])),
        tm_format=draw(st.integers(0, 4)),
        int_format=draw(st.integers(0, 2)),
        ni_format1=draw(st.integers(0, 13)),
        ni_format2=draw(st.integers(0, 13)),
        std_version_no=draw(st.integers(1, 2)),
        std_tbls_used=frozenset({63 + set_number}),
    )
    blocks, intervals = draw(st.integers(0, 4)), draw(st.integers(0, 18))
    context = profile_context(
        fmt,
        set_number,
        blocks,
        intervals,
        draw(st.integers(0, 5)),
        flags=draw(st.integers(0, 0xFFFF)),
        interval_min=draw(st.sampled_from([0, 1, 15, 60])),
        fmt_code=1 << draw(st.integers(0, 7)),
    )
    status = status_of(
        draw(st.integers(0, blocks + 1)),
        draw(st.integers(0, max(0, blocks - 1))),
        draw(st.integers(0, (1 << 32) - 1)),
        draw(st.integers(0, intervals + 1)),
        draw(st.integers(0, 1)),
        draw(st.integers(0, 1)),
    )
    size = layout_for(63 + set_number, context).size or 0
    # A whole table of random octets is slow to draw; a repeated pattern is as good.
    pattern = draw(st.binary(min_size=1, max_size=97))
    data = (pattern * (size // len(pattern) + 1))[:size]
    return Drawn(context, set_number, data, status)


def rows_of(drawn: Drawn) -> list[dict[str, Any]]:
    """The rows by the rules, newest first and one interval at a time, then turned round."""
    n, dims, status = drawn.set_number, drawn.context.table(61), drawn.status
    blocks = layout_for(63 + n, drawn.context).decode(drawn.data)[f"LP_DATA_SET{n}"]
    count, size = len(blocks), dims[f"NBR_BLK_INTS_SET{n}"]
    rows: list[dict[str, Any]] = []
    if not count:
        return rows
    order, interval_order = (
        status.LP_SET_STATUS_FLAGS.ORDER,
        status.LP_SET_STATUS_FLAGS.INTERVAL_ORDER,
    )
    element, sequence = status.LAST_BLOCK_ELEMENT, status.LAST_BLOCK_SEQ_NBR
    before = (element - 1) % count if order == 0 else (element + 1) % count
    times = [block.BLK_END_TIME.value for block in blocks]
    used = min(status.NBR_VALID_INT, size)
    lacks_time = drawn.context.fmt.tm_format and times[element] is None
    if used and lacks_time and times[before] is not None:
        element, sequence = before, sequence - 1
    for age in range(min(status.NBR_VALID_BLOCKS, count)):
        block = blocks[element]
        if age:
            used = closed_at(block, size)
        for back in range(used):
            index = back if interval_order else used - 1 - back
            rows.append(
                row_of(drawn, block, index, (sequence - age) * size + used - 1 - back, back)
            )
        element = (element - 1) % count if order == 0 else (element + 1) % count
    return rows[::-1]


def closed_at(block: Record, size: int) -> int:
    """How many intervals a block holds that is not the newest."""
    closures = block.get("CLOSURE_STATUS")
    if closures:
        counts = [closure.NBR_VALID_INTERVALS for closure in closures]
        return min(max(counts), size) if max(counts) else size
    if "SIMPLE_INT_STATUS" not in block:
        return size
    for index in range(size - 1, -1, -1):
        if index in block.SIMPLE_INT_STATUS:
            return index + 1
        codes = codes_of(block.LP_INT[index])
        if any(1 <= code <= 7 for code in codes):
            return index + 1
    return 0


def codes_of(interval: Record) -> list[int]:
    """The status codes of the channels of an interval."""
    channels = range(len(interval.INT_DATA))
    if "EXTENDED_INT_STATUS" not in interval:
        return [0 for _ in channels]
    octets = interval.EXTENDED_INT_STATUS
    return [octets[(c + 1) // 2]["HIGH_NIBBLE" if c % 2 else "LOW_NIBBLE"] for c in channels]


def row_of(drawn: Drawn, block: Record, index: int, sequence: int, back: int) -> dict[str, Any]:
    """One interval."""
    interval = block.LP_INT[index]
    length_s = drawn.context.table(61)[f"MAX_INT_TIME_SET{drawn.set_number}"] * 60
    value = block.BLK_END_TIME.value
    end = 0 if value is None else int((value.replace(tzinfo=None) - EPOCH).total_seconds())
    extended = interval.get("EXTENDED_INT_STATUS")
    return {
        "sequence": sequence,
        "end": end - back * length_s if end else 0,
        "valid": int(index in block.get("SIMPLE_INT_STATUS", range(1 << 16))),
        "common": extended[0].HIGH_NIBBLE if extended else 0,
        "codes": codes_of(interval),
        "values": interval.INT_DATA,
    }
