"""Short messages by a modem (3GPP 27.005): a machine that sends octets, and gives what comes.

Messages are kept by the modem until they were read, so that none is lost while
nobody listens; each is deleted once it was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.machine import US_PER_S, Event, earliest
from protocols.modem.at import (
    COMMAND_US,
    ESCAPE,
    ESCAPE_US,
    INITIALISE,
    MAX_QUEUED,
    AtModem,
    CommandDone,
    Told,
)
from protocols.modem.pdu import PartJoiner, delivered, submit

#: What is stored is listed, and a modem says so when another message has come.  Not all take the
#: other parameters of CNMI, and one that takes none is still listed.
_LIST, _TELL = "AT+CMGL=4", "AT+CNMI=2,1"
#: Messages are given as PDUs, and not as text.
_AS_PDUS = "AT+CMGF=0"
_BEGIN = (INITIALISE, _AS_PDUS, _TELL, _LIST)
#: The network may take its time to accept a message: makers of modems name up to three minutes.
SEND_US = 180_000_000
#: So often the store is listed, and the modem is told again to say when a message comes: its word
#: may be lost, and a modem that was switched off and on says nothing.
LIST_US = 60_000_000
#: A modem may read each message from its card for a list of all.
LISTING_US = 30_000_000
#: Messages and parts that wait to be sent leave room for what is read and deleted.
MAX_SENDING = MAX_QUEUED - 64
#: Failures in a row after which the modem is given up.
MAX_FAILURES = 3
#: What people can mend, by the modem's number for it (3GPP 27.005, 3.2.5, and 27.007, 9.2).
_MEANT = {
    "+CMS ERROR: 310": "there is no SIM card",
    "+CMS ERROR: 311": "the SIM card wants its PIN; switch that off",
    "+CMS ERROR: 316": "the SIM card wants its PUK",
    "+CMS ERROR: 322": "its memory is full",
    "+CMS ERROR: 330": "the SIM card names no service centre",
    "+CMS ERROR: 331": "there is no network",
    "+CME ERROR: 10": "there is no SIM card",
    "+CME ERROR: 11": "the SIM card wants its PIN; switch that off",
    "+CME ERROR: 12": "the SIM card wants its PUK",
    "+CME ERROR: 30": "there is no network",
}
_HEX = frozenset("0123456789ABCDEFabcdef")


@dataclass(frozen=True)
class MessageCame(Event):
    """A whole message of octets."""

    sender: str
    octets: bytes


@dataclass(frozen=True)
class TextCame(Event):
    """A message of text."""

    sender: str
    text: str


@dataclass(frozen=True)
class MessageSent(Event):
    """A message left, with all its parts, or did not; ``result`` is the modem's word."""

    number: str
    ok: bool
    result: str


@dataclass(frozen=True)
class Ready(Event):
    """The modem can send and receive."""


@dataclass(frozen=True)
class ModemFailed(Event):
    """The modem does not do as it is told."""

    what: str


@dataclass
class _Sending:
    number: str
    left: int


