"""What the reports of a module carry, as rows of a gateway's readings.

An interval is known by (set, ring epoch, sequence), what happened by an identity of its own: each
is here once, however often it is told.  Values are kept with the meaning that they have under the
context of their report: tables that the meter showed then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from ansi_tables.errors import TableError
from ansi_tables.events import event_text
from ansi_tables.meaning.channels import ChannelSource, channel_sources
from ansi_tables.meaning.register_tables import readings as register_readings
from ansi_tables.meaning.scale import Exact
from ansi_tables.numbers import RawNumber
from ansi_tables.snapshot import Snapshot
from ansi_tables.ssi_tables import CONTEXT_TABLES, AlarmSource, ModuleAlarm, SsiTable
from protocols.psem.codec import MalformedRequest
from smartmeter.gateway.database import Database
from smartmeter.gateway.energy_totals import EnergyTotals
from smartmeter.tms.report_reader import read_report
from smartmeter.tms.store.interval_rows import is_same_interval
from smartmeter.tms.store.records import Part

REGISTER_TABLES = (23, 25, 28)
MAX_DIGITS = 60
_METER_CHANGED = (AlarmSource.MODULE, ModuleAlarm.METER_CHANGED)


def number_text(value: Exact | None) -> str | None:
    """Give an exact value in plain digits; None where there is none, or no end to its digits."""
    if isinstance(value, Fraction):
        rest = value.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest != 1:
            return None
        with localcontext(prec=MAX_DIGITS):
            value = Decimal(value.numerator) / value.denominator
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _one_by_one(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give each interval of a LOAD_PROFILE_PART as a part of its own."""
    for index, interval in enumerate(value["INTERVALS"]):
        yield {
            **value,
            "FIRST_SEQUENCE": value["FIRST_SEQUENCE"] + index,
            "INTERVALS": [interval],
        }


