"""Requests of the TMS under way: how long each is awaited, and what its end tells of its path."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from protocols.c1222.builder import NEVER
from protocols.c1222.node import AnsweredLate, Node, ResponseArrived, TransactionFailed
from protocols.c1222.services import TRACE
from protocols.c1222.transactions import UNANSWERED
from protocols.psem.codes import ResponseCode, code_name
from smartmeter.comms.patience import Awaited, Patience
from smartmeter.tms.meters import Meters
from smartmeter.tms.paths import Paths
from smartmeter.tms.shell import Shell

ANSWER_TIMEOUT_US, SLOW_ANSWER_US = 15_000_000, 180_000_000
#: How often a request in a datagram is sent again in that time: the same octets, served once.  So
#: there are five seconds for an answer over a slow network before it is asked for again.
REPEATS = 2
#: Why a transaction ends when the path does not lead to the node; uat and netr are what a relay
#: says, a hint.
_NOT_REACHED = frozenset((*UNANSWERED, code_name(ResponseCode.uat), code_name(ResponseCode.netr)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request under way."""

    esn: str
    path: Hashable
    wait: Awaited


class Asking:
    """Asks SmartMeters as the TMS's own node."""

    def __init__(self, node: Node, meters: Meters, paths: Paths, shell: Shell) -> None:
        self._node, self._meters, self._paths, self._shell = node, meters, paths, shell
        #: For how long each SmartMeter's answers are awaited.
        self.patience = Patience()
        self._waits: dict[int, _Asked] = {}

    def request(
        self,
        esn: str,
        services: Sequence[bytes],
        path: Hashable,
        now_us: int,
        key_id: int | None = None,
    ) -> int:
        """Ask a SmartMeter over a path, under its key or another; give the transaction."""
        title = self._meters.title(esn)
        key_id = self._meters.sending(esn) if key_id is None else key_id
        if services[0][:1] == bytes([TRACE]):
            key_id = None  # it goes in clear, or no relay could add its title
        least_us = SLOW_ANSWER_US if self._shell.is_slow(path) else ANSWER_TIMEOUT_US
        wait = self.patience.begin(esn, least_us, now_us)
        transaction = self._node.request(
            services,
            title,
            path,
            now_us,
            key_id=key_id,
            timeout_us=wait.timeout_us,
            repeats=REPEATS if self._shell.is_lossy(path) else 0,
        )
        self._waits[transaction] = _Asked(esn, path, wait)
        return transaction

    def tell(self, esn: str, service: bytes, now_us: int) -> None:
        """Send a node one service that wants no answer, if it has a path."""
        path = self._paths.of(esn)
        if path is not None:
            title, key_id = self._meters.title(esn), self._meters.sending(esn)
            self._node.request(
                [service], title, path, now_us, key_id=key_id, response_control=NEVER
            )

    def answered(self, event: ResponseArrived, path: Hashable | None, now_us: int) -> None:
        """An answer has come by a path; None: by none that is known."""
        asked = self._waits.pop(event.transaction, None)
        if asked is None:
            return
        self.patience.answered(asked.wait, now_us)
        if event.secured and path is not None:
            if asked.esn in self._paths:
                self._paths.answered(asked.esn, path)
            else:  # it had no path, and was asked for at a relay
                self._paths.heard(asked.esn, path)

    def answered_late(self, event: AnsweredLate, now_us: int) -> None:
        """Learn how slow the network is from an answer that nobody waits for any more."""
        esn = self._meters.esn(event.calling)
        if esn is not None and event.secured:
            wait = Awaited(esn, event.sent_us, ANSWER_TIMEOUT_US, ANSWER_TIMEOUT_US)
            self.patience.answered(wait, now_us)

    def failed(self, event: TransactionFailed) -> str | None:
        """A request has no answer; give the SmartMeter whose path is doubted for that, if any."""
        asked = self._waits.pop(event.transaction, None)
        if asked is None:
            return None
        if event.cause in UNANSWERED:
            self.patience.unanswered(asked.wait)
        if event.cause not in _NOT_REACHED:
            return None
        self._paths.unanswered(asked.esn, asked.path)
        return asked.esn
