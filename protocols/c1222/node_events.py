"""What a node tells its host, and the settings and limits of a node."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import CLEAR
from protocols.c1222.sessions import MAX_SESSIONS
from protocols.machine import US_PER_S, Event

#: How far a message's IV may lie from the own clock (deployed receivers: about 15 minutes).
WINDOW_S = 900
MAX_OPEN = 1024
#: An answer to a group waits for so long at most.
GROUP_DELAY_US = 5 * US_PER_S
#: Answers to groups that wait for their random time; more are not given.
MAX_LATER = 4096
#: A relay or host; a small device takes 2048 (Itron 643, Elster at least 512).
MAX_APDU_OCTETS = 32_767
#: How long a request is remembered: the same one in this time is answered from the store.
DUPLICATES_S = 120
#: A request that the host does not answer for so long is forgotten.
SERVING_S = 300


@dataclass(frozen=True)
class NodeSettings:
    """What a node allows, and its limits."""

    demand_security: bool = True
    #: These are served in clear although security is demanded.
    clear_services: frozenset[int] = frozenset()
    #: How far an IV may lie from the own clock.
    window_s: int = WINDOW_S
    #: Every IV up to this UTC second is refused: a node that gives the instant of its start needs
    #: no history of what came before it.
    not_before_s: int = 0
    #: Under these keys alone a message of a recovery session skips both of these checks.
    recovery_keys: frozenset[int] = frozenset()
    #: The node's multicast groups.
    groups: frozenset[int] = frozenset()
    #: Where it is given, nothing larger is sent, and segments that come are joined.
    segment_octets: int | None = None
    #: So many requests are remembered.
    history: int = 4096
    #: Where these are too few for the window, whatever is as old as one that was forgotten is
    #: refused.  A host whose requests may come twice without harm switches it off.
    refuse_forgotten: bool = True
    max_apdu_octets: int = MAX_APDU_OCTETS
    max_open: int = MAX_OPEN
    max_serving: int = MAX_OPEN
    max_sessions: int = MAX_SESSIONS
    #: A request of these services, of which nothing but the stamp is wrong, is refused under its
    #: own key: the stamp of that answer, which is bound to the request, tells a peer whose clock
    #: is wrong what time it is here.
    tell_time_to: frozenset[int] = frozenset()


@dataclass(slots=True)
class RequestArrived(Event):
    """A request whose MAC, if it has one, is right.  Answer with the token.

    ``security_mode`` is how it was protected, ``iv`` the one in force;
    ``recovery`` tells that replay checks were skipped: only what sets clock and
    keys may be served.  ``group`` tells that others were addressed too.
    """

    token: int
    path: Hashable
    calling: ApTitle | None
    called: ApTitle | None
    services: tuple[bytes, ...]
    key_id: int | None
    qualifier: int
    ed_class: bytes | None
    security_mode: int = CLEAR
    iv: bytes | None = None
    recovery: bool = False
    group: bool = False


@dataclass(frozen=True)
class ResponseArrived(Event):
    """The answer to an own request: one response item a service, unless an item failed; never none.

    ``iv`` is the one that a secured answer brought with it: nobody without the
    key made it, and it was made after the request.
    """

    transaction: int
    responses: tuple[bytes, ...]
    secured: bool
    calling: ApTitle | None = None
    iv: bytes | None = field(default=None, compare=False)


@dataclass(frozen=True)
class AnsweredLate(Event):
    """An answer, as in ResponseArrived, to a request that has failed: its time was over, or it was
    abandoned.

    ``sent_us`` is when it was sent first.
    """

    transaction: int
    responses: tuple[bytes, ...]
    secured: bool
    calling: ApTitle | None
    sent_us: int


@dataclass(frozen=True)
class TransactionFailed(Event):
    """An own request without an answer, or with one that cannot be trusted."""

    transaction: int
    cause: str


@dataclass(frozen=True)
class MessageRejected(Event):
    """A message that was not served; ``reason`` is one word, ``told`` as ApduRejected has it."""

    path: Hashable
    calling: ApTitle | None
    reason: str
    told: str = field(default="", compare=False)
    called: ApTitle | None = field(default=None, compare=False)


@dataclass(frozen=True)
class KeySuspected(Event):
    """Too many wrong MACs under one key: somebody guesses, or a peer has another key."""

    path: Hashable
    calling: ApTitle | None
    key_id: int
