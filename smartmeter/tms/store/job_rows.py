"""How jobs are written, and their results as text."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from protocols.c1222.node import WINDOW_S
from smartmeter.tms.jobs import DONE, FAILED, RUNNING, WAITING
from smartmeter.tms.model import SYSTEM, Kind, State
from smartmeter.tms.store.sqlite import Store

MAX_RESULT = 65_536
#: What changes something at the SmartMeter: without the answer nobody knows whether it has.
_CHANGING = (Kind.DEMAND_RESET, Kind.PROVISION, Kind.UPGRADE, Kind.WITHDRAW, Kind.KEY)
#: What a person ordered and may be done again goes on after a restart.  What was under way at so
#: many of them does not: it may be what ends the program.
MAX_TAKEN_UP = 100
#: Why work ends that a restart has cut off; and of what changes a SmartMeter.
RESTARTED = "the TMS was restarted"
MAY_BE_DONE = f"{RESTARTED}; what had gone out may have been done"
#: A demand reset goes on for so long after its order: a module refuses a second one in 24 hours.
RESET_GOES_ON_S = 12 * 3600
_GOES_ON = (
    f"requested_by!='{SYSTEM}' AND taken_up<{MAX_TAKEN_UP} AND (kind IN ('{Kind.READ}',"
    f"'{Kind.PING}','{Kind.TRACE}','{Kind.WITHDRAW}','{Kind.KEY}','{Kind.PROVISION}')"
    f" OR image IS NOT NULL OR (kind='{Kind.DEMAND_RESET}' AND created_s>?))"
)


def store_job(connection: sqlite3.Connection, row: tuple[str, str, str, str, int, str]) -> int:
    """Enter a job (ESN, kind, state, who asked, created, about); give its number."""
    cursor = connection.execute(
        "INSERT INTO jobs (esn, kind, state, requested_by, created_s, result) VALUES (?,?,?,?,?,?)",
        row,
    )
    return int(cursor.lastrowid or 0)


def store_upgrades(
    connection: sqlite3.Connection,
    rows: Sequence[tuple[str, str, str, str, int, str]],
    digest: bytes,
    file: bytes,
    activation_s: int,
) -> list[int]:
    """Enter jobs that send an image, and its file, which stays until all of them have ended."""
    numbers = [store_job(connection, row) for row in rows]
    connection.executemany(
        "UPDATE jobs SET image=?, activation_s=? WHERE id=?",
        [(digest, activation_s, number) for number in numbers],
    )
    if numbers:  # megabytes, which are not written again for each order of the same image
        connection.execute(
            "INSERT OR REPLACE INTO upgrade_images SELECT ?1, ?2 WHERE NOT EXISTS"
            " (SELECT 1 FROM upgrade_images WHERE digest=?1 AND file=?2)",
            (digest, file),
        )
    return numbers


def open_jobs(store: Store) -> list[sqlite3.Row]:
    """Give the jobs that have not ended, in the order in which they were begun."""
    return store.read("SELECT * FROM jobs WHERE state IN (?,?) ORDER BY id", WAITING, RUNNING)


def is_reset_before(store: Store, row: sqlite3.Row) -> bool:
    """Tell whether another demand reset of the meter was done shortly before one was ordered.

    Within twice as long as a meter's clock may differ from ours.
    """
    sql = "SELECT 1 FROM jobs WHERE esn=? AND id<? AND kind=? AND state=? AND ended_s>? LIMIT 1"
    since_s = row["created_s"] - 2 * WINDOW_S
    return store.one(sql, row["esn"], row["id"], Kind.DEMAND_RESET, DONE, since_s) is not None


def update_job(
    connection: sqlite3.Connection, number: int, row: tuple[str, str, int, int, int, str]
) -> None:
    """Write what became of a job (state, cause, ended, tries, polls, result)."""
    connection.execute(
        "UPDATE jobs SET state=?, cause=?, ended_s=?, attempts=?, polls=?,"
        " result=coalesce(nullif(?, ''), result) WHERE id=?",
        (*row, number),
    )


def end_cut_off_jobs(connection: sqlite3.Connection, ended_s: int, version: int) -> None:
    """Name the end of jobs that had none when the program before this one ended and do not go on.

    A SmartMeter that was being provisioned is shown as provisioned if it keeps to ``version`` all
    the same, and as failed if not, unless its provisioning goes on.
    """
    connection.execute(
        "UPDATE jobs SET state=?, ended_s=?, cause=CASE WHEN kind IN (?,?,?,?,?) THEN ? ELSE ? END"
        f" WHERE state IN (?,?) AND NOT ({_GOES_ON})",
        (
            FAILED,
            ended_s,
            *_CHANGING,
            MAY_BE_DONE,
            RESTARTED,
            WAITING,
            RUNNING,
            ended_s - RESET_GOES_ON_S,
        ),
    )
    connection.execute(
        "UPDATE jobs SET state=?, taken_up=taken_up+1 WHERE state=?", (WAITING, RUNNING)
    )
    connection.execute(
        "UPDATE meters SET state=?, cause='', state_since_s=?"
        " WHERE state IN (?,?) AND config_version=?",
        (State.PROVISIONED, ended_s, State.PROVISIONING, State.FAILED, version),
    )
    connection.execute(
        "UPDATE meters SET state=?, cause=?, state_since_s=? WHERE state=?"
        " AND esn NOT IN (SELECT esn FROM jobs WHERE kind=? AND state=?)",
        (State.FAILED, RESTARTED, ended_s, State.PROVISIONING, Kind.PROVISION, WAITING),
    )


def result_text(result: Any) -> str:
    """Give a job's result as text for people, bounded."""
    if isinstance(result, dict) and all(isinstance(image, bytes) for image in result.values()):
        return json.dumps({str(table): image.hex() for table, image in result.items()})[:MAX_RESULT]
    if isinstance(result, list):
        return f"{sum(len(part['INTERVALS']) for part in result)} intervals"
    return result[:MAX_RESULT] if isinstance(result, str) else ""
