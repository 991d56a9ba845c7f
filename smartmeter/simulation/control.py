"""What can be done to served meters from outside, as a table of actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

from ansi_tables import TableError
from protocols.machine import Machine, earliest
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.meter.event_log import STANDARD_EVENTS, EventCode
from smartmeter.meter.meter import Meter
from smartmeter.meter.trouble import Trouble
from smartmeter.meter.twin import Twin, TwinDevice
from smartmeter.meter.twin_events import LOG, with_events
from smartmeter.simulation.actions import Action, ControlError, Json, Key, checked, find, openapi
from smartmeter.simulation.breakable import MAX_FAULTS, Breakable, Fault, FaultKind

MAX_TABLE_OCTETS = 1 << 20
#: Dates that turn over go on for ever in a meter; those of the calendar itself end with the year
#: 9999, to which a fast clock that begins before this has some way.
LATEST_S = 221_845_392_000
NO_TIME = "no meter shows that time; give an offset_s nearer to now"


class EditableMeter(Meter):
    """A meter whose tables can be overridden: what is edited is shown until it is let go."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.edited: dict[int, bytes] = {}
        super().__init__(*arguments, **named)

    def table(self, number: int, now_us: int) -> bytes:
        """Give the edited image, or what the meter has."""
        edited = self.edited.get(number)
        return super().table(number, now_us) if edited is None else edited

    def current(self, table: int, now_us: int) -> bytes:
        """Give a table as it is now; KeyError for one that is not there or write-only."""
        if not self.has(table):
            raise KeyError(table)
        return self.table(table, now_us)

    def edit(self, table: int, image: bytes, now_us: int) -> None:
        """Show an image in the place of a table that there is; else KeyError."""
        self.current(table, now_us)
        self.edited[table] = image

    def release(self, table: int) -> None:
        """Let go of a table that was edited."""
        self.edited.pop(table, None)


class Measuring(Protocol):
    """A served meter of any kind: what measures, its clock, and its mains."""

    #: When power that was cut for a time comes back.
    power_due_us: int | None

    @property
    def machine(self) -> Machine:
        """Give the meter or twin."""

    @property
    def calendar(self) -> Calendar | None:
        """Give its clock, unless that stands."""

    @property
    def mains_on(self) -> bool:
        """Tell whether it has mains."""

    def power(self, on: bool, now_us: int) -> None:
        """Cut or return the mains."""


@dataclass
class Controlled:
    """One served meter: its breakable line and clock, where it is served and controlled."""

    line: Breakable
    name: str
    calendar: Calendar | None = None
    port: str = ""
    url: str = ""
    power_due_us: int | None = None

    @property
    def machine(self) -> EditableMeter | Twin:
        """Give the meter or twin behind the line."""
        return cast(EditableMeter | Twin, self.line.inner)  # nothing else is served

    @property
    def tables(self) -> EditableMeter | TwinDevice:
        """Give its tables, which can be edited."""
        return self.machine.device if isinstance(self.machine, Twin) else self.machine

    @property
    def mains_on(self) -> bool:
        """Tell whether it has mains."""
        return self.machine.mains_on

    def power(self, on: bool, now_us: int) -> None:
        """Cut or return the mains."""
        self.machine.mains(on, now_us)


