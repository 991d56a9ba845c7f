"""The device behind the C12.18 server: access rules in front of the meter's tables."""

from __future__ import annotations

from typing import Protocol

from protocols.c1218.server import Refused
from protocols.psem.codes import ResponseCode
from smartmeter.meter.access import Access
from smartmeter.meter.event_log import EventCode


class TableStore(Protocol):
    """What the port asks of the meter."""

    access: Access

    def has(self, number: int) -> bool:
        """Tell whether the meter has a table, or a pending copy of it."""

    def writable(self, number: int) -> bool:
        """Tell whether the meter takes writes of a table."""

    def is_log_in(self, initiate: bytes) -> bool:
        """Tell whether ST-07 is written to log in, which needs no right."""

    def ended(self, now_us: int) -> None:
        """A session has ended."""

    def table(self, number: int, now_us: int) -> bytes:
        """Give a table image as it is now."""

    def write_table(self, number: int, data: bytes, now_us: int) -> None:
        """Take a whole table image; raise Refused."""

    def note(self, code: EventCode, now_us: int, argument: bytes = b"") -> None:
        """Log an event of the session's user."""

    def keep_access(self) -> None:
        """Make the count of wrong passwords durable."""


class OpticalPort:
    """Implements ``protocols.c1218.server.Device`` on a meter."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Open a session; any user may, and gets no rights by it."""
        self._store.access.user_id = user_id
        return ResponseCode.ok

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Check a password; wrong ones are counted and logged, and lock the port for a time."""
        access = self._store.access
        accepted = access.try_password(password, now_us)
        if accepted is None:
            return ResponseCode.isc
        self._store.keep_access()
        if not accepted:
            self._store.note(EventCode.TAMPER_ATTEMPT, now_us, bytes([min(access.failures, 255)]))
        return ResponseCode.ok if accepted else ResponseCode.err

    def read(self, table: int, now_us: int) -> bytes:
        """Give a table; iar for one that is not there or is write-only, isc without the right."""
        if table == 7 or not self._store.has(table):
            raise Refused(ResponseCode.iar)
        if not self._store.access.may_read(table):
            raise Refused(ResponseCode.isc)
        return self._store.table(table, now_us)

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Write a table, or octets inside it; a refusal changes nothing."""
        if not self._store.writable(table):
            raise Refused(ResponseCode.iar)
        log_in = table == 7 and offset is None and self._store.is_log_in(data)
        if not (log_in or self._store.access.may_write(table)):
            raise Refused(ResponseCode.isc)
        if offset is not None:
            if table == 7:
                raise Refused(ResponseCode.onp)
            old = self._store.table(table, now_us)
            if offset + len(data) > len(old):
                raise Refused(ResponseCode.onp)
            data = old[:offset] + data + old[offset + len(data) :]
        self._store.write_table(table, data, now_us)

    def session_ended(self, normally: bool, now_us: int) -> None:
        """Take the rights away; an abnormal end is logged."""
        if not normally:
            self._store.note(EventCode.COMM_TERMINATED_ABNORMALLY, now_us)
        self._store.ended(now_us)
        self._store.access.end()
