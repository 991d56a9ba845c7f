"""Whom a called title means: this node, a group that it belongs to, or somebody else.

The rules of group titles come from one source, and captures address single
meters whose title ends in 0: so the exact title is compared first.
"""

from __future__ import annotations

from collections.abc import Set
from enum import Enum

from protocols.c1222.ap_title import BASE_ARCS, ApTitle


class Addressed(Enum):
    """How a message found this node."""

    HERE = "by its own title, or by none"
    BROADCAST = "all below a title"
    MULTICAST = "a group"
    ELSEWHERE = "not this node"

    @property
    def is_group(self) -> bool:
        """Tell whether others are meant too."""
        return self in (Addressed.BROADCAST, Addressed.MULTICAST)


def addressed(
    own: ApTitle | None, called: ApTitle | None, groups: Set[int] = frozenset()
) -> Addressed:
    """Tell whom a called title means; ``groups`` are the own multicast groups (ST-122).

    ``X.0`` is everybody below X, ``X.0.G`` the members of group G below X, where
    0 is a whole arc.  Whether X itself is meant, no source tells: here it is not.
    """
    if called is None:
        return Addressed.HERE
    if own is None:
        return Addressed.ELSEWHERE
    title, mine = called.absolute, own.absolute
    if title == mine:
        return Addressed.HERE
    # The base of relative titles ends in 0 itself and addresses nobody.
    if len(title) < 2 or title == BASE_ARCS:
        return Addressed.ELSEWHERE
    if title[-1] == 0 and _below(mine, title[:-1]):
        return Addressed.BROADCAST
    if _is_multicast(called) and title[-1] in groups and _below(mine, title[:-2]):
        return Addressed.MULTICAST
    return Addressed.ELSEWHERE


def _below(title: tuple[int, ...], prefix: tuple[int, ...]) -> bool:
    return len(title) > len(prefix) and title[: len(prefix)] == prefix


def answers_for(called: ApTitle | None, calling: ApTitle | None) -> bool:
    """Tell whether an answer from ``calling`` can belong to a request to ``called``.

    A request without a called title may be answered by anybody; one to a group
    by whoever is below it.
    """
    if called is None:
        return True
    if calling is None:
        return False
    if calling.absolute == called.absolute:
        return True
    title = called.absolute
    if title[-1:] == (0,):
        return _below(calling.absolute, title[:-1])
    return _is_multicast(called) and _below(calling.absolute, title[:-2])


def _is_multicast(title: ApTitle) -> bool:
    """Tell X.0.G, where 0 is an arc of its own and not the end of the base."""
    arcs = _below_base(title)
    return arcs[-2:-1] == (0,) and arcs[-1] != 0


def is_group(title: ApTitle) -> bool:
    """Tell a title that means many: everybody below one, or the members of a group.

    Its form does not matter, as a relay may change that; but it is below our base, for
    elsewhere there are single meters whose title ends in 0.
    """
    return 0 in _below_base(title)[-2:]


def _below_base(title: ApTitle) -> tuple[int, ...]:
    """Give the arcs of the relative form; none for a title that has no such form."""
    size = len(BASE_ARCS)
    return title.absolute[size:] if title.absolute[:size] == BASE_ARCS else ()
