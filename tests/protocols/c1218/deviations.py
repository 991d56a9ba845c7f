"""A device that deviates as real meters do, each deviation by its name (7.1 of the digest)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from protocols.c1218.scripts import LogonSettings
from protocols.c1218.server import Server, ServerOptions
from protocols.c1218.session import State
from protocols.datalink.packet import OVERHEAD_OCTETS, STP, TOGGLE, Packet, decode_packet
from protocols.machine import Event
from protocols.psem.codec import request_type
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    Logoff,
    Negotiate,
    Request,
    Response,
    Security,
    Wait,
)
from protocols.quirks import Quirk
from tests.protocols.c1218.device_bench import ModelDevice

IMAGES = {
    0: bytes(range(40)),
    1: b"one and only",
    5: b"twenty octets stored",
    6: bytes(n * 3 & 0xFF for n in range(700)),
    9: b"never shown",
}
PASSWORD = b"secret"


@dataclass
class Deviating(ModelDevice):
    """Tables whose device answers in its own way."""

    quirks: frozenset[Quirk] = frozenset()
    busy: int = 3

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        if Quirk.OTHER_REFUSAL in self.quirks:
            return ResponseCode.isc
        if Quirk.PADDING in self.quirks and password != PASSWORD.ljust(20, b"\0"):
            return ResponseCode.err
        return super().security(password, now_us)


class Answering(Server):
    """A server whose answers deviate."""

    def __init__(self, device: Deviating, options: ServerOptions) -> None:
        super().__init__(device, options)
        self.quirks, self.model = device.quirks, device
        self._reads = 0
        self._slow: tuple[int, bytes] | None = None
        self._link._checksums.swapped = Quirk.CRC_SWAPPED in self.quirks

    def receive(self, data: bytes, now_us: int) -> None:
        self._widen()
        super().receive(data, now_us)
        self._widen()

    def _widen(self) -> None:
        """Send longer packets than it should."""
        size, packets = self.limits.packet_octets, self.limits.packets
        if Quirk.LONG_UNASKED in self.quirks and size == 64:
            self._link.set_limits(1024, 1, 64)
        elif Quirk.SIZE_IS_DATA in self.quirks and size != 64:
            self._link.set_limits(size + OVERHEAD_OCTETS, packets, size + OVERHEAD_OCTETS)

    def expire(self, now_us: int) -> None:
        super().expire(now_us)
        if self._slow is not None and now_us >= self._slow[0]:
            data, self._slow = self._slow[1], None
            super()._serve(data, now_us)

    def deadline_us(self) -> int | None:
        dues = [super().deadline_us(), self._slow[0] if self._slow else None]
        return min((due for due in dues if due is not None), default=None)

    def _serve(self, data: bytes, now_us: int) -> None:
        if Quirk.SLOW in self.quirks and data[:1] == b"\x40":
            self._traffic_due_us = None
            self._slow = (now_us + 8_000_000, data)
        elif Quirk.TERMINATE_IGNORED in self.quirks and data[:1] == b"\x21":
            self._enter_base(now_us, normally=True, keep_last=True)
        else:
            super()._serve(data, now_us)

    def _respond(self, data: bytes, now_us: int) -> Response:
        if Quirk.ONES_COMPLEMENT in self.quirks and data[0] in (0x40, 0x4F):
            data = data[:-1] + bytes([data[-1] + 1 & 0xFF])
        response = super()._respond(data, now_us)
        if 0x30 <= data[0] <= 0x3F and self.state is State.SESSION:
            response = self._read_answer(response)
        if request_type(data[0]) is Negotiate and response.ok:
            if Quirk.NO_BAUD_ANSWERED in self.quirks:
                response = Response(response.code, response.data[:3])
            if Quirk.GRANT_TOO_LARGE in self.quirks:
                response = Response(response.code, b"\x20\0\xff" + response.data[3:])
        return response

    def _read_answer(self, response: Response) -> Response:
        self._reads += 1
        if Quirk.PRIVATE_CODE in self.quirks and self._reads == 2:
            return Response(ResponseCode.PRIVATE)
        if Quirk.ERR_AT_FIRST in self.quirks and self._reads == 1:
            return Response(ResponseCode.err)
        if Quirk.BUSY in self.quirks and self.model.busy:
            self.model.busy -= 1
            return Response(ResponseCode.bsy)
        if Quirk.ONES_COMPLEMENT in self.quirks and response.ok:
            return Response(0, response.data[:-1] + bytes([response.data[-1] - 1 & 0xFF]))
        return response


def _units(data: bytes) -> list[bytes]:
    """Cut what a device says into single characters and packets."""
    units = []
    while data:
        size = 1
        if data[0] == STP:
            size = int.from_bytes(data[4:6], "big") + OVERHEAD_OCTETS
        units.append(data[:size])
        data = data[size:]
    return units


@dataclass
class Deviant:
    """The machine at the far end of the line: octets deviate here, answers in the server."""

    quirks: frozenset[Quirk]
    now_us: int = 0
    idle_since_us: int = -10_000_000
    deaf_until_us: int = 0
    client_baud: Callable[[], int] = lambda: 9600
    stale: bool = True
    said_us: int = -10_000_000
    echo: bytearray = field(default_factory=bytearray)
    exchanges: int = 0
    has_ended: bool = False

    def __post_init__(self) -> None:
        self.device = Deviating(tables=dict(IMAGES), quirks=self.quirks)
        self.server = Answering(self.device, _options(self.quirks))
        if Quirk.SESSION_OPEN in self.quirks:
            self.server.state = State.SESSION
            self.server._traffic_due_us = 60_000_000
        if Quirk.SILENT_AT_FIRST in self.quirks:
            self.deaf_until_us = 10_000_000

    def receive(self, data: bytes, now_us: int) -> None:
        self.now_us = now_us
        if Quirk.ECHO in self.quirks:
            self.echo += data
        rested = now_us - self.idle_since_us > 1_000_000
        self.idle_since_us = now_us
        if Quirk.WAKE_UP in self.quirks and rested:
            data = data[1:]
        early = now_us - self.said_us < 30_000
        other_speed = Quirk.BAUD_CHANGE_FAILED in self.quirks and self.client_baud() != 9600
        deaf = now_us < self.deaf_until_us or other_speed
        if deaf or (Quirk.ACK_TOO_FAST in self.quirks and early and data[:1] == b"\x06"):
            return
        if data:
            self.exchanges += data[:1] == bytes([STP])
            self.server.receive(data, now_us)

        ends = Quirk.ENDED_BY_METER in self.quirks and self.exchanges >= 5 and not self.has_ended
        if ends and self.server.state is State.SESSION and not self.server._link.busy:
            self.has_ended = True
            self.server.terminate(now_us)

    def expire(self, now_us: int) -> None:
        self.now_us = now_us
        self.server.expire(now_us)

    def deadline_us(self) -> int | None:
        return self.server.deadline_us()

    def sent(self, now_us: int) -> None:
        self.said_us = now_us
        self.server.sent(now_us)

    def events(self) -> Sequence[Event]:
        self.server.events()
        return []

    def outgoing(self) -> bytes:
        units = _units(self.server.outgoing())
        out = bytes(self.echo)
        self.echo.clear()
        for unit in units:
            out += self._said(unit, units)
        return out

    def _said(self, unit: bytes, units: list[bytes]) -> bytes:
        before = b"\0\xff" if Quirk.NOISE in self.quirks else b""
        if unit[0] != STP:
            lost = Quirk.IMPLIED_ACK in self.quirks and len(units) > 1 and unit == b"\x06"
            return b"" if lost else before + unit
        swapped = Quirk.CRC_SWAPPED in self.quirks
        if Quirk.STALE_ANSWER in self.quirks and self.stale:
            self.stale = False
            return before + Packet(b"\0", TOGGLE).encode(swapped) + unit
        packet = decode_packet(unit, crc_swapped=swapped)
        if Quirk.TOGGLE_STUCK in self.quirks:
            packet = replace(packet, ctrl=packet.ctrl & ~TOGGLE)
        elif Quirk.TOGGLE_FROM_1 in self.quirks:
            packet = replace(packet, ctrl=packet.ctrl ^ TOGGLE)
        return before + packet.encode(crc_swapped=swapped)


def _options(quirks: frozenset[Quirk]) -> ServerOptions:
    refusals: dict[type[Request], int] = {}
    if Quirk.SERVICE_MISSING in quirks:
        refusals |= {Negotiate: ResponseCode.sns, Security: ResponseCode.sns}
    if Quirk.NO_WAIT in quirks:
        refusals[Wait] = ResponseCode.sns
    if Quirk.LOGOFF_IGNORED in quirks:
        refusals[Logoff] = ResponseCode.sns
    options = ServerOptions(refusals=refusals, max_packet_octets=256, max_packets=3)
    if Quirk.SMALL_BUFFER in quirks:
        options = replace(options, max_packet_octets=32, min_packet_octets=32)
    return options


def settings_for(quirks: frozenset[Quirk]) -> LogonSettings:
    """Give the logon under which the deviations can show."""
    asks_speed = Quirk.BAUD_CHANGE_FAILED in quirks
    return LogonSettings(
        password=PASSWORD,
        negotiate=Quirk.LONG_UNASKED not in quirks,
        bauds=(57600,) if asks_speed else (),
        attempts=3,
    )


#: Shown by the deviation on the left only where the one on the right is not there.
MASKS: dict[Quirk, frozenset[Quirk]] = {
    # A meter without Negotiate grants nothing; one that is not asked neither.
    **dict.fromkeys(
        (
            Quirk.NO_BAUD_ANSWERED,
            Quirk.GRANT_TOO_LARGE,
        ),
        frozenset({Quirk.SERVICE_MISSING, Quirk.LONG_UNASKED}),
    ),
    **dict.fromkeys(
        (Quirk.SIZE_IS_DATA, Quirk.SMALL_BUFFER),
        frozenset({Quirk.SERVICE_MISSING, Quirk.LONG_UNASKED, Quirk.GRANT_TOO_LARGE}),
    ),
    Quirk.BAUD_CHANGE_FAILED: frozenset(
        {Quirk.SERVICE_MISSING, Quirk.LONG_UNASKED, Quirk.NO_BAUD_ANSWERED}
    ),
    Quirk.PADDING: frozenset({Quirk.SERVICE_MISSING, Quirk.OTHER_REFUSAL}),
    Quirk.OTHER_REFUSAL: frozenset({Quirk.SERVICE_MISSING}),
    Quirk.TOGGLE_FROM_1: frozenset({Quirk.TOGGLE_STUCK}),
    Quirk.WAKE_UP: frozenset({Quirk.SILENT_AT_FIRST}),
    # A client that answers in one breath with its next request leaves no moment to end it.
    Quirk.ENDED_BY_METER: frozenset({Quirk.SMALL_BUFFER}),
}
#: A meter cannot grant 8192 octets and hold 32.
CONTRADICTION = frozenset({Quirk.GRANT_TOO_LARGE, Quirk.SMALL_BUFFER})
#: Seen in the link of any meter with a stuck toggle, not made by itself.
MADE = [quirk for quirk in Quirk if quirk is not Quirk.SAME_ANSWER]