class MessageLine:
    """One modem for short messages."""

    def __init__(self, now_us: int) -> None:
        self._modem = AtModem()
        self._joiner = PartJoiner()
        self._reference = now_us // US_PER_S
        self._failures = 0
        self._list_us = now_us + LIST_US
        #: Whether it was told to give PDUs; until then what comes is left to the first list.
        self._gives_pdus = False
        #: Places in the store whose message was given and is not deleted yet.  It is not given
        #: again, and another message that comes to such a place is not deleted for it.
        self._taken: set[str] = set()
        self._events: list[Event] = []
        # It may still wait for the body of a message: who asked for that was ended then.
        self._modem.command(ESCAPE, now_us, timeout_us=ESCAPE_US)
        for text in _BEGIN:
            self._modem.command(text, now_us, timeout_us=_limit_us(text))

    def send(self, number: str, octets: bytes, now_us: int) -> None:
        """Send octets, in parts where needed; LocalProtocolError for what cannot be sent."""
        self._reference += 1
        pdus = submit(number, octets, self._reference)
        if MAX_QUEUED - self._modem.room + 1 + len(pdus) > MAX_SENDING:
            raise LocalProtocolError("too many messages wait for the modem already")
        sending = _Sending(number, len(pdus))
        # One that was switched off and on may take the size for a number, and send it the digits.
        self._modem.command(_AS_PDUS, now_us)
        for size, pdu in pdus:
            self._modem.command(f"AT+CMGS={size}", now_us, sending, pdu, SEND_US)

    def receive(self, data: bytes, now_us: int) -> None:
        """Take octets from the modem."""
        self._modem.receive(data, now_us)
        self._heed(now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs, and look into the store."""
        self._modem.expire(now_us)
        if now_us >= self._list_us:
            self._list_us = now_us + LIST_US
            self._look(_LIST, now_us)
            self._look(_TELL, now_us)
        self._heed(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return earliest(self._modem.deadline_us(), self._list_us)

    def outgoing(self) -> bytes:
        """Give the octets for the modem."""
        return self._modem.outgoing()

    def sent(self, now_us: int) -> None:
        """The octets have left: nothing hangs on it."""

    def events(self) -> Sequence[Event]:
        """Give what happened."""
        events, self._events = self._events, []
        return events

    def _look(self, text: str, now_us: int, token: object = None) -> bool:
        """Read or delete before anything is sent, if there is room; else a later list finds it."""
        if not self._modem.room:
            return False
        self._modem.command(text, now_us, token, timeout_us=_limit_us(text), first=True)
        return True

    def _heed(self, now_us: int) -> None:
        for event in self._modem.events():
            if isinstance(event, Told) and event.line.startswith("+CMTI:") and self._gives_pdus:
                index = event.line.rpartition(",")[2].strip()
                if index.isascii() and index.isdecimal():
                    self._look(f"AT+CMGR={index}", now_us, token=("read", index))
            elif isinstance(event, CommandDone):
                self._done(event, now_us)

    def _done(self, event: CommandDone, now_us: int) -> None:
        if self._take_result(event, now_us):
            self._judge(event)

    def _take_result(self, event: CommandDone, now_us: int) -> bool:
        """Take what a command brought; False where it says nothing of how the modem does."""
        match event.token:
            case _Sending() as sending:
                self._sent(sending, event)
            case ("read", str(index)):
                if event.ok:
                    for _, pdu in _stored("+CMGR:", event.lines):
                        self._take(pdu, index, now_us)
                return False  # one that is not there is no failure of the modem
            case ("delete", str(index)):
                self._taken.discard(index)
            case str(text) if text == _AS_PDUS:
                self._gives_pdus = event.ok
                return not event.ok  # where it takes that, sending may fail all the same
            case str(text) if text == _LIST and event.ok:
                self._take_list(event.lines, now_us)
            case str(text) if text in (ESCAPE, _TELL):
                return False
        return True

    def _judge(self, event: CommandDone) -> None:
        """Tell whether the modem is ready, or has failed too often."""
        self._failures = 0 if event.ok else self._failures + 1
        if event.token == _LIST and event.ok:
            self._events.append(Ready())
        elif (event.token in _BEGIN and not event.ok) or self._failures >= MAX_FAILURES:
            meant = _MEANT.get(event.result)
            told = f"{event.result} ({meant})" if meant else event.result
            asked = event.token if isinstance(event.token, str) else "what is sent or deleted"
            self._events.append(ModemFailed(f"the modem says {told} to {asked}"))

    def _sent(self, sending: _Sending, event: CommandDone) -> None:
        sending.left -= 1
        if not event.ok or not sending.left:  # without one part the others would be no message
            self._events.append(MessageSent(sending.number, event.ok, event.result))

    def _take_list(self, lines: Sequence[str], now_us: int) -> None:
        for head, pdu in _stored("+CMGL:", lines):
            index = head.partition(",")[0].strip()
            if index.isascii() and index.isdecimal():
                self._take(pdu, index, now_us)

    def _take(self, pdu: str, index: str, now_us: int) -> None:
        if index in self._taken or not self._look(
            f"AT+CMGD={index}", now_us, token=("delete", index)
        ):
            return
        self._taken.add(index)
        try:
            one = delivered(pdu)
        except RemoteProtocolError:
            return
        if one.text is not None:
            self._events.append(TextCame(one.sender, one.text))
            return
        whole = self._joiner.take(one, now_us)
        if whole:
            self._events.append(MessageCame(one.sender, whole))


def _limit_us(text: str) -> int:
    return LISTING_US if text == _LIST else COMMAND_US


def _stored(name: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give what stands behind a name, and the PDU that follows.

    A modem may say other things in between: how well it hears, where it is.  One that was switched
    off and on may be in text mode, where a quoted word stands first and digits are no PDU.
    """
    head = None
    for line in lines:
        if line.startswith(name):
            told = line.removeprefix(name).lstrip()
            head = None if told.startswith('"') else told
        elif head is not None and set(line) <= _HEX:
            yield head, line
            head = None
