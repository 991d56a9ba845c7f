"""Decade 3, local display: ST-30 to ST-34.

Verified by a real ST-31 and ST-32, which belong together (128 entries of 2
octets).  Bits of the display lists come from one public reader, ST-34 by its
symmetry with ST-33.
"""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import Tree, array, binary, bit_field, record, uint
from ansi_tables.registry import TableDefinition


def display_dimensions(ctx: Context) -> Tree:
    """ST-30 and ST-31: which display times can be set, how many sources and lists; 10 octets."""
    return record(
        "DISPLAY_CTRL"
        / bit_field(ctx, 8, ON_TIME_FLAG=(0, 0), OFF_TIME_FLAG=(1, 1), HOLD_TIME_FLAG=(2, 2)),
        "NBR_DISP_SOURCES" / uint(ctx, 16),
        "WIDTH_DISP_SOURCES" / uint(ctx, 8),
        "NBR_PRI_DISP_LIST_ITEMS" / uint(ctx, 16),
        "NBR_PRI_DISP_LISTS" / uint(ctx, 8),
        "NBR_SEC_DISP_LIST_ITEMS" / uint(ctx, 16),
        "NBR_SEC_DISP_LISTS" / uint(ctx, 8),
    )


def display_sources(ctx: Context) -> Tree:
    """ST-32: what can be shown, in the manufacturer's own codes; lists refer to its elements."""
    dims = ctx.table(31)
    source = record("DISP_SOURCE" / binary(dims.WIDTH_DISP_SOURCES))
    return record("DISP_SOURCES" / array(dims.NBR_DISP_SOURCES, source))


def _list_description(ctx: Context) -> Tree:
    """Timing of one list: seconds shown and blank, minutes held; 3 octets.

    DEFAULT_LIST (from memory): 0 normal, 1 alternate, 2 test.
    """
    return record(
        "DISP_SCROLL1" / bit_field(ctx, 8, ON_TIME=(0, 3), OFF_TIME=(4, 7)),
        "DISP_SCROLL2" / bit_field(ctx, 8, HOLD_TIME=(0, 3), DEFAULT_LIST=(4, 7)),
        "NBR_LIST_ITEMS" / uint(ctx, 8),
    )


def primary_lists(ctx: Context) -> Tree:
    """ST-33: the primary lists, then the items of all of them, list after list."""
    dims = ctx.table(31)
    return record(
        "PRI_DISP_LIST" / array(dims.NBR_PRI_DISP_LISTS, _list_description(ctx)),
        "PRI_DISP_SOURCES" / array(dims.NBR_PRI_DISP_LIST_ITEMS, uint(ctx, 16)),
    )


def secondary_lists(ctx: Context) -> Tree:
    """ST-34: the secondary lists, shaped as the primary ones."""
    dims = ctx.table(31)
    return record(
        "SEC_DISP_LIST" / array(dims.NBR_SEC_DISP_LISTS, _list_description(ctx)),
        "SEC_DISP_SOURCES" / array(dims.NBR_SEC_DISP_LIST_ITEMS, uint(ctx, 16)),
    )


TABLES = (
    TableDefinition(30, "DIM_DISP_TBL", "Dimension display", display_dimensions),
    TableDefinition(31, "ACT_DISP_TBL", "Actual display", display_dimensions),
    TableDefinition(32, "DISP_SOURCE_TBL", "Display source", display_sources, (31,)),
    TableDefinition(
        33,
        "PRI_DISP_LIST_TBL",
        "Primary display list",
        primary_lists,
        (31,),
        confidence="single-source",
    ),
    TableDefinition(
        34,
        "SEC_DISP_LIST_TBL",
        "Secondary display list",
        secondary_lists,
        (31,),
        confidence="single-source",
    ),
)
