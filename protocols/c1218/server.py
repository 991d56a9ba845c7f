"""The device's side of C12.18: a machine that serves the tables of a :class:`Device`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.c1218.device import Device as Device
from protocols.c1218.device import GuardedDevice, IndexedDevice
from protocols.c1218.device import Refused as Refused
from protocols.c1218.device import ServerOptions as ServerOptions
from protocols.c1218.session import LEGAL, SERVED, State
from protocols.datalink.link import (
    DEFAULT_PACKET_OCTETS,
    DEFAULT_PACKETS,
    Collision,
    Link,
    LinkFailed,
    MessageDelivered,
    MessageReceived,
    PacketDamaged,
    PacketPassed,
    RepeatReceived,
)
from protocols.errors import LocalProtocolError
from protocols.machine import US_PER_S, Event, SetBaud, earliest
from protocols.psem.codec import (
    MAX_BLOCK_OCTETS,
    ChecksumMismatch,
    MalformedRequest,
    block,
    decode_request,
    encode_request,
    encode_response,
    request_type,
)
from protocols.psem.codes import BAUD_CODES, BAUDS, START_BAUD, ResponseCode
from protocols.psem.services import (
    READS,
    WRITES,
    DefaultRead,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    IndexWrite,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
    Security,
    Terminate,
    Wait,
)
from protocols.quirks import Quirk, Quirks

#: What a device may lack: ST-00 says which partial access it has.
PARTIAL = (OffsetRead, OffsetWrite, IndexRead, IndexWrite, DefaultRead)
_OK = Response(ResponseCode.ok)


@dataclass(frozen=True)
class Limits:
    """Packet size, packets a message, and baud rate in force."""

    packet_octets: int = DEFAULT_PACKET_OCTETS
    packets: int = DEFAULT_PACKETS
    baud: int = START_BAUD


class Server:
    """A C12.18 device on one port; ``c1221`` builds on it.

    Defaults return, and rights end, after Terminate, after 6 s without a valid
    packet, and when an answer is not acknowledged.
    """

    #: (state, request) to the state after an ``ok``, and the requests that are known at all.
    legal, served = LEGAL, SERVED

    def __init__(self, device: Device, options: ServerOptions | None = None) -> None:
        self._device = device
        #: The device, if it knows the structure of its tables.
        self._indexed = device if isinstance(device, IndexedDevice) else None
        self._options = options or ServerOptions()
        self._link = Link(
            Collision.GIVE_UP,
            timing=self._options.timing,
            quirks=Quirks(strict=frozenset(Quirk) - self._options.tolerates),
            choices=self._options.link_choices,
        )
        self.state = State.BASE
        self.limits = Limits()
        self._after_delivery: Limits | None = None
        self._base_after_delivery = False
        self._ending = False
        self._traffic_due_us: int | None = None
        self._traffic_us = self._options.traffic_us
        self._wait_us = 0
        self._events: list[Event] = []

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the port."""
        self.expire(now_us)
        for event in self._link.receive(data, now_us):
            self._heed(event, now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs."""
        self._link.expire(now_us)
        for event in self._link.events():
            self._heed(event, now_us)
        due_us = self._silence_due_us()
        if due_us is not None and now_us >= due_us:
            self._enter_base(now_us, normally=False)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(self._link.deadline_us(), self._silence_due_us())

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

    def line_lost(self, now_us: int) -> None:
        """Nobody is at the line any more: a session ends, and Base state begins."""
        self._enter_base(now_us, normally=False)

    def terminate(self, now_us: int) -> None:
        """End the session from the device's side; LocalProtocolError while an answer is out."""
        if self.state is State.BASE:
            return
        if self._link.busy:
            raise LocalProtocolError("an answer is on its way; end the session after it")
        self._ending = True
        self._link.send(encode_request(Terminate()), now_us)

    def _heed(self, event: Event, now_us: int) -> None:
        if isinstance(event, PacketPassed):
            self._restart_traffic(now_us)
        elif isinstance(event, MessageReceived):
            self._link.identity = event.identity
            self._apply_after_delivery(now_us, acknowledged=False)
            self._serve(event.data, now_us)
        elif isinstance(event, RepeatReceived):
            self._serve_repeat(event.data, now_us)
        elif isinstance(event, MessageDelivered):
            self._apply_after_delivery(now_us, acknowledged=True)
        elif isinstance(event, LinkFailed):
            self._enter_base(now_us, normally=False)
        elif isinstance(event, PacketDamaged) and self._options.choices.bad_packets_are_traffic:
            self._restart_traffic(now_us)

    def _serve_repeat(self, data: bytes, now_us: int) -> None:
        """Answer a repeated Identification anew: its client has started over with its toggle.

        In a session it is refused anew: bare acknowledgments would hold the session open for ever.
        """
        if data == encode_request(Identify()) and self.state is not State.BASE:
            fresh = self.state is State.ID
            self._answer(self._identification() if fresh else self._respond(data, now_us), now_us)

    def _serve(self, data: bytes, now_us: int) -> None:
        if self._ending and data[0] <= 0x1F:
            self._enter_base(now_us, normally=True)  # the client's answer to our Terminate
            return
        self._answer(self._respond(data, now_us), now_us)

    def _respond(self, data: bytes, now_us: int) -> Response:
        """Give the answer to a request, by the order in which refusals go before each other."""
        kind = request_type(data[0])
        if kind not in self.served or not self._implements(kind):
            return Response(ResponseCode.sns)
        if kind in self._options.refusals:
            return Response(self._options.refusals[kind])
        following = self.legal.get((self.state, kind))
        if following is None:
            return Response(ResponseCode.isss)
        try:
            response = self._dispatch(decode_request(data), now_us)
        except MalformedRequest as error:
            response = self._malformed(kind, data, error, now_us)
        except Refused as refusal:
            response = Response(refusal.code)
        if len(response.data) + 1 > self._link.max_message:
            return Response(ResponseCode.onp)
        if response.ok:
            self._leave(following, now_us)
        return response

    def _implements(self, kind: type[Request]) -> bool:
        if kind not in PARTIAL:
            return True
        if self._indexed is not None:
            return self._indexed.has_service(kind)
        return kind in (OffsetRead, OffsetWrite)

    def _malformed(
        self, kind: type[Request], data: bytes, error: MalformedRequest, now_us: int
    ) -> Response:
        """Refuse what does not fit; an unknown table or a missing right goes before it."""
        try:
            table, named = int.from_bytes(data[1:3], "big"), len(data) >= 3
            if kind in WRITES and named and isinstance(self._device, GuardedDevice):
                self._device.check_write(table, now_us)
            elif kind in READS and named:
                self._device.read(table, now_us)
        except Refused as refusal:
            return Response(refusal.code)
        wrong_sum = isinstance(error, ChecksumMismatch)
        return Response(self._options.choices.bad_checksum if wrong_sum else error.answer)

    def _leave(self, following: State, now_us: int) -> None:
        if following is State.BASE:
            self._base_after_delivery = True
            return
        if self.state is State.SESSION and following is State.ID:
            self._device.session_ended(True, now_us)
            self._traffic_us = self._options.traffic_us
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
                self._wait_us = seconds * US_PER_S
            case Logon(user_id, user):
                return Response(self._device.logon(user_id, user, now_us))
            case Security(password):
                return Response(self._device.security(password, now_us))
            case Terminate() if self.state is State.BASE:
                return Response(self._options.choices.terminate_in_base)
            case _ if isinstance(request, (*READS, DefaultRead)):
                return Response(ResponseCode.ok, block(self._read(request, now_us)))
            case _ if isinstance(request, WRITES):
                self._write(request, now_us)
        return _OK

    def _read(self, request: Request, now_us: int) -> bytes:
        match request:
            case OffsetRead(table, offset, count):
                data = self._device.read(table, now_us)
                if not count:
                    raise Refused(self._options.choices.zero_count)
                past = offset + count > len(data) and not self._options.choices.read_past_end
                if past or offset >= len(data):
                    raise Refused(ResponseCode.onp)
                return data[offset : offset + count]
            case IndexRead(table, indices, count):
                assert self._indexed is not None
                data = self._device.read(table, now_us)
                if not count:
                    raise Refused(self._options.choices.zero_count)
                in_octets = self._options.choices.index_count_is_octets
                elements = 1 if in_octets else count
                offset, octets = self._indexed.span(table, indices, elements, now_us)
                data = data[offset : offset + (count if in_octets else octets)]
            case DefaultRead():
                assert self._indexed is not None
                data = self._device.read(self._indexed.default_table(), now_us)
            case FullRead(table):
                data = self._device.read(table, now_us)
        if len(data) > MAX_BLOCK_OCTETS:
            raise Refused(ResponseCode.onp)
        return data

    def _write(self, request: Request, now_us: int) -> None:
        match request:
            case FullWrite(table, data):
                self._device.write(table, None, data, now_us)
            case OffsetWrite(table, offset, data):
                self._device.write(table, offset, data, now_us)
            case IndexWrite(table, indices, data):
                assert self._indexed is not None
                if isinstance(self._device, GuardedDevice):
                    self._device.check_write(table, now_us)
                offset, octets = self._indexed.span(table, indices, 1, now_us)
                if octets != len(data):
                    raise Refused(ResponseCode.onp)
                self._device.write(table, offset, data, now_us)

    def _negotiate(self, request: Negotiate) -> Response:
        if not request.nbr_packets or not request.packet_size:
            return Response(ResponseCode.err)
        options = self._options
        size = min(request.packet_size, options.max_packet_octets)
        size = max(options.min_packet_octets, size)
        packets = min(request.nbr_packets, options.max_packets)
        offered = [BAUDS[code] for code in request.bauds if code in BAUDS]
        baud = max((b for b in offered if b in options.bauds), default=self.limits.baud)
        self._after_delivery = Limits(size, packets, baud)
        answer = size.to_bytes(2, "big") + bytes([packets, BAUD_CODES[baud]])
        return Response(ResponseCode.ok, answer)

    def _apply_after_delivery(self, now_us: int, acknowledged: bool) -> None:
        """Let new limits, a Wait or Base state begin, once the answer that granted them is through.

        A client that moved on without acknowledging has not taken the new limits over.
        """
        if self._base_after_delivery:
            self._enter_base(now_us, normally=True, keep_last=not acknowledged)
            return
        if self._after_delivery is not None and acknowledged:
            self._set_limits(self._after_delivery)
        if self._wait_us and acknowledged and self._traffic_due_us is not None:
            idle_us = max(self._options.traffic_us, self._wait_us)
            self._traffic_due_us = now_us + idle_us
            if not self._options.choices.wait_once:
                self._traffic_us = idle_us
        self._after_delivery, self._wait_us = None, 0

    def _set_limits(self, limits: Limits) -> None:
        self._link.set_limits(limits.packet_octets, limits.packets, limits.packet_octets)
        if limits.baud != self.limits.baud:
            self._events.append(SetBaud(limits.baud))
        self.limits = limits

    def _silence_due_us(self) -> int | None:
        """Give when silence ends the session; an unacknowledged answer has its own time-outs."""
        return None if self._link.busy else self._traffic_due_us

    def _restart_traffic(self, now_us: int) -> None:
        if self.state is not State.BASE:
            self._traffic_due_us = now_us + self._traffic_us

    def _enter_base(self, now_us: int, normally: bool, keep_last: bool = False) -> None:
        if self.state is State.SESSION:
            self._device.session_ended(normally, now_us)
        self.state = State.BASE
        self._traffic_due_us = None
        self._traffic_us = self._options.traffic_us
        self._after_delivery = None
        self._base_after_delivery = self._ending = False
        self._wait_us = 0
        self._link.forget(keep_last)
        self._set_limits(Limits())
