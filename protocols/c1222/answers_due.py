"""The requests that went on through a relay, and who waits for their answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

from protocols.c1222.envelope import Apdu
from protocols.c1222.security import CLEAR

_Title = tuple[int, ...]
T = TypeVar("T")
#: What an answer says of its request: the absolute title and the invocation id of who asked.
Key = tuple[_Title, int]
#: Paths that wait for one answer: a node may ask again on a new connection, and anybody
#: may write another's title and id into a request.
MAX_ASKERS = 4


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
    #: The way that it went before another was tried; the answer may still come by it.
    before: Hashable | None = None
    #: Nobody is told if no answer comes: it was answered over another path than it went (who
    #: sent that is not proven), or it is a segment.
    answered: bool = False


class AnswersDue:
    """At most ``capacity`` requests.  The last quarter is for paths that have asked little, so
    that nobody takes all the room."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._asked: OrderedDict[tuple[Key, Hashable], Asked] = OrderedDict()
        #: Those that have another way, in the order in which it is tried.
        self._else: OrderedDict[tuple[Key, Hashable], int] = OrderedDict()
        self._askers: dict[Key, list[Hashable]] = {}
        self._by_asker: dict[Hashable, set[Key]] = {}
        self._by_way: dict[Hashable, set[tuple[Key, Hashable]]] = {}

    def has_room(self, came: Hashable) -> bool:
        """Tell whether one more request of a path can be remembered."""
        size = len(self._asked)
        if size < self._capacity * 3 // 4:
            return True
        return size < self._capacity and len(self._by_asker.get(came, ())) <= self._capacity // 64

    def add(self, key: Key, asked: Asked) -> None:
        """Remember a request; one that is repeated on its path takes the place of the first.

        It is tried another way when the first would have been.
        """
        first_us = self._else.get((key, asked.came))
        if first_us is not None and asked.else_us is not None:
            asked = replace(asked, else_us=first_us)
        self._remove(key, asked.came)
        askers = self._askers.setdefault(key, [])
        if len(askers) >= MAX_ASKERS:
            self._remove(key, askers[0])
            askers = self._askers.setdefault(key, [])
        askers.append(asked.came)
        self._asked[key, asked.came] = asked
        self._by_asker.setdefault(asked.came, set()).add(key)
        self._by_way.setdefault(asked.went, set()).add((key, asked.came))
        if asked.else_us is not None:
            self._else[key, asked.came] = asked.else_us

    def to_try_elsewhere(self, now_us: int) -> list[Asked]:
        """Give the requests whose other way is to be tried by now; each once."""
        due = [each for each, else_us in self._else.items() if now_us >= else_us]
        for each in due:
            del self._else[each]
        return [self._asked[each] for each in due]

    def went_elsewhere(self, key: Key, came: Hashable, way: Hashable) -> None:
        """A request went another way too."""
        one = self._asked[key, came]
        _discard(self._by_way, one.went, (key, came))
        self._by_way.setdefault(way, set()).add((key, came))
        self._asked[key, came] = replace(one, went=way, else_us=None, before=one.went)

    def is_second_try(self, key: Key, way: Hashable) -> bool:
        """Tell whether what goes by a way has gone another before, and may be answered there."""
        waiting = [self._asked[key, came] for came in self._askers.get(key, ())]
        return any(one.went == way and one.before is not None for one in waiting)

    def take(self, key: Key, path: Hashable) -> list[Asked]:
        """Give who waits for the answer that came by ``path``; the right one is waited for no more.

        Deployed nodes answer on a connection of their own.  Where who asked can check a MAC,
        such an answer goes on too, and the true one still finds its way if this was none.
        """
        waiting = [self._asked[key, came] for came in self._askers.get(key, ())]
        if found := [one for one in waiting if path in (one.went, one.before)]:
            for one in found:
                self._remove(key, one.came)
            return found
        if not key[0]:
            return []  # without a title the path is all that who asked is known by
        waiting = [one for one in waiting if one.came != path and one.mode != CLEAR]
        found = [replace(one, answered=True) for one in waiting]
        for one in found:
            self._asked[key, one.came] = one
        return found

    def asking(self, title: _Title, path: Hashable) -> list[Hashable]:
        """Give the paths by which a title has asked what went by ``path``, for what has no A4."""
        came = (came for key, came in self._by_way.get(path, ()) if key[0] == title)
        return sorted(set(came), key=repr)

    def path_failed(self, path: Hashable) -> list[Asked]:
        """A path has gone: give the requests that went by it; who asked by it waits no more."""
        for key in list(self._by_asker.get(path, ())):
            self._remove(key, path)
        went = [(each, self._asked[each]) for each in self._by_way.get(path, ())]
        for (key, came), _ in went:
            self._remove(key, came)
        return [one for _, one in went if not one.answered]

    def overdue(self, now_us: int) -> list[Asked]:
        """Give the requests that were not answered in time, and forget them."""
        found = []
        while self._asked:
            (key, came), one = next(iter(self._asked.items()))
            if now_us < one.due_us:
                break
            self._remove(key, came)
            found.append(one)
        return [one for one in found if not one.answered]

    def deadline_us(self) -> int | None:
        """Give when the first answer is overdue, or another way is tried."""
        if not self._asked:
            return None
        due_us = next(iter(self._asked.values())).due_us
        return min(due_us, next(iter(self._else.values()), due_us))

    def _remove(self, key: Key, came: Hashable) -> None:
        asked = self._asked.pop((key, came), None)
        if asked is None:
            return
        self._else.pop((key, came), None)
        _discard(self._by_asker, came, key)
        _discard(self._by_way, asked.went, (key, came))
        self._askers[key].remove(came)
        if not self._askers[key]:
            del self._askers[key]


def _discard(index: dict[Hashable, set[T]], name: Hashable, what: T) -> None:
    index[name].discard(what)
    if not index[name]:
        del index[name]
