"""ANSI C12.19 / IEEE 1377 tables as codecs: bytes to values and back.

Needs construct only; knows no meter, no wire and no clock.

>>> from ansi_tables import Snapshot
>>> meter = Snapshot({0: bytes.fromhex("020a884845434f0200191901000a0202030100efbdf1df031efcf0c1"
...     "1fc203c807000000e0a0400002244000000ac003"), 3: bytes.fromhex("0100000020")})
>>> meter[3].ED_MODE.METERING_FLAG
1

* What must be known of a device first: ``formats`` (ST-00), ``context``; where a device does
  not do what it declares, ``overrides``.
* Definitions: ``fields`` has the words, ``tree`` what they make, ``decades`` and
  ``standard_procedures`` the standard in these words, ``registry`` all that there are.
* A definition on one device: ``layout``; ``interpreted`` is its reference, ``flat`` the same as
  fast Python.  ``places``, ``partial``: pieces by offset and by index.
* All tables of a meter: ``snapshot``; in units and instants: ``meaning``.  Load profiles:
  ``profile_blocks``, ``profile_columns``, ``profile_numpy``, ``compact_profile``.
* For people: ``rendering``, ``differences``, ``description``, ``words``.
* The SSI module's own tables: ``ssi_tables``, ``ssi_layouts``, ``ssi_fast``.
"""

from ansi_tables.context import Context
from ansi_tables.errors import (
    FormatRefusedError,
    MissingContextError,
    TableError,
    TableTooLargeError,
    TableValueError,
    TruncatedTableError,
)
from ansi_tables.event_arguments import register_event
from ansi_tables.formats import DeviceFormat
from ansi_tables.ids import manufacturer, name_of, pending, standard
from ansi_tables.layout import Layout, layout_for
from ansi_tables.meaning.calendar import Calendar
from ansi_tables.meaning.clock import MeterClock, TimesOverride
from ansi_tables.meaning.load_profile import LoadProfile
from ansi_tables.meaning.logs import Event
from ansi_tables.meaning.registers import Register, Registers
from ansi_tables.meaning.sources import Direction, Source
from ansi_tables.overrides import Overrides
from ansi_tables.procedures import register as register_procedure
from ansi_tables.registry import TableDefinition, all_definitions, definition, register, table
from ansi_tables.rendering import to_json_value
from ansi_tables.snapshot import Snapshot, image_from_json, image_to_json
from ansi_tables.values import Record, TableTime

__all__ = [
    "Calendar",
    "Context",
    "DeviceFormat",
    "Direction",
    "Event",
    "FormatRefusedError",
    "Layout",
    "LoadProfile",
    "MeterClock",
    "MissingContextError",
    "Overrides",
    "Record",
    "Register",
    "Registers",
    "Snapshot",
    "Source",
    "TableDefinition",
    "TableError",
    "TableTime",
    "TableTooLargeError",
    "TableValueError",
    "TimesOverride",
    "TruncatedTableError",
    "all_definitions",
    "definition",
    "image_from_json",
    "image_to_json",
    "layout_for",
    "manufacturer",
    "name_of",
    "pending",
    "register",
    "register_event",
    "register_procedure",
    "standard",
    "table",
    "to_json_value",
]
