"""Whether a line sleeps while it rests (Q4): a lost first packet may have been lost otherwise."""

from __future__ import annotations

from protocols.quirks import Quirk, Quirks

#: Wakings after which a rest is tried without one, and after which once that was wrong.
WAKINGS_TO_DOUBT, WAKINGS_WHEN_SURE = 16, 128


class Sleep:
    """Learns from first packets whether a wake-up character is needed, and forgets it again."""

    __slots__ = ("_doubts", "_quirks", "_to_doubt", "_woken")

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._woken = 0
        self._to_doubt = WAKINGS_TO_DOUBT
        self._doubts = False

    def is_doubted(self) -> bool:
        """Tell whether a session on a line that is taken to sleep begins without a wake-up."""
        self._woken += 1
        if self._woken <= self._to_doubt or Quirk.WAKE_UP in self._quirks.assume:
            return False
        self._woken = 0
        self._quirks.forget(Quirk.WAKE_UP)
        self._doubts = True
        return True

    def was_asleep(self, asleep: bool) -> None:
        """Note whether the first packet had to be sent again, and was not refused."""
        if asleep:
            self._quirks.note(Quirk.WAKE_UP)
            if self._doubts:
                self._to_doubt = WAKINGS_WHEN_SURE
        self._doubts = False
