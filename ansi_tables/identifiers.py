"""The identifier bit fields of C12.19: tables, procedures, groups and list status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansi_tables.fields import Tree, bit_field

if TYPE_CHECKING:
    from ansi_tables.context import Context


#: The days in the order of the standard: bits of a week, and columns of a schedule.
DAYS_OF_WEEK = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")


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
