"""The ways that a relay knows: those that it learned, those of its owner, where titles were
heard, and who is above.

Each kind is good for something else.  A learned way carries messages; where a title was only
heard, what comes from upstream may go, which takes nothing from anybody; and whoever has
answered from upstream is reached through us, as whoever looks for it is told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from protocols.c1222.ap_title import ApTitle, Arcs
from protocols.c1222.routes import RouteTable

#: Titles above that are remembered: masters, hosts, the next relay.
MAX_ABOVE = 1024
#: Relays below that are remembered, and those that are asked for one node.
MAX_RELAYS, MAX_ASKED = 256, 16


@dataclass(frozen=True)
class RelayOwner:
    """What the owner of a relay knows and does.

    * ``way_to``: gives the path to a title, ``members`` those to all below a title.
    * ``seek``: begins to look for a title, and tells whether there is hope; then the message
      waits until ``way_found`` or ``way_lost``.  It is asked for every message.
    * ``call``: the same for a title whose way is silent, but perhaps only slow.
    * ``moved``: is told of a title that answered by the way that was looked for.
    * ``learned``: is told of a title whose way was learned from what passed; None: of its loss.
    * ``registered``: tells of a title on a list of registrations that the owner keeps.
    * ``address_of``: the native address of a path's far end; with True our own, as seen there.
    """

    way_to: Callable[[ApTitle], Hashable | None] = lambda title: None
    members: Callable[[Arcs], set[Hashable]] = lambda prefix: set()
    seek: Callable[[ApTitle], bool] = lambda title: False
    call: Callable[[ApTitle], bool] = lambda title: False
    moved: Callable[[ApTitle, Hashable], None] = lambda title, path: None
    learned: Callable[[ApTitle, Hashable | None], None] = lambda title, path: None
    registered: Callable[[ApTitle], bool] = lambda title: False
    address_of: Callable[[Hashable, bool], bytes] = lambda path, own: b""


class Ways:
    """The ways of one relay."""

    def __init__(
        self,
        upstream: Hashable | None,
        owner: RelayOwner,
        max_routes: int,
        keep_us: int,
    ) -> None:
        self._upstream, self._owner = upstream, owner
        self.routes = RouteTable(max_routes, keep_us)
        self._heard = RouteTable(max_routes, keep_us)
        self._above = RouteTable(MAX_ABOVE, keep_us)
        #: Paths by which relays have asked who we are, the latest at the end.
        self._relays: OrderedDict[Hashable, ApTitle] = OrderedDict()

    def known(self, title: ApTitle, now_us: int) -> Hashable | None:
        """Give the path of the longest title that is the wanted one, or above it."""
        given = self._owner.way_to(title)
        return self.routes.way(title.absolute, now_us) if given is None else given

    def to(self, title: ApTitle, now_us: int) -> Hashable | None:
        """Give the way to a title: upstream where none is known."""
        known = self.known(title, now_us)
        return self._upstream if known is None else known

    def otherwise(self, title: ApTitle, came: Hashable, now_us: int) -> Hashable | None:
        """Give the way where none is known: up, and from there to where the title was heard."""
        if came != self._upstream or self._upstream is None:
            return self._upstream
        return self._heard.way(title.absolute, now_us)

    def is_above(self, title: ApTitle, now_us: int) -> bool:
        """Tell whether a title, or one that it is below, has answered from upstream."""
        return self._above.way(title.absolute, now_us) is not None

    def below(self) -> set[Hashable]:
        """Give the paths by which titles were heard or are reached, but for the way up."""
        known = {*self.routes.paths().values(), *self._heard.paths().values()}
        return known - {self._upstream}

    def relay_came(self, path: Hashable, title: ApTitle) -> None:
        """Whoever is at a path has asked who is above, as a relay does when its way up is new."""
        self._relays[path] = title
        self._relays.move_to_end(path)
        if len(self._relays) > MAX_RELAYS:
            self._relays.popitem(last=False)

    def relays(self, came: Hashable) -> tuple[Hashable, ...]:
        """Give the paths to relays that may know a node, the latest first, but where it came."""
        found = [path for path in reversed(self._relays) if path != came]
        return tuple(found[:MAX_ASKED])

    def relays_named(self, title: ApTitle, came: Hashable) -> tuple[Hashable, ...]:
        """Give the paths by which relays came under a title, the latest first, as ``relays``.

        Anybody may name himself so: it is for titles that are nobody else's.
        """
        latest = reversed(self._relays.items())
        named = [path for path, own in latest if own.absolute == title.absolute]
        return tuple(path for path in named if path != came)[:MAX_ASKED]

    def is_relay(self, path: Hashable) -> bool:
        """Tell whether a relay is at a path."""
        return path in self._relays

    def relay_in_turn(self) -> Hashable | None:
        """Give the path to the relay that was not given for longest, if there is one."""
        path = next(iter(self._relays), None)
        if path is not None:
            self._relays.move_to_end(path)
        return path

    def heard(self, title: ApTitle | None, path: Hashable, now_us: int) -> None:
        """A title has asked something that went upstream."""
        if title is not None:
            self._heard.hear(title.absolute, path, now_us)

    def answered_from_above(self, title: ApTitle | None, now_us: int) -> None:
        """A title has answered from upstream."""
        if title is not None and not self.is_above(title, now_us):
            self._above.learn(title.absolute, self._upstream, now_us)

    def moved(self, title: ApTitle, before: Hashable, path: Hashable, now_us: int) -> None:
        """A title has answered by another way than it was known by.

        Where that is the way up, the way below is only used from there, until it is heard again.
        """
        if self.routes.way(title.absolute, now_us) != before:
            return
        self.routes.forget(title.absolute)
        if path == self._upstream:
            self._heard.hear(title.absolute, before, now_us)
        else:
            self.routes.learn(title.absolute, path, now_us)

    def departed(self, title: ApTitle, path: Hashable, now_us: int) -> bool:
        """A title was given up by who is at a path; False where it was not known there."""
        is_there = self.routes.way(title.absolute, now_us) == path
        if is_there:
            self.routes.forget(title.absolute)
        return is_there

    def forget_path(self, path: Hashable) -> None:
        """A path has gone: forget what it led to."""
        self._relays.pop(path, None)
        for table in (self.routes, self._heard, self._above):
            table.forget_path(path)

    def expire(self, now_us: int) -> None:
        """Forget what has lapsed."""
        for table in (self.routes, self._heard, self._above):
            table.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when the next way lapses."""
        return self.routes.deadline_us()