class ReportRows:
    """Writes rows; its caller commits them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._db = database.connection
        self.totals = EnergyTotals(self._db)

    def learn(self, esn: str, context_id: int, images: Mapping[int, bytes]) -> None:
        """Keep tables by which what reports of this context carry is understood."""
        rows = [(esn, context_id, number, image) for number, image in images.items()]
        self._db.executemany("INSERT OR REPLACE INTO contexts VALUES (?,?,?,?)", rows)

    def keep(self, esn: str, services: Sequence[bytes]) -> None:
        """Keep what the services of one report carry."""
        try:
            header, parts = read_report(services)
        except (TableError, MalformedRequest, ValueError):
            return  # a module of another edition: its reports go to the TMS all the same
        whole = (one for one in parts if one.ssi is None and one.offset is None)
        images = {one.table: one.octets for one in whole if one.table in CONTEXT_TABLES}
        self.learn(esn, header["CONTEXT_ID"], images)
        for part in parts:
            self._keep_part(esn, header, part)

    def _keep_part(self, esn: str, header: Mapping[str, Any], part: Part) -> None:
        value = part.value
        match part.ssi:
            case SsiTable.LOAD_PROFILE_PART:
                self._intervals(esn, value)
            case SsiTable.EVENT_PART:
                for entry in value["ENTRIES"]:
                    text = event_text(entry["CODE"])
                    identity = f"{entry['SEQUENCE']}/{entry['TIME']}"
                    self._happening(esn, "event", identity, entry["TIME"], text)
            case SsiTable.ALARM:
                identity = f"{header['OUTBOX_EPOCH']}/{value['ALARM_NBR']}"
                self._happening(esn, "alarm", identity, value["TIME"], value["TEXT"])
                if (value["SOURCE"], value["CODE"]) == _METER_CHANGED:
                    self._meter_changed(esn, value["TIME"] or header["TIME"], header["TIME"])
            case SsiTable.OUTAGE_RECORD:
                back = bool(value["END_TIME"])
                identity = f"{header['OUTBOX_EPOCH']}/{value['OUTAGE_NBR']}/{int(back)}"
                time_s = value["END_TIME"] if back else value["START_TIME"]
                text = f"power is back after {value['DURATION_S']} s" if back else "power is gone"
                self._happening(esn, "outage", identity, time_s, text)
            case None if part.table in REGISTER_TABLES and part.offset is None:
                self._registers(esn, header, part)
            case _:
                pass

    def _meter_changed(self, esn: str, changed_s: int, told_s: int) -> None:
        """Note which registers are another meter's: an advisory comes behind the new one's.

        The old meter's clock may have been ahead: what is later than the report is its, too.
        """
        before = self._meter_before(esn)
        self._db.execute(
            "INSERT OR REPLACE INTO meter_before SELECT ?, coalesce("
            # From the newest on: the plus keeps SQLite from the index by ESN and time.
            "(SELECT number FROM registers WHERE +esn=? AND time_s NOT BETWEEN ? AND ?"
            " ORDER BY number DESC LIMIT 1), 0)",
            (esn, esn, changed_s, told_s),
        )
        self.totals.meter_changed(esn, before, self._meter_before(esn))

    def _meter_before(self, esn: str) -> int:
        """Give the last register that is of the meter before the one that is there now."""
        row = self._database.one("SELECT last_register FROM meter_before WHERE esn=?", esn)
        return row["last_register"] if row is not None else 0

    def _intervals(self, esn: str, value: Mapping[str, Any]) -> None:
        """Keep intervals, in the newest epoch that is kept at least."""
        sql = "SELECT min(ring_epoch) AS next FROM intervals WHERE esn=? AND set_nbr=?"
        sql += " AND ring_epoch>?"
        epochs = [value["RING_EPOCH"]]
        while (row := self._database.one(sql, esn, value["SET"], epochs[-1])) and row["next"]:
            epochs.append(row["next"])
        if len(epochs) == 1:
            self._insert(esn, value)
            return
        for one in _one_by_one(value):
            places = [{**one, "RING_EPOCH": epoch} for epoch in epochs]
            if not any(self._is_held(esn, place) for place in places):
                self._insert(esn, places[-1])

    def _insert(self, esn: str, value: Mapping[str, Any]) -> None:
        channels = self._channels(esn, value["CONTEXT_ID"], value["SET"])
        rows = []
        for index, interval in enumerate(value["INTERVALS"]):
            for number, raw in enumerate(interval["VALUES"]):
                known = channels[number] if number < len(channels) else None
                text = number_text(known.value(raw)) if known is not None else None
                source = known.source if known is not None and text is not None else None
                rows.append(
                    (
                        esn,
                        value["SET"],
                        value["RING_EPOCH"],
                        value["FIRST_SEQUENCE"] + index,
                        number,
                        interval["END_TIME"],
                        value["INT_LENGTH_S"],
                        interval["STATUS"].hex(),
                        source.quantity if source else "",
                        source.unit if source else "",
                        source.direction.value if source else "",
                        str(raw) if text is None else text,
                        raw,
                    )
                )
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO intervals (esn, set_nbr, ring_epoch, sequence, channel, end_s,"
            " length_s, status, quantity, unit, direction, value, raw)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            rows,
        )
        if self._db.total_changes - before < len(rows):
            for one in _one_by_one(value):
                if not self._is_held(esn, one):  # another interval has its place
                    self._insert(esn, {**one, "RING_EPOCH": one["RING_EPOCH"] + 1})

    def _is_held(self, esn: str, one: Mapping[str, Any]) -> bool:
        """Tell whether a part of one interval is kept in its place."""
        sql = "SELECT end_s, raw FROM intervals WHERE esn=? AND set_nbr=? AND ring_epoch=?"
        sql += " AND sequence=? ORDER BY channel"
        held = self._database.all(sql, esn, one["SET"], one["RING_EPOCH"], one["FIRST_SEQUENCE"])
        [interval] = one["INTERVALS"]
        told = interval["END_TIME"], list(interval["VALUES"])
        raw = [row["raw"] for row in held]
        return bool(held) and is_same_interval((held[0]["end_s"], raw), told)

    def _registers(self, esn: str, header: Mapping[str, Any], part: Part) -> None:
        images = self._context(esn, header["CONTEXT_ID"])
        try:
            found = register_readings(Snapshot({**images, part.table: part.octets}))
        except TableError:
            return  # without its context the image means nothing yet
        self._db.executemany(
            "INSERT INTO registers (esn, time_s, name, unit, value, raw) VALUES (?,?,?,?,?,?)",
            [
                (
                    esn,
                    header["TIME"],
                    one.name,
                    "" if (text := number_text(one.value)) is None else one.unit,
                    str(one.raw) if text is None else text,
                    str(one.raw),
                )
                for one in found
                if not isinstance(one.raw, RawNumber)  # the fill of what was never set
            ],
        )
        self.totals.began(esn, self._meter_before(esn))

    def _happening(self, esn: str, kind: str, identity: str, time_s: int, text: str) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO happenings (esn, kind, identity, time_s, text)"
            " VALUES (?,?,?,?,?)",
            (esn, kind, identity, time_s, text),
        )

    def _context(self, esn: str, context_id: int) -> dict[int, bytes]:
        sql = "SELECT table_nbr, image FROM contexts WHERE esn=? AND context_id=?"
        rows = self._db.execute(sql, (esn, context_id))
        return {row["table_nbr"]: bytes(row["image"]) for row in rows}

    def _channels(self, esn: str, context_id: int, set_nbr: int) -> tuple[ChannelSource, ...]:
        try:
            return channel_sources(Snapshot(self._context(esn, context_id)), set_nbr)
        except TableError:
            return ()
