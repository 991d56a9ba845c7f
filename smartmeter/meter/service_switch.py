"""The service switch: disconnect, arm, reconnect, and the rules that keep it safe.

A switch that was opened by command closes only in two steps: a command *arms*
it, and the customer presses the button.  So nobody's cooker goes on in an empty
house.  It never moves by itself when power returns, never closes while there is
voltage on the load side (somebody feeds in), and rests between two moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

#: The least time between two moves of the contacts.
REST_S = 10


class Position(StrEnum):
    """Where the contacts stand; ARMED is open, and waits for the button."""

    CLOSED = "closed"
    OPEN = "open"
    ARMED = "armed"


class Answer(Enum):
    """What became of an operation."""

    DONE = "done"
    TOO_SOON = "too soon"
    UNSAFE = "unsafe"


#: Position and operation to the next position; what is not here changes nothing.
_MOVES = {
    (Position.CLOSED, "open"): Position.OPEN,
    (Position.ARMED, "open"): Position.OPEN,
    (Position.OPEN, "arm"): Position.ARMED,
    (Position.ARMED, "press"): Position.CLOSED,
}
#: What a command that is given again is renewed in: a later one says how long it holds.
_STANDING = {Position.OPEN: "open", Position.ARMED: "arm"}


@dataclass
class ServiceSwitch:
    """State of the switch; ``until_s`` is when a timed command is undone, 0 for never."""

    position: Position = Position.CLOSED
    moved_s: int = 0
    until_s: int = 0
    load_side_voltage: bool = False

    @property
    def connected(self) -> bool:
        """Tell whether current can flow."""
        return self.position is Position.CLOSED

    def operate(self, operation: str, utc_s: int, duration_s: int = 0) -> Answer:
        """Open, arm or press the button; the answer says why nothing was done."""
        following = _MOVES.get((self.position, operation))
        if following is None:
            if operation == _STANDING.get(self.position):  # it is there already
                self.until_s = utc_s + duration_s if duration_s else 0
            return Answer.DONE
        moves = self.connected != (following is Position.CLOSED)
        if moves and utc_s < self.moved_s + REST_S:
            return Answer.TOO_SOON
        if self.load_side_voltage and following is not Position.OPEN:
            return Answer.UNSAFE
        self.position = following
        if moves:
            self.moved_s = utc_s
        self.until_s = utc_s + duration_s if duration_s else 0
        return Answer.DONE

    def expire(self, utc_s: int) -> bool:
        """Undo a timed command: what was opened is armed, what was armed opens.

        What is not safe now is tried again after a rest.
        """
        if not self.until_s or utc_s < self.until_s:
            return False
        operation = "arm" if self.position is Position.OPEN else "open"
        if self.operate(operation, utc_s) is Answer.DONE:
            return True
        self.until_s = utc_s + REST_S
        return False

    def shift(self, seconds: int) -> None:
        """Keep the times where they are in running time, after the clock was set."""
        self.moved_s += seconds if self.moved_s else 0
        self.until_s += seconds if self.until_s else 0

    def to_json(self) -> dict[str, Any]:
        """Give the state for non-volatile memory."""
        return vars(self).copy()

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> ServiceSwitch:
        """Give the switch back."""
        return cls(**{**state, "position": Position(state["position"])})
