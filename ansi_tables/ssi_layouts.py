"""The layouts of the SSI module's own tables, in construct: least significant octet first.

Times are UTC seconds since 1970 (0 means none), text is padded with NULs, and
every list has a limit that is checked before memory is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    Construct,
    Error,
    ExprAdapter,
    GreedyBytes,
    Int8sl,
    Int8ul,
    Int16ul,
    Int24ul,
    Int32sl,
    Int32ul,
    Int64sl,
    Prefixed,
    PrefixedArray,
    Struct,
    Switch,
    this,
)

from ansi_tables import compact_profile
from ansi_tables.compact_profile import CompactInterval
from ansi_tables.errors import TableValueError

#: Longest lists: the sizes of the module's configuration and of one report.
MAX_SCHEDULES = 16
MAX_MONITORS = 32
MAX_DISPOSITIONS = 128
MAX_TABLES_PER_SCHEDULE = 8
MAX_TRANSITIONS = 64
MAX_INTERVALS = 4096
#: Values in one compact part: bounds the time that decoding any octets can take.
MAX_COMPACT_VALUES = 16_384
#: How the header of a report begins.
SIGNATURE = b"SSI1"
#: Most octets of an upgrade's image, and the octets of each of its pieces but the last.
MAX_IMAGE_OCTETS, PIECE_OCTETS = 2 << 20, 1024


def _text(octets: int) -> Construct[Any, Any]:
    """A text filled with NULs; what is no UTF-8 is read as U+FFFD, what is too long is refused."""
    return ExprAdapter(
        Bytes(octets),
        lambda raw, _: _read_text(raw),
        lambda text, _: _fitted(text, octets).ljust(octets, b"\x00"),
    )


def _remark(octets: int) -> Construct[Any, Any]:
    """A text for people: what is too long ends after its last whole character."""
    return ExprAdapter(
        Bytes(octets),
        lambda raw, _: _read_text(raw),
        lambda text, _: (
            text.encode("utf-8")[:octets]
            .decode("utf-8", "ignore")
            .encode("utf-8")
            .ljust(octets, b"\x00")
        ),
    )


def _read_text(raw: bytes) -> str:
    return raw.rstrip(b"\x00").decode("utf-8", "replace")


def _fitted(text: str, octets: int) -> bytes:
    """Give a text's octets; U+FFFD takes more than the octet that it was read for, and is cut."""
    coded = text.encode("utf-8")
    if len(coded) > octets and "\ufffd" not in text:
        fault = f"a text of {len(coded)} octets, at most {octets}"
        raise TableValueError(fault, table="SSI", path="")
    return coded[:octets]


def _list(limit: int, element: Construct[Any, Any]) -> Construct[Any, Any]:
    return PrefixedArray(
        ExprAdapter(Int16ul, lambda n, _: _at_most(n, limit), lambda n, _: _at_most(n, limit)),
        element,
    )


def _at_most(count: int, limit: int) -> int:
    if count > limit:
        raise TableValueError(f"{count} entries, at most {limit}", table="SSI", path="NBR")
    return count


REPORT_HEADER = Struct(
    "SIGNATURE" / Const(SIGNATURE),
    "BASE" / Int16ul,
    "ESN" / _text(16),
    "OUTBOX_EPOCH" / Int32ul,
    "REPORT_NBR" / Int32ul,
    "CAUSE" / Int8ul,
    "SCHEDULE_NBR" / Int8ul,  # 255: none
    "TIME" / Int32ul,
    "DUE_TIME" / Int32ul,
    "CONFIG_VERSION" / Int32ul,
    "CONTEXT_ID" / Int32ul,
    "STATE" / Int8ul,
    "WARNING" / Int8ul,
)

MODULE_STATUS = Struct(
    "STATE" / Int8ul,
    "ERROR" / Int8ul,
    "WARNING" / Int8ul,
    "MAINS_FLAG" / Int8ul,
    "METER_LINK_FLAG" / Int8ul,
    "UPTIME_S" / Int32ul,
    "OUTBOX_COUNT" / Int16ul,
    "OUTBOX_EPOCH" / Int32ul,
    "NEXT_REPORT_NBR" / Int32ul,
    "LAST_ACKNOWLEDGED_TIME" / Int32ul,
    "CONFIG_VERSION" / Int32ul,
    "CONTEXT_ID" / Int32ul,
    "NBR_MOMENTARIES" / Int16ul,
    "NBR_OUTAGES" / Int16ul,
    "CLOCK_OFFSET_S" / Int32sl,
    "WATCH_LINE_US" / Int64sl,
    "TIME" / Int32ul,
)

