"""The templates that this TMS has provisioned with, by their versions.

A SmartMeter that keeps to an older one, as it was not there to be given the newer, is watched by
the older one.
"""

from __future__ import annotations

import sqlite3

from ansi_tables.ssi_tables import CONFIG_TABLES, SsiTable
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import Template

#: In the place of an ESN: a template is that of many.
_OF_ALL = ""


def keep_template(connection: sqlite3.Connection, template: Template) -> None:
    """Keep a template for when there is another."""
    connection.executemany(
        "INSERT OR IGNORE INTO configurations VALUES (?,?,?,?)",
        [(_OF_ALL, template.version, table, image) for table, image in template.images.items()],
    )


def kept_templates(store: Store) -> dict[int, Template]:
    """Give the templates that were kept and are whole, by their versions."""
    images: dict[int, dict[SsiTable, bytes]] = {}
    sql = "SELECT version, table_nbr, image FROM configurations WHERE esn=?"
    for row in store.read(sql, _OF_ALL):
        images.setdefault(row["version"], {})[SsiTable(row["table_nbr"])] = octets_of(row["image"])
    return {
        version: Template(version, tables)
        for version, tables in images.items()
        if tables.keys() >= set(CONFIG_TABLES)
    }
