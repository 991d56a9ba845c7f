"""Flattening: a table of fixed size as the Python that one would write for it by hand.

A definition's tree, bound to one device, is walked once.  What comes out is the
source of a function: one ``struct`` call for all the fields of a level, then
the values in their places.  An array that is too long to be written out is a
level of its own, repeated by a loop.  ``dataclasses`` makes its methods in the
same way.

This file holds what both directions share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from construct import Array, Struct

from ansi_tables.foreign import Interpreted
from ansi_tables.tree import Leaf, Rest, Tree, unwrap

#: Fields of one level: an array that goes beyond becomes a loop.
MAX_LEVEL_FIELDS = 160


class Source:
    """Python source that grows by functions, and the objects that it names."""

    def __init__(self, title: str, names: Mapping[str, Any]) -> None:
        self.title = title
        self.names = dict(names)
        self._lines: list[str] = []
        self._used = 0

    def fresh(self, letter: str) -> str:
        """Give a name that is not used yet."""
        self._used += 1
        return f"{letter}{self._used}"

    def bind(self, letter: str, value: Any) -> str:
        """Give a name for an object."""
        name = self.fresh(letter)
        self.names[name] = value
        return name

    def function(self, head: str, body: list[str]) -> None:
        """Add a function."""
        self._lines += [f"def {head}:", *(f"    {line}" for line in body)]

    def compiled(self, name: str) -> Callable[[Any], Any]:
        """Give one of the functions, ready to be called."""
        code = compile("\n".join(self._lines), f"<{self.title}, flattened>", "exec")
        exec(code, self.names)
        function: Callable[[Any], Any] = self.names[name]
        return function


def fixed(tree: Tree) -> bool:
    """Tell whether a tree can be flattened: no rest, nothing that construct itself must read."""
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        return all(map(fixed, tree.subcons))
    if isinstance(tree, Array):
        return fixed(tree.subcon)
    return not isinstance(tree, Rest | Interpreted)


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Give the kinds of fields in a tree; those of an array once."""
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        for field in tree.subcons:
            yield from leaves(field)
    elif isinstance(tree, Array):
        yield from leaves(tree.subcon)
    else:
        yield tree


def fields_of(tree: Tree) -> int:
    """Count the fields of a tree, those of arrays included."""
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        return sum(map(fields_of, tree.subcons))
    if isinstance(tree, Array):
        return int(tree.count) * fields_of(tree.subcon)
    return 1


def elements_at_once(element: Tree, count: int, max_fields: int) -> int:
    """Give how many elements of an array one turn of its loop takes, so that none is left over."""
    most = min(count, max_fields // max(1, fields_of(element)))
    return next((some for some in range(most, 0, -1) if count % some == 0), 1)


def byte_order(tree: Tree) -> str:
    """Give the mark of the struct module for the order of a tree's integers."""
    return next((leaf.code[0] for leaf in leaves(tree) if leaf.code), "<")


def runs_of(bits: Iterable[int]) -> list[tuple[int, int]]:
    """Give bits that ascend as (lowest bit, count) of each run."""
    runs: list[tuple[int, int]] = []
    for bit in bits:
        if runs and sum(runs[-1]) == bit:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((bit, 1))
    return runs
