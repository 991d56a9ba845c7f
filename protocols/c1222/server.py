"""The device's side of C12.22: a node that serves the tables of a :class:`NetworkDevice`.

For a device whose tables answer at once.  One that has to ask a meter first
uses :class:`~protocols.c1222.access.AccessDesk` and answers by token.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, runtime_checkable

from protocols.c1222.access import AccessDesk, Authority, Rights, Task
from protocols.c1222.identification import answer_of_node, identification
from protocols.c1222.node import Node, RequestArrived
from protocols.c1222.services import Deregister, Trace, encode_blocks
from protocols.machine import Event
from protocols.psem.codes import Refused as Refused
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    DefaultRead,
    Disconnect,
    FullRead,
    FullWrite,
    IndexRead,
    IndexWrite,
    OffsetRead,
    OffsetWrite,
)

_OK = bytes([ResponseCode.ok])
#: Standard procedures whose right two services of the network need (from memory).
DEREGISTER_PROCEDURE, DISCONNECT_PROCEDURE = 24, 25


class NetworkDevice(Authority, Protocol):
    """What stands behind a node: tables, and the rules of access to them."""

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        """Give a whole table image; raise Refused."""

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        """Write a whole table (offset None) or octets of it; raise Refused."""

    def leave(self, rights: Rights, procedure: int, now_us: int) -> None:
        """Leave the network; needs the right to a procedure: 24 told by it, 25 to disconnect.

        Raises Refused.
        """


@runtime_checkable
class IndexedTables(Protocol):
    """A device that knows where elements lie, and which table is read by default."""

    def span(
        self, table: int, indices: tuple[int, ...], count: int, rights: Rights, now_us: int
    ) -> tuple[int, int]:
        """Give offset and octets of elements; raise Refused, also without the right to read."""

    def default_table(self) -> int:
        """Give the table that is read by default."""


class Server:
    """A message machine: what is no request to the tables comes out as an event."""

    def __init__(self, node: Node, device: NetworkDevice) -> None:
        self.node = node
        self._device = device
        self._desk = AccessDesk(
            node.sessions,
            device,
            identification(node.sessions.capacity),
            clear_passwords=not node.settings.demand_security,
        )
        self._events: list[Event] = []

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU, and answer it."""
        self.node.receive(path, octets, now_us)
        for event in self.node.events():
            if isinstance(event, RequestArrived):
                items = self._desk.screen(event, now_us)
                self.node.answer(event.token, [self._item(one, now_us) for one in items], now_us)
            else:
                self._events.append(event)

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self.node.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return self.node.deadline_us()

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path, and forget them."""
        return self.node.outgoing()

    def events(self) -> list[Event]:
        """Give what happened, and forget it."""
        events, self._events = self._events, []
        return events + self.node.events()

    def _item(self, item: bytes | Task, now_us: int) -> bytes:
        if isinstance(item, bytes):
            return item
        try:
            return self._carried_out(item, now_us)
        except Refused as refused:
            return bytes([refused.code])

    def _carried_out(self, task: Task, now_us: int) -> bytes:
        """Give the answer; raise Refused."""
        device, rights = self._device, task.rights
        match task.request:
            case FullRead(table):
                return _OK + encode_blocks(device.read(table, rights, now_us))
            case OffsetRead(table, offset, count):
                image = device.read(table, rights, now_us)
                if offset >= len(image):
                    raise Refused(ResponseCode.onp)
                return _OK + encode_blocks(image[offset : offset + count])
            case FullWrite(table, data):
                device.write(table, None, data, rights, now_us)
            case OffsetWrite(table, offset, data):
                device.write(table, offset, data, rights, now_us)
            case Trace():
                return answer_of_node(task.request, self.node.title)
            case IndexRead(table, indices, count) if isinstance(device, IndexedTables):
                offset, size = device.span(table, indices, count, rights, now_us)
                image = device.read(table, rights, now_us)
                return _OK + encode_blocks(image[offset : offset + size])
            case IndexWrite(table, indices, data) if isinstance(device, IndexedTables):
                offset, size = device.span(table, indices, 1, rights, now_us)
                if size != len(data):
                    raise Refused(ResponseCode.onp)
                device.write(table, offset, data, rights, now_us)
            case DefaultRead() if isinstance(device, IndexedTables):
                image = device.read(device.default_table(), rights, now_us)
                return _OK + encode_blocks(image)
            case Disconnect():
                device.leave(rights, DISCONNECT_PROCEDURE, now_us)
                self.node.sessions.end_all()
            case Deregister(title):
                own = self.node.title
                if title is None or own is None or title.absolute != own.absolute:
                    raise Refused(ResponseCode.iar)
                device.leave(rights, DEREGISTER_PROCEDURE, now_us)
            case _:
                raise Refused(ResponseCode.sns)
        return _OK
