"""Who may log in: argon2 hashes in the store."""

from __future__ import annotations

import secrets
import sqlite3

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from smartmeter.base.errors import SettingsError
from smartmeter.tms.store.sqlite import Store

MIN_PASSWORD = 8


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

    def set(self, name: str, password: str, role: str = "operator") -> None:
        """Enter a user or change the password; SettingsError for one that is too short."""
        if len(password) < MIN_PASSWORD:
            raise SettingsError(
                f"password of {name}", "is too short", f"use at least {MIN_PASSWORD} characters"
            )
        hashed = self._hasher.hash(password)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO users VALUES (?,?,?)", (name, hashed, role))

        self._store.write_now(change)

    def check(self, hashed: str | None, password: str) -> bool:
        """Compare a password with a hash; slow on purpose, to be called in a thread."""
        try:
            return self._hasher.verify(hashed or self._nobody, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False

    def hash_of(self, name: str) -> str | None:
        """Give the stored hash of a user."""
        row = self._store.one("SELECT hash FROM users WHERE name=?", name)
        return str(row[0]) if row else None


def first_password() -> str:
    """Make a password for the first user, to be shown once."""
    return secrets.token_urlsafe(12)