MODULE_VERSION = Struct(
    "MODEL" / _text(16),
    "ESN" / _text(16),
    "FW_VERSION" / _remark(16),
    "HW_REVISION" / Int8ul,
    "TABLES_EDITION" / Int8ul,
    "MAX_SCHEDULES" / Int8ul,
    "MAX_MONITORS" / Int8ul,
    "MAX_OUTBOX" / Int16ul,
)

MODULE_HEALTH = Struct(
    "NBR_RESTARTS" / Int32ul,
    "NBR_WATCHDOG_RESETS" / Int32ul,
    "NBR_METER_FAILURES" / Int32ul,
    "NBR_REPORTS" / Int32ul,
    "NBR_REPORTS_DROPPED" / Int32ul,
    "NBR_GAPS" / Int16ul,  # ranges of intervals that are still to be read again
    "NBR_EVENTS_MISSED" / Int32ul,  # overwritten in the meter before they were read
    "NBR_MONITORS_IMPOSSIBLE" / Int8ul,  # this meter has not what they watch
    "WATCH_DUTY_PERMILLE" / Int16ul,
    "LAST_DEMAND_RESET_TIME" / Int32ul,
    "SEASON" / Int8ul,  # 255: not known
)

CONFIG_STATUS = Struct(
    "ACTIVE_VERSION" / Int32ul,
    "ACTIVE_DIGEST" / Bytes(32),
    "STAGING_DIGEST" / Bytes(32),
    "LAST_RESULT" / Int8ul,
)

COMMIT = Struct("VERSION" / Int32ul, "DIGEST" / Bytes(32))

SCHEDULE = Struct(
    "SCHEDULE_NBR" / Int8ul,
    "ENABLED" / Int8ul,
    "TASK" / Int8ul,
    "KIND" / Int8ul,
    "LOCAL" / Int8ul,  # 0: due in UTC, 1: in the zone of the ZONE table; ONCE is always UTC
    "PERIOD_MIN" / Int16ul,  # INTERVAL: every so many minutes of the wall clock
    "AT_MINUTE" / Int16ul,  # minute of the day; HOURLY: of the hour; INTERVAL: offset
    "DAY" / Int8ul,  # WEEKLY: 0 Sunday; MONTHLY: 1..31, 255 last day
    "ONCE_TIME" / Int32ul,
    "PRIORITY" / Int8ul,  # lower goes first
    "CATCH_UP" / Int8ul,
    "JITTER_S" / Int16ul,
    "CONTENT" / Int8ul,
    "TABLES" / _list(MAX_TABLES_PER_SCHEDULE, Int16ul),
    "PARTS"
    / _list(
        MAX_TABLES_PER_SCHEDULE,
        Struct("TABLE" / Int16ul, "OFFSET" / Int24ul, "COUNT" / Int16ul),
    ),
)

SCHEDULES = Struct("SCHEDULES" / _list(MAX_SCHEDULES, SCHEDULE))

MONITOR = Struct(
    "MONITOR_NBR" / Int8ul,
    "ENABLED" / Int8ul,
    "TABLE" / Int16ul,
    "PATH" / _text(64),  # element by name, or empty: by octets
    "OFFSET" / Int32ul,
    "WIDTH" / Int8ul,
    "SIGNED" / Int8ul,
    "SCALED" / Int8ul,  # 1: compared in the unit that ST-12 and ST-16 give, times 10**POWER
    "POWER" / Int8sl,  # thresholds and hysteresis are multiples of 10**POWER
    "CONDITION" / Int8ul,
    "THRESHOLD" / Int64sl,  # BIT_SET, BIT_CLEAR: the bit
    "THRESHOLD_HIGH" / Int64sl,
    "HYSTERESIS" / Int64sl,  # CHANGED: only more than this is a change; not used: bits, SILENT
    "WINDOW_S" / Int32ul,  # RATE, SILENT; of the monotonic clock, as all durations here
    "MIN_DURATION_MS" / Int32ul,
    "REARM_S" / Int32ul,  # the least time between two reports
    "MAX_PER_HOUR" / Int8ul,  # 0: no limit
    "PERIOD_MS" / Int32ul,
    "DISPOSITION" / Int8ul,
)

