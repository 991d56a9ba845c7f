"""The module's C12.22 node: it sends what it is given, and screens what comes.

A node alone never lets its stamps go back: with each time that was set a new one is made.
Invocation ids go on, so that no pair of id and stamp comes twice, and are reserved in the memory
before they are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from ansi_tables.ids import PENDING_BIT
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.c1222.access import AccessDesk, Task
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.identification import answer_of_node, identification
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node, NodeSettings, RequestArrived
from protocols.c1222.reception import TOLD_TO_ANYBODY
from protocols.c1222.services import Deregister, Trace
from protocols.machine import Event
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Disconnect, FullWrite, IndexWrite, OffsetWrite
from smartmeter.base.clock import Calendar
from smartmeter.base.nvram import Nvram
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.ssi.authority import Asked, ModuleAuthority
from smartmeter.ssi.factory import Factory
from smartmeter.ssi.invocation_ids import InvocationIds
from smartmeter.ssi.keys import ModuleKeys, Role
from smartmeter.ssi.sending_order import OK

#: The module's keys, and passwords and keys of its meter; these also as tables that wait.
_SECRETS = frozenset((DEFAULT_BASE + SsiTable.KEYS, 42, 45, 46))


@dataclass(frozen=True)
class SentAway(Event):
    """The TMS has disconnected or deregistered the module."""


class OwnNode:
    """Is there from ``begin`` on, towards one TMS."""

    def __init__(
        self, factory: Factory, keys: ModuleKeys, calendar: Calendar, nvram: Nvram
    ) -> None:
        self._factory, self._keys, self._calendar = factory, keys, calendar
        self._ids = InvocationIds(nvram)
        self._host = ApTitle.parse(factory.tms[0].title)
        #: What was received, served and refused, by reason, since the start.
        self.counts: Counter[str] = Counter()
        #: How many nodes were made, each of which counts its tokens anew; 0: it has not begun.
        self.made = 0
        self._node: Node | None = None
        self._desk: AccessDesk | None = None
        self._joins_segments = False

    def begin(self, now_us: int) -> None:
        """Begin after a start: the clock has been set.  What was stamped before is refused."""
        self._make(self._ids.first(), now_us)

    def begin_anew(self, now_us: int) -> None:
        """Stamp by a time that was set; what was stamped before is refused, as at the start."""
        assert self._node is not None
        self._make(self._node.next_invocation_id, now_us)

    def _make(self, next_id: int, now_us: int) -> None:
        utc_s = self._calendar.utc_s(now_us)
        assert utc_s is not None
        settings = NodeSettings(
            window_s=stamp_window_s(self._calendar),
            not_before_s=utc_s - 1,
            clear_services=TOLD_TO_ANYBODY,
        )
        self.made += 1
        self._node = Node(
            self._factory.title,
            self._keys,
            self._calendar,
            SecurityState(next_id),
            settings,
            counts=self.counts,
        )
        self._node.joins_segments = self._joins_segments
        sessions = self._node.sessions
        authority = ModuleAuthority(self._factory, self._keys)
        self._desk = AccessDesk(sessions, authority, identification(sessions.capacity))
        self._reserve()

    def _reserve(self) -> None:
        if self._node is not None:
            self._ids.reserve(self._node.next_invocation_id)

    def join_segments(self) -> None:
        """Join messages out of segments, whatever they come by."""
        self._joins_segments = True
        if self._node is not None:
            self._node.joins_segments = True

    def request(
        self,
        services: Sequence[bytes],
        path: Hashable,
        now_us: int,
        *,
        key_id: int,
        timeout_us: int,
        ed_class: bytes | None,
        qualifier: int = 0,
    ) -> int:
        """Ask the TMS for something; give the transaction."""
        assert self._node is not None
        transaction = self._node.request(
            services,
            self._host,
            path,
            now_us,
            key_id=key_id,
            qualifier=qualifier,
            ed_class=ed_class,
            timeout_us=timeout_us,
        )
        self._reserve()
        return transaction

    def answer(self, asked: Asked, responses: list[bytes], now_us: int) -> None:
        """Answer a request; one that nobody waits for any more is left."""
        assert self._node is not None
        if asked.node == self.made and self._node.waits(asked.token):
            self._node.answer(asked.token, responses, now_us)
            self._reserve()

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take an APDU."""
        if self._node is not None:
            self._node.receive(path, octets, now_us)

    def expire(self, now_us: int) -> None:
        """Act on time-outs."""
        if self._node is not None:
            self._node.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return None if self._node is None else self._node.deadline_us()

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return [] if self._node is None else self._node.outgoing()

    def events(self, now_us: int) -> Iterator[Event]:
        """Give what happened; of requests what is left to be answered (Asked)."""
        for event in self._node.events() if self._node is not None else ():
            if isinstance(event, RequestArrived):
                yield from self._screened(event, now_us)
            else:
                yield event
        self._reserve()

    def _screened(self, event: RequestArrived, now_us: int) -> Iterator[Event]:
        assert self._node is not None and self._desk is not None
        items = self._desk.screen(event, now_us)
        sealed = self._desk.sealed_enough(event)
        answers = tuple(self._of_the_node(item, sealed) for item in items)
        yield Asked(event.token, answers, self.made)
        if any(map(_sends_away, items, answers)):
            yield SentAway()

    def _of_the_node(self, item: bytes | Task, sealed: bool) -> bytes | Task:
        """Answer what concerns the node and not its tables: which way, and to go away.

        A key or password that was not ``sealed`` on its way is nobody's.
        """
        if not isinstance(item, Task):
            return item
        match item.request:
            case FullWrite(table) | OffsetWrite(table) | IndexWrite(table) if (
                table & ~PENDING_BIT in _SECRETS and not sealed
            ):
                return bytes([ResponseCode.isc])
            case Trace() as asked:
                return answer_of_node(asked, self._factory.title)
            case Disconnect() | Deregister() as asked:
                title = asked.title if isinstance(asked, Deregister) else self._factory.title
                if title is None or title.absolute != self._factory.title.absolute:
                    return bytes([ResponseCode.iar])
                if item.rights is not Role.TMS:
                    return bytes([ResponseCode.isc])
                if isinstance(asked, Disconnect) and self._node is not None:
                    self._node.sessions.end_all()
                return OK
        return item


def _sends_away(item: bytes | Task, answer: bytes | Task) -> bool:
    is_asked = isinstance(item, Task) and isinstance(item.request, Disconnect | Deregister)
    return is_asked and answer == OK
