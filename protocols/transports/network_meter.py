"""A meter read and written over the network, blocking: ``c1222://HOST[:PORT]/APTITLE``.

One connection (TCP, TLS or UDP) to the node itself, or to a relay that knows it; every
message is secured when there is a key.
"""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from protocols.c1218.client import BUSY_PAUSE_US, BUSY_REPEATS
from protocols.c1218.scripts import PROCEDURE_POLL_US, PROCEDURE_POLLS
from protocols.c1218.transfer import Progress, Script, T, check, told
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.identification import NodeIdentification, decode_identification
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    MessageRejected,
    Node,
    NodeSettings,
    ResponseArrived,
    TransactionFailed,
)
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
)
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import (
    FullRead,
    FullWrite,
    Identify,
    Logoff,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
    Security,
)
from protocols.transports.answer_door import AnswerDoor
from protocols.transports.apdu_connection import ApduConnection
from protocols.transports.network_name import parse_name
from protocols.transports.port import monotonic_us

#: The title that a reader has; not the TMS's own, so that no relay mistakes one for the other.
READER_TITLE = ".65000"
ANSWER_TIMEOUT_S = 15.0
#: How long is waited at both at once, where answers may come by another connection.
LOOK_S = 0.5
#: How long an answer is awaited on another connection where ours has ended, as it may have before
#: the request came, and what was asked may be asked again.
OTHER_WAY_S = 0.5
#: Reasons why messages were refused that an error tells.
MAX_TOLD = 4
#: A session ends after so long without a message.
SESSION_IDLE_S = 60
#: A table that does not fit an answer is read in pieces of so many octets, or else of the half.
PIECE_OCTETS = 400
MAX_TABLE_OCTETS = 1 << 24
#: What a meter may answer to a piece that crosses the end of its table: a shorter one may go.
PAST_THE_END = (ResponseCode.onp, ResponseCode.iar)
#: Tables of procedures, and the result of one that is still running.
INITIATE, RESPONSE, NOT_COMPLETED = 7, 8, 1
#: What the network says in place of the meter, or the meter without looking at the request.
NETWORK_ANSWERS = {
    "uat": "nobody there has this title",
    "nett": "the meter does not answer; try again",
    "netr": "the way to the meter is cut; try again",
    "sme": "the key is not the meter's, or the clocks differ; see --key-file",
}
#: Those after which a request was surely not carried out.
NOTHING_DONE = frozenset(("uat", "sme"))
#: What may be asked again when a connection ended before the answer.
_READS = (FullRead, OffsetRead)
_OK, _ISSS = Response(ResponseCode.ok), Response(ResponseCode.isss)
_BUSY = (ResponseCode.bsy, ResponseCode.dnr)


class _NetworkBusy(LinkError):
    """Somebody without the key says that the meter, or the way to it, is busy: a hint."""


class NotReached(LinkError):
    """A request did not come to the meter, or was not looked at: nothing was done."""


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


class _Clock:
    def utc_us(self, now_us: int) -> int | None:
        return time.time_ns() // 1000


class _Keys:
    def __init__(self, keys: Mapping[int, EaxPrime]) -> None:
        self._keys = keys

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self._keys.get(key_id)


