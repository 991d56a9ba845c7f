"""What a node secures its own messages with: ids and stamps, of which no pair comes twice."""

from __future__ import annotations

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Lock
from protocols.c1222.keys import KeyRing, SecurityState
from protocols.c1222.security import MAX_KEY_USES
from protocols.errors import LocalProtocolError
from protocols.machine import US_PER_S, UtcClock


class Locks:
    """Gives the invocation ids of one node, and locks whose IV is the time.

    Under one key no pair of IV and id may come twice.  Ids go on, and IVs do not go back: after
    a clock was set back they stand still, and the ids alone tell pairs apart.
    """

    def __init__(self, keys: KeyRing, clock: UtcClock, state: SecurityState) -> None:
        self._keys, self._clock = keys, clock
        #: The invocation id that is taken next.
        self.next_id = state.next_invocation_id
        self._last_iv = state.last_iv

    @property
    def state(self) -> SecurityState:
        """Give what must survive a restart."""
        return SecurityState(self.next_id, self._last_iv)

    def take_id(self) -> int:
        """Give an invocation id that was never used."""
        own = self.next_id
        self.next_id = own % 0xFFFFFFFF + 1
        return own

    def clock_set(self) -> None:
        """The clock was set: stamps follow it, also back.

        Only for a node that never uses an invocation id twice: IVs come again where the clock
        went back, and then the id alone keeps the pair (IV, id) from repeating.
        """
        self._last_iv = 0

    def lock(self, peer: ApTitle | None, key_id: int, mode: int, now_us: int) -> Lock:
        """Give the lock of a message to a peer, stamped with the time.

        LocalProtocolError without a key or a time, and where the key is used up.
        """
        cipher = self._keys.key(peer, key_id)
        utc_us = self._clock.utc_us(now_us)
        if cipher is None or utc_us is None:
            raise LocalProtocolError("no key for this peer" if cipher is None else "clock not set")
        if cipher.uses >= MAX_KEY_USES:
            raise LocalProtocolError(f"key {key_id} is used up: change it")
        self._last_iv = max(self._last_iv, utc_us // US_PER_S)
        return Lock(cipher, key_id, self._last_iv.to_bytes(4, "big"), mode)
