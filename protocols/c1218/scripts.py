"""What a client does on a line, as scripts: generators that yield requests and get answers.

A script knows no port and no time.  The same one runs under the blocking
shell, the asyncio shell, in a gateway and in a simulation.  It raises
ServiceRefused when the meter refuses; what a meter may lack (Negotiate,
Security, Logoff) it does without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from protocols.c1218.steps import ClientLimits, Pause, Script, Speed, Step, T
from protocols.c1218.transfer import SESSION_LOST, TableReading, TableWriting, check, read_block
from protocols.errors import (
    LinkError,
    NotAnswered,
    OutcomeUnknown,
    ProcedureUnanswered,
    ProtocolError,
    RemoteProtocolError,
    ServiceRefused,
    SessionEnded,
    SessionOver,
)
from protocols.psem.codec import PASSWORD_OCTETS
from protocols.psem.codes import BAUD_CODES, START_BAUD, ResponseCode, code_name
from protocols.psem.services import (
    DefaultRead,
    FullRead,
    Identify,
    IndexRead,
    Logoff,
    Logon,
    Negotiate,
    OffsetRead,
    Request,
    Response,
    Security,
    Terminate,
    Wait,
)
from protocols.quirks import Quirk, Quirks

#: The tables of procedures, and the result of one that is still running.
INITIATE, RESPONSE, NOT_COMPLETED = 7, 8, 1
PROCEDURE_POLLS = 20
PROCEDURE_POLL_US = 500_000
#: Longer than the channel traffic time-out: a meter that was left in a session is in Base then.
TRAFFIC_PAUSE_US = 6_500_000
#: Before a new session, so that what is on its way has passed.
REOPEN_PAUSE_US = 500_000
#: New sessions that one transfer may take.
RESUMES = 3


class Padding(Enum):
    """How a password is filled up to 20 octets; AUTO tries NULs where spaces are refused (Q18)."""

    AUTO = "auto"
    SPACES = "spaces"
    NULS = "nuls"


SPACES, NULS = b" ", b"\0"


@dataclass(frozen=True)
class LogonSettings:
    """How to open a session; a ``password`` of 20 octets is sent as it is.

    A short session does without ``negotiate``: the default packets are enough for it.
    ``attempts`` is how often Identify is tried where nobody answers at all.
    """

    user_id: int = 0
    user: bytes = b""
    password: bytes | None = field(default=None, repr=False)
    packet_octets: int = 1024
    packets: int = 128
    bauds: tuple[int, ...] = ()
    negotiate: bool = True
    padding: Padding = Padding.AUTO
    attempts: int = 2


@dataclass(frozen=True)
class Opened:
    """How a session was opened; None for a proof that was not tried.  A call alone has keys.

    ``key_unused``: there is a key, and the device asks for none.
    """

    identification: bytes
    password_accepted: bool | None
    key_accepted: bool | None = None
    key_unused: bool = False


def open_session(settings: LogonSettings, quirks: Quirks | None = None) -> Script[Opened]:
    """Identify, Negotiate, Logon and, with a password, Security.

    ``quirks`` is where the client keeps what it meets (``client.quirks``).
    """
    quirks = quirks or Quirks()
    identification = yield from _identify(settings, quirks)
    offer = settings.bauds if settings.negotiate else None
    while True:
        try:
            yield from _log_on(settings, offer, quirks)
            break
        except LinkError as error:
            may_lack_negotiate = offer is not None and isinstance(error, NotAnswered)
            if not (offer or may_lack_negotiate):
                raise
        # The meter may be at another speed than we are: it is in Base after a while (Q10).
        quirks.note(Quirk.BAUD_CHANGE_FAILED if offer else Quirk.SERVICE_MISSING)
        yield Pause(TRAFFIC_PAUSE_US)
        identification = yield from _identify(settings, quirks)
        offer = () if offer else None  # first without a speed, then not at all
    accepted = None
    if settings.password is not None:
        accepted = yield from prove(settings.password, settings.padding, quirks)
    return Opened(identification, accepted)


def _identify(settings: LogonSettings, quirks: Quirks) -> Script[bytes]:
    attempt = 1
    while True:
        try:
            response = yield Identify()
            break
        except LinkError:
            if attempt >= settings.attempts:
                raise
        attempt += 1
        yield Pause(TRAFFIC_PAUSE_US)
        yield from _end_session_at(max(settings.bauds, default=START_BAUD))
    if attempt > 1:
        quirks.note(Quirk.SILENT_AT_FIRST)
    if response.code == ResponseCode.isss:
        quirks.note(Quirk.SESSION_OPEN)
        yield from _terminate()
        response = yield from asked(Identify())
    return check(Identify(), response).data


def _end_session_at(baud: int) -> Script[None]:
    """End a session that an earlier client left open at a speed that it had negotiated (Q30)."""
    if baud == START_BAUD:
        return
    yield Speed(baud)
    try:
        yield Terminate()
    except LinkError:
        yield Speed(START_BAUD)  # nobody is there either


def _log_on(settings: LogonSettings, offer: tuple[int, ...] | None, quirks: Quirks) -> Script[None]:
    """Negotiate with these speeds on offer (None: not at all), and log on."""
    if offer is not None:
        codes = tuple(BAUD_CODES[baud] for baud in offer)
        response = yield Negotiate(settings.packet_octets, settings.packets, codes)
        if response.code == ResponseCode.sns:
            quirks.note(Quirk.SERVICE_MISSING)
    logon = Logon(settings.user_id, settings.user)
    check(logon, (yield from asked(logon)))


def asked(request: Request) -> Script[Response]:
    """Ask for a step of a log-on; SessionOver where the meter has given up the one before it."""
    response = yield request
    if response.code in SESSION_LOST:
        raise _ended(response.code)
    return response


def prove(password: bytes, padding: Padding, quirks: Quirks) -> Script[bool | None]:
    """Send the password; give whether it was accepted, or None where there is no Security.

    A session that is over, and a meter that is busy throughout, tell nothing of the password.
    """
    for fill in _fills(len(password), padding, quirks):
        response = yield from _within(Security(password.ljust(PASSWORD_OCTETS, fill)))
        if response.code == ResponseCode.sns:
            quirks.note(Quirk.SERVICE_MISSING)
            return None
        if response.code == ResponseCode.bsy:
            check(Security(password), response)
        if response.ok:
            if fill == NULS and padding is Padding.AUTO:
                quirks.note(Quirk.PADDING)
            elif fill == SPACES:
                quirks.forget(Quirk.PADDING)
            return True
        if response.code != ResponseCode.err:
            quirks.note(Quirk.OTHER_REFUSAL)
    return False


def _fills(octets: int, padding: Padding, quirks: Quirks) -> tuple[bytes, ...]:
    """Give what to fill a password of so many octets up with, in turn; what worked last first."""
    if padding is not Padding.AUTO:
        return (SPACES if padding is Padding.SPACES else NULS,)
    if Quirk.PADDING in quirks.assume:
        return (NULS,)
    fills = (NULS, SPACES) if quirks.on(Quirk.PADDING) else (SPACES, NULS)
    several = octets < PASSWORD_OCTETS and quirks.tolerates(Quirk.PADDING)
    return fills if several else fills[:1]


def close_session(quirks: Quirks | None = None) -> Script[None]:
    """Logoff and Terminate, whatever the meter says to them."""
    quirks = quirks or Quirks()
    try:
        response = yield Logoff()
        if not response.ok:
            quirks.note(Quirk.LOGOFF_IGNORED)
    except NotAnswered:
        quirks.note(Quirk.LOGOFF_IGNORED)
    try:
        yield Terminate()
    except NotAnswered:
        quirks.note(Quirk.TERMINATE_IGNORED)


def resumed(work: Callable[[], Script[T]], reopen: Callable[[], Script[object]]) -> Script[T]:
    """Do work that remembers how far it came, in new sessions where the old one is lost.

    A session is lost with its link, and when the device wants to begin anew (rno)
    or has forgotten it (isss).  A write that may have been carried out is never repeated:
    OutcomeUnknown.
    """
    for _ in range(RESUMES):
        try:
            return (yield from work())
        except OutcomeUnknown:
            raise
        except LinkError:
            yield Pause(REOPEN_PAUSE_US)
        except ServiceRefused as refusal:
            if refusal.code not in SESSION_LOST:
                raise
            yield from _terminate()
        try:
            yield from reopen()
        except ServiceRefused as refusal:  # not of the work
            raise SessionEnded(
                f"the session was lost, and no new one begins: {refusal}"
            ) from refusal
    try:
        return (yield from work())
    except ServiceRefused as refusal:
        if refusal.code in SESSION_LOST and (yield from _is_over(refusal.code)):
            raise _ended(refusal.code) from refusal
        raise


def _terminate() -> Script[None]:
    try:
        yield Terminate()
    except LinkError:
        return  # Identify will tell


def in_session(script: Script[T]) -> Script[T]:
    """Run a script of one session; SessionOver where a refusal only says that it is over.

    On a bad line a meter may have given the session up, and its rno or isss tells nothing of the
    table that was asked for.  One that still answers to something else refuses that one thing.
    """
    return asked_by(script, _within)


def asked_by(script: Script[T], ask: Callable[[Step], Script[Response]]) -> Script[T]:
    """Run a script; ``ask`` gets the answer to each of its steps, with more steps if need be.

    A ProtocolError of ``ask`` is raised in the script, at that step.
    """
    try:
        step = next(script)
        while True:
            try:
                answer = yield from ask(step)
            except ProtocolError as error:
                step = script.throw(error)
            else:
                step = script.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        script.close()


def _within(step: Step) -> Script[Response]:
    """Ask for a step within a session; SessionOver where that is over."""
    answer = yield step
    if answer.code in SESSION_LOST and (yield from _is_over(answer.code)):
        raise _ended(answer.code)
    return answer


def _is_over(code: int) -> Script[bool]:
    """Tell whether a refusal says that the session is over, and not that one thing is refused."""
    if code == ResponseCode.rno:
        return True
    again = yield FullRead(1)
    return again.code in SESSION_LOST


def _ended(code: int) -> SessionOver:
    return SessionOver(f"the meter has ended the session: {code_name(code)} ({code:02X}H)")


def read_table(table: int, limits: ClientLimits) -> Script[bytes]:
    """Read a whole table, in one answer, or by pieces where it is too long for one."""
    return TableReading(table).script(limits)


def read_part(table: int, offset: int, count: int, limits: ClientLimits) -> Script[bytes]:
    """Read octets of a table; what lies past its end is left out."""
    return TableReading(table, offset, count).script(limits)


def read_index(
    table: int, indices: tuple[int, ...], count: int, limits: ClientLimits
) -> Script[bytes]:
    """Read ``count`` elements of a table from a position in its structure on."""
    return read_block(IndexRead(table, indices, count), limits)


def read_default(limits: ClientLimits) -> Script[bytes]:
    """Read the table that the device chooses."""
    return read_block(DefaultRead(), limits)


def write_table(table: int, data: bytes, limits: ClientLimits) -> Script[None]:
    """Write a whole table: at once, or by pieces where it is too long for one request."""
    return TableWriting(table, data).script(limits)


def write_part(table: int, offset: int, data: bytes, limits: ClientLimits) -> Script[None]:
    """Write octets of a table.  A piece that was refused leaves the earlier ones written."""
    return TableWriting(table, data, offset).script(limits)


@dataclass
class ProcedureCall:
    """A procedure: ``initiate`` is the image of ST-07; its first three octets come back in ST-08.

    It is started once; only asking for its answer goes on in a new session.
    ``ask`` False is for boards that must not be asked for ST-08 (Q39).
    """

    initiate: bytes
    ask: bool = True
    started: bool = False

    def script(self, limits: ClientLimits) -> Script[bytes]:
        """Write ST-07 and read ST-08 until it is the finished answer; give its image."""
        if not self.started:
            yield from TableWriting(INITIATE, self.initiate).script(limits)
            self.started = True
        if not self.ask:
            return b""
        for _ in range(PROCEDURE_POLLS):
            answer = yield from read_table(RESPONSE, limits)
            if is_finished(self.initiate, answer):
                return answer
            yield Pause(PROCEDURE_POLL_US)
        raise RemoteProtocolError("the meter did not finish the procedure")


def is_finished(initiate: bytes, answer: bytes) -> bool:
    """Tell whether an image of ST-08 answers this image of ST-07, and is the last word on it."""
    return answer[:3] == initiate[:3] and len(answer) >= 4 and answer[3] != NOT_COMPLETED


def run_procedure(initiate: bytes, limits: ClientLimits) -> Script[bytes]:
    """Run a procedure: the image of ST-07 in, the image of ST-08 out.

    ProcedureUnanswered when it was started and its answer cannot be had.
    """
    call = ProcedureCall(initiate)
    return answered(call, call.script(limits))


def answered(call: ProcedureCall, work: Script[bytes]) -> Script[bytes]:
    """Do the work of a call; ProcedureUnanswered for whatever fails once it was started."""
    try:
        return (yield from work)
    except ProtocolError as error:
        if call.started:
            raise ProcedureUnanswered(error) from error
        raise


def keep_alive(limits: ClientLimits, seconds: int) -> Script[None]:
    """Keep an idle session: Wait, or where the meter has no Wait a read of one octet (Q36).

    ServiceRefused when there is no session any more.
    """
    if not limits.quirks.on(Quirk.NO_WAIT):
        wait = Wait(seconds)
        response: Response = yield wait
        if response.code in SESSION_LOST:
            check(wait, response)
        if response.code != ResponseCode.sns:
            return
        limits.quirks.note(Quirk.NO_WAIT)
    read = OffsetRead(1, 0, 1)
    response = yield read
    if response.code in SESSION_LOST:
        check(read, response)  # any other refusal keeps the session as well as octets do
