"""What the module must know again after a power cut: one page, committed with each change.

Cursors into the meter's lists are the module's own (the meter's unread
pointers belong to the utility).  They move in the same commit that puts what
was read into the outbox: nothing is skipped and nothing is read into two
reports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ansi_tables.decades.d06_load_profile import SETS
from ansi_tables.ssi_tables import Task
from smartmeter.base.nvram import DAMAGED_PAGE, Nvram
from smartmeter.ssi.outbox import LOG_SET

MEMORY_PAGE = "module"
MAX_OUTAGES = 16
#: Losses between two reads of the meter's log that are known when it tells of them.
MAX_POWER_GAPS = 128
MAX_GAPS = 64
#: Events of each kind that the log is expected to tell.
MAX_EFFECTS = 8
#: These change a meter, so those asked for at one meter are not done at another.
OF_ONE_METER = frozenset((Task.DEMAND_RESET, Task.SELF_READ))


@dataclass
class ReadLists:
    """How far the meter's lists were read, and what of them is to be read again."""

    #: Ring epoch of each load-profile set (and of the log), and the sequence that is read next,
    #: by set number.
    profile_epochs: dict[str, int] = field(default_factory=dict)
    profile_cursors: dict[str, int] = field(default_factory=dict)
    #: Blocks, intervals, channels and minutes of the rings that these are of.
    profile_shapes: dict[str, list[int]] = field(default_factory=dict)
    #: How many intervals of each ring were left out of reports, as a part has no form for them.
    profile_left_out: dict[str, int] = field(default_factory=dict)
    #: What the meter recorded before this in another place is not read: first sequence by set
    #: number, last entry of its log.
    profile_begins: dict[str, int] = field(default_factory=dict)
    events_before: int | None = None
    events_reported: int | None = None
    events_judged: int | None = None
    #: Intervals and log entries that left the outbox unsent: [set, ring epoch, first, end) each.
    profile_gaps: list[list[int]] = field(default_factory=list)
    events_missed: int = 0

    def profile_epoch(self, set_nbr: int) -> int:
        """Give the ring epoch of a set or of the log: counted up whenever that begins anew."""
        return self.profile_epochs.get(str(set_nbr), 1)

    def profile_next(self, set_nbr: int) -> int | None:
        """Give the sequence of a set that comes after those that were read; None: none was."""
        return self.profile_cursors.get(str(set_nbr))

    def profile_first(self, set_nbr: int) -> int | None:
        """Give the sequence from which on a set is read; None: all that the ring holds."""
        following = self.profile_next(set_nbr)
        return self.profile_begins.get(str(set_nbr)) if following is None else following

    def begin_profile_anew(self, set_nbr: int) -> None:
        """A set's ring began anew: all that it holds is still to be read."""
        number = str(set_nbr)
        self.profile_epochs = {**self.profile_epochs, number: self.profile_epoch(set_nbr) + 1}
        self.profile_cursors = {n: at for n, at in self.profile_cursors.items() if n != number}
        self.profile_begins = {n: at for n, at in self.profile_begins.items() if n != number}
        self.profile_left_out = {n: of for n, of in self.profile_left_out.items() if n != number}

    @property
    def log_after(self) -> int | None:
        """Give the entry of the log after which it is read; None: all of it."""
        return self.events_before if self.events_reported is None else self.events_reported

    def begin_elsewhere(
        self, begins: Mapping[str, int], events_before: int | None, events_judged: int | None
    ) -> None:
        """The lists are another meter's: its rings have epochs of their own."""
        self.profile_epochs = {str(one): self.profile_epoch(one) + 1 for one in (LOG_SET, *SETS)}
        self.profile_begins, self.profile_cursors, self.profile_shapes = dict(begins), {}, {}
        self.profile_left_out = {}
        self.events_before, self.events_reported = events_before, None
        self.events_judged = events_judged

    def add_gap(self, gap: Sequence[int]) -> int:
        """Remember intervals or log entries (set, ring epoch, first, end) to be read again.

        They become one gap with what they adjoin.  Of too many gaps the oldest is forgotten:
        gives how many intervals that gives up; entries of the log are counted as missed.
        """
        set_nbr, ring_epoch, first, end = gap
        gaps, place = [], len(self.profile_gaps)
        for index, one in enumerate(self.profile_gaps):
            if one[:2] == [set_nbr, ring_epoch] and one[2] <= end and first <= one[3]:
                first, end, place = min(first, one[2]), max(end, one[3]), min(place, index)
            else:
                gaps.append(one)
        gaps.insert(place, [set_nbr, ring_epoch, first, end])
        self.profile_gaps = gaps[-MAX_GAPS:]
        given_up = gaps[:-MAX_GAPS]
        self.events_missed += sum(one[3] - one[2] for one in given_up if one[0] == LOG_SET)
        return sum(one[3] - one[2] for one in given_up if one[0] != LOG_SET)