class NetworkMeter:
    """A meter's tables over C12.22; used with ``with``.

    The newest key, that with the highest id, secures the requests; without a
    key they go in clear, and then no password is sent.  One that is refused when something
    is read is not sent again (``password_accepted``): too many tries lock a meter, and what
    needs no right is read without.  A node that serves nothing
    outside sessions (``isss``) is logged on to, as ``user``.  With ``answer_port`` an
    answer may also come on a connection that the meter opens to that port.  An
    answer is awaited for ``answer_timeout_s``.
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
        self._name, target = name, parse_name(name)
        self._title, self._line = target.title, ApduConnection(target, tls, MAX_TABLE_OCTETS)
        self._key_id = max(keys, default=None)
        self._password, self._user_id, self._user = password, user_id, user
        #: None while the password was not tried.
        self.password_accepted: bool | None = None
        #: Called when it is refused, and all goes on without rights.
        self.on_password_refused: Callable[[], None] | None = None
        self._in_session = False
        state = SecurityState(1 + secrets.randbelow(0x7FFF))
        settings = NodeSettings(max_apdu_octets=MAX_TABLE_OCTETS)
        title = ApTitle.parse(READER_TITLE)
        self._node = Node(title, _Keys(keys), _Clock(), state, settings)
        self._node.joins_segments = True  # a relay may have them from a way by datagrams
        #: Whether an answer has come on this connection.
        self._has_answered = False
        self._answer_port, self._answer_timeout_s = answer_port, answer_timeout_s
        self._door: AnswerDoor | None = None

    def __enter__(self) -> NetworkMeter:
        if self._answer_port is not None:
            self._door = AnswerDoor(self._answer_port, MAX_TABLE_OCTETS)
        try:
            self._connect()
        except PortError:
            self._close_door()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._in_session and error is None:
            with suppress(LinkError, PortError):
                self._exchange([encode_service(Logoff())], self._key_id)
        self._line.close()
        self._close_door()

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
        answer = _table_octets(asking, self._reached(behind[0]) if is_there else self.ask(asking))
        for _ in range(PROCEDURE_POLLS):
            if answer[:3] == initiate[:3] and len(answer) >= 4 and answer[3] != NOT_COMPLETED:
                return answer
            time.sleep(PROCEDURE_POLL_US / 1e6)
            answer = _table_octets(asking, self.ask(asking))
        raise RemoteProtocolError("the meter did not finish the procedure")

    def keep_alive(self, seconds: int) -> None:
        """Do nothing: each message stands alone, and a lost connection is made again."""

    @property
    def is_secured(self) -> bool:
        """Tell whether there is a key."""
        return self._key_id is not None

    def identify(self) -> NodeIdentification:
        """Ask the node who it is: in clear, and secured where it answers nothing else."""
        asking = [encode_service(Identify())]
        try:
            response = self._reached(self._exchange(asking, None)[0])
        except NotReached:
            if self._key_id is None:
                raise
            response = self._reached(self._exchange(asking, self._key_id)[0])
        return decode_identification(check(Identify(), response).data)

    def run(self, script: Script[T]) -> T:
        """Run a script, each request in a message of its own; LinkError ends it."""
        try:
            step = next(script)
            while True:
                assert isinstance(step, Request)
                step = script.send(self.ask(step))
        except StopIteration as end:
            value: T = end.value
            return value

    def ask(self, request: Request) -> Response:
        """Ask for one thing; give the answer, positive or negative.

        A Security that is accepted goes with every message from then on.
        """
        if isinstance(request, Security):
            return self._prove(request.password)
        return self._reached(self._answers([request])[0])

    def _prove(self, password: bytes) -> Response:
        if self._key_id is None:
            raise LocalProtocolError("without a key the password is not sent: it would go in clear")
        security = NetworkSecurity(password, self._user_id)
        answer = self._reached(self._exchange([encode_service(security)], self._key_id)[0])
        if answer.ok:
            self._password = password
        return answer

    def _change(
        self, request: Request, table: int, offset: int = 0, also: Sequence[FullRead] = ()
    ) -> tuple[Response, ...]:
        """Send a Write, and what is to be read behind it; give the answers to that.

        ServiceRefused when the Write is: what is answered behind it takes nothing of it back.
        """
        self._connect()
        try:
            answers = self._answers([request, *also])
            check(request, self._reached(answers[0]))
        except NotReached:
            raise
        except LinkError as error:
            raise OutcomeUnknown(f"write of table {table}", offset, error) from error
        return answers[1:]

    def _answers(self, requests: Sequence[Request]) -> tuple[Response, ...]:
        """Send requests, of which none but the first may change something, in one message.

        A first one that the meter is too busy for was not done: it is asked again a few times,
        and those behind it with it.
        """
        answers = self._answered(requests)
        for _ in range(BUSY_REPEATS):
            if answers[0].code not in _BUSY:
                break
            time.sleep(BUSY_PAUSE_US / 1e6)
            answers = self._answered(requests)
        return answers

    def _answered(self, requests: Sequence[Request]) -> tuple[Response, ...]:
        """Send requests in one message, once if it changes something; give the answers."""
        are_reads = all(isinstance(one, _READS) for one in requests)
        services = [encode_service(request) for request in requests]
        try:
            responses = self._behind_password(services, are_reads)
        except LinkError as error:
            if isinstance(error, _NetworkBusy) and are_reads:
                return (Response(ResponseCode.bsy),)
            if not self._was_ended or not are_reads:
                raise
            responses = self._behind_password(services, are_reads)
        if responses[0] == _ISSS:  # nothing was done: there is no session, or none any more
            self._log_on(are_reads)
            responses = self._behind_password(services, are_reads)
        return responses

    @property
    def _was_ended(self) -> bool:
        """Tell whether the node has ended its connection, as it may after each answer, while the
        next request is under way."""
        return self._line.line is None and self._has_answered

    def _behind_password(self, services: list[bytes], are_reads: bool) -> tuple[Response, ...]:
        """Send services; in a session the password was given at its beginning."""
        led: list[bytes] = []
        if self._password is not None and self._key_id is not None and not self._in_session:
            led = [encode_service(NetworkSecurity(self._password, self._user_id))]
        responses = self._exchange(led + services, self._key_id, are_reads)
        if responses and responses[0] == _ISSS:
            return responses
        if responses and all(one.code in _BUSY for one in responses):
            return responses[-len(services) :]
        if led and responses:
            # A node may do what is asked behind a password that it refuses: done is done then.
            is_written = not are_reads and responses[1:2] == (_OK,)
            is_let_in = self._is_let_in(responses[0], are_reads or is_written)
            if not (is_let_in or is_written):
                return self._behind_password(services, are_reads)
            responses = responses[1:]
        if not responses:
            raise LinkError(f"{self._name}: an answer without items")
        return responses

    def _is_let_in(self, answer: Response, goes_on: bool) -> bool:
        """Note whether the password is accepted; ServiceRefused where nothing goes on without."""
        self.password_accepted = self._reached(answer).ok
        if self.password_accepted:
            return True
        if not goes_on:
            self._refused(answer, "the password")
        self._password = None
        if self.on_password_refused is not None:
            self.on_password_refused()
        return False

    def _log_on(self, are_reads: bool) -> None:
        """Open a session; ServiceRefused when the node has none for us."""
        services = [encode_service(NetworkLogon(self._user_id, self._user, SESSION_IDLE_S))]
        if self._password is not None and self._key_id is not None:
            services.append(encode_service(NetworkSecurity(self._password)))
        answers = self._exchange(services, self._key_id)
        for answer in answers[:1]:
            self._refused(answer, "logon")
        self._in_session = True
        for answer in answers[1:]:
            self._is_let_in(answer, are_reads)

    def _refused(self, response: Response, request: str) -> None:
        if not self._reached(response).ok:
            raise ServiceRefused(response.code, code_name(response.code), request)

    def _reached(self, response: Response) -> Response:
        """Give what the meter answers; LinkError for what the network does in its place."""
        name = code_name(response.code)
        if name in NETWORK_ANSWERS:
            raise self._unreached(name)
        return response

    def _unreached(self, cause: str) -> LinkError:
        """Give the error of a cause: a code of the network, or what the node found wrong."""
        meaning = NETWORK_ANSWERS.get(cause)
        text = f"{self._name}: answered {cause}" + (f": {meaning}" if meaning else "")
        if cause == ResponseCode.bsy.name:
            return _NetworkBusy(text)
        return (NotReached if cause in NOTHING_DONE else LinkError)(text)

    def _exchange(
        self, services: list[bytes], key_id: int | None, are_reads: bool = False
    ) -> tuple[Response, ...]:
        number = self._node.request(
            services,
            self._title,
            None,
            monotonic_us(),
            key_id=key_id,
            timeout_us=int(self._answer_timeout_s * 1e6),
        )
        self._send()
        refused: set[str] = set()
        has_ended = False
        deadline_s = time.monotonic() + self._answer_timeout_s
        while time.monotonic() < deadline_s:
            try:
                self._receive(deadline_s - time.monotonic())
            except LinkError as error:
                raise LinkError(f"{error}{_refusals(refused)}") from error
            if are_reads and self._was_ended and not has_ended:
                has_ended = True
                deadline_s = min(deadline_s, time.monotonic() + OTHER_WAY_S)
            for event in self._node.events():
                if isinstance(event, ResponseArrived) and event.transaction == number:
                    self._has_answered = True
                    return tuple(Response(one[0], one[1:]) for one in event.responses)
                if isinstance(event, TransactionFailed) and event.transaction == number:
                    raise self._unreached(event.cause)
                if isinstance(event, MessageRejected) and len(refused) < MAX_TOLD:
                    refused.add(event.told)
        raise LinkError(f"{self._name}: no answer in time{_refusals(refused)}")

    def _connect(self) -> None:
        """Connect anew where the connection has been lost, or ended after an answer."""
        try:
            if self._line.open():
                self._has_answered = False
        except PortError as error:
            raise PortError(f"{self._name:.80}: {error}") from error

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    def _send(self) -> None:
        self._connect()
        for _, octets in self._node.outgoing():
            try:
                self._line.send(octets)
            except PortError as error:
                raise LinkError(f"{self._name}: {error}") from error

    def _receive(self, wait_s: float) -> None:
        """Take what comes in a time; LinkError where the connection ends and no other may come."""
        wait_s = max(0.01, wait_s)
        if self._door is not None:
            self._take(self._door.wait(self._line.line, min(wait_s, LOOK_S)))
            wait_s = 0.0
        found = self._line.receive(wait_s)
        if found is None and self._door is None:
            raise LinkError(f"{self._name}: {self._line.why_ended}")
        self._take(found or [])

    def _take(self, found: list[bytes]) -> None:
        for octets in found:
            self._node.receive(None, octets, monotonic_us())


def _refusals(refused: set[str]) -> str:
    return f"; refused what came: {', '.join(sorted(refused))}" if refused else ""
