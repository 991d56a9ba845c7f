"""The table monitor: conditions on elements of the meter's tables.

It says what to read and judges what was read; reading is the module's work.
Whether a monitor has told of its condition is durable (in the module's
memory), so that a restart tells nothing twice and misses no change; windows of
time begin anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansi_tables import Context, name_of
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import Condition
from smartmeter.ssi.conditions import Watched, whole
from smartmeter.ssi.element import OF_OCTETS, Element
from smartmeter.ssi.memory import Seen

US_PER_MS = 1000
#: What a further read costs on the line, in octets: elements closer than this share one.
READ_COST_OCTETS = 40
MAX_SPAN = 512
#: Monitors of a table that are due within this share of their period are read together.
EARLY_SHARE = 4
NEVER_US = 1 << 62
#: What makes a monitor tell later than it sees.
_HOLDING_BACK = ("MIN_DURATION_MS", "REARM_S", "MAX_PER_HOUR")


@dataclass(frozen=True)
class Span:
    """Octets of a table to read."""

    table: int
    offset: int
    count: int


@dataclass(frozen=True)
class Verdict:
    """A monitor's condition has come true (``raised``) or is over; ``value`` was seen."""

    monitor: Mapping[str, Any]
    raised: bool
    value: int
    octets: bytes = b""


@dataclass
class _Watch:
    monitor: Mapping[str, Any]
    element: Element
    span: Span
    watched: Watched
    next_us: int
    #: The meter does not give what it watches; or not what that was read together with, so that
    #: it is read by itself.
    refused: bool = False
    apart: bool = False

    @property
    def is_alone(self) -> bool:
        """It shares no read."""
        return self.refused or self.apart

    @property
    def period_us(self) -> int:
        return int(self.monitor["PERIOD_MS"]) * US_PER_MS

    @property
    def tells_at_once(self) -> bool:
        """It waits for a change, and nothing makes it hold one back."""
        may_wait = any(self.monitor[name] for name in _HOLDING_BACK)
        return self.monitor["CONDITION"] == Condition.CHANGED and not may_wait


