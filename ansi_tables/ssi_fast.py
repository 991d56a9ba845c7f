"""The two tables of every report, decoded with one ``struct`` call a level.

A head-end reads them thousands of times a second, and construct takes half a
millisecond for what this does in a few microseconds.  Each function gives what
the definition in ``ssi_layouts`` gives, or None for octets that it does not
read: construct then says what is wrong with them.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Any

from ansi_tables.ssi_layouts import MAX_INTERVALS, RAW

_SIGNATURE = b"SSI1"
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


def report_header(data: bytes) -> dict[str, Any] | None:
    """Read REPORT_HEADER."""
    if len(data) != _HEADER.size:
        return None
    signature, base, esn, *numbers = _HEADER.unpack(data)
    if signature != _SIGNATURE:
        return None
    text = esn.rstrip(b"\0").decode("utf-8", "replace")
    value = {"SIGNATURE": signature, "BASE": base, "ESN": text}
    value.update(zip(_HEADER_NAMES, numbers, strict=True))
    return value


def load_profile_part(data: bytes) -> dict[str, Any] | None:
    """Read LOAD_PROFILE_PART in its raw encoding."""
    if len(data) < _PART.size:
        return None
    *numbers, count = _PART.unpack_from(data)
    value: dict[str, Any] = dict(zip(_PART_NAMES, numbers, strict=True))
    element = _interval(value["STATUS_OCTETS"], value["NBR_CHNS"])
    whole = _PART.size + count * element.size == len(data)
    if value["ENCODING"] != RAW or count > MAX_INTERVALS or not whole:
        return None
    value["INTERVALS"] = [
        {"END_TIME": one[0], "STATUS": one[1], "VALUES": list(one[2:])}
        for one in element.iter_unpack(data[_PART.size :])
    ]
    return value


@lru_cache(maxsize=64)
def _interval(status_octets: int, channels: int) -> Struct:
    return Struct(f"<I{status_octets}s{channels}q")
