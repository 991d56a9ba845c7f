"""The solid-state meter: measures, keeps time, and serves C12.19 tables at its optical port.

A machine: bytes and instants in, bytes out.  It works only when something is
due (an interval ends) or is asked for; the load between two instants is a
function of the calendar, so nothing is lost by waiting.

Durable at each end of an interval, event, write and power failure, as one
commit: registers, load profile, event log, written tables, lock-out.  A kill
between two commits loses what flowed since the last, which the meter then
measures again from the calendar, as a real one with a hold-up capacitor would
have kept it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ansi_tables import Context, layout_for
from protocols.c1218.server import Refused, Server
from protocols.machine import Event
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram
from smartmeter.meter import profile, tables
from smartmeter.meter.access import Access
from smartmeter.meter.event_log import EventCode, EventLog
from smartmeter.meter.household import load_at
from smartmeter.meter.load_profile import OK, PARTIAL, POWER_FAILED, SKIPPED, Interval, Ring
from smartmeter.meter.procedures import run_procedure
from smartmeter.meter.registers import WUS_PER_WH, Registers

MINUTE_US = 60 * US_PER_S
STATE_PAGE = "meter"
#: Skipped intervals recorded after one outage: as many as the ring holds.
MAX_SKIPPED = profile.NBR_BLOCKS * profile.BLOCK_INTERVALS


@dataclass(frozen=True)
class MeterSettings:
    """What distinguishes one meter from the next."""

    serial: str = "SM000001"
    seed: int = 1
    interval_min: int = 15
    reader_password: bytes = b"reader"
    master_password: bytes = b"master"


class Meter:
    """A meter with its optical port as the machine's port.

    ``on_interval`` is called with each finished interval: the book that a
    simulation keeps outside the system.
    """

    def __init__(
        self,
        settings: MeterSettings,
        nvram: Nvram,
        calendar: Calendar,
        now_us: int,
        on_interval: Callable[[Interval], None] | None = None,
    ) -> None:
        self.settings = settings
        self._nvram = nvram
        self.calendar = calendar
        self._on_interval = on_interval or (lambda interval: None)
        self.mains_on = True
        self.access = Access(settings.reader_password, settings.master_password)
        self.registers = Registers()
        self.ring = Ring()
        self.log = EventLog()
        self.images = profile.configuration(settings.interval_min)
        self.images |= tables.identification(self.images, settings.serial)
        self.response = bytes(4)
        self.context = Context.from_images(self.images)
        self._interval_us = settings.interval_min * MINUTE_US
        self._common = 0
        self._interval_start = [0, 0]
        self._measured_us = self._utc_us(now_us)
        self._off_since_us = 0
        self._restore(now_us)
        self._server = Server(tables.port_of(self))

    # The machine at the optical port.

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes at the optical port; without mains nobody is there."""
        if self.mains_on:
            self.advance(now_us)
            self._server.receive(data, now_us)

    def expire(self, now_us: int) -> None:
        """End intervals and time-outs that are due."""
        if self.mains_on:
            self.advance(now_us)
            self._server.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when the next interval ends, or a time-out of the port."""
        if not self.mains_on:
            return None
        due_us = self.calendar.deadline_us(self._interval_end_us())
        port_due_us = self._server.deadline_us()
        return due_us if port_due_us is None else min(due_us, port_due_us)

    def outgoing(self) -> bytes:
        """Give bytes to write to the optical port."""
        return self._server.outgoing() if self.mains_on else b""

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self._server.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give changes of speed."""
        return self._server.events()

    # Power.

    def mains(self, on: bool, now_us: int) -> None:
        """Switch the mains.  The hold-up energy lasts to save; nothing flows without mains."""
        if on == self.mains_on:
            return
        if not on:
            self.advance(now_us)
            self.log.add(EventCode.PRIMARY_POWER_DOWN, self._utc_us(now_us) // US_PER_S)
            self._off_since_us = self._utc_us(now_us)
            self.mains_on = False
            self._save()
            return
        self.mains_on = True
        self._server = Server(tables.port_of(self))
        self.access.end()
        self._return(now_us)

    def _return(self, now_us: int) -> None:
        """Come back after an outage: close the broken interval, record the skipped ones."""
        utc_us = self._utc_us(now_us)
        end_us = self._interval_end_us()
        self._common |= POWER_FAILED
        self._measured_us = max(utc_us, self._measured_us)
        if utc_us >= end_us:
            self._end_interval(end_us, PARTIAL)
            last_us = utc_us // self._interval_us * self._interval_us
            first_us = max(end_us + self._interval_us, last_us - MAX_SKIPPED * self._interval_us)
            for skipped_us in range(first_us, last_us + 1, self._interval_us):
                self._common |= POWER_FAILED
                self._record(skipped_us, (0, 0), SKIPPED)
            self._common = POWER_FAILED
        self.log.add(EventCode.PRIMARY_POWER_UP, utc_us // US_PER_S)
        self._off_since_us = 0
        self._save()

    # Measuring.

    def _utc_us(self, now_us: int) -> int:
        utc_us = self.calendar.utc_us(now_us)
        assert utc_us is not None, "a meter has a clock from the factory"
        return utc_us

    def _interval_end_us(self) -> int:
        """Give the end of the interval that is being measured, in calendar time."""
        return (self._measured_us // self._interval_us + 1) * self._interval_us

    def advance(self, now_us: int) -> None:
        """Measure up to now; intervals that have ended are recorded and made durable."""
        utc_us = self._utc_us(now_us)
        ended = False
        while self._measured_us < utc_us:
            end_us = min(self._interval_end_us(), utc_us)
            whole = end_us == self._interval_end_us()
            self._flow(end_us)
            if whole:
                self._end_interval(end_us, PARTIAL if self._common else OK)
                ended = True
        if ended:
            self._save()

    def _flow(self, end_us: int) -> None:
        while self._measured_us < end_us:
            minute = self._measured_us // MINUTE_US
            until_us = min(end_us, (minute + 1) * MINUTE_US)
            load = load_at(self.settings.seed, minute)
            self.registers.add(load, until_us - self._measured_us)
            self._measured_us = until_us

    def _end_interval(self, end_us: int, code: int) -> None:
        """Close the interval: Wh are differences of the registers, so none is lost to rounding."""
        totals = [total // WUS_PER_WH for total in self.registers.totals_wus[:2]]
        values = tuple(new - old for new, old in zip(totals, self._interval_start, strict=True))
        self._interval_start = totals
        self._record(end_us, values, code)
        self.registers.end_demand_interval(self._interval_us, end_us // US_PER_S)

    def _record(self, end_us: int, values: tuple[int, ...], code: int) -> None:
        interval = self.ring.record(end_us // US_PER_S, values, self._common, code)
        self._common = 0
        self._on_interval(interval)

    # Tables.

    def table(self, number: int, now_us: int) -> bytes:
        """Give the image of a table as it is now; KeyError for one that is not kept here."""
        self.advance(now_us)
        value = tables.current(self, number, now_us)
        if value is None:
            return self.images[number]
        return value if isinstance(value, bytes) else self.encode(number, value)

    def encode(self, number: int, value: Any) -> bytes:
        """Encode a table in this meter's formats."""
        return layout_for(number, self.context).encode(value)

    def write_table(self, number: int, data: bytes, now_us: int) -> None:
        """Take a written table; ST-07 runs its procedure.  Refused changes nothing."""
        if number == 7:
            self.response = run_procedure(self, data, now_us)
            self._save()
            return
        if len(data) != len(self.images[number]):
            raise Refused(ResponseCode.onp)
        self.images[number] = data
        self.note(EventCode.TABLE_WRITTEN, now_us, number.to_bytes(2, "little"))

    def note(self, code: EventCode, now_us: int, argument: bytes = b"") -> None:
        """Log an event of the session's user, durably."""
        utc_s = self._utc_us(now_us) // US_PER_S
        self.log.add(code, utc_s, self.access.user_id, argument)
        self._save()

    def set_clock(self, utc_us: int, now_us: int) -> None:
        """Set the clock; the interval that runs goes on and is marked."""
        self.advance(now_us)
        forward = utc_us >= self._utc_us(now_us)
        self.calendar.set(utc_us, now_us)
        self._common |= tables.CLOCK_MARK[forward]
        if utc_us < self._measured_us or utc_us >= self._interval_end_us():
            self._end_interval(self._interval_end_us(), PARTIAL)
        self._measured_us = utc_us

    def clear_data(self) -> None:
        """Clear registers, load profile and event log (procedure 3); configuration stays."""
        self.registers.clear()
        self.ring.clear()
        self.log.clear()
        self._interval_start = [0, 0]

    # Memory.

    def keep_access(self) -> None:
        """Make the count of wrong passwords durable."""
        self._save()

    def _save(self) -> None:
        state = {
            "registers": self.registers.to_json(),
            "ring": self.ring.to_json(),
            "log": self.log.to_json(),
            "failures": self.access.failures,
            "written": {str(n): self.images[n].hex() for n in (5, 6)},
            "interval_start": self._interval_start,
            "common": self._common,
            "measured_us": self._measured_us,
            "off_since_us": self._off_since_us,
        }
        pages: dict[str, bytes | None] = {STATE_PAGE: json.dumps(state).encode()}
        for element in self.ring.changed:
            pages[f"block.{element}"] = bytes(self.ring.blocks[element])
        self.ring.changed = set()
        self._nvram.commit(pages)

    def _restore(self, now_us: int) -> None:
        page = self._nvram.get(STATE_PAGE)
        if page is None:
            self._save()
            return
        try:
            state = json.loads(page)
            blocks = {}
            for element in range(profile.NBR_BLOCKS):
                octets = self._nvram.get(f"block.{element}")
                if octets is not None:
                    blocks[element] = octets
            self.registers = Registers.from_json(state["registers"])
            self.ring.restore(state["ring"], blocks)
            self.log = EventLog.from_json(state["log"])
            self.access.failures = state["failures"]
            self.images |= {int(n): bytes.fromhex(octets) for n, octets in state["written"].items()}
            self._interval_start = state["interval_start"]
            self._common = state["common"]
            self._measured_us = state["measured_us"]
            self._off_since_us = state["off_since_us"]
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                "the meter's non-volatile memory",
                f"does not hold a meter: {error!r}",
                "start with an empty state folder",
            ) from error
        self.access.lock(now_us)
        if self._off_since_us:
            self._return(now_us)
