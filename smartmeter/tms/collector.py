"""The C12.22 node of the TMS: it verifies what comes, gives it as values, and answers when told.

A message machine, and a source of data (``tms.source``); a path is a connection.  It stores
nothing: its owner stores, and says when the answer may go.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ansi_tables.errors import TableError
from ansi_tables.ssi_layouts import SIGNATURE
from protocols.c1222.addressing import is_group
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import TEST
from protocols.c1222.keys import SecurityState
from protocols.c1222.native_address import NativeAddress
from protocols.c1222.node import (
    AnsweredLate,
    KeySuspected,
    MessageRejected,
    Node,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.registration import REGISTER, Register
from protocols.c1222.relay import Relay
from protocols.c1222.relay_services import IN_CLEAR_WITH_KEYS
from protocols.c1222.services import (
    SECURITY,
    Deregister,
    Service,
    decode_service,
    encode_service,
    whole_write,
)
from protocols.c1222.ways import RelayOwner
from protocols.errors import LocalProtocolError
from protocols.machine import Event
from protocols.psem.codec import MalformedRequest
from protocols.psem.codes import ResponseCode, code_text
from protocols.psem.services import (
    FullWrite,
    OffsetWrite,
)
from smartmeter.base.clock import Calendar
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.tms.arrivals import (
    DeregistrationAsked,
    KeyLost,
    KeyUsed,
    NotificationArrived,
    PathDoubted,
    RegistrationAsked,
    ReportArrived,
)
from smartmeter.tms.asking import Asking
from smartmeter.tms.meters import Meters
from smartmeter.tms.open_answers import OpenAnswers, Share, Token
from smartmeter.tms.paths import Paths
from smartmeter.tms.registrations import REGISTRATION_PERIOD_S, Registrations
from smartmeter.tms.report_reader import read_report
from smartmeter.tms.service_answers import NOT_CLEARED, OK, ServiceAnswers, refused
from smartmeter.tms.shell import Shell
from smartmeter.tms.source import Answered, Unanswered
from smartmeter.tms.store.records import Part

HOST_TITLE = ".1"
#: How long a SmartMeter waits before it registers after a power-up.
REGISTRATION_DELAY_S = 0
#: Messages that are remembered, and requests under way in both directions.
HISTORY, MAX_SERVING = 32_768, 16_384
#: Why the own node has no use for an APDU that may be somebody else's.
_ELSEWHERE = frozenset(("not-for-this-node", "no-such-transaction", "titles-not-swapped"))
_NOT_CONNECTED = "not connected"


class Collector:
    """The TMS's own node, and the relay that it is for others.

    ``next_invocation_id`` is the first that no message has borne: ids are never used again.
    """

    def __init__(
        self,
        meters: Meters,
        registrations: Registrations,
        calendar: Calendar,
        next_invocation_id: int,
        shell: Shell,
    ) -> None:
        self._meters, self._registrations = meters, registrations
        self._calendar, self._shell = calendar, shell
        # Replays are harmless here: a report is stored once by its number, a
        # registration changes nothing that is not so already.
        self.node = Node(
            ApTitle.parse(HOST_TITLE),
            meters,
            calendar,
            SecurityState(next_invocation_id),
            NodeSettings(
                window_s=stamp_window_s(calendar),
                history=HISTORY,
                refuse_forgotten=False,
                max_serving=MAX_SERVING,
                max_open=MAX_SERVING,
                clear_services=IN_CLEAR_WITH_KEYS,
                tell_time_to=frozenset((REGISTER,)),
            ),
        )
        #: The TMS is its own master relay: what is for others goes on by this.
        self.relay = Relay(
            self.node,
            owner=RelayOwner(
                way_to=self._way_to,
                members=self._members,
                seek=lambda title: shell.seek(title),
                call=lambda title: shell.seek(title),
                moved=self._moved,
                registered=lambda title: registrations.has(meters.esn(title)),
                address_of=lambda path, own: shell.address_of(path, own),
            ),
        )
        self._current: tuple[Hashable, bytes] | None = None
        self._open = OpenAnswers(MAX_SERVING)
        self._events: list[Event] = []
        self._answers = ServiceAnswers(
            self.node, meters, self._address, lambda event: self._events.append(event)
        )
        #: Who was taken out of service: known, and refused.
        self.retired: set[str] = set()
        #: Where each SmartMeter can be answered; kept by the head-end.
        self.paths = Paths()
        self.asking = Asking(self.node, meters, self.paths, shell)

    def ask(
        self, esn: str, services: Sequence[bytes], now_us: int, key_id: int | None = None
    ) -> int:
        """Ask a SmartMeter over the path that it used last; LocalProtocolError without one.

        One without a path may have been forgotten with a connection, or with a start, and not have
        noticed: a relay is asked for it, another one each time.
        """
        path = self.paths.of(esn)
        if path is None:
            path = self.relay.relay_in_turn()
        if path is None:
            raise LocalProtocolError(_NOT_CONNECTED)
        return self.asking.request(esn, services, path, now_us, key_id)

    def abandon(self, transaction: int, now_us: int) -> None:
        """Repeat a request no more and await no answer: Unanswered follows."""
        self.node.abandon(transaction, now_us)
        self._drain(now_us)

    def begin(self, now_us: int) -> None:
        """Note when it starts, or when the clock was set: what was stamped before is from before.

        Invocation ids are reserved in the store, so that stamps may go back.
        """
        self._answers.began_s = self._calendar.utc_s(now_us)
        self.node.locks.clock_set()

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU."""
        self._current = path, octets
        self.node.receive(path, octets, now_us)
        self._drain(now_us)
        self._current = None

    def expire(self, now_us: int) -> None:
        """End transactions whose time is over."""
        self.relay.expire(now_us)
        self._drain(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return self.relay.deadline_us()

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return self.relay.outgoing()

    def native_address(self, title: ApTitle) -> NativeAddress | None:
        """Give where a node said that it can be called, or its datagrams came from."""
        esn = self._meters.esn(title)
        return self._registrations.address(esn) if esn is not None else None

    def call(self, esn: str) -> bool:
        """Begin to call a node; False when it can be called nowhere."""
        listens = self._registrations.address(esn) is not None
        return listens and self._shell.seek(self._meters.title(esn))

    def path_closed(self, path: Hashable) -> None:
        """A path has gone: who waits for somebody behind it is told."""
        self.relay.path_failed(path)

    def _way_to(self, title: ApTitle) -> Hashable | None:
        esn = self._meters.esn(title)
        return self.paths.of(esn) if esn is not None else None

    def _moved(self, title: ApTitle, path: Hashable) -> None:
        """A node has answered somebody else by a way that was looked for."""
        if (esn := self._meters.esn(title)) is not None:
            self.paths.found(esn, path)

    def _members(self, prefix: tuple[int, ...]) -> set[Hashable]:
        ways = (self.paths.of(esn) for esn in self._meters.below(prefix))
        return {way for way in ways if way is not None}

    def events(self) -> list[Event]:
        """Give what happened."""
        events, self._events = self._events, []
        return events

    def accept(self, asked: RegistrationAsked, place: NativeAddress | None, now_us: int) -> None:
        """A registration is durable; ``place`` is where the node can be called."""
        esn, register = asked.esn, asked.register
        answer = register.granted(
            self._meters.title(esn), REGISTRATION_DELAY_S, REGISTRATION_PERIOD_S
        )
        self.answer(asked.token, [answer.encode()], now_us)
        self._registrations.came(esn, register, place, now_us)
        self._tell_hosts(esn, register, now_us)

    def departed(self, esn: str, now_us: int) -> None:
        """Forget the way to a node that is registered no more, and tell who wants to know."""
        self._registrations.went(esn)
        self.paths.forget(esn)
        self._tell_hosts(esn, Deregister(self._meters.title(esn)), now_us)

    def _tell_hosts(self, esn: str, service: Service, now_us: int) -> None:
        for host in self._registrations.hosts - {esn}:
            self.asking.tell(host, encode_service(service), now_us)

    def answer(self, token: Token, items: Sequence[bytes], now_us: int) -> None:
        """Answer a request, or a share of its services: then it goes out with the last one."""
        whole = self._open.fill(token, items)
        # Nobody waits when the store took longer than anybody does.
        if whole is not None and self.node.waits(whole[0]):
            self.node.answer(*whole, now_us)

    def acknowledge(self, report: ReportArrived, now_us: int) -> None:
        """Say ok to every item of a report: it is durable."""
        self.answer(report.token, [OK] * (1 + len(report.parts)), now_us)

    def reject(self, report: ReportArrived, now_us: int) -> None:
        """Refuse a report; the SmartMeter keeps it and tries again."""
        self.answer(report.token, [bytes([ResponseCode.err])] * (1 + len(report.parts)), now_us)

    def _drain(self, now_us: int) -> None:
        for event in self.node.events():
            match event:
                case RequestArrived():
                    self._take(event, now_us)
                case ResponseArrived():
                    path = self._current[0] if self._current is not None else None
                    self.asking.answered(event, path, now_us)
                    self._events.append(Answered(event.transaction, event.responses))
                case AnsweredLate():
                    self.asking.answered_late(event, now_us)
                case TransactionFailed():
                    self._failed(event)
                case KeySuspected():
                    self._events.append(refused(event, "key-suspected"))
                case MessageRejected():
                    self._rejected(event, now_us)

    def _failed(self, event: TransactionFailed) -> None:
        """Tell that a request has no answer, and whose path is doubted for that."""
        code = ResponseCode.__members__.get(event.cause)
        cause = event.cause if code is None else code_text(code)
        doubted = self.asking.failed(event)
        if doubted is not None:
            self._events.append(PathDoubted(doubted))
            cause = cause if doubted in self.paths else _NOT_CONNECTED
        self._events.append(Unanswered(event.transaction, cause))

    def _rejected(self, event: MessageRejected, now_us: int) -> None:
        if event.reason == "repeated" or self._went_on(event, now_us):
            return
        esn = self._meters.esn(event.calling)
        self._events.append(refused(event, event.told, event.calling is not None and esn is None))
        if esn is not None and event.reason == "unknown-key-id":
            self._events.append(KeyLost(esn))

    def _went_on(self, event: MessageRejected, now_us: int) -> bool:
        """Tell whether what the own node has no use for was somebody else's too, and went on."""
        is_to_many = event.called is not None and is_group(event.called)
        if self._current is None or not (is_to_many or event.reason in _ELSEWHERE):
            return False
        return self.relay.forward(*self._current, now_us)

    def _take(self, event: RequestArrived, now_us: int) -> None:
        self.relay.note_relay(event)
        if event.group and self._current is not None:
            self.relay.forward(*self._current, now_us)
        # Clients put security first in every message; the key has said all that counts here.
        led = len(event.services) > 1 and event.services[0][:1] == bytes([SECURITY])
        # What came in clear is nobody's, whatever title it bears.
        esn = self._meters.esn(event.calling) if event.key_id is not None else None
        if esn in self.retired:
            self.answer(event.token, [NOT_CLEARED] * len(event.services), now_us)
            self._events.append(refused(event, "retired"))
            return
        offered = self._meters.offered(esn) if esn is not None else None
        if esn is not None and offered is not None and event.key_id == offered:
            self._events.append(KeyUsed(esn))
        write = whole_write(event.services[led])
        is_test = bool(event.qualifier & TEST)
        if esn is not None and write is not None and write[1][:4] == SIGNATURE and not is_test:
            self._report(event, esn, led, now_us)
        else:
            self._serve(event, esn, now_us)

    def _serve(self, event: RequestArrived, esn: str | None, now_us: int) -> None:
        """Answer each service for itself, in order; what waits for the store holds the answer."""
        answers: list[bytes | None] = []
        waiting: list[tuple[int, Service]] = []
        for octets in event.services:
            try:
                service = decode_service(octets)
            except MalformedRequest as error:
                answers.append(bytes([error.answer]))
                continue
            answer = self._answers.to(service, event, esn)
            if answer is None:
                waiting.append((len(answers), service))
            answers.append(answer)
        if esn is not None and waiting:
            self._open.begin(event.token, answers)
            self._ask_store(event, esn, waiting)
        else:
            self.answer(event.token, [one for one in answers if one is not None], now_us)

    def _ask_store(
        self, event: RequestArrived, esn: str, waiting: Sequence[tuple[int, Service]]
    ) -> None:
        """Tell what is to be stored; a node that has a key here need not say NOTIFICATION."""
        parts: dict[int, Part] = {}
        for place, service in waiting:
            share = Share(event.token, (place,))
            match service:
                case FullWrite(table, data):
                    parts[place] = Part(table, None, {}, data, None)
                case OffsetWrite(table, offset, data):
                    parts[place] = Part(table, None, {}, data, offset)
                case Register():
                    self._events.append(RegistrationAsked(share, event.path, esn, service))
                case Deregister():
                    self._events.append(DeregistrationAsked(share, esn))
        if parts:
            share = Share(event.token, tuple(parts))
            arrived = NotificationArrived(share, event.path, esn, tuple(parts.values()))
            self._events.append(arrived)

    def _address(self, title: ApTitle, asker: Hashable) -> bytes:
        own = self.node.title
        if own is not None and title.absolute == own.absolute:
            return self._shell.address_of(asker, True)
        if (place := self.native_address(title)) is not None:
            return place.encode()
        path = self._way_to(title)
        return self._shell.address_of(path, False) if path is not None else b""

    def _report(self, event: RequestArrived, esn: str, led: bool, now_us: int) -> None:
        """Take a report, whole or not at all: it is repeated whole."""
        services, token = event.services[led:], event.token
        if self._answers.is_under_old_key(event, esn):
            refusals = [bytes([ResponseCode.sme])] * len(services)
            self.answer(token, [OK] * led + refusals, now_us)
            return
        try:
            header, parts = read_report(services)
        except (MalformedRequest, TableError, ValueError) as error:
            self._events.append(refused(event, f"report-unreadable: {error}"[:200]))
            answers = [_fault_of(one) or bytes([ResponseCode.iar]) for one in services]
            self.answer(token, [OK] * led + answers, now_us)
            return
        if header["ESN"] != esn:
            self.answer(token, [OK] * led + [NOT_CLEARED] * len(services), now_us)
            self._events.append(refused(event, "esn-differs"))
            return
        share: Token = token
        if led:
            self._open.begin(token, [OK, *[None] * len(services)])
            share = Share(token, tuple(range(1, len(event.services))))
        self._events.append(ReportArrived(share, event.path, esn, header, parts))


def _fault_of(service: bytes) -> bytes:
    """Give what a service that cannot be read is answered; nothing of one that can."""
    try:
        decode_service(service)
    except MalformedRequest as error:
        return bytes([error.answer])
    return b""
