"""Decade 9, telephone: ST-90 to ST-98, published with the modem protocol C12.21.

Times of windows are STIME, so ST-93 and ST-95 with windows have no known shape
under TM_FORMAT 3 and 4.  ST-96 is tentative: its sources disagree on the copy
of the status.  ST-97 may have longer entries in the 2008 edition; the octets
beyond are left as trailing ones.
"""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import (
    Tree,
    array,
    bit_field,
    date,
    rdate,
    record,
    set_of,
    stime,
    text,
    time_of_day,
    uint,
    when,
)
from ansi_tables.identifiers import DAYS_OF_WEEK, identifier
from ansi_tables.registry import TableDefinition, opaque

#: ST-91 TELEPHONE_FLAGS.BIT_RATE: where the bit rate of calls is held.
_RATE_FOR_BOTH = 1
_RATE_FOR_EACH = 2


def telephone_dimensions(ctx: Context) -> Tree:
    """ST-90 and ST-91: what the telephone part can do, and does; 14 octets."""
    return record(
        "TELEPHONE_FLAGS"
        / bit_field(
            ctx,
            8,
            ANSWER_FLAG=(0, 0),
            S_ANCHOR_DATE_FLAG=(1, 1),
            OFFHOOK_DETECT_FLAG=(2, 2),
            BIT_RATE=(3, 4),
            ID_IN_PURPOSE=(5, 5),
            NO_LOCKOUT_PARM=(6, 6),
            EXTENDED_STATUS_FLAG=(7, 7),
        ),
        "NBR_ORIGINATE_WINDOWS" / uint(ctx, 8),
        "NBR_SETUP_STRINGS" / uint(ctx, 8),
        "SETUP_STRING_LENGTH" / uint(ctx, 8),
        "PREFIX_LENGTH" / uint(ctx, 8),
        "NBR_ORIGINATE_NUMBERS" / uint(ctx, 8),
        "PHONE_NUMBER_LENGTH" / uint(ctx, 8),
        "NBR_RECURRING_DATES" / uint(ctx, 8),
        "NBR_NON_RECURRING_DATES" / uint(ctx, 8),
        "NBR_EVENTS" / uint(ctx, 8),
        "NBR_WEEKLY_SCHEDULES" / uint(ctx, 8),
        "NBR_ANSWER_WINDOWS" / uint(ctx, 8),
        "NBR_CALLERS" / uint(ctx, 8),
        "CALLER_ID_LENGTH" / uint(ctx, 8),
    )


def global_parameters(ctx: Context) -> Tree:
    """ST-92: PSEM identity, bit rate, and strings that set the modem up."""
    dims = ctx.table(91)
    setup = record("SETUP_STRING" / text(ctx, dims.SETUP_STRING_LENGTH))
    return record(
        "PSEM_IDENTITY" / uint(ctx, 8),
        when(dims.TELEPHONE_FLAGS.BIT_RATE == _RATE_FOR_BOTH, "BIT_RATE" / uint(ctx, 32)),
        "MODEM_SETUP_STRINGS" / array(dims.NBR_SETUP_STRINGS, setup),
    )


def _week(ctx: Context) -> Tree:
    return bit_field(ctx, 8, **{day: (k, k) for k, day in enumerate(DAYS_OF_WEEK)})


def _windows(ctx: Context, count: int) -> Tree:
    """Give the windows of a day in which calls are made or answered; 5 octets each."""
    if count == 0:
        return array(0, record())
    window = record(
        "BEGIN_WINDOW_TIME" / stime(ctx),
        "WINDOW_DURATION" / stime(ctx),
        "WINDOW_DAYS" / _week(ctx),
    )
    return array(count, window)


def originate_parameters(ctx: Context) -> Tree:
    """ST-93: numbers to call, how to dial, and when."""
    dims = ctx.table(91)
    number = record("PHONE_NUMBER" / text(ctx, dims.PHONE_NUMBER_LENGTH))
    return record(
        when(dims.TELEPHONE_FLAGS.BIT_RATE == _RATE_FOR_EACH, "ORIGINATE_BIT_RATE" / uint(ctx, 32)),
        "DIAL_DELAY" / uint(ctx, 8),
        "PREFIX" / text(ctx, dims.PREFIX_LENGTH),
        "PHONE_NUMBERS" / array(dims.NBR_ORIGINATE_NUMBERS, number),
        "WINDOWS" / _windows(ctx, dims.NBR_ORIGINATE_WINDOWS),
    )


