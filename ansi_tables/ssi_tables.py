"""The SSI module's own manufacturer tables: what module and TMS agree on.

A block of 56 manufacturer tables from a *base* (a multiple of 8, default
4032).  They are ours, not the standard's, and are fixed in form so that a
receiver needs no other table to read them: least significant octet first,
times as UTC seconds since 1970 (0 means none), text padded with NULs.

The TMS provisions a module by writing the staging tables and then ``COMMIT``;
a report is a notification that writes ``REPORT_HEADER`` and after it the
tables or parts that it carries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from construct import (
    Array,
    Bytes,
    Const,
    Construct,
    ConstructError,
    ExprAdapter,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32sl,
    Int32ul,
    Int64sl,
    Prefixed,
    PrefixedArray,
    Struct,
    this,
)

from ansi_tables.errors import TableValueError

DEFAULT_BASE = 4032
NBR_SSI_TABLES = 56

#: Longest lists: the sizes of the module's configuration and of one report.
MAX_SCHEDULES = 16
MAX_MONITORS = 32
MAX_DISPOSITIONS = 128
MAX_TABLES_PER_SCHEDULE = 8


class SsiTable(IntEnum):
    """Number of an SSI table above the base."""

    REPORT_HEADER = 0
    MODULE_STATUS = 1
    MODULE_VERSION = 2
    CONFIG_STATUS = 3
    COMMIT = 4
    SCHEDULES = 8
    MONITORS = 9
    OUTAGE = 10
    DISPOSITION = 11
    GENERAL = 12
    SCHEDULES_STAGING = 16
    MONITORS_STAGING = 17
    OUTAGE_STAGING = 18
    DISPOSITION_STAGING = 19
    GENERAL_STAGING = 20
    LOAD_PROFILE_PART = 24
    EVENT_PART = 25
    ALARM = 26
    OUTAGE_RECORD = 27
    OUTAGE_LOG = 32
    KEYS = 40
    COMMAND = 48


#: Active tables in the order of their digest, each with its staging copy 8 above.
CONFIG_TABLES = (
    SsiTable.SCHEDULES,
    SsiTable.MONITORS,
    SsiTable.OUTAGE,
    SsiTable.DISPOSITION,
    SsiTable.GENERAL,
)
STAGING_OFFSET = 8


class Cause(IntEnum):
    """Why a report was made."""

    HELLO = 1
    SCHEDULE = 2
    ALARM = 3
    OUTAGE = 4
    ON_DEMAND = 5
    CATCH_UP = 6


class ScheduleKind(IntEnum):
    """When a schedule is due; all in UTC in this edition of the tables."""

    INTERVAL = 1
    DAILY = 2
    WEEKLY = 3
    MONTHLY = 4
    ONCE = 5


class Task(IntEnum):
    """What a schedule does."""

    REPORT = 1
    DEMAND_RESET = 2
    SELF_READ = 3
    CLOCK_CHECK = 4


class CatchUp(IntEnum):
    """What becomes of runs that were missed."""

    RUN_ONCE = 0
    RUN_ALL = 1
    SKIP = 2


class Content(IntEnum):
    """Bits of ``SCHEDULE.CONTENT``: what a report carries beside its tables."""

    LOAD_PROFILE = 1
    EVENT_LOG = 2
    MODULE_STATUS = 4


class Condition(IntEnum):
    """What a table monitor waits for."""

    EQUAL = 1
    ABOVE = 2
    BELOW = 3
    OUTSIDE = 4
    CHANGED = 5
    BIT_SET = 6
    BIT_CLEAR = 7


class Disposition(IntEnum):
    """What becomes of an exception."""

    LOG = 0
    ADVISORY = 1
    ALARM = 2


class AlarmSource(IntEnum):
    """Who saw an exception first."""

    MODULE = 0
    METER_STANDARD = 1
    METER_MANUFACTURER = 2
    MONITOR = 3


class ModuleAlarm(IntEnum):
    """Codes of the module's own alarms (source MODULE)."""

    POWER_LOST = 1
    POWER_RESTORED = 2
    METER_UNREACHABLE = 3
    METER_BACK = 4
    CLOCK_OFF = 5
    OUTBOX_OVERFLOW = 6
    METER_SECURITY = 7
    DATA_CLEARED = 8
    GAP = 9


