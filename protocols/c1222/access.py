"""Who may do what at a node: logon, security, and the order of services (C12.22 5.3.2.4).

Without a session each APDU stands alone: a security service in it gives rights
for what follows it.  In a session it gives them until the session ends.  All
services of an APDU are looked at, also behind one that failed; behind a failed
logon or security nothing is carried out (a choice: one source runs on).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.c1222.builder import TEST
from protocols.c1222.node_events import RequestArrived
from protocols.c1222.security import CIPHERTEXT
from protocols.c1222.services import (
    Deregister,
    NetworkLogon,
    NetworkSecurity,
    Service,
    decode_service,
)
from protocols.c1222.sessions import Session, SessionTable
from protocols.psem.codec import MalformedRequest
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    WRITES,
    Disconnect,
    Identify,
    Logoff,
    Security,
    Terminate,
    Unknown,
    Wait,
)

_OK = bytes([ResponseCode.ok])
#: What a message with TEST set must not do; that the answer is ``onp`` is from memory.
_CHANGES = (*WRITES, Disconnect, Deregister)

#: What somebody may do: a value of the node's host, given back with each task.
Rights = object


@dataclass(frozen=True)
class Task:
    """A service that the host carries out, with the rights of whoever asks."""

    request: Service
    rights: Rights


class Authority(Protocol):
    """The host's rules of access."""

    def of_message(self, message: RequestArrived) -> Rights:
        """Give the rights that a message has by its key, or by none."""

    def of_password(
        self, user_id: int | None, user: bytes, password: bytes, rights: Rights
    ) -> Rights | None:
        """Give the rights that a password adds to ``rights``; None when it is wrong."""


class AccessDesk:
    """Answers what needs no table, and gives the rest as tasks.

    ``identification`` is what identify is answered after its code; ``clear_passwords``
    accepts passwords that were not encrypted on their way.
    """

    def __init__(
        self,
        sessions: SessionTable,
        authority: Authority,
        identification: bytes,
        clear_passwords: bool = False,
    ) -> None:
        self.sessions = sessions
        self.authority = authority
        self.identification = identification
        self._clear_passwords = clear_passwords

    def screen(self, message: RequestArrived, now_us: int) -> list[bytes | Task]:
        """Give for each service the response item, or a task that yields it."""
        visit = _Visit(self, message, now_us)
        return [visit.service(octets) for octets in message.services]

    def sealed_enough(self, message: RequestArrived) -> bool:
        """Tell whether a password in this message was not seen by others."""
        return self._clear_passwords or message.security_mode == CIPHERTEXT


class _Visit:
    """One APDU at the desk."""

    def __init__(self, desk: AccessDesk, message: RequestArrived, now_us: int) -> None:
        self._desk, self._message, self._now_us = desk, message, now_us
        self._rights = desk.authority.of_message(message)
        self._user: tuple[int | None, bytes] = (None, b"")
        self._barred: ResponseCode | None = None
        session = self._session
        if session is not None:
            self._user = (session.user_id, session.user)
            if session.rights is not None:
                self._rights = session.rights

    @property
    def _session(self) -> Session | None:
        """Give the caller's session; none of whoever else claims the title, with another key."""
        session = self._desk.sessions.get(self._message.calling, self._now_us)
        if session is None or session.key_id != self._message.key_id:
            return None
        return session

    def service(self, octets: bytes) -> bytes | Task:
        """Give the answer to one service, or the task."""
        try:
            request = decode_service(octets)
        except MalformedRequest as error:
            return bytes([error.answer])
        if isinstance(request, Identify):
            return _OK + self._desk.identification
        if self._barred is not None:
            return bytes([self._barred])
        match request:
            case NetworkLogon():
                return self._logon(request)
            case Security():
                return self._security(request)
            case Logoff() | Terminate():
                return self._end()
            case Wait(seconds):
                waits = self._desk.sessions.wait(self._message.calling, seconds, self._now_us)
                return _OK if waits else bytes([ResponseCode.isss])
            case Unknown():
                return bytes([ResponseCode.sns])
        if self._message.qualifier & TEST and isinstance(request, _CHANGES):
            return bytes([ResponseCode.onp])
        return Task(request, self._rights)

    def _logon(self, request: NetworkLogon) -> bytes:
        message, sessions = self._message, self._desk.sessions
        self._barred = ResponseCode.isss
        if message.calling is None or message.group:
            return bytes([ResponseCode.isss])
        if sessions.get(message.calling, self._now_us) is not None:
            return bytes([ResponseCode.isss])
        security = None
        if message.key_id is not None and message.iv is not None:
            security = (message.key_id, message.iv)
        user = (request.user_id, request.user)
        session = sessions.open(
            message.calling, user, request.idle_timeout_s, security, self._now_us
        )
        if session is None:
            return bytes([ResponseCode.bsy])
        self._barred, self._user = None, user
        return _OK + session.idle_s.to_bytes(2, "big")

    def _security(self, request: Security) -> bytes:
        session = self._session
        user_id, user = self._user
        if session is None and isinstance(request, NetworkSecurity):
            user_id = request.user_id
        rights = None
        if self._desk.sealed_enough(self._message):
            authority = self._desk.authority
            rights = authority.of_password(user_id, user, request.password, self._rights)
        if rights is None:
            self._barred = ResponseCode.isc
            return bytes([ResponseCode.isc])
        self._rights = rights
        if session is not None:
            session.rights = rights
        return _OK

    def _end(self) -> bytes:
        if not self._desk.sessions.close(self._message.calling, self._now_us):
            return bytes([ResponseCode.isss])
        self._rights, self._user = self._desk.authority.of_message(self._message), (None, b"")
        return _OK
