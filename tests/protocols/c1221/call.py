"""Both ends of a call, and a device alone, in time that passes by hand."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from protocols.c1218.client import ClientOptions, ScriptDone, ScriptFailed
from protocols.c1221.authentication import proof
from protocols.c1221.client import CALL_OPTIONS, CallClient
from protocols.c1221.server import CallOptions, CallServer
from protocols.datalink.packet import TOGGLE, Packet, decode_packet
from protocols.machine import Event, HangUp
from tests.protocols.c1218.device_bench import ModelDevice

ACK, NAK = b"\x06", b"\x15"
TICKET = bytes.fromhex("0123456789abcdef")
KEY = b"00000000"
IDENTITY = 7


@dataclass
class KeyedDevice(ModelDevice):
    """A device with one key, which opens what the password opens."""

    proved: list[int] = field(default_factory=list)

    def authentication_key(self, key_id: int) -> bytes | None:
        return KEY if key_id == 0 else None

    def authenticated(self, key_id: int, now_us: int) -> None:
        self.proved.append(key_id)
        self.trusted = True


class CallBench:
    """A device alone; its peer's packets are made by hand."""

    def __init__(self, device: ModelDevice | None = None, identity: int = IDENTITY) -> None:
        self.device = device or KeyedDevice()
        tickets = count(int.from_bytes(TICKET, "big"))
        options = CallOptions(lambda: next(tickets).to_bytes(8, "big"), identity)
        self.server = CallServer(self.device, options)
        self.identity = identity
        self.now_us = 1_000_000
        self.toggle = 0
        self.events: list[Event] = []

    def hear(self, octets: bytes, seconds: float = 0.001) -> bytes:
        """Let the device hear octets; give what it says within so long."""
        self.server.receive(octets, self.now_us)
        return self.wait(seconds)

    def wait(self, seconds: float) -> bytes:
        end_us, said = self.now_us + int(seconds * 1e6), b""
        while True:
            if data := self.server.outgoing():
                said += data
                self.server.sent(self.now_us)
            self.events += self.server.events()
            due_us = self.server.deadline_us()
            if due_us is None or due_us > end_us:
                self.now_us = end_us
                return said
            self.now_us = max(self.now_us, due_us)
            self.server.expire(self.now_us)

    def packet(self, message: bytes, identity: int | None = None) -> bytes:
        identity = self.identity if identity is None else identity
        octets = Packet(message, self.toggle, 0, identity).encode()
        self.toggle ^= TOGGLE
        return octets

    def ask(self, message: str | bytes, identity: int | None = None) -> bytes:
        """Ask and acknowledge; give the answer's octets, its identity checked."""
        octets = bytes.fromhex(message) if isinstance(message, str) else message
        said = self.hear(self.packet(octets, identity))
        assert said[:1] == ACK, said.hex()
        answer = decode_packet(said[1:])
        assert answer.identity == (self.identity if identity is None else identity)
        self.hear(ACK)
        return answer.data

    def log_on(self) -> bytes:
        """Identify and log on; give the ticket."""
        identification = self.ask("20")
        assert self.ask("500002" + b"OPERATOR  ".hex()) == b"\0"
        return identification[8:16]

    @property
    def hung_up(self) -> bool:
        return any(isinstance(event, HangUp) for event in self.events)


class Call:
    """A client and a device on one line without loss, and what passed."""

    def __init__(
        self, device: ModelDevice | None = None, options: ClientOptions = CALL_OPTIONS
    ) -> None:
        self.bench = CallBench(device)
        self.client = CallClient(options)
        self.heard: list[bytes] = []
        self.said: list[bytes] = []
        self.client_events: list[Event] = []

    def run(self, script: Any) -> Any:
        """Run a script to its end; give its result, or raise its error."""
        self.client.run(script, None, self.bench.now_us)
        for _ in range(10_000):
            self.step()
            for event in self.client_events:
                if isinstance(event, ScriptDone):
                    self.client_events.remove(event)
                    return event.result
                if isinstance(event, ScriptFailed):
                    self.client_events.remove(event)
                    raise event.error
        raise AssertionError("the script does not end")

    def step(self) -> None:
        bench, client = self.bench, self.client
        if data := client.outgoing():
            self.said.append(data)
            client.sent(bench.now_us)
            bench.server.receive(data, bench.now_us)
        if data := bench.server.outgoing():
            self.heard.append(data)
            bench.server.sent(bench.now_us)
            client.receive(data, bench.now_us)
        bench.events += bench.server.events()
        self.client_events += client.events()
        dues = [due for due in (client.deadline_us(), bench.server.deadline_us()) if due]
        bench.now_us = max(bench.now_us, min(dues, default=bench.now_us))
        client.expire(bench.now_us)
        bench.server.expire(bench.now_us)


__all__ = ["ACK", "IDENTITY", "KEY", "NAK", "TICKET", "Call", "CallBench", "KeyedDevice", "proof"]
