"""Decade 7, history and event logs: ST-70 to ST-79."""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import (
    Tree,
    array,
    binary,
    bit_field,
    ltime_date,
    optional_tail,
    record,
    set_of,
    uint,
    when,
)
from ansi_tables.identifiers import list_status, table_idb
from ansi_tables.registry import TableDefinition, opaque


def log_dimensions(ctx: Context) -> Tree:
    """ST-70 and ST-71: what can be logged, and is; 9 octets, 12 from the 2008 edition on."""
    later = ctx.fmt.std_version_no > 1
    return record(
        "LOG_FLAGS"
        / bit_field(
            ctx,
            8,
            EVENT_NUMBER_FLAG=(0, 0),
            HIST_DATE_TIME_FLAG=(1, 1),
            HIST_SEQ_NBR_FLAG=(2, 2),
            HIST_INHIBIT_OVF_FLAG=(3, 3),
            EVENT_INHIBIT_OVF_FLAG=(4, 4),
        ),
        "NBR_STD_EVENTS" / uint(ctx, 8),
        "NBR_MFG_EVENTS" / uint(ctx, 8),
        "HIST_DATA_LENGTH" / uint(ctx, 8),
        "EVENT_DATA_LENGTH" / uint(ctx, 8),
        "NBR_HISTORY_ENTRIES" / uint(ctx, 16),
        "NBR_EVENT_ENTRIES" / uint(ctx, 16),
        optional_tail(later, "EXT_LOG_FLAGS" / uint(ctx, 8)),
        optional_tail(later, "NBR_PROGRAM_TABLES" / uint(ctx, 16)),
    )


def events_supported(ctx: Context) -> Tree:
    """ST-72: which events the device can detect; bit k is code k."""
    dims = ctx.table(71)
    return record(
        "STD_EVENTS_SUPPORTED" / set_of(dims.NBR_STD_EVENTS),
        "MFG_EVENTS_SUPPORTED" / set_of(dims.NBR_MFG_EVENTS),
    )


def log_control(ctx: Context) -> Tree:
    """ST-73 and ST-75: which events, table writes and procedures go into the log."""
    dims, fmt = ctx.table(71), ctx.fmt
    return record(
        "STD_EVENTS_MONITORED_FLAGS" / set_of(dims.NBR_STD_EVENTS),
        "MFG_EVENTS_MONITORED_FLAGS" / set_of(dims.NBR_MFG_EVENTS),
        "STD_TBLS_MONITORED_FLAGS" / set_of(fmt.dim_std_tbls_used),
        "MFG_TBLS_MONITORED_FLAGS" / set_of(fmt.dim_mfg_tbls_used),
        "STD_PROC_MONITORED_FLAGS" / set_of(fmt.dim_std_proc_used),
        "MFG_PROC_MONITORED_FLAGS" / set_of(fmt.dim_mfg_proc_used),
    )


def _header(ctx: Context, flags: str) -> list[Tree]:
    return [
        flags / list_status(ctx),
        "NBR_VALID_ENTRIES" / uint(ctx, 16),
        "LAST_ENTRY_ELEMENT" / uint(ctx, 16),
        "LAST_ENTRY_SEQ_NBR" / uint(ctx, 32),
        "NBR_UNREAD_ENTRIES" / uint(ctx, 16),
    ]


def history_log(ctx: Context) -> Tree:
    """ST-74: what users did; 11 octets, then entries of which some may be stale."""
    dims = ctx.table(71)
    flags = dims.LOG_FLAGS
    entry = record(
        when(flags.HIST_DATE_TIME_FLAG, "HISTORY_TIME" / ltime_date(ctx)),
        when(flags.EVENT_NUMBER_FLAG, "EVENT_NUMBER" / uint(ctx, 16)),
        when(flags.HIST_SEQ_NBR_FLAG, "HISTORY_SEQ_NBR" / uint(ctx, 16)),
        "USER_ID" / uint(ctx, 16),
        "HISTORY_CODE" / table_idb(ctx),
        "HISTORY_ARGUMENT" / binary(dims.HIST_DATA_LENGTH),
    )
    return record(*_header(ctx, "HIST_FLAGS"), "ENTRIES" / array(dims.NBR_HISTORY_ENTRIES, entry))


def event_log(ctx: Context) -> Tree:
    """ST-76: what happened; order by sequence number, since times need not rise."""
    dims = ctx.table(71)
    entry = record(
        "EVENT_TIME" / ltime_date(ctx),
        when(dims.LOG_FLAGS.EVENT_NUMBER_FLAG, "EVENT_NUMBER" / uint(ctx, 16)),
        when(not ctx.fmt.overrides.event_sequence_absent, "EVENT_SEQ_NBR" / uint(ctx, 16)),
        "USER_ID" / uint(ctx, 16),
        "EVENT_CODE" / table_idb(ctx),
        "EVENT_ARGUMENT" / binary(dims.EVENT_DATA_LENGTH),
    )
    return record(*_header(ctx, "EVENT_FLAGS"), "ENTRIES" / array(dims.NBR_EVENT_ENTRIES, entry))


TABLES = (
    TableDefinition(70, "DIM_LOG_TBL", "Dimension log", log_dimensions),
    TableDefinition(71, "ACT_LOG_TBL", "Actual log", log_dimensions),
    TableDefinition(72, "EVENTS_ID_TBL", "Events identification", events_supported, (71,)),
    TableDefinition(73, "HISTORY_LOG_CTRL_TBL", "History log control", log_control, (71,)),
    TableDefinition(74, "HISTORY_LOG_DATA_TBL", "History log data", history_log, (71,)),
    TableDefinition(
        75,
        "EVENT_LOG_CTRL_TBL",
        "Event log control",
        log_control,
        (71,),
        confidence="single-source",
    ),
    TableDefinition(76, "EVENT_LOG_DATA_TBL", "Event log data", event_log, (71,)),
    opaque(77, "EVENT_LOG_SIGNATURES_ENABLE_TBL", "Event log and signatures enable"),
    opaque(78, "END_DEVICE_PROGRAM_STATE_TBL", "End device program state"),
    opaque(79, "EVENT_COUNTERS_TBL", "Event counters"),
)
