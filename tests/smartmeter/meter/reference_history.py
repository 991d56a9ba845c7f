"""A real meter and the reference model, side by side through the same history."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.procedures import Initiate, encode_initiate
from protocols.c1218.server import Refused
from smartmeter.base.clock import US_PER_S
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.configuration import with_tables
from smartmeter.meter.loads import Flow, flow_at
from smartmeter.meter.meter import STATE_PAGE
from smartmeter.meter.profile import DeviceProfile
from smartmeter.meter.program import ConfigurationRefused
from tests.smartmeter.meter.bench import Bench
from tests.smartmeter.meter.reference import OVERLOAD, Reference
from tests.smartmeter.meter.reference_compare import compare

#: Tables that say how a meter is programmed; a snapshot of these is what the reference is told.
CONFIGURATION = (0, *range(11, 18), 21, 22, 27, 51, 53, 54, 61, 62, 71, 72, 73, 75)
#: What is left of the voltage, and on which phase.
VOLTAGES = {"sag": (60, 0), "phase-loss": (0, 0), "swell": (120, None)}
#: How many times as much power flows.
POWERS = {"reverse-energy": -1, "demand-overload": 3}
#: Event and its argument.
EVENTS = {
    "sag": (45, 0),
    "swell": (0x800, 1),
    "phase-loss": (45, 2),
    "reverse-energy": (48, 3),
    "demand-overload": (46, OVERLOAD),
}


class Pair:
    """Both; each method is one thing that can happen in a history."""

    def __init__(
        self, profile: DeviceProfile, seed: int, start_s: int, nvram: MemoryNvram | None = None
    ) -> None:
        self.bench = Bench(profile, epoch_us=start_s * US_PER_S, nvram=nvram, seed=seed)
        self.troubles: list[str] = []
        self.position, self.moved = "closed", 0
        #: The table that waits: when, its number, its image.
        self.waiting: tuple[int, int, bytes] | None = None
        #: A session has programmed the meter, and has not ended.
        self.programmed = False
        self.seed, self.profile = seed, profile
        self.reference = Reference(
            self.bench.snapshot(),
            self._flow,
            start_s,
            frozenset(profile.clock),
            profile.overload_w,
        )

    def _flow(self, minute: int) -> Flow:
        """What flows, with the trouble that is there: a load takes less by the voltage's square."""
        flow = flow_at(self.seed, minute, self.profile.load, self.profile.service)
        for kind in self.troubles:
            if kind in POWERS:
                flow = _scaled(flow, POWERS[kind], 1, 1, None)
            else:
                percent, phase = VOLTAGES[kind]
                flow = _scaled(flow, percent, 100, 2, phase)
                flow = replace(flow, millivolts=_part(flow.millivolts, percent, 100, phase))
        if self.position != "closed":
            flow = _scaled(flow, 0, 1, 1, None)
        return flow

    def compare(self) -> None:
        compare(self.bench.snapshot(), self.reference)

    # Time and power.

    def run(self, chance: Random) -> None:
        seconds = chance.choice((7, 61, 900, 3600, 5 * 3600, 20 * 3600)) + chance.randrange(900)
        self.wait(seconds)

    def days(self, chance: Random) -> None:
        self.wait(chance.randint(1, 6) * 86_400 + chance.randrange(86_400))

    def wait(self, seconds: int) -> None:
        """Run both; a table that waits becomes active on the way."""
        before = self.bench.snapshot() if self.waiting else None
        legal = self._waiting_is_legal()
        self.bench.wait(seconds * US_PER_S)
        end = self.reference.now + seconds
        if before is not None and self.waiting is not None and self.waiting[0] <= end:
            self.reference.run(max(0, self.waiting[0] - self.reference.now))
            self._activated(before, legal)
        self.reference.run(end - self.reference.now)

    def outage(self, chance: Random) -> None:
        """Off and on; half the time the processor starts anew, as from a dead supply."""
        seconds = chance.choice((1, 30, 600, 4000, 30_000, 200_000)) + chance.randrange(60)
        bench, before, legal = self.bench, self.bench.snapshot(), self._waiting_is_legal()
        bench.meter.ended(bench.now_us)
        self._session_ended()
        bench.meter.mains(False, bench.now_us)
        bench.now_us += seconds * US_PER_S
        if chance.random() < 0.5:
            bench.start()
        else:
            bench.meter.mains(True, bench.now_us)
        self.reference.outage(seconds)
        if self.waiting is not None and self.waiting[0] <= self.reference.now:
            bench.meter.expire(bench.now_us)
            self._activated(before, legal)

    def kill(self, chance: Random) -> None:
        """Start the processor anew; a session that it finds open ended at its last commit."""
        state = json.loads(self.bench.nvram.get(STATE_PAGE) or b"")
        self.bench.start()
        self._session_ended(state["metering"]["measured_us"] // US_PER_S)

    def _session_ended(self, at_s: int | None = None) -> None:
        if self.programmed:
            self.programmed = False
            self.reference.counters[52] += 1
            self.reference.logs.note(11, self.reference.now if at_s is None else at_s)

    # Procedures.

    def procedure(self, number: int, parameters: Mapping[str, Any]) -> int | None:
        """Run a procedure; gives the result code, None where the device does not offer it."""
        meter = self.bench.meter
        if number not in meter.program.formats.std_proc_used:
            return None
        image = encode_initiate(Initiate(number, 1, parameters), meter.program.context)
        meter.write_table(7, image, self.bench.now_us)
        return meter.table(8, self.bench.now_us)[3]

    def done(self, number: int) -> None:
        """Let the reference log a procedure that was run."""
        order = self.bench.meter.program.formats.data_order
        argument = (0x1000 | number).to_bytes(2, order)
        self.reference.logs.note(9, self.reference.now, argument, number)

    def clock(self, chance: Random) -> None:
        seconds = chance.choice((-1, 1)) * (chance.choice((2, 90, 1000, 8000)))
        reference = self.reference
        moment = reference.calendar.shown_then(reference.now + seconds)
        seconds = reference.calendar.instant_of(moment) - reference.now
        mask = {"SET_TIME_FLAG": 1, "SET_DATE_FLAG": 1, "SET_TIME_DATE_QUAL": 0}
        given = {"SET_MASK": mask, "DATE_TIME": moment, "TIME_DATE_QUAL": 0}
        code = self.procedure(10, given)
        if code is not None:
            assert code == 0
            reference.set_clock(seconds)
            self.moved += seconds
            if self.waiting is not None:
                due, number, image = self.waiting
                self.waiting = due + seconds, number, image
            self.done(10)

    def reset(self, chance: Random) -> None:
        self._remote(chance.choice((1, 1, 2, 3)), 0)

    def season(self, chance: Random) -> None:
        self._remote(4 | chance.choice((0, 1, 2, 3)), chance.randrange(2))

    def _remote(self, actions: int, season: int) -> None:
        reference = self.reference
        flags = ("DEMAND_RESET_FLAG", "SELF_READ_FLAG", "SEASON_CHANGE_FLAG")
        action = {name: actions >> k & 1 for k, name in enumerate(flags)} | {"NEW_SEASON": season}
        calendar = self.bench.meter.program.table(51).get("CALENDAR_FUNC", {})
        code = self.procedure(9, {"ACTION_FLAG": action})
        if code is None:
            return
        if actions & 4 and season >= calendar.get("NBR_SEASONS", 0):
            assert code == 2
            return
        if actions & 1 and reference.now < reference.reset_until:
            assert code == 4
            return
        assert code == 0
        begins = season if actions & 4 else None
        reference.act(bool(actions & 2), bool(actions & 1), begins)
        reference.move_tier()
        self.done(9)

    def recording(self, chance: Random) -> None:
        number = chance.choice((16, 17))
        if self.procedure(number, {}) is not None:
            self.reference.record(number == 16)
            self.done(number)

    def mode(self, chance: Random) -> None:
        on = chance.random() < 0.5
        names = ("METERING_FLAG", "TEST_MODE_FLAG", "METER_SHOP_MODE_FLAG", "FACTORY_FLAG")
        mode = dict.fromkeys(names, 0) | {names[on]: 1}
        if self.procedure(6, {"ED_MODE": mode}) is not None:
            self.reference.test_mode(on)
            self.done(6)

    def clear(self, chance: Random) -> None:
        if self.procedure(3, {}) is not None:
            self.reference.clear_data()
            self.done(3)

    def acknowledge(self, chance: Random) -> None:
        """Acknowledge entries of a list, or empty it."""
        code, count = chance.choice((1, 2, 3, 4, 7, 8, 255)), chance.randint(0, 40)
        empties = chance.random() < 0.3
        given = {"TBL_LIST": code} | ({} if empties else {"ENTRIES_READ": count})
        number = 4 if empties else 5
        answer, lists = self.procedure(number, given), self._lists(code)
        if answer is None:
            return
        assert answer == (0 if lists else 2)
        if not lists:
            return
        logs, now = self.reference.logs, self.reference.now
        octets = count.to_bytes(2, self.bench.meter.program.formats.data_order)
        for name, found in lists:
            found.clear() if empties else found.acknowledge(count)
            if name in ("event", "history"):
                log = (18 if empties else 19) if name == "event" else (16 if empties else 17)
                logs.note(log, now, b"" if empties else octets)
        for one in self.reference.profiles:
            one.used = one.used if one.blocks.entries else 0
        logs.note(14 if empties else 15, now, bytes([code]))
        self.done(number)

    def _lists(self, code: int) -> list[tuple[str, Any]]:
        reference = self.reference
        sets = {one.number: one.blocks for one in reference.profiles}
        found: list[tuple[str, Any]] = []
        used = self.bench.snapshot()[0].STD_TBLS_USED
        if code == 1 and 76 in used:
            found.append(("event", reference.logs.logs[76]))
        if code in (8, 255) and 74 in used:
            found.append(("history", reference.logs.logs[74]))
        if code in (2, 255) and 26 in used:
            found.append(("self-reads", reference.self_reads))
        if code in (7, 255):
            found += [("set", blocks) for blocks in sets.values()]
        return found + [("set", blocks) for n, blocks in sets.items() if n == code - 2]

    # Trouble.

    def trouble(self, chance: Random) -> None:
        kind, bench = chance.choice([*VOLTAGES, *POWERS]), self.bench
        if kind in self.troubles:
            bench.meter.relieve(kind, bench.now_us)
            self.troubles.remove(kind)
            return
        percent, phase = VOLTAGES.get(kind, (None, None))
        bench.meter.inject(kind, bench.now_us, phase, percent)
        self.troubles.append(kind)
        if kind in VOLTAGES:
            self.reference.counters[41 if kind == "swell" else 40] += 1
        if kind in EVENTS:
            code, argument = EVENTS[kind]
            self.reference.logs.note(code, self.reference.now, bytes([argument]))

    def switch(self, chance: Random) -> None:
        """Open or arm the service switch, or press its button."""
        bench, reference = self.bench, self.reference
        if bench.meter.switch is None:
            return
        move = chance.choice(("open", "arm", "press"))
        target = {
            ("closed", "open"): "open",
            ("armed", "open"): "open",
            ("open", "arm"): "armed",
            ("armed", "press"): "closed",
        }.get((self.position, move))
        contacts = target is not None and "closed" in (self.position, target)
        resting = contacts and reference.now < self.moved + 10
        if move == "press":
            assert bench.meter.press_button(bench.now_us) == (target is not None and not resting)
        else:
            given = {"LEVEL": 100 * (move == "arm"), "CONTROL_POINTS": {0}, "DURATION": None}
            code = self.procedure(21, given)
            if code is None:
                return
            assert code == (4 if resting else 0)
        if target is not None and not resting:
            self.position = target
            self.moved = reference.now if contacts else self.moved
            argument = bytes([["closed", "open", "armed"].index(target)])
            reference.logs.note(51 if move == "press" else 49, reference.now, argument)
        if move != "press" and not resting:
            self.done(21)

    # Reprogramming.

    def pend(self, chance: Random) -> None:
        """Write a table that becomes active after some time."""
        meter, reference = self.bench.meter, self.reference
        number = chance.choice((13, 61))
        tables = self.bench.snapshot()
        if self.waiting is not None or number not in tables or not meter.writable(number | 0x1000):
            return
        image = tables.layout(number).encode(CHANGES[number](tables[number], chance))
        hours, minutes = chance.randrange(4), chance.randrange(60)
        event = bytes((1, 0, 0, hours, minutes, 7))
        meter.write_table(number | 0x1000, event + image, self.bench.now_us)
        due = reference.now + hours * 3600 + minutes * 60 + 7
        self.waiting = due, number, image
        order = meter.program.formats.data_order
        reference.logs.note(10, reference.now, (number | 0x1000).to_bytes(2, order), number)

    def _waiting_is_legal(self) -> bool:
        if self.waiting is None:
            return False
        try:
            with_tables(self.bench.meter.images, {self.waiting[1]: self.waiting[2]})
        except ConfigurationRefused:
            return False
        return True

    def _activated(self, before: Snapshot, legal: bool) -> None:
        """Let the reference take what has become active, or was discarded."""
        assert self.waiting is not None
        _, number, _ = self.waiting
        self.waiting = None
        reference = self.reference
        argument = number.to_bytes(2, self.bench.meter.program.formats.data_order)
        if legal:
            self._reprogrammed(before)
        reference.logs.note(28 if legal else 29, reference.now, argument)
        if not legal:
            reference.logs.note(37, reference.now)
        elif before.images[number] != self.bench.meter.images[number]:
            reference.counters[52] += 1
            reference.logs.note(11, reference.now)

    def _reprogrammed(self, before: Snapshot) -> None:
        now = self.bench.snapshot()
        changed = {n for n in CONFIGURATION if before.images.get(n) != now.images.get(n)}
        self.reference.reprogram(now, changed)

    def reprogram(self, chance: Random) -> None:
        """Write a configuration table with something changed in it."""
        number, change = chance.choice(list(CHANGES.items()))
        tables = self.bench.snapshot()
        if number not in tables or number not in tables[0].STD_TBLS_WRITE:
            return
        self.write(number, change(tables[number], chance))

    def write(self, number: int, value: Any) -> None:
        """Write a table; nothing happens when the meter refuses it."""
        tables = self.bench.snapshot()
        image = tables.layout(number).encode(value)
        try:
            self.bench.meter.write_table(number, image, self.bench.now_us)
        except Refused:
            return
        self._reprogrammed(tables)
        self.programmed |= tables.images[number] != image
        order = self.bench.meter.program.formats.data_order
        self.reference.logs.note(10, self.reference.now, number.to_bytes(2, order), number)


def _part(values: tuple[int, ...], times: int, by: int, phase: int | None) -> tuple[int, ...]:
    """Give values of which one phase, or all, are multiplied and divided."""
    return tuple(v * times // by if phase in (None, k) else v for k, v in enumerate(values))


def _scaled(flow: Flow, times: int, by: int, power: int, phase: int | None) -> Flow:
    times, by = times**power, by**power
    return replace(
        flow,
        power_w=_part(flow.power_w, times, by, phase),
        reactive_var=_part(flow.reactive_var, times, by, phase),
    )


def _demand_lengths(table: Any, chance: Random) -> Any:
    step = chance.choice((5, 15, 30))
    found = []
    for entry in table.INTERVAL_VALUE:
        new = {"SUB_INT": step, "INT_MULTIPLIER": 2} if "SUB_INT" in entry else {}
        found.append(entry | (new or {"INT_LENGTH": step}))
    return table | {"INTERVAL_VALUE": found}


def _registers(table: Any, chance: Random) -> Any:
    summations = list(table.SUMMATION_SELECT)
    chance.shuffle(summations)
    return table | {"SUMMATION_SELECT": summations}


def _tiers(table: Any, chance: Random) -> Any:
    switches = []
    for entry in table.TIER_SWITCHES:
        tier = chance.choice((entry.TIER_SWITCH.NEW_TIER, 0, 1))
        switches.append(entry | {"TIER_SWITCH": entry.TIER_SWITCH | {"NEW_TIER": tier}})
    return table | {"TIER_SWITCHES": switches}


def _intervals(table: Any, chance: Random) -> Any:
    name = chance.choice([n for n in table if n.startswith(("MAX_INT_TIME", "NBR_BLK_INTS"))])
    return table | {name: chance.choice((5, 10, 12, 20, 30))}


def _monitored(table: Any, chance: Random) -> Any:
    flipped = frozenset(chance.sample(range(1, 49), 8))
    name = "STD_EVENTS_MONITORED_FLAGS"
    return table | {name: frozenset(table[name]) ^ flipped}


def _entries(table: Any, chance: Random) -> Any:
    return table | {"NBR_EVENT_ENTRIES": max(1, table.NBR_EVENT_ENTRIES - chance.randint(0, 5))}


def _zone(table: Any, chance: Random) -> Any:
    if "TIME_ZONE_OFFSET" not in table:
        return table
    return table | {"TIME_ZONE_OFFSET": chance.choice((-300, -360, 60, 345))}


#: What a history can change in a configuration table.
CHANGES: dict[int, Callable[[Any, Random], Any]] = {
    13: _demand_lengths,
    22: _registers,
    53: _zone,
    54: _tiers,
    61: _intervals,
    71: _entries,
    73: _monitored,
    75: _monitored,
}
#: Everything that can happen, and how often.
ACTS = {
    "run": 12,
    "outage": 4,
    "kill": 2,
    "clock": 3,
    "reset": 3,
    "season": 1,
    "recording": 1,
    "mode": 1,
    "clear": 1,
    "acknowledge": 2,
    "trouble": 2,
    "switch": 2,
    "pend": 2,
    "reprogram": 3,
}


def agree(profile: DeviceProfile, seed: int, start_s: int, steps: int, long: bool = False) -> None:
    """Go through a drawn history; AssertionError tells it up to where they differ."""
    chance = Random(f"{profile.title}/{seed}")
    pair = Pair(profile, seed, start_s)
    weights = {**ACTS, "days": 25} if long else ACTS
    history = chance.choices(list(weights), list(weights.values()), k=steps)
    for number, act in enumerate(history):
        try:
            getattr(pair, act)(chance)
            pair.compare()
        except AssertionError as error:
            so_far = " ".join(history[: number + 1])
            told = f"{profile.title}, seed {seed}: {so_far}: {error}"
            raise AssertionError(told) from error
