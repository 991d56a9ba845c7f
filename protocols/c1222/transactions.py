"""A node's own requests: which are open, what answers them, when they are repeated or given up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace

from protocols.c1222.addressing import answers_for
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import Apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.node_events import AnsweredLate, ResponseArrived, TransactionFailed
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
#: Why one ends whose answer may still come: a relay waits no longer, or we do not.
UNANSWERED = frozenset((NO_ANSWER, code_name(ResponseCode.nett)))
#: A request that waits longer than a relay does outlives the relay's ``nett``: the answer may come.
RELAY_WAITS_US = 60_000_000
#: Why one ends whose answer nobody wants any more.
ABANDONED = "abandoned"
#: How long an answer may be late and is still known as one, and of how many requests.
LATE_US, MAX_LATE = 1_800_000_000, 1024


@dataclass
class Open:
    """One open request.  ``repeats`` are left, ``repeat_us`` apart, of the identical octets."""

    path: Hashable
    called: ApTitle | None
    services: tuple[bytes, ...]
    security: tuple[int, bytes] | None
    mode: int
    to_group: bool
    sent_us: int
    due_us: int
    octets: bytes
    repeats: int = 0
    repeat_us: int = 0
    repeat_due_us: int | None = None


class Transactions:
    """The open requests of one node by their invocation id.

    One that was given up is kept for a while: its answer, when it comes, tells how slow the
    network is, and that what was asked was done.
    """

    def __init__(self) -> None:
        self._open: dict[int, Open] = {}
        #: All wait equally long, so the oldest is the first that is forgotten.
        self._late: OrderedDict[int, Open] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, own: int, entry: Open) -> None:
        """Note a request that went out."""
        self._open[own] = entry

    def abandon(self, own: int, now_us: int) -> bool:
        """Give up a request before its time; False for one that is not open."""
        if own not in self._open:
            return False
        self._give_up(own, now_us)
        return True

    def security(self, apdu: Apdu) -> tuple[int, bytes] | None:
        """Give key id and IV of the request that is answered, for an answer that carries none."""
        entry = self._asked(apdu)
        return entry.security if entry is not None else None

    def expect(self, apdu: Apdu, title: ApTitle | None) -> None:
        """Check that an answer belongs to an open request, before its MAC is looked at.

        Its titles must be the request's, swapped; a node that had no title yet
        is answered under the one that it is given, or under none.
        """
        entry = self._asked(apdu)
        if entry is None:
            raise ApduRejected("no-such-transaction")
        if title is not None and (apdu.called is None or apdu.called.absolute != title.absolute):
            raise ApduRejected("titles-not-swapped")
        if not answers_for(entry.called, apdu.calling):
            raise ApduRejected("titles-not-swapped")

    def take(self, apdu: Apdu, responses: list[bytes], now_us: int) -> list[Event]:
        """Give what an answer means; ApduRejected for one that is less protected than allowed."""
        own = apdu.called_invocation_id or 0
        mode = check_control(apdu.user_information[0])
        if (late := self._late.get(own)) is not None:
            if mode < late.mode:
                raise ApduRejected("no-such-transaction")
            del self._late[own]
            matched = match_responses(late.services, responses)
            return [AnsweredLate(own, matched, mode != CLEAR, apdu.calling, late.sent_us)]
        entry = self._open[own]
        if mode < entry.mode:
            if any(response[0] not in HINTS for response in responses):
                raise ApduRejected("tampering")
            if responses[0][0] != ResponseCode.nett:
                if not entry.to_group:
                    del self._open[own]
            elif entry.to_group or entry.due_us - entry.sent_us > RELAY_WAITS_US:
                return []
            else:
                self._give_up(own, now_us)
            return [TransactionFailed(own, code_name(responses[0][0]))]
        if not entry.to_group:
            del self._open[own]
        matched = match_responses(entry.services, responses)
        secured = mode != CLEAR
        iv = apdu.iv if secured else None
        return [ResponseArrived(own, matched, secured, apdu.calling, iv)]

    def expire(self, now_us: int) -> tuple[list[Event], list[tuple[Hashable, bytes]]]:
        """Give up what was not answered in time; give also what is to be sent once more."""
        events: list[Event] = []
        again: list[tuple[Hashable, bytes]] = []
        while self._late and now_us >= next(iter(self._late.values())).due_us:
            self._late.popitem(last=False)
        for own, entry in list(self._open.items()):
            if now_us >= entry.due_us:
                self._give_up(own, now_us)
                events.append(TransactionFailed(own, NO_ANSWER))
            elif entry.repeat_due_us is not None and now_us >= entry.repeat_due_us:
                again.append((entry.path, entry.octets))
                entry.repeats -= 1
                entry.repeat_due_us = now_us + entry.repeat_us if entry.repeats else None
        return events, again

    def _asked(self, apdu: Apdu) -> Open | None:
        own = apdu.called_invocation_id or 0
        return self._open.get(own) or self._late.get(own)

    def _give_up(self, own: int, now_us: int) -> None:
        entry = self._open.pop(own)
        if not entry.to_group:
            self._late[own] = replace(entry, octets=b"", due_us=now_us + LATE_US)
            if len(self._late) > MAX_LATE:
                self._late.popitem(last=False)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = [
            entry.due_us if entry.repeat_due_us is None else min(entry.due_us, entry.repeat_due_us)
            for entry in self._open.values()
        ]
        return min(dues, default=None)
