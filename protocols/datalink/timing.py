"""The time-outs of a link, and the choices that the standard leaves to an implementation.

Every figure is a default of C12.18; C12.21 lets the client change them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """How long one end waits, and how often it repeats.

    ``retries`` are repetitions beside the first transmission (several clients
    count transmissions instead).  NAKs and time-outs share the count.  The two
    time-outs are taken as the patience that a receiver must have at least; the
    public sources do not say whose time they are.
    """

    response_us: int = 2_000_000
    inter_character_us: int = 500_000
    turn_around_us: int = 175
    retries: int = 3


DEFAULT_TIMING = Timing()


@dataclass(frozen=True)
class LinkChoices:
    """Where public sources disagree, one option each.

    * ``nak_incomplete_header``: NAK, not silence, when a packet stops in its header.
    * ``nak_out_of_sequence``: NAK, not an ACK, for a packet that continues nothing.
    """

    nak_incomplete_header: bool = True
    nak_out_of_sequence: bool = True