MONITORS = Struct("MONITORS" / _list(MAX_MONITORS, MONITOR))

OUTAGE = Struct(
    "ENABLED" / Int8ul,
    "THRESHOLD_S" / Int16ul,  # shorter is momentary; calendar seconds, 0..300
    "LAST_GASP_COUNT" / Int8ul,  # how often it is sent: what the hold-up energy allows
    "LAST_GASP_SPREAD_MS" / Int16ul,  # the window of each, at most; the ESN gives the moment in it
    "HOLD_UP_MS" / Int32ul,
    "DISPOSITION" / Int8ul,
    "SAG_PERMILLE" / Int16ul,  # of NOMINAL_V; 0: not watched
    "SWELL_PERMILLE" / Int16ul,
    "NOMINAL_V" / Int16ul,  # 0: learned, each voltage for itself
    "VOLTAGE_PERIOD_MS" / Int32ul,
)

DISPOSITION_ENTRY = Struct("SOURCE" / Int8ul, "CODE" / Int16ul, "DISPOSITION" / Int8ul)

DISPOSITION = Struct("DEFAULT" / Int8ul, "ENTRIES" / _list(MAX_DISPOSITIONS, DISPOSITION_ENTRY))

GENERAL = Struct(
    "REPORT_GRACE_S" / Int16ul,
    "DUTY_PERMILLE" / Int16ul,  # share of the optical port that watching may take
    "CLOCK_SILENT_S" / Int16ul,
    "CLOCK_REFUSE_S" / Int16ul,
    "ACK_TIMEOUT_MS" / Int32ul,
    "REGISTRATION_PERIOD_S" / Int32ul,
    "STATUS_PERIOD_MS" / Int32ul,  # how often ST-03 and the log's end are looked at; 0: never
)

ZONE = Struct(
    "OFFSET_S" / Int32sl,  # local time minus UTC before the first transition
    "TRANSITIONS" / _list(MAX_TRANSITIONS, Struct("TIME" / Int32ul, "OFFSET_S" / Int32sl)),
)

RAW, COMPACT = 0, 1

_RAW_INTERVALS = _list(
    MAX_INTERVALS,
    Struct(
        "END_TIME" / Int32ul,
        "STATUS" / Bytes(this._._.STATUS_OCTETS),
        "VALUES" / Array(this._._.NBR_CHNS, Int64sl),
    ),
)


def _check_values(intervals: Iterable[CompactInterval]) -> None:
    """Refuse what an interval in its raw encoding could not hold: TableValueError."""
    if any(not -(1 << 63) <= value < 1 << 63 for one in intervals for value in one.values):
        raise TableValueError("a value of more than 64 bits", table="SSI", path="INTERVALS")


def from_compact(intervals: Sequence[CompactInterval]) -> list[dict[str, Any]]:
    """Give intervals as the raw encoding has them; TableValueError if it could not hold them."""
    _check_values(intervals)
    return [
        {"END_TIME": one.end_s, "STATUS": one.status, "VALUES": list(one.values)}
        for one in intervals
    ]


def to_compact(intervals: Sequence[Mapping[str, Any]]) -> list[CompactInterval]:
    """Give what the compact form codes; TableValueError for what a reader refuses.

    That are values of more than 64 bits, and more intervals or values than it takes.
    """
    _at_most(len(intervals), MAX_INTERVALS)
    _at_most(sum(len(one["VALUES"]) for one in intervals), MAX_COMPACT_VALUES)
    given = [
        CompactInterval(one["END_TIME"], one["STATUS"], tuple(one["VALUES"])) for one in intervals
    ]
    _check_values(given)
    return given


def _decode_compact(coded: Any, part: Any) -> list[dict[str, Any]]:
    count = _at_most(coded.NBR_INTS, MAX_INTERVALS)
    _at_most(count * part.NBR_CHNS, MAX_COMPACT_VALUES)
    form = part.NBR_CHNS, part.STATUS_OCTETS, part.FIRST_END_TIME, part.INT_LENGTH_S
    return from_compact(compact_profile.decode(coded.OCTETS, count, *form))


