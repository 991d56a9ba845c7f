"""What the TMS's node answers to each service that is part of no report."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import TEST
from protocols.c1222.identification import answer_of_node, answer_to_resolve
from protocols.c1222.node import KeySuspected, MessageRejected, Node, RequestArrived
from protocols.c1222.registration import Register, refusal, serial_text
from protocols.c1222.services import Deregister, Resolve, Service, Trace
from protocols.machine import Event
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    FullWrite,
    Identify,
    IndexWrite,
    Logoff,
    Logon,
    OffsetWrite,
    Security,
    Terminate,
    Unknown,
    Wait,
)
from smartmeter.tms.arrivals import KeyLost, Refused
from smartmeter.tms.meters import ROOT_KEY, Meters

OK = b"\0"
NOT_CLEARED = bytes([ResponseCode.isc])


class ServiceAnswers:
    """Answers that need no store.

    ``address`` gives the native address of a title, for an asker at a path; empty where none is
    known.  ``tell`` takes events that a request gives rise to beside its answer.
    """

    def __init__(
        self,
        node: Node,
        meters: Meters,
        address: Callable[[ApTitle, Hashable], bytes],
        tell: Callable[[Event], None],
    ) -> None:
        self._node, self._meters = node, meters
        self._address, self._tell = address, tell
        #: When the TMS began, or its clock was set, as a UTC second.
        self.began_s: int | None = None

    def to(self, service: Service, event: RequestArrived, esn: str | None) -> bytes | None:
        """Give the response to one service; None where the store is to be asked.

        ``esn`` is that of a node that has shown its key.
        """
        match service:
            case Identify() | Trace():
                return answer_of_node(service, self._node.title)
            case Security():
                return OK  # no password opens anything here
            case Logoff() | Terminate() | Wait():
                return bytes([ResponseCode.isss])
            case Logon() | Unknown():
                return bytes([ResponseCode.sns])
            case FullWrite() | OffsetWrite() | IndexWrite() if event.qualifier & TEST:
                return bytes([ResponseCode.onp])  # it must not become data
            case IndexWrite():
                # Where a foreign node's elements lie is not known here.
                return bytes([ResponseCode.onp])
            case Resolve(title):
                address = self._address(title, event.path) if title is not None else b""
                return answer_to_resolve(address)
        return self._to_member(service, event, esn) if esn is not None else NOT_CLEARED

    def _to_member(self, service: Service, event: RequestArrived, esn: str) -> bytes | None:
        match service:
            case FullWrite() | OffsetWrite():
                if self.is_under_old_key(event, esn):
                    return bytes([ResponseCode.sme])
                if not self._is_from_before(event):
                    return None
                self._tell(refused(event, "stamped-before-start"))
                return bytes([ResponseCode.sme])
            case Register():
                return self._to_registration(event, esn, service)
            case Deregister(title):
                if title is not None and title.absolute == self._meters.title(esn).absolute:
                    return None  # its own title, and no other's
                known = title is not None and self._meters.esn(title) is not None
                return NOT_CLEARED if known else bytes([ResponseCode.uat])
        return NOT_CLEARED

    def _to_registration(self, event: RequestArrived, esn: str, register: Register) -> bytes | None:
        code = refusal(register)
        if code is not None:
            return bytes([code])
        serial = serial_text(register.serial)
        if serial and serial != esn:
            self._tell(refused(event, "serial-differs"))
            return bytes([ResponseCode.err])
        return None

    def is_under_old_key(self, event: RequestArrived, esn: str) -> bool:
        """Tell whether data came under the root key, which only registers once there is another."""
        if event.key_id != ROOT_KEY or self._meters.sending(esn) == ROOT_KEY:
            return False
        self._tell(refused(event, "old-key"))
        self._tell(KeyLost(esn))
        return True

    def _is_from_before(self, event: RequestArrived) -> bool:
        """Tell whether a notification was made before this node began.

        A node forgets at a restart which notifications it had, and they have no numbers as
        reports have: one that is repeated would put an older image over a newer.
        """
        stamp_s = int.from_bytes(event.iv, "big") if event.iv is not None else 0
        return self.began_s is not None and stamp_s < self.began_s


def refused(
    event: RequestArrived | KeySuspected | MessageRejected, reason: str, unknown: bool = False
) -> Refused:
    """Tell of a message that was refused, under the title that it bears."""
    return Refused(str(event.calling) if event.calling else "", reason, unknown)
