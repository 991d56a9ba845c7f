"""The one meter that the module knows: each job is done there, or not at all.

A probe is moved to another meter, or the meter is exchanged: cursors, what monitors saw last and
what was learned are the old one's then.  So each job looks at the serial number in its own session;
one that only watches does so when it would have something to tell, after a session that failed, and
every few minutes.  Where another meter answers the job is not done, the
context is read anew, and all that was of the old meter is forgotten, in one commit with the alarm
that names both.  What the new one recorded before the old one was seen last is not of this place.

Nor is a job done by what a meter was before it was programmed: it may have waited at the port
while that was found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ansi_tables.meaning.identity import IDENTITY, Identity, mark_of
from ansi_tables.ssi_tables import ModuleAlarm
from protocols.c1218.scripts import read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import ServiceRefused
from protocols.machine import Event
from smartmeter.ssi.identity import AnotherContext, AnotherMeter, Lists, firsts_since
from smartmeter.ssi.memory import Memory
from smartmeter.ssi.meter_side import MeterDoor, Priority, Work
from smartmeter.ssi.reporter import Reporter

#: For so long a meter is taken for the same where sessions follow each other and only watch.
SURE_US = 300_000_000


@dataclass(frozen=True)
class MeterChanged(Event):
    """Another meter is in the place of the one that was known; both by serial number."""

    before: str
    serial: str


class KnownMeter:
    """A door that leads to one meter; ``memory`` keeps which."""

    def __init__(self, memory: Memory, reporter: Reporter, door: MeterDoor) -> None:
        self._memory, self._reporter, self._door = memory, reporter, door
        #: Whether the meter tells who it is; one that refuses is not asked in every session.
        self._tells = False
        #: Where ST-01 of the meter that was read last holds what tells it from others.
        self._places: tuple[tuple[int, int], ...] = ()
        #: A session has failed since the meter was known for sure.
        self._doubtful = False
        #: The serial number was looked at in the session of the job that ends next; and when it
        #: was looked at last.
        self._looked = False
        self._sure_us = 0
        #: Another meter that was read and is still to be taken: who, its lists, and when.
        self._other: tuple[Identity, Lists, int] | None = None

    def submit(
        self, priority: Priority, work: Work, token: object, now_us: int, rank: int = 0
    ) -> bool:
        """Queue a job for the meter that is known now; see ``MeterDoor``."""
        always = priority is not Priority.WATCH or now_us - self._sure_us >= SURE_US
        meter = self._reporter.meter
        # What the network asks for is octets; what the module makes of them it judges itself.
        known = None if priority is Priority.REQUEST or meter is None else meter.id
        job = partial(self._at, self._memory.meter, known, work, always)
        return self._door.submit(priority, job, token, now_us, rank)

    def tells_changes(self, table: int) -> bool:
        """Tell whether the host tells of every change of a table."""
        return self._door.tells_changes(table)

    def _at(
        self, mark: str, context_id: int | None, work: Work, always: bool, limits: ClientLimits
    ) -> Script[Any]:
        meter = self._reporter.meter
        if context_id is not None and (meter is None or meter.old or meter.id != context_id):
            raise AnotherContext("the meter was programmed while a job waited")
        if always or self._doubtful:
            yield from self._look(mark, limits)
        return (yield from work(limits))

    def look(self, limits: ClientLimits) -> Script[None]:
        """Look who the meter is, in the session that is open; AnotherMeter if it is not the one."""
        yield from self._look(self._memory.meter, limits)

    def _look(self, mark: str, limits: ClientLimits) -> Script[None]:
        if not mark or not self._tells:
            return
        try:
            image = yield from read_table(IDENTITY, limits)
        except ServiceRefused:
            self._tells = False
            return
        found = mark_of(image, self._places)
        if found and found != mark:
            raise AnotherMeter("another meter answers than the one that is known")
        self._looked = bool(found)

    def done(self, now_us: int) -> None:
        """A job was done; where the serial number was looked at, the meter is where it was."""
        if not self._looked:
            return
        self._looked = self._doubtful = False
        self._sure_us = now_us
        self._memory.meter_seen_s = self._reporter.utc_s(now_us) or self._memory.meter_seen_s

    def failed(self) -> None:
        """A session failed: whoever answers next is asked who it is."""
        self._doubtful, self._looked = True, False
        self._tells = bool(self._places)

    def read(self, identity: Identity | None, lists: Lists | None, now_us: int) -> None:
        """Take note of who the meter is that was read; the first ever is known silently."""
        memory = self._memory
        self._tells, self._other = identity is not None, None
        if identity is None:
            return
        self._places = identity.places
        if not memory.meter:
            memory.meter, memory.meter_serial = identity.mark, identity.serial
        if identity.mark != memory.meter:
            self._other = identity, lists or Lists(), now_us

    def take_over(self, now_us: int) -> MeterChanged | None:
        """Know another meter that was read from now on, and tell of it, in one commit."""
        if self._other is None:
            return None
        (identity, lists, read_us), self._other = self._other, None
        memory, utc_s = self._memory, self._reporter.utc_s(read_us)
        since_s = utc_s if memory.meter_seen_s is None else memory.meter_seen_s
        change = MeterChanged(memory.meter_serial, identity.serial)
        memory.forget_meter(firsts_since(lists, since_s, utc_s), lists.log_before, lists.log_last)
        memory.meter, memory.meter_serial = identity.mark, identity.serial
        memory.meter_seen_s = utc_s
        text = f"meter {change.serial}, before {change.before}"
        self._reporter.raise_own(ModuleAlarm.METER_CHANGED, text, now_us)
        self._reporter.keep()
        return change