class CommitResult(IntEnum):
    """``CONFIG_STATUS.LAST_RESULT``."""

    NONE = 0
    ACTIVATED = 1
    DIGEST_DIFFERS = 2
    CONTENT_REFUSED = 3


class Command(IntEnum):
    """``COMMAND.CODE``."""

    SELECT_INTERVALS = 1
    REPORT_NOW = 2
    DEMAND_RESET = 3
    SEND_CONTEXT = 4


def _text(octets: int) -> Construct[Any, Any]:
    return ExprAdapter(
        Bytes(octets),
        lambda raw, _: raw.rstrip(b"\x00").decode("utf-8", "replace"),
        lambda text, _: text.encode("utf-8")[:octets].ljust(octets, b"\x00"),
    )


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
    "SIGNATURE" / Const(b"SSI1"),
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
    "FW_VERSION" / _text(16),
    "HW_REVISION" / Int8ul,
    "TABLES_EDITION" / Int8ul,
    "MAX_SCHEDULES" / Int8ul,
    "MAX_MONITORS" / Int8ul,
    "MAX_OUTBOX" / Int16ul,
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
    "PERIOD_MIN" / Int16ul,  # INTERVAL: every so many minutes of UTC
    "AT_MINUTE" / Int16ul,  # DAILY and longer: minute of the day; INTERVAL: offset
    "DAY" / Int8ul,  # WEEKLY: 0 Sunday; MONTHLY: 1..31, 255 last day
    "ONCE_TIME" / Int32ul,
    "PRIORITY" / Int8ul,  # lower goes first
    "CATCH_UP" / Int8ul,
    "JITTER_S" / Int16ul,
    "CONTENT" / Int8ul,
    "TABLES" / _list(MAX_TABLES_PER_SCHEDULE, Int16ul),
)

MONITOR = Struct(
    "MONITOR_NBR" / Int8ul,
    "ENABLED" / Int8ul,
    "TABLE" / Int16ul,
    "PATH" / _text(64),  # element by name, or empty: by octets
    "OFFSET" / Int32ul,
    "WIDTH" / Int8ul,
    "SIGNED" / Int8ul,
    "CONDITION" / Int8ul,
    "THRESHOLD" / Int64sl,
    "THRESHOLD_HIGH" / Int64sl,
    "HYSTERESIS" / Int64sl,
    "MIN_DURATION_MS" / Int32ul,  # of the monotonic clock
    "PERIOD_MS" / Int32ul,  # of the monotonic clock
    "DISPOSITION" / Int8ul,
)

OUTAGE = Struct(
    "ENABLED" / Int8ul,
    "THRESHOLD_S" / Int16ul,  # shorter is momentary; calendar seconds, 0..300
    "LAST_GASP_COUNT" / Int8ul,
    "LAST_GASP_SPREAD_MS" / Int16ul,
    "HOLD_UP_MS" / Int32ul,
    "DISPOSITION" / Int8ul,
)

DISPOSITION_ENTRY = Struct("SOURCE" / Int8ul, "CODE" / Int16ul, "DISPOSITION" / Int8ul)

GENERAL = Struct(
    "REPORT_GRACE_S" / Int16ul,
    "DUTY_PERMILLE" / Int16ul,  # share of the optical port that watching may take
    "CLOCK_SILENT_S" / Int16ul,
    "CLOCK_REFUSE_S" / Int16ul,
    "ACK_TIMEOUT_MS" / Int32ul,
    "REGISTRATION_PERIOD_S" / Int32ul,
)

LOAD_PROFILE_PART = Struct(
    "SET" / Int8ul,
    "RING_EPOCH" / Int32ul,
    "FIRST_SEQUENCE" / Int64sl,
    "FIRST_END_TIME" / Int32ul,
    "INT_LENGTH_S" / Int32ul,
    "ENCODING" / Int8ul,  # 0 raw
    "CONTEXT_ID" / Int32ul,
    "NBR_CHNS" / Int8ul,
    "STATUS_OCTETS" / Int8ul,  # valid flag of the simple status, then the extended status as sent
    "INTERVALS"
    / _list(
        4096,
        Struct(
            "END_TIME" / Int32ul,
            "STATUS" / Bytes(this._._.STATUS_OCTETS),
            "VALUES" / Array(this._._.NBR_CHNS, Int64sl),
        ),
    ),
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
    "TEXT" / _text(48),
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
)

