"""A C12.22 relay, and with a registrar a master relay: forwards APDUs by title; a message machine.

Only the envelope is read, and octets go on unchanged: a relay has no keys of others.  A route to
a title is learned from an answer to it that only its owner gets (``shown_titles``); a relay that
has another above it believes none but those from there.  There is no hop count; a message never
goes back the way it came, a group's message passes once, any other a few times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from functools import partial

from protocols.c1222.addressing import Addressed, addressed, answers_for, is_group
from protocols.c1222.answers_due import AnswersDue, Asked, Key
from protocols.c1222.ap_title import ApTitle, Arcs, absolute
from protocols.c1222.ber import tlv
from protocols.c1222.builder import ALWAYS, URGENT, Envelope, build_apdu
from protocols.c1222.envelope import APDU_TAG, Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.group_messages import GroupMessages
from protocols.c1222.in_clear import (
    asks_for,
    departed_title,
    gathered_titles,
    is_in_clear,
    is_network_error,
    traced,
)
from protocols.c1222.node import Node, RequestArrived, ResponseArrived
from protocols.c1222.node_events import MAX_APDU_OCTETS
from protocols.c1222.passages import Passages
from protocols.c1222.reception import may_answer
from protocols.c1222.registrar import Change, Registrar
from protocols.c1222.registration import REGISTER
from protocols.c1222.relay_services import RelayServices
from protocols.c1222.routes import Spoken
from protocols.c1222.security import CLEAR
from protocols.c1222.services import DEREGISTER, IDENTIFY, encode_service
from protocols.c1222.shown_titles import shown_by
from protocols.c1222.waiting import Message, WaitingRoom
from protocols.c1222.ways import RelayOwner, Ways
from protocols.machine import US_PER_S, earliest
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify

#: As long as silence lets those who ask over slow networks wait.
ANSWER_US = 60 * US_PER_S
#: After so long without an answer a learned way is doubted, and the way up is tried too.
DOUBT_US = 10 * US_PER_S
#: So long a learned route counts.
ROUTE_US = 86_400 * US_PER_S
MAX_ROUTES = 100_000
#: So many messages to groups in so long; each may cost a message and an answer for every node.
MAX_GROUPS, GROUP_MEMORY_US = 32, 120 * US_PER_S


class Relay:
    """One relay.

    ``node`` is its own title, keys and transactions, ``upstream`` the path to the next relay or
    the master; None at the top.
    """

    def __init__(
        self,
        node: Node,
        registrar: Registrar | None = None,
        upstream: Hashable | None = None,
        owner: RelayOwner | None = None,
        max_pending: int = 16_384,
    ) -> None:
        self.node, self.registrar, self.upstream = node, registrar, upstream
        self._owner = owner = owner or RelayOwner()
        self.counts: Counter[str] = Counter()
        self._ways = Ways(upstream, owner, MAX_ROUTES, ROUTE_US)
        self._waiting = WaitingRoom()
        self._due = AnswersDue(max_pending)
        self._passages = Passages()
        self._groups = GroupMessages(MAX_GROUPS, GROUP_MEMORY_US)
        self._urgent: list[tuple[Hashable, bytes]] = []
        self._out: list[tuple[Hashable, bytes]] = []
        self._services = RelayServices(
            node, registrar, self._ways, self.counts, self._learn_route, owner
        )

    def routes(self) -> dict[Arcs, Hashable]:
        """Give the routes that were learned: title to path."""
        return self._ways.routes.paths()

    def paths_below(self) -> set[Hashable]:
        """Give the paths by which titles were heard or are reached, but for the way up."""
        return self._ways.below()

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU: for the relay itself, or to be forwarded."""
        self.counts["received"] += 1
        try:
            if len(octets) > MAX_APDU_OCTETS:
                raise ApduRejected("too-large")
            apdu = decode_apdu(octets)
        except ApduRejected as error:
            self.counts[f"dropped {error.told}"] += 1
            return
        where = addressed(self.node.title, apdu.called, self.node.settings.groups)
        # The answer to an asker without a title has no called title, and goes on all the same.
        if where is not Addressed.HERE or (apdu.is_response and apdu.called is None):
            self._pass_on(Message(path, apdu, octets), where, now_us)
        elif path != self.upstream and self._is_for_upstream(apdu):
            self._forward_by(self.upstream, Message(path, apdu, octets), now_us)
        else:
            self._deliver(path, octets, now_us)

    def note_relay(self, event: RequestArrived) -> None:
        """Note where a relay may be: one whose way up is new asks who is here (``ask_above``)."""
        named = event.calling if event.called is None else None
        if named and event.path != self.upstream and event.services[0][0] == IDENTIFY:
            self._ways.relay_came(event.path, named)

    def relay_in_turn(self) -> Hashable | None:
        """Give the path to a relay below that may know a node, each time another; None: none."""
        return self._ways.relay_in_turn()

    def ask_above(self, now_us: int) -> None:
        """Ask who is upstream, when that is a new way: so the relay there learns of this one."""
        self.node.request([encode_service(Identify())], None, self.upstream, now_us)

    def forward(self, path: Hashable, octets: bytes, now_us: int) -> bool:
        """Take an APDU that the owner's node has no use for, or serves as one of many.

        False when it is for nobody else.
        """
        try:
            apdu = decode_apdu(octets)
        except ApduRejected:
            return False
        where = addressed(self.node.title, apdu.called, self.node.settings.groups)
        if apdu.called is None:
            if not apdu.is_response or not self._due.is_due(_key_of_answer(apdu), path):
                return False
        elif where is Addressed.HERE or (where.is_group and (apdu.is_response or apdu.is_segment)):
            return False
        self._pass_on(Message(path, apdu, octets), Addressed.ELSEWHERE, now_us)
        return True

    def path_failed(self, path: Hashable) -> None:
        """A next hop cannot be reached: whoever waits for it is told ``netr``."""
        for asked in self._due.path_failed(path):
            self._error(asked, ResponseCode.netr)
        self._ways.forget_path(path)
        self.node.path_closed(path)

    def way_found(self, title: ApTitle, path: Hashable, now_us: int) -> None:
        """A title that was looked for may be reached by ``path``: what waits for it goes on.

        A way that was known and brought no answer keeps its place until one has come by this one.
        """
        if not self._waiting.is_doubted(title):
            self._ways.routes.learn(title.absolute, path, now_us)
        self._send_waiting(title, path, now_us)

    def way_lost(self, title: ApTitle) -> None:
        """A title that was looked for cannot be reached: whoever waits is told ``netr``."""
        for one in self._waiting.leave(title):
            if not one.went:  # the way that it went may still bring an answer
                self._error(one.message, ResponseCode.netr)

    def expire(self, now_us: int) -> None:
        """Tell ``nett`` where no answer came; forget what has lapsed."""
        self.node.expire(now_us)
        for one in self._waiting.overdue(now_us):
            if not one.went:
                self._error(one.message, ResponseCode.nett)
        if self.registrar is not None:
            self.registrar.expire(now_us)
            self._services.take_changes(None, now_us)
        for asked in self._due.to_try_elsewhere(now_us):
            self._try_elsewhere(asked, now_us)
        for asked in self._due.overdue(now_us):
            # A caller that wants to hear of failures only takes silence for success.
            if asked.apdu.response_control == ALWAYS:
                self._error(asked, ResponseCode.nett)
        self._groups.expire(now_us)
        self._ways.expire(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        parts = (self.node, self._waiting, self._due, self._ways)
        lapse_us = None if self.registrar is None else self.registrar.deadline_us()
        return earliest(lapse_us, *(part.deadline_us() for part in parts))

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, urgent ones ahead, and forget them."""
        out = self._urgent + self.node.outgoing() + self._out
        self._urgent, self._out = [], []
        return out

    def changes(self) -> list[Change]:
        """Give what changed in the registrar's list, to be made durable before ``outgoing`` is
        sent, and forget it."""
        changes, self._services.changes = self._services.changes, []
        return changes

    def _pass_on(self, message: Message, where: Addressed, now_us: int) -> None:
        """Send on what is for others, or for others too."""
        apdu = message.apdu
        if apdu.is_response:
            self._return(message, now_us)
        elif apdu.called is not None and is_group(apdu.called):
            self._spread(message, where, now_us)
        else:
            self._route(message, now_us)

    # Requests.

    def _route(self, message: Message, now_us: int) -> None:
        """Choose the way of a request."""
        apdu, came = message.apdu, message.came
        assert apdu.called is not None
        # A piece of an answer bears no A4: it goes to whoever has asked its sender.
        if apdu.is_segment and (asking := self._due.asking(apdu.called.absolute, came)):
            for path in asking:
                self._send(path, message, now_us)
            return
        way = self._ways.known(apdu.called, now_us)
        if way == came and self.upstream is not None:
            way = self.upstream  # it did not find its target there
        if way is None:
            if self._owner.seek(apdu.called):
                if not self._waiting.take(message, now_us):
                    self._error(message, ResponseCode.bsy)
                return
            way = self._ways.otherwise(apdu.called, came, now_us)
        if way is None or way == came:
            self._look_below(message, now_us)
        else:
            self._forward_by(way, message, now_us)

    def _look_below(self, message: Message, now_us: int) -> None:
        """Ask the relays below, one after the other, for a node that must be somewhere.

        A relay's own title, which is on no list, leads to itself.
        The way to a node of datagrams went with a connection, or with the memory of a start, of
        which it did not notice; the relay that it speaks to knows it.  A relay that is asked, and
        takes us for its way up by another path, brings the request back: that ends here.
        """
        called = message.apdu.called
        assert called is not None
        is_registered = self._is_registered(called)
        relays = self._relays_to_ask(called, message, is_registered=is_registered)
        if relays:
            self._forward_by(relays[0], message, now_us, relays[1:])
        else:
            self._error(message, ResponseCode.netr if is_registered else ResponseCode.uat)

    def _relays_to_ask(
        self, called: ApTitle, message: Message, *, is_registered: bool
    ) -> tuple[Hashable, ...]:
        """Give the relays below that may know a title, the one that it names first."""
        apdu, came = message.apdu, message.came
        if self._ways.is_relay(came) and self._due.is_looked_for(_key_of(apdu), came, apdu):
            return ()  # It has come back.
        if is_registered:
            return self._ways.relays(came)
        named = self._ways.relays_named(called, came)
        if came != self.upstream:
            return named
        return (*named, *(path for path in self._ways.relays(came) if path not in named))

    def _is_registered(self, title: ApTitle) -> bool:
        """Tell whether a title is on a list of registrations: its owner's, or the relay's own."""
        if self._owner.registered(title):
            return True
        return self.registrar is not None and self.registrar.find(title) is not None

    def _is_for_upstream(self, apdu: Apdu) -> bool:
        """Tell whether a registration without a called title is for the master behind us.

        A node that does not know its master's title registers so.  What a secured message asks
        for cannot be seen without its key: it is taken for a registration.
        """
        if apdu.called is not None or self.registrar is not None or self.upstream is None:
            return False
        if not is_in_clear(apdu):
            return True
        return asks_for(apdu, REGISTER) or asks_for(apdu, DEREGISTER)

    def _forward_by(
        self,
        way: Hashable,
        message: Message,
        now_us: int,
        others: tuple[Hashable, ...] | None = None,
    ) -> None:
        """Send a request on; ``others`` are where it goes in turn if nobody is known there."""
        apdu, came = message.apdu, message.came
        if not self._due.has_room(came):
            self._error(message, ResponseCode.bsy)
            return
        if way == self.upstream:
            self._ways.heard(apdu.calling, came, now_us)
        ways: tuple[Hashable, ...] = (way,)
        # What a segment is a piece of may want no answer; its receiver may say ``sgnp`` even so.
        if may_answer(apdu):
            due_us = now_us + ANSWER_US
            may_be_elsewhere = way != self.upstream and not apdu.is_segment
            else_us = now_us + DOUBT_US if may_be_elsewhere else None
            mode = CLEAR if apdu.is_segment else apdu.security_mode
            asked = Asked(came, way, apdu, due_us, mode, else_us, apdu.is_segment, others)
            ways = self._due.add(_key_of(apdu), asked)
        else:
            ways += others or ()
        for way in ways:
            self._send_on(way, message, now_us)

    def _send_on(self, way: Hashable, message: Message, now_us: int) -> None:
        """Send a request to its next hop; one that traces its way gets our title."""
        if self.node.title is not None:
            octets = traced(message.apdu, message.octets, self.node.title)
            if octets is not message.octets:
                message = message._replace(octets=octets)
        self._send(way, message, now_us)

    def _try_elsewhere(self, asked: Asked, now_us: int) -> None:
        """Send a request that brought no answer another way as well: upstream, or to where the
        node can be called.

        A node that has gone to another relay may have left a silent connection here, as may one
        that cannot say that its own is cut.
        """
        message = _message_of(asked)
        called = asked.apdu.called
        if relays := list(filter(self._ways.is_relay, asked.next or ())):
            self._go_too(relays[0], message, now_us)
        elif self.upstream not in (None, asked.came):
            self._go_too(self.upstream, message, now_us)
        elif called is not None and self._owner.call(called):
            self._waiting.take(message, now_us, went=True)

    def _go_too(self, way: Hashable, message: Message, now_us: int) -> None:
        """Send a request another way too: the same octets, which a node serves once."""
        if self._due.goes_too(_key_of(message.apdu), message.came, way):
            self.counts["went another way too"] += 1
            self._send_on(way, message, now_us)

    def _send_waiting(self, title: ApTitle, path: Hashable, now_us: int) -> None:
        """Send what waits for a title."""
        for one in self._waiting.leave(title):
            if one.went:
                self._go_too(path, one.message, now_us)
            elif one.message.came == path:
                self._error(one.message, ResponseCode.netr)
            else:
                self._forward_by(path, one.message, now_us)

    # Answers.

    def _return(self, answer: Message, now_us: int) -> None:
        """Bring an answer back: the way its request came, else by the title that it goes to."""
        apdu, path = answer.apdu, answer.came
        if _is_own(self.node.title, apdu.calling):
            self.counts["dropped own-title"] += 1
            return  # nobody else answers in our name
        key = _key_of_answer(apdu)
        if is_network_error(apdu) and self._may_come_still(key, path, now_us):
            return
        if path == self.upstream:
            self._ways.answered_from_above(apdu.calling, now_us)
        belongs = partial(_belongs, apdu)
        waiting = self._due.take(key, path, self._is_same_host, belongs)
        waiting = waiting or self._due.take(((), key[1]), path, belongs=belongs)
        if len(waiting) == 1 and path in waiting[0].ways:
            self._learn(waiting[0], answer, now_us)
        for asked in waiting:
            self._send(asked.came, answer, now_us)
            if belongs(asked) and path in asked.ways:
                self._found(asked, answer, now_us)
        if not waiting and not self._told_group(key, answer, now_us):
            self._return_by_title(answer, now_us)

    def _may_come_still(self, key: Key, path: Hashable, now_us: int) -> bool:
        """Look on where a relay did not reach the node; False where nobody else was asked."""
        if looked := self._due.look_on(key, path, self._ways.is_relay):
            for asked, relay in looked:
                if relay is not None:
                    self._send_on(relay, _message_of(asked), now_us)
            return True
        if self._due.is_second_try(key, path):
            self.counts["dropped no-other-way"] += 1
            return True  # the first way may still bring the answer
        return False

    def _return_by_title(self, answer: Message, now_us: int) -> None:
        """Send an answer that nobody is known to wait for to the title that it names."""
        called, way = answer.apdu.called, None
        if called is not None:
            way = self._ways.known(called, now_us)
            way = way or self._ways.otherwise(called, answer.came, now_us)
        if way is None or way == answer.came:
            self.counts["dropped no-way-back"] += 1
        else:
            self._send(way, answer, now_us)

    def _is_same_host(self, one: Hashable, other: Hashable) -> bool:
        """Tell whether two paths lead to one address, whatever the ports and the protocols."""
        addresses = (self._owner.address_of(path, False) for path in (one, other))
        # Port and protocol are the last three octets.
        first, second = (address[:-3] for address in addresses)
        return bool(first) and first == second

    def _found(self, asked: Asked, answer: Message, now_us: int) -> None:
        """A node has answered by the way by which it was looked for, or by the other one."""
        title, path = asked.apdu.called, answer.came
        if title is None:
            return
        if asked.next is not None and not is_network_error(answer.apdu):
            self._ways.routes.hear(title.absolute, path, now_us)
        if asked.too != path:
            return
        self._ways.moved(title, asked.went, asked.too, now_us)
        # Anybody may say that it is a relay, is asked then, and could answer in a node's place.
        if asked.next is None and asked.too != self.upstream:
            self._owner.moved(title, asked.too)

    def _learn(self, asked: Asked, answer: Message, now_us: int) -> None:
        """Learn the way to who asked, or that it has given its title up."""
        if self.upstream not in (None, answer.came):
            return  # two below us could speak for each other
        shown = shown_by(answer.apdu, asked)
        own = absolute(self.node.title)
        if shown is not None and own[: len(shown.title.absolute)] != shown.title.absolute:
            self._learn_route(shown.title, asked.came, now_us, shown.proven, shown.spoken)
        is_from_above = answer.came == self.upstream
        departed = departed_title(asked.apdu, answer.apdu) if is_from_above else None
        if departed is not None and self._ways.departed(departed, asked.came, now_us):
            self._owner.learned(departed, None)

    def _learn_route(
        self,
        title: ApTitle,
        path: Hashable,
        now_us: int,
        proven: bool = False,
        spoken: Spoken | None = None,
    ) -> None:
        if not self._ways.routes.learn(title.absolute, path, now_us, proven, spoken):
            self.counts["refused another's title"] += 1
        else:
            self._owner.learned(title, path)
            self._send_waiting(title, path, now_us)

    # Messages to many.

    def _spread(self, message: Message, where: Addressed, now_us: int) -> None:
        """Send a group's message to every path with members, once."""
        apdu, came = message.apdu, message.came
        assert apdu.called is not None
        if self._groups.has_passed(apdu):
            self.counts["dropped group-repeated"] += 1
            return
        self._groups.expire(now_us)
        if self._groups.is_full:
            self.counts["dropped too-many-groups"] += 1
            return
        self._groups.passes(came, apdu, now_us)
        if where.is_group:
            self._deliver(came, message.octets, now_us)
        arcs = apdu.called.absolute
        prefix = arcs[:-1] if arcs[-1] == 0 else arcs[:-2]
        ways = self._ways.routes.below(prefix) | self._owner.members(prefix)
        ways |= {self.upstream} if self.upstream is not None else set()
        for way in sorted(ways - {came}, key=repr):
            self._send(way, message, now_us)

    def _told_group(self, key: Key, answer: Message, now_us: int) -> bool:
        """Bring an answer of one of many back to who asked them all."""
        askers = self._groups.askers(key, answer.came)
        for path in askers:
            self._send(path, answer, now_us)
        return bool(askers)

    # Out.

    def _send(self, way: Hashable, message: Message, now_us: int) -> None:
        if not self._passages.allow(way, message.octets, now_us):
            self.counts["dropped in-a-circle"] += 1
            return
        self.counts["forwarded"] += 1
        urgent = (message.apdu.ae_qualifier or 0) & URGENT
        (self._urgent if urgent else self._out).append((way, message.octets))

    def _error(self, asked: Message | Asked, code: ResponseCode) -> None:
        """Answer for a target that cannot be reached: titles swapped, in clear, if allowed."""
        apdu = asked.apdu
        self.counts[f"answered {code.name}"] += 1
        if apdu.is_response or not may_answer(apdu):
            return
        own = self.node.locks.take_id()
        envelope = Envelope(own, apdu.calling, apdu.called, apdu.calling_invocation_id)
        item = bytes([code]) + gathered_titles(apdu)
        self._out.append((asked.came, build_apdu(envelope, [item])))

    # The relay's own services.

    def _deliver(self, path: Hashable, octets: bytes, now_us: int) -> None:
        self.node.receive(path, octets, now_us)
        for event in self.node.events():
            if isinstance(event, RequestArrived):
                self.note_relay(event)
                items = [self._services.serve(event, service, now_us) for service in event.services]
                self.node.answer(event.token, items, now_us)
            elif isinstance(event, ResponseArrived) and path == self.upstream:
                self._ways.answered_from_above(event.calling, now_us)


def _message_of(asked: Asked) -> Message:
    """Give the request that an answer is waited for."""
    octets = tlv(APDU_TAG, b"".join(asked.apdu.elements.values()))
    return Message(asked.came, asked.apdu, octets)


def _key_of(apdu: Apdu) -> Key:
    """Give what the answer to a request says of it."""
    return absolute(apdu.calling), apdu.calling_invocation_id


def _key_of_answer(apdu: Apdu) -> Key:
    return absolute(apdu.called), apdu.called_invocation_id or 0


def _belongs(answer: Apdu, asked: Asked) -> bool:
    """Tell whether an answer can be the one that was asked for; any relay may say it has no way."""
    return is_network_error(answer) or answers_for(asked.apdu.called, answer.calling)


def _is_own(own: ApTitle | None, title: ApTitle | None) -> bool:
    return own is not None and title is not None and own.absolute == title.absolute
