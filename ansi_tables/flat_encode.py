"""The flattened encoder of a layout: values to octets.

Only what is plainly right is written.  Anything else, from a missing member to
a number that another type holds, raises some exception; the caller then asks
:mod:`ansi_tables.interpreted`, which writes it after all or tells what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from typing import Any

from construct import Array, Struct

from ansi_tables.fields import octets_of
from ansi_tables.flat import MAX_LEVEL_FIELDS, Source, byte_order, fields_of, runs_of
from ansi_tables.tree import Leaf, Tree, size_of, unwrap
from ansi_tables.values import TableTime, UnreadTime

_NAMES = {
    "DECIMALS": {Decimal},
    "TIMES": {TableTime, UnreadTime},
    "raw_of": attrgetter("raw"),
    "joined": b"".join,
    "joined_text": "".join,
    "padded": str.zfill,
    "from_hex": bytes.fromhex,
}


def encoder(tree: Tree, title: str, max_fields: int = MAX_LEVEL_FIELDS) -> Callable[[Any], bytes]:
    """Give a function from the value of a tree to its octets; any exception: not plainly right.

    The tree must be ``flat.fixed``.
    """
    writer = _Writer(tree, title, max_fields)
    return writer.source.compiled(writer.function(tree))


class _Level:
    """The fields that one struct packs: statements, then its arguments.

    Numbers of digits and times are gathered by their size, and written together.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.codes: list[str] = []
        self.arguments: list[str] = []
        self.sized: dict[int, list[str]] = {}
        self.digits: dict[int, list[tuple[str, Leaf]]] = {}
        self.times: dict[int, list[tuple[str, Leaf]]] = {}

    def put(self, code: str, argument: str) -> None:
        """Add a field."""
        self.codes.append(code)
        self.arguments.append(argument)


