"""What the TMS asks of the meter contexts that it has stored."""

from __future__ import annotations

from ansi_tables import Snapshot
from ansi_tables.errors import TableError
from ansi_tables.meaning.clock import clock_rules
from smartmeter.base.meter_zone import meter_zone
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import Template


class MeterContexts:
    """Remembers which context each meter is known to have."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, int] = {}

    def knows(self, esn: str, context_id: int) -> bool:
        """Tell whether a meter context is stored; asked once for each that a SmartMeter has."""
        if self._known.get(esn) != context_id:
            sql = "SELECT 1 FROM contexts WHERE esn=? AND context_id=?"
            if self._store.one(sql, esn, context_id) is None:
                return False
            self._known[esn] = context_id
        return True

    def as_kept_by(self, esn: str, template: Template, utc_s: int) -> Template:
        """Give a template as a SmartMeter keeps to it: local schedules in its meter's zone.

        The template as it is where the meter tells no zone.
        """
        if not template.goes_by_meters_zone:
            return template
        sql = (
            "SELECT table_nbr, image FROM contexts JOIN meters USING (esn, context_id) WHERE esn=?"
        )
        images = {row["table_nbr"]: octets_of(row["image"]) for row in self._store.read(sql, esn)}
        try:
            rules = clock_rules(Snapshot(images))
        except TableError:
            return template
        return template.in_zone(meter_zone(rules, utc_s))
