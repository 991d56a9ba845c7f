"""A C12.22 node: requests out, answers in, and the other way round; a message machine.

A request that arrives is an event with a token, under which the host answers when it can.  One
that comes again is answered from the store and never served twice; a secured one whose IV is far
from the own clock is refused.  Nothing secured is sent before the clock is set.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from protocols.c1222.addressing import Addressed, addressed, is_group
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, NEVER, ON_EXCEPTION, Envelope, Lock, build_apdu
from protocols.c1222.envelope import Apdu, SegmentOutOfRange, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.keys import KeyRing, SecurityState
from protocols.c1222.locks import Locks
from protocols.c1222.node_events import (
    GROUP_DELAY_US,
    MAX_LATER,
    SERVING_S,
    WINDOW_S,
    AnsweredLate,
    KeySuspected,
    MessageRejected,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.reception import (
    KeyFailed,
    Opened,
    Reception,
    Refusal,
    Repeated,
    StampRefused,
    may_answer,
)
from protocols.c1222.security import (
    CIPHERTEXT,
    CLEAR,
    MAX_SERVICES,
    TOO_MANY_SERVICES,
)
from protocols.c1222.segmentation import Joiner, SegmentRefused, segmentation_error, split
from protocols.c1222.services import RESOLVE
from protocols.c1222.transactions import ABANDONED, Open, Transactions
from protocols.crc import crc16
from protocols.errors import LocalProtocolError
from protocols.machine import US_PER_S, Event, UtcClock, earliest
from protocols.psem.codes import ResponseCode

__all__ = [
    "WINDOW_S",
    "AnsweredLate",
    "KeySuspected",
    "MessageRejected",
    "Node",
    "NodeSettings",
    "RequestArrived",
    "ResponseArrived",
    "TransactionFailed",
]


@dataclass(slots=True)
class _Serving:
    path: Hashable
    apdu: Apdu
    opened: Opened
    group: bool
    due_us: int


class Node:
    """One title with its transactions.

    The host keeps ``locks.state`` durable.  ``title`` may change with a registration, and
    ``joins_segments`` may be switched on where a bearer cuts messages.  ``counts``: what was
    received, served and refused, by reason.
    """

    def __init__(
        self,
        title: ApTitle | None,
        keys: KeyRing,
        clock: UtcClock,
        state: SecurityState | None = None,
        settings: NodeSettings | None = None,
        counts: Counter[str] | None = None,
    ) -> None:
        self.title = title
        self.settings = settings or NodeSettings()
        self.counts: Counter[str] = Counter() if counts is None else counts
        self.locks = Locks(keys, clock, state or SecurityState())
        self._reception = Reception(keys, clock, self.settings)
        self.sessions = self._reception.sessions
        self._transactions = Transactions()
        self._serving: dict[int, _Serving] = {}
        self._next_token = 1
        self.joins_segments = self.settings.segment_octets is not None
        self._joiner = Joiner(self.settings.max_apdu_octets, self.counts)
        self._later: list[tuple[int, int, Hashable, bytes]] = []
        self._held: set[tuple[Hashable, bytes]] = set()
        self._out: list[tuple[Hashable, bytes]] = []
        self._events: list[Event] = []

    @property
    def next_invocation_id(self) -> int:
        """Give the invocation id that is taken next."""
        return self.locks.next_id

    def request(
        self,
        services: Sequence[bytes],
        called: ApTitle | None,
        path: Hashable,
        now_us: int,
        *,
        key_id: int | None = None,
        mode: int = CIPHERTEXT,
        response_control: int = ALWAYS,
        qualifier: int = 0,
        ed_class: bytes | None = None,
        timeout_us: int = 15 * US_PER_S,
        repeats: int = 0,
    ) -> int:
        """Send a request; give its transaction.  ``key_id`` None sends in clear.

        ``repeats`` sends the identical octets so often again, evenly spread over
        the time-out: for paths that lose messages.
        """
        if len(self._transactions) >= self.settings.max_open:
            raise LocalProtocolError(f"{len(self._transactions)} transactions are open already")
        own = self.locks.take_id()
        lock = None if key_id is None else self.locks.lock(called, key_id, mode, now_us)
        envelope = Envelope(own, called, self.title, None, qualifier)
        octets = build_apdu(envelope, services, lock, response_control, ed_class)
        self._send(path, octets)
        if response_control != NEVER:
            every_us = timeout_us // (repeats + 1)
            entry = Open(
                path,
                called,
                tuple(services),
                security=(lock.key_id, lock.iv) if lock is not None else None,
                mode=lock.mode if lock is not None else CLEAR,
                to_group=called is not None and is_group(called),
                sent_us=now_us,
                due_us=now_us + timeout_us,
                octets=octets,
                repeats=repeats,
                repeat_us=every_us,
                repeat_due_us=now_us + every_us if repeats else None,
            )
            self._transactions.add(own, entry)
        return own

    def abandon(self, transaction: int, now_us: int) -> None:
        """Repeat a request no more and await no answer; TransactionFailed says so."""
        if self._transactions.abandon(transaction, now_us):
            self._events.append(TransactionFailed(transaction, ABANDONED))

    def waits(self, token: int) -> bool:
        """Tell whether a request that arrived still waits for its answer, up to ``SERVING_S``."""
        return token in self._serving

    def answer(self, token: int, responses: Sequence[bytes], now_us: int) -> None:
        """Answer a request that arrived; an unknown token is a mistake of the caller."""
        serving = self._serving.pop(token, None)
        if serving is None:
            raise LocalProtocolError(f"no request waits under token {token}")
        self._reply(serving, responses, now_us)

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU."""
        self.counts["received"] += 1
        apdu = None
        try:
            apdu = decode_apdu(octets)
            self._take(path, apdu, len(octets), now_us)
        except SegmentOutOfRange as error:
            offset, size = error.apdu.segment_offset or 0, len(error.apdu.user_information)
            self._refuse(path, error.apdu, segmentation_error(offset, size))
            self._reject(MessageRejected(path, error.apdu.calling, error.reason, error.told))
        except ApduRejected as error:
            calling, called = (apdu.calling, apdu.called) if apdu is not None else (None, None)
            self._reject(MessageRejected(path, calling, error.reason, error.told, called))

    def path_closed(self, path: Hashable) -> None:
        """A path has gone for good: nothing is kept for it."""
        self._reception.guard.path_closed(path)

    def expire(self, now_us: int) -> None:
        """End transactions whose time is over, repeat others, send what had to wait."""
        events, again = self._transactions.expire(now_us)
        self._events += events
        for path, octets in again:
            self._send(path, octets)
        while self._later and self._later[0][0] <= now_us:
            _, _, path, octets = heapq.heappop(self._later)
            self._held.discard((path, octets))
            self._send(path, octets)
        self._joiner.expire(now_us)
        self.sessions.expire(now_us)
        # All wait equally long, so the oldest is the first that is due.
        while self._serving and now_us >= next(iter(self._serving.values())).due_us:
            del self._serving[next(iter(self._serving))]
            self.counts["unanswered"] += 1

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        later_us = self._later[0][0] if self._later else None
        return earliest(self._transactions.deadline_us(), self._joiner.deadline_us(), later_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path, and forget them."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """Give what happened, and forget it."""
        events, self._events = self._events, []
        return events

    # Arriving.

    def _take(self, path: Hashable, apdu: Apdu, size: int, now_us: int) -> None:
        where = addressed(self.title, apdu.called, self.settings.groups)
        if where is Addressed.ELSEWHERE and not apdu.is_response:
            raise ApduRejected("not-for-this-node")
        limit = self.settings.max_apdu_octets
        if size > limit:
            if not apdu.is_response and where is Addressed.HERE:
                self._refuse(path, apdu, bytes([ResponseCode.rqtl]) + limit.to_bytes(4, "big"))
            raise ApduRejected("too-large")
        if apdu.is_segment:
            self._take_segment(path, apdu, now_us)
        elif apdu.is_response:
            self._take_response(path, apdu, now_us)
        else:
            self._take_request(path, apdu, where.is_group, now_us)

    def _take_segment(self, path: Hashable, apdu: Apdu, now_us: int) -> None:
        if not self.joins_segments:
            self._refuse(path, apdu, bytes([ResponseCode.sgnp]))
            raise ApduRejected("segmentation-not-possible")
        try:
            whole = self._joiner.offer(apdu, now_us)
        except SegmentRefused as error:
            self._refuse(path, apdu, error.answer)
            raise ApduRejected(error.reason) from error
        if whole is not None:
            self._take(path, decode_apdu(whole), len(whole), now_us)

    def _take_response(self, path: Hashable, apdu: Apdu, now_us: int) -> None:
        self._transactions.expect(apdu, self.title)
        security = self._transactions.security(apdu)
        responses = self._reception.open_response(path, apdu, security, now_us)
        self._events += self._transactions.take(apdu, responses, now_us)

    def _take_request(self, path: Hashable, apdu: Apdu, group: bool, now_us: int) -> None:
        try:
            opened = self._reception.open(path, apdu, group, now_us)
        except Repeated as repeated:
            if repeated.answer is not None and group:
                self._send_later(path, repeated.answer, now_us)
            elif repeated.answer is not None:
                self._send(path, repeated.answer)
            raise
        except Refusal as refusal:
            if not group:
                lock = self._lock_telling_time(apdu, refusal, now_us)
                self._refuse(path, apdu, bytes([refusal.code]), lock)
            if isinstance(refusal, KeyFailed) and refusal.alarm:
                self._events.append(KeySuspected(path, apdu.calling, apdu.key_id or 0))
            raise
        due_us = now_us + SERVING_S * US_PER_S
        serving = _Serving(path, apdu, opened, group, due_us)
        if opened.malformed:
            self._reply(serving, [_answer_to(opened.malformed)], now_us)
            raise ApduRejected(opened.malformed)
        if len(self._serving) >= self.settings.max_serving:
            self._reply(serving, [bytes([ResponseCode.bsy])] * len(opened.services), now_us)
            raise ApduRejected("busy")
        self._reception.remember(opened, now_us)
        self.sessions.touch(apdu.calling, now_us)
        self._arrived(serving)

    def _arrived(self, serving: _Serving) -> None:
        token, self._next_token = self._next_token, self._next_token + 1
        self._serving[token] = serving
        self.counts["served"] += 1
        apdu, opened = serving.apdu, serving.opened
        key_id, iv = opened.security or (None, None)
        self._events.append(
            RequestArrived(
                token,
                serving.path,
                apdu.calling,
                apdu.called,
                tuple(opened.services),
                key_id=key_id,
                qualifier=apdu.ae_qualifier or 0,
                ed_class=opened.ed_class,
                security_mode=opened.mode,
                iv=iv,
                recovery=opened.recovery,
                group=serving.group,
            )
        )

    # Leaving.

    def _reply(self, serving: _Serving, responses: Sequence[bytes], now_us: int) -> None:
        """Answer as response control allows, protected as the request was."""
        control = serving.apdu.response_control
        failed = any(response[:1] != b"\0" for response in responses)
        if control == NEVER or (control == ON_EXCEPTION and not failed):
            return
        apdu, opened = serving.apdu, serving.opened
        asked_everybody = serving.group or apdu.called is None
        if failed and asked_everybody and any(one[0] == RESOLVE for one in opened.services):
            return  # who does not know a title is silent
        try:
            lock = None
            if opened.security is not None:
                lock = self.locks.lock(apdu.calling, opened.security[0], opened.mode, now_us)
        except LocalProtocolError:
            self.counts["unanswered"] += 1  # the key was taken away, or is used up
            return
        octets = build_apdu(self._answering(apdu), responses, lock)
        limit = self.settings.max_apdu_octets
        if len(octets) > limit:
            refusal = bytes([ResponseCode.rstl]) + limit.to_bytes(4, "big")
            octets = build_apdu(self._answering(apdu), [refusal], lock)
        self._reception.answered(opened, octets)
        if serving.group:
            self._send_later(serving.path, octets, now_us)
        else:
            self._send(serving.path, octets)

    def _refuse(
        self, path: Hashable, apdu: Apdu, response: bytes, lock: Lock | None = None
    ) -> None:
        """Answer one error, in clear as a rule, if an answer is allowed."""
        if may_answer(apdu):
            self._send(path, build_apdu(self._answering(apdu), [response], lock))

    def _lock_telling_time(self, apdu: Apdu, refusal: Refusal, now_us: int) -> Lock | None:
        """Give the lock of a refusal whose stamp tells the time, where the caller is to be told."""
        if not isinstance(refusal, StampRefused):
            return None
        asked = {service[0] for service in refusal.services}
        if not asked or not asked <= self.settings.tell_time_to:
            return None
        try:
            return self.locks.lock(apdu.calling, refusal.key_id, refusal.mode, now_us)
        except LocalProtocolError:
            return None  # the clock here is not set, or the key is used up

    def _answering(self, apdu: Apdu) -> Envelope:
        return Envelope(
            self.locks.take_id(),
            apdu.calling,
            self.title,
            apdu.calling_invocation_id,
            has_context=apdu.has_context,
        )

    def _send(self, path: Hashable, octets: bytes) -> None:
        most = self.settings.segment_octets
        if most is None:
            self._out.append((path, octets))
        else:
            self._out += [(path, piece) for piece in split(octets, most)]

    def _send_later(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Answer what many were asked, each after a time of its own, as the answers differ.

        A repetition meanwhile adds nothing.
        """
        if (path, octets) in self._held:
            return
        if len(self._later) >= MAX_LATER:
            self.counts["unanswered"] += 1
            return
        self._held.add((path, octets))
        due_us = now_us + crc16(octets) * GROUP_DELAY_US // 0xFFFF
        # The turn keeps the order of what is due at once, and paths from being compared.
        turn, self._next_token = self._next_token, self._next_token + 1
        heapq.heappush(self._later, (due_us, turn, path, octets))

    def _reject(self, event: MessageRejected) -> None:
        self.counts[f"rejected {event.told}"] += 1
        self._events.append(event)


def _answer_to(malformed: str) -> bytes:
    """Give the answer to a list of services that is not worked, by what is wrong with it."""
    if malformed != TOO_MANY_SERVICES:
        return bytes([ResponseCode.iar])
    # Below this size there are never too many: a service takes two octets at least.
    return bytes([ResponseCode.rqtl]) + (2 * MAX_SERVICES).to_bytes(4, "big")
