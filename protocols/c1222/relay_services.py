"""What a relay serves itself: identify, trace, resolve, and with a registrar the registrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from protocols.c1222.ap_title import ApTitle, absolute
from protocols.c1222.builder import NEVER
from protocols.c1222.identification import answer_of_node, answer_to_resolve
from protocols.c1222.node import Node, RequestArrived
from protocols.c1222.registrar import Change, Registrar
from protocols.c1222.registration import REGISTER, Register
from protocols.c1222.services import (
    DEREGISTER,
    IDENTIFY,
    RESOLVE,
    SECURITY,
    TRACE,
    Deregister,
    Resolve,
    Trace,
    decode_service,
    encode_service,
)
from protocols.c1222.ways import RelayOwner, Ways
from protocols.psem.codec import MalformedRequest
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify, Security

#: What anybody may ask a relay in clear where nodes have keys: who are you, where is, which way;
#: security goes before it in every message of some clients.
IN_CLEAR_WITH_KEYS = frozenset((SECURITY, IDENTIFY, RESOLVE, TRACE))
#: Where they have none: also take me in, and let me go.
IN_CLEAR = IN_CLEAR_WITH_KEYS | {REGISTER, DEREGISTER}


class RelayServices:
    """The services of one relay.

    ``learn`` is told of a title and the path by which it registered.
    ``changes`` are those of the registrar's list that nobody has taken yet.
    """

    def __init__(
        self,
        node: Node,
        registrar: Registrar | None,
        ways: Ways,
        counts: Counter[str],
        learn: Callable[[ApTitle, Hashable, int], None],
        owner: RelayOwner,
    ) -> None:
        self._node, self._registrar, self._ways = node, registrar, ways
        self._counts, self._learn, self._owner = counts, learn, owner
        self.changes: list[Change] = []

    def serve(self, event: RequestArrived, octets: bytes, now_us: int) -> bytes:
        """Give the response to one service."""
        try:
            service = decode_service(octets)
        except MalformedRequest as error:
            return bytes([error.answer])
        match service:
            case Security():
                return bytes([ResponseCode.ok])  # no password opens anything here
            case Identify() | Trace():
                return answer_of_node(service, self._node.title)
            case Resolve(title):
                return self._resolve(title, event.path, now_us)
            case Register() if self._registrar is not None:
                return self._register(event, service, now_us)
            case Deregister(title) if self._registrar is not None:
                answer = self._registrar.deregister(title, event.calling)
                self.take_changes(None, now_us)
                return answer
        return bytes([ResponseCode.sns])

    def _register(self, event: RequestArrived, asked: Register, now_us: int) -> bytes:
        assert self._registrar is not None
        own = absolute(event.calling)
        # A key proves one title, and gives no right to another.
        if event.key_id is not None and asked.title is not None and asked.title.absolute != own:
            self._counts["refused another's title"] += 1
            return bytes([ResponseCode.isc])
        heard_at = self._owner.address_of(event.path, False)
        answer = self._registrar.register(asked, now_us, heard_at)
        self.take_changes(event.path, now_us)
        return answer

    def take_changes(self, path: Hashable | None, now_us: int) -> None:
        """Keep routes in step with the list; whoever registered is reached by ``path``."""
        assert self._registrar is not None
        for change in self._registrar.changes():
            self.changes.append(change)
            if not change.present:
                self._ways.routes.forget(change.entry.title.absolute)
            elif path is not None:
                self._ways.routes.forget(change.entry.title.absolute)
                self._learn(change.entry.title, path, now_us)
            self._tell_hosts(change, now_us)

    def _tell_hosts(self, change: Change, now_us: int) -> None:
        """Tell notification hosts who came (27H, as it registered) and who went (24H).

        The standard's own exchange is not public; this one is a choice of ours.
        """
        assert self._registrar is not None
        entry = change.entry
        service = encode_service(
            entry.registration(now_us) if change.present else Deregister(entry.title)
        )
        for host in self._registrar.notification_hosts():
            way = self._ways.to(host.title, now_us)
            if host.title == entry.title:
                continue
            if way is None:
                self._counts["host not told"] += 1
                continue
            self._node.request([service], host.title, way, now_us, response_control=NEVER)

    def _resolve(self, title: ApTitle | None, asker: Hashable, now_us: int) -> bytes:
        """Answer with an address."""
        address = self._address(title, asker, now_us) if title is not None else b""
        return answer_to_resolve(address)

    def _address(self, title: ApTitle, asker: Hashable, now_us: int) -> bytes:
        """Give where the asker may reach a title: at its own address, or through this relay."""
        entry = self._registrar.find(title) if self._registrar is not None else None
        if entry is not None and any(entry.address):  # a field of zeros is no address
            return entry.address
        here = self._node.title is not None and title.absolute == self._node.title.absolute
        above = self._ways.is_above(title, now_us)
        relay = bool(self._ways.relays_named(title, None))
        known = entry is not None or self._ways.known(title, now_us) is not None
        if here or above or known or relay:
            return self._owner.address_of(asker, True)
        return b""
