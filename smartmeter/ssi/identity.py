"""Who the meter at the probe is, and where the lists of another one stand when it is seen first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansi_tables.errors import MissingContextError
from ansi_tables.meaning.identity import IDENTITY, Identity, identity_of
from ansi_tables.profile_blocks import first_since
from protocols.c1218.scripts import read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import RemoteProtocolError, ServiceRefused
from smartmeter.ssi.log_reading import EVENT_LOG, read_log
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.profile_reading import ProfileRead, profile_sets, read_profile

#: A list is refused, or the table that is needed to understand it was.
NOT_TOLD = (ServiceRefused, MissingContextError)


class AnotherMeter(RemoteProtocolError):
    """Another meter answers than the one that the module knows."""


class AnotherContext(RemoteProtocolError):
    """What is known of the meter is not, or may not be, what a job would understand it by."""


@dataclass(frozen=True)
class Lists:
    """Where the lists of another meter stand when it is seen first.

    ``log_last`` is the sequence of the newest entry of its log, ``log_before`` of the newest one
    from before the other meter was seen last; None without a log.
    """

    rings: tuple[ProfileRead, ...] = ()
    log_before: int | None = None
    log_last: int | None = None


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
        except NOT_TOLD:
            continue
    if EVENT_LOG not in meter.context.fmt.std_tbls_used:
        return Lists(tuple(rings))
    try:
        log = yield from read_log(meter, None, limits)
    except NOT_TOLD:
        return Lists(tuple(rings))
    later = [entry.sequence for entry in log.entries if entry.time_s > since_s]
    return Lists(tuple(rings), min(later, default=log.last + 1) - 1, log.last)


def firsts_since(lists: Lists, since_s: int, utc_s: int) -> Mapping[str, int]:
    """Give the first sequence since then of each ring, by set number; read at ``utc_s``."""
    return {
        str(one.set_nbr): first_since(one.oldest, one.following, one.interval_s, (since_s, utc_s))
        for one in lists.rings
    }