class _Writer:
    """Writes the source; a statement follows for each record, array and field."""

    def __init__(self, tree: Tree, title: str, max_fields: int) -> None:
        self.order = byte_order(tree)
        self.max_fields = max_fields
        self.source = Source(title, _NAMES)

    def function(self, tree: Tree) -> str:
        """Write a function that gives the octets of a tree's value; give its name."""
        level = _Level()
        self._value(tree, "value", level)
        name = self.source.fresh("encode")
        self.source.function(f"{name}(value)", [*self._body(level), f"return {self._pack(level)}"])
        return name

    def _loop(self, element: Tree, count: int) -> str:
        """Write a function that gives the octets of an array; give its name."""
        element = unwrap(element)
        name = self.source.fresh("encode")
        body = [f"if len(items) != {count}: raise ValueError"]
        if isinstance(element, Leaf) and self._plain(element) and not element.bits:
            code = struct.Struct(f"{self.order}{count}{element.code[1]}")
            body.append(f"return {self.source.bind('pack', code.pack)}(*items)")
        else:
            level = _Level()
            self._value(element, "value", level)
            body += [
                "pieces = []",
                "for value in items:",
                *(f"    {line}" for line in self._body(level)),
                f"    pieces.append({self._pack(level)})",
                "return joined(pieces)",
            ]
        self.source.function(f"{name}(items)", body)
        return name

    def _plain(self, leaf: Leaf) -> bool:
        return leaf.code[:1] == self.order

    def _pack(self, level: _Level) -> str:
        code = struct.Struct(self.order + "".join(level.codes))
        return f"{self.source.bind('pack', code.pack)}({', '.join(level.arguments)})"

    def _body(self, level: _Level) -> list[str]:
        lines = list(level.lines)
        for size, digits in level.digits.items():
            lines += self._digits(size, digits)
        for size, times in level.times.items():
            lines += self._times(size, times, level)
        # struct would cut or pad octets of another number.
        for size, names_of_size in level.sized.items():
            lengths = f"map(len, ({', '.join(names_of_size)},))"
            lines.append(f"if set({lengths}) != {{{size}}}: raise ValueError")
        return lines

    def _value(self, tree: Tree, value: str, level: _Level) -> None:
        tree = unwrap(tree)
        if isinstance(tree, Struct):
            record = self._named("r", value, level)
            for field in tree.subcons:
                self._value(field, f"{record}[{field.name!r}]", level)
        elif isinstance(tree, Array):
            self._array(tree, value, level)
        else:
            self._leaf(tree, value, level)

    def _named(self, letter: str, value: str, level: _Level) -> str:
        if value.isidentifier():
            return value
        name = self.source.fresh(letter)
        level.lines.append(f"{name} = {value}")
        return name

    def _array(self, tree: Tree, value: str, level: _Level) -> None:
        count = int(tree.count)
        if len(level.codes) + fields_of(tree) > self.max_fields:
            level.put(f"{size_of(tree)}s", f"{self._loop(tree.subcon, count)}({value})")
            return
        names = [self.source.fresh("i") for _ in range(count)]
        level.lines.append(f"[{', '.join(names)}] = {value}")
        for name in names:
            self._value(tree.subcon, name, level)

    def _leaf(self, leaf: Leaf, value: str, level: _Level) -> None:
        if self._plain(leaf):
            bits = leaf.bits is not None
            level.put(leaf.code[1], self._bits(leaf, value, level) if bits else value)
            return
        code = f"{leaf.size}s"
        if leaf.digits or leaf.time is not None:
            name = self._named("n", value, level)
            gathered = level.digits if leaf.digits else level.times
            gathered.setdefault(leaf.size, []).append((name, leaf))
            level.put(code, f"o{name}")
            return
        if leaf.encode is not octets_of:
            value = f"{self.source.bind('f', leaf.encode)}({value})"
        octets = self._named("o", value, level)
        level.sized.setdefault(leaf.size, []).append(octets)
        level.put(code, octets)

    def _bits(self, leaf: Leaf, value: str, level: _Level) -> str:
        """Write the checks of a bit field's members; give the integer they make."""
        bits = leaf.bits or {}
        record = self._named("r", value, level)
        parts, beyond = [], []
        for name, (low, high) in bits.items():
            member = self._named("b", f"{record}[{name!r}]", level)
            beyond.append(f"{member} >> {high - low + 1}")
            parts.append(f"{member} << {low}" if low else member)
        if beyond:
            level.lines.append(f"if {' | '.join(beyond)}: raise ValueError")
        if leaf.spare:
            filler, at = self._named("b", f"{record}.get('FILLER', 0)", level), 0
            for low, count in runs_of(leaf.spare):
                parts.append(f"({filler} >> {at} & {(1 << count) - 1}) << {low}")
                at += count
        return " | ".join(parts)

    def _digits(self, size: int, found: list[tuple[str, Leaf]]) -> list[str]:
        """Write the numbers of one size that are mostly plain digits."""
        octets, singly = self._gathered(found)
        total = size * len(found)
        cut = self.source.bind("cut", struct.Struct(f"{size}s" * len(found)).unpack)
        widths = self.source.bind("widths", (2 * size,) * len(found))
        return [
            f"numbers = {', '.join(name for name, _ in found)},",
            "plain = set(map(type, numbers)) == DECIMALS",
            f"text = joined_text(map(padded, map(str, numbers), {widths})) if plain else ''",
            f"if len(text) == {2 * total} and text.isdecimal():",
            f"    {octets}, = {cut}(from_hex(text))",
            "else:",
            f"    {octets}, = {singly},",
        ]

    def _times(self, size: int, found: list[tuple[str, Leaf]], level: _Level) -> list[str]:
        """Write the times of one size, of which those that were decoded have their octets."""
        octets, singly = self._gathered(found)
        level.sized.setdefault(size, []).extend(f"o{name}" for name, _ in found)
        return [
            f"times = {', '.join(name for name, _ in found)},",
            "if TIMES.issuperset(map(type, times)):",
            f"    {octets}, = map(raw_of, times)",
            "else:",
            f"    {octets}, = {singly},",
        ]

    def _gathered(self, found: list[tuple[str, Leaf]]) -> tuple[str, str]:
        octets = ", ".join(f"o{name}" for name, _ in found)
        calls = (f"{self.source.bind('f', leaf.build)}({name})" for name, leaf in found)
        return octets, ", ".join(calls)
