"""The seam of collection: where data of meters comes from, and how they are asked.

C12.22 notifications are one source (``tms.collector``), plain meters that the
TMS polls another (``tms.polled_source``).  The head-end gives each job's
services to the source of its meter, and takes what comes as events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocols.machine import Event

#: The cause that is told of a request that was abandoned.
ABANDONED = "nobody waits for it"


@dataclass(frozen=True)
class Answered(Event):
    """The answer to a request of the TMS, one item a service."""

    transaction: int
    responses: tuple[bytes, ...]


@dataclass(frozen=True)
class Unanswered(Event):
    """A request of the TMS without an answer that can be used.

    ``heard``: there was one, and it would not do.
    """

    transaction: int
    cause: str
    heard: bool = False


class Source(Protocol):
    """A message machine that asks meters for the head-end."""

    def ask(self, esn: str, services: Sequence[bytes], now_us: int) -> int:
        """Ask a meter; give the transaction that its answer names.

        LocalProtocolError or KeyError when it cannot be asked.
        """

    def abandon(self, transaction: int, now_us: int) -> None:
        """Send a request no more; Unanswered tells when no answer can come any longer."""

    def events(self) -> list[Event]:
        """Give what happened: Answered, Unanswered, and what else the source has to tell."""
