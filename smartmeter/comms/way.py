"""What a node must know of a bearer that it may use, and what its bearers must know of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from protocols.c1222.registration import OVER_TCP, ConnectionType

#: The largest APDU that a report makes; a bearer for less carries what is short.
MAX_REPORT_OCTETS = 2048


class Carries(Enum):
    """What a bearer is good for: a dear one only for what is urgent."""

    ALL = "all"
    URGENT = "urgent"


class Need(IntEnum):
    """What waits in a node for a bearer."""

    NOTHING = 0
    ROUTINE = 1
    URGENT = 2


@dataclass(frozen=True)
class Way:
    """A bearer as a node sees it; the cheapest that takes a message carries it.

    ``answer_us`` is how long an answer over it may well take.  Where ``has_segments``
    messages may come in segments.  ``connection_type`` is what the node registers as on it.
    ``tells_class``: messages bear the device class, for which short and dear ones have no room.
    """

    cost: int = 0
    carries: Carries = Carries.ALL
    max_apdu_octets: int = MAX_REPORT_OCTETS
    answer_us: int = 0
    has_segments: bool = False
    connection_type: ConnectionType = OVER_TCP
    tells_class: bool = True

    @property
    def urgent_only(self) -> bool:
        """Tell whether routine reports wait for another bearer."""
        return self.carries is Carries.URGENT


PLAIN_WAY = Way()
