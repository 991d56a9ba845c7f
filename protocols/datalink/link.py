"""The link of C12.18: packets are acknowledged one by one; messages may take several.

Both ends are the same machine: the client's request and the device's answer
are one operation, "send a message".  What differs is what a new packet means
while an own packet waits for its acknowledgment (:class:`Collision`), and
which quirks of the peer are tolerated (``protocols.quirks``).

Receiving: a bad packet is NAKed, a copy of the last one (same identity, toggle
and checksum) is acknowledged and dropped, a new one is acknowledged and taken.
Sending: a packet is repeated, byte for byte, on NAK and on time-out, three
times at most; then the link has failed.

Nothing leaves earlier than the turn-around delay after the last packet, ACK or
NAK that came: until then it is held, and ``deadline_us`` says when it may go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from protocols.datalink.assembly import Assembly
from protocols.datalink.checksum_order import ChecksumOrder
from protocols.datalink.copies import Copies
from protocols.datalink.echo import EchoFilter
from protocols.datalink.outgoing import Outgoing
from protocols.datalink.packet import (
    ACK,
    FIRST,
    MAX_PACKET_OCTETS,
    MULTI,
    NAK,
    OVERHEAD_OCTETS,
    TOGGLE,
    Packet,
    room_in,
)
from protocols.datalink.parser import Parser, Received, Signal
from protocols.datalink.sleep import Sleep
from protocols.datalink.timing import DEFAULT_TIMING, LinkChoices, Timing
from protocols.datalink.turn_around import TurnAround
from protocols.errors import LocalProtocolError
from protocols.machine import Event, earliest
from protocols.quirks import Quirk, Quirks

DEFAULT_PACKET_OCTETS = 64
DEFAULT_PACKETS = 1
#: A shared UART is woken by one character, and given this time.
WAKE_UP = 0x55
WAKE_PAUSE_US = 50_000
#: A line that was quiet for so long may have to be woken.
REST_US = 1_000_000
#: A packet NAKed so often at the start may be wanted with its checksum swapped.
NAKS_BEFORE_SWAPPING = 2
#: What an octet takes at 300 baud.
SLOWEST_OCTET_US = 33_334


class Collision(Enum):
    """What a new packet means while the own last packet is unacknowledged: three readings."""

    IMPLIED_ACK = "the client takes it as the answer"
    REPEAT = "a strict client drops it unacknowledged, and repeats its own packet"
    GIVE_UP = "the device gives its own answer up: the client has moved on"


@dataclass(frozen=True)
class MessageReceived(Event):
    """A whole message, and the identity octet of its packets."""

    data: bytes
    identity: int


@dataclass(frozen=True)
class RepeatReceived(Event):
    """A copy of the last packet came while nothing of ours was unacknowledged."""

    data: bytes


@dataclass(frozen=True)
class MessageDelivered(Event):
    """The last packet of our message was acknowledged."""


@dataclass(frozen=True)
class PacketPassed(Event):
    """A valid packet came, or one of ours was acknowledged: there is traffic."""


@dataclass(frozen=True)
class PacketDamaged(Event):
    """Something that began like a packet was refused."""


@dataclass(frozen=True)
class LinkFailed(Event):
    """Our packet was not acknowledged after all repetitions; ``refused``: each one was NAKed."""

    refused: bool


class _Copy(Enum):
    """Where the copy of our packet is that was sent last."""

    WAITS = "not given to the host yet"
    LEAVES = "given to the host, which has not said yet that it left"
    LEFT = "on the line, or there is none"


class Link:
    """One end of a C12.18 line, without the line."""

    def __init__(
        self,
        collision: Collision,
        max_packet: int = DEFAULT_PACKET_OCTETS,
        timing: Timing = DEFAULT_TIMING,
        quirks: Quirks | None = None,
        choices: LinkChoices | None = None,
    ) -> None:
        self._collision = collision
        self._choices = choices or LinkChoices()
        self.quirks = quirks or Quirks(strict=frozenset(Quirk))
        self.timing = timing
        self._turn_around = TurnAround(self.quirks, timing.turn_around_us)
        self._parser = Parser(max_packet, self.timing)
        self._echo = EchoFilter()
        self.identity = 0
        #: On a shared line: whom packets may be for; the others are not for us.  None: anybody.
        self.accepts: frozenset[int] | None = None
        self.set_limits(DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS, max_packet)
        self._events: list[Event] = []
        self._outgoing = Outgoing()
        self._sent_us = -REST_US
        # Sending: the packet that waits for its acknowledgment, and those behind it.
        self._toggle = 0
        self._waiting: deque[Packet] = deque()
        self._last_sent = b""
        #: How often it was sent, and how often it was refused (NAK).
        self._sendings = 0
        self._naks = 0
        #: NAKs that may still come for a message that was abandoned.
        self._unheard = 0
        self._copy = _Copy.LEFT
        #: When its acknowledgment is overdue.
        self._due_us: int | None = None
        #: Whether a wake-up character may help it.
        self._wake = False
        self._sleep = Sleep(self.quirks)
        self._checksums = ChecksumOrder(self.quirks)
        # Receiving: the last packet, and the message that is not whole.
        self._copies = Copies(self.quirks)
        self._assembly = Assembly()

    def set_limits(
        self, packet_octets: int, packets: int, receive_octets: int, receive_packets: int = 0
    ) -> None:
        """Set packet size and count in force, and the largest packet and message accepted.

        Without ``receive_packets`` no more packets are accepted than may be sent.
        """
        self.packet_octets = packet_octets
        self.packets = packets
        self.receive_packets = receive_packets or packets
        self._parser.max_packet = min(receive_octets, MAX_PACKET_OCTETS)

    def set_timing(self, timing: Timing) -> None:
        """Change the time-outs, from now on."""
        self.timing = timing
        self._parser.timing = timing
        self._turn_around.give(timing.turn_around_us)

    @property
    def turn_around_us(self) -> int:
        """Give how long what answers a packet is held: as given, or longer where that is missed."""
        return self._turn_around.delay_us

    @property
    def max_message(self) -> int:
        """Give the longest message that may be sent now, in octets."""
        return room_in(self.packet_octets) * self.packets

    @property
    def gathered(self) -> int:
        """Give the packets of a longer message that are here, while it is not whole."""
        return len(self._assembly)

    @property
    def receiving(self) -> bool:
        """Tell whether a packet has begun to come and is not over."""
        return self._parser.inside

    @property
    def repeated(self) -> bool:
        """Tell whether a packet of the last message went out more than once."""
        return self._copies.repeated

    @property
    def quiet(self) -> bool:
        """Tell whether nothing waits to be written."""
        return not self._outgoing

    @property
    def busy(self) -> bool:
        """Tell whether a message of ours is on its way."""
        return bool(self._waiting)

    def forget(self, keep_last: bool = False) -> None:
        """Return to the defaults of Base state: nothing pending, no memory of a last packet.

        ``keep_last`` where the last packet is the one that begins the next conversation.
        """
        self._stop_sending()
        if not keep_last:
            self._copies.forget_last()
        self._assembly.clear()
        self._parser.reset()
        self._echo.forget()
        self._toggle = 0

    def send(self, message: bytes, now_us: int, wake: bool = False) -> None:
        """Send a message; LocalProtocolError when it is too long or another is on its way.

        ``wake``: it is the first after a rest, so a wake-up character may help it.
        """
        if self.busy:
            raise LocalProtocolError("a message is already on its way")
        if not 1 <= len(message) <= self.max_message:
            raise LocalProtocolError(
                f"message of {len(message)} octets, at most {self.max_message} were granted"
            )
        room = room_in(self.packet_octets)
        last = (len(message) - 1) // room
        for index in range(last + 1):
            ctrl = 0 if not last else MULTI | (0 if index else FIRST)
            ctrl |= self._toggle
            self._toggle ^= TOGGLE
            piece = message[index * room : (index + 1) * room]
            self._waiting.append(Packet(piece, ctrl, last - index, self.identity))
        self._wake = wake
        self._copies.message_begins()
        self._send_next(now_us)

    def abandon(self) -> None:
        """Wait no longer for the acknowledgment of a message; a NAK may still come for it."""
        self._unheard = int(self.busy)
        self._stop_sending()

    def doubt_meter(self) -> None:
        """The session was lost: another probe or meter may be there by now."""
        self._copies.doubt()
        self.doubt_echo()

    def doubt_echo(self) -> None:
        """Nothing came that was waited for: a probe that has not echoed does not any more."""
        if self._echo.forget():
            self.quirks.forget(Quirk.ECHO)

    def poke(self, now_us: int) -> None:
        """Send a NAK unasked: it makes a meter repeat its last packet."""
        self._outgoing.put(bytes((NAK,)), now_us)

    def receive(self, data: bytes, now_us: int) -> Iterator[Event]:
        """Take bytes from the line; give each event before the bytes after it are looked at."""
        if self.quirks.on(Quirk.ECHO):
            data = self._echo.strip(data)
        for item in self._parser.feed(data, now_us):
            self._take(item, now_us)
            yield from self.events()
        if self._parser.noise:
            self._parser.noise = 0
            self.quirks.note(Quirk.NOISE)

    def expire(self, now_us: int) -> None:
        """Act on a turn-around that is over, on silence inside a packet, on a missing ACK."""
        self._outgoing.expire(now_us)
        for item in self._parser.expire(now_us):
            self._take(item, now_us)
        due_us = self._response_due_us()
        if due_us is not None and now_us >= due_us:
            self.doubt_echo()
            self._repeat(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        due_us = self._parser.deadline_us()
        if due_us is None:
            due_us = self._response_due_us()
        return earliest(due_us, self._outgoing.deadline_us())

    def outgoing(self) -> bytes:
        """Give the bytes to write."""
        data = self._outgoing.take()
        if not data:
            return b""
        if not self._outgoing.holds and self._copy is _Copy.WAITS:
            self._copy = _Copy.LEAVES
        if self.quirks.on(Quirk.ECHO):
            self._echo.wrote(data)
        return data

    def sent(self, now_us: int) -> None:
        """Start the response time-out at the last byte that left."""
        if self._copy is _Copy.LEAVES:
            self._copy = _Copy.LEFT
            if self._due_us is not None:
                self._due_us = now_us + self.timing.response_us
        self._sent_us = now_us

    def events(self) -> Sequence[Event]:
        """Give what happened, and forget it."""
        events, self._events = self._events, []
        return events

    # Sending.

    def _send_next(self, now_us: int) -> None:
        self._sendings, self._naks = 0, -self._unheard  # that NAK is not for this packet
        self._unheard = 0
        self._checksums.packet_begins()
        self._transmit(now_us)

    def _transmit(self, now_us: int) -> None:
        octets = self._waiting[0].encode(self._checksums.sends_swapped)
        self._sendings += 1
        rested = now_us - max(self._parser.last_us, self._sent_us) > REST_US
        known = rested and self.quirks.on(Quirk.WAKE_UP)
        known = known and not (self._wake and self._sleep.is_doubted())
        if known or (self._wake and self._sendings == 2):
            self._outgoing.put_ahead(WAKE_UP)
            self._outgoing.hold_until(now_us + WAKE_PAUSE_US)
        self._outgoing.put(octets, now_us)
        self._last_sent = octets
        self._copy = _Copy.WAITS
        # Until the host says that it has left: a long packet takes its time.
        leaving_us = len(octets) * SLOWEST_OCTET_US
        self._due_us = now_us + self.timing.response_us + leaving_us

    def _response_due_us(self) -> int | None:
        """Give when the acknowledgment is overdue; not before our packet has left."""
        return None if self._copy is _Copy.WAITS or self._parser.inside else self._due_us

    @property
    def _unsent(self) -> bool:
        """Tell whether no copy of our packet has been given to the host yet."""
        return self._copy is _Copy.WAITS and self._sendings == 1

    def _repeat(self, now_us: int) -> None:
        if self._copy is _Copy.WAITS:
            return  # one copy is enough
        if self._sendings > self.timing.retries:
            self._stop_sending()
            self._checksums.doubt()
            self._events.append(LinkFailed(self._naks == self._sendings))
            return
        self._copies.sent_again()
        self._checksums.sent_again(self._wake and self._naks == NAKS_BEFORE_SWAPPING)
        self._transmit(now_us)

    def _stop_sending(self) -> None:
        self._waiting.clear()
        self._due_us = None
        self._wake = False

    def _withdraw_copy(self) -> None:
        """Our packet is settled: a copy that has not left yet would be answered once more."""
        if self._copy is not _Copy.WAITS or self._unsent:
            return
        self._outgoing.withdraw(self._last_sent)
        self._copy = _Copy.LEFT

    def _acknowledged(self, now_us: int) -> None:
        self._withdraw_copy()
        self._checksums.acknowledged()
        self._note_wake_up()
        self._events.append(PacketPassed())
        self._waiting.popleft()
        if self._waiting:
            self._send_next(now_us)
            return
        self._stop_sending()
        self._copies.delivered()
        self._events.append(MessageDelivered())

    def _note_wake_up(self) -> None:
        if self._wake:
            self._sleep.was_asleep(self._sendings > 1 and not self._naks)
        self._wake = False

    # Receiving.

    def _take(self, item: Signal | Received, now_us: int) -> None:
        if item not in (Signal.ACK, Signal.NAK) and not self._is_for_us():
            return
        if isinstance(item, Received) and not self._checksums.accepts(item.crc_swapped):
            item = Signal.BAD
        self._outgoing.hold_until(self._parser.last_us + self._turn_around.delay_us)
        if isinstance(item, Received):
            self._take_packet(item, now_us)
        elif item is Signal.CUT and not self._choices.nak_incomplete_header:
            return
        elif item in (Signal.BAD, Signal.CUT, Signal.TOO_LONG):
            self._outgoing.put(bytes((NAK,)), now_us)
            self._events.append(PacketDamaged())
        elif not self.busy or self._unsent:
            return  # an ACK or NAK that nobody waits for
        elif item is Signal.NAK:
            self._naks += self._copy is not _Copy.WAITS  # one that comes twice counts once
            self._repeat(now_us)
        else:
            self._acknowledged(now_us)

    def _is_for_us(self) -> bool:
        """Tell whether the packet whose header came last is ours, as far as could be read."""
        identity = self._parser.identity
        return self.accepts is None or identity is None or identity in self.accepts

    def _take_packet(self, received: Received, now_us: int) -> None:
        packet, octets = received.packet, received.octets
        if not packet.is_legal:
            self._refuse(now_us)
            return
        if octets == self._last_sent and self._collision is not Collision.GIVE_UP:
            self.quirks.note(Quirk.ECHO)  # our own octets, given back by the probe
            return
        if self._copies.is_copy(packet, octets[-2:], self.busy):
            self._take_copy(packet, now_us)
            return
        if self.busy and not self._resolve_collision():
            return
        if not self._assembly.fits(packet, self.receive_packets):
            self._refuse(now_us, NAK if self._choices.nak_out_of_sequence else ACK)
            return
        self._copies.note_toggle(packet, begins_with_0=self._collision is not Collision.GIVE_UP)
        self._note_size(len(octets))
        self._turn_around.packet_came()
        self._copies.take(packet, octets[-2:])
        self._checksums.packet_taken()
        self._outgoing.put(bytes((ACK,)), now_us)
        self._events.append(PacketPassed())
        message = self._assembly.take(packet)
        if message is not None:
            self._events.append(MessageReceived(message, packet.identity))

    def _take_copy(self, packet: Packet, now_us: int) -> None:
        if self._unsent:
            return  # neither its acknowledgment nor our answer has left yet: once is enough
        self._outgoing.put(bytes((ACK,)), now_us)
        self._events.append(PacketPassed())
        if self.busy and self._collision is Collision.GIVE_UP:
            self._repeat(now_us)
        elif not self.busy and not packet.is_multi:
            self._events.append(RepeatReceived(packet.data))
        self._turn_around.copy_came()

    def _note_size(self, octets: int) -> None:
        if octets > self.packet_octets:
            close = octets <= self.packet_octets + OVERHEAD_OCTETS
            default = self.packet_octets == DEFAULT_PACKET_OCTETS
            self.quirks.note(Quirk.SIZE_IS_DATA if close and not default else Quirk.LONG_UNASKED)

    def _resolve_collision(self) -> bool:
        """Tell whether the packet is to be taken although our own is unacknowledged."""
        if self._collision is Collision.GIVE_UP:
            self._stop_sending()
            return True
        if self._collision is Collision.REPEAT or len(self._waiting) > 1 or self._unsent:
            return False  # or our request has not left, or not whole: this cannot be its answer
        self.quirks.note(Quirk.IMPLIED_ACK)
        self._copies.answered_at_once()
        self._withdraw_copy()
        self._note_wake_up()
        self._stop_sending()
        self._events.append(MessageDelivered())
        return True

    def _refuse(self, now_us: int, answer: int = NAK) -> None:
        self._assembly.clear()
        self._outgoing.put(bytes((answer,)), now_us)
