"""Register tables as they came, kept one beside the other: by meter, time and table."""

from __future__ import annotations

import sqlite3

#: Present registers, those of the last season and demand reset, present demands and values.
READING_TABLES = frozenset((23, 24, 25, 28))


def keep_reading(
    connection: sqlite3.Connection,
    esn: str,
    table: int,
    time_s: int,
    context_id: int,
    received_s: int,
) -> None:
    """Keep the newest image of a table as a reading of ``time_s`` (0: when it was received).

    Of a table that comes in pieces the last one, under the same time, makes it whole.
    """
    if table in READING_TABLES:
        connection.execute(
            "INSERT OR REPLACE INTO readings SELECT esn, ?, table_nbr, ?, image, ?"
            " FROM images WHERE esn=? AND table_nbr=?",
            (time_s or received_s, context_id, received_s, esn, table),
        )
