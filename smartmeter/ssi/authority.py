"""Who may do what at the module: the key decides; a password only confirms.

Clients of other makers put security before every request, or log on.  Their
password must be the one that the module itself has for the meter.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from protocols.c1222.access import Rights, Task
from protocols.c1222.node import RequestArrived
from protocols.machine import Event
from smartmeter.ssi.factory import Factory
from smartmeter.ssi.keys import ModuleKeys, Role


@dataclass(frozen=True)
class Asked(Event):
    """A request from the network: for each service its answer already, or a task.

    ``node`` counts the nodes that the module had: each counts its tokens anew.  ``served``
    are the answers of those services that were served before the meter was heard no more.
    """

    token: int
    items: tuple[bytes | Task, ...]
    node: int
    served: list[bytes] = field(default_factory=list, compare=False)


class ModuleAuthority:
    """Implements ``protocols.c1222.access.Authority``."""

    def __init__(self, factory: Factory, keys: ModuleKeys) -> None:
        self._password = factory.optical_password
        self._keys = keys

    def of_message(self, message: RequestArrived) -> Role:
        """Give the role of the key; that it was used may end the one before it."""
        self._keys.used(message.key_id or 0)
        return self._keys.role(message.key_id or 0)

    def of_password(
        self, user_id: int | None, user: bytes, password: bytes, rights: Rights
    ) -> Rights | None:
        """Give the key's role again when the password is right; it adds nothing."""
        right = self._password.ljust(len(password))
        return rights if self._password and hmac.compare_digest(right, password) else None
