"""Decade 1, sources: ST-10 to ST-17.

The gas records of ST-15 come from one public reader, the electric one from several.
"""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import Tree, array, binary, bit_field, ni, record, sint, uint, when
from ansi_tables.registry import TableDefinition, opaque


def sources_limiting(ctx: Context) -> Tree:
    """ST-10 and ST-11: what the metering section can do, and does; 8 octets."""
    return record(
        "SOURCE_FLAGS"
        / bit_field(
            ctx,
            8,
            PF_EXCLUDE_FLAG=(0, 0),
            RESET_EXCLUDE_FLAG=(1, 1),
            BLOCK_DEMAND_FLAG=(2, 2),
            SLIDING_DEMAND_FLAG=(3, 3),
            THERMAL_DEMAND_FLAG=(4, 4),
            SET1_PRESENT_FLAG=(5, 5),
            SET2_PRESENT_FLAG=(6, 6),
            CONVERSION_ALG_FLAG=(7, 7),
        ),
        "NBR_UOM_ENTRIES" / uint(ctx, 8),
        "NBR_DEMAND_CTRL_ENTRIES" / uint(ctx, 8),
        "DATA_CTRL_LENGTH" / uint(ctx, 8),
        "NBR_DATA_CTRL_ENTRIES" / uint(ctx, 8),
        "NBR_CONSTANTS_ENTRIES" / uint(ctx, 8),
        "CONSTANTS_SELECTOR" / uint(ctx, 8),
        "NBR_SOURCES" / uint(ctx, 8),
    )


def units_of_measure(ctx: Context) -> Tree:
    """ST-12: quantity, time base, multiplier and quadrants of each source; 4 octets an entry."""
    entry = bit_field(
        ctx,
        32,
        ID_CODE=(0, 7),
        TIME_BASE=(8, 10),
        MULTIPLIER=(11, 13),
        Q1_ACCOUNTABILITY=(14, 14),
        Q2_ACCOUNTABILITY=(15, 15),
        Q3_ACCOUNTABILITY=(16, 16),
        Q4_ACCOUNTABILITY=(17, 17),
        NET_FLOW_ACCOUNTABILITY=(18, 18),
        SEGMENTATION=(19, 21),
        HARMONIC=(22, 22),
        ID_RESOURCE=(23, 27),
        RESERVED=(28, 30),
        NFS=(31, 31),
    )
    return record("UOM_ENTRY" / array(ctx.table(11).NBR_UOM_ENTRIES, entry))


def demand_control(ctx: Context) -> Tree:
    """ST-13: demand intervals, and what is excluded after power failure and reset."""
    flags = ctx.table(11).SOURCE_FLAGS
    excludes = flags.PF_EXCLUDE_FLAG or ctx.fmt.overrides.power_fail_always
    sliding = flags.SLIDING_DEMAND_FLAG
    interval = record(
        when(sliding, "SUB_INT" / uint(ctx, 8)),
        when(sliding, "INT_MULTIPLIER" / uint(ctx, 8)),
        when(not sliding, "INT_LENGTH" / uint(ctx, 16)),
    )
    return record(
        when(flags.RESET_EXCLUDE_FLAG, "RESET_EXCLUSION" / uint(ctx, 8)),
        when(excludes, "P_FAIL_RECOGNTN_TM" / uint(ctx, 8)),
        when(excludes, "P_FAIL_EXCLUSION" / uint(ctx, 8)),
        when(excludes, "COLD_LOAD_PICKUP" / uint(ctx, 8)),
        "INTERVAL_VALUE" / array(ctx.table(11).NBR_DEMAND_CTRL_ENTRIES, interval),
    )


def data_control(ctx: Context) -> Tree:
    """ST-14: manufacturer identifiers of sources."""
    entry = record("SOURCE_ID" / binary(ctx.table(11).DATA_CTRL_LENGTH))
    return record("SOURCES_ID" / array(ctx.table(11).NBR_DATA_CTRL_ENTRIES, entry))


def constants(ctx: Context) -> Tree:
    """ST-15: multipliers and constants, in the record that CONSTANTS_SELECTOR names."""
    selector = ctx.table(11).CONSTANTS_SELECTOR
    electric = (2, 3) if ctx.fmt.overrides.electric_selector_3 else (2,)
    entry = record(
        when(selector == 0, "GAS_CONSTANTS_AGA3" / _gas_aga3(ctx)),
        when(selector == 1, "GAS_CONSTANTS_AGA7" / _gas_aga7(ctx)),
        when(selector in electric, "ELECTRIC_CONSTANTS" / _electric(ctx)),
    )
    return record("SELECTION" / array(ctx.table(11).NBR_CONSTANTS_ENTRIES, entry))


