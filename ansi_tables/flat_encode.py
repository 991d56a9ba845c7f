"""The flattened encoder of a layout: values to octets.

Only what is plainly right is written.  Anything else, from a missing member to
a number that another type holds, raises some exception; the caller then asks
:mod:`ansi_tables.interpreted`, which writes it after all or tells what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from construct import Array, Struct

from ansi_tables.fields import Leaf, Tree, size_of, unwrap
from ansi_tables.flat import MAX_LEVEL_FIELDS, Source, byte_order, fields_of, spare_runs
from ansi_tables.values import TableTime

_NAMES = {
    "TableTime": TableTime,
    "DECIMALS": {Decimal},
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
    """The fields that one struct packs: statements, then its arguments."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.codes: list[str] = []
        self.arguments: list[str] = []
        self.sized: dict[int, list[str]] = {}
        self.digits: list[tuple[str, Leaf]] = []

    def put(self, code: str, argument: str) -> None:
        """Add a field."""
        self.codes.append(code)
        self.arguments.append(argument)

    def put_octets(self, size: int, variable: str) -> None:
        """Add octets whose number is checked, since struct would cut or pad them."""
        self.put(f"{size}s", variable)
        self.sized.setdefault(size, []).append(variable)


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
            pack = self.source.bind(
                "pack", struct.Struct(f"{self.order}{count}{element.code[1]}").pack
            )
            body.append(f"return {pack}(*items)")
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
        checks = [
            f"if not {size} == {' == '.join(f'len({name})' for name in names)}: raise ValueError"
            for size, names in level.sized.items()
        ]
        return [*level.lines, *self._digits(level), *checks]

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
        name = self.source.fresh(letter)
        level.lines.append(f"{name} = {value}")
        return name

    def _array(self, tree: Tree, value: str, level: _Level) -> None:
        count = int(tree.count)
        if len(level.codes) + fields_of(tree) > self.max_fields:
            level.put(f"{size_of(tree)}s", f"{self._loop(tree.subcon, count)}({value})")
            return
        items = self._named("a", value, level)
        level.lines.append(f"if len({items}) != {count}: raise ValueError")
        names = [self.source.fresh("i") for _ in range(count)]
        if names:
            level.lines.append(f"{', '.join(names)}, = {items}")
        for name in names:
            self._value(tree.subcon, name, level)

    def _leaf(self, leaf: Leaf, value: str, level: _Level) -> None:
        if self._plain(leaf) and leaf.bits is None:
            level.put(leaf.code[1], value)
        elif self._plain(leaf):
            level.put(leaf.code[1], self._bits(leaf, value, level))
        elif leaf.encode is bytes:
            level.put_octets(leaf.size, self._named("o", value, level))
        elif leaf.digits:
            number = self._named("n", value, level)
            level.digits.append((number, leaf))
            level.put_octets(leaf.size, f"o{number}")
        elif leaf.time:
            time, write = self._named("t", value, level), self.source.bind("f", leaf.encode)
            own = f"{time}.raw if type({time}) is TableTime else {write}({time})"
            level.put_octets(leaf.size, self._named("o", own, level))
        else:
            octets = f"{self.source.bind('f', leaf.encode)}({value})"
            level.put_octets(leaf.size, self._named("o", octets, level))

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
        spare = spare_runs(bits, 8 * leaf.size)
        if spare:
            filler, at = self._named("b", f"{record}.get('FILLER', 0)", level), 0
            for low, count in spare:
                parts.append(f"({filler} >> {at} & {(1 << count) - 1}) << {low}")
                at += count
        return " | ".join(parts) or "0"

    def _digits(self, level: _Level) -> list[str]:
        """Write the numbers that are mostly plain digits, all together."""
        if not level.digits:
            return []
        numbers = ", ".join(number for number, _ in level.digits)
        octets = ", ".join(f"o{number}" for number, _ in level.digits)
        sizes = [leaf.size for _, leaf in level.digits]
        slices, at = [], 0
        for size in sizes:
            slices.append(f"octets[{at}:{at + size}]")
            at += size
        widths = self.source.bind("widths", tuple(2 * size for size in sizes))
        singly = [f"{self.source.bind('f', leaf.encode)}({name})" for name, leaf in level.digits]
        return [
            f"digits = {numbers},",
            "plain = set(map(type, digits)) == DECIMALS",
            f"text = joined_text(map(padded, map(str, digits), {widths})) if plain else ''",
            f"if len(text) == {2 * at} and text.isdecimal():",
            "    octets = from_hex(text)",
            f"    {octets}, = {', '.join(slices)},",
            "else:",
            f"    {octets}, = {', '.join(singly)},",
        ]