def _faults(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    return [fault.to_json() for fault in meter.line.faults]


def _add_fault(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    if len(meter.line.faults) >= MAX_FAULTS:
        raise ControlError(409, f"{MAX_FAULTS} faults hold already; DELETE them")
    fault = Fault(FaultKind(body["kind"]), body["count"], body["ms"], body["times"])
    meter.line.add(fault)
    return fault.to_json()


def _clear_faults(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    meter.line.mend()
    return []


def _calls(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    return [asdict(call) for call in meter.line.log.calls]


def _clear_calls(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    meter.line.log.calls.clear()
    return []


def _clock(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    if meter.calendar is None:
        raise ControlError(409, "a twin's clock stands; serve it with --live")
    utc_us = meter.calendar.utc_us(now_us)
    assert utc_us is not None
    if body["offset_s"] is not None:
        moved_us = utc_us + body["offset_s"] * US_PER_S
        if not 0 <= moved_us < LATEST_S * US_PER_S:
            raise ControlError(422, NO_TIME)
        if isinstance(meter.machine, Meter):
            meter.machine.set_clock(moved_us, now_us)
        else:
            _move_a_twins(cast(Twin, meter.machine), body["offset_s"], now_us)
        utc_us = moved_us
    if body["drift_ppm"] is not None:
        meter.calendar.set_drift(body["drift_ppm"], now_us)
    return {"utc_s": utc_us // US_PER_S}


def _move_a_twins(twin: Twin, moved_s: int, now_us: int) -> None:
    """Set the clock of an image that runs on, which may be nearer to the end of dates."""
    try:
        twin.device.move_clock(moved_s, now_us)
    except OverflowError:
        raise ControlError(422, NO_TIME) from None


def _power(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    meter.power(body["on"], now_us)
    off_for_ms = body["for_ms"]
    meter.power_due_us = None
    if not body["on"] and off_for_ms is not None:
        meter.power_due_us = now_us + off_for_ms * 1000
    return {"on": meter.mains_on}


def _simulated(meter: Measuring) -> Meter:
    if not isinstance(meter.machine, Meter):
        raise ControlError(409, "a twin measures nothing; serve a simulated meter")
    return meter.machine


def _troubles(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    present = _simulated(meter).conditions.present.values()
    return [asdict(condition) for condition in present]


def _trouble(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    machine = _simulated(meter)
    try:
        if body["on"]:
            machine.inject(body["kind"], now_us, body["phase"], body["percent"])
        else:
            machine.relieve(body["kind"], now_us)
    except SettingsError as error:
        raise ControlError(422, str(error)) from None
    return _troubles(meter, path, body, now_us)


def _end_troubles(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    machine = _simulated(meter)
    for kind in list(machine.conditions.present):
        machine.relieve(kind, now_us)
    return []


def _press(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    return {"closed": _simulated(meter).press_button(now_us)}


def _storm(meter: Measuring, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    try:
        code = EventCode(body["code"])
    except ValueError:
        known = ", ".join(map(str, STANDARD_EVENTS))
        raise ControlError(
            422, f"code {body['code']} is none that the meter has: {known}"
        ) from None
    if isinstance(meter.machine, Twin):
        return {"events": _storm_of_a_twin(meter.machine, code, body["count"], now_us)}
    machine = _simulated(meter)
    for _ in range(body["count"]):
        machine.note(code, now_us)
    return {"events": body["count"]}


def _storm_of_a_twin(twin: Twin, code: int, count: int, now_us: int) -> int:
    try:
        image, taken = with_events(twin.device.present(now_us), code, count)
    except KeyError as missing:
        remedy = "clone the meter again with its password"
        raise ControlError(409, f"{missing.args[0]}: {remedy}") from None
    except TableError as error:
        raise ControlError(409, f"the image has no event log that decodes: {error}") from None
    twin.device.put(LOG, image, now_us)
    return taken


def _table(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    with _known(path["table"]):
        return {"table": path["table"], "hex": meter.tables.current(path["table"], now_us).hex()}


@contextmanager
def _known(table: int) -> Iterator[None]:
    """Tell of a table that there is not."""
    try:
        yield
    except KeyError:
        raise ControlError(404, f"the meter has no table {table}") from None


def _edit_table(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    try:
        octets = bytes.fromhex(body["hex"])
    except ValueError:
        raise ControlError(422, "hex must be two hexadecimal digits an octet") from None
    if len(octets) > MAX_TABLE_OCTETS:
        raise ControlError(422, f"{len(octets)} octets, at most {MAX_TABLE_OCTETS}")
    table, offset = path["table"], body["offset"]
    with _known(table):
        if offset is not None:
            old = meter.tables.current(table, now_us)
            end = offset + len(octets)
            if end > len(old):
                raise ControlError(422, f"table {table} has {len(old)} octets")
            octets = old[:offset] + octets + old[end:]
        meter.tables.edit(table, octets, now_us)
    return {"table": table, "hex": octets.hex()}


def _release_table(meter: Controlled, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    meter.tables.release(path["table"])
    return {"table": path["table"]}


_METER = "/meters/{meter}"
_FAULT_KEYS = {
    "kind": Key(str, choices=tuple(kind.value for kind in FaultKind), text="what goes wrong"),
    "count": Key(int, 1, 1, 1_000_000, text="for how many packets, or passwords"),
    "ms": Key(int, 1_000, 0, 600_000, text="how much later (delay)"),
    "times": Key(int, 2, 1, 100, text="how often it leaves in all (repeat)"),
}
_TROUBLE_KEYS = {
    "kind": Key(str, choices=tuple(Trouble), text="what is wrong"),
    "on": Key(bool, True, text="false: it ends"),
    "phase": Key(int, None, 0, 2, text="of one phase only", optional=True),
    "percent": Key(int, None, 0, 200, text="of the voltage that is left", optional=True),
}
POWER = Action(
    "POST",
    f"{_METER}/power",
    "Switch the mains",
    _power,
    {
        "on": Key(bool, text="false: power loss"),
        "for_ms": Key(int, None, 1, 86_400_000, text="and on again after so long", optional=True),
    },
)
#: What can be done to whatever measures.
MEASURING: Sequence[Action] = (
    Action(
        "POST",
        f"{_METER}/clock",
        "Let the clock drift, or jump",
        _clock,
        {
            "drift_ppm": Key(int, None, -500_000, 500_000, text="parts per million", optional=True),
            "offset_s": Key(int, None, -(10**9), 10**9, text="seconds to jump by", optional=True),
        },
    ),
    Action("GET", f"{_METER}/troubles", "What is wrong on the line and in the meter", _troubles),
    Action("POST", f"{_METER}/troubles", "Let a trouble begin or end", _trouble, _TROUBLE_KEYS),
    Action("DELETE", f"{_METER}/troubles", "End all troubles", _end_troubles),
    Action("POST", f"{_METER}/button", "Press the button: an armed switch closes", _press),
    Action(
        "POST",
        f"{_METER}/events",
        "An event storm",
        _storm,
        {
            "count": Key(int, 100, 1, 10_000, text="how many"),
            "code": Key(int, 9, 0, 2047, text="standard event code"),
        },
    ),
)
ACTIONS: Sequence[Action] = (
    Action("GET", f"{_METER}/faults", "The faults that hold", _faults),
    Action("POST", f"{_METER}/faults", "Let a fault hold", _add_fault, _FAULT_KEYS),
    Action("DELETE", f"{_METER}/faults", "Let no fault hold", _clear_faults),
    Action("GET", f"{_METER}/calls", "What was asked and answered lately", _calls),
    Action("DELETE", f"{_METER}/calls", "Empty the call log", _clear_calls),
    POWER,
    *MEASURING,
    Action("GET", f"{_METER}/tables/{{table}}", "A table as it is now", _table),
    Action(
        "PUT",
        f"{_METER}/tables/{{table}}",
        "Edit a table, live",
        _edit_table,
        {
            "hex": Key(str, text="its octets"),
            "offset": Key(int, None, 0, 1 << 24, text="where; all if left out", optional=True),
        },
    ),
    Action("DELETE", f"{_METER}/tables/{{table}}", "Let go of an edited table", _release_table),
)


class Control:
    """All served meters, and what can be done to them; synchronous, in the meters' own loop."""

    def __init__(self, meters: Sequence[Controlled], begun_us: int = 0) -> None:
        self.meters = meters
        self.begun_us = begun_us

    def deadline_us(self) -> int | None:
        """Give when power comes back somewhere, if it was cut for a time."""
        return earliest(*(meter.power_due_us for meter in self.meters))

    def expire(self, now_us: int) -> None:
        """Give power back where its time has come."""
        for meter in self.meters:
            if meter.power_due_us is not None and now_us >= meter.power_due_us:
                meter.power_due_us = None
                meter.power(True, now_us)

    def handle(self, method: str, path: str, body: Any, now_us: int) -> Any:
        """Do what a request asks for; ControlError says why not."""
        if path == "/openapi.json" and method == "GET":
            return openapi(ACTIONS, "Control of simulated meters")
        if path == "/meters" and method == "GET":
            return [self._shown(number) for number in range(len(self.meters))]
        action, numbers = find(ACTIONS, method, path)
        return action.act(self._meter(numbers), numbers, checked(action, body), now_us)

    def _shown(self, number: int) -> Json:
        meter = self.meters[number]
        return {
            "meter": number,
            "name": meter.name,
            "port": meter.port,
            "on": meter.mains_on,
            "faults": len(meter.line.faults),
        }

    def _meter(self, numbers: Mapping[str, int]) -> Controlled:
        if numbers["meter"] >= len(self.meters):
            raise ControlError(404, f"there is no meter {numbers['meter']}; see /meters")
        return self.meters[numbers["meter"]]
