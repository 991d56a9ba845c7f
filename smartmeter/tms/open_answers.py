"""Answers of which a part waits for the store: one item for each service, in the request's order.

A response APDU holds one item for each service (C12.22 digest, 4.2), also where one
is a registration, the next a table to be stored, and a third is refused at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Some of the services of a request: ``places`` are their numbers, from 0."""

    request: int
    places: tuple[int, ...]


#: A whole request, by the node's token, or a share of one.
Token = int | Share


class OpenAnswers:
    """The answers that are not whole yet; of more than ``most`` the oldest is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[int, list[bytes | None]] = OrderedDict()

    def begin(self, request: int, items: Sequence[bytes | None]) -> None:
        """Keep what is known of an answer; None stands for what is not."""
        self._open[request] = list(items)
        while len(self._open) > self._most:
            self._open.popitem(last=False)

    def fill(self, token: Token, items: Sequence[bytes]) -> tuple[int, Sequence[bytes]] | None:
        """Take items in; give the request and its whole answer, None while some are not there."""
        if isinstance(token, int):
            return token, items
        answer = self._open.get(token.request)
        if answer is None:
            return None  # forgotten
        for place, item in zip(token.places, items, strict=True):
            answer[place] = item
        whole = [item for item in answer if item is not None]
        if len(whole) < len(answer):
            return None
        del self._open[token.request]
        return token.request, whole