_CODECS: Mapping[SsiTable, Construct[Any, Any]] = {
    SsiTable.REPORT_HEADER: REPORT_HEADER,
    SsiTable.MODULE_STATUS: MODULE_STATUS,
    SsiTable.MODULE_VERSION: MODULE_VERSION,
    SsiTable.CONFIG_STATUS: CONFIG_STATUS,
    SsiTable.COMMIT: COMMIT,
    SsiTable.SCHEDULES: Struct("SCHEDULES" / _list(MAX_SCHEDULES, SCHEDULE)),
    SsiTable.MONITORS: Struct("MONITORS" / _list(MAX_MONITORS, MONITOR)),
    SsiTable.OUTAGE: OUTAGE,
    SsiTable.DISPOSITION: Struct(
        "DEFAULT" / Int8ul, "ENTRIES" / _list(MAX_DISPOSITIONS, DISPOSITION_ENTRY)
    ),
    SsiTable.GENERAL: GENERAL,
    SsiTable.LOAD_PROFILE_PART: LOAD_PROFILE_PART,
    SsiTable.EVENT_PART: EVENT_PART,
    SsiTable.ALARM: ALARM,
    SsiTable.OUTAGE_RECORD: OUTAGE_RECORD,
    SsiTable.OUTAGE_LOG: OUTAGE_LOG,
    SsiTable.KEYS: KEYS,
    SsiTable.COMMAND: COMMAND,
}


def codec(table: SsiTable) -> Construct[Any, Any]:
    """Give the codec of an SSI table; a staging table has that of its active one."""
    if SsiTable.SCHEDULES_STAGING <= table <= SsiTable.GENERAL_STAGING:
        table = SsiTable(table - STAGING_OFFSET)
    return _CODECS[table]


def decode(table: SsiTable, data: bytes) -> dict[str, Any]:
    """Decode an SSI table to plain dicts, lists and numbers; TableValueError if it is not one."""
    name = f"SSI {table.name}"
    try:
        value = codec(table).parse(data)
        canonical = codec(table).build(value)
    except (ConstructError, UnicodeError) as error:
        path = getattr(error, "path", "") or ""
        raise TableValueError(_one_line(error), table=name, path=path) from error
    if len(canonical) != len(data):
        raise TableValueError(
            f"{len(data)} octets, the content ends at {len(canonical)}", table=name, path=""
        )
    plain = _plain(value)
    assert isinstance(plain, dict)
    return plain


def encode(table: SsiTable, value: Mapping[str, Any]) -> bytes:
    """Encode an SSI table; TableValueError names what does not fit."""
    try:
        return bytes(codec(table).build(dict(value)))
    except (ConstructError, KeyError, TypeError, AttributeError) as error:
        raise TableValueError(_one_line(error), table=f"SSI {table.name}", path="") from error


def _one_line(error: Exception) -> str:
    """Give an error's text without construct's line breaks."""
    return " ".join(str(error).split())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not k.startswith("_")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def config_digest(images: Mapping[SsiTable, bytes]) -> bytes:
    """Give SHA-256 over the configuration: number, length and octets of each active table."""
    digest = hashlib.sha256()
    for table in CONFIG_TABLES:
        image = images[table]
        digest.update(bytes([table]) + len(image).to_bytes(4, "big") + image)
    return digest.digest()


def context_id(images: Mapping[int, bytes]) -> int:
    """Give the number that names a meter context: 32 bits of SHA-256 over its tables."""
    digest = hashlib.sha256()
    for number in sorted(images):
        digest.update(number.to_bytes(2, "big") + len(images[number]).to_bytes(4, "big"))
        digest.update(images[number])
    return int.from_bytes(digest.digest()[:4], "big")


#: The tables whose images make a meter context (decision 15), where the meter has them; with
#: ST-22 and ST-27, without which nobody knows what a register counts.
CONTEXT_TABLES = (0, 11, 12, 13, 14, 15, 16, 21, 22, 27, 31, 41, 51, 61, 62, 71)
