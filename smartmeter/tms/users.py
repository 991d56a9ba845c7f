"""Who may log in: argon2 hashes in the store."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from smartmeter.base.errors import SettingsError
from smartmeter.tms.model import SYSTEM
from smartmeter.tms.store.sqlite import Store

MIN_PASSWORD = 8
#: What the form of the log-in takes.
MAX_NAME, MAX_PASSWORD = 64, 256
FIRST_USER = "operator"
#: What every user may do; there is one role yet.
ROLE = "operator"
#: Where the first operator's password comes from; never from the command line.
PASSWORD_VARIABLE = "SMARTMETER_TMS_PASSWORD"


class Users:
    """The users of one TMS."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hasher = PasswordHasher()
        # An unknown user takes as long as a known one with a wrong password.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def any(self) -> bool:
        """Tell whether there is a user at all."""
        return self._store.number("SELECT count(*) FROM users") > 0

    def names(self) -> list[str]:
        """Give all names, in order."""
        return [str(row[0]) for row in self._store.read("SELECT name FROM users ORDER BY name")]

    def remove(self, name: str) -> bool:
        """Let a user log in no more; False for one that is not there."""
        known = self.hash_of(name) is not None
        self._store.write_now(lambda c: c.execute("DELETE FROM users WHERE name=?", (name,)))
        return known

    def set(self, name: str, password: str) -> None:
        """Enter a user or change the password; SettingsError for what the form does not take."""
        if not (name.isprintable() and 1 <= len(name) <= MAX_NAME):
            raise SettingsError(
                "user", f"{name!r:.80} is no name", f"take 1 to {MAX_NAME} printable characters"
            )
        if name == SYSTEM:
            raise SettingsError("user", f"{SYSTEM} is the TMS itself", "take another name")
        if len(password) > MAX_PASSWORD:
            raise SettingsError(
                f"password of {name}", "is too long", f"use at most {MAX_PASSWORD} characters"
            )
        if len(password) < MIN_PASSWORD:
            raise SettingsError(
                f"password of {name}", "is too short", f"use at least {MIN_PASSWORD} characters"
            )
        row = name, self._hasher.hash(password), ROLE
        self._store.write_now(
            lambda c: c.execute("INSERT OR REPLACE INTO users VALUES (?,?,?)", row).rowcount
        )

    def first(self, environment: Mapping[str, str]) -> str | None:
        """Enter the first operator, with the password of the environment or one made up.

        Gives a line that tells the made-up password, to be shown this once.
        """
        given = environment.get(PASSWORD_VARIABLE)
        if given:
            self.set(FIRST_USER, given)
            return None
        if self.any():
            return None
        password = first_password()
        self.set(FIRST_USER, password)
        return f"log in as {FIRST_USER} with {password} (shown this once)"

    def check(self, hashed: str | None, password: str) -> bool:
        """Compare a password with a hash; slow on purpose, to be called in a thread."""
        try:
            return self._hasher.verify(hashed or self._nobody, password) and hashed is not None
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    def hash_of(self, name: str) -> str | None:
        """Give the stored hash of a user."""
        row = self._store.one("SELECT hash FROM users WHERE name=?", name)
        return str(row[0]) if row else None


def first_password() -> str:
    """Make a password for the first user, to be shown once."""
    return secrets.token_urlsafe(12)
