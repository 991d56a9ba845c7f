"""What pages, REST API and command line ask of the TMS; values only, bounded in size.

SettingsError for what is asked wrongly, UnknownMeter for a SmartMeter that is
not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ansi_tables.errors import TableError
from ansi_tables.rendering import to_json_value
from ansi_tables.ssi_tables import SsiTable, decode
from smartmeter.base.clock import monotonic_us
from smartmeter.base.errors import SettingsError, SmartMeterError, StorageError
from smartmeter.tms.alarm_list import AlarmList
from smartmeter.tms.collected import Collected
from smartmeter.tms.job_list import JobList
from smartmeter.tms.model import Kind, State
from smartmeter.tms.orders import KNOWN_KINDS
from smartmeter.tms.server import TmsServer
from smartmeter.tms.store.places import MAX_SECOND, after, in_its_place, tenure
from smartmeter.tms.store.queries import NotThere, bounded, meter_row, profile_sets, want_in_service
from smartmeter.tms.topology import out_of_reach, topology_of, tree_of
from smartmeter.tms.wording import iso, schedule_text

#: Plain meters in one list.
MAX_POLLED = 10_000
MAX_SEARCH = 64
#: Bars of the arrivals chart, and how many seconds of wall time each holds.
BARS, BAR_S = 30, 4
#: Meters that the overview names, late or without power; the list of all has the rest.
MAX_LISTED = 20
LATE = (State.OVERDUE, State.SILENT, State.FAILED)


class Service:
    """One TMS, asked and told by people and programs."""

    def __init__(self, server: TmsServer) -> None:
        self._server = server
        self.store = server.store
        self.collected = Collected(self.store)
        self.alarms = AlarmList(self.store)
        self.work = JobList(server)
        self._overview: tuple[int, dict[str, Any]] = (0, {})

    def overview(self) -> dict[str, Any]:
        """Give counts by state, what came in, who is late, what is open; made once a second."""
        second = monotonic_us() // 1_000_000
        if self._overview[0] != second:
            self._overview = (second, self._make_overview(second))
        return self._overview[1]

    def _make_overview(self, second: int) -> dict[str, Any]:
        store, figures = self.store, self._server.head_end.figures
        counts = {state.value: 0 for state in State}
        for row in store.read("SELECT state, count(*) AS n FROM meters GROUP BY state"):
            counts[row["state"]] = row["n"]
        bars = [0] * BARS
        for moment, count in figures.arrivals:
            at = BARS - 1 - (second // BAR_S - moment // BAR_S)
            if 0 <= at < BARS:
                bars[at] += count
        marks = ",".join("?" * len(LATE))
        late = store.read(
            f"SELECT esn, state, cause, state_since_s FROM meters WHERE state IN ({marks})"
            f" ORDER BY state_since_s LIMIT {MAX_LISTED}",
            *LATE,
        )
        outages = store.read(
            "SELECT esn, start_s FROM outages AS one WHERE end_s=0 AND esn NOT IN"
            " (SELECT esn FROM meters WHERE state=?) AND NOT EXISTS"
            " (SELECT 1 FROM outages WHERE esn=one.esn"
            " AND (epoch, outage_nbr) > (one.epoch, one.outage_nbr))"
            " AND NOT EXISTS (SELECT 1 FROM reports WHERE esn=one.esn AND epoch > one.epoch"
            " AND received_s >= one.told_s)"
            f" ORDER BY start_s DESC LIMIT {MAX_LISTED}",
            State.RETIRED,
        )
        return {
            "time": iso(self.utc_s),
            "fault": self.fault(),
            "meters": sum(counts.values()) - counts[State.RETIRED],
            "states": counts,
            "connections": self._server.connections,
            **{row["name"]: row["count"] for row in store.read("SELECT * FROM totals")},
            "reports_per_minute": figures.per_minute(monotonic_us()),
            "arrivals": bars,
            "polls": figures.polls,
            "polled_meters": store.number("SELECT count(*) FROM polled_meters"),
            "scheduled_polls": figures.scheduled_polls,
            "notifications": figures.notifications,
            "woken": self._server.head_end.waking.rung,
            "refused": figures.refused,
            "late": [
                {"esn": r["esn"], "state": r["state"], "cause": r["cause"]}
                | {"since": iso(r["state_since_s"])}
                for r in late
            ],
            "open_outages": [{"esn": r["esn"], "since": iso(r["start_s"])} for r in outages],
            "unknown_devices": store.number("SELECT count(*) FROM unknown_devices"),
        }

    def fault(self) -> str:
        """Give why the database takes nothing, and so no report is acknowledged; "" if it does."""
        fault = self.store.fault
        return "" if fault is None else str(fault)

    def can_read(self) -> bool:
        """Tell whether the database gives what is in it; what it takes is another matter."""
        try:
            self.store.one("SELECT * FROM settings LIMIT 1")
        except StorageError:
            return False
        return True

    def explained(self, error: Exception) -> SmartMeterError:
        """Give what is told of an error that nobody foresaw.  Any thread; it may take long."""
        return self._server.explained(error)

    @property
    def utc_s(self) -> int:
        """Give the calendar's second now."""
        return self._server.utc_s

    def network(self) -> dict[str, int]:
        """Give what passed the network side and what was refused, by reason, since the start."""
        return dict(sorted(self._server.counts.items()))

    def topology(self) -> dict[str, Any]:
        """Give the ways to the meters as a tree below the TMS, and who is out of reach."""
        graph, left_out = topology_of(self._server)
        lost = [{"esn": place.name, "state": place.text} for place in out_of_reach(graph)]
        return {"tree": tree_of(graph), "out_of_reach": lost, "left_out": left_out}

    def topology_dot(self) -> str:
        """Give the same as Graphviz text."""
        return topology_of(self._server)[0].dot("SmartMeter TMS")

    def meters(
        self,
        offset: int = 0,
        limit: int = 25,
        state: str = "",
        search: str = "",
        after: str = "",
    ) -> dict[str, Any]:
        """Give one page of SmartMeters, and how many there are in all.

        ``after`` an ESN the next ones follow, whoever is entered or removed meanwhile.
        """
        if state and state not in list(State):
            raise SettingsError("state", f"no {state!r:.40}", f"choose of {', '.join(State)}")
        chosen = {"esn LIKE ? ESCAPE '\\'": _like(search) if search else "", "state=?": state}
        values = [value for value in chosen.values() if value]
        where = " AND ".join(one for one, value in chosen.items() if value) or "TRUE"
        rows = self.store.read(
            f"SELECT * FROM meters WHERE {where} AND esn>? ORDER BY esn LIMIT ? OFFSET ?",
            *values,
            after,
            bounded(limit),
            max(0, offset),
        )
        total = self.store.number(f"SELECT count(*) FROM meters WHERE {where}", *values)
        return {"total": total, "meters": [self._summary(row) for row in rows]}

    def _summary(self, row: sqlite3.Row) -> dict[str, Any]:
        esn = row["esn"]
        polled = self._server.head_end.polled
        plan = polled.plan if esn in polled.meters else self._server.head_end.silence
        due_s = plan.next_due_s(esn, self.utc_s)
        return {
            "esn": esn,
            "title": row["title"],
            "model": row["model"],
            "state": row["state"],
            "cause": row["cause"],
            "since": iso(row["state_since_s"]),
            "heard": iso(row["heard_s"]),
            "next_due": iso(due_s),
            "connected": self._server.head_end.connected(esn),
            "polled": esn in polled.meters,
            "module_state": f"{row['module_state']:02d}",
            "module_warning": row["module_warning"],
        }

    def meter(self, esn: str) -> dict[str, Any]:
        """Give what identifies a SmartMeter, its state and what it was provisioned with."""
        row = meter_row(self.store, esn)
        value = self._summary(row)
        value["wake"] = row["wake_number"]
        value["registered"] = iso(row["registered_s"])
        value["provisioned"] = iso(row["provisioned_s"])
        value["config_version"] = f"{row['config_version']:08x}" if row["config_version"] else ""
        successor = after(self.store, esn)
        value["replaced_by"] = "" if successor is None else successor["new_esn"]
        value["place"] = [
            {"esn": one.esn, "from": iso(max(one.from_s, 0)), "to": iso(_end(one.to_s))}
            for one in (tenure(self.store, each) for each in in_its_place(self.store, esn))
        ]
        value["schedules"] = [
            {
                "number": one.number,
                "text": schedule_text(one.recurrence),
                "next": iso(one.recurrence.following(self.utc_s)),
            }
            for one in self._schedules(row)
        ]
        value["module"] = self._module(esn, row["base"])
        value["outages"] = [
            {"start": iso(r["start_s"]), "end": iso(r["end_s"])}
            for r in self.store.read(
                "SELECT * FROM outages WHERE esn=? ORDER BY start_s DESC LIMIT 20", esn
            )
        ]
        value["intervals"] = self.store.number("SELECT count(*) FROM intervals WHERE esn=?", esn)
        value["profile_sets"] = profile_sets(self.store, esn)
        return value

    def _schedules(self, row: sqlite3.Row) -> Sequence[Any]:
        """Give what a meter's data come by: nothing of one that is retired, or has no template."""
        head_end = self._server.head_end
        if row["state"] == State.RETIRED:
            return ()
        if row["esn"] in head_end.polled.meters:
            return head_end.template.reports
        return head_end.silence.reports(row["esn"])

    def _module(self, esn: str, base: int) -> dict[str, Any]:
        """Give what the module last said of itself."""
        known: dict[str, Any] = {}
        for table in (SsiTable.MODULE_VERSION, SsiTable.MODULE_STATUS):
            row = self.store.one(
                "SELECT image FROM images WHERE esn=? AND table_nbr=?", esn, base + table
            )
            with suppress(TableError):  # a plain node may tell any octets of any table
                known |= to_json_value(decode(table, row["image"])) if row is not None else {}
        return known

    def request(self, esn: str, kind: str, user: str) -> int:
        """Begin a job that a person asked for; give its number."""
        want_in_service(self.store, esn)
        try:
            chosen = Kind(kind)
        except ValueError:
            raise SettingsError("kind", f"{kind!r:.40} is no job", KNOWN_KINDS) from None
        number = self._server.head_end.request(esn, chosen, user)
        self._server.flush()
        return number

    def retire(self, esn: str, user: str, replaced_by: str = "") -> None:
        """Take a meter out of service, for another one that is known or for none."""
        if replaced_by:
            self.replace(esn, replaced_by, user)
            return
        self._server.head_end.retirement.retire(esn, f"by {user}", self.utc_s, monotonic_us())
        self._server.flush()

    def replace(self, esn: str, successor: str, user: str, at_s: int | None = None) -> None:
        """Put a meter that is known in the place of another, from a second on; None: now."""
        now = self.utc_s, monotonic_us()
        meter_row(self.store, esn)  # what the address names comes first
        if successor == esn:
            raise SettingsError("replaced_by", "names the meter itself", "name the new one")
        if at_s is not None and not 0 < at_s <= now[0]:
            raise SettingsError("at", "is yet to come", "tell it when it was done")
        want_in_service(self.store, successor)
        retirement, begin_s = self._server.head_end.retirement, now[0] if at_s is None else at_s
        retirement.replace(esn, successor, begin_s, f"by {user}", now)
        self._server.flush()

    def bring_back(self, esn: str) -> None:
        """Put a retired meter into service again."""
        self._server.head_end.retirement.bring_back(esn, self.utc_s)

    async def enter_shipment(self, text: str) -> dict[str, int]:
        """Enter the SmartMeters of a shipment file; a long one holds up nothing else."""
        read, new = await self._server.enter_shipment(text)
        return {"read": read, "new": new}

    async def enter_polled(self, text: str) -> dict[str, int]:
        """Enter the plain meters of a list; a long one holds up nothing else."""
        read, new = await self._server.enter_polled(text)
        return {"read": read, "new": new}

    def polled(self, after: str = "") -> list[dict[str, Any]]:
        """Give the plain meters that are polled, without their passwords, so many at a time.

        ``after`` an ESN the next ones follow.
        """
        source = self._server.head_end.polled
        rows = self.store.read(
            "SELECT esn, address, user_id, model, state, cause FROM polled_meters"
            " JOIN meters USING (esn) WHERE esn>? ORDER BY esn LIMIT ?",
            after,
            MAX_POLLED,
        )
        return [
            dict(row) | {"next_due": iso(source.plan.next_due_s(row["esn"], self.utc_s))}
            for row in rows
        ]

    def remove_polled(self, esn: str) -> None:
        """Poll a plain meter no more, and forget how it is reached; what it told stays."""
        meter_row(self.store, esn)
        if esn not in self._server.head_end.polled.meters:
            raise NotThere(esn, "is a SmartMeter, which is not polled", "name a plain meter")
        self._server.remove_polled(esn)

    def unknown_devices(self) -> list[dict[str, Any]]:
        """Give titles that spoke and are in no shipment; those that are dated ahead come last."""
        sql = "SELECT * FROM unknown_devices ORDER BY last_s>?, last_s DESC LIMIT 100"
        rows = self.store.read(sql, self.utc_s)
        return [
            {"title": r["title"], "count": r["count"], "first": iso(r["first_s"])}
            | {"last": iso(r["last_s"])}
            for r in rows
        ]

    def security_events(self) -> list[dict[str, Any]]:
        """Give the newest refusals."""
        rows = self.store.read("SELECT * FROM security_events ORDER BY id DESC LIMIT 100")
        return [
            {"time": iso(r["time_s"]), "title": r["title"], "reason": r["reason"]}
            | {"count": r["count"]}
            for r in rows
        ]


def _end(to_s: int) -> int:
    """Give the end of a time, 0 where it has none."""
    return to_s if to_s < MAX_SECOND else 0


def _like(search: str) -> str:
    text = search[:MAX_SEARCH]
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    # A NUL would end the pattern; no ESN has either.
    return f"%{text.replace(chr(0), chr(0xFFFD))}%"
