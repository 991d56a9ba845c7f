"""Decade 13, the C12.22 relay: ST-130 to ST-136.

Titles are public, members are not: the octets are kept.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

TABLES = (
    opaque(130, "DIM_RELAY_TBL", "Dimension relay"),
    opaque(131, "ACT_RELAY_TBL", "Actual relay"),
    opaque(132, "REGISTRATION_TBL", "Registration"),
    opaque(133, "STATIC_APTITLE_TBL", "Static ApTitles"),
    opaque(134, "STATIC_MASTER_RELAY_TBL", "Static master relays"),
    opaque(135, "DYNAMIC_APTITLE_TBL", "Dynamic ApTitles"),
    opaque(136, "MASTER_RELAY_ASSIGNMENT_TBL", "Master relay assignment"),
)