def _encode_compact(intervals: Any, part: Any) -> dict[str, Any]:
    given = to_compact(intervals)
    octets = compact_profile.encode(given, part.FIRST_END_TIME, part.INT_LENGTH_S)
    return {"NBR_INTS": len(given), "OCTETS": octets}


_COMPACT_INTERVALS = ExprAdapter(
    Struct("NBR_INTS" / Int16ul, "OCTETS" / Prefixed(Int16ul, GreedyBytes)),
    _decode_compact,
    _encode_compact,
)

LOAD_PROFILE_PART = Struct(
    "SET" / Int8ul,
    "RING_EPOCH" / Int32ul,
    "FIRST_SEQUENCE" / Int64sl,
    "FIRST_END_TIME" / Int32ul,
    "INT_LENGTH_S" / Int32ul,
    "ENCODING" / Int8ul,
    "CONTEXT_ID" / Int32ul,
    "NBR_CHNS" / Int8ul,
    "STATUS_OCTETS" / Int8ul,  # valid flag of the simple status, then the extended status as sent
    "INTERVALS"
    / Switch(this.ENCODING, {RAW: _RAW_INTERVALS, COMPACT: _COMPACT_INTERVALS}, default=Error),
)

EVENT_PART = Struct(
    "ENTRIES"
    / _list(
        1024,
        Struct(
            "SEQUENCE" / Int64sl,
            "TIME" / Int32ul,
            "USER_ID" / Int16ul,
            "CODE" / Int16ul,
            "ARGUMENT" / Prefixed(Int8ul, GreedyBytes),
        ),
    )
)

ALARM = Struct(
    "ALARM_NBR" / Int32ul,
    "SOURCE" / Int8ul,
    "CODE" / Int16ul,
    "DISPOSITION" / Int8ul,
    "TIME" / Int32ul,
    "MONITOR_NBR" / Int8ul,
    "VALUE" / Int64sl,
    "TEXT" / _remark(48),
)

OUTAGE_RECORD = Struct(
    "OUTAGE_NBR" / Int32ul,
    "RESTORED" / Int8ul,  # 0: last gasp, 1: restoration
    "START_TIME" / Int32ul,
    "END_TIME" / Int32ul,
    "DURATION_S" / Int32ul,
    "NBR_MOMENTARIES" / Int16ul,
)

OUTAGE_LOG = Struct("OUTAGES" / _list(16, OUTAGE_RECORD))

KEYS = Struct("KEY_ID" / Int8ul, "ROLE" / Int8ul, "KEY" / Bytes(16))

COMMAND = Struct(
    "CODE" / Int8ul,
    "SET" / Int8ul,
    "RING_EPOCH" / Int32ul,
    "FIRST_SEQUENCE" / Int64sl,
    "COUNT" / Int16ul,
    "SCHEDULE_NBR" / Int8ul,
    "FORCE" / Int8ul,  # DEMAND_RESET: also when one was done in the last 24 h
)

UPGRADE_STATUS = Struct(
    "STATE" / Int8ul,
    "RESULT" / Int8ul,  # of the last upgrade that ended or was refused
    "RUNNING_VERSION" / _remark(16),
    "RUNNING_SLOT" / Int8ul,
    "IMAGE_VERSION" / _text(16),  # the image that comes in or waits; empty: none
    "IMAGE_DIGEST" / Bytes(32),
    "IMAGE_OCTETS" / Int32ul,
    "RECEIVED_OCTETS" / Int32ul,  # from the beginning without a gap: go on here
    "ACTIVATION_TIME" / Int32ul,
)

UPGRADE_MANIFEST = Struct(
    "MODEL" / _text(16),
    "VERSION" / _text(16),
    "IMAGE_OCTETS" / Int32ul,
    "IMAGE_DIGEST" / Bytes(32),  # SHA-256 of the image as sent
    "UNPACKED_OCTETS" / Int32ul,  # the image is zlib-compressed to this size; 0: not compressed
    "SIGNATURE" / Bytes(64),  # Ed25519 over all octets before it
)

UPGRADE_PIECE = Struct("OFFSET" / Int32ul, "OCTETS" / Prefixed(Int16ul, GreedyBytes))

UPGRADE_ACTIVATE = Struct("IMAGE_DIGEST" / Bytes(32), "TIME" / Int32ul)  # 0: at once
