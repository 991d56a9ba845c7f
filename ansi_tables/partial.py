"""Partial access, both ways: by offset and count, by index and count.

*Offset and count* are octets of the image; members that the configuration
excludes take none.  *Index and count* name elements: the first index is the
number of a member of the table's record, in the order of its declaration, and
each further one goes into a nested record or array.  Excluded members keep
their number.  The count is a number of elements at the level of the last
index.  Bit fields, sets, texts and times are read whole.  (The rules of index
access are from memory; no public client uses it, and ST-00 of the meters seen
offers offset and count only.)

>>> from ansi_tables import Snapshot
>>> meter = Snapshot({0: bytes.fromhex("020a884845434f0200191901000a0202030100efbdf1df031efcf0c1"
...     "1fc203c807000000e0a0400002244000000ac003")})
>>> decode_part(meter.layout(1), 12, bytes([1, 2])).values
{'HW_VERSION_NUMBER': 1, 'HW_REVISION_NUMBER': 2}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from construct import Array, Struct

from ansi_tables.errors import TableValueError
from ansi_tables.foreign import Interpreted
from ansi_tables.layout import Layout
from ansi_tables.places import Field
from ansi_tables.tree import Leaf, Rest, Tree, size_of, unwrap

#: Indices of one request (C12.18; single source).
MAX_INDICES = 9


@dataclass(frozen=True)
class Part:
    """What an access by index covers: octets of the image, and the paths of its elements.

    ``width`` is None when the part goes to the end of a table that has no fixed length.
    """

    offset: int
    width: int | None
    paths: tuple[str, ...]


@dataclass(frozen=True)
class PartialRead:
    """What some octets of a table say.

    ``values`` are the fields that are there as a whole, by their paths, in wire
    order; ``cut`` those of which the first or last octets are missing;
    ``trailing`` the octets beyond the end of the table.
    """

    values: dict[str, Any]
    cut: tuple[Field, ...]
    trailing: bytes


@dataclass(frozen=True)
class PartialWrite:
    """Octets to be written at an offset."""

    offset: int
    octets: bytes


def part_of(layout: Layout, indices: Sequence[int], count: int = 1) -> Part:
    """Give what ``count`` elements from an index on cover.

    TableValueError for an index that names nothing on this device.
    """
    if not 1 <= len(indices) <= MAX_INDICES or count < 1:
        raise _no_element(layout, indices, f"1 to {MAX_INDICES} indices, and a count of at least 1")
    tree, at, path = unwrap(layout.construct), 0, ""
    for index in indices[:-1]:
        for number, name, offset, element in _elements(layout, tree, at, path, index, 1):
            if number == index:
                tree, at, path = unwrap(element), offset, name
                break
        else:
            raise _no_element(layout, indices, f"{path or layout.table} has no element {index}")
    first = indices[-1]
    chosen = [
        (name, offset, size_of(element))
        for number, name, offset, element in _elements(layout, tree, at, path, first, count)
        if first <= number < first + count
    ]
    if not chosen or first + count > _last_number(tree) + 1:
        there = f"elements up to {_last_number(tree)}, of which the device may lack some"
        raise _no_element(layout, indices, f"{count} from {first} on: {path or 'it'} has {there}")
    (_, begin, _), (_, last_at, last_width) = chosen[0], chosen[-1]
    width = None if last_width is None else last_at + last_width - begin
    return Part(begin, width, tuple(name for name, _, _ in chosen))


def _no_element(layout: Layout, indices: Sequence[int], fault: str) -> TableValueError:
    return TableValueError(fault, table=layout.table, path=f"index {', '.join(map(str, indices))}")


def _elements(
    layout: Layout, tree: Tree, at: int, path: str, first: int = 0, count: int | None = None
) -> Iterator[tuple[int, str, int, Tree]]:
    """Give number, path, offset and tree of the members of a record or the elements of an array."""
    if isinstance(tree, Struct):
        for number, field in zip(_numbers(tree), tree.subcons, strict=True):
            yield number, f"{path}.{field.name}" if path else field.name, at, field
            at += size_of(field) or 0
    elif isinstance(tree, Array):
        one = size_of(tree.subcon) or 0
        stop = int(tree.count) if count is None else min(int(tree.count), first + count)
        for number in range(first, stop):
            yield number, f"{path}.{number}", at + number * one, tree.subcon
    else:
        raise TableValueError("has no elements: it is read whole", table=layout.table, path=path)


def _numbers(tree: Tree) -> Sequence[int]:
    # A struct that a user brought has no excluded members.
    numbers: Sequence[int] = vars(tree).get("numbers", range(len(tree.subcons)))
    return numbers


def _last_number(tree: Tree) -> int:
    if isinstance(tree, Array):
        return int(tree.count) - 1
    return int(vars(tree).get("last_number", len(tree.subcons) - 1))


def index_of(layout: Layout, path: str) -> tuple[int, ...]:
    """Give the indices that name a field, array or record: the inverse of ``part_of``."""
    layout.place(path)
    indices: list[int] = []
    tree, at, here = unwrap(layout.construct), 0, ""
    for step in path.split("."):
        first, count = (int(step), 1) if isinstance(tree, Array) else (0, None)
        here = f"{here}.{step}" if indices else step
        elements = _elements(layout, tree, at, here.rpartition(".")[0], first, count)
        number, at, element = next((n, o, e) for n, name, o, e in elements if name == here)
        indices.append(number)
        tree = unwrap(element)
    return tuple(indices)


def decode_index(
    layout: Layout, indices: Sequence[int], count: int, octets: bytes
) -> dict[str, Any]:
    """Give the values that the answer to a read by index holds, by their paths.

    TruncatedTableError names the field that is cut; TableValueError for octets too many.
    """
    part = part_of(layout, indices, count)
    if part.width is not None and len(octets) > part.width:
        fault = f"{len(octets)} octets, the elements have {part.width}"
        raise TableValueError(fault, table=layout.table, path=part.paths[0], offset=part.offset)
    values: dict[str, Any] = {}
    at = 0
    for path in part.paths:
        width = layout.width(path)
        end = len(octets) if width is None else at + width
        values[path] = layout.value_at(path, octets[at:end])
        at = end
    return values


def decode_part(layout: Layout, offset: int, octets: bytes) -> PartialRead:
    """Give what octets from an offset on say; any octets decode.

    Fields without octets, as times of a device without a clock, are left out.
    TableValueError for a table that construct itself must read as a whole.
    """
    if isinstance(layout.construct, Interpreted):
        raise TableValueError("construct itself reads this table: whole only", table=layout.table)
    end = offset + len(octets)
    values: dict[str, Any] = {}
    cut: list[Field] = []
    for leaf, at, path in _between(layout.construct, 0, "", offset, end):
        stop = max(end, at) if isinstance(leaf, Rest) else at + leaf.size
        if at < offset or stop > end:
            cut.append(Field(at, stop - at, path, leaf.type_name))
        else:
            values[path] = layout.value_at(path, octets[at - offset : stop - offset])
    beyond = len(octets) if layout.size is None else max(0, layout.size - offset)
    return PartialRead(values, tuple(cut), octets[beyond:])


def _between(
    tree: Tree, at: int, path: str, begin: int, end: int
) -> Iterator[tuple[Leaf | Rest, int, str]]:
    """Give the fields that have octets between two offsets; looks at no others."""
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        for field in tree.subcons:
            size = size_of(field)
            if at < end and size != 0 and (size is None or at + size > begin):
                inner = f"{path}.{field.name}" if path else field.name
                yield from _between(field, at, inner, begin, end)
            at += size or 0
    elif isinstance(tree, Array):
        one = size_of(tree.subcon) or 1
        first = max(0, (begin - at) // one)
        for index in range(first, min(int(tree.count), -((at - end) // one))):
            yield from _between(tree.subcon, at + index * one, f"{path}.{index}", begin, end)
    else:
        yield tree, at, path


def encode_parts(layout: Layout, values: Mapping[str, Any]) -> list[PartialWrite]:
    """Give the writes that change fields, arrays or records, and no octet beside them.

    Adjacent ones are joined.  TableValueError for a value that does not fit, and
    for two paths that lie over each other.
    """
    pieces = sorted(
        (layout.place(path).offset, layout.encode_at(path, value), path)
        for path, value in values.items()
    )
    writes: list[PartialWrite] = []
    for offset, octets, path in pieces:
        end = writes[-1].offset + len(writes[-1].octets) if writes else -1
        if offset < end:
            raise TableValueError("lies over another field", table=layout.table, path=path)
        if offset == end:
            writes[-1] = PartialWrite(writes[-1].offset, writes[-1].octets + octets)
        else:
            writes.append(PartialWrite(offset, octets))
    return writes
