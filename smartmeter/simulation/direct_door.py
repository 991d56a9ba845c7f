"""A door straight to a meter's tables: for simulations where the optical port is not the question.

The module runs the same scripts; each request is answered at once by the
device behind the port, with its access rules, and no octet of C12.18 is made.
The door also tells of changes, so that watching a quiet table costs nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from ansi_tables.errors import TableError
from protocols.c1218.client import Exchanged
from protocols.c1218.device import Device, IndexedDevice, Refused
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import LinkError, ProtocolError, RemoteProtocolError
from protocols.machine import Event
from protocols.psem.codec import PASSWORD_OCTETS, block
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    DefaultRead,
    FullRead,
    FullWrite,
    IndexRead,
    IndexWrite,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
)
from smartmeter.ssi.guard import Guard, Permission, WriteDenied, guarded
from smartmeter.ssi.meter_side import JobDone, JobFailed, Priority, Work

#: Tables that change by events only, of which the door is told.
TOLD_TABLES = frozenset((3, 76))
_OK = Response(ResponseCode.ok)


class DirectDoor:
    """Implements ``smartmeter.ssi.meter_side.MeterDoor``; ``device`` gives None without mains."""

    def __init__(
        self,
        device: Callable[[], Device | None],
        logon: LogonSettings,
        permission: Permission | None = None,
    ) -> None:
        self._device, self._logon = device, logon
        self.guard = Guard(permission)
        self.password_accepted: bool | None = None  # there is no log-on
        # What was learned of the device stays, as at a port.
        self._limits = ClientLimits()
        self._queue: list[tuple[int, int, int, object, Work]] = []
        self._order = 0
        self._running = False
        self._events: list[Event] = []

    def submit(
        self, priority: Priority, work: Work, token: object, now_us: int, rank: int = 0
    ) -> bool:
        """Do a job at once."""
        self._order += 1
        heapq.heappush(self._queue, (priority, rank, self._order, token, work))
        while self._queue and not self._running:
            _, _, _, token, work = heapq.heappop(self._queue)
            self._running = True
            try:
                self._events.append(self._done(work, token, now_us))
            finally:
                self._running = False
        return True

    def _done(self, work: Work, token: object, now_us: int) -> Event:
        device = self._device()
        if device is None:
            return JobFailed(token, LinkError("the meter has no mains"), 0)
        logon, password = self._logon, self._logon.password
        device.logon(logon.user_id, logon.user, now_us)
        if password is not None:
            device.security(password.ljust(PASSWORD_OCTETS), now_us)
        try:
            script = guarded(work(self._limits), self.guard, self._denied)
            return JobDone(token, _run(script, device, now_us), 0, Exchanged(now_us, now_us))
        except ProtocolError as error:
            return JobFailed(token, error, 0, True)
        except TableError as error:
            return JobFailed(token, RemoteProtocolError(f"a table of the meter: {error}"), 0)
        finally:
            device.session_ended(True, now_us)

    def _denied(self, event: WriteDenied) -> None:
        self._events.append(event)

    def tells_changes(self, table: int) -> bool:
        """Tell whether changes of a table are told without looking."""
        return table in TOLD_TABLES

    def ended(self) -> list[Event]:
        """Give the jobs that have ended."""
        events, self._events = self._events, []
        return events

    def receive(self, data: bytes, now_us: int) -> None:
        """Take nothing: there is no line."""

    def expire(self, now_us: int) -> None:
        """Nothing ever takes time here."""

    def deadline_us(self) -> int | None:
        """Give no deadline."""
        return None

    def outgoing(self) -> bytes:
        """Give nothing to write."""
        return b""

    def sent(self, now_us: int) -> None:
        """Nothing was sent."""

    def events(self) -> Sequence[Event]:
        """Give no change of speed."""
        return []


def _run(script: Script[Any], device: Device, now_us: int) -> Any:
    """Run a script to its end; pauses and speeds are those of a line, and pass at once."""
    try:
        step = next(script)
        while True:
            answer = _answer(step, device, now_us) if isinstance(step, Request) else _OK
            step = script.send(answer)
    except StopIteration as stop:
        return stop.value


def _by_index(device: Device) -> IndexedDevice | None:
    """Give a device that knows where its elements lie, if it says so."""
    if isinstance(device, IndexedDevice) and device.has_service(IndexRead):
        return device
    return None


def _answer(request: Request, device: Device, now_us: int) -> Response:
    try:
        match request:
            case FullRead(table):
                return Response(ResponseCode.ok, block(device.read(table, now_us)))
            case OffsetRead(table, offset, count):
                image = device.read(table, now_us)
                if offset >= len(image):
                    return Response(ResponseCode.onp)
                return Response(ResponseCode.ok, block(image[offset : offset + count]))
            case DefaultRead() if isinstance(device, IndexedDevice):
                image = device.read(device.default_table(), now_us)
                return Response(ResponseCode.ok, block(image))
            case IndexRead(table, indices, count) if knows := _by_index(device):
                image = device.read(table, now_us)
                offset, size = knows.span(table, indices, count, now_us)
                return Response(ResponseCode.ok, block(image[offset : offset + size]))
            case IndexWrite(table, indices, data) if knows := _by_index(device):
                offset, size = knows.span(table, indices, 1, now_us)
                if size != len(data):
                    return Response(ResponseCode.onp)
                device.write(table, offset, data, now_us)
            case FullWrite(table, data):
                device.write(table, None, data, now_us)
            case OffsetWrite(table, offset, data):
                device.write(table, offset, data, now_us)
            case _:
                return Response(ResponseCode.sns)
    except Refused as refusal:
        return Response(refusal.code)
    return _OK
