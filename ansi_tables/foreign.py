"""Tables that a user defines with construct's own words, beside those of ``fields``.

What has a fixed width (``Int16ul``, ``Bytes(4)``, structs and arrays of them) is
taken into the words of this package, so that layouts list, measure and
flatten it like a standard table.  As soon as one member's shape depends on
another's value (``this.count``, ``Switch``, ``PascalString`` …) construct
itself reads the whole table; then only the members before it have an offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from construct import (
    Array,
    Bytes,
    BytesInteger,
    Construct,
    ConstructError,
    FormatField,
    GreedyBytes,
    Renamed,
    StreamError,
    Struct,
)

from ansi_tables.errors import TableError, TableValueError, TruncatedTableError
from ansi_tables.tree import Leaf, Rest, Tree, array, rest, size_of
from ansi_tables.values import Record

#: The member that holds a construct which is no struct.
WHOLE = "VALUE"


class _OfItsOwn(Exception):
    """A construct whose shape depends on values: only construct can read it."""


class Interpreted(Construct):  # type: ignore[misc]
    """A whole table that construct itself reads and writes."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._tree = tree

    def read(self, data: bytes, table: str) -> tuple[Record, int]:
        """Give the record and the octets it took; TruncatedTableError, TableValueError."""
        stream = BytesIO(data)
        try:
            value = self._tree.parse_stream(stream)
            return _record(value), stream.tell()
        except StreamError as error:
            raise TruncatedTableError(
                f"{len(data)} octets, more are needed",
                table=table,
                path=_path_of(error),
                offset=len(data),
            ) from error
        except TableError as error:
            error.table = table
            raise
        except Exception as error:
            # A user's lambdas may raise anything on octets that they did not expect.
            raise TableValueError(
                _reason(error), table=table, path=_path_of(error), offset=stream.tell()
            ) from error

    def _build(self, obj: Any, stream: Any, context: Any, path: Any) -> Any:
        try:
            octets = self._tree.build(obj)
        except TableError:
            raise
        except Exception as error:
            raise TableValueError(_reason(error), path=_path_of(error)) from error
        stream.write(octets)
        return obj

    def fields(self) -> Iterator[tuple[int, int, str]]:
        """Give offset, width and name of each member.

        From the first of varying length on, the offset is where that one
        begins, and the width 0.
        """
        at, fixed = 0, True
        for field in self._tree.subcons:
            width = size_of(field) if fixed else None
            fixed = width is not None
            if field.name:
                yield at, width or 0, str(field.name)
            at += width or 0


def adopt(tree: Tree) -> Tree:
    """Give a tree that layouts can walk: of our own words alone, or one Interpreted."""
    if not isinstance(tree, Struct):
        tree = Struct(WHOLE / tree)
    try:
        return _adopted(tree)
    except _OfItsOwn:
        return Interpreted(tree)


def _adopted(tree: Tree) -> Tree:
    """Give a tree in the words of ``fields``; itself where nothing had to change."""
    if isinstance(tree, Leaf | Rest):
        return tree
    if isinstance(tree, Renamed):
        inner = _adopted(tree.subcon)
        if inner is tree.subcon:
            return tree
        named = Renamed(inner, newname=tree.name, newdocs=tree.docs)
        named.optional_tail = getattr(tree, "optional_tail", False)
        return named
    if isinstance(tree, Array) and isinstance(tree.count, int):
        inner = _adopted(tree.subcon)
        return tree if inner is tree.subcon else array(tree.count, inner)
    if type(tree) is Struct:
        inners = [_adopted(field) for field in tree.subcons]
        if any(not field.name for field in tree.subcons):
            raise _OfItsOwn
        if all(old is new for old, new in zip(tree.subcons, inners, strict=True)):
            return tree
        adopted = Struct(*inners)
        if "numbers" in vars(tree):  # of a record of ours: excluded members have one, too
            adopted.numbers, adopted.last_number = tree.numbers, tree.last_number
        return adopted
    if tree is GreedyBytes:
        return rest()
    return _leaf(tree)


def _leaf(tree: Tree) -> Leaf:
    """Give a construct of fixed width and no context as one of our fields."""
    if isinstance(tree, FormatField):
        return Leaf(f"construct {tree.fmtstr}", tree.length, tree.parse, tree.build)
    if isinstance(tree, BytesInteger) and isinstance(tree.length, int):
        sign = "INT" if tree.signed else "UINT"
        return Leaf(f"{sign}{8 * tree.length}", tree.length, tree.parse, tree.build)
    if isinstance(tree, Bytes) and isinstance(tree.length, int):
        return Leaf(f"BINARY({tree.length})", tree.length, bytes, tree.build)
    raise _OfItsOwn


def _record(value: Any) -> Any:
    """Give construct's containers as records and lists, without what construct adds."""
    if isinstance(value, dict):
        return Record({k: _record(v) for k, v in value.items() if not str(k).startswith("_")})
    if isinstance(value, list):
        return [_record(item) for item in value]
    return value


def _path_of(error: Exception) -> str:
    """Give "A.B" of construct's "(parsing) -> A -> B"."""
    steps = (getattr(error, "path", None) or "").split(" -> ")[1:]
    return ".".join(steps)


def _reason(error: Exception) -> str:
    if isinstance(error, ConstructError):
        return str(error).splitlines()[-1]
    return f"the definition raised {type(error).__name__}: {error}"
