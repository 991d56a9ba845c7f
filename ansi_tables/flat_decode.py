"""The flattened decoder of a layout: octets to values."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from construct import Array, Struct

from ansi_tables.flat import (
    MAX_LEVEL_FIELDS,
    Source,
    byte_order,
    elements_at_once,
    fields_of,
)
from ansi_tables.numbers import Order
from ansi_tables.tree import Leaf, Tree, size_of, unwrap
from ansi_tables.values import Record, UnreadTime

#: Every octet of two decimal digits.
_TWO_DIGITS = bytes(16 * tens + units for tens in range(10) for units in range(10))
#: Integers of one bit field whose members are kept.
MAX_PATTERNS = 256

_NAMES = {
    "Record": Record,
    "UnreadTime": UnreadTime,
    "Decimal": Decimal,
    "joined": b"".join,
    "TWO_DIGITS": _TWO_DIGITS,
}


def decoder(tree: Tree, title: str, max_fields: int = MAX_LEVEL_FIELDS) -> Callable[[bytes], Any]:
    """Give a function from the octets of a tree, all of them there, to its value.

    The tree must be ``flat.fixed``.  Octets after the tree's last are not looked at.
    """
    writer = _Writer(tree, title, max_fields)
    return writer.source.compiled(writer.function(tree))


class _Patterns(dict[int, dict[str, Any]]):
    """The members of a bit field by the integer that holds it.

    Flags and codes of a device repeat, and a dict is copied sooner than it is built.
    """

    def __init__(self, leaf: Leaf, order: Order) -> None:
        super().__init__()
        self._leaf, self._order = leaf, order

    def __missing__(self, number: int) -> dict[str, Any]:
        if len(self) >= MAX_PATTERNS:
            self.clear()
        octets = number.to_bytes(self._leaf.size, self._order)
        members = self[number] = dict(self._leaf.decode(octets))
        return members


class _Level:
    """The fields that one struct unpacks, and the statements that make records of them."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.variables: list[str] = []
        self.runs: list[_Run] = []
        self.lines: list[str] = []


class _Run:
    """Numbers of digits, all of one size, back to back: one string of octets."""

    def __init__(self, octets: str, size: int) -> None:
        self.octets = octets
        self.size = size
        self.leaves: list[Leaf] = []

    def numbers(self) -> Iterator[str]:
        """Give the variables of the numbers."""
        return (f"d{self.octets}_{index}" for index in range(len(self.leaves)))

    def singly(self, source: Source) -> Iterator[str]:
        """Give the expressions that decode each number by itself."""
        for index, leaf in enumerate(self.leaves):
            at = f"{index * self.size}:{(index + 1) * self.size}"
            yield f"{source.bind('f', leaf.decode)}({self.octets}[{at}])"


class _Writer:
    """Writes the source; an expression stands for a value, over the variables of its level."""

    def __init__(self, tree: Tree, title: str, max_fields: int) -> None:
        self.order = byte_order(tree)
        self.max_fields = max_fields
        self.source = Source(title, _NAMES)
        self._patterns: dict[int, str] = {}

    def function(self, tree: Tree) -> str:
        """Write a function that gives the value of a tree; give its name."""
        level = _Level()
        value = self._value(tree, level)
        name = self.source.fresh("decode")
        body = [*self._body(level), f"return {value}"]
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
            code = struct.Struct(f"{self.order}{count}{element.code[1]}")
            unpack = self.source.bind("unpack", code.unpack)
            self.source.function(f"{name}(data)", [f"return list({unpack}(data))"])
            return name
        at_once = elements_at_once(element, count, self.max_fields)
        level = _Level()
        values = [self._value(element, level) for _ in range(at_once)]
        each = f"for _ in range({count // at_once}):"
        if level.variables:
            unpack = self.source.bind("unpack", self._struct(level).iter_unpack)
            each = f"for {', '.join(level.variables)}, in {unpack}(data):"
        body = [*self._body(level), f"items += {', '.join(values)},"]
        loop = ["items = []", each, *(f"    {line}" for line in body), "return items"]
        self.source.function(f"{name}(data)", loop)
        return name

    def _struct(self, level: _Level) -> struct.Struct:
        return struct.Struct(self.order + "".join(level.codes))

    def _body(self, level: _Level) -> list[str]:
        sizes = dict.fromkeys(run.size for run in level.runs)
        digits = (self._digits(size, level) for size in sizes)
        return [*(line for lines in digits for line in lines), *level.lines]

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
            members = [(field.name, self._value(field, level)) for field in tree.subcons]
            return self._record(members, level)
        if isinstance(tree, Array):
            count = int(tree.count)
            if len(level.variables) + fields_of(tree) <= self.max_fields:
                items = [self._value(tree.subcon, level) for _ in range(count)]
                return f"[{', '.join(items)}]"
            loop, size = self._loop(tree.subcon, count), size_of(tree)
            return f"{loop}({self._octets(level, size or 0)})"
        return self._leaf(tree, level)

    def _record(self, members: list[tuple[str, str]], level: _Level) -> str:
        record = self.source.fresh("r")
        level.lines.append(f"{record} = Record()")
        level.lines += [f"{record}[{name!r}] = {value}" for name, value in members]
        return record

    def _plain(self, leaf: Leaf) -> bool:
        return leaf.code[:1] == self.order

    def _leaf(self, leaf: Leaf, level: _Level) -> str:
        if self._plain(leaf):
            variable = self._take(level, leaf.code[1])
            if leaf.bits is None:
                return variable
            return f"Record({self._patterns_of(leaf)}[{variable}])"
        if leaf.digits:
            return self._number_of_digits(leaf, level)
        octets = self._octets(level, leaf.size)
        if leaf.decode is bytes:
            return octets
        if leaf.time is not None:
            return f"UnreadTime({octets}, {self.source.bind('f', leaf.time)})"
        return f"{self.source.bind('f', leaf.decode)}({octets})"

    def _patterns_of(self, leaf: Leaf) -> str:
        """Give the name of a bit field's patterns: one for all elements of an array."""
        if id(leaf) not in self._patterns:
            order: Order = "little" if self.order == "<" else "big"
            self._patterns[id(leaf)] = self.source.bind("patterns", _Patterns(leaf, order))
        return self._patterns[id(leaf)]

    def _number_of_digits(self, leaf: Leaf, level: _Level) -> str:
        """Take a number that is mostly plain digits; the octets of neighbours are taken at once."""
        last = level.runs[-1] if level.runs else None
        if last and last.octets == level.variables[-1] and last.size == leaf.size:
            run = last
        else:
            run = _Run(self._octets(level, leaf.size), leaf.size)
            level.runs.append(run)
        run.leaves.append(leaf)
        level.codes[-1] = f"{len(run.leaves) * run.size}s"
        return list(run.numbers())[-1]

    def _digits(self, size: int, level: _Level) -> list[str]:
        """Write the numbers of one size, looked at all together: plain digits, or one by one."""
        runs = [run for run in level.runs if run.size == size]
        numbers = ", ".join(number for run in runs for number in run.numbers())
        singly = ", ".join(call for run in runs for call in run.singly(self.source))
        return [
            f"octets = joined(({', '.join(run.octets for run in runs)},))",
            "if not octets.translate(None, TWO_DIGITS):",
            f"    {numbers}, = map(Decimal, octets.hex(' ', {size}).split())",
            "else:",
            f"    {numbers}, = {singly},",
        ]
