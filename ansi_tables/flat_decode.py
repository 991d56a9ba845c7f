"""The flattened decoder of a layout: octets to values."""

from __future__ import annotations

import keyword
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from construct import Array, Struct

from ansi_tables.fields import Leaf, Tree, size_of, unwrap
from ansi_tables.flat import MAX_LEVEL_FIELDS, Source, byte_order, fields_of, spare_runs
from ansi_tables.values import Record


def decoder(tree: Tree, title: str, max_fields: int = MAX_LEVEL_FIELDS) -> Callable[[bytes], Any]:
    """Give a function from the octets of a tree, all of them there, to its value.

    The tree must be ``flat.fixed``.  Octets after the tree's last are not looked at.
    """
    writer = _Writer(tree, title, max_fields)
    return writer.source.compiled(writer.function(tree))


class _Level:
    """The fields that one struct unpacks."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.variables: list[str] = []
        self.digits: list[tuple[str, Leaf]] = []


class _Writer:
    """Writes the source; an expression stands for a value, over the variables of its level."""

    def __init__(self, tree: Tree, title: str, max_fields: int) -> None:
        self.order = byte_order(tree)
        self.max_fields = max_fields
        self.source = Source(title, {"Record": Record, "Decimal": Decimal, "joined": b"".join})

    def function(self, tree: Tree) -> str:
        """Write a function that gives the value of a tree; give its name."""
        level = _Level()
        value = self._value(tree, level)
        name = self.source.fresh("decode")
        body = [*self._digits(level), f"return {value}"]
        if level.variables:
            unpack = self.source.bind("unpack", self._struct(level).unpack_from)
            body.insert(0, f"{', '.join(level.variables)}, = {unpack}(data)")
        self.source.function(f"{name}(data)", body)
        return name

    def _loop(self, element: Tree, count: int) -> str:
        """Write a function that gives the list of an array's elements; give its name."""
        element = unwrap(element)
        name = self.source.fresh("decode")
        if isinstance(element, Leaf) and self._plain(element) and not element.bits:
            unpack = self.source.bind(
                "unpack", struct.Struct(f"{self.order}{count}{element.code[1]}").unpack
            )
            self.source.function(f"{name}(data)", [f"return list({unpack}(data))"])
            return name
        level = _Level()
        value = self._value(element, level)
        if not level.variables:
            self.source.function(f"{name}(data)", [f"return [{value} for _ in range({count})]"])
            return name
        unpack = self.source.bind("unpack", self._struct(level).iter_unpack)
        body = [
            "items = []",
            f"for {', '.join(level.variables)}, in {unpack}(data):",
            *(f"    {line}" for line in self._digits(level)),
            f"    items.append({value})",
            "return items",
        ]
        self.source.function(f"{name}(data)", body)
        return name

    def _struct(self, level: _Level) -> struct.Struct:
        return struct.Struct(self.order + "".join(level.codes))

    def _take(self, level: _Level, code: str) -> str:
        variable = self.source.fresh("v")
        level.codes.append(code)
        level.variables.append(variable)
        return variable

    def _octets(self, level: _Level, size: int) -> str:
        return self._take(level, f"{size}s") if size else "b''"

    def _value(self, tree: Tree, level: _Level) -> str:
        tree = unwrap(tree)
        if isinstance(tree, Struct):
            return _record([(field.name, self._value(field, level)) for field in tree.subcons])
        if isinstance(tree, Array):
            count = int(tree.count)
            if len(level.variables) + fields_of(tree) <= self.max_fields:
                items = [self._value(tree.subcon, level) for _ in range(count)]
                return f"[{', '.join(items)}]"
            loop, size = self._loop(tree.subcon, count), size_of(tree)
            return f"{loop}({self._octets(level, size or 0)})"
        return self._leaf(tree, level)

    def _plain(self, leaf: Leaf) -> bool:
        return leaf.code[:1] == self.order

    def _leaf(self, leaf: Leaf, level: _Level) -> str:
        if self._plain(leaf):
            variable = self._take(level, leaf.code[1])
            return _bits(leaf, variable) if leaf.bits is not None else variable
        octets = self._octets(level, leaf.size)
        if leaf.decode is bytes:
            return octets
        if leaf.digits:
            level.digits.append((octets, leaf))
            return f"d{octets}"
        return f"{self.source.bind('f', leaf.decode)}({octets})"

    def _digits(self, level: _Level) -> list[str]:
        """Write the numbers that are mostly plain digits, looked at all together."""
        if not level.digits:
            return []
        names = [octets for octets, _ in level.digits]
        slices, at = [], 0
        for _, leaf in level.digits:
            slices.append(f"digits[{at}:{at + 2 * leaf.size}]")
            at += 2 * leaf.size
        numbers = ", ".join(f"d{name}" for name in names)
        singly = [f"{self.source.bind('f', leaf.decode)}({name})" for name, leaf in level.digits]
        return [
            f"digits = joined(({', '.join(names)},)).hex()",
            "if digits.isdecimal():",
            f"    {numbers}, = map(Decimal, ({', '.join(slices)},))",
            "else:",
            f"    {numbers}, = {', '.join(singly)},",
        ]


def _record(members: list[tuple[str, str]]) -> str:
    names = [name for name, _ in members]
    if len(set(names)) == len(names) and all(map(_is_argument, names)):
        return f"Record({', '.join(f'{name}={value}' for name, value in members)})"
    # Names that a user chose may not be Python's; the last of two equal ones counts.
    return f"Record({{{', '.join(f'{name!r}: {value}' for name, value in members)}}})"


def _is_argument(name: str) -> bool:
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def _bits(leaf: Leaf, number: str) -> str:
    """Write the record of a bit field over the integer that holds it."""
    width = 8 * leaf.size

    def part(low: int, count: int) -> str:
        shifted = f"{number} >> {low}" if low else number
        return shifted if low + count == width else f"{shifted} & {(1 << count) - 1}"

    bits = leaf.bits or {}
    members = [(name, part(low, high - low + 1)) for name, (low, high) in bits.items()]
    spare, at = [], 0
    for low, count in spare_runs(bits, width):
        spare.append(f"({part(low, count)}) << {at}" if at else f"{part(low, count)}")
        at += count
    if spare:
        members.append(("FILLER", " | ".join(f"({run})" for run in spare)))
    return _record(members)