class TableMonitor:
    """All monitors of a module; ``memory`` has what they have told, and of what."""

    def __init__(self, memory: Seen) -> None:
        self._memory = memory
        self._watches: list[_Watch] = []
        self._images: Mapping[int, bytes] = {}
        #: When the first monitor is due; asked at every step, so kept.
        self._next_us = NEVER_US
        self._impossible: list[str] = []
        #: The last ``judge`` saw a first value, with which later ones are compared for changes.
        self.begun = False

    @property
    def faults(self) -> list[str]:
        """Give the monitors that this meter makes impossible: it has not what they watch,
        or does not give it.
        """
        refused = (one.monitor for one in self._watches if one.refused)
        return self._impossible + [
            f"monitor {one['MONITOR_NBR']}: the meter does not give it {name_of(one['TABLE'])}"
            for one in refused
        ]

    def configure(
        self,
        monitors: Sequence[Mapping[str, Any]],
        context: Context,
        images: Mapping[int, bytes],
        now_us: int,
    ) -> None:
        """Bind the monitors to the meter's tables; what it does not have is in ``faults``.

        A monitor that stays as it is goes on; one that watches something else begins anew.
        """
        same_meter = images == self._images
        before = {watch.monitor["MONITOR_NBR"]: watch for watch in self._watches if same_meter}
        self._watches, self._images, self._impossible = [], images, []
        enabled = [monitor for monitor in monitors if monitor["ENABLED"]]
        self._forget_others(enabled)
        for monitor in enabled:
            old = before.get(monitor["MONITOR_NBR"])
            if old is not None and old.monitor == monitor:
                self._watches.append(old)
                continue
            try:
                watched, element = Watched(monitor, images), Element(monitor, context)
                span = Span(monitor["TABLE"], element.offset, element.width)
                self._watches.append(_Watch(monitor, element, span, watched, now_us))
            except TableError as error:
                self._impossible.append(f"monitor {monitor['MONITOR_NBR']}: {error}")
        self._plan()

    def forget(self) -> None:
        """Begin anew at the next ``configure``, with states that were forgotten."""
        self._watches, self._images = [], {}

    def _forget_others(self, enabled: Sequence[Mapping[str, Any]]) -> None:
        """Forget what was told of monitors that are no more, or that watched something else."""
        now = {str(monitor["MONITOR_NBR"]): _watched(monitor) for monitor in enabled}
        memory = self._memory
        for number in list(memory.watch):
            # A version before this one did not keep what it watched.
            if number not in now or memory.watched.get(number, now[number]) != now[number]:
                del memory.watch[number]
        memory.watched = now

    def next_us(self) -> int | None:
        """Give when the first monitor is due."""
        return self._next_us if self._next_us < NEVER_US else None

    def _plan(self) -> None:
        self._next_us = min((watch.next_us for watch in self._watches), default=NEVER_US)

    def due(self, now_us: int) -> list[Span]:
        """Give what to read now; elements of one table share a read where that is cheaper.

        One that the meter may refuse shares none: the others would be refused with it.
        """
        tables = {watch.span.table for watch in self._watches if watch.next_us <= now_us}
        spans: list[Span] = []
        wanted = [
            watch
            for watch in self._watches
            if watch.span.table in tables
            and watch.next_us <= now_us + watch.period_us // EARLY_SHARE
        ]
        alone = dict.fromkeys(watch.span for watch in wanted if watch.is_alone)
        others = (watch.span for watch in wanted if not watch.is_alone)
        for span in sorted(others, key=lambda span: (span.table, span.offset)):
            last = spans[-1] if spans else None
            end = span.offset + span.count
            if (
                last is not None
                and last.table == span.table
                and span.offset - (last.offset + last.count) <= READ_COST_OCTETS
                and end - last.offset <= MAX_SPAN
            ):
                spans[-1] = Span(last.table, last.offset, max(last.count, end - last.offset))
            else:
                spans.append(span)
        return [*spans, *alone]

    def put_off(
        self, asked: Iterable[Span], now_us: int, rest_us: int, told: Callable[[int], bool]
    ) -> None:
        """Set when each monitor that was read is due next: after its period, or the longer rest.

        ``told`` says of a table that its changes are announced (``changed``): a monitor of changes
        there is due with the next one, unless it may have to tell of one later than it sees it.
        One that is to be asked for by itself, and was not, is due when it was.
        """
        spans = list(asked)
        for watch in self._watches:
            if watch.is_alone and watch.span not in spans:
                continue
            if any(_inside(watch.span, span) for span in spans):
                watch.next_us = now_us + max(watch.period_us, rest_us)
                if watch.tells_at_once and told(watch.span.table) and not watch.apart:
                    watch.next_us = NEVER_US
        self._plan()

    def changed(self, table: int, now_us: int) -> None:
        """A table has changed: look at it now."""
        for watch in self._watches:
            if watch.span.table == table:
                watch.next_us = min(watch.next_us, now_us)
        self._plan()

    def answered(self, asked: Iterable[Span], read: Iterable[tuple[Span, bytes]]) -> None:
        """Note what of the spans that were ``asked`` for the meter gives.

        Where it refuses what several share, each is asked for by itself before any is at fault.
        """
        given = [Span(span.table, span.offset, len(octets)) for span, octets in read]
        spans = list(asked)
        for watch in self._watches:
            if any(_inside(watch.span, span) for span in spans):
                is_given = any(_inside(watch.span, span) for span in given)
                watch.refused = not is_given and (watch.refused or watch.span in spans)
                watch.apart = not is_given and not watch.refused

    def stirs(self, asked: Iterable[Span], read: Sequence[tuple[Span, bytes]], now_us: int) -> bool:
        """Tell whether what was read may lead to something that is told or kept."""
        given = [Span(span.table, span.offset, len(octets)) for span, octets in read]
        spans = list(asked)
        return any(
            any(_inside(watch.span, span) for span in spans)
            and watch.refused == any(_inside(watch.span, span) for span in given)
            for watch in self._watches
        ) or any(self._stirs(watch, mine, now_us) for watch, mine in self._each(read))

    def _stirs(self, watch: _Watch, octets: bytes, now_us: int) -> bool:
        condition = watch.monitor["CONDITION"]
        raised, last = self._memory.watch.get(str(watch.monitor["MONITOR_NBR"]), [False, None])
        if condition == Condition.CHANGED or (condition == Condition.SILENT and raised):
            return bool(octets.hex() != last)
        value = watch.element.value(octets)
        if value is None and condition not in OF_OCTETS:
            return False
        return watch.watched.holds(value, bool(raised), now_us) != bool(raised)

    def judge(self, read: Iterable[tuple[Span, bytes]], now_us: int) -> list[Verdict]:
        """Take what was read; give the changes.

        The states are to be made durable now where there are changes, or monitors have ``begun``.
        """
        self.begun = False
        verdicts = [self._judge(watch, mine, now_us) for watch, mine in self._each(read)]
        return [verdict for verdict in verdicts if verdict is not None]

    def _each(self, read: Iterable[tuple[Span, bytes]]) -> Iterator[tuple[_Watch, bytes]]:
        """Give each watch whose octets were read, with them."""
        for span, octets in read:
            for watch in self._watches:
                at = watch.span.offset - span.offset
                mine = octets[at : at + watch.span.count] if at >= 0 else b""
                if _inside(watch.span, span) and len(mine) == watch.span.count:
                    yield watch, mine

    def _judge(self, watch: _Watch, octets: bytes, now_us: int) -> Verdict | None:
        monitor, watched, element = watch.monitor, watch.watched, watch.element
        number = str(monitor["MONITOR_NBR"])
        raised, last = self._memory.watch.get(number, [False, None])
        value = element.value(octets)
        changes = monitor["CONDITION"] == Condition.CHANGED
        if value is None and monitor["CONDITION"] not in OF_OCTETS:
            return None
        if raised:
            told = bytes.fromhex(last)
            watched.resume(element.seen(told, element.value(told)), now_us)
        watched.saw(element.seen(octets, value), value, now_us)
        if changes:
            holds = last is not None and self._moved(watch, bytes.fromhex(last), octets)
        else:
            holds = watched.holds(value, bool(raised), now_us)
        if last is None and changes:
            self._memory.watch[number] = [False, octets.hex()]
            self.begun = True
        if not watched.lasts(holds != bool(raised), now_us):
            return None
        if holds and not watched.may_tell(now_us):
            return None
        watched.told(holds, now_us)
        self._memory.watch[number] = [holds and not changes, octets.hex()]
        return Verdict(monitor, holds, whole(value), octets)

    def _moved(self, watch: _Watch, before: bytes, octets: bytes) -> bool:
        """Tell whether an element is another than it was, by more than its hysteresis."""
        element = watch.element
        old, new = element.value(before), element.value(octets)
        if element.seen(before, old) == element.seen(octets, new):
            return False
        return watch.watched.moved(old, new)


def _watched(monitor: Mapping[str, Any]) -> str:
    """Name the element and the condition that a monitor's state is of."""
    where = monitor["PATH"] or f"{monitor['OFFSET']}+{monitor['WIDTH']}"
    return f"{monitor['TABLE']} {where} {int(monitor['CONDITION'])}"


def _inside(inner: Span, outer: Span) -> bool:
    return (
        inner.table == outer.table
        and outer.offset <= inner.offset
        and inner.offset + inner.count <= outer.offset + outer.count
    )
