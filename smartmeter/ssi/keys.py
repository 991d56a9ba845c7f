"""The module's C12.22 keys: key 0 from the factory, and up to two that were provisioned."""

from __future__ import annotations

import json
from enum import IntEnum

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import EaxPrime
from smartmeter.base.nvram import Nvram

KEYS_PAGE = "keys"
#: Live provisioned keys: the old and the new one, so that a change leaves no gap.
MAX_PROVISIONED = 2
FACTORY_KEY = 0


class Role(IntEnum):
    """What the holder of a key may do."""

    TMS = 0
    MAINTENANCE = 1
    READ_ONLY = 2


class ModuleKeys:
    """Implements ``protocols.c1222.keys.KeyRing``; durable; keys are never read out."""

    def __init__(self, nvram: Nvram, factory_key: bytes) -> None:
        self._nvram = nvram
        self._ciphers = {FACTORY_KEY: EaxPrime(factory_key)}
        self._provisioned: list[tuple[int, int, str]] = []
        page = nvram.get(KEYS_PAGE)
        if page:
            self._provisioned = [tuple(entry) for entry in json.loads(page)]
            for key_id, _, key in self._provisioned:
                self._ciphers[key_id] = EaxPrime(bytes.fromhex(key))

    @property
    def sending(self) -> int:
        """Give the key id to send under: the newest key of the TMS."""
        own = [key_id for key_id, role, _ in self._provisioned if role == Role.TMS]
        return own[-1] if own else FACTORY_KEY

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give a key by its id; all of them are shared with whoever holds them."""
        return self._ciphers.get(key_id)

    def role(self, key_id: int) -> Role:
        """Give what the holder of a key may do."""
        roles = {one: role for one, role, _ in self._provisioned}
        return Role(roles.get(key_id, Role.TMS))

    def add(self, key_id: int, role: int, key: bytes) -> bool:
        """Take a key over; the oldest of the provisioned ones goes.  False when it cannot be."""
        if key_id == FACTORY_KEY or role not in set(Role):
            return False
        others = [entry for entry in self._provisioned if entry[0] != key_id]
        provisioned = [*others, (key_id, role, key.hex())][-MAX_PROVISIONED:]
        self._nvram.commit({KEYS_PAGE: json.dumps(provisioned).encode()})
        for gone in {entry[0] for entry in self._provisioned} - {entry[0] for entry in provisioned}:
            del self._ciphers[gone]
        self._provisioned = provisioned
        self._ciphers[key_id] = EaxPrime(key)
        return True
