"""The module's face to the network: registers, sends reports until acknowledged, takes requests.

One report is under way at a time.  It is repeated, each time with a fresh
invocation id and IV, until every item of an answer that is secured says ok.
One that is refused while others are taken is to be set aside.
Invocation ids are reserved in blocks in the non-volatile memory, so that none
is used twice over restarts.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from protocols.c1222.access import AccessDesk, Task
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NOTIFICATION, URGENT
from protocols.c1222.identification import answer_of_node, identification
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    AnsweredLate,
    MessageRejected,
    Node,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.reception import TOLD_TO_ANYBODY
from protocols.c1222.registration import (
    OVER_TCP,
    OVER_UDP,
    Register,
    decode_registered,
    serial_uid,
)
from protocols.c1222.services import Deregister, Disconnect, Trace, encode_service
from protocols.c1222.transactions import UNANSWERED
from protocols.errors import RemoteProtocolError
from protocols.machine import Event, earliest
from protocols.psem.codes import NOT_NOW, ResponseCode, code_name
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import Nvram
from smartmeter.comms.patience import Awaited, Patience
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.ssi.authority import Asked, ModuleAuthority
from smartmeter.ssi.factory import Factory
from smartmeter.ssi.keys import FACTORY_KEY, ModuleKeys, Role
from smartmeter.ssi.network_news import (
    RegisteredWithTms,
    RegistrationRefused,
    ReportAcknowledged,
    ReportRefused,
    time_told,
)
from smartmeter.ssi.outbox import Entry, Outbox
from smartmeter.ssi.refusals import Refusals
from smartmeter.ssi.reports import MAX_APDU_OCTETS

IDS_PAGE = "ids"
_OK = bytes([ResponseCode.ok])
RESERVED_IDS, MAX_IDS = 1024, 1 << 62
FIRST_PAUSE_US, MAX_PAUSE_US = 1_000_000, 60_000_000
#: How long after one that was set aside was refused the next of those is tried.
ASIDE_PAUSE_US = 3600 * US_PER_S
#: Refusals that are of the moment and not of the report.
_LATER = frozenset(bytes([one]) for one in NOT_NOW)
#: A bearer that is down at the first try needs a moment; so does a TMS that restarts.
REGISTER_TIMEOUT_US = 15 * US_PER_S
#: Requests in a row without an answer, after which a bearer is doubted.
UNANSWERED_BEFORE_DOUBT = 2
#: Requests without an answer in time whose answer still counts when it comes.
MAX_LATE = 8
#: Octets that a message may have around its services, and a registration's in all.
ENVELOPE_OCTETS, REGISTRATION_OCTETS = 128, 192


class NetworkSide:
    """One C12.22 node, towards one TMS, over whichever bearer is up."""

    def __init__(
        self, factory: Factory, keys: ModuleKeys, calendar: Calendar, nvram: Nvram, outbox: Outbox
    ) -> None:
        self._factory, self._keys, self._calendar = factory, keys, calendar
        self._nvram, self._outbox = nvram, outbox
        self._host = ApTitle.parse(factory.tms[0].title)
        # Made once: a module without a network asks every minute.
        asked = Register(factory.title, serial_uid(factory.esn))
        self._registrations = {
            kind: encode_service(replace(asked, connection_type=kind))
            for kind in (OVER_TCP, OVER_UDP)
        }
        self._nodes = 0
        #: What was received, served and refused, by reason, since the start.
        self.counts: Counter[str] = Counter()
        self._node: Node | None = None
        self._desk: AccessDesk | None = None
        self._reserved_until = 0
        self._joins_segments = False
        self._ways: dict[Hashable, Way] = {}
        #: Bearers that came up, and over which nothing has been answered since.
        self._unseen: set[Hashable] = set()
        self._unanswered: Counter[Hashable] = Counter()
        self._doubted: list[Hashable] = []
        self.registered = False
        self._registered_us = 0
        self._registration_us = 3600 * US_PER_S
        self._ack_timeout_us = 15 * US_PER_S
        self._register_transaction: int | None = None
        self._under_way: tuple[int, Entry] | None = None
        self._patience = Patience()
        self._refusals = Refusals()
        #: When the next of the reports that are set aside is tried.
        self._aside_us = 0
        #: For the answer to the last registration or report.
        self._wait = Awaited(None, 0, 0, 0)
        #: What was given up, oldest first: its wait, and the report if it was one.
        self._late: OrderedDict[int, tuple[Awaited, Entry | None]] = OrderedDict()
        self._pause_us = FIRST_PAUSE_US
        self._not_before_us = 0
        #: Waits before further last gasps, how many messages the energy allows, and were sent;
        #: None: there is no last gasp, and no limit.
        self._gasps: deque[int] = deque()
        self._gasps_left: int | None = None
        self._gasps_sent = 0
        #: The report that is the last gasp.
        self._gasp = 0
        self._out: list[tuple[Hashable, bytes]] = []
        self._events: list[Event] = []

    def start(self, now_us: int) -> None:
        """Begin: the clock has been set.  What was stamped before this instant is refused."""
        next_id = int.from_bytes(self._nvram.get(IDS_PAGE) or b"\1", "big")
        # Of a page that is none, any number will do: the stamps go on.
        self._make_node(next_id if next_id < MAX_IDS else 1, now_us)
        self.poll(now_us)

    def renew_stamps(self, now_us: int) -> None:
        """Stamp by a time that was set: a node alone never lets its stamps go back.

        Invocation ids go on, so that no pair of id and stamp comes twice; and what was
        stamped before this instant is refused, as at the start.
        """
        if self._node is not None:
            self._under_way = self._register_transaction = None
            self._late.clear()
            self._make_node(self._node.next_invocation_id, now_us)

    def _make_node(self, next_id: int, now_us: int) -> None:
        utc_s = self._calendar.utc_s(now_us)
        assert utc_s is not None
        window_s = stamp_window_s(self._calendar)
        state = SecurityState(next_id)
        self._nodes += 1
        self._node = Node(
            self._factory.title,
            self._keys,
            self._calendar,
            state,
            NodeSettings(window_s=window_s, not_before_s=utc_s - 1, clear_services=TOLD_TO_ANYBODY),
            counts=self.counts,
        )
        authority = ModuleAuthority(self._factory, self._keys)
        sessions = self._node.sessions
        self._node.joins_segments = self._joins_segments
        self._desk = AccessDesk(sessions, authority, identification(sessions.capacity))
        self._reserve()

    def configure(self, general: Mapping[str, int]) -> None:
        """Take over time-outs and periods from the GENERAL table."""
        self._ack_timeout_us = general["ACK_TIMEOUT_MS"] * 1000
        self._registration_us = general["REGISTRATION_PERIOD_S"] * US_PER_S

    def join_segments(self) -> None:
        """Join messages out of segments, whatever they come by."""
        self._joins_segments = True
        if self._node is not None:
            self._node.joins_segments = True

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can be used: what waits is sent at once, or a registration.

        Who opens a connection and says nothing on it can be asked nothing.
        """
        self._unseen.add(path)
        self._ways[path] = way
        self._ways = dict(sorted(self._ways.items(), key=lambda item: item[1].cost))
        if way.has_segments:
            self.join_segments()
        self._unanswered.pop(path, None)
        self._refusals.forget()
        self._not_before_us = now_us
        self._pause_us = FIRST_PAUSE_US
        self.poll(now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone, and with it the answer that was awaited on it."""
        self._ways.pop(path, None)
        self._unseen.discard(path)
        self._unanswered.pop(path, None)
        self._refusals.forget()
        if self._wait.whom == path:
            self._under_way = self._register_transaction = None
        self.poll(now_us)

    def need(self, now_us: int) -> Need:
        """Tell what waits: something urgent, anything, or nothing."""
        if self._node is None:
            return Need.NOTHING
        if self._outbox.first(only_urgent=True) is not None:
            return Need.URGENT
        waits = self._outbox.waiting or (self._outbox.set_aside and now_us >= self._aside_us)
        return Need.ROUTINE if waits or self._owes(now_us) else Need.NOTHING

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits ``most_octets``.

        0 when there is none.
        """
        sizes = self._outbox.sizes(only_urgent, self._refusals.passed_over)
        needed = (min(size + ENVELOPE_OCTETS, MAX_APDU_OCTETS) for size in sizes)
        return max((octets for octets in needed if octets <= most_octets), default=0)

    def doubted(self) -> list[Hashable]:
        """Give the bearers that have come to be doubted."""
        doubted, self._doubted = self._doubted, []
        return doubted

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take an APDU."""
        if self._node is not None:
            self._node.receive(path, octets, now_us)
            self._drain(now_us)

    def answer(self, asked: Asked, responses: list[bytes], now_us: int) -> None:
        """Answer a request; one that nobody waits for any more is left."""
        assert self._node is not None
        if asked.node == self._nodes and self._node.waits(asked.token):
            self._node.answer(asked.token, responses, now_us)
            self._reserve()

    def hurry(self, report: int, waits_us: Sequence[int], now_us: int) -> None:
        """Last gasp: send what is urgent, and again, each time after the next of these waits.

        The ``report`` that tells of the loss goes first: older alarms would use up the energy.
        No more messages than waits, whatever comes of them, until the mains are back.
        """
        self._gasp = report
        self._gasps, self._gasps_left, self._gasps_sent = deque(waits_us), len(waits_us), 0
        self._under_way = None
        self._not_before_us = now_us + (self._gasps.popleft() if self._gasps else 0)
        self.poll(now_us)

    def spare(self) -> None:
        """The mains are back: energy is no concern any more."""
        self._gasps.clear()
        self._gasps_left = None

    def expire(self, now_us: int) -> None:
        """Act on time-outs, and send what may be sent now."""
        if self._node is not None:
            self._node.expire(now_us)
            self._drain(now_us)
            self.poll(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        if self._node is None:
            return None
        if not self._ways:  # who asks may have come another way
            return self._node.deadline_us()
        send_us = lapses_us = None
        if self._idle:
            if self._choice(not self.registered) is not None:
                send_us = self._not_before_us
            elif self._choice(False, tries_aside=True) is not None:
                send_us = max(self._not_before_us, self._aside_us)
            if self._choice(True) is not None:
                lapses_us = self._registered_us + self._registration_us
                lapses_us = max(self._not_before_us, lapses_us)
        return earliest(self._node.deadline_us(), send_us, lapses_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        out, self._out = self._out, []
        if self._node is not None:
            out += self._node.outgoing()
        return out

    def events(self) -> list[Event]:
        """Give what happened: registrations, acknowledgements, requests, refusals."""
        events, self._events = self._events, []
        return events

    @property
    def _idle(self) -> bool:
        return self._under_way is None and self._register_transaction is None

    def _owes(self, now_us: int) -> bool:
        """Tell whether a registration is due."""
        if self._gasps_left is not None:
            return False
        return not self.registered or now_us >= self._registered_us + self._registration_us

    def poll(self, now_us: int) -> None:
        """Send a registration or the next report, if nothing is under way and it is time.

        The cheapest bearer that is up and takes it carries it; what none takes waits.
        """
        if self._node is None or not self._idle or now_us < self._not_before_us:
            return
        owes = self._owes(now_us)
        choice = self._choice(owes, now_us >= self._aside_us)
        if choice is not None:
            path, entry = choice
            if owes or entry is None:
                self._register(path, now_us)
            else:
                self._send(entry, path, now_us)

    def _choice(
        self, owes: bool, tries_aside: bool = False
    ) -> tuple[Hashable, Entry | None] | None:
        """Give the cheapest bearer that has something to carry, and the report if there is one.

        ``owes``: a registration goes first, over a dear bearer only for what is urgent.  Without
        a report the cheapest carries one too that nobody has seen us on.
        """
        gasping = self._gasps_left is not None
        if self._gasps_left == 0:
            return None
        owes, unseen = owes and not gasping, self._unseen_way()
        if not owes and not len(self._outbox) and unseen is None:
            return None
        ways = list(self._ways.items())
        if gasping and ways:
            # What the mains fed may be dead on the way: each last gasp takes another bearer.
            turn = self._gasps_sent % len(ways)
            ways = ways[turn:] + ways[:turn]
        for path, way in ways:
            entry = self._first_for(way, gasping)
            if entry is None and tries_aside and not (way.urgent_only or gasping):
                entry = self._outbox.next_aside(_room(way))
            registers = (owes or path == unseen) and way.max_apdu_octets >= REGISTRATION_OCTETS
            if (entry is not None and (registers or not owes)) or (
                registers and not way.urgent_only
            ):
                return path, entry
        return None

    def _first_for(self, way: Way, gasping: bool) -> Entry | None:
        """Give the report that a bearer takes next; none that lets others go first."""
        passed_over = self._refusals.passed_over
        ahead = self._gasp if gasping else 0
        return self._outbox.first(way.urgent_only or gasping, _room(way), passed_over, ahead)

    def _unseen_way(self) -> Hashable | None:
        """Give the cheapest bearer of what is routine, if nobody has seen us on it."""
        if not self._unseen or self._gasps_left is not None:
            return None
        routine = (path for path, way in self._ways.items() if not way.urgent_only)
        cheapest = next(routine, None)
        return cheapest if cheapest in self._unseen else None

    def _register(self, path: Hashable, now_us: int) -> None:
        assert self._node is not None
        self._wait = self._await(path, REGISTER_TIMEOUT_US, now_us)
        self._register_transaction = self._node.request(
            [self._registrations[self._ways[path].connection_type]],
            self._host,
            path,
            now_us,
            key_id=FACTORY_KEY,
            timeout_us=self._wait.timeout_us,
        )
        self._reserve()

    def _await(self, path: Hashable, least_us: int, now_us: int) -> Awaited:
        return self._patience.begin(path, max(least_us, self._ways[path].answer_us), now_us)

    def _send(self, entry: Entry, path: Hashable, now_us: int) -> None:
        assert self._node is not None
        self._wait = self._await(path, self._ack_timeout_us, now_us)
        timeout_us = self._wait.timeout_us
        if self._gasps_left is not None:
            self._gasps_left -= 1
            self._gasps_sent += 1
            if self._gasps:
                timeout_us = max(1, self._gasps.popleft())
        transaction = self._node.request(
            entry.services,
            self._host,
            path,
            now_us,
            key_id=self._keys.sending,
            qualifier=NOTIFICATION | (URGENT if entry.urgent else 0),
            timeout_us=timeout_us,
        )
        self._under_way = (transaction, entry)
        self._reserve()

    def _reserve(self) -> None:
        """Keep the memory ahead of the ids in use: after a restart it goes on from there."""
        assert self._node is not None
        next_id = self._node.next_invocation_id
        if next_id + RESERVED_IDS // 8 > self._reserved_until:
            self._reserved_until = next_id + RESERVED_IDS
            self._nvram.commit({IDS_PAGE: self._reserved_until.to_bytes(8, "big")})

    def _drain(self, now_us: int) -> None:
        assert self._node is not None
        for event in self._node.events():
            if isinstance(event, ResponseArrived):
                self._answered(event, now_us)
            elif isinstance(event, AnsweredLate):
                self._answered_late(event, now_us)
            elif isinstance(event, TransactionFailed):
                self._failed(event.transaction, event.cause, now_us)
            elif isinstance(event, RequestArrived) and self._desk is not None:
                items = self._desk.screen(event, now_us)
                answered = (self._of_the_network(one, now_us) for one in items)
                self._events.append(Asked(event.token, tuple(answered), self._nodes))
            elif isinstance(event, MessageRejected):
                self._events.append(event)
        self._reserve()

    def _of_the_network(self, item: bytes | Task, now_us: int) -> bytes | Task:
        """Answer what concerns the node and not its tables: which way, and leave."""
        match item.request if isinstance(item, Task) else None:
            case Trace() as asked:
                return answer_of_node(asked, self._factory.title)
            case Disconnect() | Deregister() as asked:
                title = self._factory.title if isinstance(asked, Disconnect) else asked.title
                if title is None or title.absolute != self._factory.title.absolute:
                    return bytes([ResponseCode.iar])
                if isinstance(item, Task) and item.rights is not Role.TMS:
                    return bytes([ResponseCode.isc])
                if isinstance(asked, Disconnect) and self._node is not None:
                    self._node.sessions.end_all()
                # It answers, and begins anew.
                self._late.clear()
                self.registered, self._not_before_us = False, now_us + FIRST_PAUSE_US
                return _OK
        return item

    def _answered(self, event: ResponseArrived, now_us: int) -> None:
        if self._late.pop(event.transaction, None) is not None:
            return  # an earlier answer has said the same
        self._patience.answered(self._wait, now_us)
        self._unanswered.pop(self._wait.whom, None)
        self._unseen.discard(self._wait.whom)
        if event.transaction == self._register_transaction:
            response = b"".join(event.responses[:1])
            self._tell_time(response, event.iv, now_us)
            try:
                answer = decode_registered(response)
            except RemoteProtocolError as error:
                self._failed(event.transaction, str(error), now_us)
                return
            self._taken_in(answer.period_s, now_us)
        elif self._under_way is not None and event.transaction == self._under_way[0]:
            entry = self._under_way[1]
            if not _is_taken(entry, event.responses):
                self._refused(entry, event.responses, now_us)
                self._failed(event.transaction, "not all items are ok", now_us)
                return
            self._under_way = None
            self._acknowledged(entry, now_us)
            return
        self.poll(now_us)

    def _acknowledged(self, entry: Entry, now_us: int) -> None:
        self._refusals.taken(entry.number)
        self._pause_us, self._not_before_us = FIRST_PAUSE_US, now_us
        self._events.append(ReportAcknowledged(entry.number))

    def _taken_in(self, period_s: int, now_us: int) -> None:
        """The TMS has registered the module for ``period_s``; 0: for ever."""
        self._register_transaction = None
        self.registered, self._registered_us = True, now_us
        if period_s:
            self._registration_us = min(self._registration_us, period_s * US_PER_S // 2)
        self._not_before_us = now_us
        if not self._refusals.lasting:
            self._pause_us = FIRST_PAUSE_US
        self._events.append(RegisteredWithTms())

    def _answered_late(self, event: AnsweredLate, now_us: int) -> None:
        """An answer tells how slow its way is, and what the TMS has done, also when nobody waits
        for it any more: where a message takes longer than any wait, it is the only one."""
        late = self._late.pop(event.transaction, None)
        if late is None:
            return
        wait, entry = late
        self._patience.answered(wait, now_us)
        self._unanswered.pop(wait.whom, None)
        self._unseen.discard(wait.whom)
        if entry is None:
            self._registered_late(b"".join(event.responses[:1]), now_us)
            return
        if not _is_taken(entry, event.responses):
            return
        if self._under_way is not None and self._under_way[1].number == entry.number:
            transaction, self._under_way = self._under_way[0], None
            self._late[transaction] = self._wait, entry
        self._acknowledged(entry, now_us)

    def _registered_late(self, response: bytes, now_us: int) -> None:
        try:
            answer = decode_registered(response)
        except RemoteProtocolError:
            return
        if self._register_transaction is not None:
            self._late[self._register_transaction] = self._wait, None
        self._taken_in(answer.period_s, now_us)

    def _tell_time(self, response: bytes, iv: bytes | None, now_us: int) -> None:
        own_s, asked_s = self._calendar.utc_s(now_us), self._calendar.utc_s(self._wait.since_us)
        if iv is None or own_s is None or asked_s is None:
            return
        window_s = stamp_window_s(self._calendar)
        told = time_told(response, int.from_bytes(iv, "big"), own_s, own_s - asked_s, window_s)
        if told is not None:
            self._events.append(told)

    def _refused(self, entry: Entry, responses: Sequence[bytes], now_us: int) -> None:
        """Let others go first where that may help; tell when the report is at fault."""
        if entry.set_aside:
            self._outbox.tried(entry.number)
            self._aside_us = now_us + ASIDE_PAUSE_US
            return
        codes = {one[:1] for one in responses} - {_OK}
        if self._gasps_left is not None or codes <= _LATER:
            return
        way = self._ways.get(self._wait.whom)
        if self._refusals.refused(entry.number):
            if not self._outbox.set_aside:  # else those before it have their turn as they had
                self._aside_us = now_us + ASIDE_PAUSE_US
            told = ", ".join(sorted(code_name(one[0]) for one in codes if one))
            self._events.append(ReportRefused(entry.number, told))
        elif way is None or self._first_for(way, gasping=False) is None:
            self._refusals.forget()

    def _failed(self, transaction: int, cause: str, now_us: int) -> None:
        """Pause, twice as long each time; a refused report may mean that the TMS forgot us."""
        entry = None
        if transaction == self._register_transaction:
            self._register_transaction = None
            self._events.append(RegistrationRefused(cause))
        elif self._under_way is not None and transaction == self._under_way[0]:
            entry, self._under_way = self._under_way[1], None
            if cause not in UNANSWERED:
                self.registered = False
        else:
            return
        path = self._wait.whom
        if cause in UNANSWERED:
            self._late[transaction] = self._wait, entry
            if len(self._late) > MAX_LATE:
                self._late.popitem(last=False)
        if cause in UNANSWERED and self._gasps_left is None and path in self._ways:
            self._patience.unanswered(self._wait)
            self._unanswered[path] += 1
            if self._unanswered[path] == UNANSWERED_BEFORE_DOUBT:
                self._doubted.append(path)
        if self._gasps_left is not None:
            self._not_before_us = now_us
        else:
            self._not_before_us = now_us + self._pause_us
            self._pause_us = min(2 * self._pause_us, MAX_PAUSE_US)
        self.poll(now_us)


def _room(way: Way) -> int | None:
    """Give for how many octets of services a bearer has room; None: for every report.

    Reports were made to fit the usual limit.
    """
    most = way.max_apdu_octets
    return None if most >= MAX_APDU_OCTETS else most - ENVELOPE_OCTETS


def _is_taken(entry: Entry, responses: Sequence[bytes]) -> bool:
    """Tell whether the TMS has every item of a report."""
    return len(responses) == len(entry.services) and all(one[:1] == _OK for one in responses)
