"""Decade 11, load control and prepayment: ST-110 to ST-118.

Titles are public, members are not: the octets are kept.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

TABLES = (
    opaque(110, "DIM_LOAD_CONTROL_TBL", "Dimension load control"),
    opaque(111, "ACT_LOAD_CONTROL_TBL", "Actual load control limiting"),
    opaque(112, "LOAD_CONTROL_STATUS_TBL", "Load control status"),
    opaque(113, "LOAD_CONTROL_CONFIG_TBL", "Load control configuration"),
    opaque(114, "LOAD_CONTROL_SCHEDULE_TBL", "Load control schedule"),
    opaque(115, "LOAD_CONTROL_CONDITIONS_TBL", "Load control conditions"),
    opaque(116, "PREPAYMENT_STATUS_TBL", "Prepayment status"),
    opaque(117, "PREPAYMENT_CTRL_TBL", "Prepayment control"),
    opaque(118, "BILLING_CTRL_TBL", "Billing control"),
)
