"""Where the fields of a table lie on one device: paths, offsets and widths in octets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from construct import Array, Struct

from ansi_tables.errors import TableValueError
from ansi_tables.foreign import Interpreted
from ansi_tables.tree import Leaf, size_of, unwrap


@dataclass(frozen=True)
class Field:
    """Where one field of a layout lies, in octets from the start of the table."""

    offset: int
    width: int
    path: str
    type_name: str


@dataclass(frozen=True)
class Place:
    """What a path leads to: its tree, its offset, and the member where it ends in a bit field."""

    tree: Any
    offset: int
    bit: str | None = None

    @cached_property
    def width(self) -> int | None:
        """Give the octets from there on; None when it goes to the table's end."""
        return size_of(self.tree)


def fields_in(tree: Any, at: int = 0, path: str = "") -> Iterator[Field]:
    """Give every field with its offset, width, path and type, in wire order."""
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        for field in tree.subcons:
            yield from fields_in(field, at, f"{path}.{field.name}" if path else field.name)
            at += size_of(field) or 0
    elif isinstance(tree, Array):
        one = size_of(tree.subcon) or 0
        for index in range(int(tree.count)):
            yield from fields_in(tree.subcon, at + index * one, f"{path}.{index}")
    elif isinstance(tree, Interpreted):
        for offset, width, name in tree.fields():
            yield Field(offset, width, name, "construct")
    else:
        yield Field(at, size_of(tree) or 0, path, tree.type_name)


def find(tree: Any, path: str, table: str) -> Place:
    """Give the place of a field, array or record: "A.B.0"; TableValueError if there is none."""
    tree, at = unwrap(tree), 0
    steps = path.split(".")
    for depth, name in enumerate(steps, 1):
        if isinstance(tree, Struct):
            chosen = None
            for field in tree.subcons:
                if field.name == name:
                    chosen = field
                    break
                at += size_of(field) or 0
            if chosen is None:
                raise TableValueError("no such field", table=table, path=path)
            tree = unwrap(chosen)
        elif isinstance(tree, Array):
            if not name.isdecimal() or int(name) >= int(tree.count):
                raise TableValueError(
                    f"{name}: one of 0..{int(tree.count) - 1}", table=table, path=path
                )
            at += int(name) * (size_of(tree.subcon) or 0)
            tree = unwrap(tree.subcon)
        elif isinstance(tree, Leaf) and depth == len(steps):
            if name not in tree.members:
                raise TableValueError("no such bit", table=table, path=path, offset=at)
            return Place(tree, at, name)
        else:
            raise TableValueError("no such field", table=table, path=path)
    return Place(tree, at)
