"""The requests that went on through a relay, and who waits for their answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

from protocols.c1222.ap_title import Arcs
from protocols.c1222.envelope import Apdu
from protocols.c1222.security import CLEAR

T = TypeVar("T")
#: What an answer says of its request: the absolute title and the invocation id of who asked.
Key = tuple[Arcs, int]
_Name = tuple[Key, Hashable]
#: Paths that wait for one answer: a node may ask again on a new connection, and anybody
#: may write another's title and id into a request.
MAX_ASKERS = 4
#: Answered requests that are remembered, for another answer.
MAX_ANSWERED = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: where it came from and went, and until when its answer is waited for."""

    came: Hashable
    went: Hashable
    apdu: Apdu
    due_us: int
    mode: int
    #: When another way is tried, if no answer has come.
    else_us: int | None = None
    #: Nobody is told if no answer comes: it was answered over another path than it went (who
    #: sent that is not proven), or it is a segment.
    answered: bool = False
    #: Where it goes next when that relay does not know the node either; None: nobody looks for it.
    next: tuple[Hashable, ...] | None = None
    #: The other way that it went when no answer had come; the answer may come by either.
    too: Hashable | None = None

    @property
    def ways(self) -> tuple[Hashable, ...]:
        """Give the ways that it went."""
        return (self.went,) if self.too is None else (self.went, self.too)


