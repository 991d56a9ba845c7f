"""What C12.21 (IEEE 1702) changes of C12.18: figures, states, and one more answer to Identify.

The packets, their acknowledgment and the nine services are C12.18's.  A call has
longer time-outs, which the client may set; a device on a shared line has an
address, the packets' identity; and the two ends may prove a key to each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.c1218.session import LEGAL as C1218_LEGAL
from protocols.c1218.session import State
from protocols.datalink.timing import Timing
from protocols.machine import US_PER_S
from protocols.psem.services import Authenticate, Disconnect, Request, TimingSetup

STANDARD = 2
#: Time-outs before Timing Setup; the turn-around is C12.18's, no other was found.
TIMING = Timing(response_us=4_000_000, inter_character_us=1_000_000)
TRAFFIC_US = 30_000_000
#: The identity that every device answers to.
ANYBODY = 0
#: The speed belongs to the modem: the baud code of "externally defined".
EXTERNAL_BAUD = 0
#: Bit 0 of an identification's auth-type: Authenticate is served in a session.
AUTHENTICATES = 1
#: auth-alg-id: DES.
DES = 0

LEGAL: Mapping[tuple[State, type[Request]], State] = {
    **C1218_LEGAL,
    (State.ID, TimingSetup): State.ID,
    (State.SESSION, Authenticate): State.SESSION,
    **{(state, Disconnect): State.BASE for state in State},
}
SERVED = frozenset(request for _, request in LEGAL)


def timing_of(setup: TimingSetup, turn_around_us: int) -> Timing:
    """Give the link's timing of a Timing Setup."""
    return Timing(
        setup.response_s * US_PER_S,
        setup.inter_character_s * US_PER_S,
        turn_around_us,
        setup.retries,
    )
