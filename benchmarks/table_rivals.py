"""The competitors of ``tables.py``: what one would write by hand for one device, and no more.

Little-endian, TM_FORMAT 2, NI_FMAT1 INT32, NI_FMAT2 FIXED_BCD6; ST-23 with 4
tiers of 6 summations, 4 demands with their times and 4 coincident values.
Formats are compiled beforehand, nothing is checked that the layouts need not
give, and the results have the same shape.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ansi_tables import Record
from ansi_tables.values import UnreadTime

_BLOCK = struct.Struct("<6i" + "5s6s" * 4 + "6s" * 4)
_BLOCKS = range(1, 1 + 5 * _BLOCK.size, _BLOCK.size)
_YEARS = tuple(year + (1900 if year >= 90 else 2000) for year in range(100))


def _moment(octets: bytes) -> datetime | None:
    year, month, day, hour, minute = octets
    try:
        return datetime(_YEARS[year], month, day, hour, minute)
    except ValueError:  # not set
        return None


def _block(data: bytes, at: int) -> Record:
    (s0, s1, s2, s3, s4, s5, t0, d0, t1, d1, t2, d2, t3, d3, c0, c1, c2, c3) = _BLOCK.unpack_from(
        data, at
    )
    return Record(
        SUMMATIONS=[s0, s1, s2, s3, s4, s5],
        DEMANDS=[
            Record(EVENT_TIME=[UnreadTime(t0, _moment)], DEMAND=[Decimal(d0.hex())]),
            Record(EVENT_TIME=[UnreadTime(t1, _moment)], DEMAND=[Decimal(d1.hex())]),
            Record(EVENT_TIME=[UnreadTime(t2, _moment)], DEMAND=[Decimal(d2.hex())]),
            Record(EVENT_TIME=[UnreadTime(t3, _moment)], DEMAND=[Decimal(d3.hex())]),
        ],
        COINCIDENTS=[
            Record(COINCIDENT_VALUES=[Decimal(c0.hex())]),
            Record(COINCIDENT_VALUES=[Decimal(c1.hex())]),
            Record(COINCIDENT_VALUES=[Decimal(c2.hex())]),
            Record(COINCIDENT_VALUES=[Decimal(c3.hex())]),
        ],
    )


def decode_registers(data: bytes) -> Record:
    """Decode ST-23."""
    total, *tiers = [_block(data, at) for at in _BLOCKS]
    return Record(NBR_DEMAND_RESETS=data[0], TOT_DATA_BLOCK=total, TIER_DATA_BLOCK=tiers)


def _digits(value: Decimal) -> bytes:
    return bytes.fromhex(str(value).zfill(12))


def _octets(block: Record) -> bytes:
    a, b, c, d = block["DEMANDS"]
    e, f, g, h = block["COINCIDENTS"]
    return _BLOCK.pack(
        *block["SUMMATIONS"],
        a["EVENT_TIME"][0].raw,
        _digits(a["DEMAND"][0]),
        b["EVENT_TIME"][0].raw,
        _digits(b["DEMAND"][0]),
        c["EVENT_TIME"][0].raw,
        _digits(c["DEMAND"][0]),
        d["EVENT_TIME"][0].raw,
        _digits(d["DEMAND"][0]),
        _digits(e["COINCIDENT_VALUES"][0]),
        _digits(f["COINCIDENT_VALUES"][0]),
        _digits(g["COINCIDENT_VALUES"][0]),
        _digits(h["COINCIDENT_VALUES"][0]),
    )


def encode_registers(value: Record) -> bytes:
    """Encode ST-23."""
    blocks = map(_octets, [value["TOT_DATA_BLOCK"], *value["TIER_DATA_BLOCK"]])
    return bytes([value["NBR_DEMAND_RESETS"]]) + b"".join(blocks)


def columns_of_records(blocks: list[Any], interval_s: int, sequence: int) -> list[list[Any]]:
    """Give the columns of parsed blocks, all of them full and in order, oldest first."""
    sequences: list[int] = []
    ends: list[int] = []
    valid: list[int] = []
    common: list[int] = []
    codes: list[list[int]] = [[], [], [], []]
    values: list[list[int]] = [[], [], [], []]
    for block in blocks:
        intervals, set_bits = block["LP_INT"], block["SIMPLE_INT_STATUS"]
        end = int(block["BLK_END_TIME"].value.replace(tzinfo=UTC).timestamp())
        first = end - (len(intervals) - 1) * interval_s
        for index, interval in enumerate(intervals):
            zero, one, two = interval["EXTENDED_INT_STATUS"]
            sequences.append(sequence)
            sequence += 1
            ends.append(first + index * interval_s)
            valid.append(int(index in set_bits))
            common.append(zero["HIGH_NIBBLE"])
            nibbles = (
                zero["LOW_NIBBLE"],
                one["HIGH_NIBBLE"],
                one["LOW_NIBBLE"],
                two["HIGH_NIBBLE"],
            )
            for channel in range(4):
                codes[channel].append(nibbles[channel])
                values[channel].append(interval["INT_DATA"][channel])
    return [sequences, ends, valid, common, *codes, *values]
