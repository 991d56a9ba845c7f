"""What real meters do differently, by name; what was met, and what is tolerated.

The numbers are those of ``docs/c1218_quirks.rst``.  A client adapts to a quirk
when it meets it and keeps a count, so that a person can be told
(``smartmeter doctor PORT``).  Nothing here decides by itself: the machines ask
:class:`Quirks` at the place where a quirk bites.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Lore:
    """What is known of a quirk: its number, what happens, and what is done about it."""

    number: str
    seen: str
    remedy: str


class Quirk(Enum):
    """A deviation that a client tolerates; the value says what it is."""

    NOISE = Lore(
        "Q2",
        "octets that belong to no packet",
        "skipped; if there are many, check the probe's seat and the light",
    )
    ECHO = Lore("Q3", "our own octets come back", "filtered out; a two-wire or reflecting probe")
    WAKE_UP = Lore(
        "Q4",
        "the first packet is lost after a rest",
        "a wake-up character goes before it; now and then tried without",
    )
    IMPLIED_ACK = Lore(
        "Q5", "an answer comes where its acknowledgment is due", "taken as both at once"
    )
    STALE_ANSWER = Lore(
        "Q6", "an answer left over from an earlier session", "dropped, and waited on"
    )
    TOGGLE_STUCK = Lore(
        "Q7", "the meter's toggle bit does not alternate", "copies are known by their checksum"
    )
    SAME_ANSWER = Lore(
        "Q8", "a new answer looks like a copy of the last", "taken as new after an acknowledgment"
    )
    TOGGLE_FROM_1 = Lore("Q9", "the meter's toggle bit starts at 1", "allowed, nothing to do")
    BAUD_CHANGE_FAILED = Lore(
        "Q10", "silence after a change of speed was asked for", "begun again at 9600 baud"
    )
    SERVICE_MISSING = Lore(
        "Q11", "Negotiate, Security or Wait is not supported", "done without, at the defaults"
    )
    NO_BAUD_ANSWERED = Lore("Q12", "Negotiate is answered without a speed", "the speed is kept")
    GRANT_TOO_LARGE = Lore(
        "Q13", "the meter grants more than was asked for", "our own limits hold for what we send"
    )
    LONG_UNASKED = Lore(
        "Q14", "packets above 64 octets without Negotiate", "accepted up to 8192 octets"
    )
    SIZE_IS_DATA = Lore("Q15", "packets 8 octets above the granted size", "accepted")
    SMALL_BUFFER = Lore(
        "Q16", "less than 64 octets a packet", "reads and writes are cut into smaller pieces"
    )
    PADDING = Lore("Q18", "the password is wanted padded with NULs", "tried after spaces")
    OTHER_REFUSAL = Lore(
        "Q20", "a wrong password is refused with another code than err", "taken as a refusal"
    )
    ONES_COMPLEMENT = Lore(
        "Q22", "table checksums are one's complements", "accepted after a second look, and sent"
    )
    CRC_SWAPPED = Lore("Q23", "packet checksums high octet first", "accepted, and sent so")
    BUSY = Lore("Q25", "busy, or data not ready", "asked again after a pause")
    ERR_AT_FIRST = Lore("Q26", "err at the first read of a session", "asked once more")
    SLOW = Lore("Q27", "more than 6 s until a write is answered", "waited for, up to 20 s")
    ACK_TOO_FAST = Lore(
        "Q28",
        "our acknowledgments are missed",
        "sent later: the turn-around delay is raised, and tried lower",
    )
    SESSION_OPEN = Lore("Q29", "an earlier session was still open", "terminated, and begun again")
    SILENT_AT_FIRST = Lore(
        "Q30",
        "silence until an earlier session had timed out",
        "waited out, at 9600 baud and at the other speeds on offer",
    )
    LOGOFF_IGNORED = Lore("Q31", "Logoff is refused or not answered", "Terminate is sent next")
    TERMINATE_IGNORED = Lore("Q32", "Terminate is not answered", "the session counts as ended")
    PRIVATE_CODE = Lore(
        "Q35", "response code 1EH", "taken as a refusal: the meter has no registration for us"
    )
    NO_WAIT = Lore("Q36", "Wait is not supported", "a short read keeps the session alive")
    ENDED_BY_METER = Lore("Q37", "the meter ends the session by itself", "answered, and reported")

    # Members are single objects: their identity is enough, and much faster than a name's hash.
    __hash__ = object.__hash__

    @property
    def number(self) -> str:
        """Give the number, as ``Q3``."""
        return self.value.number

    @property
    def label(self) -> str:
        """Give the name as options spell it, as ``wake-up``."""
        return self.name.lower().replace("_", "-")


@dataclass
class Quirks:
    """What one end has met, what it takes for granted, and what it refuses to tolerate."""

    assume: frozenset[Quirk] = frozenset()
    strict: frozenset[Quirk] = frozenset()

    def __post_init__(self) -> None:
        self.met: Counter[Quirk] = Counter()

    def note(self, quirk: Quirk) -> None:
        """Count a quirk that was met."""
        self.met[quirk] += 1

    def forget(self, quirk: Quirk) -> None:
        """Unlearn a quirk that the peer turns out not to have; what is assumed stays."""
        if quirk not in self.assume:
            self.met.pop(quirk, None)

    def tolerates(self, quirk: Quirk) -> bool:
        """Tell whether to adapt to a quirk when it shows."""
        return quirk not in self.strict

    def on(self, quirk: Quirk) -> bool:
        """Tell whether the peer is taken to have a quirk, met or assumed."""
        return quirk in self.assume or (quirk in self.met and quirk not in self.strict)
