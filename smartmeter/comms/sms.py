"""C12.22 by short messages: a carrier of small APDUs, and a bell that wakes a node.

``sms:NUMBER@PORT`` at a node: the head-end's number, and the port of the modem.
The bearer stands by: receiving costs nothing.  A text WAKE from that number
opens the node's other bearers.  It is no proof of anything: whoever forges the
number can make a node connect, no more often than its host allows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from protocols.errors import LocalProtocolError
from protocols.machine import Event
from protocols.modem.at import is_dialled
from protocols.modem.messages import (
    MessageCame,
    MessageLine,
    MessageSent,
    ModemFailed,
    Ready,
    TextCame,
)
from protocols.modem.pdu import MAX_OCTETS
from protocols.transports.capture import active
from smartmeter.base.clock import monotonic_us
from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import BearerSettings, Connection
from smartmeter.comms.carrier import begun_again
from smartmeter.comms.machine_line import run_on_port
from smartmeter.comms.paths import Handler
from smartmeter.comms.standing import Standing
from smartmeter.comms.task_connection import TaskConnection

#: The longest number of E.164; what is dialled may have an access code before it.
MAX_DIGITS = {"sms": 15, "modem": 30}
WAKE = "WAKE"
READY_TIMEOUT_S = 60.0
#: A network may keep a message for a while.
ANSWER_S = 180
#: Messages that wait for the modem.
MAX_QUEUED = 64


def number_at_port(address: str) -> tuple[str, str]:
    """Read ``sms:NUMBER@PORT`` or ``modem:NUMBER@PORT``; SettingsError when it is none.

    A modem also dials what leads out of a house's own exchange: ``modem:9,5551234@/dev/ttyUSB2``.
    """
    kind, _, rest = address.partition(":")
    number, _, port = rest.partition("@")
    digits = number.removeprefix("+")
    if kind == "modem":
        digits = "".join(filter(str.isdecimal, number)) if is_dialled(number) else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS[kind] and port):
        raise SettingsError(
            f"address {address!r:.80}",
            "is no number at a modem",
            f"write {kind}:+15551234567@/dev/ttyUSB2",
        )
    return number, port


class _Line:
    """A modem in the loop: sends what is queued, gives what comes."""

    def __init__(
        self,
        port: str,
        came: Callable[[str, bytes], None],
        counts: Counter[str],
        listens: bool,
        standing: Standing | None = None,
    ) -> None:
        self._port, self._came, self._listens = port, came, listens
        self._standing = standing or Standing()
        self._capture = active()
        self._machine: MessageLine | None = None
        self.ready = asyncio.Event()
        self.text: Callable[[str, str], None] = lambda sender, text: None
        self.counts = counts
        self._waiting = 0

    async def run(self) -> None:
        """Work until cancelled, or until the modem fails: OSError."""
        try:
            await run_on_port(self._port, self._make, self._heed)
        finally:
            self.ready.clear()
            self._machine = None

    def send(self, number: str, octets: bytes) -> None:
        """Send; what cannot be sent is dropped and counted."""
        try:
            if self._machine is None or self._waiting >= MAX_QUEUED:
                raise LocalProtocolError("the modem takes no more")
            self._machine.send(number, octets, monotonic_us())
            self._waiting += 1
            self._note(number, octets, sent=True)
        except LocalProtocolError:
            self.counts["sms unsent"] += 1

    def _note(self, number: str, octets: bytes, *, sent: bool) -> None:
        if self._capture is not None and octets != WAKE.encode():
            by = f"short message, {number}"
            self._capture.carried(sent, by, octets, listens=self._listens)

    def _make(self, now_us: int) -> MessageLine:
        self._machine, self._waiting = MessageLine(now_us), 0
        return self._machine

    def _heed(self, event: Event) -> None:
        match event:
            case Ready():
                self._standing.works()
                self.ready.set()
            case MessageCame(sender, octets):
                self._note(sender, octets, sent=False)
                self._came(sender, octets)
            case TextCame(sender, text):
                self.text(sender, text)
            case MessageSent(_, ok, _):
                self._waiting -= 1
                self.counts["sms sent" if ok else "sms refused by the network"] += 1
            case ModemFailed(what):
                raise OSError(what)


class SmsConnection(TaskConnection):
    """The modem, while it works; implements ``Connection``."""

    def __init__(self, settings: BearerSettings, woken: Callable[[], None]) -> None:
        super().__init__(settings.address)
        self._number, port = number_at_port(settings.address)
        self._most = settings.max_apdu_octets
        self._woken = woken
        self._line = _Line(port, self._came, Counter(), listens=False)
        self._line.text, self._line.ready = self._text, self._ready

    async def opened(self) -> None:
        """Wait until the modem is ready; OSError when it is not."""
        await self._opened(self._line.run(), READY_TIMEOUT_S)

    def send(self, octets: bytes) -> None:
        """Send one APDU; one that is too long is dropped."""
        if len(octets) <= self._most:
            self._line.send(self._number, octets)

    def _came(self, sender: str, octets: bytes) -> None:
        if octets == WAKE.encode():
            self._text(sender, WAKE)
        elif self._is_ours(sender):
            self._inbox.put(octets)

    def _is_ours(self, sender: str) -> bool:
        """Tell whether that is the head-end; a network may leave the + out, or put it in."""
        return sender.removeprefix("+") == self._number.removeprefix("+")

    def _text(self, sender: str, text: str) -> None:
        if self._is_ours(sender) and text.strip().upper() == WAKE:
            self._woken()


class SmsBearer:
    """A head-end behind a telephone number."""

    stands_by = True

    def __init__(self, settings: BearerSettings) -> None:
        number_at_port(settings.address)
        most = min(settings.max_apdu_octets, MAX_OCTETS)
        self.settings = replace(settings, max_apdu_octets=most, answer_s=ANSWER_S)
        self.woken: Callable[[], None] = lambda: None

    async def connect(self) -> Connection:
        """Make the modem ready; OSError when it cannot be."""
        connection = SmsConnection(self.settings, lambda: self.woken())
        await connection.opened()
        return connection


@dataclass(frozen=True)
class SmsPath:
    """A node behind a number; two of one number are one path."""

    carrier: SmsCarrier = field(repr=False)
    number: str
    is_stream, is_slow = False, True
    local = ("0.0.0.0", 0)

    @property
    def remote(self) -> tuple[str, int]:
        """Give the number; there is no port."""
        return (self.number, 0)

    def send(self, octets: bytes) -> None:
        """Send one APDU; what cannot be sent is dropped."""
        self.carrier.send(self.number, octets)


class SmsCarrier:
    """A head-end's or relay's modem."""

    def __init__(
        self, port: str, counts: Counter[str] | None = None, standing: Standing | None = None
    ) -> None:
        self._handler: Handler
        self.counts = Counter() if counts is None else counts
        self._standing = standing or Standing()
        self._line = _Line(port, self._came, self.counts, True, self._standing)

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; a modem that fails is begun with again, less and less often."""
        self._handler = handler
        await begun_again(self._line.run, self._lost)

    def send(self, number: str, octets: bytes) -> None:
        """Send one APDU to a number."""
        self._line.send(number, octets)

    def wake(self, number: str) -> None:
        """Ask the node behind a number to open a bearer."""
        self._line.send(number, WAKE.encode())

    def _lost(self, why: str) -> None:
        self.counts["sms modem lost"] += 1
        self._standing.fails(why)

    def _came(self, sender: str, octets: bytes) -> None:
        self._handler.receive(SmsPath(self, sender), octets)
        self._handler.received()
