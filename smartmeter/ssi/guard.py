"""What the module may do to its meter: a guard at the last place before the optical port.

Every request of every job passes here, whoever asked for it: the TMS, a
schedule or the module itself.  What only reads passes always; everything else,
a service that is not known here included, passes only with permission, and a
procedure (a write of ST-07) only with permission for that procedure.  The
permission comes from the module's host, so nothing that arrives over the
network can give it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from ansi_tables.procedures import INITIATE, procedure_asked
from protocols.c1218.scripts import asked_by
from protocols.c1218.steps import Script, Step, T
from protocols.machine import Event
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    READS,
    WRITES,
    DefaultRead,
    FullWrite,
    Identify,
    Logoff,
    Logon,
    Negotiate,
    Request,
    Response,
    Security,
    Terminate,
    Wait,
)

_HARMLESS = (
    *(Identify, Negotiate, Logon, Security, Logoff, Terminate, Wait),
    *(*READS, DefaultRead),
)


class Permission(Protocol):
    """What the host allows, by table number and by procedure number (manufacturer's: 2048 up)."""

    def table(self, number: int) -> bool:
        """Tell whether a table may be written."""

    def procedure(self, number: int) -> bool:
        """Tell whether a procedure may be run."""


@dataclass(frozen=True)
class WriteDenied(Event):
    """A request that never reached the meter; ``what`` names the table or the procedure."""

    what: str


class Guard:
    """Judges requests.  ``byte_order`` is the meter's, once it is known; see ``judge``.

    A module inside its own meter needs no ``permission``: without one all is allowed.
    """

    def __init__(self, permission: Permission | None) -> None:
        self._permission = permission
        self.byte_order: Literal["little", "big"] | None = None

    def judge(self, request: Request) -> str | None:
        """Give what is refused of a request, or None when it may go to the meter.

        A procedure cannot be told by its number before the meter's byte order
        is known; until then, and in a write that does not begin at the head of
        ST-07, none is allowed, unless all are.
        """
        if isinstance(request, _HARMLESS) or self._permission is None:
            return None
        if not isinstance(request, WRITES):
            return f"service {type(request).__name__}"
        if request.table != INITIATE:
            allowed = self._permission.table(request.table)
            return None if allowed else f"write of table {request.table}"
        whole = isinstance(request, FullWrite) and len(request.data) >= 3
        if not whole or self.byte_order is None:
            return "a procedure that cannot be told"
        number = procedure_asked(request.data, self.byte_order)
        return None if self._permission.procedure(number) else f"procedure {number}"


def guarded(script: Script[T], guard: Guard, denied: Callable[[WriteDenied], None]) -> Script[T]:
    """Run a script, and answer its forbidden requests with ``isc`` in the meter's place."""

    def ask(step: Step) -> Script[Response]:
        what = guard.judge(step) if isinstance(step, Request) else None
        if what is None:
            return (yield step)
        denied(WriteDenied(what))
        return Response(ResponseCode.isc)

    return asked_by(script, ask)
