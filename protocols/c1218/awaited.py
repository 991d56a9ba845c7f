"""How long a client waits for an answer, and when it pokes the device (a NAK) meanwhile."""

from __future__ import annotations


class AwaitedAnswer:
    """Nothing is awaited until ``begin``, nor after ``end``."""

    def __init__(self) -> None:
        self.due_us: int | None = None
        self.poke_due_us: int | None = None
        self._since_us = 0
        self._patience_us = 0
        self._poke_us: int | None = None
        self._gathered = 0

    @property
    def is_awaited(self) -> bool:
        """Tell whether an answer is awaited."""
        return self.due_us is not None

    def begin(self, patience_us: int, poke_us: int | None, now_us: int) -> None:
        """Await an answer for ``patience_us``; poke each ``poke_us``, if that is given."""
        self._since_us, self._patience_us, self._poke_us = now_us, patience_us, poke_us
        self.due_us = now_us + patience_us
        self._poke_later(now_us)

    def end(self) -> None:
        """Await nothing: it is there, or will not come."""
        self.due_us = self.poke_due_us = None

    def packet_passed(self, gathered: int, now_us: int) -> None:
        """Wait anew after each further packet of an answer, as a long one takes its time.

        ``gathered`` are the packets of it that are there.
        """
        is_further = gathered > self._gathered
        self._gathered = gathered
        if self.is_awaited and is_further:
            self.begin(self._patience_us, self._poke_us, now_us)

    def waited_us(self, now_us: int) -> int:
        """Give how long the answer, or its next packet, has been awaited."""
        return now_us - self._since_us

    def is_to_be_poked(self, now_us: int) -> bool:
        """Tell whether it is time to poke; True once for each time."""
        if self.poke_due_us is None or now_us < self.poke_due_us:
            return False
        self._poke_later(now_us)
        return True

    def _poke_later(self, now_us: int) -> None:
        self.poke_due_us = None if self._poke_us is None else now_us + self._poke_us
