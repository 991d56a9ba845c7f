"""A table definition bound to one device configuration: octets to values and back.

Layouts are cached by configuration and shared, so that a million equal meters
use one.  The size of a layout is known before any octet is read, and a
configuration whose table could not be addressed is refused here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from construct import Array, Struct

from ansi_tables import interpreted
from ansi_tables.context import Context
from ansi_tables.errors import (
    TableError,
    TableTooLargeError,
    TableValueError,
    TruncatedTableError,
)
from ansi_tables.flat import fixed
from ansi_tables.flat_decode import decoder
from ansi_tables.flat_encode import encoder
from ansi_tables.foreign import adopt
from ansi_tables.ids import name_of
from ansi_tables.places import Field, Place, fields_in, find
from ansi_tables.registry import TableDefinition, definition
from ansi_tables.tree import MAX_TABLE_OCTETS, Leaf, Rest, rest, size_of, unwrap
from ansi_tables.values import Record

#: Layouts kept; each takes some tens of kilobytes.
MAX_CACHED_LAYOUTS = 4096
#: Fields of one layout whose places are kept, or that are read singly by a reader of their own.
MAX_READERS = 4096
#: Fields in a listing of one layout.
MAX_LISTING = 200_000


class Layout:
    """One table of one device configuration."""

    def __init__(self, number: int, title: str, tree: Any) -> None:
        self.number = number
        self.title = title
        self.table = name_of(number)
        self._tree = tree = adopt(tree)
        self.size = size_of(tree)
        if self.size is not None and self.size > MAX_TABLE_OCTETS:
            raise TableTooLargeError(f"{self.size} octets", table=self.table)
        self._flat = fixed(tree)
        self._least = self.size or 0
        # Flattened when used again: once, as by most commands, is not worth the milliseconds.
        self._decode: Callable[[bytes], Record] | None = None
        self._encode: Callable[[Any], bytes] | None = None
        self._readers: dict[str, Callable[[bytes], Any]] = {}
        self._places: dict[str, Place] = {}
        #: By the identity of a record or array: its flattened decoder; None before it is made.
        self._pieces: dict[int, Callable[[bytes], Any] | None] = {}

    @property
    def construct(self) -> Any:
        """Give the definition for this device: a construct that parses and builds whole images."""
        return self._tree

    @property
    def opaque(self) -> bool:
        """Tell whether the layout is unknown, so that the octets are kept as they are."""
        fields = list(self._tree.subcons) if isinstance(self._tree, Struct) else []
        return len(fields) == 1 and isinstance(unwrap(fields[0]), Rest)

    def decode(self, data: bytes) -> Record:
        """Decode a table image; octets after its last member are left out.

        TruncatedTableError names table, field and offset when octets are missing.
        """
        if self._decode is not None and len(data) >= self._least:
            return self._decode(data)
        return self.decode_with_trailing(data)[0]

    def decode_with_trailing(self, data: bytes) -> tuple[Record, bytes]:
        """Decode a table image; give also the octets after its last member."""
        if self._decode is not None and len(data) >= self._least:
            return self._decode(data), bytes(data[self._least :])
        if self._flat:
            self._decode = self._flatten_and_decode
        value, end = interpreted.read(self._tree, bytes(data), self.table)
        assert isinstance(value, Record)
        return value, bytes(data[end:])

    def _flatten_and_decode(self, data: bytes) -> Record:
        self._decode = decode = decoder(self._tree, self.table)
        record: Record = decode(data)
        return record

    def check(self, data: bytes) -> None:
        """Refuse octets that end before the table does: TruncatedTableError names the field."""
        if self.size is not None and len(data) < self.size:
            self.decode(data)

    def encode(self, value: Any) -> bytes:
        """Encode a record; TableValueError names the member that is missing or does not fit."""
        if self._encode is not None:
            try:
                return self._encode(value)
            except Exception:  # whatever it was: the reference tells what is wrong, if it is
                pass
        elif self._flat:
            self._encode = self._flatten_and_encode
        out = bytearray()
        interpreted.write(self._tree, value, out, self.table)
        return bytes(out)

    def _flatten_and_encode(self, value: Any) -> bytes:
        self._encode = encoder(self._tree, self.table)
        return self._encode(value)

    def listing(self) -> Iterator[Field]:
        """Give every field with its offset, width, path and type, in wire order."""
        return islice(fields_in(self._tree), MAX_LISTING)

    def field(self, path: str) -> tuple[int, int]:
        """Give (offset, width) of a field, array or record by its path: "A.B.0".

        TableValueError when there is no such field on this device.
        """
        place = self.place(path)
        if place.width is None:
            raise TableValueError("has no fixed width", table=self.table, path=path)
        return place.offset, place.width

    def width(self, path: str) -> int | None:
        """Give the octets of a field, array or record; None when it goes to the table's end."""
        return self.place(path).width

    def has(self, path: str) -> bool:
        """Tell whether this device has a field, array or record of that path."""
        try:
            self.place(path)
        except TableValueError:
            return False
        return True

    def count(self, path: str) -> int:
        """Give the number of elements of an array; TableValueError when it is none."""
        tree = self.place(path).tree
        if not isinstance(tree, Array):
            raise TableValueError("is no array", table=self.table, path=path)
        return int(tree.count)

    def leaf(self, path: str) -> Leaf:
        """Give the field at a path: its type name, size and functions; TableValueError if none."""
        place = self.place(path)
        if place.bit is not None or not isinstance(place.tree, Leaf):
            raise TableValueError("is no single field", table=self.table, path=path)
        return place.tree

    def value_at(self, path: str, octets: bytes) -> Any:
        """Decode one field from just its octets, as a partial read gives them."""
        place = self.place(path)
        try:
            value = self._piece(place, octets, path)
        except TruncatedTableError as error:
            error.offset = place.offset + (error.offset or 0)
            raise
        if place.bit is None:
            return value
        try:
            return value[place.bit]
        except KeyError:  # of an RDATE: which members there are depends on its MONTH
            raise TableValueError(
                "no such bit", table=self.table, path=path, offset=place.offset
            ) from None

    def _piece(self, place: Place, octets: bytes, path: str) -> Any:
        """Decode a part of the table; one that comes again is flattened, as whole tables are."""
        tree = place.tree
        flat = isinstance(tree, Struct | Array)
        known = self._pieces.get(id(tree)) if flat else None
        if known is not None and len(octets) >= (place.width or 0):
            try:
                return known(octets)
            except TableError:
                pass  # the reference tells the whole path
        elif flat and known is None:
            again = id(tree) in self._pieces and fixed(tree)
            self._pieces[id(tree)] = decoder(tree, self.table) if again else None
        return interpreted.read(tree, octets, self.table, 0, path)[0]

    def value(self, path: str, image: bytes) -> Any:
        """Decode one field, array or record of a whole image, and nothing else of it.

        TableValueError when this device has no such field, TruncatedTableError
        when the image ends before it does.
        """
        read = self._readers.get(path)
        if read is None:
            if len(self._readers) >= MAX_READERS:
                self._readers.clear()
            read = self._readers[path] = self._reader(path)
        return read(image)

    def _reader(self, path: str) -> Callable[[bytes], Any]:
        place = self.place(path)
        leaf, at, size = place.tree, place.offset, place.width

        def read(image: bytes) -> Any:
            end = None if size is None else at + size
            return self.value_at(path, bytes(image[at:end]))

        if not isinstance(leaf, Leaf) or not leaf.code or leaf.bits is not None or place.bit:
            return read
        unpack = struct.Struct(leaf.code).unpack_from

        def read_number(image: bytes) -> Any:
            try:
                return unpack(image, at)[0]
            except struct.error:
                return read(image)

        return read_number

    def encode_at(self, path: str, value: Any) -> bytes:
        """Encode one field, array or record, as a partial write takes it.

        TableValueError names what does not fit; one bit of a bit field cannot be
        written alone.
        """
        place = self.place(path)
        if place.bit is not None:
            fault = "is one bit: write the bit field that holds it"
            raise TableValueError(fault, table=self.table, path=path, offset=place.offset)
        out = bytearray()
        try:
            interpreted.write(place.tree, value, out, self.table, path)
        except TableError as error:
            error.offset = place.offset + (error.offset or 0)
            raise
        return bytes(out)

    def place(self, path: str) -> Place:
        """Give what a path leads to; TableValueError when this device has no such field."""
        place = self._places.get(path)
        if place is None:
            if len(self._places) >= MAX_READERS:
                self._places.clear()
            place = self._places[path] = find(self._tree, path, self.table)
        return place


def layout_for(number: int, context: Context) -> Layout:
    """Give the layout of a table on one device; an unknown table is opaque octets.

    MissingContextError names a table that must be read first.
    """
    known, kept = definition(number), context.layouts.get(number)
    if kept is not None and kept[0] is known:
        return kept[1]
    layout = _cached(number, _Bound(context), known)
    context.layouts[number] = known, layout
    return layout


class _Bound:
    """A context as a cache key."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._key = context.key

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bound) and self._key == other._key


@lru_cache(maxsize=MAX_CACHED_LAYOUTS)
def _cached(number: int, bound: _Bound, known: TableDefinition | None) -> Layout:
    if known is None:
        return Layout(number, "", Struct("RAW" / rest()))
    try:
        return Layout(number, known.title, known.build(bound.context))
    except TableError as error:
        error.table = error.table or name_of(number)
        raise