@dataclass
class Resets:
    """Demand resets and self-reads: what the meter was asked for, and is still to tell of."""

    reset_s: int = 0
    self_read_s: int = 0
    #: When such were asked for whose event the meter's log has not told yet, by code of the event.
    effects_due: dict[str, list[int]] = field(default_factory=dict)
    #: A self-read of which it is not known whether it was done: when it was due, and the sequence
    #: number of the newest one before.
    self_read_asked: list[int | None] | None = None
    #: A demand reset whose ST-25 is still to be reported.
    reset_told: bool = True
    #: When the one before it was, while one is meant and not done; whether the meter was asked
    #: and what it did is not known; how many it had counted then.
    reset_before_s: int | None = None
    reset_open: bool = False
    reset_count: int | None = None

    def expect_effect(self, code: int, asked_s: int) -> None:
        """Expect an event of this code: the meter is about to be asked for what causes it."""
        due_s = [*self.effects_due.get(str(code), []), asked_s]
        self.effects_due[str(code)] = due_s[-MAX_EFFECTS:]

    def refused_effect(self, code: int) -> None:
        """Expect one such event less: what was asked for last was not done."""
        self.effects_due[str(code)] = self.effects_due.get(str(code), [])[:-1]

    def saw_effect(self, code: int, time_s: int, within_s: int) -> bool:
        """Tell whether an event was expected about then; it is then expected no more."""
        due_s = self.effects_due.get(str(code), [])
        for index, asked_s in enumerate(due_s):
            if abs(time_s - asked_s) <= within_s:
                self.effects_due[str(code)] = due_s[index + 1 :]
                return True
        return False


@dataclass
class Seen:
    """What the meter showed last, and what was told of it."""

    #: Raised or not, and the octets last seen, by monitor number; and what that is the state of:
    #: element and condition.
    watch: dict[str, list[Any]] = field(default_factory=dict)
    watched: dict[str, str] = field(default_factory=dict)
    #: The monitors that this meter makes impossible and that were told, in words.
    faults_told: list[str] = field(default_factory=list)
    #: It was told that its clock is too far off, and it still is; the same of the password.
    clock_refused: bool = False
    password_refused: bool = False
    context_sent: int = 0
    season: int | None = None
    calendar: str = ""
    status_bits: str | None = None
    #: Nominal voltages that were learned, by path in ST-28, and under which configuration.
    nominal_v: dict[str, int] = field(default_factory=dict)
    nominal_version: int = 0


@dataclass
class Losses:
    """Losses of the mains, as the sense saw them and as the meter's log told them."""

    outage_start_s: int | None = None
    outage_reported: bool = False
    #: The meter's log told that its power went, and not yet that it came back.
    meter_down_s: int | None = None
    next_outage: int = 1
    momentaries: int = 0
    outages: list[list[int]] = field(default_factory=list)
    #: Outages that the next report is to tell, [number, start, end] each.
    outages_waiting: list[list[int]] = field(default_factory=list)
    #: Losses of mains that were dealt with, [start, end] each, momentary ones too.
    power_gaps: list[list[int]] = field(default_factory=list)
    #: The starts of those of which the meter's log has told.
    gaps_logged: list[int] = field(default_factory=list)


