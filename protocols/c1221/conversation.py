"""All that one does with a meter in a call, as scripts (see ``c1218.conversation``)."""

from __future__ import annotations

from dataclasses import replace

from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings, Opened
from protocols.c1218.steps import Script
from protocols.c1221.client import CALL_OPTIONS, CallClient
from protocols.c1221.scripts import authenticate, close_call, open_call
from protocols.psem.identification import parse_identification


class CallConversation(Conversation):
    """One client in a call to the device of an identity, 0 for whichever is there."""

    def __init__(
        self,
        settings: LogonSettings | None = None,
        identity: int = 0,
        key: tuple[int, bytes] | None = None,
    ) -> None:
        super().__init__(settings, None)
        self.client = CallClient(replace(CALL_OPTIONS, identity=identity))
        self._key = key

    def open(self) -> Script[Opened]:
        """Open a session, with the key if there is one, and the password."""
        self.opened = yield from open_call(self.settings, self.client.quirks, self._key)
        return self.opened

    def authenticate(self, identification: bytes) -> Script[bool | None]:
        """Prove the key in a session that somebody else has opened; None where there is none."""
        if self._key is None:
            return None
        return (yield from authenticate(*self._key, parse_identification(identification)))

    def close(self) -> Script[None]:
        """Close the session, and have the device hang up."""
        return close_call(self.client.quirks)
