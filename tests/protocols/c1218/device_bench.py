"""A device alone on a bench: octets in, octets out, and time by hand."""

from dataclasses import dataclass, field

from protocols.c1218.server import Refused, Server, ServerOptions
from protocols.c1218.session import State
from protocols.datalink.packet import FIRST, MULTI, TOGGLE, Packet, decode_packet
from protocols.machine import SetBaud
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Request

ACK, NAK = b"\x06", b"\x15"
IDENTIFY = bytes.fromhex("ee000000000120 1310")
PASSWORD = b"secret".ljust(20)
IMAGES = {
    0: bytes(range(40)),
    1: b"read only, 20 octets",
    5: b"twenty octets stored",
    7: bytes(4),
    8: bytes(4),
    70: bytes(n & 0xFF for n in range(70_000)),
    2050: b"for who has the password",
}
READ_ONLY, WRITE_ONLY, PROTECTED = (0, 1, 8, 70), (7,), (2050,)


@dataclass
class ModelDevice:
    """Tables of every kind: plain, read-only, write-only, protected, longer than one transfer."""

    tables: dict[int, bytes] = field(default_factory=lambda: dict(IMAGES))
    writes: list[tuple[int, int | None, bytes]] = field(default_factory=list)
    trusted: bool = False
    refuses: ResponseCode | None = None

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        return ResponseCode.ok if user_id < 100 else ResponseCode.iar

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        if password.rstrip(b" \0") != PASSWORD.rstrip():
            return ResponseCode.err
        self.trusted = True
        return ResponseCode.ok

    def read(self, table: int, now_us: int) -> bytes:
        if self.refuses is not None:
            raise Refused(self.refuses)
        if table not in self.tables or table in WRITE_ONLY:
            raise Refused(ResponseCode.iar)
        if table in PROTECTED and not self.trusted:
            raise Refused(ResponseCode.isc)
        return self.tables[table]

    def check_write(self, table: int, now_us: int) -> None:
        if table not in self.tables or table in READ_ONLY:
            raise Refused(ResponseCode.iar)
        if table in PROTECTED and not self.trusted:
            raise Refused(ResponseCode.isc)

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        self.check_write(table, now_us)
        if table == 7:
            result = ResponseCode.ok if data[0] == 3 else 6
            self.tables[8] = data[:3] + bytes([result])
            return
        old = self.tables[table]
        start = offset or 0
        if (offset is None and len(data) != len(old)) or start + len(data) > len(old):
            raise Refused(ResponseCode.onp)
        self.writes.append((table, offset, data))
        self.tables[table] = old[:start] + data + old[start + len(data) :]

    def session_ended(self, normally: bool, now_us: int) -> None:
        self.trusted = False


@dataclass
class IndexedModel(ModelDevice):
    """A device whose tables are arrays of two-octet elements, for index reads."""

    def has_service(self, kind: type[Request]) -> bool:
        return True

    def span(
        self, table: int, indices: tuple[int, ...], count: int, now_us: int
    ) -> tuple[int, int]:
        octets = 2 * count
        at = 2 * indices[0]
        if len(indices) > 1 or at + octets > len(self.tables[table]):
            raise Refused(ResponseCode.onp)
        return at, octets

    def default_table(self) -> int:
        return 0


class DeviceBench:
    """A server, and a client's bytes made by hand."""

    def __init__(
        self, options: ServerOptions | None = None, device: ModelDevice | None = None
    ) -> None:
        self.device = device or ModelDevice()
        self.server = Server(self.device, options)
        self.now_us = 1_000_000
        self.toggle = 0
        self.bauds: list[int] = []
        self.answers: list[Packet] = []

    @property
    def state(self) -> State:
        return self.server.state

    def put(self, *octets: bytes) -> bytes:
        """Send octets; give what comes back at once (within a millisecond)."""
        self.server.receive(b"".join(octets), self.now_us)
        return self.wait(0.001)

    def wait(self, seconds: float) -> bytes:
        """Let time pass; give what the device sends meanwhile."""
        end_us, got = self.now_us + int(seconds * 1e6), b""
        while True:
            if data := self.server.outgoing():
                got += data
                self.server.sent(self.now_us)
            self.bauds += [e.baud for e in self.server.events() if isinstance(e, SetBaud)]
            due_us = self.server.deadline_us()
            if due_us is None or due_us > end_us:
                break
            self.now_us = max(self.now_us, due_us)
            self.server.expire(self.now_us)
        self.now_us = end_us
        return got

    def request(self, message: bytes, **fields: int) -> bytes:
        """Give a single packet with the client's next toggle."""
        octets = Packet(message, self.toggle, **fields).encode()
        self.toggle ^= TOGGLE
        return octets

    def ask(self, message: bytes | str) -> bytes:
        """Make a whole exchange; give the answer."""
        message = bytes.fromhex(message) if isinstance(message, str) else message
        got = self.put(self.request(message))
        answer = b""
        while True:
            assert got[:1] == ACK or answer, f"{got.hex()}: the request was not acknowledged"
            packet = decode_packet(got[1:] if not answer else got)
            self.answers.append(packet)
            answer += packet.data
            got = self.put(ACK)
            if not packet.seq_nbr:
                assert got == b""
                return answer

    def identified(self) -> "DeviceBench":
        assert self.ask("20")[:1] == b"\0"
        return self

    def logged_on(self, *, trusted: bool = False) -> "DeviceBench":
        self.identified()
        assert self.ask(b"\x50\0\1" + b"OPERATOR  ") == b"\0"
        if trusted:
            assert self.ask(b"\x51" + PASSWORD) == b"\0"
        return self

    def negotiated(self, size: int, packets: int) -> "DeviceBench":
        self.identified()
        assert self.ask(b"\x60" + size.to_bytes(2, "big") + bytes([packets]))[0] == 0
        assert self.ask(b"\x50\0\1" + b"OPERATOR  ") == b"\0"
        return self

    def pieces(self, *data: bytes, toggle: int = 0) -> list[bytes]:
        """Give the packets of one message of several."""
        made = []
        for index, piece in enumerate(data):
            ctrl = MULTI | (0 if index else FIRST) | (toggle ^ (TOGGLE if index & 1 else 0))
            made.append(Packet(piece, ctrl, len(data) - 1 - index).encode())
        return made