@dataclass
class Memory:
    """The module's own state.  Times are UTC seconds; None is never.

    On the page the members of all groups stand side by side.  A version that rolls an upgrade
    back reads what the newer one wrote: new state is a new member, which it leaves out, and no
    member changes its form.
    """

    lists: ReadLists = field(default_factory=ReadLists)
    resets: Resets = field(default_factory=Resets)
    seen: Seen = field(default_factory=Seen)
    losses: Losses = field(default_factory=Losses)
    #: Maker and serial number of the meter that all of this is about, and that number for people;
    #: empty: not known.  When it was seen last.
    meter: str = ""
    meter_serial: str = ""
    meter_seen_s: int | None = None
    #: It was told that the meter does not answer, and not yet that it does again.
    meter_lost: bool = False
    #: Last due time that was run, by schedule number.
    marks: dict[str, int] = field(default_factory=dict)
    #: When each of those schedules is due, in the members of SCHEDULES that say so; and its task.
    marked: dict[str, list[int]] = field(default_factory=dict)
    marked_tasks: dict[str, int] = field(default_factory=dict)
    #: The zone of schedules in local time beside a meter that tells only what is in force now:
    #: offset in seconds, and after the change that was seen last its second and the new offset.
    zone: list[int] = field(default_factory=list)
    #: Runs that the TMS has asked for out of turn and that are not done: schedule, when, and the
    #: task that it had.
    orders: list[list[int]] = field(default_factory=list)
    next_alarm: int = 1
    advisories: list[str] = field(default_factory=list)
    acknowledged_s: int = 0
    restarts: int = 0
    watchdog_resets: int = 0
    reports: int = 0
    reports_dropped: int = 0

    def forget_meter(
        self, begins: Mapping[str, int], events_before: int | None, events_judged: int | None
    ) -> None:
        """Forget what is of one meter, as another has come.

        ``begins`` and ``events_before`` tell where its lists begin to be of this place.
        """
        self.lists.begin_elsewhere(begins, events_before, events_judged)
        # The parts of the module hold on to the groups: they stay, with the values of new ones.
        vars(self.resets).update(vars(Resets()))
        vars(self.seen).update(vars(Seen()))
        self.losses.meter_down_s, self.losses.gaps_logged = None, []
        self.orders = [one for one in self.orders if one[2] not in OF_ONE_METER]

    def pages(self) -> dict[str, bytes | None]:
        """Give the change that makes this state durable."""
        members = dict(vars(self))
        for name in _GROUPS:
            members |= vars(members.pop(name))
        return {MEMORY_PAGE: json.dumps(members).encode()}


_GROUPS = {"lists": ReadLists, "resets": Resets, "seen": Seen, "losses": Losses}


def load_memory(nvram: Nvram) -> tuple[Memory, bool]:
    """Read the module's state; a new one, and True, when what was kept is damaged.

    A new state reads the meter's lists from their beginning; the TMS knows by
    their sequence numbers what it has already.  So does one of a medium that has lost
    something: that may have been a report of what the cursors are past.
    """
    page, damaged = nvram.get(MEMORY_PAGE), nvram.get(DAMAGED_PAGE) is not None
    if page is None:  # what was lost may have been just that
        return Memory(), damaged
    try:
        members = dict(json.loads(page).items())
        groups = {name: _known(group, members) for name, group in _GROUPS.items()}
        memory: Memory = _known(Memory, {**members, **groups})
    except (ValueError, TypeError, AttributeError):
        return Memory(), True
    if damaged:
        memory.lists.profile_cursors, memory.lists.events_reported = {}, None
    return memory, damaged


def _known(kind: Any, members: Mapping[str, Any]) -> Any:
    """Make one of the members that it has."""
    return kind(**{one.name: members[one.name] for one in fields(kind) if one.name in members})
