"""A twin of a meter: serves an image at an optical port, and answers like the original.

What the image knows, the twin does: identification, what is granted in Negotiate, the code
for each table that is refused, locked or not there, services that the original lacks, and
how long it took.  What an image cannot know is ours: a wrong password is answered ``err``
(``isc`` while locked out, as by our own meter); a table is written where ST-00 says so and
the master's password was given; of the procedures that ST-00 lists, those are carried out
for which an image is enough (:mod:`smartmeter.meter.twin_procedures`), the others answered
with result 3, "conflicts with device setup".
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansi_tables import DeviceFormat, Snapshot, TableError
from ansi_tables.ids import MANUFACTURER_BIT, NUMBER_MASK
from ansi_tables.partial import part_of
from ansi_tables.procedures import INITIATE, RESPONSE, procedure_asked
from protocols.c1218.device import DeviceChoices
from protocols.c1218.server import Refused, Server, ServerOptions
from protocols.datalink.link import DEFAULT_PACKET_OCTETS
from protocols.datalink.packet import ACK, NAK, STP
from protocols.machine import Event, earliest
from protocols.psem import services
from protocols.psem.codes import ResponseCode
from protocols.psem.services import IndexRead, IndexWrite, OffsetRead, OffsetWrite, Request
from smartmeter.base.errors import SettingsError
from smartmeter.meter.access import LOG_IN, lock_out_us
from smartmeter.meter.image import MeterImage
from smartmeter.meter.procedures import INITIATE_OCTETS
from smartmeter.meter.twin_procedures import run_procedure

if TYPE_CHECKING:
    from smartmeter.meter.living import RunningOn


@dataclass
class TwinPasswords:
    """What opens a twin: ``readers`` the locked tables, ``master`` also writing."""

    readers: tuple[bytes, ...] = field(default=(b"reader",), repr=False)
    master: bytes = field(default=b"master", repr=False)
    failures: int = 0
    closed_until_us: int = 0

    def check(self, given: bytes, now_us: int) -> ResponseCode:
        """Compare in constant time, without padding; ``isc`` while locked out."""
        if now_us < self.closed_until_us:
            return ResponseCode.isc
        same = [_same(given, known) for known in (*self.readers, self.master)]
        if any(same):
            self.failures = 0
            return ResponseCode.ok
        self.failures += 1
        self.closed_until_us = now_us + lock_out_us(self.failures)
        return ResponseCode.err

    def is_master(self, given: bytes) -> bool:
        """Tell whether a password that was accepted also allows writing."""
        return _same(given, self.master)


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one.rstrip(b" \0"), other.rstrip(b" \0"))


class TwinDevice:
    """The tables of an image behind their locks; implements ``protocols.c1218.server.Device``."""

    def __init__(
        self, image: MeterImage, passwords: TwinPasswords, living: RunningOn | None = None
    ) -> None:
        self._image = image
        self._passwords = passwords
        self._living = living
        self.tables: dict[int, bytes] = dict(image.tables)
        #: Tables that were edited from outside: they do not run on.
        self.edited: set[int] = set()
        self.format = format_of(image)
        self.asked: int | None = None
        self._may_read = self._may_write = False

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Open a session; any user may."""
        return ResponseCode.ok

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Check a password in constant time; wrong ones lock the twin as they lock our meter."""
        code = self._passwords.check(password, now_us)
        if code is ResponseCode.ok:
            self._may_read, self._may_write = True, self._passwords.is_master(password)
        return code

    def read(self, table: int, now_us: int) -> bytes:
        """Give a table; else the code that the original answered."""
        self.asked = table
        if table in self._image.locked and not self._may_read:
            raise Refused(self._image.locked[table])
        if table not in self.tables:
            raise Refused(self._image.refused.get(table, self._image.unlisted))
        return self.current(table, now_us)

    def current(self, table: int, now_us: int) -> bytes:
        """Give a table as it is now, whoever asks; KeyError for one that is not there."""
        if self._living is not None and table not in self.edited:
            running = self._living.current(table, now_us)
            if running is not None:
                self.tables[table] = running
        return self.tables[table]

    def present(self, now_us: int) -> Snapshot:
        """Give the tables as they are now."""
        return Snapshot({table: self.current(table, now_us) for table in list(self.tables)})

    def put(self, table: int, image: bytes, now_us: int) -> None:
        """Replace a table; one that runs goes on from there."""
        self.tables[table] = image
        if self._living is not None:
            self._living.go_on_from(table, image, now_us)

    def move_clock(self, moved_s: int, now_us: int) -> None:
        """Set the clock of an image that runs on by so much; OverflowError where dates end."""
        assert self._living is not None
        self._living.move_clock(moved_s, now_us)

    def check_write(self, table: int, now_us: int) -> None:
        """Raise Refused when the session may not write a table; ST-07 is judged by what it asks."""
        if not self._writable(table):
            raise Refused(ResponseCode.iar)
        if table != INITIATE and not self._may_write:
            raise Refused(ResponseCode.isc)

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Write where ST-00 allows it, inside the table's present size."""
        self.check_write(table, now_us)
        if table == INITIATE:
            if offset is not None or len(data) < INITIATE_OCTETS:
                raise Refused(ResponseCode.onp)
            if not self._may_write and procedure_asked(data, self.format.data_order) != LOG_IN:
                raise Refused(ResponseCode.isc)
            answer = run_procedure(self, data, now_us)
            if answer is not None:
                self.tables[RESPONSE] = answer
            return
        if table not in self.tables:
            raise Refused(ResponseCode.iar)
        old = self.current(table, now_us)
        if offset is None:
            offset = 0
            if len(data) != len(old):
                raise Refused(ResponseCode.onp)
        if offset + len(data) > len(old):
            raise Refused(ResponseCode.onp)
        self.put(table, old[:offset] + data + old[offset + len(data) :], now_us)

    def has_service(self, kind: type[Request]) -> bool:
        """Tell whether the original has a way of partial access; writes go by reads."""
        reads = {OffsetWrite: OffsetRead, IndexWrite: IndexRead}.get(kind, kind)
        return reads.__name__ not in self._image.link.refusals

    def span(
        self, table: int, indices: tuple[int, ...], count: int, now_us: int
    ) -> tuple[int, int]:
        """Give offset and octets of elements; onp for a position that names nothing here."""
        try:
            part = part_of(Snapshot(self.tables).layout(table), indices, count)
        except TableError as error:
            raise Refused(ResponseCode.onp) from error
        whole = len(self.tables.get(table, b""))
        return part.offset, whole - part.offset if part.width is None else part.width

    def default_table(self) -> int:
        """Give the table that the original's default read gave."""
        return self._image.link.default_table

    def session_ended(self, normally: bool, now_us: int) -> None:
        """Take the rights away."""
        self.end_rights()

    def edit(self, table: int, image: bytes, now_us: int) -> None:
        """Show an image in the place of a table, which does not run on; also where none was."""
        self.edited.add(table)
        self.tables[table] = image

    def release(self, table: int) -> None:
        """Let go of a table that was edited: it is the image's again."""
        if table in self.edited:
            self.edited.remove(table)
            self.tables.pop(table)
            if table in self._image.tables:
                self.tables[table] = self._image.tables[table]

    def _writable(self, table: int) -> bool:
        if table & MANUFACTURER_BIT:
            return table & NUMBER_MASK in self.format.mfg_tbls_write
        return table in self.format.std_tbls_write

    def end_rights(self) -> None:
        """Take the rights of the session away."""
        self._may_read = self._may_write = False


