"""Messages at a relay whose target is being looked for: it sleeps, or has no connection now."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from protocols.c1222.ap_title import ApTitle, absolute
from protocols.c1222.envelope import Apdu
from protocols.machine import US_PER_S

#: How long a node may take to come: a short message may lie in its network for a while.
WAIT_US = 90 * US_PER_S
MAX_WAITING = 256


class Message(NamedTuple):
    """An APDU that is to go on, the path that it came by, and its octets."""

    came: Hashable
    apdu: Apdu
    octets: bytes


@dataclass(frozen=True)
class Waiting:
    """A message that waits, and until when."""

    message: Message
    due_us: int
    #: It has gone a way already, by which no answer came.
    went: bool

    @property
    def title(self) -> tuple[int, ...]:
        """Give where it is to go."""
        return absolute(self.message.apdu.called)


class WaitingRoom:
    """Holds messages while somebody is looked for."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    def take(self, message: Message, now_us: int, went: bool = False) -> bool:
        """Let a message wait, a repeated one once; False when there is no room."""
        if any(one.message == message for one in self._waiting):
            return True
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(Waiting(message, now_us + WAIT_US, went))
        return True

    def is_doubted(self, title: ApTitle) -> bool:
        """Tell whether a title is looked for because the way that was known brought no answer."""
        return any(one.went and one.title == title.absolute for one in self._waiting)

    def leave(self, title: ApTitle) -> list[Waiting]:
        """Give what waits for a title or one below it, and forget it."""
        arcs = title.absolute
        found = [one for one in self._waiting if one.title[: len(arcs)] == arcs]
        self._waiting = [one for one in self._waiting if one not in found]
        return found

    def overdue(self, now_us: int) -> list[Waiting]:
        """Give what has waited too long, and forget it."""
        found = [one for one in self._waiting if now_us >= one.due_us]
        self._waiting = self._waiting[len(found) :]
        return found

    def deadline_us(self) -> int | None:
        """Give when the first has waited too long."""
        return self._waiting[0].due_us if self._waiting else None
