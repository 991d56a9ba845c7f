"""What a link can do to APDUs: each a wrapper that stacks, in any order and any number.

Chance is a seeded source of the caller's: the same seed does the same to the
same APDUs.
"""

from __future__ import annotations

import heapq
from random import Random

from protocols.c1222.builder import NOTIFICATION
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.machine import earliest
from smartmeter.network.carrier import Wrapper

#: What waits before a slow link at most, if its settings say nothing.
DEFAULT_QUEUE_OCTETS = 65_536
#: How long an APDU that loses its place is held back.
REORDER_US = 2_000_000


class Holding(Wrapper):
    """A wrapper that passes APDUs on later, each at an instant of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[tuple[int, int, bool, bytes]] = []
        self._order = 0

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Take an APDU, behind what has become due before."""
        self._pass_on(now_us)
        due_us = self.due_us(octets, outward, now_us)
        if due_us is None:
            self.lost += 1
            return
        self._order += 1
        heapq.heappush(self._held, (due_us, self._order, outward, octets))
        self._pass_on(now_us)

    def due_us(self, octets: bytes, outward: bool, now_us: int) -> int | None:
        """Give when an APDU passes; None loses it."""
        return now_us

    def arrived(self, now_us: int) -> list[tuple[bool, bytes]]:
        """Give what is through."""
        self._pass_on(now_us)
        return self.inner.arrived(now_us)

    def deadline_us(self) -> int | None:
        """Give when the next APDU moves on."""
        return earliest(self.inner.deadline_us(), self._held[0][0] if self._held else None)

    @property
    def holds(self) -> bool:
        """Tell whether anything waits here."""
        return bool(self._held)

    def let_go(self, now_us: int) -> None:
        """Pass on whatever is held, in its order."""
        while self._held:
            due_us, _, outward, octets = heapq.heappop(self._held)
            self.inner.put(octets, outward, min(due_us, now_us))

    def _pass_on(self, now_us: int) -> None:
        while self._held and self._held[0][0] <= now_us:
            due_us, _, outward, octets = heapq.heappop(self._held)
            self.inner.put(octets, outward, due_us)


class Latency(Holding):
    """Every APDU takes a while, by chance up to ``jitter_us`` longer: one may overtake another."""

    def __init__(self, delay_us: int, jitter_us: int, chance: Random) -> None:
        super().__init__()
        self._delay_us, self._jitter_us, self._chance = delay_us, jitter_us, chance

    def due_us(self, octets: bytes, outward: bool, now_us: int) -> int | None:
        """Give when an APDU passes."""
        jitter_us = self._chance.randrange(self._jitter_us) if self._jitter_us else 0
        return now_us + self._delay_us + jitter_us


class Rate(Holding):
    """A line of so many bits a second, one APDU after the other in each direction.

    What finds the queue before it full is lost.
    """

    def __init__(self, rate_bps: int, queue_octets: int = DEFAULT_QUEUE_OCTETS) -> None:
        super().__init__()
        self._rate_bps, self._queue_octets = rate_bps, queue_octets
        self._free_us = {True: 0, False: 0}

    def due_us(self, octets: bytes, outward: bool, now_us: int) -> int | None:
        """Give when the last bit of an APDU has passed."""
        begin_us = max(now_us, self._free_us[outward])
        waiting = (begin_us - now_us) * self._rate_bps // 8_000_000
        if waiting + len(octets) > self._queue_octets:
            return None
        self._free_us[outward] = begin_us + len(octets) * 8_000_000 // self._rate_bps
        return self._free_us[outward]


class DutyCycle(Holding):
    """A link that is up for ``open_us`` of every ``period_us``; between, APDUs wait."""

    def __init__(self, period_us: int, open_us: int, offset_us: int = 0) -> None:
        super().__init__()
        self._period_us, self._open_us, self._offset_us = period_us, open_us, offset_us

    def due_us(self, octets: bytes, outward: bool, now_us: int) -> int | None:
        """Give when the link is up."""
        within_us = (now_us - self._offset_us) % self._period_us
        return now_us if within_us < self._open_us else now_us - within_us + self._period_us


class Reordering(Holding):
    """So many APDUs of a hundred are held back, so that others overtake them."""

    def __init__(self, percent: int, chance: Random) -> None:
        super().__init__()
        self._percent, self._chance = percent, chance

    def due_us(self, octets: bytes, outward: bool, now_us: int) -> int | None:
        """Give when an APDU passes."""
        held = self._chance.randrange(100) < self._percent
        return now_us + REORDER_US if held else now_us


class Loss(Wrapper):
    """So many APDUs of a hundred are lost."""

    def __init__(self, percent: int, chance: Random) -> None:
        super().__init__()
        self._percent, self._chance = percent, chance

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Lose an APDU, or pass it on."""
        if self._chance.randrange(100) < self._percent:
            self.lost += 1
        else:
            self.inner.put(octets, outward, now_us)


class Repetition(Wrapper):
    """So many APDUs of a hundred come twice."""

    def __init__(self, percent: int, chance: Random) -> None:
        super().__init__()
        self._percent, self._chance = percent, chance

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Pass an APDU on, perhaps twice."""
        for _ in range(2 if self._chance.randrange(100) < self._percent else 1):
            self.inner.put(octets, outward, now_us)


class Corruption(Wrapper):
    """One bit of so many APDUs of a hundred is flipped."""

    def __init__(self, percent: int, chance: Random) -> None:
        super().__init__()
        self._percent, self._chance = percent, chance

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Pass an APDU on, perhaps with a wrong bit."""
        if octets and self._chance.randrange(100) < self._percent:
            octets = flipped(octets, self._chance.randrange(len(octets) * 8))
        self.inner.put(octets, outward, now_us)


def flipped(octets: bytes, bit: int) -> bytes:
    """Give octets with one bit the other way; bit 0 is the lowest of the first octet."""
    place = bit // 8
    return octets[:place] + bytes([octets[place] ^ 1 << bit % 8]) + octets[place + 1 :]


class Partition(Wrapper):
    """Nothing passes."""

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Lose an APDU."""
        self.lost += 1


class Muted(Wrapper):
    """A SmartMeter that no longer reports by itself, but answers when it is asked.

    Notifications are known by their AE-qualifier, which travels in clear.
    """

    def put(self, octets: bytes, outward: bool, now_us: int) -> None:
        """Lose notifications on their way out."""
        if outward and is_notification(octets):
            self.lost += 1
        else:
            self.inner.put(octets, outward, now_us)


def is_notification(octets: bytes) -> bool:
    """Tell whether octets are an APDU with the notification bit."""
    try:
        return bool((decode_apdu(octets).ae_qualifier or 0) & NOTIFICATION)
    except ApduRejected:
        return False
