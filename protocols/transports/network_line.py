"""The line to a node on the network, blocking: services out in one message, the answers to them in.

It is a connection (TCP, TLS or UDP) to the node itself, or to a relay that knows it.  It knows the
keys, and what the network says in a node's place; what is asked, and how often, is its user's.
"""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Mapping, Sequence

from protocols.c1218.transfer import MAX_TABLE_OCTETS
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    MessageRejected,
    Node,
    NodeSettings,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.security import EaxPrime
from protocols.errors import LinkError, PortError
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import Response
from protocols.transports.answer_door import AnswerDoor
from protocols.transports.apdu_connection import ApduConnection
from protocols.transports.network_name import parse_name
from protocols.transports.port import monotonic_us

#: The title that a reader has; not the TMS's own, so that no relay mistakes one for the other.
READER_TITLE = ".65000"
#: The connection and the door for answers are waited at together, for so long at a time.
LOOK_S = 0.5
#: How long an answer is awaited on another connection where ours has ended, as it may have before
#: the request came, and what was asked may be asked again.
OTHER_WAY_S = 0.5
#: Reasons why messages were refused that an error tells.
MAX_TOLD = 4
#: What the network says in place of the meter, or the meter without looking at the request.
NETWORK_ANSWERS = {
    "uat": "nobody there has this title",
    "nett": "the meter does not answer; try again",
    "netr": "the way to the meter is cut; try again",
    "sme": "the key is not the meter's, or the clocks differ; see --key-file",
}
#: Those after which a request was surely not carried out.
NOTHING_DONE = frozenset(("uat", "sme"))


class NotReached(LinkError):
    """A request did not come to the meter, or was not looked at: nothing was done."""


class NoAnswer(LinkError):
    """A request was sent, and its answer did not come: not in time, or its connection ended."""


class NetworkBusy(LinkError):
    """Somebody without the key says that the meter, or the way to it, is busy: a hint."""


class _Clock:
    def utc_us(self, now_us: int) -> int | None:
        return time.time_ns() // 1000


class _Keys:
    def __init__(self, keys: Mapping[int, EaxPrime]) -> None:
        self._keys = keys

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self._keys.get(key_id)


class NetworkLine:
    """One node under its ``name``.  The newest key, that with the highest id, secures the messages.

    With ``answer_port`` an answer may also come on a connection that the node opens to that port.
    An answer is awaited for ``answer_timeout_s``.
    """

    def __init__(
        self,
        name: str,
        keys: Mapping[int, EaxPrime],
        answer_timeout_s: float,
        answer_port: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name, target = name, parse_name(name)
        self._title, self._connection = target.title, ApduConnection(target, tls, MAX_TABLE_OCTETS)
        self._answer_timeout_s, self._answer_port = answer_timeout_s, answer_port
        self._door: AnswerDoor | None = None
        self._has_answered = False
        self._key_id = max(keys, default=None)
        state = SecurityState(1 + secrets.randbelow(0x7FFF))
        settings = NodeSettings(max_apdu_octets=MAX_TABLE_OCTETS)
        self._node = Node(ApTitle.parse(READER_TITLE), _Keys(keys), _Clock(), state, settings)
        self._node.joins_segments = True  # a relay may have them from a way by datagrams

    @property
    def is_secured(self) -> bool:
        """Tell whether there is a key."""
        return self._key_id is not None

    @property
    def has_answered(self) -> bool:
        """Tell whether an answer has come on this connection."""
        return self._has_answered

    @property
    def was_ended(self) -> bool:
        """Tell whether the node has ended its connection, as it may after each answer, while the
        next request is under way."""
        return self._connection.line is None and self._has_answered

    def open(self) -> None:
        """Listen where answers may come, and connect; PortError."""
        if self._answer_port is not None:
            self._door = AnswerDoor(self._answer_port, MAX_TABLE_OCTETS)
        try:
            self.connect()
        except PortError:
            self._close_door()
            raise

    def connect(self) -> None:
        """Connect anew where the connection has been lost, or ended after an answer."""
        try:
            if self._connection.open():
                self._has_answered = False
        except PortError as error:
            raise PortError(f"{self.name:.80}: {error}") from error

    def close(self) -> None:
        """End the connection, and listen no more."""
        self._connection.close()
        self._close_door()

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    def exchange(
        self, services: Sequence[bytes], are_reads: bool = False, in_clear: bool = False
    ) -> tuple[Response, ...]:
        """Send services in one message; give the answers, one at least.  LinkError without any.

        What only reads may be sent again: once the connection has ended its answer is not
        awaited for long.
        """
        transaction = self._node.request(
            services,
            self._title,
            None,
            monotonic_us(),
            key_id=None if in_clear else self._key_id,
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
                raise NoAnswer(f"{error}{_refusals(refused)}") from error
            if are_reads and self.was_ended and not has_ended:
                has_ended = True
                deadline_s = min(deadline_s, time.monotonic() + OTHER_WAY_S)
            for event in self._node.events():
                if isinstance(event, ResponseArrived) and event.transaction == transaction:
                    self._has_answered = True
                    return tuple(Response(one[0], one[1:]) for one in event.responses)
                if isinstance(event, TransactionFailed) and event.transaction == transaction:
                    raise self._unreached(event.cause)
                if isinstance(event, MessageRejected) and len(refused) < MAX_TOLD:
                    refused.add(event.told)
        raise NoAnswer(f"{self.name}: no answer in time{_refusals(refused)}")

    def reached(self, response: Response) -> Response:
        """Give what the meter answers; LinkError for what the network does in its place."""
        name = code_name(response.code)
        if name in NETWORK_ANSWERS:
            raise self._unreached(name)
        return response

    def _unreached(self, cause: str) -> LinkError:
        """Give the error of a cause: a code of the network, or what the node found wrong."""
        meaning = NETWORK_ANSWERS.get(cause)
        text = f"{self.name}: answered {cause}" + (f": {meaning}" if meaning else "")
        if cause == ResponseCode.bsy.name:
            return NetworkBusy(text)
        if cause == ResponseCode.nett.name:
            return NoAnswer(text)
        return (NotReached if cause in NOTHING_DONE else LinkError)(text)

    def _send(self) -> None:
        self.connect()
        for _, octets in self._node.outgoing():
            try:
                self._connection.send(octets)
            except PortError as error:
                raise LinkError(f"{self.name}: {error}") from error

    def _receive(self, wait_s: float) -> None:
        """Take what comes in a time; LinkError where the connection ends and no other may come."""
        wait_s = max(0.01, wait_s)
        if self._door is not None:
            self._take(self._door.wait(self._connection.line, min(wait_s, LOOK_S)))
            wait_s = 0.0
        found = self._connection.receive(wait_s)
        if found is None and self._door is None:
            raise LinkError(f"{self.name}: {self._connection.why_ended}")
        self._take(found or [])

    def _take(self, found: Sequence[bytes]) -> None:
        for octets in found:
            self._node.receive(None, octets, monotonic_us())


def _refusals(refused: set[str]) -> str:
    return f"; refused what came: {', '.join(sorted(refused))}" if refused else ""
