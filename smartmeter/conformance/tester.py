"""A client that does as it is told, also what no client should, and notes every octet.

Unlike :mod:`protocols.c1218.client` it adapts to nothing: what a device does is either
what the rule says, or a :class:`Deviation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.datalink.packet import (
    ACK,
    FIRST,
    MAX_PACKET_OCTETS,
    MULTI,
    NAK,
    OVERHEAD_OCTETS,
    STP,
    TOGGLE,
    Packet,
    decode_packet,
)
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import encode_request
from protocols.psem.codes import BAUDS, START_BAUD, ResponseCode, code_name
from protocols.psem.services import Identify, Negotiate, Request, Terminate
from smartmeter.conformance.line import Line
from smartmeter.conformance.line_rules import OPTICAL, LineRules
from smartmeter.conformance.transcript import Transcript
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable, Unreachable

#: What a computer's ports add to the times that a device is granted.
SLACK_US = 500_000
#: Between the device's last octet and our first: meters need time to turn around.
TURN_AROUND_US = 20_000
BAUD_PAUSE_US = 60_000
#: What comes and is not looked at is kept up to here: a device may talk without end.
MAX_BUFFER_OCTETS = 1 << 16
#: A message must hold the longest request of a session's start: Security.
LEAST_OCTETS = 21


@dataclass(frozen=True)
class Item:
    """What came, from ``began_us`` to ``at_us``: an ACK, a NAK, a good packet, or anything else."""

    octets: bytes
    packet: Packet | None
    began_us: int
    at_us: int

    @property
    def is_ack(self) -> bool:
        """Tell whether it is one 06."""
        return self.octets == bytes((ACK,))

    @property
    def is_nak(self) -> bool:
        """Tell whether it is one 15."""
        return self.octets == bytes((NAK,))

    def __str__(self) -> str:
        """Say what it is, for the text of a deviation."""
        if self.is_ack or self.is_nak:
            return "ACK" if self.is_ack else "NAK"
        if self.packet is None:
            return f"{self.octets[:8].hex(' ')} (no packet)"
        return f"a packet that begins {self.packet.data[:4].hex(' ')}"


@dataclass(frozen=True)
class Answer:
    """A whole answer, the packets it came in, and how long it took in microseconds."""

    code: int
    data: bytes
    packets: tuple[Packet, ...]
    acknowledged_us: int
    answered_us: int

    @property
    def ok(self) -> bool:
        """Tell whether the request was carried out."""
        return self.code == ResponseCode.ok

    def want(self, *codes: ResponseCode, basis: Basis | None = None) -> Answer:
        """Give itself back where its code is one of these, else raise Deviation."""
        if self.code not in codes:
            wanted = " or ".join(code.name for code in codes)
            raise Deviation(f"answered {code_name(self.code)}, not {wanted}", basis)
        return self

    def want_served(self, what: str) -> Answer:
        """Give itself back; NotApplicable where the device does not have the service (sns)."""
        if self.code == ResponseCode.sns:
            raise NotApplicable(f"the device has no {what}")
        return self

    def want_refusal(self, basis: Basis | None = None) -> Answer:
        """Give itself back where it is negative."""
        if self.ok:
            raise Deviation("answered ok, not with a refusal", basis)
        return self


class Tester:
    """One end of a line, octet by octet."""

    def __init__(self, line: Line, rules: LineRules = OPTICAL, identity: int = 0) -> None:
        self.line, self.rules = line, rules
        self._own_identity = identity
        self.transcript = Transcript()
        self.identity = identity
        self.toggle = 0
        self.packet_octets, self.packets = 64, 1
        self.baud = START_BAUD
        #: How long the last ACK was in coming: the way to the device and back, and its own time.
        self.way_us = 0
        self._buffer = b""
        self._began_us = 0

    # Octets and pieces.

    def write(self, data: bytes) -> None:
        """Send octets after the turn-around."""
        self.pause(TURN_AROUND_US)
        self.line.write(data)
        self.transcript.sent(data, self.line.now_us())

    def pause(self, duration_us: int) -> None:
        """Let time pass; what comes meanwhile is kept."""
        until_us = self.line.now_us() + duration_us
        while self.line.now_us() < until_us:
            if data := self.line.read(until_us):
                self._keep(data)

    def rest(self, duration_us: int, why: str) -> None:
        """Let a long time pass, and say so in the transcript."""
        self.transcript.remark(f"{duration_us / 1e6:g} s of silence from us: {why}", self.now_us())
        self.pause(duration_us)

    def forget(self) -> None:
        """Forget what came and was not looked at."""
        self._buffer = b""

    def now_us(self) -> int:
        """Give the line's time."""
        return self.line.now_us()

    def _keep(self, data: bytes) -> None:
        if not self._buffer:
            self._began_us = self.line.now_us()
        self._buffer = (self._buffer + data)[:MAX_BUFFER_OCTETS]
        self.transcript.received(data, self.line.now_us())

    def next(self, within_us: int) -> Item | None:
        """Give the next piece that comes within this time, or None."""
        until_us = self.line.now_us() + within_us
        while True:
            size, packet = self._piece()
            if size:
                return self._cut(size, packet)
            limit_us = until_us
            if self._buffer:
                limit_us = max(limit_us, self.line.now_us() + self.rules.piece_quiet_us)
            data = self.line.read(limit_us)
            if data:
                self._keep(data)
            elif self._buffer:
                return self._cut(len(self._buffer), None)
            else:
                return None

    def _cut(self, size: int, packet: Packet | None) -> Item:
        octets, self._buffer = self._buffer[:size], self._buffer[size:]
        began_us, self._began_us = self._began_us, self.line.now_us()
        return Item(octets, packet, began_us, self._began_us)

    def _piece(self) -> tuple[int, Packet | None]:
        """Give the size of the piece that is complete in the buffer, and its packet."""
        if not self._buffer:
            return 0, None
        if self._buffer[0] != STP:
            return 1, None
        if len(self._buffer) < 6:
            return 0, None
        size = int.from_bytes(self._buffer[4:6], "big") + OVERHEAD_OCTETS
        if size > MAX_PACKET_OCTETS + OVERHEAD_OCTETS:
            return len(self._buffer), None
        if len(self._buffer) < size:
            return 0, None
        try:
            packet = decode_packet(self._buffer[:size])
        except RemoteProtocolError:
            return size, None
        return size, packet if packet.data else None  # one of no data is as bad as a damaged one

    def silence(self, duration_us: int, why: str) -> None:
        """Want that nothing comes for so long."""
        if (item := self.next(duration_us)) is not None:
            raise Deviation(f"{why}: {item} came, silence was due")

    def ack(self) -> None:
        """Acknowledge."""
        self.write(bytes((ACK,)))

    def nak(self) -> None:
        """Ask for the last packet again."""
        self.write(bytes((NAK,)))

    # Packets.

    def packet(
        self, data: bytes, ctrl: int = 0, seq_nbr: int = 0, identity: int | None = None
    ) -> bytes:
        """Build a new packet with the next toggle; ``ctrl`` is added to it."""
        own = self.identity if identity is None else identity
        octets = Packet(data, ctrl ^ self.toggle, seq_nbr, own).encode()
        self.toggle ^= TOGGLE
        return octets

    def want_ack(self, why: str = "a good packet") -> Item:
        """Want an ACK in time."""
        item = self.next(self.rules.response_us + SLACK_US)
        if item is None or not item.is_ack:
            raise Deviation(f"{why}: {item or 'nothing'} came, an ACK was due")
        return item

    def deliver(self, octets: bytes, why: str = "a good packet") -> None:
        """Send octets, and want an ACK for them."""
        self.write(octets)
        self.want_ack(why)

    def want_nak(self, why: str, silence_basis: Basis | None = None) -> None:
        """Want a NAK; silence instead has a basis of its own, where some devices are silent."""
        item = self.next(self.rules.response_us + SLACK_US)
        if item is None:
            raise Deviation(f"{why}: nothing came, a NAK was due", silence_basis)
        if not item.is_nak:
            raise Deviation(f"{why}: {item} came, a NAK was due")

    def want_packet(self, why: str = "the answer") -> Item:
        """Want a packet with a right checksum in time; it is not acknowledged yet."""
        item = self.next(self.rules.answer_us + SLACK_US)
        if item is None or item.packet is None:
            raise Deviation(f"{why}: {item or 'nothing'} came, a packet was due")
        return item

    def unacknowledged(self, psem: bytes) -> Item:
        """Send a request in one packet, and give its answer without acknowledging that."""
        self.deliver(self.packet(psem))
        return self.want_packet()

    def message(self, psem: bytes) -> list[bytes]:
        """Give the packets of a message under the limits in force."""
        room = self.packet_octets - OVERHEAD_OCTETS
        pieces = [psem[at : at + room] for at in range(0, len(psem), room)]
        if len(pieces) == 1:
            return [self.packet(psem)]
        last = len(pieces) - 1
        return [
            self.packet(piece, MULTI | (0 if n else FIRST), last - n)
            for n, piece in enumerate(pieces)
        ]

    @property
    def room_octets(self) -> int:
        """Give the octets of the longest message under the limits in force."""
        return (self.packet_octets - OVERHEAD_OCTETS) * self.packets

    def answer(self, item: Item | None = None) -> Answer:
        """Take an answer, acknowledging each packet; ``item`` is its first where that has come."""
        begin_us = self.now_us()
        packets: list[Packet] = []
        while True:
            if item is None:
                item = self.want_packet()
            assert item.packet is not None
            self.check_packet(item.packet, packets)
            if not packets:
                took_us = item.at_us - begin_us
            packets.append(item.packet)
            self.ack()
            if item.packet.seq_nbr == 0:
                break
            item = None
        whole = b"".join(packet.data for packet in packets)
        return Answer(whole[0], whole[1:], tuple(packets), 0, took_us)

    def check_packet(self, packet: Packet, before: Sequence[Packet]) -> None:
        """Want that a packet of an answer is what C12.18 allows at this place."""
        first = not before
        if packet.ctrl & 0x1F:
            raise Deviation(f"ctrl {packet.ctrl:02X}H: bits 4 to 0 are 0 in C12.18")
        if packet.identity != self.identity:
            raise Deviation(
                f"identity {packet.identity:02X}H, the request had {self.identity:02X}H",
                Basis.ONE_SOURCE,
            )
        octets = len(packet.data) + OVERHEAD_OCTETS
        if octets > self.packet_octets:
            raise Deviation(f"a packet of {octets} octets, {self.packet_octets} are in force")
        if first and (packet.is_multi != packet.is_first or packet.seq_nbr >= self.packets):
            raise Deviation(f"ctrl {packet.ctrl:02X}H and seq-nbr {packet.seq_nbr} begin no answer")
        if not first:
            falls = packet.seq_nbr == before[-1].seq_nbr - 1
            if not packet.is_multi or packet.is_first or not falls:
                raise Deviation(f"seq-nbr {packet.seq_nbr} follows {before[-1].seq_nbr}")
            if packet.ctrl & TOGGLE == before[-1].ctrl & TOGGLE:
                raise Deviation("two packets of an answer with the same toggle")

    # Requests.

    def ask(self, request: Request | bytes) -> Answer:
        """Send a request, want ACKs and one whole answer, and acknowledge it."""
        psem = request if isinstance(request, bytes) else encode_request(request)
        acknowledged_us = 0
        for octets in self.message(psem):
            self.write(octets)
            sent_us = self.now_us()
            acknowledged_us = self.way_us = self.want_ack().at_us - sent_us
        return replace(self.answer(), acknowledged_us=acknowledged_us)

    def negotiate(self, octets: int, packets: int, bauds: tuple[int, ...] = ()) -> Answer:
        """Negotiate, and go by what is granted from the ACK of the answer on."""
        answer = self.ask(Negotiate(octets, packets, bauds))
        if answer.ok:
            self.take_grant(answer)
            code = answer.data[3] if len(answer.data) > 3 else None
            if code in bauds and BAUDS.get(code, self.baud) != self.baud:
                self.use_baud(BAUDS[code])
        return answer

    def take_grant(self, answer: Answer) -> None:
        """Go by the packets that a Negotiate grants; Deviation where they hold no request."""
        if len(answer.data) < 3:
            return
        self.packet_octets = int.from_bytes(answer.data[:2], "big")
        self.packets = answer.data[2]
        if self.room_octets < LEAST_OCTETS:
            room = f"{self.packet_octets} octets x {self.packets} packets"
            raise Deviation(f"Negotiate grants {room}, which hold no request")

    def use_baud(self, baud: int) -> None:
        """Change our speed, and leave the line alone until the device has changed its own."""
        self.line.set_baud(baud)
        self.baud = baud
        self.transcript.remark(f"{baud} baud from here on", self.now_us())
        self.pause(BAUD_PAUSE_US + self.way_us)

    def defaults(self) -> None:
        """Go by what holds in Base state; identity and toggle go on."""
        self.packet_octets, self.packets = 64, 1
        if self.baud != START_BAUD:
            self.use_baud(START_BAUD)

    def base(self) -> None:
        """Bring the device to Base state, whatever its state is; Unreachable when it is gone."""
        self.identity = self._own_identity
        for patient in (False, True, True):
            if patient:
                self.defaults()
                self.rest(self.rules.traffic_us + SLACK_US, "the device returns to Base state")
            self._buffer = b""
            if self._terminate():
                self.defaults()
                return
        raise Unreachable("the device does not answer Terminate, nor after its time-outs")

    def _terminate(self) -> bool:
        """Send Terminate as a tolerant client would; True when the device is in Base."""
        try:
            self.write(self.packet(encode_request(Terminate())))
        except ValueError:
            return False
        for _ in range(12):
            item = self.next(self.rules.response_us + SLACK_US)
            if item is None:
                return False
            if item.packet is not None:
                self.ack()
                known = (ResponseCode.ok, ResponseCode.isss)
                if item.packet.data[0] in known and len(item.packet.data) == 1:
                    return True
        return False

    def identify(self) -> Answer:
        """Go from Base to ID."""
        return self.ask(Identify()).want(ResponseCode.ok)
