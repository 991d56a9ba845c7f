"""What the module must know of a meter to read it: the context of its tables, and its clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ansi_tables import Context, Snapshot, layout_for
from ansi_tables.meaning.clock import ClockRules, clock_rules
from ansi_tables.ssi_tables import CONTEXT_TABLES, context_id
from ansi_tables.values import Record, TableTime
from protocols.c1218.scripts import read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import RemoteProtocolError, ServiceRefused
from protocols.psem.codes import NOT_NOW, ResponseCode
from smartmeter.base.clock import MAX_CALENDAR_S

CLOCK_TABLE = 52
_FOR_NOW = NOT_NOW | {ResponseCode.isc}
#: A clock that shows later is garbage: the module's, set from it, must have room to run on.
LATEST_CLOCK_S = MAX_CALENDAR_S - 366 * 86_400


class ClockNotSet(RemoteProtocolError):
    """The meter does not know what time it is."""


@dataclass
class MeterContext:
    """What is needed to understand the meter's tables: images, decoded, and their name.

    ``rules`` make instants of the meter's times; they follow its clock's flags.
    ``pointer_ahead`` tells of each load-profile set, once a block of it was seen,
    whether ST-63 points one past its newest block.  ``old`` tells that the meter may have been
    programmed since: nothing is understood by it any more, until the context was read anew.
    """

    images: dict[int, bytes]
    context: Context
    id: int
    rules: ClockRules
    pointer_ahead: dict[int, bool] = field(default_factory=dict)
    old: bool = False


def utc_seconds(stored: TableTime, rules: ClockRules, saving: bool | None = None) -> int:
    """Give a table's date and time as UTC seconds, 0 when not set.

    What 32 bits of seconds since 1970 do not hold is no time that a meter was set to:
    minutes since 1970 (TM_FORMAT 3) reach beyond the year 10,000.

    ``saving`` tells whether daylight saving was in force, where the meter says
    it; without, an hour that comes twice is taken as the first.
    """
    second = _utc_seconds(stored, rules, saving)
    return second if 0 < second < MAX_CALENDAR_S else 0


def own_second(meter_s: int, ahead_s: int) -> int:
    """Give by the module's clock what a meter that is so far ahead has dated; 0 stays no time.

    Each of the two may be off by a century: what 32 bits do not hold is taken as their end.
    """
    return max(0, min(meter_s - ahead_s, MAX_CALENDAR_S - 1)) if meter_s else 0


def _utc_seconds(stored: TableTime, rules: ClockRules, saving: bool | None) -> int:
    if rules.zone_applied or rules.dst_applied:
        return rules.utc_s(stored, saving) or 0
    value = stored.value
    if not isinstance(value, datetime):
        return 0
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def read_context(limits: ClientLimits, known: MeterContext | None = None) -> Script[MeterContext]:
    """Read ST-00 and the tables that a receiver needs to decode all others.

    ``known`` has them as the same meter gave them before: one that it only refuses for now, as
    while it is locked after wrong passwords, is as it was where all before it are.  So are the
    flags of a clock (ST-52) that it refuses, where all of them are.
    """
    before = known.images if known else {}
    images = {0: (yield from read_table(0, limits))}
    used = Context.from_images(images).fmt.std_tbls_used
    for number in CONTEXT_TABLES:
        if number in used and number != 0:
            try:
                images[number] = yield from read_table(number, limits)
            except ServiceRefused as error:
                # Without it, some tables stay octets.
                same = all(before.get(one) == image for one, image in images.items())
                if error.code in _FOR_NOW and number in before and same:
                    images[number] = before[number]
    try:
        clock = {}
        if CLOCK_TABLE in used:
            clock[CLOCK_TABLE] = yield from read_table(CLOCK_TABLE, limits)
        rules = clock_rules(Snapshot({**images, **clock}))
    except ServiceRefused:
        if known is None or images != known.images:
            raise
        rules = known.rules
    return MeterContext(images, Context.from_images(images), context_id(images), rules)


def read_saving(meter: MeterContext, limits: ClientLimits) -> Script[Record]:
    """Read ST-52 and take from it whether daylight saving is in force; give the table."""
    image = yield from read_table(CLOCK_TABLE, limits)
    clock: Record = layout_for(CLOCK_TABLE, meter.context).decode(image)
    saving = bool(clock.TIME_DATE_QUAL.DST_FLAG)
    if saving != meter.rules.dst_now:
        meter.rules = replace(meter.rules, dst_now=saving)
    return clock


def read_clock(meter: MeterContext, limits: ClientLimits) -> Script[int]:
    """Read the meter's clock as UTC seconds; ClockNotSet when nobody has set it."""
    clock = yield from read_saving(meter, limits)
    second = utc_seconds(clock.CLOCK_CALENDAR, meter.rules, meter.rules.dst_now)
    if not 0 < second < LATEST_CLOCK_S:
        raise ClockNotSet("the meter's clock is not set")
    return second


def look_at_clock(meter: MeterContext, limits: ClientLimits) -> Script[int | None]:
    """Read the meter's clock as UTC seconds; None when nobody has set it."""
    try:
        return (yield from read_clock(meter, limits))
    except ClockNotSet:
        return None
