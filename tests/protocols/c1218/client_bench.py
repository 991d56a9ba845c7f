"""A client alone on a bench: what it says, what it hears, and time by hand."""

from typing import Any

from protocols.c1218.client import Client, ClientOptions, ScriptDone, ScriptFailed
from protocols.c1218.scripts import LogonSettings, open_session
from protocols.datalink.packet import TOGGLE, Packet, decode_packet
from protocols.machine import SetBaud

ACK, NAK = b"\x06", b"\x15"


class ClientBench:
    """A client that runs one script; the device's octets are made by hand."""

    def __init__(self, options: ClientOptions | None = None) -> None:
        self.client = Client(options)
        self.now_us = 1_000_000
        self.toggle = TOGGLE  # as the captured meter begins
        self.bauds: list[tuple[int, int]] = []
        self.ended: ScriptDone | ScriptFailed | None = None

    @property
    def result(self) -> Any:
        assert isinstance(self.ended, ScriptDone), self.ended
        return self.ended.result

    @property
    def error(self) -> Exception:
        assert isinstance(self.ended, ScriptFailed), self.ended
        return self.ended.error

    @property
    def met(self) -> set[str]:
        return {quirk.number for quirk in self.client.quirks.met}

    def run(self, script: Any) -> bytes:
        """Begin a script; give what the client says."""
        self.ended = None
        self.client.run(script, None, self.now_us)
        return self.wait(0.001)

    def open(self, settings: LogonSettings) -> bytes:
        """Begin to open a session; give what the client says."""
        return self.run(open_session(settings, self.client.quirks))

    def hear(self, *octets: bytes) -> bytes:
        """Let the client hear octets; give what it says at once."""
        self.client.receive(b"".join(octets), self.now_us)
        return self.wait(0.001)

    def wait(self, seconds: float) -> bytes:
        """Let time pass; give what the client says meanwhile."""
        end_us, said = self.now_us + int(seconds * 1e6), b""
        while True:
            if data := self.client.outgoing():
                said += data
                self.client.sent(self.now_us)
            for event in self.client.events():
                if isinstance(event, SetBaud):
                    self.bauds.append((self.now_us, event.baud))
                elif isinstance(event, ScriptDone | ScriptFailed):
                    self.ended = event
            due_us = self.client.deadline_us()
            if due_us is None or due_us > end_us:
                break
            self.now_us = max(self.now_us, due_us)
            self.client.expire(self.now_us)
        self.now_us = end_us
        return said

    def answer(self, message: bytes | str) -> bytes:
        """Give the device's next packet."""
        message = bytes.fromhex(message) if isinstance(message, str) else message
        octets = Packet(message, self.toggle).encode()
        self.toggle ^= TOGGLE
        return octets

    def replies(self, message: bytes | str) -> bytes:
        """Acknowledge the request and answer it; give what the client says after its ACK."""
        said = self.hear(ACK, self.answer(message))
        assert said[:1] == ACK, said.hex()
        return said[1:]


def message_of(octets: bytes) -> bytes:
    """Give the message of one packet."""
    return decode_packet(octets).data


def toggle_of(octets: bytes) -> int:
    return octets[2] & TOGGLE
