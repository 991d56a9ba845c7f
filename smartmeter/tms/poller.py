"""The shell of the polled source: sessions with plain meters, a bounded number at once.

Meters that did not answer last time wait apart from the others: each of a thousand
dead serial servers holds a session for as long as a connection may take.  A poll asks
several times; once it was answered, what it asks next waits behind no other's first question.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings
from protocols.c1218.steps import Script
from protocols.errors import ProtocolError, RemoteProtocolError, ServiceRefused
from protocols.psem.codec import block, decode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, Identify, OffsetRead
from protocols.transports.async_tcp import converse
from smartmeter.comms.event_loop import ended
from smartmeter.tms.polled_source import PolledSource, Question

#: Sessions with those that answered last time, with those that did not, and with those that
#: have just answered and are asked on.
MAX_SESSIONS = 64
#: The longest session: a whole load profile over a slow line takes minutes.
SESSION_S = 600.0
USER = b"TMS"
_LOG = logging.getLogger(__name__)


class Poller:
    """Asks what the source has to ask; ``settle`` is called when something came of it."""

    def __init__(self, source: PolledSource, settle: Callable[[], None]) -> None:
        self._source, self._settle = source, settle
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_SESSIONS)
        self._room_of_silent = asyncio.Semaphore(MAX_SESSIONS)
        self._room_of_asked_on = asyncio.Semaphore(MAX_SESSIONS)
        self._has_answered = ""

    def begin(self) -> None:
        """Begin what waits."""
        for question in self._source.take():
            task = asyncio.create_task(self._ask(question, self._room_for(question.meter.esn)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all sessions."""
        await ended(*self._tasks)

    def _room_for(self, esn: str) -> asyncio.Semaphore:
        if esn == self._has_answered:
            return self._room_of_asked_on
        return self._room_of_silent if esn in self._source.silent else self._room

    async def _ask(self, question: Question, room: asyncio.Semaphore) -> None:
        meter, silent = question.meter, self._source.silent
        settings = LogonSettings(meter.user_id, USER, meter.password or None)
        try:
            async with room, asyncio.timeout(SESSION_S):
                items = await converse(
                    meter.address, settings, lambda talk: _answers(talk, question.services)
                )
        except TimeoutError:
            silent.add(meter.esn)
            self._source.unanswered(question.transaction, f"no end after {SESSION_S:.0f} s")
        except (RemoteProtocolError, ServiceRefused) as error:
            silent.discard(meter.esn)  # it holds no session for long
            self._source.unanswered(question.transaction, str(error), heard=True)
        except ProtocolError as error:
            silent.add(meter.esn)
            self._source.unanswered(question.transaction, str(error))
        except Exception as error:  # who waits for its end would wait for ever
            _LOG.exception("not foreseen")
            text = f"{type(error).__name__}: {error}".split("\n")[0]
            told = f"this program did not foresee {text:.200}; see its log"
            self._source.unanswered(question.transaction, told)
        else:
            silent.discard(meter.esn)
            self._source.answered(question.transaction, items)
            self._has_answered = meter.esn  # what it is asked on begins before this returns
        self._settle()
        self._has_answered = ""


def _answers(conversation: Conversation, services: Sequence[bytes]) -> Script[list[bytes]]:
    """Carry services out one after the other; an item for each, as over C12.22."""
    items: list[bytes] = []
    _check_password(conversation)
    for octets in services:
        try:
            items.append((yield from _answer(conversation, octets)))
        except ServiceRefused as refused:
            _check_password(conversation)  # it may have been asked for in a new session
            items.append(bytes([refused.code]))
    return items


def _check_password(conversation: Conversation) -> None:
    if conversation.opened is not None and conversation.opened.password_accepted is False:
        raise RemoteProtocolError("the meter refuses the password")


def _answer(conversation: Conversation, octets: bytes) -> Script[bytes]:
    match decode_request(octets):
        case FullRead(table):
            return b"\0" + block((yield from conversation.read(table)))
        case OffsetRead(table, offset, count):
            return b"\0" + block((yield from conversation.read_part(table, offset, count)))
        case Identify():
            return b"\0"  # it has just opened a session
    return bytes([ResponseCode.sns])
