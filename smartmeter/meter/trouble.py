"""Trouble: what can be wrong on the line, in the case or in the meter, and what it does.

Each kind is one row of a table: the flag that it sets in ST-03, the event it
causes, and whether it changes what flows.  Flags stay set until procedure 7
clears them, and come back while the cause is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ansi_tables.identifiers import STD_STATUS1_FLAGS
from smartmeter.base.errors import SettingsError
from smartmeter.meter.event_log import EventCode
from smartmeter.meter.loads import Flow

PERCENT = 100
#: Voltage limits of the meter, percent of what it was built for.
SAG_PERCENT, SWELL_PERCENT = 87, 110


class Trouble(StrEnum):
    """The kinds that can be injected."""

    SAG = "sag"
    SWELL = "swell"
    PHASE_LOSS = "phase-loss"
    REVERSE = "reverse-energy"
    TAMPER = "tamper"
    COVER = "cover"
    MAGNET = "magnetic-field"
    LOW_BATTERY = "low-battery"
    RAM = "ram-failure"
    ROM = "rom-failure"
    NONVOLATILE = "nonvolatile-failure"
    CLOCK = "clock-error"
    MEASUREMENT = "measurement-error"
    SELF_CHECK = "self-check-error"
    OVERLOAD = "demand-overload"
    BACKFEED = "load-side-voltage"

    @property
    def argument(self) -> bytes:
        """Give the argument of its events: its place in this list."""
        return bytes([list(Trouble).index(self)])


@dataclass(frozen=True)
class Effect:
    """What a trouble does: flag of ST-03, event when it begins, event when it ends.

    ``mfg_bit`` is its bit of ED_MFG_STATUS: what the standard has no flag for.
    """

    flag: str | None
    begins: EventCode
    ends: EventCode | None = None
    mfg_bit: int | None = None


_LOW, _TAMPER = "LOW_LOSS_POTENTIAL_FLAG", "TAMPER_DETECT_FLAG"
#: What each kind does.
EFFECTS: Mapping[Trouble, Effect] = {
    Trouble.SAG: Effect(_LOW, EventCode.LOW_LOSS_POTENTIAL),
    Trouble.SWELL: Effect(None, EventCode.MFG_SWELL, mfg_bit=2),
    Trouble.PHASE_LOSS: Effect(_LOW, EventCode.LOW_LOSS_POTENTIAL),
    Trouble.REVERSE: Effect("REVERSE_ROTATION_FLAG", EventCode.REVERSE_ROTATION),
    Trouble.TAMPER: Effect(_TAMPER, EventCode.TAMPER_ATTEMPT),
    Trouble.COVER: Effect(_TAMPER, EventCode.ED_UNSEALED, EventCode.ED_SEALED),
    Trouble.MAGNET: Effect(_TAMPER, EventCode.TAMPER_ATTEMPT, mfg_bit=4),
    Trouble.LOW_BATTERY: Effect("LOW_BATTERY_FLAG", EventCode.LOW_BATTERY),
    Trouble.RAM: Effect("RAM_FAILURE_FLAG", EventCode.RAM_FAILURE),
    Trouble.ROM: Effect("ROM_FAILURE_FLAG", EventCode.ROM_FAILURE),
    Trouble.NONVOLATILE: Effect("NONVOL_MEM_FAILURE_FLAG", EventCode.NONVOL_MEM_FAILURE),
    Trouble.CLOCK: Effect("CLOCK_ERROR_FLAG", EventCode.CLOCK_ERROR),
    Trouble.MEASUREMENT: Effect("MEASUREMENT_ERROR_FLAG", EventCode.MEASUREMENT_ERROR),
    Trouble.SELF_CHECK: Effect("SELF_CHK_ERROR_FLAG", EventCode.SELF_CHECK_ERROR),
    Trouble.OVERLOAD: Effect("DEMAND_OVERLOAD_FLAG", EventCode.DEMAND_OVERLOAD),
    Trouble.BACKFEED: Effect(None, EventCode.MFG_LOAD_SIDE_VOLTAGE, mfg_bit=3),
}
_BITS = {name: k for k, name in enumerate(STD_STATUS1_FLAGS)}
#: How many times as much is used under an overload.
OVERLOAD_TIMES = 3
#: Trouble that changes voltages: how many percent are left when nothing else is said.
_VOLTAGE_PERCENT = {Trouble.SAG: 70, Trouble.SWELL: 120, Trouble.PHASE_LOSS: 0}
#: Trouble that changes powers: how many times as much flows.
_POWER_TIMES = {Trouble.REVERSE: -1, Trouble.OVERLOAD: OVERLOAD_TIMES}


@dataclass(frozen=True)
class Condition:
    """A trouble that is there: on one phase (0, 1, 2) or all, with this much of the voltage."""

    kind: Trouble
    phase: int | None = None
    percent: int = PERCENT

    @classmethod
    def of(
        cls, kind: str, phase: int | None = None, percent: int | None = None, phases: int = 3
    ) -> Condition:
        """Check what a person or a file says of a service; SettingsError names the remedy."""
        try:
            trouble = Trouble(kind)
        except ValueError:
            known = ", ".join(Trouble)
            raise SettingsError("trouble", f"{kind!r} is not known", f"one of {known}") from None
        if phase is not None and phase not in range(phases):
            known = ", ".join(map(str, range(phases)))
            raise SettingsError("trouble", f"phase {phase!r}", f"it has {known}; or leave it out")
        default = _VOLTAGE_PERCENT.get(trouble, PERCENT)
        if percent is None:
            percent = default
        if not isinstance(percent, int) or not 0 <= percent <= 200:
            raise SettingsError("trouble", f"percent {percent!r}", "give 0 to 200")
        if trouble is Trouble.SAG and percent >= SAG_PERCENT:
            raise SettingsError("trouble", f"{percent} percent is no sag", f"below {SAG_PERCENT}")
        if trouble is Trouble.SWELL and percent <= SWELL_PERCENT:
            raise SettingsError(
                "trouble", f"{percent} percent is no swell", f"over {SWELL_PERCENT}"
            )
        return cls(
            trouble, 0 if phase is None and trouble is Trouble.PHASE_LOSS else phase, percent
        )


def flag_bit(name: str) -> int:
    """Give a flag of ST-03.ED_STD_STATUS1 as its bit."""
    return 1 << _BITS[name]


class Conditions:
    """The trouble that is there, and the flags of ST-03 that it left.

    ``flow`` gives what flows without trouble, minute by minute.
    """

    def __init__(self, flow: Callable[[int], Flow]) -> None:
        self._flow = flow
        self.present: dict[Trouble, Condition] = {}
        self.standard_status = 0
        self.mfg_status: set[int] = set()

    def begin(self, condition: Condition) -> Effect:
        """Let a trouble begin; give what it does."""
        self.present[condition.kind] = condition
        effect = EFFECTS[condition.kind]
        if effect.flag is not None:
            self.set_flag(effect.flag)
        if effect.mfg_bit is not None:
            self.mfg_status.add(effect.mfg_bit)
        return effect

    def end(self, kind: Trouble) -> Effect:
        """Let a trouble end; its flag stays."""
        self.present.pop(kind, None)
        return EFFECTS[kind]

    def set_flag(self, name: str) -> None:
        """Set a flag of ST-03.ED_STD_STATUS1."""
        self.standard_status |= flag_bit(name)

    def clear_standard(self) -> None:
        """Clear the flags, but for those whose cause is still there."""
        self.standard_status = 0
        for flag in self._flags():
            self.set_flag(flag)

    def clear_manufacturer(self) -> None:
        """Clear the bits of ED_MFG_STATUS, but for those whose cause is still there."""
        bits = (EFFECTS[kind].mfg_bit for kind in self.present)
        self.mfg_status = {bit for bit in bits if bit is not None}

    def _flags(self) -> Iterator[str]:
        for kind in self.present:
            flag = EFFECTS[kind].flag
            if flag is not None:
                yield flag

    def flow(self, minute: int) -> Flow:
        """Give what flows in a minute under the trouble that is there.

        A load takes less at a lower voltage, by its square; the wires swapped,
        all flows the other way; an overload is three times the load.
        """
        flow = self._flow(minute)
        for condition in self.present.values():
            if condition.kind in _VOLTAGE_PERCENT:
                flow = _scaled(flow, condition.phase, condition.percent)
            elif condition.kind in _POWER_TIMES:
                times = _POWER_TIMES[condition.kind]
                flow = replace(
                    flow,
                    power_w=tuple(times * watts for watts in flow.power_w),
                    reactive_var=tuple(times * var for var in flow.reactive_var),
                )
        return flow

    def to_json(self) -> dict[str, Any]:
        """Give flags and conditions for non-volatile memory."""
        present = [[c.kind, c.phase, c.percent] for c in self.present.values()]
        mfg = sorted(self.mfg_status)
        return {"status": self.standard_status, "mfg_status": mfg, "present": present}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.standard_status, self.mfg_status = state["status"], set(state["mfg_status"])
        self.present = {}
        for kind, phase, percent in state["present"]:
            self.present[Trouble(kind)] = Condition(Trouble(kind), phase, percent)


def _scaled(flow: Flow, phase: int | None, percent: int) -> Flow:
    def part(values: tuple[int, ...], power: int) -> tuple[int, ...]:
        return tuple(
            value * percent**power // PERCENT**power if phase in (None, k) else value
            for k, value in enumerate(values)
        )

    return replace(
        flow,
        power_w=part(flow.power_w, 2),
        reactive_var=part(flow.reactive_var, 2),
        millivolts=part(flow.millivolts, 1),
    )
