"""A definition's tree walked field by field: the reference for every layout.

Slow, and exact about what is wrong and where.  Flattened layouts give the same
values, and leave to this walk whatever is not plainly right: images that end
early, values that do not fit, tables that end in a rest.
"""

from __future__ import annotations

from typing import Any

from construct import Array, ConstructError, Struct

from ansi_tables.errors import TableError, TableValueError, TruncatedTableError
from ansi_tables.foreign import Interpreted
from ansi_tables.tree import Leaf, Rest, size_of, unwrap
from ansi_tables.values import Record


def read(tree: Any, data: bytes, table: str, at: int = 0, path: str = "") -> tuple[Any, int]:
    """Give the value of a tree that begins at octet ``at``, and where it ends.

    TruncatedTableError names table, field and offset when octets are missing.
    """
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        record = Record()
        for field in tree.subcons:
            # A tail without octets, as a time of a device without a clock, is always there.
            if at == len(data) and getattr(field, "optional_tail", False) and size_of(field):
                break
            inner = f"{path}.{field.name}" if path else str(field.name)
            record[field.name], at = read(field, data, table, at, inner)
        return record, at
    if isinstance(tree, Array):
        items = []
        for index in range(int(tree.count)):
            item, at = read(tree.subcon, data, table, at, f"{path}.{index}")
            items.append(item)
        return items, at
    if isinstance(tree, Rest):
        end = min(len(data), at + tree.max_size)
        return bytes(data[at:end]), end
    if isinstance(tree, Leaf):
        end = at + tree.size
        if end > len(data):
            raise TruncatedTableError(
                f"{tree.type_name} of {tree.size} octets, {max(0, len(data) - at)} are there",
                table=table,
                path=path,
                offset=at,
            )
        return tree.decode(data[at:end]), end
    assert isinstance(tree, Interpreted) and at == 0
    return tree.read(data, table)


def write(tree: Any, value: Any, out: bytearray, table: str, path: str = "") -> None:
    """Append the octets of a value; TableValueError names the member that does not fit."""
    tree = unwrap(tree)
    try:
        if isinstance(tree, Struct):
            for index, field in enumerate(tree.subcons):
                inner = f"{path}.{field.name}" if path else str(field.name)
                if field.name not in value:
                    later = any(other.name in value for other in tree.subcons[index:])
                    if getattr(field, "optional_tail", False) and not later:
                        break
                    raise TableValueError("missing", table=table, path=inner)
                write(field, value[field.name], out, table, inner)
        elif isinstance(tree, Array):
            items = list(value)
            if len(items) != int(tree.count):
                raise TableValueError(f"{len(items)} elements, must be {tree.count}")
            for index, item in enumerate(items):
                write(tree.subcon, item, out, table, f"{path}.{index}")
        else:
            out += tree.build(value)
    except TableError as error:
        if not error.table:
            error.table, error.offset = table, len(out)
            error.path = ".".join(part for part in (path, error.path) if part)
        raise
    except (
        ConstructError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise TableValueError(
            f"{value!r:.60} does not fit: {error}", table=table, path=path, offset=len(out)
        ) from error
