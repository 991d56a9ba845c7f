"""Which meter it is: maker and serial number, as the maker has written them into ST-01.

The versions in ST-01 change with the meter's firmware, and what ST-05 and ST-06 call the device
is the utility's to write: neither makes it another meter.  A meter without ST-01, or that
refuses it, or whose serial number is blank, cannot be told from another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansi_tables import Context, layout_for
from ansi_tables.errors import TableError
from protocols.c1218.scripts import Script, read_table
from protocols.c1218.steps import ClientLimits
from protocols.errors import RemoteProtocolError, ServiceRefused
from smartmeter.ssi.log_reading import EVENT_LOG, read_log
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.profile_reading import ProfileRead, profile_sets, read_profile

IDENTITY = 1
MAKER, SERIAL = "MANUFACTURER", "MFG_SERIAL_NUMBER"
#: What a serial number consists of that nobody has written.
_BLANK = b"\x00 0\xff"


class AnotherMeter(RemoteProtocolError):
    """Another meter answers than the one that the module knows."""


@dataclass(frozen=True)
class Identity:
    """Maker and serial number: ``mark`` is both as the meter holds them, in hex.

    ``places`` are where they lie in ST-01, offset and width each.
    """

    mark: str
    serial: str
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Lists:
    """Where the lists of another meter stand when it is seen first.

    ``log_last`` is the sequence of the newest entry of its log, ``log_before`` of the newest one
    from before the other meter was seen last; None without a log.
    """

    rings: tuple[ProfileRead, ...] = ()
    log_before: int | None = None
    log_last: int | None = None


def mark_of(image: bytes, places: Sequence[tuple[int, int]]) -> str:
    """Give the mark of an image of ST-01; empty where it holds no serial number."""
    maker, serial = (image[offset : offset + width] for offset, width in places)
    return (maker + serial).hex() if serial.strip(_BLANK) else ""


def identity_of(image: bytes, context: Context) -> Identity | None:
    """Give who a meter is by its ST-01; None where that does not tell."""
    try:
        layout = layout_for(IDENTITY, context)
        places = tuple(layout.field(name) for name in (MAKER, SERIAL))
        mark = mark_of(image, places)
        serial = str(layout.decode(image)[SERIAL]) if mark else ""
    except TableError:
        return None
    shown = "".join(c for c in serial if c.isprintable()).strip()
    return Identity(mark, shown, places) if mark else None


def read_identity(meter: MeterContext, limits: ClientLimits) -> Script[Identity | None]:
    """Read who the meter is; None where it does not tell."""
    if IDENTITY not in meter.context.fmt.std_tbls_used:
        return None
    try:
        image = yield from read_table(IDENTITY, limits)
    except ServiceRefused:
        return None
    return identity_of(image, meter.context)


def read_lists(meter: MeterContext, since_s: int, limits: ClientLimits) -> Script[Lists]:
    """Read where the lists of a meter stand; what it refuses is left out."""
    rings: list[ProfileRead] = []
    for set_nbr in profile_sets(meter):
        try:
            rings.append((yield from read_profile(meter, set_nbr, None, 0, limits)))
        except ServiceRefused:
            continue
    if EVENT_LOG not in meter.context.fmt.std_tbls_used:
        return Lists(tuple(rings))
    try:
        log = yield from read_log(meter, None, limits)
    except ServiceRefused:
        return Lists(tuple(rings))
    later = [entry.sequence for entry in log.entries if entry.time_s > since_s]
    return Lists(tuple(rings), min(later, default=log.last + 1) - 1, log.last)


def first_since(ring: ProfileRead, since_s: int, utc_s: int) -> int:
    """Give the sequence of the first interval of a ring that ended after an instant.

    ``utc_s`` is when the ring was read.  By their number, as its clock may have been wrong.
    """
    step_s = ring.interval_s
    ended = max(0, utc_s // step_s - since_s // step_s) if step_s else 0
    return max(ring.following - ended, ring.oldest)


def firsts_since(lists: Lists, since_s: int, utc_s: int) -> Mapping[str, int]:
    """Give these sequences by the number of their set."""
    return {str(one.set_nbr): first_since(one, since_s, utc_s) for one in lists.rings}
