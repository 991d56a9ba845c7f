"""Decade 8, user-defined tables: ST-80 to ST-89.

ST-84 to ST-89 are fragments of other tables back to back, as ST-82 and ST-83
select them.  How those two say it is told by no public source, so all octets
are kept.  Names are from memory.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

#: ST-84 is user-defined table 0.
FIRST_USER_TABLE = 84
NBR_USER_TABLES = 6

TABLES = (
    opaque(80, "DIM_UDT_FUNC_LIM_TBL", "Dimension user-defined tables limiting", since=1997),
    opaque(81, "ACT_UDT_FUNC_LIM_TBL", "Actual user-defined tables limiting", since=1997),
    opaque(82, "UDT_LIST_TBL", "User-defined tables list", since=1997),
    opaque(83, "UDT_SELECTION_TBL", "User-defined tables selection", since=1997),
    *(
        opaque(
            FIRST_USER_TABLE + k,
            f"UDT_{k}_TBL",
            f"User-defined table {k}",
            since=1997,
            member="DATA",
        )
        for k in range(NBR_USER_TABLES)
    ),
)
