"""Which packet is a copy of the last one: a meter's toggle bit may stand still (Q8)."""

from __future__ import annotations

from protocols.datalink.packet import TOGGLE, Packet
from protocols.quirks import Quirk, Quirks

#: Answers in a row in place of acknowledgments that make it the meter's way (Q5).
IMPLIED_TO_EXPECT = 2


class Copies:
    """Remembers the last packet that was taken, and what is known of the peer's toggle bit.

    A copy has the identity, the toggle bit and the checksum of the last packet.  Where the bit
    stands still, a new answer may look the same; whether one is due tells them apart, unless what
    it answers was itself sent more than once.
    """

    # A street has one for each of very many meters.
    __slots__ = (
        "_alternates",
        "_asked_anew",
        "_implied",
        "_last",
        "_quirks",
        "_repeated_before",
        "repeated",
    )

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._last: tuple[int, int, bytes] | None = None
        # A message of ours was delivered, and nothing came since.
        self._asked_anew = False
        # The peer's toggle bit was seen to change: what looks like a copy is one.
        self._alternates = False
        # Answers in a row that came where an acknowledgment was due: one may be a lost ACK.
        self._implied = 0
        # The message before was sent more than once: its answer may come as often; and the last.
        self._repeated_before = self.repeated = False

    def forget_last(self) -> None:
        """Take what comes next for new."""
        self._last = None

    def doubt(self) -> None:
        """Learn of the toggle bit anew: another meter may be there by now."""
        self._alternates = False

    def message_begins(self) -> None:
        """Note that a message of ours goes out."""
        self._asked_anew = False
        self._repeated_before, self.repeated = self.repeated, False

    def sent_again(self) -> None:
        """Note that a packet of ours goes out once more."""
        self.repeated = True

    def delivered(self) -> None:
        """Note that our message was acknowledged."""
        self._asked_anew = True
        self._implied = 0

    def answered_at_once(self) -> None:
        """Note that an answer came in place of the acknowledgment."""
        self._asked_anew = True
        self._implied += 1

    def is_copy(self, packet: Packet, checksum: bytes, sending: bool) -> bool:
        """Tell whether a packet came before; ``sending``: ours is not acknowledged yet."""
        return _mark(packet, checksum) == self._last and not self._is_new_after_all(sending)

    def take(self, packet: Packet, checksum: bytes) -> None:
        """Remember a packet as the last one."""
        self._last = _mark(packet, checksum)
        self._asked_anew = False

    def note_toggle(self, packet: Packet, begins_with_0: bool) -> None:
        """Learn from a new packet's toggle bit, before it is taken.

        ``begins_with_0``: the first bit of this peer should be 0.  That a bit differs from the last
        one proves that it alternates only between answers to us: one left over (Q6) may have any.
        """
        toggle = packet.ctrl & TOGGLE
        if self._last is None:
            if toggle and begins_with_0:
                self._quirks.note(Quirk.TOGGLE_FROM_1)
        elif self._last[1] != toggle:
            if self._asked_anew or (packet.is_multi and not packet.is_first):
                self._alternates = True
                self._quirks.forget(Quirk.TOGGLE_STUCK)
                self._quirks.forget(Quirk.SAME_ANSWER)
        elif not self._alternates:  # or a packet between the two was lost
            self._quirks.note(Quirk.TOGGLE_STUCK)

    def _is_new_after_all(self, sending: bool) -> bool:
        stuck = self._quirks.on(Quirk.TOGGLE_STUCK) or self._quirks.on(Quirk.SAME_ANSWER)
        stuck = stuck and not self._alternates
        implied = self._implied >= IMPLIED_TO_EXPECT or Quirk.IMPLIED_ACK in self._quirks.assume
        asked = self._asked_anew or (implied and sending)
        tolerated = self._quirks.tolerates(Quirk.SAME_ANSWER)
        if self._repeated_before or not (stuck and asked and tolerated):
            return False
        self._quirks.note(Quirk.SAME_ANSWER)
        return True


def _mark(packet: Packet, checksum: bytes) -> tuple[int, int, bytes]:
    return packet.identity, packet.ctrl & TOGGLE, checksum