def format_of(image: MeterImage) -> DeviceFormat:
    """Read ST-00 of an image; SettingsError when it is none."""
    try:
        return DeviceFormat.from_table0(image.tables[0])
    except TableError as error:
        raise SettingsError("image", str(error), "clone the meter again") from error


class Twin:
    """The machine at the twin's optical port: a C12.18 server whose octets take their time."""

    def __init__(
        self, image: MeterImage, passwords: TwinPasswords, living: RunningOn | None = None
    ) -> None:
        self.image = image
        self._living = living
        self.mains_on = True
        self.device = TwinDevice(image, passwords, living)
        self._options = ServerOptions(
            max_packet_octets=image.link.packet_octets,
            min_packet_octets=min(image.link.packet_octets, DEFAULT_PACKET_OCTETS),
            max_packets=image.link.packets,
            bauds=image.link.bauds,
            identification=image.link.identification,
            refusals={getattr(services, n): c for n, c in image.link.refusals.items()},
            choices=DeviceChoices(
                zero_count=image.link.zero_count, read_past_end=image.link.past_end
            ),
        )
        self._server = Server(self.device, self._options)
        #: What the port of before an outage had to say.
        self._untold: Sequence[Event] = ()
        self._held: deque[tuple[int, bytes]] = deque()
        self._now_us = 0

    def mains(self, on: bool, now_us: int) -> None:
        """Switch the mains: without it nobody is at the port, and a session is gone."""
        if on != self.mains_on:
            self.mains_on = on
            self._held.clear()
            self.device.session_ended(False, now_us)
            self._server.line_lost(now_us)
            self._untold = self.events()
            self._server = Server(self.device, self._options)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes at the optical port."""
        self._now_us = now_us
        if not self.mains_on:
            return
        if data[:1] == bytes([STP]):
            self._held.clear()  # the client has moved on: an answer still being made is given up
        self._server.receive(data, now_us)
        self._hold(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs; let go what has waited long enough; run on."""
        self._now_us = now_us
        if self._living is not None and now_us >= self._living.deadline_us():
            self._living.expire(now_us)
        due_us = self._server.deadline_us()
        if not self._held and due_us is not None and now_us >= due_us:
            self._server.expire(now_us)
            self._hold(now_us)

    def deadline_us(self) -> int | None:
        """Give when an answer leaves, a time-out of the port, or when it has to run on."""
        due_us = self._held[0][0] if self._held else self._server.deadline_us()
        return due_us if self._living is None else earliest(due_us, self._living.deadline_us())

    def outgoing(self) -> bytes:
        """Give the octets whose time has come."""
        out = bytearray()
        while self._held and self._held[0][0] <= self._now_us:
            out += self._held.popleft()[1]
        return bytes(out)

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self._server.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give changes of speed, once nothing waits to be sent at the old one."""
        if self._held:
            return ()
        untold, self._untold = self._untold, ()
        return (*untold, *self._server.events())

    def _hold(self, now_us: int) -> None:
        """Keep what the server says until the original would have said it."""
        data = self._server.outgoing()
        timings = self.image.timings
        due_us = now_us + timings.acknowledge_ms * 1000
        if data[:1] in (bytes([ACK]), bytes([NAK])):
            self._held.append((due_us, data[:1]))
            data = data[1:]
            asked, self.device.asked = self.device.asked, None
            slow_ms = timings.tables.get(asked, 0) if asked is not None else 0
            due_us += max(timings.answer_ms, slow_ms) * 1000
        if data:
            self._held.append((due_us, data))
