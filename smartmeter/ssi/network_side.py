"""The module's face to the network: registers, sends reports until acknowledged, takes requests.

One request to the TMS is under way at a time, a registration or a report; ``sending_order``
chooses which.  A report is repeated, each time with a fresh invocation id and IV, until every item
of an answer that is secured says ok.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from protocols.c1222.builder import NOTIFICATION, URGENT
from protocols.c1222.node import (
    AnsweredLate,
    MessageRejected,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.registration import DEVICE_CLASS, decode_registered
from protocols.c1222.transactions import UNANSWERED
from protocols.errors import RemoteProtocolError
from protocols.machine import Event, earliest
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import Nvram
from smartmeter.comms.patience import Awaited
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.ssi.authority import Asked
from smartmeter.ssi.bearers_up import BearersUp
from smartmeter.ssi.factory import Factory
from smartmeter.ssi.keys import FACTORY_KEY, ModuleKeys
from smartmeter.ssi.network_news import (
    RegisteredWithTms,
    RegistrationRefused,
    ReportAcknowledged,
    ReportRefused,
    time_told,
)
from smartmeter.ssi.outbox import Entry, Outbox
from smartmeter.ssi.own_node import OwnNode, SentAway
from smartmeter.ssi.own_registration import OwnRegistration
from smartmeter.ssi.sending_order import OK, Gasps, SendingOrder

FIRST_PAUSE_US, MAX_PAUSE_US = 1_000_000, 60_000_000
#: A bearer that is down at the first try needs a moment; so does a TMS that restarts.
REGISTER_TIMEOUT_US = 15 * US_PER_S
#: Requests without an answer in time whose answer still counts when it comes.
MAX_LATE = 8


@dataclass(frozen=True)
class _Request:
    """What was asked of the TMS; ``entry`` is the report that it carries, None: a registration."""

    transaction: int
    wait: Awaited
    entry: Entry | None

    @property
    def report(self) -> int | None:
        """Give the number of the report; None of a registration."""
        return self.entry.number if self.entry is not None else None


class NetworkSide:
    """Speaks with one TMS, over whichever bearer is up, from ``start`` on."""

    def __init__(
        self, factory: Factory, keys: ModuleKeys, calendar: Calendar, nvram: Nvram, outbox: Outbox
    ) -> None:
        self._keys, self._calendar = keys, calendar
        self._node = OwnNode(factory, keys, calendar, nvram)
        self.registration = OwnRegistration(factory)
        self._bearers = BearersUp()
        self._order = SendingOrder(outbox, self._bearers)
        self._ack_timeout_us = 15 * US_PER_S
        self._asked: _Request | None = None
        #: What was given up without an answer, oldest first, by transaction.
        self._late: OrderedDict[int, _Request] = OrderedDict()
        self._pause_us = FIRST_PAUSE_US
        self._not_before_us = 0
        self._events: list[Event] = []

    @property
    def counts(self) -> Counter[str]:
        """Give what was received, served and refused, by reason, since the start."""
        return self._node.counts

    def start(self, now_us: int) -> None:
        """Begin: the clock has been set.  What was stamped before this instant is refused."""
        self._node.begin(now_us)
        self.poll(now_us)

    def renew_stamps(self, now_us: int) -> None:
        """Stamp by a time that was set; what was asked under the old stamps is given up."""
        if self._node.made:
            self._asked = None
            self._late.clear()
            self._node.begin_anew(now_us)

    def configure(self, general: Mapping[str, int]) -> None:
        """Take over time-outs and periods from the GENERAL table."""
        self._ack_timeout_us = general["ACK_TIMEOUT_MS"] * 1000
        self.registration.configure(general["REGISTRATION_PERIOD_S"])

    def join_segments(self) -> None:
        """Join messages out of segments, whatever they come by."""
        self._node.join_segments()

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can be used: what waits is sent at once, or else a registration.

        The TMS can ask nothing over a connection before the module has said something on it.
        """
        self._bearers.up(path, way)
        if way.has_segments:
            self.join_segments()
        self._order.refusals.forget()
        self._not_before_us = now_us
        self._pause_us = FIRST_PAUSE_US
        self.poll(now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone, and with it the answer that was awaited on it."""
        self._bearers.down(path)
        self._order.refusals.forget()
        if self._asked is not None and self._asked.wait.whom == path:
            self._asked = None
        self.poll(now_us)

    def need(self, now_us: int) -> Need:
        """Tell what waits: something urgent, anything, or nothing."""
        if not self._node.made:
            return Need.NOTHING
        return self._order.need(self._owes(now_us), now_us)

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits ``most_octets``.

        0 when there is none.
        """
        return self._order.longest(only_urgent, most_octets)

    def doubted(self) -> list[Hashable]:
        """Give the bearers that have come to be doubted."""
        return self._bearers.doubted()

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take an APDU."""
        self._node.receive(path, octets, now_us)
        self._drain(now_us)

    def answer(self, asked: Asked, responses: list[bytes], now_us: int) -> None:
        """Answer a request; one that nobody waits for any more is left."""
        self._node.answer(asked, responses, now_us)

    def last_gasp(self, report: int, waits_us: Sequence[int], now_us: int) -> None:
        """The hold-up energy ends: send what is urgent, and again, after each of these waits.

        The ``report`` that tells of the loss goes first.  Until the mains are back there are no
        more messages than waits, whatever comes of them.
        """
        self._order.gasps = gasps = Gasps(report, waits_us)
        self._asked = None  # its answer may not come: what is on the way may have lost its mains
        self._not_before_us = now_us + (gasps.wait_us or 0)
        self.poll(now_us)

    def mains_back(self) -> None:
        """There is energy again for all that waits."""
        self._order.gasps = None

    def expire(self, now_us: int) -> None:
        """Act on time-outs, and send what may be sent now."""
        self._node.expire(now_us)
        self._drain(now_us)
        self.poll(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        if not self._node.made:
            return None
        if not self._bearers.ways:  # who asks may have come another way
            return self._node.deadline_us()
        send_us = lapses_us = None
        if self._asked is None:
            choice = self._order.choice
            if choice(not self.registration.holds) is not None:
                send_us = self._not_before_us
            elif choice(False, tries_aside=True) is not None:
                send_us = max(self._not_before_us, self._order.aside_us)
            if choice(True) is not None:
                lapses_us = max(self._not_before_us, self.registration.lapses_us)
        return earliest(self._node.deadline_us(), send_us, lapses_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return self._node.outgoing()

    def events(self) -> list[Event]:
        """Give what happened: registrations, acknowledgements, requests, refusals."""
        events, self._events = self._events, []
        return events

    def _owes(self, now_us: int) -> bool:
        """Tell whether a registration is due."""
        return self._order.gasps is None and self.registration.is_due(now_us)

    def poll(self, now_us: int) -> None:
        """Send a registration or the next report, if nothing is under way and it is time.

        What no bearer takes waits.
        """
        if not self._node.made or self._asked is not None or now_us < self._not_before_us:
            return
        owes = self._owes(now_us)
        choice = self._order.choice(owes, now_us >= self._order.aside_us)
        if choice is not None:
            path, entry = choice
            if owes or entry is None:
                self._register(path, now_us)
            else:
                self._send(entry, path, now_us)

    def _register(self, path: Hashable, now_us: int) -> None:
        wait, way = self._bearers.wait(path, REGISTER_TIMEOUT_US, now_us), self._bearers.ways[path]
        transaction = self._node.request(
            [self.registration.request(way.connection_type)],
            path,
            now_us,
            key_id=FACTORY_KEY,
            ed_class=_ed_class(way),
            timeout_us=wait.timeout_us,
        )
        self._asked = _Request(transaction, wait, None)

    def _send(self, entry: Entry, path: Hashable, now_us: int) -> None:
        wait, gasps = self._bearers.wait(path, self._ack_timeout_us, now_us), self._order.gasps
        timeout_us = wait.timeout_us
        if gasps is not None:
            gasps.sent += 1
            if gasps.wait_us is not None:
                timeout_us = max(1, gasps.wait_us)
        transaction = self._node.request(
            entry.services,
            path,
            now_us,
            key_id=self._keys.sending,
            qualifier=NOTIFICATION | (URGENT if entry.urgent else 0),
            ed_class=_ed_class(self._bearers.ways[path]),
            timeout_us=timeout_us,
        )
        self._asked = _Request(transaction, wait, entry)

    def _drain(self, now_us: int) -> None:
        for event in self._node.events(now_us):
            match event:
                case ResponseArrived():
                    self._answered(event, now_us)
                case AnsweredLate():
                    self._answered_late(event, now_us)
                case TransactionFailed(transaction, cause):
                    if self._asked is not None and self._asked.transaction == transaction:
                        self._failed(self._asked, cause, now_us)
                case SentAway():  # the module registers anew, once it has answered
                    self._late.clear()
                    self.registration.holds = False
                    self._not_before_us = now_us + FIRST_PAUSE_US
                case Asked() | MessageRejected():
                    self._events.append(event)

    def _answered(self, event: ResponseArrived, now_us: int) -> None:
        if self._late.pop(event.transaction, None) is not None:
            return  # an earlier answer has said the same
        asked = self._asked
        if asked is None or asked.transaction != event.transaction:
            return
        self._bearers.answered(asked.wait, now_us)
        if asked.entry is not None:
            if _is_taken(asked.entry, event.responses):
                self._asked = None
                self._acknowledged(asked.entry, now_us)
                return
            codes = self._order.refused(asked.entry, event.responses, asked.wait.whom, now_us)
            if codes is not None:
                self._events.append(ReportRefused(asked.entry.number, codes))
            self._failed(asked, "not all items are ok", now_us)
            return
        response = event.responses[0]
        self._tell_time(response, event.iv, asked.wait.since_us, now_us)
        try:
            answer = decode_registered(response)
        except RemoteProtocolError as error:
            self._failed(asked, str(error), now_us)
            return
        self._asked = None
        self._taken_in(answer.period_s, now_us)
        self.poll(now_us)

    def _acknowledged(self, entry: Entry, now_us: int) -> None:
        self._order.refusals.taken(entry.number)
        self._pause_us, self._not_before_us = FIRST_PAUSE_US, now_us
        self._events.append(ReportAcknowledged(entry.number))

    def _taken_in(self, period_s: int, now_us: int) -> None:
        """The TMS has registered the module for ``period_s``; 0: for ever."""
        self.registration.taken_in(period_s, now_us)
        self._not_before_us = now_us
        if not self._order.refusals.lasting:
            self._pause_us = FIRST_PAUSE_US
        self._events.append(RegisteredWithTms())

    def _answered_late(self, event: AnsweredLate, now_us: int) -> None:
        """Take an answer for which nobody waits any more.

        It still tells how slow its way is, and what the TMS has done; where a message takes
        longer than any wait, there is no other.
        """
        late = self._late.pop(event.transaction, None)
        if late is None:
            return
        self._bearers.answered(late.wait, now_us)
        if late.entry is not None:
            if _is_taken(late.entry, event.responses):
                self._stop_repeating(late)
                self._acknowledged(late.entry, now_us)
            return
        try:
            answer = decode_registered(event.responses[0])
        except RemoteProtocolError:
            return
        self._stop_repeating(late)
        self._taken_in(answer.period_s, now_us)

    def _stop_repeating(self, late: _Request) -> None:
        """Wait no more for a request that repeats one which was answered late."""
        if self._asked is not None and self._asked.report == late.report:
            self._late[self._asked.transaction] = self._asked
            self._asked = None

    def _tell_time(self, response: bytes, iv: bytes | None, since_us: int, now_us: int) -> None:
        own_s, asked_s = self._calendar.utc_s(now_us), self._calendar.utc_s(since_us)
        if iv is None or own_s is None or asked_s is None:
            return
        window_s = stamp_window_s(self._calendar)
        told = time_told(response, int.from_bytes(iv, "big"), own_s, own_s - asked_s, window_s)
        if told is not None:
            self._events.append(told)

    def _failed(self, asked: _Request, cause: str, now_us: int) -> None:
        """Pause, twice as long each time; a refused report may mean that the TMS forgot us."""
        self._asked, gasping = None, self._order.gasps is not None
        if asked.entry is None:
            self._events.append(RegistrationRefused(cause))
        elif cause not in UNANSWERED:
            self.registration.holds = False
        if cause in UNANSWERED:
            self._late[asked.transaction] = asked
            if len(self._late) > MAX_LATE:
                self._late.popitem(last=False)
            if not gasping:
                self._bearers.unanswered(asked.wait)
        if gasping:
            self._not_before_us = now_us
        else:
            self._not_before_us = now_us + self._pause_us
            self._pause_us = min(2 * self._pause_us, MAX_PAUSE_US)
        self.poll(now_us)


def _ed_class(way: Way) -> bytes | None:
    """Give the class that registrations and reports must bear (C12.22, ED class).

    A bearer of short messages has no octets for it: a last gasp fills an SMS without.
    """
    return DEVICE_CLASS if way.tells_class else None


def _is_taken(entry: Entry, responses: Sequence[bytes]) -> bool:
    """Tell whether the TMS has every item of a report."""
    return len(responses) == len(entry.services) and all(one[:1] == OK for one in responses)
