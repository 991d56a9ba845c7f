"""What brings APDUs to a head-end or relay beside its sockets: a broker, a modem, a call out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, runtime_checkable

from protocols.transports.port import system_words
from smartmeter.comms.event_loop import ended
from smartmeter.comms.paths import Handler


class Carrier(Protocol):
    """One such way.  A path that it gives can be hashed and has ``send``."""

    async def run(self, handler: Handler) -> None:
        """Work until cancelled; what fails is tried again, less and less often."""


#: How long what failed rests before it is begun with again, at first and at most.
RESTS_S = (1.0, 60.0)


async def begun_again(
    work: Callable[[], Coroutine[Any, Any, None]], lost: Callable[[str], None]
) -> None:
    """Do work that ends only by an OSError, until cancelled; ``lost`` is told each one's words."""
    rest_s = RESTS_S[0]
    while True:
        try:
            await work()
        except OSError as error:
            lost(system_words(error))
        await asyncio.sleep(rest_s)
        rest_s = min(2 * rest_s, RESTS_S[1])


@runtime_checkable
class Bell(Protocol):
    """A carrier that can ask a node to open a bearer, by the number of its telephone."""

    def wake(self, number: str) -> None:
        """Ask; what cannot be sent is dropped."""


@asynccontextmanager
async def carrying(carriers: Sequence[Carrier], handler: Handler) -> AsyncIterator[None]:
    """Run carriers beside something; an error that cannot be mended ends it too."""
    tasks = [asyncio.create_task(carrier.run(handler)) for carrier in carriers]
    try:
        yield
    finally:
        for error in await ended(*tasks):
            raise error
