"""The module's C12.22 keys: key 0 from the factory, and two of each role that were provisioned.

A change of key leaves no gap: the old key and the new one both count until the TMS has
used the new one itself; then the old one is refused.  From then on the factory's key is
good for registering, and for bringing a key when the TMS has lost its own; for nothing else.
"""

from __future__ import annotations

import json
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import EaxPrime
from protocols.errors import LocalProtocolError
from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import Nvram

KEYS_PAGE = "keys"
#: Live provisioned keys of a role: the old and the new one.
MAX_PROVISIONED = 2
FACTORY_KEY = 0


class Role(IntEnum):
    """What the holder of a key may do."""

    TMS = 0
    MAINTENANCE = 1
    READ_ONLY = 2
    #: The factory's key beside one of the TMS: it may write KEYS.
    ROOT = 3


_PROVISIONED = frozenset((Role.TMS, Role.MAINTENANCE, Role.READ_ONLY))


class _Entry(NamedTuple):
    """A provisioned key; ``used``: by the TMS, since it was written."""

    key_id: int
    role: int
    key: str
    used: bool = False

    def __repr__(self) -> str:
        return f"key {self.key_id}"


class ModuleKeys:
    """Implements ``protocols.c1222.keys.KeyRing``; durable; keys are never read out.

    ``damaged`` tells that what was kept could not be read: the factory's key counts again.
    """

    def __init__(self, nvram: Nvram, factory_key: bytes) -> None:
        self._nvram = nvram
        self._ciphers = {FACTORY_KEY: EaxPrime(factory_key)}
        self._provisioned: list[_Entry] = []
        self.damaged = False
        try:
            kept = [_Entry(*entry) for entry in json.loads(nvram.get(KEYS_PAGE) or b"[]")]
            ciphers = {entry.key_id: EaxPrime(bytes.fromhex(entry.key)) for entry in kept}
            if any(entry.role not in _PROVISIONED for entry in kept):
                raise ValueError("no such role")
        except (ValueError, TypeError, LocalProtocolError):
            self.damaged = True
        else:
            self._provisioned = kept
            self._ciphers |= ciphers

    @property
    def sending(self) -> int:
        """Give the key id to send under: the newest key of the TMS."""
        own = [entry.key_id for entry in self._provisioned if entry.role == Role.TMS]
        return own[-1] if own else FACTORY_KEY

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give a key by its id; all of them are shared with whoever holds them."""
        return self._ciphers.get(key_id)

    def role(self, key_id: int) -> Role:
        """Give what the holder of a key may do."""
        for entry in self._provisioned:
            if entry.key_id == key_id:
                return Role(entry.role)
        changed = any(entry.role == Role.TMS and entry.used for entry in self._provisioned)
        return Role.ROOT if changed else Role.TMS

    def add(self, key_id: int, role: int, key: bytes) -> bool:
        """Take a key over; of more than two of a role the oldest goes.  False when it cannot be."""
        if key_id == FACTORY_KEY or role not in _PROVISIONED:
            return False
        new = _Entry(key_id, role, key.hex())
        if new[:3] in [entry[:3] for entry in self._provisioned]:
            return True  # its answer was lost
        kept = [entry for entry in self._provisioned if entry.key_id != key_id]
        same = [entry for entry in kept if entry.role == role]
        self._keep([entry for entry in kept if entry not in same[: -(MAX_PROVISIONED - 1)]] + [new])
        self._ciphers[key_id] = EaxPrime(key)
        return True

    def used(self, key_id: int) -> None:
        """The TMS has asked something under a key: those that it had before count no more."""
        if key_id != self.sending or key_id == FACTORY_KEY:
            return
        new = next(entry for entry in self._provisioned if entry.key_id == key_id)
        if not new.used:
            others = [entry for entry in self._provisioned if entry.role != Role.TMS]
            with suppress(StorageError):  # both count until the memory takes it
                self._keep([*others, new._replace(used=True)])

    def _keep(self, provisioned: list[_Entry]) -> None:
        self._nvram.commit({KEYS_PAGE: json.dumps(provisioned).encode()})
        for gone in {one.key_id for one in self._provisioned} - {one.key_id for one in provisioned}:
            del self._ciphers[gone]
        self._provisioned = provisioned