class AnswersDue:
    """At most ``capacity`` requests.  The last quarter is for paths that have asked little, so
    that nobody takes all the room.  All wait equally long, first and then elsewhere."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._asked: OrderedDict[_Name, Asked] = OrderedDict()
        #: Those that may be tried another way, in the order in which they are.
        self._else: OrderedDict[_Name, int] = OrderedDict()
        self._askers: dict[Key, list[Hashable]] = {}
        self._by_asker: dict[Hashable, set[Key]] = {}
        self._by_way: dict[Hashable, set[_Name]] = {}
        self._answered: OrderedDict[Key, list[Asked]] = OrderedDict()

    def has_room(self, came: Hashable) -> bool:
        """Tell whether one more request of a path can be remembered."""
        size = len(self._asked)
        if size < self._capacity * 3 // 4:
            return True
        return size < self._capacity and len(self._by_asker.get(came, ())) <= self._capacity // 64

    def add(self, key: Key, asked: Asked) -> tuple[Hashable, ...]:
        """Remember a request; give the ways that it goes.

        One that is repeated on its path takes the place of the first: it is tried another way
        when the first would have been, and goes both ways where the first has.
        """
        name = key, asked.came
        first = self._asked.get(name)
        if first is None:
            askers = self._askers.setdefault(key, [])
            if len(askers) >= MAX_ASKERS:
                self._remove((key, askers[0]))
                askers = self._askers.setdefault(key, [])
            askers.append(asked.came)
            self._by_asker.setdefault(asked.came, set()).add(key)
        elif first.too is not None and asked.went in first.ways:
            asked = replace(asked, went=first.went, else_us=None, too=first.too, next=first.next)
        self._put(name, asked)
        if asked.else_us is None:
            self._else.pop(name, None)
        else:
            self._else.setdefault(name, asked.else_us)
        return asked.ways

    def to_try_elsewhere(self, now_us: int) -> list[Asked]:
        """Give the requests whose other way is to be tried by now; each once."""
        found = []
        while self._else and now_us >= next(iter(self._else.values())):
            name, _ = self._else.popitem(last=False)
            found.append(self._asked[name])
        return found

    def goes_too(self, key: Key, came: Hashable, way: Hashable) -> bool:
        """A request is to go another way too; False when it waits no more, or has gone there."""
        one = self._asked.get((key, came))
        if one is None or one.too is not None or one.went == way:
            return False
        left = one.next
        if left and way in left:
            left = left[left.index(way) + 1 :]
        self._put((key, came), replace(one, else_us=None, too=way, next=left), again=False)
        return True

    def look_on(
        self, key: Key, path: Hashable, is_there: Callable[[Hashable], bool]
    ) -> list[tuple[Asked, Hashable | None]]:
        """A relay does not know a node that is looked for: give what is looked for further.

        Each with the next relay that is there still, or None where another one has been asked and
        may know it.  What is not given was asked of the last one.
        """
        found: list[tuple[Asked, Hashable | None]] = []
        for came in self._askers.get(key, ()):
            one, way = self._asked[key, came], None
            if one.next is None:
                continue
            if path not in one.ways:  # it was asked twice, as who asks repeats itself
                found.append((one, None))
                continue
            left = tuple(filter(is_there, one.next))
            if not left and one.too is None:
                continue
            if left:
                way, *rest = left
                ways = (way, one.too) if one.went == path else (one.went, way)
                one = replace(one, went=ways[0], too=ways[1], next=tuple(rest))
            else:
                one = replace(one, went=one.too if one.went == path else one.went, too=None)
            self._put((key, came), one, again=False)
            found.append((one, way))
        return found

    def is_looked_for(self, key: Key, came: Hashable, apdu: Apdu) -> bool:
        """Tell whether a request is on its round of the relays, begun from another path.

        Another one may bear its key, as anybody can write that.
        """
        others = [self._asked[key, one] for one in self._askers.get(key, ()) if one != came]
        same = (one for one in others if one.apdu.user_information == apdu.user_information)
        return any(one.next is not None for one in same)

    def is_second_try(self, key: Key, way: Hashable) -> bool:
        """Tell whether what goes by a way has gone another before, and may be answered there, or
        has been."""
        asked = [self._asked[key, came] for came in self._askers.get(key, ())]
        return any(one.too == way for one in asked or self._answered.get(key, []))

    def is_due(self, key: Key, way: Hashable) -> bool:
        """Tell whether an answer may come by a way."""
        return any(way in self._asked[key, came].ways for came in self._askers.get(key, ()))

    def take(
        self,
        key: Key,
        path: Hashable,
        is_near: Callable[[Hashable, Hashable], bool] = lambda way, path: False,
        belongs: Callable[[Asked], bool] = lambda asked: True,
    ) -> list[Asked]:
        """Give who waits for the answer that came by ``path``; the right one is waited for no more.

        Others may stand behind the same path, and guess what is asked of a node.  So an answer that
        does not belong, as it is another node's, goes on and the right one is waited for; and
        a second one to a secured request goes on too, as only who asked can check a MAC.

        Deployed nodes answer on a connection of their own.  Where who asked can check a MAC,
        such an answer goes on too, and the true one still finds its way if this was none.  In
        clear it must come from near where the request went: ``is_near`` tells that of two paths.
        """
        waiting = [self._asked[key, came] for came in self._askers.get(key, ())]
        if on_way := [one for one in waiting if path in one.ways]:
            found = [one for one in on_way if belongs(one)]
            for one in found:
                self._remove((key, one.came))
            self._remember(key, [one for one in found if one.mode != CLEAR])
            return found or on_way
        again = [one for one in self._answered.get(key, ()) if belongs(one)]
        if not key[0]:  # without a title the path is all that who asked is known by
            return [one for one in again if path in one.ways]
        waiting = [one for one in waiting if one.came != path and belongs(one)]
        waiting = [one for one in waiting if one.mode != CLEAR or is_near(one.went, path)]
        found = [replace(one, answered=True) for one in waiting]
        for one in found:
            self._asked[key, one.came] = one
        return found or [one for one in again if one.came != path]

    def _remember(self, key: Key, answered: list[Asked]) -> None:
        if answered:
            self._answered[key] = answered
            self._answered.move_to_end(key)
            if len(self._answered) > MAX_ANSWERED:
                self._answered.popitem(last=False)

    def asking(self, title: Arcs, path: Hashable) -> list[Hashable]:
        """Give the paths by which a title has asked what went by ``path``, for what has no A4."""
        came = (came for key, came in self._by_way.get(path, ()) if key[0] == title)
        return sorted(set(came), key=repr)

    def path_failed(self, path: Hashable) -> list[Asked]:
        """A path has gone: give the requests that went by it alone.

        Who asked by it waits no more.
        """
        for key in list(self._by_asker.get(path, ())):
            self._remove((key, path))
        failed = []
        for name in list(self._by_way.get(path, ())):
            one = self._asked[name]
            left = [way for way in one.ways if way != path]
            if left:
                self._put(name, replace(one, went=left[0], too=None), again=False)
            else:
                self._remove(name)
                failed.append(one)
        return [one for one in failed if not one.answered]

    def overdue(self, now_us: int) -> list[Asked]:
        """Give the requests that were not answered in time, and forget them."""
        found = []
        while self._answered and now_us >= next(iter(self._answered.values()))[0].due_us:
            self._answered.popitem(last=False)
        while self._asked:
            name, one = next(iter(self._asked.items()))
            if now_us < one.due_us:
                break
            self._remove(name)
            found.append(one)
        return [one for one in found if not one.answered]

    def deadline_us(self) -> int | None:
        """Give when the first answer is overdue, or another way is tried."""
        if not self._asked:
            return None
        due_us = next(iter(self._asked.values())).due_us
        return min(due_us, next(iter(self._else.values()), due_us))

    def _put(self, name: _Name, one: Asked, again: bool = True) -> None:
        """Enter a request in the place of its first, if there is one; ``again``: as the newest."""
        first = self._asked.get(name)
        for way in first.ways if first is not None else ():
            _discard(self._by_way, way, name)
        for way in one.ways:
            self._by_way.setdefault(way, set()).add(name)
        self._asked[name] = one
        if again:
            self._asked.move_to_end(name)

    def _remove(self, name: _Name) -> None:
        asked = self._asked.pop(name, None)
        if asked is None:
            return
        self._else.pop(name, None)
        key, came = name
        _discard(self._by_asker, came, key)
        for way in asked.ways:
            _discard(self._by_way, way, name)
        self._askers[key].remove(came)
        if not self._askers[key]:
            del self._askers[key]


def _discard(index: dict[Hashable, set[T]], name: Hashable, what: T) -> None:
    index[name].discard(what)
    if not index[name]:
        del index[name]
