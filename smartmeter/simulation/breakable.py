"""A meter's line and power, to be broken from outside: a machine that wraps a machine.

Faults apply to what the meter says next, in the order in which they were added:

``drop``            the packet is lost
``delay``           it leaves ``ms`` later
``corrupt``         one bit of it is flipped
``repeat``          it leaves ``times`` times in all
``wrong_password``  the next password is made a wrong one on its way to the meter

Each holds for ``count`` packets (passwords), then it is gone.  The call log keeps what was
asked and answered, without passwords.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from protocols.crc import crc16
from protocols.datalink.packet import MAX_PACKET_OCTETS, STP
from protocols.datalink.parser import Parser, Received
from protocols.datalink.timing import DEFAULT_TIMING
from protocols.errors import RemoteProtocolError
from protocols.machine import Event, Machine, earliest
from protocols.psem.codes import code_name
from protocols.psem.description import describe

MAX_FAULTS, MAX_CALLS = 1_000, 1_000
#: A Security request, and how long its first octets are kept back for the rest.
_SECURITY_OCTETS, _SECURITY_HEAD = 29, b"\x00\x15\x51"
_PATIENCE_US = 200_000


class FaultKind(Enum):
    """What can go wrong with the next packet."""

    DROP = "drop"
    DELAY = "delay"
    CORRUPT = "corrupt"
    REPEAT = "repeat"
    WRONG_PASSWORD = "wrong_password"


@dataclass
class Fault:
    """One fault, and for how many packets it still holds."""

    kind: FaultKind
    count: int = 1
    ms: int = 1_000
    times: int = 2

    def to_json(self) -> dict[str, Any]:
        """Give the fault as the control interface shows it."""
        return {**asdict(self), "kind": self.kind.value}


@dataclass(frozen=True)
class Call:
    """One request and its answer, as they passed."""

    at_us: int
    request: str
    answer: str
    octets: int


class CallLog:
    """What was asked and answered lately; reads both directions of the line."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=MAX_CALLS)
        self._parsers = [Parser(MAX_PACKET_OCTETS, DEFAULT_TIMING) for _ in range(2)]
        self._pieces: list[list[bytes]] = [[], []]
        self._asked: tuple[int, str] | None = None

    def passed(self, data: bytes, to_meter: bool, now_us: int) -> None:
        """Take octets that passed."""
        pieces = self._pieces[to_meter]
        for item in self._parsers[to_meter].feed(data, now_us):
            if not isinstance(item, Received) or not item.packet.data:
                continue
            if item.packet.is_first or not item.packet.is_multi:
                pieces.clear()
            pieces.append(item.packet.data)
            if item.packet.seq_nbr == 0:
                self._message(b"".join(pieces), to_meter, now_us)
                pieces.clear()

    def _message(self, psem: bytes, to_meter: bool, now_us: int) -> None:
        if to_meter:
            try:
                words = describe(psem)
            except RemoteProtocolError as error:
                words = str(error)
            self._asked = (now_us, words)
        elif self._asked is not None:
            (at_us, words), self._asked = self._asked, None
            self.calls.append(Call(at_us, words, code_name(psem[0]), len(psem)))


class Breakable:
    """A machine whose line can be broken; ``inner`` is what goes on behind it."""

    def __init__(self, inner: Machine) -> None:
        self.inner = inner
        self.faults: list[Fault] = []
        self.log = CallLog()
        self._held: deque[tuple[int, bytes]] = deque()
        self._incoming = b""
        self._incoming_us = 0
        self._now_us = 0

    def add(self, fault: Fault) -> None:
        """Let a fault hold from now on."""
        assert len(self.faults) < MAX_FAULTS
        self.faults.append(fault)

    def mend(self) -> None:
        """Let no fault hold: what is still delayed leaves at once."""
        self.faults.clear()
        self._held = deque((0, piece) for _, piece in self._held)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take bytes from the line; a password may become a wrong one."""
        self._now_us = now_us
        self.log.passed(data, True, now_us)
        if not self._incoming:
            self._incoming_us = now_us
        self._incoming += data
        if not self._waits_for_more():
            self._pass_on(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs, also of what is held back."""
        self._now_us = now_us
        if self._incoming and now_us >= self._incoming_us + _PATIENCE_US:
            self._pass_on(now_us)
        due_us = self.inner.deadline_us()
        if due_us is not None and now_us >= due_us:
            self.inner.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(
            self.inner.deadline_us(),
            self._held[0][0] if self._held else None,
            self._incoming_us + _PATIENCE_US if self._incoming else None,
        )

    def outgoing(self) -> bytes:
        """Give the bytes to write now."""
        data = self.inner.outgoing()
        while data:
            size = self._piece(data)
            self._say(data[:size])
            data = data[size:]
        out = bytearray()
        while self._held and self._held[0][0] <= self._now_us:
            out += self._held.popleft()[1]
        self.log.passed(bytes(out), False, self._now_us)
        return bytes(out)

    def sent(self, now_us: int) -> None:
        """The last outgoing bytes have left."""
        self.inner.sent(now_us)

    def events(self) -> Sequence[Event]:
        """Give what happened inside."""
        return self.inner.events()

    def _take(self, *kinds: FaultKind) -> Fault | None:
        """Give the first fault of these kinds, and count it down."""
        for fault in self.faults:
            if fault.kind in kinds:
                fault.count -= 1
                if not fault.count:
                    self.faults.remove(fault)
                return fault
        return None

    def _waits_for_more(self) -> bool:
        """Tell whether what came may be the beginning of a password that must become wrong."""
        if not any(fault.kind is FaultKind.WRONG_PASSWORD for fault in self.faults):
            return False
        head = self._incoming[self._incoming.find(bytes((STP,))) :]
        begun = head[:1] == bytes((STP,)) and _SECURITY_HEAD.startswith(head[4:7])
        return begun and len(head) < _SECURITY_OCTETS

    def _pass_on(self, now_us: int) -> None:
        data, self._incoming = self._incoming, b""
        at = data.find(bytes((STP,)))
        whole = at >= 0 and data[at + 4 : at + 7] == _SECURITY_HEAD
        if whole and self._take(FaultKind.WRONG_PASSWORD) is not None:
            body = data[at : at + 7] + bytes(octet ^ 1 for octet in data[at + 7 : at + 27])
            packet = body + crc16(body).to_bytes(2, "little")
            data = data[:at] + packet + data[at + _SECURITY_OCTETS :]
        self.inner.receive(data, now_us)

    @staticmethod
    def _piece(data: bytes) -> int:
        """Give the size of the first thing that the meter says: an ACK, a NAK or a packet."""
        if data[0] != STP or len(data) < 6:
            return 1
        return int.from_bytes(data[4:6], "big") + 8

    def _say(self, piece: bytes) -> None:
        due_us = max(self._now_us, self._held[-1][0] if self._held else 0)
        if len(piece) == 1:
            self._held.append((due_us, piece))
            return
        fault = self._take(FaultKind.DROP, FaultKind.DELAY, FaultKind.CORRUPT, FaultKind.REPEAT)
        if fault is None:
            self._held.append((due_us, piece))
        elif fault.kind is FaultKind.DELAY:
            self._held.append((due_us + fault.ms * 1000, piece))
        elif fault.kind is FaultKind.CORRUPT:
            self._held.append((due_us, piece[:-1] + bytes((piece[-1] ^ 1,))))
        elif fault.kind is FaultKind.REPEAT:
            self._held.extend([(due_us, piece)] * fault.times)
