"""The states of a C12.18 conversation: one table, used by the device.

A request in a state that its row does not list is answered ``isss``, and the
state does not change; a request that no row knows is answered ``sns``.  Only
an ``ok`` answer changes the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from protocols.psem.services import (
    DefaultRead,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    IndexWrite,
    Logoff,
    Logon,
    Negotiate,
    OffsetRead,
    OffsetWrite,
    Request,
    Security,
    Terminate,
    Wait,
)


class State(Enum):
    """Base: idle; ID: identified; Session: logged on."""

    BASE = "Base"
    ID = "ID"
    SESSION = "Session"


_TABLE_SERVICES = (
    FullRead,
    IndexRead,
    DefaultRead,
    OffsetRead,
    FullWrite,
    IndexWrite,
    OffsetWrite,
    Security,
)

#: C12.18: (state, request) to the state after an ``ok``; what is not here is ``isss``.
LEGAL: Mapping[tuple[State, type[Request]], State] = {
    (State.BASE, Identify): State.ID,
    (State.BASE, Terminate): State.BASE,
    (State.ID, Negotiate): State.ID,
    (State.ID, Logon): State.SESSION,
    (State.ID, Wait): State.ID,
    (State.ID, Terminate): State.BASE,
    (State.SESSION, Wait): State.SESSION,
    (State.SESSION, Logoff): State.ID,
    (State.SESSION, Terminate): State.BASE,
    **{(State.SESSION, service): State.SESSION for service in _TABLE_SERVICES},
}

#: The requests that some state accepts.
SERVED = frozenset(request for _, request in LEGAL)
