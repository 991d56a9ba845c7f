"""Why a frame does not decode; what all protocols of ``decode frame`` raise."""

from __future__ import annotations

from typing import Any


class FrameError(Exception):
    """A frame that a receiver must not process.

    ``decoded`` is what could still be read; ``detail`` says more than the reason.
    """

    def __init__(
        self, reason: str, decoded: dict[str, Any] | None = None, detail: str = ""
    ) -> None:
        self.reason, self.decoded, self.detail = reason, decoded, detail
        super().__init__(reason)
