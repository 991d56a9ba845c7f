"""A table that describes itself: which members a device has, and what they depend on.

Nothing is written twice: the definition itself is asked.  It is built for the
device while every flag and count that it looks at is noted; then each of these
is changed in turn, and what appears, vanishes or changes its length depends on
it.  So the answer holds for a definition that a user brought as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from construct import Array, Struct

from ansi_tables.context import Context
from ansi_tables.errors import TableError
from ansi_tables.registry import TableDefinition
from ansi_tables.tree import size_of, unwrap
from ansi_tables.watching import Watch
from ansi_tables.words import member_meaning


@dataclass(frozen=True)
class Member:
    """One member of a table: ``path`` with ``[]`` for the elements of an array.

    ``condition`` is empty for one that every device has; ``present`` tells
    whether this device has it.  ``count`` is the elements of an array and
    ``counted_by`` what gives that number; ``bits`` lowest and highest bit of the
    members of a bit field.
    """

    path: str
    type_name: str
    width: int | None
    meaning: str
    condition: str = ""
    present: bool = True
    count: int | None = None
    counted_by: str = ""
    bits: Mapping[str, tuple[int, int]] | None = None

    @property
    def name(self) -> str:
        """Give the last name of the path."""
        return self.path.rpartition(".")[2].replace("[]", "")

    @property
    def depth(self) -> int:
        """Give how many records it lies in."""
        return self.path.count(".")


def member_path(path: str) -> str:
    """Give the path of the member that a field of a layout belongs to.

    >>> member_path("DEMANDS.0.EVENT_TIME.1")
    'DEMANDS[].EVENT_TIME'
    """
    steps = path.split(".")
    while steps[-1].isdecimal() and len(steps) > 1:
        steps.pop()
    return ".".join("[]" if step.isdecimal() else step for step in steps).replace(".[]", "[]")


def describe_table(known: TableDefinition, context: Context) -> list[Member]:
    """Give the members of a table in their order, those that this device lacks included.

    TableError when the definition cannot be built for the device.
    """
    watch = Watch(context)
    here = _shape(known, watch)
    conditions: dict[str, list[str]] = {}
    counted: dict[str, list[str]] = {}
    absent: dict[str, Member] = {}
    shapes, whole = [here], context
    for change in watch.changes():
        there = _shape_if_any(known, change.made(context))
        if there is None:
            continue
        for path, member in here.items():
            if path not in there:
                conditions.setdefault(path, []).append(change.now)
            elif _length(there[path]) != _length(member):
                counted.setdefault(path, []).append(change.name)
        new = there.keys() - here.keys() - absent.keys()
        if new:
            absent |= {p: replace(there[p], condition=change.then, present=False) for p in new}
            shapes.append(there)
            whole = change.made(whole) or whole
    found = []
    for path in _ordered([_shape_if_any(known, whole) or here, *shapes]):
        if path in absent:
            member = absent[path]
        else:
            inherited = conditions.get(path.rpartition(".")[0].removesuffix("[]"), [])
            own = [c for c in _unique(conditions.get(path, ())) if c not in inherited]
            sized = ", ".join(_unique(counted.get(path, ())))
            member = replace(here[path], condition=" and ".join(own), counted_by=sized)
        found.append(replace(member, meaning=member_meaning(known.number, member.name)))
    return found


def _ordered(shapes: list[dict[str, Member]]) -> list[str]:
    """Give the paths of all shapes in one order, that of the first as far as it goes."""
    order = list(shapes[0])
    for shape in shapes[1:]:
        there = list(shape)
        for path in there:
            if path not in order:
                order.insert(_place(order, there, path), path)
    return order


def _length(member: Member) -> int | None:
    """Give what makes an array, a SET or a text longer on another device."""
    if member.type_name.startswith("array"):
        return member.count
    return None if member.type_name == "record" else member.width


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _place(order: list[str], there: list[str], path: str) -> int:
    """Give where a member that is not in ``order`` belongs: after what is before it there."""
    for before in reversed(there[: there.index(path)]):
        if before not in order:
            continue
        at = order.index(before) + 1
        while at < len(order) and _inside(order[at], before) and not _inside(path, before):
            at += 1
        return at
    return 0


def _inside(path: str, record: str) -> bool:
    return path.startswith((f"{record}.", f"{record}[]"))


def _shape(known: TableDefinition, context: Any) -> dict[str, Member]:
    return {member.path: member for member in _members(known.build(context), "")}


def _shape_if_any(known: TableDefinition, context: Context | None) -> dict[str, Member] | None:
    """Give the shape on another device; None for a device that there cannot be."""
    try:
        return None if context is None else _shape(known, context)
    except (TableError, KeyError, AttributeError):
        return None


def _members(tree: Any, path: str) -> Iterator[Member]:
    tree = unwrap(tree)
    if isinstance(tree, Array):
        element = unwrap(tree.subcon)
        inner = getattr(element, "type_name", "record")
        bits = getattr(element, "bits", None)
        width = size_of(tree)
        # How many there are in a construct that a user brought may depend on octets.
        count = int(tree.count) if isinstance(tree.count, int) else None
        yield Member(path, f"array of {inner}", width, "", count=count, bits=bits)
        if isinstance(element, Struct | Array):
            yield from _members(element, f"{path}[]")
    elif isinstance(tree, Struct):
        if path and not path.endswith("[]"):
            yield Member(path, "record", size_of(tree), "")
        for field in tree.subcons:
            yield from _members(field, f"{path}.{field.name}" if path else str(field.name))
    else:
        type_name = getattr(tree, "type_name", "construct")
        yield Member(path, type_name, size_of(tree), "", bits=getattr(tree, "bits", None))