def originate_schedule(ctx: Context) -> Tree:
    """ST-94: when, and upon which status, the device calls whom."""
    dims = ctx.table(91)
    connection = bit_field(
        ctx, 8, PRIMARY_PHONE_NUMBER=(0, 2), SECONDARY_PHONE_NUMBER=(4, 6), USE_WINDOWS=(7, 7)
    )
    start = "START_TIME" / time_of_day(ctx)
    whom = "CONNECTION" / connection
    return record(
        when(dims.TELEPHONE_FLAGS.S_ANCHOR_DATE_FLAG, "S_ANCHOR_DATE" / date(ctx)),
        "RECURRING_DATES"
        / array(dims.NBR_RECURRING_DATES, record("ORIGINATE_DATE" / rdate(ctx), start, whom)),
        "NON_RECURRING_DATES"
        / array(dims.NBR_NON_RECURRING_DATES, record("ORIGINATE_DATE" / date(ctx), start, whom)),
        "EVENTS" / array(dims.NBR_EVENTS, record(*_status(ctx), whom)),
        "WEEKLY_SCHEDULES"
        / array(dims.NBR_WEEKLY_SCHEDULES, record("DAYS" / _week(ctx), start, whom)),
    )


def _status(ctx: Context) -> tuple[Tree, ...]:
    """Give the status members of ST-03, as numbers."""
    return (
        "ED_STD_STATUS1" / uint(ctx, 16),
        "ED_STD_STATUS2" / uint(ctx, 8),
        "ED_MFG_STATUS" / set_of(ctx.fmt.dim_mfg_status_used),
    )


def answer_parameters(ctx: Context) -> Tree:
    """ST-95: how calls are answered, whose, and when; units of the lockout are from memory."""
    dims = ctx.table(91)
    flags = dims.TELEPHONE_FLAGS
    lockout = not flags.NO_LOCKOUT_PARM
    caller = record("CALLER_ID" / text(ctx, dims.CALLER_ID_LENGTH))
    return record(
        when(flags.BIT_RATE == _RATE_FOR_EACH, "ANSWER_BIT_RATE" / uint(ctx, 32)),
        when(lockout, "LOCKOUT_DELAY" / uint(ctx, 8)),
        when(lockout, "RETRY_ATTEMPTS" / uint(ctx, 8)),
        when(lockout, "RETRY_LOCKOUT_TIME" / uint(ctx, 8)),
        "NBR_RINGS" / uint(ctx, 8),
        when(dims.NBR_ANSWER_WINDOWS, "NBR_RINGS_OUTSIDE" / uint(ctx, 8)),
        "CALLERS" / array(dims.NBR_CALLERS, caller),
        "WINDOWS" / _windows(ctx, dims.NBR_ANSWER_WINDOWS),
    )


def call_purpose(ctx: Context) -> Tree:
    """ST-96: why the device calls, with its status."""
    named = ctx.table(91).TELEPHONE_FLAGS.ID_IN_PURPOSE
    return record(
        "CALL_PURPOSE"
        / bit_field(
            ctx,
            16,
            POWER_OUTAGE=(0, 0),
            POWER_RESTORAL=(1, 1),
            SCHEDULED_CALL=(2, 2),
            STATUS_CALL=(3, 3),
            IMMEDIATE_CALL=(4, 4),
            MANUF_DEFINED=(12, 15),
        ),
        "ED_MODE" / uint(ctx, 8),
        *_status(ctx),
        when(named, "IDENTIFICATION" / identifier(ctx, 20)),
    )


def call_status(ctx: Context) -> Tree:
    """ST-97: how the last call to each number went; codes in the standard's call status list."""
    status = record("CALL_STATUS" / uint(ctx, 8))
    return record("CALL_STATUS_ARRAY" / array(ctx.table(91).NBR_ORIGINATE_NUMBERS, status))


TABLES = (
    TableDefinition(90, "DIM_TELEPHONE_TBL", "Dimension telephone", telephone_dimensions),
    TableDefinition(91, "ACT_TELEPHONE_TBL", "Actual telephone", telephone_dimensions),
    TableDefinition(92, "GLOBAL_PARAMETERS_TBL", "Global parameters", global_parameters, (91,)),
    TableDefinition(
        93, "ORIGINATE_PARAMETERS_TBL", "Originate parameters", originate_parameters, (91,)
    ),
    TableDefinition(94, "ORIGINATE_SCHEDULE_TBL", "Originate schedule", originate_schedule, (91,)),
    TableDefinition(95, "ANSWER_PARAMETERS_TBL", "Answer parameters", answer_parameters, (91,)),
    TableDefinition(
        96, "CALL_PURPOSE_TBL", "Call purpose", call_purpose, (91,), "tentative", "single-source"
    ),
    TableDefinition(97, "CALL_STATUS_TBL", "Call status", call_status, (91,)),
    opaque(98, "ORIGINATE_STATUS_TBL", "Originate status"),
)
