"""Reading a list of the meter that moves meanwhile: blocks of a ring, entries of a log.

Such a list grows, overwrites its oldest, and shifts when it is first in, first
out.  So its pointers are read before and after each few of its items, and an
item counts only when both put it in the same place.  It is kept then; the others
are read again, where the pointers say that they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from protocols.c1218.steps import Script

#: Looks at the pointers in a row after which every item had moved.
ATTEMPTS = 4


class Pointers(Protocol):
    """Where the items of a list are."""

    def place(self, number: int) -> object | None:
        """Give where an item is, in a form that can be compared; None when it is not held."""


P = TypeVar("P", bound=Pointers)
T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[P, T]):
    """Items in order without a hole, and the pointers as they were last.

    Those that were overwritten before they were read are missing at the front;
    where the hole would be later, the items end before it.  ``moved`` tells that
    what is missing moved each time that it was read.
    """

    items: Mapping[int, T]
    pointers: P
    moved: bool


def read_moving(
    look: Callable[[], Script[P]],
    read: Callable[[P, int], Script[T]],
    pointers: P,
    wanted: Sequence[int],
    at_once: int,
) -> Script[Found[P, T]]:
    """Read the items ``wanted`` (by number, oldest first).

    ``at_once`` of them are read between looks; fewer each time that all had moved.
    """
    kept: dict[int, T] = {}
    in_vain = 0
    while in_vain < ATTEMPTS and (missing := _missing(pointers, wanted, kept)):
        fresh, before = {}, pointers
        for number in missing[:at_once]:
            fresh[number] = yield from read(before, number)
        pointers = yield from look()
        steady = {n: item for n, item in fresh.items() if pointers.place(n) == before.place(n)}
        kept |= steady
        if steady:
            in_vain = 0
        else:
            in_vain, at_once = in_vain + 1, max(1, at_once // 2)
    moved = bool(_missing(pointers, wanted, kept))
    return Found(dict(_without_hole(pointers, wanted, kept)), pointers, moved)


def _missing(pointers: Pointers, wanted: Sequence[int], kept: Mapping[int, object]) -> list[int]:
    return [n for n in wanted if n not in kept and pointers.place(n) is not None]


def _without_hole(
    pointers: Pointers, wanted: Sequence[int], kept: Mapping[int, T]
) -> Iterator[tuple[int, T]]:
    begun = False
    for number in wanted:
        if number in kept:
            yield number, kept[number]
            begun = True
        elif begun or pointers.place(number) is not None:
            return
