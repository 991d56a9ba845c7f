"""The device's side of C12.18: a machine that serves the tables of a :class:`Device`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocols.c1218.session import LEGAL, SERVED, State
from protocols.datalink.link import (
    DEFAULT_PACKET_OCTETS,
    DEFAULT_PACKETS,
    Collision,
    Link,
    LinkFailed,
    MessageDelivered,
    MessageReceived,
    RepeatReceived,
)
from protocols.machine import Event, SetBaud
from protocols.psem.codec import (
    MalformedRequest,
    block,
    decode_request,
    encode_response,
)
from protocols.psem.codes import BAUD_CODES, BAUDS, ResponseCode
from protocols.psem.services import (
    FullRead,
    FullWrite,
    Identify,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
    Security,
    Wait,
)

CHANNEL_TRAFFIC_US = 6_000_000
START_BAUD = 9600
MIN_PACKET_OCTETS = 64


class Refused(Exception):
    """A device's negative answer to a read or write."""

    def __init__(self, code: ResponseCode) -> None:
        self.code = code
        super().__init__(code.name)


class Device(Protocol):
    """What stands behind a port: a meter's tables and their access rules.

    All calls carry the monotonic time, and answer at once.
    """

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        """Open a session for a user; gives no rights by itself."""

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        """Check a password of 20 octets and grant its rights."""

    def read(self, table: int, now_us: int) -> bytes:
        """Give a whole table image; raise Refused."""

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        """Write a whole table (offset None) or octets of it; raise Refused, changing nothing."""

    def session_ended(self, normally: bool, now_us: int) -> None:
        """The rights of the session are gone."""


