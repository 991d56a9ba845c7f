"""A node's own requests: which are open, what answers them, when they are repeated or given up."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from protocols.c1222.addressing import answers_for
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import Apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.node_events import ResponseArrived, TransactionFailed
from protocols.c1222.security import CLEAR, check_control
from protocols.c1222.services import match_responses
from protocols.machine import Event
from protocols.psem.codes import ResponseCode, code_name

#: What may answer a secured request in clear: what a relay, or a node that could not open it,
#: says.  A hint, never the node's own word.
HINTS = frozenset(
    (
        ResponseCode.sme,
        ResponseCode.uat,
        ResponseCode.nett,
        ResponseCode.netr,
        ResponseCode.bsy,
        ResponseCode.iar,
        ResponseCode.rqtl,
        ResponseCode.rstl,
        ResponseCode.sgnp,
        ResponseCode.sgerr,
    )
)

#: Why a transaction ends that nobody answers.
NO_ANSWER = "no answer in time"
#: Why one ends whose answer nobody wants any more.
ABANDONED = "abandoned"


@dataclass
class Open:
    """One open request.  ``repeats`` are left, ``repeat_us`` apart, of the identical octets."""

    path: Hashable
    called: ApTitle | None
    services: tuple[bytes, ...]
    security: tuple[int, bytes] | None
    mode: int
    to_group: bool
    due_us: int
    octets: bytes
    repeats: int = 0
    repeat_us: int = 0
    repeat_due_us: int | None = None


class Transactions:
    """The open requests of one node by their invocation id."""

    def __init__(self) -> None:
        self._open: dict[int, Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, own: int) -> bool:
        return own in self._open

    def add(self, own: int, entry: Open) -> None:
        """Note a request that went out."""
        self._open[own] = entry

    def drop(self, own: int) -> bool:
        """Forget a request; False for one that is not open."""
        return self._open.pop(own, None) is not None

    def security(self, apdu: Apdu) -> tuple[int, bytes] | None:
        """Give key id and IV of the request that is answered, for an answer that carries none."""
        entry = self._open.get(apdu.called_invocation_id or 0)
        return entry.security if entry is not None else None

    def expect(self, apdu: Apdu, title: ApTitle | None) -> None:
        """Check that an answer belongs to an open request, before its MAC is looked at.

        Its titles must be the request's, swapped; a node that had no title yet
        is answered under the one that it is given, or under none.
        """
        entry = self._open.get(apdu.called_invocation_id or 0)
        if entry is None:
            raise ApduRejected("no-such-transaction")
        if title is not None and (apdu.called is None or apdu.called.absolute != title.absolute):
            raise ApduRejected("titles-not-swapped")
        if not answers_for(entry.called, apdu.calling):
            raise ApduRejected("titles-not-swapped")

    def take(self, apdu: Apdu, responses: list[bytes]) -> Event:
        """Give what an answer means; ApduRejected for one that is less protected than allowed."""
        own = apdu.called_invocation_id or 0
        entry = self._open[own]
        mode = check_control(apdu.user_information[0])
        if mode < entry.mode:
            if any(response[0] not in HINTS for response in responses):
                raise ApduRejected("tampering")
            if not entry.to_group:
                del self._open[own]
            return TransactionFailed(own, code_name(responses[0][0]))
        if not entry.to_group:
            del self._open[own]
        matched = match_responses(entry.services, responses)
        secured = mode != CLEAR
        return ResponseArrived(own, matched, secured, apdu.calling, apdu.iv if secured else None)

    def expire(self, now_us: int) -> tuple[list[Event], list[tuple[Hashable, bytes]]]:
        """Give up what was not answered in time; give also what is to be sent once more."""
        events: list[Event] = []
        again: list[tuple[Hashable, bytes]] = []
        for own, entry in list(self._open.items()):
            if now_us >= entry.due_us:
                del self._open[own]
                events.append(TransactionFailed(own, NO_ANSWER))
            elif entry.repeat_due_us is not None and now_us >= entry.repeat_due_us:
                again.append((entry.path, entry.octets))
                entry.repeats -= 1
                entry.repeat_due_us = now_us + entry.repeat_us if entry.repeats else None
        return events, again

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = [
            entry.due_us if entry.repeat_due_us is None else min(entry.due_us, entry.repeat_due_us)
            for entry in self._open.values()
        ]
        return min(dues, default=None)
