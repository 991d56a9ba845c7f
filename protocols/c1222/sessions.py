"""Sessions of a node: one a calling title, opened by logon, ended by silence (C12.22 5.3.2.4.12).

Losing a connection ends no session (RFC 6142 5.2.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.c1222.ap_title import ApTitle
from protocols.machine import US_PER_S

#: The longest idle time-out that is granted, and what 0 (none wished) becomes.
MAX_IDLE_S = 3600
MAX_SESSIONS = 8


@dataclass
class Session:
    """Who is logged on.  ``security`` is key id and IV of the logon, ``last_id`` the caller's
    newest invocation id without security element of its own: it must rise."""

    user_id: int
    user: bytes
    idle_s: int
    due_us: int
    security: tuple[int, bytes] | None
    last_id: int = -1
    rights: object = None

    @property
    def key_id(self) -> int | None:
        """Give the id of the key that the logon was secured with; None of one in clear."""
        return self.security[0] if self.security is not None else None


class SessionTable:
    """At most ``capacity`` sessions, by the caller's absolute title."""

    def __init__(self, capacity: int = MAX_SESSIONS) -> None:
        self.capacity = capacity
        self._sessions: dict[tuple[int, ...], Session] = {}

    def get(self, caller: ApTitle | None, now_us: int) -> Session | None:
        """Give the open session of a caller."""
        if not self._sessions or caller is None:
            return None
        self.expire(now_us)
        return self._sessions.get(caller.absolute)

    def open(
        self,
        caller: ApTitle,
        user: tuple[int, bytes],
        idle_s: int,
        security: tuple[int, bytes] | None,
        now_us: int,
    ) -> Session | None:
        """Open a session with the idle time-out that is granted; None when there is no room."""
        self.expire(now_us)
        if len(self._sessions) >= self.capacity:
            return None
        granted_s = min(idle_s or MAX_IDLE_S, MAX_IDLE_S)
        session = Session(*user, granted_s, now_us + granted_s * US_PER_S, security)
        self._sessions[caller.absolute] = session
        return session

    def touch(self, caller: ApTitle | None, now_us: int) -> None:
        """A valid message came: the idle timer starts again."""
        session = self.get(caller, now_us)
        if session is not None:
            session.due_us = now_us + session.idle_s * US_PER_S

    def wait(self, caller: ApTitle | None, seconds: int, now_us: int) -> bool:
        """Stretch the idle time-out once, to the next message; False without a session."""
        session = self.get(caller, now_us)
        if session is None:
            return False
        session.due_us = now_us + (session.idle_s + seconds) * US_PER_S
        return True

    def close(self, caller: ApTitle | None, now_us: int) -> bool:
        """End a session; False when there is none."""
        if self.get(caller, now_us) is None or caller is None:
            return False
        del self._sessions[caller.absolute]
        return True

    def end_all(self) -> None:
        """End all sessions: the node leaves the network."""
        self._sessions.clear()

    def expire(self, now_us: int) -> None:
        """End what has been silent for too long."""
        if any(now_us >= session.due_us for session in self._sessions.values()):
            self._sessions = {k: s for k, s in self._sessions.items() if now_us < s.due_us}

    def __len__(self) -> int:
        return len(self._sessions)