def _electric(ctx: Context) -> Tree:
    flags = ctx.table(11).SOURCE_FLAGS
    ways = ctx.fmt.overrides
    no_offset = ways.no_offset_flag and flags.CONVERSION_ALG_FLAG

    def number() -> Tree:
        return sint(ctx, 64) if ways.constants_int64 else ni(ctx, 1)

    def ratios() -> Tree:
        return record(
            "SET_FLAGS" / bit_field(ctx, 8, SET_APPLIED_FLAG=(0, 0)),
            "RATIO_F1" / number(),
            "RATIO_P1" / number(),
        )

    return record(
        "MULTIPLIER" / number(),
        when(not no_offset, "OFFSET" / number()),
        when(flags.SET1_PRESENT_FLAG, "SET1_CONSTANTS" / ratios()),
        when(flags.SET2_PRESENT_FLAG, "SET2_CONSTANTS" / ratios()),
    )


def _numbers(ctx: Context, *names: str) -> Tree:
    return record(*(name / ni(ctx, 2) for name in names))


def _pressure(ctx: Context) -> Tree:
    return _numbers(ctx, "GAS_PRESS_ZERO", "GAS_PRESS_FULLSCALE", "BASE_PRESSURE")


def _temperature(ctx: Context) -> Tree:
    return _numbers(ctx, "GAS_TEMP_ZERO", "GAS_TEMP_FULLSCALE", "BASE_TEMP")


def _energy(ctx: Context) -> Tree:
    return _numbers(ctx, "GAS_ENERGY_ZERO", "GAS_ENERGY_FULL")


def _gas_aga3(ctx: Context) -> Tree:
    return record(
        "GAS_DP_PARM" / _numbers(ctx, "GAS_DP_ZERO", "GAS_DP_FULLSCALE"),
        "GAS_DP_SHUTOFF" / _numbers(ctx, "GAS_SHUTOFF"),
        "GAS_PRESS_PARM" / _pressure(ctx),
        "GAS_AGA3_CORR"
        / record(
            "AUX_CORR_FCTR" / ni(ctx, 2),
            "GAS_AGA3_CORR_FCTR" / ni(ctx, 2),
            "PIPE_ORIF_DIA" / _numbers(ctx, "PIPE_DIA", "ORIF_DIA"),
            "TAP_UP_DN" / uint(ctx, 8),
            "GAS_PRESS_PARM" / _pressure(ctx),
            "GAS_TEMP_PARM" / _temperature(ctx),
        ),
        "GAS_ENERGY" / _energy(ctx),
    )


def _gas_aga7(ctx: Context) -> Tree:
    return record(
        "GAS_AGA7_CORR"
        / record(
            "GAS_PRESS_PARM" / _pressure(ctx),
            "GAS_TEMP_PARM" / _temperature(ctx),
            "AUX_CORR_FCTR" / ni(ctx, 2),
            "GAS_AGA7_CORR" / ni(ctx, 2),
        ),
        "GAS_ENERGY" / _energy(ctx),
    )


def source_definition(ctx: Context) -> Tree:
    """ST-16: which of ST-12 to ST-15 has an entry for each source; entries are counted by flag."""
    link = bit_field(
        ctx,
        8,
        UOM_ENTRY_FLAG=(0, 0),
        DEMAND_CTRL_FLAG=(1, 1),
        DATA_CTRL_FLAG=(2, 2),
        CONSTANTS_FLAG=(3, 3),
        PULSE_ENGR_FLAG=(4, 4),
        CONSTANT_TO_BE_APPLIED=(5, 5),
    )
    return record("SOURCES_LINK" / array(ctx.table(11).NBR_SOURCES, link))


TABLES = (
    TableDefinition(10, "DIM_SOURCES_LIM_TBL", "Dimension sources limiting", sources_limiting),
    TableDefinition(11, "ACT_SOURCES_LIM_TBL", "Actual sources limiting", sources_limiting),
    TableDefinition(12, "UOM_ENTRY_TBL", "Unit of measure entry", units_of_measure, (11,)),
    TableDefinition(13, "DEMAND_CONTROL_TBL", "Demand control", demand_control, (11,)),
    TableDefinition(14, "DATA_CONTROL_TBL", "Data control", data_control, (11,)),
    TableDefinition(15, "CONSTANTS_TBL", "Constants", constants, (11,)),
    TableDefinition(16, "SOURCES_TBL", "Source definition", source_definition, (11,)),
    opaque(17, "TRANSFORMER_LOSS_COMP_TBL", "Transformer loss compensation"),
)
