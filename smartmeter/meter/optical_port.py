"""The device behind the C12.18 server: access rules in front of the meter's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansi_tables import TableError
from ansi_tables.partial import part_of
from ansi_tables.procedures import INITIATE
from protocols.c1218.server import Refused
from protocols.psem.codes import ResponseCode
from protocols.psem.services import DefaultRead, OffsetRead, OffsetWrite, Request
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.procedures import INITIATE_OCTETS

if TYPE_CHECKING:
    from smartmeter.meter.meter import Meter

#: Candidates for the default read.
REGISTERS, IDENTIFICATION = 23, 1
#: Bits of ST-00.DATA_ACCESS_METHOD.
BY_OFFSET, BY_INDEX = 1, 2


class OpticalPort:
    """Implements ``protocols.c1218.server.Device`` on a meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._read_refused = False
        self._accessed: set[EventCode] = set()

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Open a session; any user may, and gets no rights by it."""
        self._meter.access.log_on(user_id)
        return ResponseCode.ok

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Check a password; wrong ones are counted and logged, and lock the port for a time."""
        access = self._meter.access
        failures = access.failures
        accepted = access.try_password(password, now_us)
        if not accepted:
            self._meter.note_refusal(now_us)
            return ResponseCode.isc if accepted is None else ResponseCode.err
        if failures:
            self._meter.keep_access()
        return ResponseCode.ok

    def read(self, table: int, now_us: int) -> bytes:
        """Give a table; iar for one that is not there or is write-only, isc without the right.

        Only the first refused read of a session is logged: a client that looks what it
        may read would wash everything else out of the log.
        """
        if table == INITIATE or not self._meter.has(table):
            raise Refused(ResponseCode.iar)
        if not all(map(self._meter.access.may_read, self._meter.shown_by(table))):
            if not self._read_refused:
                self._read_refused = True
                self._meter.note_refusal(now_us)
            raise Refused(ResponseCode.isc)
        self._note_access(EventCode.ED_ACCESSED_READ, now_us)
        return self._meter.table(table, now_us)

    def _note_access(self, code: EventCode, now_us: int) -> None:
        """Log the first read and the first write of a session."""
        if code not in self._accessed:
            self._accessed.add(code)
            self._meter.accessed(code, now_us)

    def check_write(self, table: int, now_us: int) -> None:
        """Raise Refused when the session may not write a table; ST-07 is judged by what it asks."""
        if not self._meter.writable(table):
            raise Refused(ResponseCode.iar)
        if table != INITIATE and not self._meter.access.may_write(table):
            self._meter.note_refusal(now_us)
            raise Refused(ResponseCode.isc)

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Write a table, or octets inside it; a refusal changes nothing."""
        self.check_write(table, now_us)
        if table == INITIATE:
            if offset is not None or len(data) < INITIATE_OCTETS:
                raise Refused(ResponseCode.onp)
            if not self._meter.access.may_run(self._meter.procedure_of(data)):
                self._meter.note_refusal(now_us)
                raise Refused(ResponseCode.isc)
        elif offset is not None:
            if not self._meter.has(table):  # a pending copy, of which nothing waits yet
                raise Refused(ResponseCode.onp)
            old = self._meter.table(table, now_us)
            if offset + len(data) > len(old):
                raise Refused(ResponseCode.onp)
            data = old[:offset] + data + old[offset + len(data) :]
        self._note_access(EventCode.ED_ACCESSED_WRITE, now_us)
        self._meter.write_table(table, data, now_us)

    def has_service(self, kind: type[Request]) -> bool:
        """Tell whether ST-00 announces a way of partial access; the default read is there."""
        method = self._meter.access_method
        if kind in (OffsetRead, OffsetWrite):
            return bool(method & BY_OFFSET)
        return kind is DefaultRead or bool(method & BY_INDEX)

    def span(
        self, table: int, indices: tuple[int, ...], count: int, now_us: int
    ) -> tuple[int, int]:
        """Give offset and octets of elements; onp for a position that names nothing here."""
        try:
            part = part_of(self._meter.layout(table), indices, count)
        except TableError as error:
            raise Refused(ResponseCode.onp) from error
        if part.width is not None:
            return part.offset, part.width
        if table == INITIATE:  # it is written whole, and nothing of it is kept
            raise Refused(ResponseCode.onp)
        return part.offset, len(self._meter.table(table, now_us)) - part.offset

    def default_table(self) -> int:
        """Give the registers: what most who ask without a number want (a choice of ours)."""
        return REGISTERS if self._meter.has(REGISTERS) else IDENTIFICATION

    def session_ended(self, normally: bool, now_us: int) -> None:
        """Log the end, and take the rights away."""
        if normally:
            self._meter.accessed(EventCode.COMM_TERMINATED_NORMALLY, now_us)
        else:
            self._meter.note(EventCode.COMM_TERMINATED_ABNORMALLY, now_us)
        self._meter.ended(now_us)
        self._meter.access.end()
        self._read_refused = False
        self._accessed.clear()
