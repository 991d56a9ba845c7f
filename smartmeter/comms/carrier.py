"""What brings APDUs to a head-end or relay beside its sockets: a broker, a modem, a call out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from smartmeter.comms.listener import Handler


class Carrier(Protocol):
    """One such way.  A path that it gives can be hashed and has ``send``."""

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; what fails is tried again, less and less often."""


@asynccontextmanager
async def carrying(carriers: Sequence[Carrier], handler: Handler) -> AsyncIterator[None]:
    """Run carriers beside something; an error that cannot be mended ends it too."""
    tasks = [asyncio.create_task(carrier.run(handler)) for carrier in carriers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
