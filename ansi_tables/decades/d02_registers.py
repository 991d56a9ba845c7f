"""Decade 2, registers: ST-20 to ST-28."""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import (
    Tree,
    array,
    bit_field,
    ni,
    record,
    set_of,
    stime_date,
    time_of_day,
    uint,
    when,
)
from ansi_tables.identifiers import list_status
from ansi_tables.registry import TableDefinition


def register_dimensions(ctx: Context) -> Tree:
    """ST-20 and ST-21: what registers there can be, and are; 10 octets."""
    return record(
        "REG_FUNC1_FLAGS"
        / bit_field(
            ctx,
            8,
            SEASON_INFO_FIELD_FLAG=(0, 0),
            DATE_TIME_FIELD_FLAG=(1, 1),
            DEMAND_RESET_CTR_FLAG=(2, 2),
            DEMAND_RESET_LOCK_FLAG=(3, 3),
            CUM_DEMAND_FLAG=(4, 4),
            CONT_CUM_DEMAND_FLAG=(5, 5),
            TIME_REMAINING_FLAG=(6, 6),
        ),
        "REG_FUNC2_FLAGS"
        / bit_field(
            ctx,
            8,
            SELF_READ_INHIBIT_OVERFLOW_FLAG=(0, 0),
            SELF_READ_SEQ_NBR_FLAG=(1, 1),
            DAILY_SELF_READ_FLAG=(2, 2),
            WEEKLY_SELF_READ_FLAG=(3, 3),
            SELF_READ_DEMAND_RESET=(4, 5),
        ),
        "NBR_SELF_READS" / uint(ctx, 8),
        "NBR_SUMMATIONS" / uint(ctx, 8),
        "NBR_DEMANDS" / uint(ctx, 8),
        "NBR_COIN_VALUES" / uint(ctx, 8),
        "NBR_OCCUR" / uint(ctx, 8),
        "NBR_TIERS" / uint(ctx, 8),
        "NBR_PRESENT_DEMANDS" / uint(ctx, 8),
        "NBR_PRESENT_VALUES" / uint(ctx, 8),
    )


