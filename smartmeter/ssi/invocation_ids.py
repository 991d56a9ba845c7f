"""Invocation ids, reserved in blocks in the non-volatile memory: no restart uses one twice."""

from __future__ import annotations

from smartmeter.base.nvram import Nvram

IDS_PAGE = "ids"
RESERVED_IDS, MAX_IDS = 1024, 1 << 62


class InvocationIds:
    """Keeps the memory ahead of the ids in use: after a restart they go on from there."""

    def __init__(self, nvram: Nvram) -> None:
        self._nvram = nvram
        self._reserved_until = 0

    def first(self) -> int:
        """Give the id to begin with after a start."""
        next_id = int.from_bytes(self._nvram.get(IDS_PAGE) or b"\1", "big")
        # Where the page is none of ours any number will do: the stamps go on.
        return next_id if next_id < MAX_IDS else 1

    def reserve(self, next_id: int) -> None:
        """Reserve another block when the one in use is nearly used up."""
        if next_id + RESERVED_IDS // 8 > self._reserved_until:
            self._reserved_until = next_id + RESERVED_IDS
            self._nvram.commit({IDS_PAGE: self._reserved_until.to_bytes(8, "big")})
