"""Who is logged in: a bounded table of sessions and a limit on failed log-ins.

Values and rules only; the random identifier and the time come from the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

#: Sessions kept at once; the one idle for longest gives way.
MAX_SESSIONS = 1000
IDLE_LIMIT_S = 12 * 3600
#: Nobody stays in for longer without a password: a page that is open somewhere, or a cookie that
#: was copied, would hold for as long as it is used.
LIFE_S = 7 * 24 * 3600
#: Failed log-ins a minute for one (address, user), and pairs watched at once.
MAX_FAILURES = 5
FAILURE_WINDOW_S = 60
MAX_WATCHED_PAIRS = 10_000


@dataclass
class Session:
    """One logged-in browser; ``proof`` is the hash that its password was found right by."""

    user: str
    proof: str
    last_seen_s: float
    opened_s: float


@dataclass
class SessionTable:
    """The sessions of this server; they end with the process.

    ``holds(user, proof)`` tells whether the user is still there, and has that password.
    """

    holds: Callable[[str, str], bool]
    sessions: dict[str, Session] = field(default_factory=dict)

    def open(self, session_id: str, user: str, proof: str, now_s: float) -> None:
        """Enter a session under a fresh, unguessable identifier."""
        while len(self.sessions) >= MAX_SESSIONS:
            idlest = min(self.sessions, key=lambda known: self.sessions[known].last_seen_s)
            del self.sessions[idlest]
        self.sessions[session_id] = Session(user, proof, now_s, now_s)

    def user(self, session_id: object, now_s: float) -> str | None:
        """Give the user of a session, or None when it is unknown or was idle too long."""
        if not isinstance(session_id, str) or not self.is_open(session_id, now_s):
            return None
        session = self.sessions[session_id]
        session.last_seen_s = now_s
        return session.user

    def is_open(self, session_id: str, now_s: float) -> bool:
        """Tell whether a session goes on; to ask that is no use of it."""
        session = self.sessions.get(session_id)
        if session is None:
            return False
        is_over = now_s - session.last_seen_s > IDLE_LIMIT_S or now_s - session.opened_s > LIFE_S
        if is_over or not self.holds(session.user, session.proof):
            self.close(session_id)
            return False
        return True

    def close(self, session_id: object) -> None:
        """End a session; an unknown one is no error."""
        if isinstance(session_id, str):
            self.sessions.pop(session_id, None)


@dataclass
class FailureLimit:
    """Counts failed log-ins, so that passwords cannot be tried in bulk.

    One that is still being checked counts as failed: a hundred at once are no way around it.
    """

    _failures: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def admits(self, address: str, user: str, now_s: float) -> bool:
        """Count a try; False where this address failed too often for this user a minute ago."""
        times = self._failures.pop((address, user), None) or deque()
        while times and now_s - times[0] > FAILURE_WINDOW_S:
            times.popleft()
        admitted = len(times) < MAX_FAILURES
        if admitted:
            times.append(now_s)
        while len(self._failures) >= MAX_WATCHED_PAIRS:
            del self._failures[next(iter(self._failures))]
        self._failures[address, user] = times
        return admitted

    def succeeded(self, address: str, user: str) -> None:
        """Take back the newest try: it was none that failed."""
        times = self._failures.get((address, user))
        if times:
            times.pop()
