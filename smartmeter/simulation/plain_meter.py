"""A plain C12.22 meter: tables behind a node of its own, and no module that reports for it.

It registers, keeps its registration alive, answers whoever has its key, and
tells what it must: a notification with ST-03 and ST-23 on a period, and ST-03
at once when it changes (C12.22 digest, 10.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from protocols.c1222.access import Rights
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER, NOTIFICATION, URGENT
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    Node,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
    TransactionFailed,
)
from protocols.c1222.reception import TOLD_TO_ANYBODY
from protocols.c1222.registrant import Registrant, RegistrantSettings
from protocols.c1222.registration import (
    DEVICE_CLASS,
    ConnectionType,
    Register,
    decode_registered,
    serial_uid,
)
from protocols.c1222.security import EaxPrime
from protocols.c1222.server import DISCONNECT_PROCEDURE, Refused, Server
from protocols.c1222.services import encode_service
from protocols.errors import RemoteProtocolError
from protocols.machine import earliest
from protocols.psem.codec import PASSWORD_OCTETS, encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite, IndexRead
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.meter.meter import Meter
from smartmeter.meter.optical_port import OpticalPort

STATUS, REGISTERS = 3, 23
KEY_ID = 0
ANSWER_US = 15 * US_PER_S
#: Short pauses after a refused registration: who tries this out does not want to wait minutes.
_PAUSES = RegistrantSettings(5, 20)


class Registering(StrEnum):
    """How a meter makes itself known."""

    SECURED = "secured"
    CLEAR = "clear"
    OFF = "off"


@dataclass(frozen=True)
class PlainSettings:
    """Who a plain meter is and whom it speaks to; ``notify_min`` 0 sends no notification."""

    serial: str
    title: ApTitle
    key: bytes = field(repr=False)
    host: ApTitle
    registering: Registering = Registering.SECURED
    notify_min: int = 15


class PlainMeter:
    """Implements the face of a node towards its bearers; ``mains`` switches its power."""

    def __init__(
        self,
        settings: PlainSettings,
        meter: Meter,
        calendar: Calendar,
        first_id: int,
        chance: Callable[[int, int], int],
        now_us: int = 0,
    ) -> None:
        """``now_us`` is when it starts: what was stamped before is refused, or it would come twice.

        Which messages it has heard is forgotten over a restart.
        """
        self.settings, self.meter, self._calendar = settings, meter, calendar
        self._cipher = EaxPrime(settings.key)
        window_s = stamp_window_s(calendar)
        state = SecurityState(first_id)
        settings_of_node = NodeSettings(
            window_s=window_s,
            not_before_s=(calendar.utc_s(now_us) or 0) - 1,
            clear_services=TOLD_TO_ANYBODY,
        )
        node = Node(settings.title, self, calendar, state, settings_of_node)
        self.registrant = Registrant(chance, settings.title, _PAUSES)
        self._tables = _TablesOnTheNetwork(meter, self.registrant.deregistered)
        self.server = Server(node, self._tables)
        #: The bearers that are up, in their order, and what it registers as on each.
        self._paths: dict[Hashable, ConnectionType] = {}
        self._register_transaction: int | None = None
        self._status = b""
        self._notified_min: int | None = None
        self.notifications = 0

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give the key that it shares with all that may speak to it."""
        return self._cipher if key_id == KEY_ID else None

    @property
    def registered(self) -> bool:
        """Tell whether a registrar has taken it in."""
        return self.registrant.registered

    def mains(self, on: bool, now_us: int) -> None:
        """Cut or return the mains; without them it hears and says nothing."""
        self.meter.mains(on, now_us)
        self._register_transaction = None
        if not on:
            self.server.node.outgoing()
            self.registrant.deregistered(now_us)

    @property
    def title(self) -> ApTitle:
        """Give the title that it listens to: its own, or one that a registrar has given it."""
        return self.server.node.title or self.settings.title

    @property
    def counts(self) -> Counter[str]:
        """Give what its node received, served and refused, by reason."""
        return self.server.node.counts

    def standing(self) -> dict[str, Any]:
        """Tell how it stands, with the members that a SmartMeter has."""
        return {"state": self.registrant.state.value, "waiting": 0, "error": 0, "why": ""}

    def watchdog(self, now_us: int) -> None:
        """Let a watchdog begin anew with the network."""
        self._register_transaction = None
        self.registrant.deregistered(now_us)

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU."""
        if self.meter.mains_on:
            self.meter.advance(now_us)
            self._tables.now_us = now_us
            self.server.receive(path, octets, now_us)
            self._drain(now_us)

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path."""
        return self.server.outgoing() if self.meter.mains_on else []

    def need(self, now_us: int) -> Need:
        """Tell what waits for a bearer: a registration or a notification that is due."""
        dues = [self._notification_due_us()]
        if self.settings.registering is not Registering.OFF:
            dues.append(self.registrant.deadline_us() if self.registered else 0)
        waits = any(due_us is not None and due_us <= now_us for due_us in dues)
        return Need.ROUTINE if waits else Need.NOTHING

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give 0: every bearer carries a registration and a notification."""
        return 0

    def doubted(self) -> list[Hashable]:
        """Give no bearer: a plain meter keeps no account of them."""
        return []

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._paths.setdefault(path, way.connection_type)
        if way.has_segments:
            self.server.node.joins_segments = True
        if self.registered:
            self.registrant.moved(now_us)
        else:
            self.registrant.deregistered(now_us)
        self.expire(now_us)

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone; the registration lasts."""
        self._paths.pop(path, None)
        if self._register_transaction is not None:
            self._register_transaction = None
            self.registrant.failed(now_us)

    def expire(self, now_us: int) -> None:
        """Measure, register, notify."""
        self.meter.expire(now_us)
        if not self.meter.mains_on:
            return
        self.server.expire(now_us)
        self._drain(now_us)
        if not self._paths:
            return
        if self.settings.registering is not Registering.OFF and self.registrant.poll(now_us):
            self._register(now_us)
        self._notify(now_us)

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        dues = [self.meter.deadline_us()]
        if self.meter.mains_on:
            dues.append(self.server.deadline_us())
        if self.meter.mains_on and self._paths:
            dues.append(self._notification_due_us())
            if self.settings.registering is not Registering.OFF:
                dues.append(self.registrant.deadline_us())
        return earliest(*dues)

    def _register(self, now_us: int) -> None:
        settings = self.settings
        path, kind = next(iter(self._paths.items()))
        service = Register(
            settings.title,
            serial_uid(settings.serial),
            connection_type=kind,
        )
        self._register_transaction = self.server.node.request(
            [encode_service(service)],
            settings.host,
            path,
            now_us,
            key_id=KEY_ID if settings.registering is Registering.SECURED else None,
            ed_class=DEVICE_CLASS,
            timeout_us=ANSWER_US,
        )

    def _drain(self, now_us: int) -> None:
        for event in self.server.events():
            if not isinstance(event, ResponseArrived | TransactionFailed):
                continue
            if event.transaction != self._register_transaction:
                continue
            self._register_transaction = None
            answer = event.responses[0] if isinstance(event, ResponseArrived) else b""
            try:
                self.registrant.accepted(decode_registered(answer), now_us)
            except RemoteProtocolError:
                self.registrant.failed(now_us)
            else:
                self.server.node.title = self.registrant.title

    # Notifications.

    @property
    def _may_notify(self) -> bool:
        known = self.registered or self.settings.registering is Registering.OFF
        return known and self.settings.notify_min > 0

    def _minute(self, now_us: int) -> int:
        return (self._calendar.utc_s(now_us) or 0) // 60

    def _notification_due_us(self) -> int | None:
        if not self._may_notify:
            return None
        if self._notified_min is None:
            return 0  # at once
        due_min = (self._notified_min // self.settings.notify_min + 1) * self.settings.notify_min
        return self._calendar.deadline_us(due_min * 60 * US_PER_S)

    def _notify(self, now_us: int) -> None:
        """Tell what has changed and what is due."""
        if not self._may_notify:
            return
        minute, period = self._minute(now_us), self.settings.notify_min
        status = self.meter.table(STATUS, now_us)
        changed = status != self._status
        due = self._notified_min is None or minute // period > self._notified_min // period
        if due:
            self._notified_min = minute
            self._send((STATUS, REGISTERS), NOTIFICATION, now_us)
        elif changed:
            self._send((STATUS,), NOTIFICATION | URGENT, now_us)
        self._status = status

    def _send(self, tables: tuple[int, ...], qualifier: int, now_us: int) -> None:
        services = [
            encode_request(FullWrite(table, self.meter.table(table, now_us)))
            for table in tables
            if self.meter.has(table)
        ]
        self.notifications += 1
        self.server.node.request(
            services,
            self.settings.host,
            next(iter(self._paths)),
            now_us,
            key_id=KEY_ID,
            qualifier=qualifier,
            response_control=NEVER,
            ed_class=DEVICE_CLASS,
        )


class _TablesOnTheNetwork:
    """The meter's tables under its own rules of access; rights are a password that it took.

    The services of one APDU, and those of one session, share a session of the meter.
    """

    def __init__(self, meter: Meter, leave: Callable[[int], None]) -> None:
        self._port = OpticalPort(meter)
        self._leave = leave
        self._granted: bytes | None = None
        self.now_us = 0

    def of_message(self, message: RequestArrived) -> Rights:
        """Begin anew: a key by itself gives what anybody may read."""
        self._use(None)
        return None

    def of_password(
        self, user_id: int | None, user: bytes, password: bytes, rights: Rights
    ) -> Rights | None:
        """Give the password as rights, if the meter takes it."""
        self._use(None)
        self._port.logon(user_id or 0, user, self.now_us)
        accepted = self._port.security(password.ljust(PASSWORD_OCTETS), self.now_us)
        self._granted = password if accepted == ResponseCode.ok else None
        return self._granted

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        """Give a whole table image; raise Refused."""
        self._use(rights)
        return self._port.read(table, now_us)

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        """Write a whole table, or octets of it; raise Refused."""
        self._use(rights)
        self._port.write(table, offset, data, now_us)

    def span(
        self, table: int, indices: tuple[int, ...], count: int, rights: Rights, now_us: int
    ) -> tuple[int, int]:
        """Give offset and octets of elements; raise Refused, also without the right to read."""
        self.read(table, rights, now_us)
        if not self._port.has_service(IndexRead):
            raise Refused(ResponseCode.sns)
        return self._port.span(table, indices, count, now_us)

    def default_table(self) -> int:
        """Give the table that the meter's port gives by default."""
        return self._port.default_table()

    def leave(self, rights: Rights, procedure: int, now_us: int) -> None:
        """Leave the network; the registrant comes back by itself.

        Whoever has a key may say that a registration is void, but to disconnect takes a password.
        """
        if procedure == DISCONNECT_PROCEDURE and rights is None:
            raise Refused(ResponseCode.isc)
        self._leave(now_us)

    def _use(self, rights: Rights) -> None:
        """Have exactly these rights at the meter."""
        if rights == self._granted and rights is not None:
            return
        self._port.session_ended(True, self.now_us)
        self._granted = None
        if isinstance(rights, bytes):
            self.of_password(None, b"", rights, None)
