"""Why an APDU was rejected, in one word a program can compare."""

from __future__ import annotations

from protocols.errors import RemoteProtocolError


class ApduRejected(RemoteProtocolError):
    """An APDU that must not be processed; ``reason`` is one word, such as ``mac-mismatch``."""

    def __init__(self, reason: str, text: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {text}" if text else reason)
