"""What a node looks at before a request is served: security, replay, duplicates, policy.

Raises ApduRejected with the reason; ``Refusal`` says also what the caller is
told, if an answer is allowed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from protocols.c1222.ap_title import absolute
from protocols.c1222.builder import NEVER
from protocols.c1222.envelope import Apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.guard import FailureGuard
from protocols.c1222.keys import History, KeyRing
from protocols.c1222.node_events import DUPLICATES_S, NodeSettings
from protocols.c1222.security import (
    CLEAR,
    MAX_SERVICES,
    RECOVERY_SESSION,
    check_control,
    key_in_force,
    open_secured,
    split_services,
)
from protocols.c1222.services import IDENTIFY, RESOLVE, TRACE
from protocols.c1222.sessions import SessionTable
from protocols.machine import US_PER_S, UtcClock
from protocols.psem.codes import ResponseCode

#: What a node tells anybody, in clear: who it is (in any state), and which way a trace took,
#: to which no relay could add its title otherwise.
TOLD_TO_ANYBODY = frozenset((IDENTIFY, TRACE))
#: What a group may be asked in clear: it changes nothing and tells nothing secret.
HARMLESS = frozenset((IDENTIFY, RESOLVE))


class Refusal(ApduRejected):
    """A request that is refused with a response code, in clear."""

    def __init__(self, reason: str, code: ResponseCode) -> None:
        super().__init__(reason)
        self.code = code


class Repeated(ApduRejected):
    """A request that was heard before; ``answer`` is what it was answered, if it was."""

    def __init__(self, answer: bytes | None) -> None:
        super().__init__("repeated")
        self.answer = answer


class StampRefused(Refusal):
    """The MAC is right, the stamp is not; what the caller asked tells whether it may know why."""

    def __init__(self, services: list[bytes], key_id: int, mode: int) -> None:
        super().__init__("outside-window", ResponseCode.sme)
        self.services, self.key_id, self.mode = services, key_id, mode


class KeyFailed(Refusal):
    """A wrong MAC; ``alarm`` tells that the key has just failed too often."""

    def __init__(self, alarm: bool) -> None:
        super().__init__("mac-mismatch", ResponseCode.sme)
        self.alarm = alarm


@dataclass(slots=True)
class Opened:
    """A request in clear, checked: ``mark`` is what it is remembered by."""

    services: list[bytes]
    ed_class: bytes | None
    mode: int
    security: tuple[int, bytes] | None
    recovery: bool
    mark: Hashable
    malformed: str = ""


class Reception:
    """The checks, with the memory that they need."""

    def __init__(self, keys: KeyRing, clock: UtcClock, settings: NodeSettings) -> None:
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self.sessions = SessionTable(settings.max_sessions)
        self._secured = History(settings.history)
        # Apart, so that nobody without a key can push out what is known of those with one.
        self._in_clear = History(settings.history)
        self.guard = FailureGuard()

    def open(self, path: Hashable, apdu: Apdu, group: bool, now_us: int) -> Opened:
        """Check a request and give its services."""
        information = apdu.user_information
        if not information[0] & 0x80:
            raise Refusal("epsem-control", ResponseCode.iar)
        mode = check_control(information[0])
        if mode == CLEAR:
            return self._open_clear(path, apdu, group, now_us)
        session = self.sessions.get(apdu.calling, now_us)
        try:
            security = key_in_force(apdu, session.security if session is not None else None)
        except ApduRejected as error:
            raise Refusal(error.reason, ResponseCode.sme) from error
        text = self._verified(path, apdu, security, now_us)
        mark = (security[0], absolute(apdu.calling), security[1], apdu.calling_invocation_id)
        if self._secured.knows(mark, now_us):
            raise Repeated(self._secured.answer(mark))
        recovery = bool(information[0] & RECOVERY_SESSION)
        recovery = recovery and security[0] in self._settings.recovery_keys
        ed_class, services, malformed = _split(information[0], text)
        if apdu.iv is None and session is not None:
            if apdu.calling_invocation_id <= session.last_id:
                raise Repeated(None)
            session.last_id = apdu.calling_invocation_id
        elif not recovery and not self._in_window(security[1], now_us):
            raise StampRefused(services, security[0], mode)
        return Opened(services, ed_class, mode, security, recovery, mark, malformed)

    def remember(self, opened: Opened, now_us: int) -> None:
        """A request is being served: it must not be served again."""
        if opened.security is None:
            self._in_clear.add(opened.mark, now_us + DUPLICATES_S * US_PER_S, now_us)
            return
        stamp = int.from_bytes(opened.security[1], "big")
        keep_us = (2 * self._settings.window_s + 1) * US_PER_S
        self._secured.add(opened.mark, now_us + keep_us, now_us, stamp)

    def answered(self, opened: Opened, octets: bytes) -> None:
        """Keep the answer to a request that is remembered."""
        history = self._in_clear if opened.security is None else self._secured
        history.answered(opened.mark, octets)

    def open_response(
        self, path: Hashable, apdu: Apdu, security: tuple[int, bytes] | None, now_us: int
    ) -> list[bytes]:
        """Check an answer's MAC, if it has one, and give its items."""
        control = apdu.user_information[0]
        if check_control(control) == CLEAR:
            text = apdu.user_information[1:]
        else:
            text = self._verified(path, apdu, key_in_force(apdu, security), now_us)
        return split_services(control, text)[1]

    def _verified(
        self, path: Hashable, apdu: Apdu, security: tuple[int, bytes], now_us: int
    ) -> bytes:
        name = (absolute(apdu.calling), security[0])
        if not self.guard.allows(name, path, now_us):
            raise ApduRejected("too-many-failures")
        cipher = self._keys.key(apdu.calling, security[0])
        try:
            text = open_secured(apdu, cipher, *security)
        except ApduRejected as error:
            if error.reason == "mac-mismatch":
                silent = self.guard.is_suspected(name, now_us)
                alarm = self.guard.failed(name, path, now_us)
                if silent:
                    raise
                raise KeyFailed(alarm) from error
            raise Refusal(error.reason, ResponseCode.sme) from error
        self.guard.succeeded(name, path)
        return text

    def _open_clear(self, path: Hashable, apdu: Apdu, group: bool, now_us: int) -> Opened:
        information = apdu.user_information
        ed_class, services, malformed = _split(information[0], information[1:])
        codes = {service[0] for service in services}
        if group and not codes <= HARMLESS:
            raise ApduRejected("group-not-secured")
        if self._settings.demand_security and not codes <= self._settings.clear_services:
            raise Refusal("security-demanded", ResponseCode.sme)
        # A caller without a title is known by its path alone.
        caller: Hashable = apdu.calling.absolute if apdu.calling is not None else path
        mark = (caller, apdu.calling_invocation_id, information)
        if self._in_clear.knows(mark, now_us):
            raise Repeated(self._in_clear.answer(mark))
        return Opened(services, ed_class, CLEAR, None, False, mark, malformed)

    def _in_window(self, iv: bytes, now_us: int) -> bool:
        utc_us, stamp_s = self._clock.utc_us(now_us), int.from_bytes(iv, "big")
        settings = self._settings
        outside = utc_us is None or abs(stamp_s - utc_us // US_PER_S) > settings.window_s
        floor_s = settings.not_before_s
        if settings.refuse_forgotten:
            floor_s = max(floor_s, self._secured.evicted)
        return not outside and stamp_s > floor_s


def _split(control: int, text: bytes) -> tuple[bytes | None, list[bytes], str]:
    """Give ED class and services, or no service and the reason that the list is ill-formed."""
    try:
        ed_class, services, _ = split_services(control, text, MAX_SERVICES)
    except ApduRejected as error:
        return None, [], error.reason
    return ed_class, services, ""


def may_answer(apdu: Apdu) -> bool:
    """Tell whether response control allows an answer that is an error."""
    return apdu.is_segment or apdu.response_control != NEVER
