"""A C12.22 node: requests out, answers in, and the other way round; a message machine.

What arrives is given as events with a token; the host answers when it can,
with the token.  A secured message that comes again is answered from the store
and never served twice; one whose IV is far from the own clock is refused.
Nothing secured is sent before the clock is set.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, NEVER, ON_EXCEPTION, Envelope, Lock, build_apdu
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.keys import KeyRing, ReplayStore, SecurityState, Seen
from protocols.c1222.security import CLEAR, EaxPrime, check_control, open_apdu, split_services
from protocols.errors import LocalProtocolError
from protocols.machine import Event, UtcClock
from protocols.psem.codes import ResponseCode, code_name

US_PER_S = 1_000_000
#: How far a message's IV may lie from the own clock (deployed receivers: about 15 minutes).
WINDOW_S = 900
MAX_OPEN = 1024


@dataclass(frozen=True)
class RequestArrived(Event):
    """A request whose MAC, if it has one, is right.  Answer with the token."""

    token: int
    path: Hashable
    calling: ApTitle | None
    called: ApTitle | None
    services: tuple[bytes, ...]
    key_id: int | None
    qualifier: int
    ed_class: bytes | None


@dataclass(frozen=True)
class ResponseArrived(Event):
    """The answer to an own request: one response item a service."""

    transaction: int
    responses: tuple[bytes, ...]
    secured: bool


@dataclass(frozen=True)
class TransactionFailed(Event):
    """An own request without an answer, or with one that cannot be trusted."""

    transaction: int
    cause: str


@dataclass(frozen=True)
class MessageRejected(Event):
    """A message that was not served; ``reason`` is one word."""

    path: Hashable
    calling: ApTitle | None
    reason: str


@dataclass(frozen=True)
class _Open:
    called: ApTitle | None
    key_id: int | None
    due_us: int


@dataclass(frozen=True)
class _Serving:
    path: Hashable
    apdu: Apdu
    seen: Seen | None
    response_control: int


class Node:
    """One title with its transactions.  ``state`` is to be kept durable by the host.

    ``window_s`` is how far an IV may lie from the own clock.  ``not_before_s``
    refuses every IV up to that UTC second: a node that gives the instant of its
    start needs no replay history from before it.
    """

    def __init__(
        self,
        title: ApTitle | None,
        keys: KeyRing,
        clock: UtcClock,
        state: SecurityState | None = None,
        demand_security: bool = True,
        window_s: int = WINDOW_S,
        not_before_s: int = 0,
    ) -> None:
        self.title = title
        self._window_s = window_s
        self._not_before_s = not_before_s
        self._keys = keys
        self._clock = clock
        self._demand_security = demand_security
        state = state or SecurityState()
        self._next_id, self._last_iv = state.next_invocation_id, state.last_iv
        self._open: dict[int, _Open] = {}
        self._serving: dict[int, _Serving] = {}
        self._next_token = 1
        self._replay = ReplayStore()
        self._out: list[tuple[Hashable, bytes]] = []
        self._events: list[Event] = []

    @property
    def state(self) -> SecurityState:
        """Give what must survive a restart, so that no (key, IV, id) repeats."""
        return SecurityState(self._next_id, self._last_iv)

    def request(
        self,
        services: Sequence[bytes],
        called: ApTitle | None,
        path: Hashable,
        now_us: int,
        *,
        key_id: int | None = None,
        response_control: int = ALWAYS,
        qualifier: int = 0,
        ed_class: bytes | None = None,
        timeout_us: int = 15 * US_PER_S,
    ) -> int:
        """Send a request; give its transaction.  ``key_id`` None sends in clear."""
        if len(self._open) >= MAX_OPEN:
            raise LocalProtocolError(f"{MAX_OPEN} transactions are open already")
        own = self._take_id()
        lock = None if key_id is None else self._lock(called, key_id, now_us)
        envelope = Envelope(own, called, self.title, None, qualifier)
        self._out.append((path, build_apdu(envelope, services, lock, response_control, ed_class)))
        if response_control != NEVER:
            self._open[own] = _Open(called, key_id, now_us + timeout_us)
        return own

    def answer(self, token: int, responses: Sequence[bytes], now_us: int) -> None:
        """Answer a request that arrived; an unknown token is a mistake of the caller."""
        serving = self._serving.pop(token, None)
        if serving is None:
            raise LocalProtocolError(f"no request waits under token {token}")
        control = serving.response_control
        failed = any(response[:1] != b"\0" for response in responses)
        if control == NEVER or (control == ON_EXCEPTION and not failed):
            return
        apdu = serving.apdu
        lock = None if serving.seen is None else self._lock(apdu.calling, serving.seen[0], now_us)
        envelope = Envelope(self._take_id(), apdu.calling, self.title, apdu.calling_invocation_id)
        octets = build_apdu(envelope, responses, lock)
        if serving.seen is not None:
            self._replay.answered(serving.seen, octets)
        self._out.append((serving.path, octets))

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU."""
        calling = None
        try:
            apdu = decode_apdu(octets)
            calling = apdu.calling
            if apdu.is_segment:
                raise ApduRejected("segmentation-not-possible")
            if apdu.is_response:
                self._take_response(apdu)
            else:
                self._take_request(path, apdu, now_us)
        except ApduRejected as error:
            self._events.append(MessageRejected(path, calling, error.reason))

    def expire(self, now_us: int) -> None:
        """End transactions whose time is over."""
        for own in [own for own, entry in self._open.items() if now_us >= entry.due_us]:
            del self._open[own]
            self._events.append(TransactionFailed(own, "no answer in time"))

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return min((entry.due_us for entry in self._open.values()), default=None)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path, and forget them."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """Give what happened, and forget it."""
        events, self._events = self._events, []
        return events

    def _take_id(self) -> int:
        own = self._next_id
        self._next_id = own % 0xFFFFFFFF + 1
        return own

    def _lock(self, peer: ApTitle | None, key_id: int, now_us: int) -> Lock:
        cipher = self._keys.key(peer, key_id)
        utc_us = self._clock.utc_us(now_us)
        if cipher is None or utc_us is None:
            raise LocalProtocolError("no key for this peer" if cipher is None else "clock not set")
        # Never back: after a clock set back, ids alone keep (IV, id) from repeating.
        self._last_iv = max(self._last_iv, utc_us // US_PER_S)
        return Lock(cipher, key_id, self._last_iv.to_bytes(4, "big"))

    def _open_text(self, apdu: Apdu) -> bytes:
        def find(key_id: int) -> EaxPrime | None:
            return self._keys.key(apdu.calling, key_id)

        return open_apdu(apdu, find)

    def _take_request(self, path: Hashable, apdu: Apdu, now_us: int) -> None:
        control = apdu.user_information[0]
        mine = apdu.called is None or self.title is None
        if not mine and apdu.called is not None and self.title is not None:
            mine = apdu.called.absolute == self.title.absolute
        if not mine:
            raise ApduRejected("not-for-this-node")
        secured = check_control(control) != CLEAR
        if not secured and self._demand_security:
            self._refuse(path, apdu, control)
            raise ApduRejected("security-demanded")
        try:
            text = self._open_text(apdu)
        except ApduRejected:
            self._refuse(path, apdu, control)
            raise
        seen = self._check_replay(path, apdu, now_us) if secured else None
        if secured and seen is None:
            return
        ed_class, services, _ = split_services(control, text)
        if len(self._serving) >= MAX_OPEN:
            raise ApduRejected("busy")
        if seen is not None:
            self._replay.add(seen)
        token, self._next_token = self._next_token, self._next_token + 1
        self._serving[token] = _Serving(path, apdu, seen, control & 3)
        self._events.append(
            RequestArrived(
                token,
                path,
                apdu.calling,
                apdu.called,
                tuple(services),
                apdu.key_id if secured else None,
                apdu.ae_qualifier or 0,
                ed_class,
            )
        )

    def _check_replay(self, path: Hashable, apdu: Apdu, now_us: int) -> Seen | None:
        """Give the mark of a message that is new; repeat the answer to one that is not."""
        assert apdu.iv is not None and apdu.key_id is not None
        caller = apdu.calling.absolute if apdu.calling else ()
        seen = (apdu.key_id, caller, apdu.iv, apdu.calling_invocation_id)
        if seen in self._replay:
            stored = self._replay.answer(seen)
            if stored is not None:
                self._out.append((path, stored))
            self._events.append(MessageRejected(path, apdu.calling, "repeated"))
            return None
        utc_us, stamp_s = self._clock.utc_us(now_us), int.from_bytes(apdu.iv, "big")
        outside = utc_us is None or abs(stamp_s - utc_us // US_PER_S) > self._window_s
        if outside or stamp_s <= self._not_before_s:
            self._refuse(path, apdu, apdu.user_information[0])
            raise ApduRejected("outside-window")
        return seen

    def _refuse(self, path: Hashable, apdu: Apdu, control: int) -> None:
        """Answer ``sme`` in clear, if an answer is allowed."""
        if control & 3 != NEVER:
            answers = apdu.calling_invocation_id
            envelope = Envelope(self._take_id(), apdu.calling, self.title, answers)
            self._out.append((path, build_apdu(envelope, [bytes([ResponseCode.sme])])))

    def _take_response(self, apdu: Apdu) -> None:
        own = apdu.called_invocation_id
        entry = self._open.get(own) if own is not None else None
        if own is None or entry is None:
            raise ApduRejected("no-such-transaction")
        if self.title and (apdu.called is None or apdu.called.absolute != self.title.absolute):
            raise ApduRejected("titles-not-swapped")
        if entry.called and (
            apdu.calling is None or apdu.calling.absolute != entry.called.absolute
        ):
            raise ApduRejected("titles-not-swapped")
        control = apdu.user_information[0]
        secured = check_control(control) != CLEAR
        text = self._open_text(apdu)
        _, responses, _ = split_services(control, text)
        if entry.key_id is not None and not secured:
            # In clear only an error can be: a hint of the network, never the node's own ok.
            if any(response[0] == ResponseCode.ok for response in responses):
                raise ApduRejected("tampering")
            del self._open[own]
            self._events.append(TransactionFailed(own, code_name(responses[0][0])))
            return
        del self._open[own]
        self._events.append(ResponseArrived(own, tuple(responses), secured))
