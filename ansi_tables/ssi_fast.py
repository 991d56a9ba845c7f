"""The two tables of every report, with one ``struct`` call a level.

A head-end reads them thousands of times a second, and a simulation writes them
as often; construct takes half a millisecond for what this does in a few
microseconds.  Each function gives what the definition in ``ssi_layouts`` gives,
or None for what it does not read or write: construct then says what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from struct import Struct
from typing import Any

from ansi_tables.compact_profile import decode, encode
from ansi_tables.errors import TableValueError
from ansi_tables.ssi_layouts import (
    COMPACT,
    MAX_COMPACT_VALUES,
    MAX_INTERVALS,
    RAW,
    SIGNATURE,
    from_compact,
    to_compact,
)

_HEADER = Struct("<4sH16s2I2B4I2B")
_HEADER_NAMES = (
    "OUTBOX_EPOCH",
    "REPORT_NBR",
    "CAUSE",
    "SCHEDULE_NBR",
    "TIME",
    "DUE_TIME",
    "CONFIG_VERSION",
    "CONTEXT_ID",
    "STATE",
    "WARNING",
)
_HEADER_FIELDS = itemgetter(*_HEADER_NAMES)
_PART = Struct("<BIqIIBIBBH")
_PART_NAMES = (
    "SET",
    "RING_EPOCH",
    "FIRST_SEQUENCE",
    "FIRST_END_TIME",
    "INT_LENGTH_S",
    "ENCODING",
    "CONTEXT_ID",
    "NBR_CHNS",
    "STATUS_OCTETS",
)
_PART_FIELDS = itemgetter(*_PART_NAMES)
_ESN_OCTETS = 16
#: What is raised for a value that does not fit.
_MISFITS = (struct.error, KeyError, TypeError, AttributeError, UnicodeError)


def report_header(data: bytes) -> dict[str, Any] | None:
    """Read REPORT_HEADER."""
    if len(data) != _HEADER.size or data[:4] != SIGNATURE:
        return None
    signature, base, esn, *numbers = _HEADER.unpack(data)
    text = esn.rstrip(b"\0").decode("utf-8", "replace")
    head = {"SIGNATURE": signature, "BASE": base, "ESN": text}
    head.update(zip(_HEADER_NAMES, numbers, strict=True))
    return head


def load_profile_part(data: bytes) -> dict[str, Any] | None:
    """Read LOAD_PROFILE_PART in either encoding."""
    if len(data) < _PART.size:
        return None
    *numbers, count = _PART.unpack_from(data)
    part: dict[str, Any] = dict(zip(_PART_NAMES, numbers, strict=True))
    encoding, channels, width = part["ENCODING"], part["NBR_CHNS"], part["STATUS_OCTETS"]
    octets, intervals = data[_PART.size :], None
    if encoding == RAW and count <= MAX_INTERVALS:
        element = _interval(width, channels)
        if len(octets) == count * element.size:
            intervals = [
                {"END_TIME": end_s, "STATUS": status, "VALUES": values}
                for end_s, status, *values in element.iter_unpack(octets)
            ]
    elif encoding == COMPACT and count <= min(
        MAX_INTERVALS, MAX_COMPACT_VALUES // max(1, channels)
    ):
        times = part["FIRST_END_TIME"], part["INT_LENGTH_S"]
        intervals = _compact(octets, count, channels, width, *times)
    if intervals is None:
        return None
    part["INTERVALS"] = intervals
    return part


def _compact(octets: bytes, count: int, *form: int) -> list[dict[str, Any]] | None:
    """Read what follows the count in the compact form; None unless it is written just so."""
    coded = octets[2:]
    if len(octets) < 2 or len(coded) != int.from_bytes(octets[:2], "little"):
        return None
    try:
        found = decode(coded, count, *form)
        intervals = from_compact(found)
        return intervals if len(encode(found, *form[-2:])) == len(coded) else None
    except TableValueError:
        return None


def raw_octets(intervals: int, status_octets: int, channels: int) -> int:
    """Give the octets of LOAD_PROFILE_PART in its raw encoding."""
    return _PART.size + intervals * _interval(status_octets, channels).size


@lru_cache(maxsize=64)
def _interval(status_octets: int, channels: int) -> Struct:
    return Struct(f"<I{status_octets}s{channels}q")


def encode_report_header(value: Mapping[str, Any]) -> bytes | None:
    """Write REPORT_HEADER."""
    if value.get("SIGNATURE", SIGNATURE) != SIGNATURE:
        return None
    try:
        esn = value["ESN"].encode("utf-8")
        if len(esn) > _ESN_OCTETS:
            return None
        return _HEADER.pack(SIGNATURE, value["BASE"], esn, *_HEADER_FIELDS(value))
    except _MISFITS:
        return None


def encode_load_profile_part(value: Mapping[str, Any]) -> bytes | None:
    """Write LOAD_PROFILE_PART in either encoding."""
    try:
        intervals = value["INTERVALS"]
        head = _PART.pack(*_PART_FIELDS(value), len(intervals))
        if value["ENCODING"] == COMPACT:
            given = to_compact(intervals)
            octets = encode(given, value["FIRST_END_TIME"], value["INT_LENGTH_S"])
            return head + len(octets).to_bytes(2, "little") + octets
        width, channels = value["STATUS_OCTETS"], value["NBR_CHNS"]
        statuses_fit = all(len(one["STATUS"]) == width for one in intervals)
        if value["ENCODING"] != RAW or len(intervals) > MAX_INTERVALS or not statuses_fit:
            return None
        pack = _interval(width, channels).pack
        return head + b"".join(
            [pack(one["END_TIME"], one["STATUS"], *one["VALUES"]) for one in intervals]
        )
    except (*_MISFITS, OverflowError):
        return None