@dataclass(frozen=True)
class ServerOptions:
    """What the device grants; the identification's version octets are configurable.

    ``identification`` is the whole answer after its code, for a device that says more.
    ``refusals`` are services that the device answers with a code in every state, as
    one that does without Negotiate, Wait or Security does.
    """

    max_packet_octets: int = 1024
    max_packets: int = 254
    bauds: tuple[int, ...] = (9600, 19200, 38400, 57600, 115200)
    version: int = 1
    revision: int = 0
    identification: bytes | None = None
    refusals: Mapping[type[Request], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Packet size, packets a message, and baud rate in force."""

    packet_octets: int = DEFAULT_PACKET_OCTETS
    packets: int = DEFAULT_PACKETS
    baud: int = START_BAUD


class Server:
    """A C12.18 device on one port.

    Defaults return, and rights end, after Terminate, after 6 s without a valid
    packet, and when an answer is not acknowledged.
    """

    def __init__(self, device: Device, options: ServerOptions | None = None) -> None:
        self._device = device
        self._options = options or ServerOptions()
        self._link = Link(Collision.GIVE_UP)
        self.state = State.BASE
        self.limits = Limits()
        self._after_delivery: Limits | None = None
        self._base_after_delivery = False
        self._traffic_due_us: int | None = None
        self._wait_us = 0
        self._events: list[Event] = []

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the port."""
        self.expire(now_us)
        self._link.receive(data, now_us)
        self._drain(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs."""
        self._link.expire(now_us)
        self._drain(now_us)
        if self._traffic_due_us is not None and now_us >= self._traffic_due_us:
            self._enter_base(now_us, normally=False)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = [due for due in (self._link.deadline_us(), self._traffic_due_us) if due is not None]
        return min(dues, default=None)

    def outgoing(self) -> bytes:
        """Give the bytes to write."""
        return self._link.outgoing()

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self._link.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give baud changes."""
        events, self._events = self._events, []
        return events

    def _drain(self, now_us: int) -> None:
        for event in self._link.events():
            if isinstance(event, MessageReceived):
                self._restart_traffic(now_us)
                self._link.identity = event.identity
                self._apply_after_delivery(now_us, acknowledged=False)
                self._serve(event.data, now_us)
            elif isinstance(event, RepeatReceived):
                self._serve_repeat(event.data, now_us)
            elif isinstance(event, MessageDelivered):
                self._restart_traffic(now_us)
                self._apply_after_delivery(now_us, acknowledged=True)
            elif isinstance(event, LinkFailed):
                self._enter_base(now_us, normally=False)

    def _serve_repeat(self, data: bytes, now_us: int) -> None:
        """Answer a repeated Identification anew: its client has started over with its toggle."""
        if data == b"\x20" and self.state is State.ID:
            self._answer(self._identification(), now_us)

    def _serve(self, data: bytes, now_us: int) -> None:
        try:
            request = decode_request(data)
        except MalformedRequest as error:
            self._answer(Response(error.answer), now_us)
            return
        if type(request) not in SERVED:
            self._answer(Response(ResponseCode.sns), now_us)
            return
        if type(request) in self._options.refusals:
            self._answer(Response(self._options.refusals[type(request)]), now_us)
            return
        following = LEGAL.get((self.state, type(request)))
        if following is None:
            self._answer(Response(ResponseCode.isss), now_us)
            return
        response = self._dispatch(request, now_us)
        if len(response.data) + 1 > self._link.max_message:
            response = Response(ResponseCode.onp)
        if response.ok:
            self._leave(following, now_us)
        self._answer(response, now_us)

    def _leave(self, following: State, now_us: int) -> None:
        if following is State.BASE:
            self._base_after_delivery = True
        elif self.state is State.SESSION and following is State.ID:
            self._device.session_ended(True, now_us)
        if following is not State.BASE:
            self.state = following
            self._restart_traffic(now_us)

    def _answer(self, response: Response, now_us: int) -> None:
        self._link.send(encode_response(response), now_us)

    def _identification(self) -> Response:
        options = self._options
        plain = bytes([0, options.version, options.revision, 0])
        return Response(ResponseCode.ok, options.identification or plain)

    def _dispatch(self, request: Request, now_us: int) -> Response:
        match request:
            case Identify():
                return self._identification()
            case Negotiate():
                return self._negotiate(request)
            case Wait(seconds):
                self._wait_us = seconds * 1_000_000
                return Response(ResponseCode.ok)
            case Logon(user_id, user):
                return Response(self._device.logon(user_id, user, now_us))
            case Security(password):
                return Response(self._device.security(password, now_us))
            case FullRead() | OffsetRead() | FullWrite() | OffsetWrite():
                try:
                    return self._table_service(request, now_us)
                except Refused as refusal:
                    return Response(refusal.code)
            case _:
                plain = type(request).__name__ in ("Terminate", "Logoff")
                return Response(ResponseCode.ok if plain else ResponseCode.sns)

    def _table_service(self, request: Request, now_us: int) -> Response:
        match request:
            case FullRead(table):
                data = self._device.read(table, now_us)
                if len(data) > 0xFFFF:
                    raise Refused(ResponseCode.onp)
                return Response(ResponseCode.ok, block(data))
            case OffsetRead(table, offset, count):
                data = self._device.read(table, now_us)
                if count == 0 or offset >= len(data):
                    raise Refused(ResponseCode.onp)
                return Response(ResponseCode.ok, block(data[offset : offset + count]))
            case FullWrite(table, data):
                self._device.write(table, None, data, now_us)
            case OffsetWrite(table, offset, data):
                self._device.write(table, offset, data, now_us)
        return Response(ResponseCode.ok)

    def _negotiate(self, request: Negotiate) -> Response:
        if not request.nbr_packets or not request.packet_size:
            return Response(ResponseCode.err)
        options = self._options
        size = max(MIN_PACKET_OCTETS, min(request.packet_size, options.max_packet_octets))
        packets = min(request.nbr_packets, options.max_packets)
        offered = [BAUDS[code] for code in request.bauds if code in BAUDS]
        baud = max((b for b in offered if b in options.bauds), default=self.limits.baud)
        self._after_delivery = Limits(size, packets, baud)
        answer = size.to_bytes(2, "big") + bytes([packets, BAUD_CODES[baud]])
        return Response(ResponseCode.ok, answer)

    def _apply_after_delivery(self, now_us: int, acknowledged: bool) -> None:
        """Let new limits or Base state begin, once the answer that granted them is through.

        A client that moved on without acknowledging has not taken the new limits over.
        """
        if self._base_after_delivery:
            self._enter_base(now_us, normally=True)
        elif self._after_delivery is not None:
            if acknowledged:
                self._set_limits(self._after_delivery)
            self._after_delivery = None

    def _set_limits(self, limits: Limits) -> None:
        self._link.set_limits(limits.packet_octets, limits.packets, limits.packet_octets)
        if limits.baud != self.limits.baud:
            self._events.append(SetBaud(limits.baud))
        self.limits = limits

    def _restart_traffic(self, now_us: int) -> None:
        """Restart the channel traffic time-out; a Wait stretches it once, after its answer."""
        if self.state is State.BASE:
            return
        self._traffic_due_us = now_us + max(CHANNEL_TRAFFIC_US, self._wait_us)
        if not self._link.busy:
            self._wait_us = 0

    def _enter_base(self, now_us: int, normally: bool) -> None:
        if self.state is State.SESSION:
            self._device.session_ended(normally, now_us)
        self.state = State.BASE
        self._traffic_due_us = None
        self._after_delivery = None
        self._base_after_delivery = False
        self._wait_us = 0
        self._link.forget()
        self._set_limits(Limits())
