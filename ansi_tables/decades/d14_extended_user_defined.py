"""Decade 14, extended user-defined tables: ST-140 to ST-143.

Titles are public, members are not: the octets are kept.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

TABLES = (
    opaque(140, "DIM_EXTENDED_UDT_FUNC_LIM_TBL", "Extended user-defined tables limiting"),
    opaque(141, "ACT_EXTENDED_UDT_LIM_TBL", "Extended user-defined tables actual limits"),
    opaque(142, "EXTENDED_UDT_SELECTIONS_TBL", "Extended user-defined selections"),
    opaque(143, "EXTENDED_UDT_CONSTANTS_TBL", "Extended user-defined constants"),
)
