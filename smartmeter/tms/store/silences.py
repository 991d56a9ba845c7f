"""How episodes of silence, states and provisioning of SmartMeters are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from smartmeter.tms.model import State
from smartmeter.tms.store.interval_rows import BACK_FILL, store_intervals


def store_silence(
    connection: sqlite3.Connection, esn: str, schedule_nbr: int, due_s: int, noticed_s: int
) -> None:
    """A report is overdue: an episode begins."""
    connection.execute(
        "INSERT INTO silences (esn, schedule_nbr, due_s, noticed_s) VALUES (?,?,?,?)",
        (esn, schedule_nbr, due_s, noticed_s),
    )


def end_silence(connection: sqlite3.Connection, esn: str, ended_s: int) -> None:
    """A SmartMeter reports by itself again."""
    connection.execute("UPDATE silences SET ended_s=? WHERE esn=? AND ended_s=0", (ended_s, esn))


def store_recovery(
    connection: sqlite3.Connection,
    esn: str,
    parts: Sequence[Mapping[str, Any]],
    cause: str,
    received_s: int,
) -> None:
    """Keep what a look at a silent SmartMeter fetched, and what it came to."""
    filled = sum(store_intervals(connection, esn, part, BACK_FILL, received_s) for part in parts)
    connection.execute(
        "UPDATE silences SET cause=?, filled=filled+? WHERE esn=? AND ended_s=0",
        (cause, filled, esn),
    )


def store_state(
    connection: sqlite3.Connection, esn: str, state: str, cause: str, since_s: int
) -> None:
    """Name a SmartMeter's state; one that it has already goes on, and who is retired stays so."""
    connection.execute(
        "UPDATE meters SET state=?, cause=?, state_since_s=? WHERE esn=?"
        " AND (state!=? OR cause!=?) AND state!=?",
        (state, cause, since_s, esn, state, cause, State.RETIRED),
    )


def store_unprovisioned(
    connection: sqlite3.Connection, esn: str, version: int, cause: str, since_s: int
) -> None:
    """Provisioning has failed; one that keeps to the template all the same stays what it is."""
    connection.execute(
        "UPDATE meters SET state=?, cause=?, state_since_s=? WHERE esn=? AND config_version!=?"
        " AND state!=?",
        (State.FAILED, cause, since_s, esn, version, State.RETIRED),
    )


def store_provisioned(connection: sqlite3.Connection, esn: str, version: int, utc_s: int) -> None:
    """A SmartMeter keeps to a template now, by its version; what silence there was is over."""
    connection.execute(
        "UPDATE meters SET config_version=?, provisioned_s=? WHERE esn=?", (version, utc_s, esn)
    )
    end_silence(connection, esn, utc_s)
