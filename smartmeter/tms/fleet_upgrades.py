"""New versions for SmartMeters: begun by a person, and how far they have come."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import SsiTable, UpgradeResult, UpgradeState, decode
from smartmeter.base.clock import MAX_CALENDAR_S
from smartmeter.base.errors import SettingsError
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.queries import NotThere, want_in_service
from smartmeter.tms.upgrades import read_image
from smartmeter.tms.wording import code_words, iso

#: SmartMeters of one request.
MAX_LIST = 10_000
#: Of a list that is refused, so many are named.
MAX_NAMED = 20
#: The last second that an activation may have.
MAX_ACTIVATION_S = MAX_CALENDAR_S - 1


class FleetUpgrades:
    """Asked and told by people and programs, as ``tms.service.Service`` is."""

    def __init__(self, server: TmsServer) -> None:
        self._server, self._store = server, server.store

    def begin(
        self, esns: Sequence[str], octets: bytes, activation_s: int, user: str
    ) -> dict[str, Any]:
        """Send an image's file to SmartMeters, to be active from a UTC second on (0: at once).

        All of the list are known and in service, or nothing is begun.  Gives the job of each,
        and those that have an upgrade under way already.
        """
        if not 0 < len(esns) <= MAX_LIST:
            raise SettingsError("esns", f"{len(esns)} SmartMeters", f"give 1 to {MAX_LIST}")
        if not 0 <= activation_s <= MAX_ACTIVATION_S:
            raise SettingsError(
                "activation", "is no second of UTC", f"give 0 to {MAX_ACTIVATION_S}"
            )
        image = read_image(octets, "image")
        self._want_all(esns)
        jobs = self._server.head_end.upgrade(esns, image, activation_s, user)
        self._server.flush()
        busy = [esn for esn in dict.fromkeys(esns) if esn not in jobs]
        return {"version": image.value["VERSION"], "jobs": jobs, "busy": busy}

    def _want_all(self, esns: Sequence[str]) -> None:
        """Refuse a list in which are some that no image can be sent to, and name them."""
        refused: list[SettingsError] = []
        for esn in dict.fromkeys(esns):
            try:
                want_in_service(self._store, esn)
                self._server.head_end.orders.want_able(esn, Kind.UPGRADE)
            except SettingsError as error:
                refused.append(error)
        if len(refused) == 1:
            raise refused[0]
        if refused:
            told = ", ".join(f"{one.place} {one.fault}" for one in refused[:MAX_NAMED])
            more = f" and {len(refused) - MAX_NAMED} more" if len(refused) > MAX_NAMED else ""
            fault = f"{len(refused)} of them can be sent no image: {told}{more}"
            kind = NotThere if any(isinstance(one, NotThere) for one in refused) else SettingsError
            raise kind("esns", fault, "leave them out")

    def status(
        self, esn: str = "", offset: int = 0, limit: int = 50, after: str = ""
    ) -> dict[str, Any]:
        """Give a page of the newest upgrade of each SmartMeter, and what its module says of it.

        ``after`` an ESN the next ones follow, whichever are begun meanwhile.
        """
        where, values = f"kind='{Kind.UPGRADE}'", []
        if esn:
            where, values = f"{where} AND esn=?", [esn]
        newest = (
            f"SELECT max(id) FROM jobs WHERE {where} AND esn>?"
            " GROUP BY esn ORDER BY esn LIMIT ? OFFSET ?"
        )
        rows = self._store.read(
            "SELECT jobs.*, meters.base FROM jobs JOIN meters USING (esn)"
            f" WHERE id IN ({newest}) ORDER BY esn",
            *(*values, after, limit, offset),
        )
        sql = f"SELECT count(DISTINCT esn) FROM jobs WHERE {where}"
        total = self._store.number(sql, *values)
        return {"total": total, "upgrades": [self._upgrade(row) for row in rows]}

    def told(self, esn: str) -> dict[str, Any] | None:
        """Give what a SmartMeter's module last said of its upgrade; None when it said nothing."""
        row = self._store.one("SELECT base FROM meters WHERE esn=?", esn)
        return None if row is None else self._module(esn, row["base"])

    def _upgrade(self, row: sqlite3.Row) -> dict[str, Any]:
        names = ("esn", "state", "cause", "attempts", "requested_by")
        value = {name: row[name] for name in names}
        value |= {"job": row["id"], "image": row["result"]}
        value |= {"begun": iso(row["created_s"]), "ended": iso(row["ended_s"])}
        return value | {"module": self._module(row["esn"], row["base"])}

    def _module(self, esn: str, base: int) -> dict[str, Any] | None:
        """Give what the module last said of its upgrade; None when it said nothing yet."""
        row = self._store.one(
            "SELECT image, received_s FROM images WHERE esn=? AND table_nbr=?",
            *(esn, base + SsiTable.UPGRADE_STATUS),
        )
        if row is None:
            return None
        try:
            told = decode(SsiTable.UPGRADE_STATUS, octets_of(row["image"]))
            return {
                "told": iso(row["received_s"]),
                "state": code_words(UpgradeState, told["STATE"]),
                "last_result": code_words(UpgradeResult, told["RESULT"]),
                "running_version": told["RUNNING_VERSION"],
                "running_slot": told["RUNNING_SLOT"],
                "image_version": told["IMAGE_VERSION"],
                "image_octets": told["IMAGE_OCTETS"],
                "received_octets": told["RECEIVED_OCTETS"],
                "activation": iso(told["ACTIVATION_TIME"]),
            }
        except TableError:
            return None
