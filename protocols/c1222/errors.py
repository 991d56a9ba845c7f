"""Why an APDU was rejected, in one word a program can compare."""

from __future__ import annotations

from protocols.errors import RemoteProtocolError

#: The draft of March 2006, which is refused whole.
DRAFT_2006 = "the form of the 2006 draft, which is not supported"
#: Security before EAX': DES with a checksum, or a challenge as in C12.21.
DRAFT_SECURITY = "the security of the drafts of 2006 and 2008, which is not supported"


class ApduRejected(RemoteProtocolError):
    """An APDU that must not be processed; ``reason`` is one word, such as ``mac-mismatch``.

    ``draft`` names the older form of C12.22 that it seems to be, if it is one.
    """

    def __init__(self, reason: str, text: str = "", draft: str = "") -> None:
        self.reason = reason
        self.draft = draft
        super().__init__(": ".join(filter(None, (reason, text, draft))))

    @property
    def told(self) -> str:
        """Give what a person is told who looks why a peer is not understood."""
        return f"{self.reason}: {self.draft}" if self.draft else self.reason