def data_selection(ctx: Context) -> Tree:
    """ST-22: which source feeds each summation, demand and coincident value."""
    dims = ctx.table(21)
    source = record("SOURCE_INDEX" / uint(ctx, 8))
    return record(
        "SUMMATION_SELECT" / array(dims.NBR_SUMMATIONS, source),
        "DEMAND_SELECT" / array(dims.NBR_DEMANDS, source),
        "MIN_OR_MAX_FLAGS" / set_of((dims.NBR_DEMANDS + 7) // 8),
        "COINCIDENT_SELECT" / array(dims.NBR_COIN_VALUES, source),
        "COIN_DEMAND_ASSOC" / array(dims.NBR_COIN_VALUES, uint(ctx, 8)),
    )


def _data_block(ctx: Context) -> Tree:
    """One block of registers: summations, demands and coincidents, of all tiers or of one."""
    dims = ctx.table(21)
    flags = dims.REG_FUNC1_FLAGS
    demand = record(
        when(flags.DATE_TIME_FIELD_FLAG, "EVENT_TIME" / array(dims.NBR_OCCUR, stime_date(ctx))),
        when(flags.CUM_DEMAND_FLAG, "CUM_DEMAND" / ni(ctx, 1)),
        when(flags.CONT_CUM_DEMAND_FLAG, "CONT_CUM_DEMAND" / ni(ctx, 1)),
        "DEMAND" / array(dims.NBR_OCCUR, ni(ctx, 2)),
    )
    coincident = record("COINCIDENT_VALUES" / array(dims.NBR_OCCUR, ni(ctx, 2)))
    return record(
        "SUMMATIONS" / array(dims.NBR_SUMMATIONS, ni(ctx, 1)),
        "DEMANDS" / array(dims.NBR_DEMANDS, demand),
        "COINCIDENTS" / array(dims.NBR_COIN_VALUES, coincident),
    )


def register_data(ctx: Context) -> Tree:
    """ST-23: the registers now: raw counts, scaled by ST-12 to ST-16 and never here."""
    dims = ctx.table(21)
    return record(
        when(dims.REG_FUNC1_FLAGS.DEMAND_RESET_CTR_FLAG, "NBR_DEMAND_RESETS" / uint(ctx, 8)),
        "TOT_DATA_BLOCK" / _data_block(ctx),
        "TIER_DATA_BLOCK" / array(dims.NBR_TIERS, _data_block(ctx)),
    )


def _register_info(ctx: Context) -> Tree:
    flags = ctx.table(21).REG_FUNC1_FLAGS
    return record(
        when(flags.DATE_TIME_FIELD_FLAG, "END_DATE_TIME" / stime_date(ctx)),
        when(flags.SEASON_INFO_FIELD_FLAG, "SEASON" / uint(ctx, 8)),
    )


def previous_season(ctx: Context) -> Tree:
    """ST-24: the registers at the end of the season before."""
    return record(
        "REGISTER_INFO" / _register_info(ctx), "PREV_SEASON_REG_DATA" / register_data(ctx)
    )


def previous_demand_reset(ctx: Context) -> Tree:
    """ST-25: the registers at the last demand reset."""
    return record(
        "REGISTER_INFO" / _register_info(ctx), "PREV_DEMAND_RESET_DATA" / register_data(ctx)
    )


def self_reads(ctx: Context) -> Tree:
    """ST-26: a list of registers as they were at self-reads; its header has 8-bit counters."""
    dims = ctx.table(21)
    entry = record(
        when(dims.REG_FUNC2_FLAGS.SELF_READ_SEQ_NBR_FLAG, "SELF_READ_SEQ_NBR" / uint(ctx, 16)),
        "REGISTER_INFO" / _register_info(ctx),
        "SELF_READ_REGISTER_DATA" / register_data(ctx),
    )
    return record(
        "LIST_STATUS" / list_status(ctx),
        "NBR_VALID_ENTRIES" / uint(ctx, 8),
        "LAST_ENTRY_ELEMENT" / uint(ctx, 8),
        "LAST_ENTRY_SEQ_NBR" / uint(ctx, 16),
        "NBR_UNREAD_ENTRIES" / uint(ctx, 8),
        "SELF_READS_ENTRIES" / array(dims.NBR_SELF_READS, entry),
    )


def present_selection(ctx: Context) -> Tree:
    """ST-27: which source feeds each value of ST-28; 255 is unassigned."""
    dims = ctx.table(21)
    source = record("SOURCE_INDEX" / uint(ctx, 8))
    return record(
        "PRESENT_DEMAND_SELECT" / array(dims.NBR_PRESENT_DEMANDS, source),
        "PRESENT_VALUE_SELECT" / array(dims.NBR_PRESENT_VALUES, source),
    )


def present_data(ctx: Context) -> Tree:
    """ST-28: running demands and momentary values."""
    dims = ctx.table(21)
    timed, once = dims.REG_FUNC1_FLAGS.TIME_REMAINING_FLAG, ctx.fmt.overrides.time_remaining_once
    remaining = "TIME_REMAINING" / time_of_day(ctx)
    demand = record(when(timed and not once, remaining), "DEMAND_VALUE" / ni(ctx, 2))
    # A maker's way: the octets of the first demand's time stand before all demands.
    before = [remaining] if timed and once and dims.NBR_PRESENT_DEMANDS else []
    return record(
        *before,
        "PRESENT_DEMAND" / array(dims.NBR_PRESENT_DEMANDS, demand),
        "PRESENT_VALUE" / array(dims.NBR_PRESENT_VALUES, ni(ctx, 1)),
    )


TABLES = (
    TableDefinition(20, "DIM_REGS_TBL", "Dimension register", register_dimensions),
    TableDefinition(21, "ACT_REGS_TBL", "Actual register", register_dimensions),
    TableDefinition(22, "DATA_SELECTION_TBL", "Data selection", data_selection, (21,)),
    TableDefinition(23, "CURRENT_REG_DATA_TBL", "Current register data", register_data, (21,)),
    TableDefinition(
        24,
        "PREVIOUS_SEASON_DATA_TBL",
        "Previous season data",
        previous_season,
        (21,),
        confidence="single-source",
    ),
    TableDefinition(
        25,
        "PREVIOUS_DEMAND_RESET_DATA_TBL",
        "Previous demand reset data",
        previous_demand_reset,
        (21,),
        confidence="single-source",
    ),
    TableDefinition(26, "SELF_READ_DATA_TBL", "Self-read data", self_reads, (21,)),
    TableDefinition(
        27, "PRESENT_REGISTER_SELECT_TBL", "Present register selection", present_selection, (21,)
    ),
    TableDefinition(28, "PRESENT_REGISTER_DATA_TBL", "Present register data", present_data, (21,)),
)
