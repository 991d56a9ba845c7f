"""What can be done to the meters of a served fleet from outside, as a table of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from smartmeter.simulation.actions import Action, ControlError, Json, Key, checked, find, openapi
from smartmeter.simulation.breakable_node import MAX_FAULTS, NetworkFault, NetworkFaultKind
from smartmeter.simulation.control import MEASURING, POWER
from smartmeter.simulation.house import try_wrong_password
from smartmeter.simulation.served_fleet import FleetMember

TITLE = "Control of a served fleet"


def _faults(member: FleetMember, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    return [fault.to_json() for fault in member.line.faults]


def _add_fault(member: FleetMember, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    if len(member.line.faults) >= MAX_FAULTS:
        raise ControlError(409, f"{MAX_FAULTS} faults hold already; DELETE them")
    fault = NetworkFault(NetworkFaultKind(body["kind"]), *(body[name] for name in _PARTS))
    member.line.add(fault)
    return fault.to_json()


def _clear_faults(member: FleetMember, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    member.line.clear()
    return []


def _restart(member: FleetMember, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    if not member.mains_on:
        raise ControlError(409, "it has no mains; POST power first")
    member.device.watchdog(now_us)
    return {}


def _tamper(member: FleetMember, path: Mapping[str, int], body: Json, now_us: int) -> Any:
    if not member.mains_on:
        raise ControlError(409, "it has no mains; nobody can try a password there")
    for _ in range(body["count"]):
        try_wrong_password(member.machine, now_us)
    return {"tries": body["count"]}


_PARTS = ("count", "way", "ms", "times", "percent")
_FAULT_KEYS = {
    "kind": Key(str, choices=tuple(NetworkFaultKind), text="what goes wrong with APDUs"),
    "count": Key(int, None, 1, 1_000_000, text="for how many; all if left out", optional=True),
    "way": Key(str, "both", choices=("both", "out", "in"), text="out is from the meter"),
    "ms": Key(int, 1_000, 0, 600_000, text="how much later (delay, reorder)"),
    "times": Key(int, 2, 2, 100, text="how often it passes in all (repeat)"),
    "percent": Key(int, 50, 1, 100, text="how many of a hundred (loss)"),
}
_METER = "/meters/{meter}"
#: What can be done to one meter, or to all at once.
_ONE_OR_ALL: Sequence[Action] = (
    Action("POST", f"{_METER}/faults", "Let a fault hold", _add_fault, _FAULT_KEYS),
    Action("DELETE", f"{_METER}/faults", "Let no fault hold", _clear_faults),
    POWER,
    Action("POST", f"{_METER}/restart", "Start its module anew, as after a watchdog", _restart),
    Action(
        "POST",
        f"{_METER}/tamper",
        "Let somebody try wrong passwords at its optical port",
        _tamper,
        {"count": Key(int, 1, 1, 100, text="how many")},
    ),
)


def _of_all(action: Action) -> Action:
    """Give what does to all meters what an action does to one."""

    def act(members: Sequence[FleetMember], path: Any, body: Json, now_us: int) -> Any:
        refused = 0
        for member in members:
            try:
                action.act(member, path, body, now_us)
            except ControlError:
                refused += 1
        return {"meters": len(members) - refused, "refused": refused}

    all_path = action.path.replace(_METER, "/all")
    return replace(action, path=all_path, summary=f"{action.summary}: of all meters", act=act)


ACTIONS: Sequence[Action] = (
    Action("GET", f"{_METER}/faults", "The faults of its ways to the network", _faults),
    *_ONE_OR_ALL,
    *MEASURING,
    *map(_of_all, _ONE_OR_ALL),
)


class FleetControl:
    """All meters of a served fleet; synchronous, in their own loop.

    ``counts`` gives what came to them over the network and what was refused, by reason.
    """

    def __init__(self, members: Sequence[FleetMember], counts: Callable[[], Json]) -> None:
        self.members = members
        told = "What came to the listener and to all nodes and was refused, by reason"
        self._actions = (*ACTIONS, Action("GET", "/network", told, lambda *_: counts()))

    def expire(self, now_us: int) -> None:
        """Give power back where its time has come."""
        for member in self.members:
            if member.power_due_us is not None and now_us >= member.power_due_us:
                member.power_due_us = None
                member.power(True, now_us)
                member.step()

    def handle(self, method: str, path: str, body: Any, now_us: int) -> Any:
        """Do what a request asks for; ControlError says why not."""
        if path == "/openapi.json" and method == "GET":
            return openapi(self._actions, TITLE)
        if path == "/meters" and method == "GET":
            return [self._shown(number) for number in range(len(self.members))]
        action, numbers = find(self._actions, method, path)
        asked = checked(action, body)
        if "meter" in numbers:
            member = self._member(numbers["meter"])
            answer = action.act(member, numbers, asked, now_us)
            member.step()
            return answer
        answer = action.act(self.members, numbers, asked, now_us)
        for member in self.members:
            member.step()
        return answer

    def _member(self, number: int) -> FleetMember:
        if number >= len(self.members):
            raise ControlError(404, f"there is no meter {number}; see /meters")
        return self.members[number]

    def _shown(self, number: int) -> Json:
        member = self.members[number]
        return {
            "meter": number,
            "esn": member.shipped.esn,
            "title": str(member.device.title),
            "model": member.shipped.model,
            **member.device.standing(),
            "on": member.mains_on,
            "faults": len(member.line.faults),
            "sent": member.line.counts["out"],
            "received": member.line.counts["in"],
            "lost": member.line.lost,
        }
