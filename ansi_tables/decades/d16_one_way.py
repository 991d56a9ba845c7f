"""Decade 16, one-way devices: ST-160 to ST-164.

Titles are public, members are not: the octets are kept.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

TABLES = (
    opaque(160, "DIM_ONE_WAY_TBL", "Dimension one-way"),
    opaque(161, "ACT_ONE_WAY_TBL", "Actual one-way"),
    opaque(162, "ONE_WAY_CTRL_TBL", "One-way control"),
    opaque(163, "ONE_WAY_DATA_TBL", "One-way data"),
    opaque(
        164, "ONE_WAY_COMMANDS_TBL", "One-way commands, responses, extended user-defined tables"
    ),
)
