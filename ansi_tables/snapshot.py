"""Many tables of one meter decoded together, and a whole meter as one JSON image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansi_tables import rendering
from ansi_tables.context import CONTEXT_NUMBERS, Context
from ansi_tables.description import Member, describe_table
from ansi_tables.errors import MissingContextError, TableError
from ansi_tables.ids import name_of
from ansi_tables.layout import Layout, layout_for
from ansi_tables.meaning import calendar, clock, load_profile, logs, register_tables, sources
from ansi_tables.meaning.calendar import Calendar
from ansi_tables.meaning.clock import MeterClock, TimesOverride
from ansi_tables.meaning.load_profile import LoadProfile
from ansi_tables.meaning.logs import Event
from ansi_tables.meaning.notes import notes_on
from ansi_tables.meaning.registers import Registers
from ansi_tables.meaning.sources import Source
from ansi_tables.overrides import Overrides
from ansi_tables.pending_tables import PendingStatus, pending_status
from ansi_tables.registry import TableDefinition, definition, opaque
from ansi_tables.values import Record

IMAGE_FORMAT = "smartmeter-image/1"
#: The largest image file that is read, in characters.
MAX_IMAGE_CHARACTERS = 64 << 20

_CONTEXT = (0, *CONTEXT_NUMBERS)


class Snapshot:
    """Table images of one meter, decoded on demand and read as engineering values.

    ``images`` maps table ids to octets and may grow while a meter is read;
    ``identity`` is what a person or a program notes about the meter; ``times``
    corrects a meter whose clock does not tell the truth about itself;
    ``overrides`` one whose tables are not shaped as they declare.  Without it
    the text at "overrides" in ``identity`` is taken: ``"ge-kv, edition=1"``.

    >>> Snapshot({})
    Snapshot of no tables
    """

    def __init__(
        self,
        images: Mapping[int, bytes],
        *,
        identity: Mapping[str, Any] | None = None,
        times: TimesOverride | None = None,
        overrides: Overrides | None = None,
    ) -> None:
        self.images = dict(images)
        self.identity = dict(identity or {})
        #: What other programs keep in the same image file, kept as it is.
        self.more: dict[str, Any] = {}
        self.times = times or TimesOverride()
        noted = str(self.identity.get("overrides", ""))
        self.overrides = Overrides.of(noted) if overrides is None else overrides
        self._context: Context | None = None
        self._made_of: tuple[bytes | None, ...] = ()
        self._decoded: dict[int, tuple[bytes, TableDefinition | None, Record]] = {}

    @classmethod
    def from_json(
        cls,
        text: str,
        *,
        times: TimesOverride | None = None,
        overrides: Overrides | None = None,
    ) -> Snapshot:
        """Read a meter from its JSON image; TableError says what is wrong with the text."""
        images, identity, more = _read_image(text)
        made = cls(images, identity=identity, times=times, overrides=overrides)
        made.more = more
        return made

    def to_json(self) -> str:
        """Give the whole meter as one JSON image; nothing is lost."""
        return _image_text(self.images, self.identity, self.more)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of copies and pickles what is made of the images: it is made again."""
        return self.__dict__ | {"_context": None, "_made_of": (), "_decoded": {}}

    def numbers(self) -> list[int]:
        """Give the ids of the tables that are there."""
        return sorted(self.images)

    def __iter__(self) -> Iterator[int]:
        """Go through the ids of the tables that are there."""
        return iter(self.numbers())

    def __len__(self) -> int:
        """Give how many tables are there."""
        return len(self.images)

    def __contains__(self, number: object) -> bool:
        """Tell whether a table is there."""
        return number in self.images

    def __repr__(self) -> str:
        """Name the tables that are there."""
        names = ", ".join(name_of(number) for number in self.numbers())
        return f"Snapshot of {names or 'no tables'}"

    @property
    def context(self) -> Context:
        """Give what the other tables depend on; TableError when ST-00 is not there."""
        made_of = tuple(map(self.images.get, _CONTEXT))
        if self._context is None or made_of != self._made_of:
            self._context = Context.from_images(self.images, self.overrides)
            self._made_of = made_of
            self._decoded.clear()
        return self._context

    def layout(self, number: int) -> Layout:
        """Give the layout of a table on this meter, whether its image is there or not."""
        return layout_for(number, self.context)

    def __getitem__(self, number: int) -> Record:
        """Decode a table, once; KeyError when its image is not there."""
        try:
            image = self.images[number]
        except KeyError:
            raise KeyError(f"{name_of(number)} is not in this snapshot") from None
        context, shape = self.context, definition(number)
        kept = self._decoded.get(number)
        if kept is not None and kept[0] is image and kept[1] is shape:
            return kept[2]
        record = layout_for(number, context).decode(image)
        self._decoded[number] = (image, shape, record)
        return record

    def get(self, number: int) -> Record | None:
        """Decode a table; None when it is not there or does not decode."""
        try:
            return self[number]
        except (KeyError, TableError):
            return None

    def require(self, number: int) -> Record:
        """Decode a table; MissingContextError names it when it is not there."""
        if number not in self.images:
            raise MissingContextError("is not in this snapshot", table=name_of(number))
        return self[number]

    def listing(self, number: int) -> Iterator[str]:
        """Give a table as aligned lines: octet, name, value, and what it means on this meter."""
        return rendering.listing(self.layout(number), self.require(number), notes_on(self, number))

    def members(self, number: int) -> list[Member]:
        """Give what a table consists of on this meter, and what its members depend on.

        Members that this meter lacks are there too, with the condition for them.
        """
        return describe_table(definition(number) or opaque(number, "", ""), self.context)

    def clock(self) -> MeterClock:
        """Give the meter's clock, and the rules that make instants of its stored times."""
        return clock.clock(self)

    def calendar(self) -> Calendar:
        """Give the dates, daily schedules and seasons of ST-54."""
        return calendar.calendar(self)

    def sources(self) -> tuple[Source, ...]:
        """Give what the meter measures: the sources of ST-16, in their order."""
        return sources.sources(self)

    def registers(self) -> Registers:
        """Give the registers of ST-23: exact values with quantity, unit, direction, tier."""
        return register_tables.current(self)

    def previous_season(self) -> Registers:
        """Give the registers at the end of the season before (ST-24)."""
        return register_tables.closed(self, 24)

    def previous_demand_reset(self) -> Registers:
        """Give the registers at the last demand reset (ST-25)."""
        return register_tables.closed(self, 25)

    def self_reads(self) -> tuple[Registers, ...]:
        """Give the valid self-reads of ST-26, oldest first."""
        return register_tables.self_reads(self)

    def present_values(self) -> Registers:
        """Give the running demands and momentary values of ST-28."""
        return register_tables.present(self)

    def profile_sets(self) -> tuple[int, ...]:
        """Give the load-profile sets, 1 to 4, whose data are there."""
        return load_profile.profile_sets(self)

    def load_profile(self, set_number: int | None = None) -> LoadProfile:
        """Give a load-profile set (ST-61 to ST-67) as columns in units, oldest interval first.

        Without a number it is the first set that is there.
        """
        return load_profile.load_profile(self, set_number)

    def events(self) -> tuple[Event, ...]:
        """Give the valid entries of the event log (ST-76), oldest first."""
        return logs.event_log(self)

    def pending(self) -> PendingStatus:
        """Give which tables can wait for an event, and which do, until when (ST-04)."""
        return pending_status(self)

    def history(self) -> tuple[Event, ...]:
        """Give the valid entries of the history log (ST-74), oldest first."""
        return logs.history_log(self)


