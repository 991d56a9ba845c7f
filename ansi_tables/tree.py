"""What a table definition is made of: fields, records and arrays, as a construct tree.

A tree is bound to one device and has one fixed shape: nothing in it depends on octets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from construct import Adapter, Array, Bytes, GreedyBytes, Renamed, Struct, Subconstruct

from ansi_tables.errors import TableTooLargeError, TableValueError

#: The 24-bit offset of the protocol addresses no more than this.
MAX_TABLE_OCTETS = 1 << 24
#: Values of one table that take no octets, such as times without a clock: nothing else
#: bounds their number.
MAX_EMPTY_VALUES = 1 << 18

#: A construct; the package ships no types of its own.
Tree: TypeAlias = Any


class Leaf(Adapter):  # type: ignore[misc]
    """A field that is read as a whole: so many octets, a type name, and two functions.

    ``members`` names what a path may still choose in it, as the flags of a bit field.
    The rest tells how a layout may be flattened; without it the functions are called.
    ``code``    the format of the struct module that reads the same integer, "<H"
    ``bits``    of a bit field: lowest and highest bit of each member; ``code`` reads the whole
    ``spare``   of a bit field: the bits that no member covers, which its FILLER holds
    ``digits``  true for a number that is its decimal digits, two an octet, if all are digits
    ``time``    for a time, what gives the value of its octets
    """

    members: Collection[str] = ()
    bits: Mapping[str, tuple[int, int]] | None = None
    spare: Sequence[int] = ()
    digits: bool = False
    time: Callable[[bytes], Any] | None = None

    def __init__(
        self,
        type_name: str,
        size: int,
        decode: Callable[[bytes], Any],
        encode: Callable[[Any], bytes],
        code: str = "",
    ) -> None:
        super().__init__(Bytes(size))
        self.type_name = type_name
        self.size = size
        self.decode = decode
        self.encode = encode
        self.code = code

    def _decode(self, obj: bytes, context: Any, path: Any) -> Any:
        return self.decode(obj)

    def _encode(self, obj: Any, context: Any, path: Any) -> bytes:
        octets = self.encode(obj)
        if len(octets) != self.size:
            raise TableValueError(f"{len(octets)} octets for a {self.type_name} of {self.size}")
        return octets


class Rest(Adapter):  # type: ignore[misc]
    """All octets that remain; only as the last field of a table."""

    def __init__(self, max_size: int) -> None:
        super().__init__(GreedyBytes)
        self.max_size = max_size
        self.type_name = "BINARY(*)"

    def _decode(self, obj: bytes, context: Any, path: Any) -> bytes:
        return self._encode(obj, context, path)

    def _encode(self, obj: Any, context: Any, path: Any) -> bytes:
        if len(obj) > self.max_size:
            raise TableValueError(f"{len(obj)} octets, at most {self.max_size}")
        return bytes(obj)


def record(*fields: Tree | None) -> Tree:
    """Give the fields as one record; absent ones (None) take no octets, but a number.

    ``numbers`` are those of the members, for reads by index, and ``last_number`` that
    of the last one: a member that the configuration excludes counts (from memory).
    """
    tree = Struct(*(field for field in fields if field is not None))
    tree.numbers = tuple(k for k, field in enumerate(fields) if field is not None)
    tree.last_number = len(fields) - 1
    return tree


def when(condition: object, field: Tree) -> Tree | None:
    """Give the field if the condition of the standard holds for this device."""
    return field if condition else None


def optional_tail(condition: object, field: Tree) -> Tree | None:
    """Give a member that later editions add at the end; an image may stop before it.

    STD_VERSION_NO does not reliably predict these members, so decoding accepts
    an image that ends where they begin, and encoding leaves out what is absent.
    """
    if not condition:
        return None
    field.optional_tail = True
    return field


def array(count: int, element: Tree) -> Tree:
    """Give ``count`` elements back to back, element 0 first.

    TableTooLargeError before memory is taken: for more octets than the protocol
    can address, and for values without octets beyond any sense.
    """
    if count * (size_of(element) or 0) > MAX_TABLE_OCTETS:
        raise TableTooLargeError(f"{count} elements are beyond the 24-bit offset of the protocol")
    if count * _empty_values(element) > MAX_EMPTY_VALUES:
        raise TableTooLargeError(f"{count} elements, most of them without an octet")
    return Array(count, element)


def _empty_values(tree: Tree) -> int:
    """Count the values of a tree that take no octets."""
    tree = unwrap(tree)
    if isinstance(tree, Struct):
        return sum(map(_empty_values, tree.subcons)) or size_of(tree) == 0
    if isinstance(tree, Array):
        return int(tree.count) * _empty_values(tree.subcon) or size_of(tree) == 0
    return size_of(tree) == 0


def size_of(tree: Tree) -> int | None:
    """Give the octets of a tree, or None when it ends in a rest."""
    if isinstance(tree, Renamed):
        return size_of(tree.subcon)
    if isinstance(tree, Leaf):
        return tree.size
    if isinstance(tree, Rest):
        return None
    if isinstance(tree, Array) and isinstance(tree.count, int):
        one = size_of(tree.subcon)
        return None if one is None else one * int(tree.count)
    if isinstance(tree, Struct):
        total = 0
        for field in tree.subcons:
            one = size_of(field)
            if one is None:
                return None
            total += one
        return total
    # A user's own construct: measured by construct itself, where it can be.
    try:
        return int(tree.sizeof())
    except Exception:  # a lambda of the user's may raise anything
        return None


def unwrap(tree: Tree) -> Tree:
    """Give what a name stands on."""
    while isinstance(tree, Renamed) or (
        isinstance(tree, Subconstruct) and not isinstance(tree, Adapter | Array)
    ):
        tree = tree.subcon
    return tree


def rest(max_size: int = MAX_TABLE_OCTETS) -> Tree:
    """BINARY(*): all octets that remain, at most ``max_size``; those after are trailing ones."""
    return Rest(max_size)
