"""Members that several tables share: identifiers, groups, list status, modes, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansi_tables.fields import bcd, binary, bit_field, record, text
from ansi_tables.tree import Tree

if TYPE_CHECKING:
    from ansi_tables.context import Context


#: Bits of ED_STD_STATUS1, in order.
STD_STATUS1_FLAGS = (
    "UNPROGRAMMED_FLAG",
    "CONFIGURATION_ERROR_FLAG",
    "SELF_CHK_ERROR_FLAG",
    "RAM_FAILURE_FLAG",
    "ROM_FAILURE_FLAG",
    "NONVOL_MEM_FAILURE_FLAG",
    "CLOCK_ERROR_FLAG",
    "MEASUREMENT_ERROR_FLAG",
    "LOW_BATTERY_FLAG",
    "LOW_LOSS_POTENTIAL_FLAG",
    "DEMAND_OVERLOAD_FLAG",
    "POWER_FAILURE_FLAG",
    "TAMPER_DETECT_FLAG",
    "REVERSE_ROTATION_FLAG",
)

#: The days in the order of the standard: bits of a week, and columns of a schedule.
DAYS_OF_WEEK = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")


def identifier(ctx: Context, characters: int) -> Tree:
    """A text, or under ID_FORM 1 so many digits in half the octets."""
    return bcd(characters // 2) if ctx.fmt.id_form else text(ctx, characters)


def table_ida(ctx: Context) -> Tree:
    """TABLE_IDA_BFLD: a table, as in ST-04."""
    return bit_field(
        ctx,
        16,
        TBL_PROC_NBR=(0, 10),
        STD_VS_MFG_FLAG=(11, 11),
        PENDING_FLAG=(12, 12),
        FLAG1=(13, 13),
        FLAG2=(14, 14),
        FLAG3=(15, 15),
    )


def table_idb(ctx: Context) -> Tree:
    """TABLE_IDB_BFLD: a procedure with its response selector, or an event code."""
    return bit_field(ctx, 16, TBL_PROC_NBR=(0, 10), STD_VS_MFG_FLAG=(11, 11), SELECTOR=(12, 15))


def table_idc(ctx: Context) -> Tree:
    """TABLE_IDC_BFLD: a table or a procedure, as in ST-43 and ST-44."""
    return bit_field(
        ctx,
        16,
        TBL_PROC_NBR=(0, 10),
        STD_VS_MFG_FLAG=(11, 11),
        PROC_FLAG=(12, 12),
        FLAG1=(13, 13),
        FLAG2=(14, 14),
        FLAG3=(15, 15),
    )


def access_permission(ctx: Context) -> Tree:
    """ACCESS_PERMISSION_BFLD: one bit for each of eight groups."""
    return bit_field(ctx, 8, **{f"GROUP_PERM_{k}_FLAG": (k, k) for k in range(8)})


def list_status(ctx: Context) -> Tree:
    """LIST_STATUS_BFLD: order and overflow of a list of entries."""
    return bit_field(
        ctx,
        8,
        ORDER=(0, 0),
        OVERFLOW_FLAG=(1, 1),
        LIST_TYPE=(2, 2),
        INHIBIT_OVERFLOW_FLAG=(3, 3),
    )


def ed_mode(ctx: Context) -> Tree:
    """ED_MODE: the mode of the device, as in ST-03 and procedure 6."""
    return bit_field(
        ctx,
        8,
        METERING_FLAG=(0, 0),
        TEST_MODE_FLAG=(1, 1),
        METER_SHOP_MODE_FLAG=(2, 2),
        FACTORY_FLAG=(3, 3),
    )


def std_status1(ctx: Context) -> Tree:
    """ED_STD_STATUS1: the standard status flags, as in ST-03 and procedure 7."""
    names = list(STD_STATUS1_FLAGS)
    if ctx.fmt.overrides.cover_detect_flag:
        names[13] = "COVER_DETECT_FLAG"
    return bit_field(ctx, 16, **{name: (k, k) for k, name in enumerate(names)})


def std_status2(ctx: Context) -> Tree:
    """ED_STD_STATUS2: eight spare flags."""
    return bit_field(ctx, 8)


def event(ctx: Context) -> Tree:
    """EVENT_RCD: what activates a pending table; 6 octets (single source)."""
    return record(
        "EVENT_SELECTOR"
        / bit_field(ctx, 8, EVENT_CODE=(0, 3), SELF_READ_FLAG=(4, 4), DEMAND_RESET_FLAG=(5, 5)),
        "EVENT_STORAGE" / binary(5),
    )


def time_date_qualifier(ctx: Context) -> Tree:
    """TIME_DATE_QUAL: what has been applied to a date and time, as in ST-52 and procedure 10."""
    return bit_field(
        ctx,
        8,
        DAY_OF_WEEK=(0, 2),
        DST_FLAG=(3, 3),
        GMT_FLAG=(4, 4),
        TM_ZN_APPLIED_FLAG=(5, 5),
        DST_APPLIED_FLAG=(6, 6),
        DST_SUPPORTED_FLAG=(7, 7),
    )
