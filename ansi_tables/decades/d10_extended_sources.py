"""Decade 10, extended sources: ST-100 to ST-107, used when MODEL_SELECT is 1.

Titles are public, members are not: the octets are kept.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

TABLES = (
    opaque(100, "DIM_EXTENDED_SOURCE_LIM_TBL", "Dimension extended source limiting"),
    opaque(101, "ACT_EXTENDED_SOURCE_LIM_TBL", "Actual extended source limiting"),
    opaque(102, "SOURCE_INFO_TBL", "Source information"),
    opaque(103, "EXTERNAL_SCALING_TBL", "External scaling"),
    opaque(104, "EXT_DEMAND_CONTROL_TBL", "Demand control of extended sources"),
    opaque(
        105, "EXT_TRANSFORMER_LOSS_COMP_TBL", "Transformer loss compensation of extended sources"
    ),
    opaque(106, "GAS_CONSTANT_AGA3_TBL", "Gas constants AGA 3"),
    opaque(107, "GAS_CONSTANT_AGA7_TBL", "Gas constants AGA 7"),
)
