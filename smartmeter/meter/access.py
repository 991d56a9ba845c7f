"""Who may do what: a reader's and a master's password, and a lock-out that lasts.

Without a password one can read what the display shows anyway: identity, clock,
registers and load profile, as on many meters in the field.  The logs, earlier
registers, customer data and the security tables need the reader's password.
Wrong passwords are counted, also over a power failure; from the fifth on the
port refuses passwords for a time that doubles with each further one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import IntEnum

#: Tables that anyone may read, with those that are needed to understand them.
PUBLIC_TABLES = frozenset((0, 1, 2, 3, 5, 8, 11, 12, 16, 21, 22, 23, 27, 28, 51, 52, 55))
PUBLIC_TABLES |= frozenset((13, 15, 31, 32, 33, 34, 53, 54, 56, 61, 62, 63, 64, 65, 66, 67))
#: Tables that nobody may read: passwords, and the write-only procedure initiate table.
SECRET_TABLES = frozenset((42,))
FREE_FAILURES = 5
FIRST_DELAY_US = 10_000_000
MAX_DELAY_US = 3600_000_000


class Right(IntEnum):
    """What a session may do; each includes those before it."""

    NONE = 0
    READ = 1
    MASTER = 2


@dataclass
class Access:
    """The rights of the session at the optical port, and the count of wrong passwords."""

    reader_password: bytes
    master_password: bytes
    failures: int = 0
    locked_until_us: int = 0
    right: Right = Right.NONE
    user_id: int = 0

    def try_password(self, password: bytes, now_us: int) -> bool | None:
        """Check a password: True grants its rights, False is wrong, None is locked out.

        Compares in constant time; padding with spaces or NULs does not matter.
        """
        if now_us < self.locked_until_us:
            return None
        given = _bare(password)
        right = Right.NONE
        if hmac.compare_digest(given, _bare(self.reader_password)):
            right = Right.READ
        if hmac.compare_digest(given, _bare(self.master_password)):
            right = Right.MASTER
        if right is Right.NONE:
            self.failures += 1
            self.lock(now_us)
            return False
        self.failures, self.right = 0, right
        return True

    def lock(self, now_us: int) -> None:
        """Begin the delay that the count of failures calls for; also after a restart."""
        if self.failures >= FREE_FAILURES:
            doubled = FIRST_DELAY_US << min(self.failures - FREE_FAILURES, 16)
            self.locked_until_us = now_us + min(doubled, MAX_DELAY_US)

    def may_read(self, table: int) -> bool:
        """Tell whether the session may read a table."""
        if table in SECRET_TABLES:
            return False
        return table in PUBLIC_TABLES or self.right >= Right.READ

    def may_write(self, table: int) -> bool:
        """Tell whether the session may write a table or run procedures."""
        return self.right >= Right.MASTER

    def end(self) -> None:
        """Take the rights of the session away."""
        self.right, self.user_id = Right.NONE, 0


def _bare(password: bytes) -> bytes:
    return password.rstrip(b" \0")