def image_to_json(images: Mapping[int, bytes], identity: Mapping[str, Any] | None = None) -> str:
    """Give a whole meter as one JSON text."""
    return _image_text(images, identity or {}, {})


def image_from_json(text: str) -> tuple[dict[int, bytes], dict[str, Any]]:
    """Give the table images and the identity of a JSON image; TableError says what is wrong."""
    images, identity, _ = _read_image(text)
    return images, identity


def _image_text(
    images: Mapping[int, bytes], identity: Mapping[str, Any], more: Mapping[str, Any]
) -> str:
    tables = {str(number): images[number].hex() for number in sorted(images)}
    image = {"format": IMAGE_FORMAT, "identity": dict(identity), "tables": tables, **more}
    return json.dumps(image, indent=1)


def _read_image(text: str) -> tuple[dict[int, bytes], dict[str, Any], dict[str, Any]]:
    """Give images, identity, and what other programs keep in the same file."""
    if len(text) > MAX_IMAGE_CHARACTERS:
        raise TableError(f"image of {len(text)} characters, at most {MAX_IMAGE_CHARACTERS}")
    try:
        image = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"image is no JSON: {error}") from error
    if not isinstance(image, dict) or image.get("format") != IMAGE_FORMAT:
        raise TableError(f'image lacks "format": "{IMAGE_FORMAT}"')
    tables, identity = image.get("tables"), image.get("identity", {})
    if not isinstance(tables, dict) or not isinstance(identity, dict):
        raise TableError('image: "tables" and "identity" must be objects')
    images: dict[int, bytes] = {}
    for number, octets in tables.items():
        try:
            if not number.isdecimal() or str(int(number)) != number or int(number) >= 1 << 16:
                raise ValueError("a table's id is written in decimal, 0 to 65535")
            images[int(number)] = bytes.fromhex(octets)
        except (ValueError, TypeError) as error:
            raise TableError(f"image, table {number!r:.20}: {error}") from error
    known = ("format", "identity", "tables")
    return images, identity, {name: image[name] for name in image if name not in known}
