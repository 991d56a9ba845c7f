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

from construct import Construct, ConstructError

from ansi_tables import ssi_fast
from ansi_tables import ssi_layouts as layouts
from ansi_tables.errors import TableValueError

DEFAULT_BASE = 4032
NBR_SSI_TABLES = 56


class SsiTable(IntEnum):
    """Number of an SSI table above the base."""

    REPORT_HEADER = 0
    MODULE_STATUS = 1
    MODULE_VERSION = 2
    CONFIG_STATUS = 3
    COMMIT = 4
    MODULE_HEALTH = 5
    SCHEDULES = 8
    MONITORS = 9
    OUTAGE = 10
    DISPOSITION = 11
    GENERAL = 12
    ZONE = 13
    SCHEDULES_STAGING = 16
    MONITORS_STAGING = 17
    OUTAGE_STAGING = 18
    DISPOSITION_STAGING = 19
    GENERAL_STAGING = 20
    ZONE_STAGING = 21
    LOAD_PROFILE_PART = 24
    EVENT_PART = 25
    ALARM = 26
    OUTAGE_RECORD = 27
    OUTAGE_LOG = 32
    UPGRADE_STATUS = 33
    KEYS = 40
    UPGRADE_MANIFEST = 41
    UPGRADE_PIECE = 42
    UPGRADE_ACTIVATE = 43
    COMMAND = 48


#: Active tables, in the order of ``config_digest``; each has its staging copy 8 above.
CONFIG_TABLES = (
    SsiTable.SCHEDULES,
    SsiTable.MONITORS,
    SsiTable.OUTAGE,
    SsiTable.DISPOSITION,
    SsiTable.GENERAL,
    SsiTable.ZONE,
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
    """When a schedule is due, in UTC or in the zone of the ZONE table."""

    INTERVAL = 1
    DAILY = 2
    WEEKLY = 3
    MONTHLY = 4
    ONCE = 5
    HOURLY = 6


class Task(IntEnum):
    """What a schedule does."""

    REPORT = 1
    DEMAND_RESET = 2
    SELF_READ = 3
    CLOCK_CHECK = 4
    #: Look whether season or TOU calendar changed; if so, report what the change left.
    FOLLOW_UP = 5
    #: Report how the module itself does.
    HEALTH = 6


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
    #: Changed by more than THRESHOLD within WINDOW_S.
    RATE = 8
    #: Not changed for WINDOW_S.
    SILENT = 9


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
    #: A bit of ST-03: 0..15 ED_STD_STATUS1, 16..23 ED_STD_STATUS2, from 32 on ED_MFG_STATUS.
    METER_STATUS = 4
    #: The head-end itself, of a meter that it polls: in its own lists, and in no table of a module.
    TMS = 255


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
    MEMORY_FAILED = 10
    WATCHDOG_RESET = 11
    RESET_NOT_DUE = 12
    UPGRADED = 13
    UPGRADE_FAILED = 14
    SAG = 15
    SWELL = 16
    MONITOR_IMPOSSIBLE = 17
    #: Another meter answers than before.
    METER_CHANGED = 18
    #: The TMS takes other reports and not this one, which waits set aside; the value is its number.
    REPORT_REFUSED = 19
    #: Of intervals a channel holds no whole count, as a fraction or blanks: they are not reported.
    #: Told once of a ring; the value is how many were left out then.
    INTERVALS_LEFT_OUT = 20


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
    UPGRADE_CANCEL = 5
    SELECT_ENTRIES = 6


#: ``MODULE_VERSION.MODEL`` of a gateway, whose images are wheels of SmartMeter.
GATEWAY_MODEL = "SmartMeter GW"


class UpgradeState(IntEnum):
    """``UPGRADE_STATUS.STATE``."""

    IDLE = 0
    RECEIVING = 1
    VERIFIED = 2
    SCHEDULED = 3
    TRIAL = 4


class UpgradeResult(IntEnum):
    """``UPGRADE_STATUS.RESULT``: what became of the last upgrade, or why it was refused."""

    NONE = 0
    CONFIRMED = 1
    ROLLED_BACK = 2
    SELF_TEST_FAILED = 3
    DIGEST_DIFFERS = 4
    WRONG_SIGNATURE = 5
    WRONG_MODEL = 6
    NOT_NEWER = 7
    TOO_LARGE = 8
    NO_KEY = 9
    IMAGE_CORRUPT = 10
    NOT_UNPACKED = 11
    CANCELLED = 12


#: A staging table has the codec of its active one.
_CODECS: Mapping[SsiTable, Construct[Any, Any]] = {
    table: getattr(layouts, table.name.removesuffix("_STAGING")) for table in SsiTable
}
_FAST = {
    SsiTable.REPORT_HEADER: ssi_fast.report_header,
    SsiTable.LOAD_PROFILE_PART: ssi_fast.load_profile_part,
}
_FAST_ENCODE = {
    SsiTable.REPORT_HEADER: ssi_fast.encode_report_header,
    SsiTable.LOAD_PROFILE_PART: ssi_fast.encode_load_profile_part,
}


def codec(table: SsiTable) -> Construct[Any, Any]:
    """Give the codec of an SSI table."""
    return _CODECS[table]


def decode(table: SsiTable, data: bytes) -> dict[str, Any]:
    """Decode an SSI table to plain dicts, lists and numbers; TableValueError if it is not one."""
    fast = _FAST.get(table)
    quick = fast(data) if fast is not None else None
    if quick is not None:
        return quick
    name = f"SSI {table.name}"
    try:
        value = codec(table).parse(data)
        canonical = codec(table).build(value)
    except TableValueError as error:
        error.table = name
        raise
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
    fast = _FAST_ENCODE.get(table)
    try:
        quick = fast(value) if fast is not None else None
        return quick if quick is not None else bytes(codec(table).build(dict(value)))
    except TableValueError as error:
        error.table = f"SSI {table.name}"
        raise
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


#: An entry of MONITORS that watches nothing; whoever makes one says what is special about it.
BLANK_MONITOR: dict[str, Any] = {
    "MONITOR_NBR": 0,
    "ENABLED": 1,
    "TABLE": 0,
    "PATH": "",
    "OFFSET": 0,
    "WIDTH": 0,
    "SIGNED": 0,
    "SCALED": 0,
    "POWER": 0,
    "CONDITION": Condition.CHANGED,
    "THRESHOLD": 0,
    "THRESHOLD_HIGH": 0,
    "HYSTERESIS": 0,
    "WINDOW_S": 0,
    "MIN_DURATION_MS": 0,
    "REARM_S": 0,
    "MAX_PER_HOUR": 0,
    "PERIOD_MS": 0,
    "DISPOSITION": Disposition.LOG,
}

#: The tables whose images make a meter context, where the meter has them: all that one must know
#: to read its registers, profiles and logs.
CONTEXT_TABLES = (0, 11, 12, 13, 14, 15, 16, 21, 22, 27, 31, 41, 51, 53, 54, 61, 62, 71)
