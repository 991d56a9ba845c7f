"""A meter read and written over the network, blocking: ``c1222://HOST[:PORT]/APTITLE``.

What is asked, in which pieces, how often, and with which password; ``network_line`` carries it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from protocols.c1218.client import BUSY_PAUSE_US, BUSY_REPEATS
from protocols.c1218.scripts import (
    INITIATE,
    PROCEDURE_POLL_US,
    PROCEDURE_POLLS,
    RESPONSE,
    is_finished,
)
from protocols.c1218.steps import Script, T
from protocols.c1218.transfer import MAX_TABLE_OCTETS, Progress, check, told
from protocols.c1222.identification import NodeIdentification, decode_identification
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import (
    NetworkLogon,
    NetworkSecurity,
    decode_blocks,
    encode_service,
)
from protocols.errors import (
    LinkError,
    LocalProtocolError,
    OutcomeUnknown,
    PortError,
    ProcedureUnanswered,
    ProtocolError,
    RemoteProtocolError,
    ServiceRefused,
    Unanswered,
)
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import (
    DefaultRead,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    Logoff,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
    Security,
    Wait,
)
from protocols.transports.network_line import NetworkBusy, NetworkLine, NoAnswer, NotReached

ANSWER_TIMEOUT_S = 15.0
#: A session ends after so long without a message.
SESSION_IDLE_S = 60
#: A table that does not fit an answer is read in pieces of so many octets, or else of the half.
PIECE_OCTETS = 400
#: What a meter may answer to a piece that crosses the end of its table: a shorter one may go.
PAST_THE_END = (ResponseCode.onp, ResponseCode.iar)
#: What may be asked again when a connection ended before the answer.
_READS = (FullRead, OffsetRead)
#: What changes nothing, so that where one is not answered others may be asked.
_LOOKS = (*_READS, DefaultRead, IndexRead, Wait)
_OK, _ISSS = Response(ResponseCode.ok), Response(ResponseCode.isss)
_BUSY = (ResponseCode.bsy, ResponseCode.dnr)


def read_table(table: int) -> Script[bytes]:
    """Read a whole table; in pieces where it is too large for an answer (``rstl``)."""
    request: Request = FullRead(table)
    response = yield request
    if response.code != ResponseCode.rstl:
        return _table_octets(request, response)
    data, size = b"", PIECE_OCTETS
    while len(data) < MAX_TABLE_OCTETS:
        request = OffsetRead(table, len(data), size)
        response = yield request
        is_past_the_end = bool(data) and response.code in PAST_THE_END
        if is_past_the_end and size == 1:
            break
        if size > 1 and (is_past_the_end or response.code == ResponseCode.rstl):
            size //= 2
            continue
        piece = _table_octets(request, response)
        data += piece
        if len(piece) < size:
            break
    return data


def _table_octets(request: Request, response: Response) -> bytes:
    """Give what a read brought; RemoteProtocolError says of which table it makes no sense."""
    octets = check(request, response).data
    try:
        return decode_blocks(octets)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(
            f"{told(request)}: what the meter answered is no table: {error};"
            " --pcap FILE keeps what came"
        ) from error


class NetworkMeter:
    """A meter's tables over C12.22; used with ``with``.

    Without a key messages go in clear, and no password is sent.  A password that is refused when
    something is read is not sent again (``password_accepted``): too many tries lock a meter, and
    what needs no right can be read without it.  A node that serves nothing outside sessions
    (``isss``) is logged on to, as ``user``.  Keys, ``answer_port``, ``answer_timeout_s`` and
    ``tls`` are those of ``NetworkLine``.
    """

    def __init__(
        self,
        name: str,
        keys: Mapping[int, EaxPrime],
        password: bytes | None = None,
        user_id: int = 0,
        answer_port: int | None = None,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        user: bytes = b"",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._line = NetworkLine(name, keys, answer_timeout_s, answer_port, tls)
        self._password, self._user_id, self._user = password, user_id, user
        #: None while the password was not tried.
        self.password_accepted: bool | None = None
        #: Called when it is refused, and all goes on without rights.
        self.on_password_refused: Callable[[], None] | None = None
        self._in_session = False

    def __enter__(self) -> NetworkMeter:
        self._line.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._in_session and error is None:
            with suppress(LinkError, PortError):
                self._line.exchange([encode_service(Logoff())])
        self._line.close()

    def read(self, table: int, progress: Progress | None = None) -> bytes:
        """Give a whole table; ServiceRefused when the meter will not.

        One that is too large for an answer (``rstl``) is read in pieces.
        """
        data = self.run(read_table(table))
        if progress is not None:
            progress(len(data), len(data))
        return data

    def read_part(self, table: int, offset: int, count: int) -> bytes:
        """Give octets of a table; what lies past its end is left out."""
        request = OffsetRead(table, offset, count)
        return _table_octets(request, self.ask(request))

    def write(self, table: int, data: bytes, progress: Progress | None = None) -> None:
        """Write a whole table; in pieces where that is too large for a request (``rqtl``).

        OutcomeUnknown when no answer comes: it is never sent twice.
        """
        try:
            self._change(FullWrite(table, data), table)
        except ServiceRefused as refused:
            if refused.code != ResponseCode.rqtl:
                raise
            self._write_in_pieces(table, data, progress)

    def _write_in_pieces(self, table: int, data: bytes, progress: Progress | None) -> None:
        at, size = 0, PIECE_OCTETS
        while at < len(data):
            try:
                self.write_part(table, at, data[at : at + size])
            except ServiceRefused as refused:
                if refused.code != ResponseCode.rqtl or size == 1:
                    raise
                size //= 2
                continue
            at = min(at + size, len(data))
            if progress is not None:
                progress(at, len(data))

    def write_part(self, table: int, offset: int, data: bytes) -> None:
        """Write octets of a table; OutcomeUnknown when no answer comes."""
        self._change(OffsetWrite(table, offset, data), table, offset)

    def procedure(self, initiate: bytes, ask: bool = True) -> bytes:
        """Run a procedure: the image of ST-07 in, the image of ST-08 out.

        Both go in one message, so that nobody's procedure comes between; one that is
        not finished yet is asked for again.  ProcedureUnanswered when it was started and
        its answer cannot be had.
        """
        asking = [FullRead(RESPONSE)] * ask
        behind = self._change(FullWrite(INITIATE, initiate), INITIATE, also=asking)
        try:
            return self._finished(initiate, behind) if ask else b""
        except ProtocolError as error:
            raise ProcedureUnanswered(error) from error

    def _finished(self, initiate: bytes, behind: Sequence[Response]) -> bytes:
        """Give the image of ST-08 that is the finished answer to a procedure.

        ``behind``: what was answered behind the Write that started it.
        """
        asking = FullRead(RESPONSE)
        is_there = behind and behind[0].code not in _BUSY
        answer = _table_octets(
            asking, self._line.reached(behind[0]) if is_there else self.ask(asking)
        )
        for _ in range(PROCEDURE_POLLS):
            if is_finished(initiate, answer):
                return answer
            time.sleep(PROCEDURE_POLL_US / 1e6)
            answer = _table_octets(asking, self.ask(asking))
        raise RemoteProtocolError("the meter did not finish the procedure")

    def keep_alive(self, seconds: int) -> None:
        """Do nothing: each message stands alone, and a lost connection is made again."""

    @property
    def is_secured(self) -> bool:
        """Tell whether there is a key."""
        return self._line.is_secured

    def identify(self) -> NodeIdentification:
        """Ask the node who it is: in clear, and secured where it answers nothing else."""
        asking = [encode_service(Identify())]
        try:
            response = self._line.reached(self._line.exchange(asking, in_clear=True)[0])
        except NotReached:
            if not self.is_secured:
                raise
            response = self._line.reached(self._line.exchange(asking)[0])
        return decode_identification(check(Identify(), response).data)

    def run(self, script: Script[T]) -> T:
        """Run a script, each request in a message of its own; LinkError ends it.

        The script is told where one is not answered, and may go on.
        """
        try:
            step = next(script)
            while True:
                assert isinstance(step, Request)
                try:
                    answer = self.ask(step)
                except Unanswered as error:
                    step = script.throw(error)
                else:
                    step = script.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    def ask(self, request: Request) -> Response:
        """Ask for one thing; give the answer, positive or negative.

        A Security that is accepted goes with every message from then on.  Unanswered when only
        what is asked, which changes nothing, brings no answer; LinkError when nothing does.
        """
        if isinstance(request, Security):
            return self._prove(request.password)
        was_there = self._line.has_answered
        try:
            return self._line.reached(self._ask_patiently([request])[0])
        except NoAnswer as error:
            if was_there and isinstance(request, _LOOKS) and self._is_there():
                raise Unanswered(f"{error}; the meter answers others") from error
            raise

    def _is_there(self) -> bool:
        """Tell whether the meter answers who it is."""
        with suppress(ProtocolError):
            self._line.reached(self._ask_patiently([Identify()])[0])
            return True
        return False

    def _prove(self, password: bytes) -> Response:
        if not self.is_secured:
            raise LocalProtocolError("without a key the password is not sent: it would go in clear")
        security = NetworkSecurity(password, self._user_id)
        answer = self._line.reached(self._line.exchange([encode_service(security)])[0])
        if answer.ok:
            self._password = password
        return answer

    def _change(
        self, request: Request, table: int, offset: int = 0, also: Sequence[FullRead] = ()
    ) -> tuple[Response, ...]:
        """Send a Write, and what is to be read behind it; give the answers to that.

        ServiceRefused when the Write is: what is answered behind it takes nothing of it back.
        """
        self._line.connect()
        try:
            answers = self._ask_patiently([request, *also])
            check(request, self._line.reached(answers[0]))
        except NotReached:
            raise
        except LinkError as error:
            raise OutcomeUnknown(f"write of table {table}", offset, error) from error
        return answers[1:]

    def _ask_patiently(self, requests: Sequence[Request]) -> tuple[Response, ...]:
        """Send requests, of which none but the first may change something, in one message.

        A first one that the meter is too busy for was not done: it is asked again a few times,
        and those behind it with it.
        """
        answers = self._ask_in_session(requests)
        for _ in range(BUSY_REPEATS):
            if answers[0].code not in _BUSY:
                break
            time.sleep(BUSY_PAUSE_US / 1e6)
            answers = self._ask_in_session(requests)
        return answers

    def _ask_in_session(self, requests: Sequence[Request]) -> tuple[Response, ...]:
        """Send requests in one message, and log on where the meter serves nothing without.

        What changes something is not sent again where its answer does not come.
        """
        are_reads = all(isinstance(one, _READS) for one in requests)
        services = [encode_service(request) for request in requests]
        try:
            responses = self._ask_with_password(services, are_reads)
        except LinkError as error:
            if isinstance(error, NetworkBusy) and are_reads:
                return (Response(ResponseCode.bsy),)
            if not self._line.was_ended or not are_reads:
                raise
            responses = self._ask_with_password(services, are_reads)
        if responses[0] == _ISSS:  # nothing was done: there is no session, or none any more
            self._log_on(are_reads)
            responses = self._ask_with_password(services, are_reads)
        return responses

    def _ask_with_password(self, services: list[bytes], are_reads: bool) -> tuple[Response, ...]:
        """Send services; in a session the password was given at its beginning."""
        led: list[bytes] = []
        if self._password is not None and self.is_secured and not self._in_session:
            led = [encode_service(NetworkSecurity(self._password, self._user_id))]
        responses = self._line.exchange(led + services, are_reads)
        if responses[0] == _ISSS:
            return responses
        if all(one.code in _BUSY for one in responses):
            return responses[-len(services) :]
        if led:
            # A node may do what is asked behind a password that it refuses: done is done then.
            is_written = not are_reads and responses[1:2] == (_OK,)
            is_let_in = self._is_let_in(responses[0], are_reads or is_written)
            if not (is_let_in or is_written):
                return self._ask_with_password(services, are_reads)
            responses = responses[1:]
            if not responses:
                raise LinkError(f"{self._line.name}: only the password was answered")
        return responses

    def _is_let_in(self, answer: Response, goes_on: bool) -> bool:
        """Note whether the password is accepted; ServiceRefused where nothing goes on without."""
        self.password_accepted = self._line.reached(answer).ok
        if self.password_accepted:
            return True
        if not goes_on:
            raise _refusal(answer, "the password")
        self._password = None
        if self.on_password_refused is not None:
            self.on_password_refused()
        return False

    def _log_on(self, are_reads: bool) -> None:
        """Open a session; ServiceRefused when the node has none for us."""
        services = [encode_service(NetworkLogon(self._user_id, self._user, SESSION_IDLE_S))]
        if self._password is not None and self.is_secured:
            services.append(encode_service(NetworkSecurity(self._password)))
        logged_on, *proven = self._line.exchange(services)
        if not self._line.reached(logged_on).ok:
            raise _refusal(logged_on, "Logon")
        self._in_session = True
        for answer in proven:
            self._is_let_in(answer, are_reads)


def _refusal(answer: Response, request: str) -> ServiceRefused:
    return ServiceRefused(answer.code, code_name(answer.code), request)
