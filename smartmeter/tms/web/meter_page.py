"""One SmartMeter: identity, state, load profile, registers, events, schedules, messages."""

from __future__ import annotations

import json
from typing import Any

from nicegui import ui

from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.exports.kinds import KINDS
from smartmeter.tms.fleet_upgrades import FleetUpgrades
from smartmeter.tms.jobs import DONE, ENDED
from smartmeter.tms.model import Kind, State
from smartmeter.tms.service import Service
from smartmeter.tms.web.breaking import Breaker
from smartmeter.tms.web.cancelling import can_be_cancelled
from smartmeter.tms.web.frame import Visitor, card, chip, downloads, heading, live
from smartmeter.tms.web.profile_chart import ProfileChart
from smartmeter.tms.web.retiring import retiring
from smartmeter.tms.web.tables import fill, table

REFRESH_S = 1.5
BUTTONS = (
    (Kind.READ, "Read now", "download"),
    (Kind.DEMAND_RESET, "Demand reset", "restart_alt"),
    (Kind.PROVISION, "Provision again", "settings"),
    (Kind.PING, "Ping", "network_ping"),
    (Kind.TRACE, "Trace", "route"),
    (Kind.KEY, "Change key", "key"),
)
#: What a plain meter can be asked for.
READING = (Kind.READ, Kind.PING)
#: What only a module tells.
MODULES_OWN = ("outages",)
#: Title, columns and what is said of an empty one, by the name of its rows; ``{daily}`` is what
#: comes of it each day, a report or a poll.
PARTS: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "registers": (
        "Registers",
        [("name", "Register"), ("value", "Value"), ("raw", "Raw")],
        "None yet: press Read now, or wait for the daily {daily}.",
    ),
    "schedules": (
        "Schedules",
        [("text", "Due"), ("next", "Next")],
        "Nothing: it is retired, or was not provisioned with the TMS's template.",
    ),
    "outages": ("Outages", [("start", "From"), ("end", "To")], "No outage."),
    "work": (
        "Work",
        [("created", "Time"), ("kind", "Work"), ("state", "State"), ("cause", "Cause")],
        "No work was done with it.",
    ),
    "messages": (
        "Messages",
        [("time", "Time"), ("number", "Nr"), ("reason", "Cause"), ("contents", "Carries")],
        "It has sent nothing yet.",
    ),
    "polls": (
        "Scheduled polls",
        [
            ("due", "Due"),
            ("time", "Ended"),
            ("state", "State"),
            ("cause", "Cause"),
            ("intervals", "New intervals"),
            ("contents", "Read"),
        ],
        "It was not polled yet.",
    ),
    "events": (
        "Events",
        [("time", "Time"), ("text", "Event"), ("user", "User"), ("argument", "Argument")],
        "The daily {daily} brings the meter's log.",
    ),
}


def draw(
    service: Service, upgrades: FleetUpgrades, breaker: Breaker | None, esn: str, visitor: Visitor
) -> None:
    """Draw the page and keep it live."""
    polled = service.meter(esn)["polled"]
    head = ui.row().classes("w-full items-center gap-3").mark("head")
    with ui.row().classes("gap-2"):
        asking = _asking(service, esn, visitor, READING if polled else tuple(Kind))
        show_service = retiring(service, esn, visitor)
        if breaker is not None and (faults := breaker.faults(esn)):
            _breaking(breaker, esn, faults)
    with card("Load profile"):
        chart = ProfileChart(esn)
        downloads([kind for kind in KINDS if not polled or kind not in MODULES_OWN], esn)
    parts, identity = _parts("polls" if polled else "messages")
    can_be_cancelled(parts["work"], service, visitor)
    shown: dict[str, Any] = {}

    def refresh() -> None:
        value = service.meter(esn)
        show_service(value["state"])
        asking.set_visibility(value["state"] != State.RETIRED)
        _head(head, value, shown)
        _identity(identity, identity_lines(value, upgrades.told(esn)), shown)
        for name, rows in _rows(service, esn, value).items():
            fill(parts[name], rows)
        chart.refresh(value["profile_sets"], value["intervals"])

    live(service, REFRESH_S, refresh, 0.1)


def _asking(service: Service, esn: str, visitor: Visitor, kinds: tuple[Kind, ...]) -> ui.row:
    """Draw the buttons by which a meter is asked for something."""
    with ui.row().classes("gap-2") as row:
        for kind, label, icon in BUTTONS:
            if kind in kinds:
                button = ui.button(
                    label, icon=icon, on_click=lambda k=kind: _ask(service, esn, k, visitor)
                )
                button.props("no-caps outline dense").classes("q-px-sm").mark(kind.value)
    return row


def _parts(came: str) -> tuple[dict[str, ui.table], ui.grid]:
    """Draw the tables of the page, empty; give them by name, and the grid of the identity.

    ``came`` names the table of how its data came in.
    """
    daily = "poll" if came == "polls" else "report"
    parts: dict[str, ui.table] = {}
    with ui.row().classes("w-full gap-4 items-start"):
        with ui.column().classes("col").style("min-width: min(30rem, 100%)"):
            # A plain meter tells no outage: a list that is always empty would be a lie.
            for name in ("registers", "schedules", *(("outages",) if came != "polls" else ())):
                parts[name] = _part(name, daily)
        with ui.column().classes("col").style("min-width: min(30rem, 100%)"):
            with card("Identity"):
                identity = ui.grid(columns="auto minmax(0, 1fr)").classes("w-full gap-x-4 gap-y-1")
            parts["work"] = _part("work", daily)
    for name in (came, "events"):
        parts[name] = _part(name, daily)
    return parts, identity


def _rows(service: Service, esn: str, value: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Give what the tables show now."""
    registers = service.collected.registers(esn)["registers"]
    return {
        "registers": [
            {"name": _register_name(one), "raw": one["raw"], "value": _told(one)}
            for one in registers
        ],
        "schedules": value["schedules"],
        "work": service.work.page(0, 8, esn)["jobs"],
        **(
            {"polls": service.collected.polls(esn, 12)}
            if value["polled"]
            else {"messages": _messages(service, esn), "outages": value["outages"]}
        ),
        "events": service.collected.events(esn, 12),
    }


def _messages(service: Service, esn: str) -> list[dict[str, Any]]:
    """Give the newest messages, each with why it was sent in words."""
    told = service.collected.messages(esn, 12)
    return [{**one, "reason": one["cause"].lower().replace("_", " ")} for one in told]


def _register_name(one: dict[str, Any]) -> str:
    """Give a register's name, and that it is of this moment, if so."""
    return f"{one['name']}, present" if one["kind"] == "present" else str(one["name"])


def _told(one: dict[str, Any]) -> str:
    """Give value and unit, which stay on one line."""
    return f"{one['value']}\N{NO-BREAK SPACE}{one['unit'].split()[0]}" if one["value"] else ""


def _part(name: str, daily: str) -> ui.table:
    title, columns, empty = PARTS[name]
    with card(title):
        return table(columns, empty.format(daily=daily))


def _head(row: ui.row, value: dict[str, Any], shown: dict[str, Any]) -> None:
    names = ("state", "cause", "since", "connected", "polled", "place", "replaced_by")
    now = {name: value[name] for name in names}
    if shown.get("head") == now:
        return
    shown["head"] = now
    row.clear()
    with row:
        heading(value["esn"], 1)
        chip(value["state"])
        way, colour = "connected" if value["connected"] else "not connected", "grey-7"
        if value["polled"]:
            way = "a plain meter, polled by the TMS"
        elif value["connected"]:
            colour = "green-8"
        ui.badge(way).props(f"outline color={colour}").classes("q-px-sm q-py-xs")
        since = ui.label(f"{value['cause']} since {value['since']}".strip()).classes("faint")
        since.style("overflow-wrap: anywhere")  # it may name a server, whose name has no space
        for other in [one["esn"] for one in value["place"][1:2]]:
            ui.label(f"in its place since {value['place'][0]['from']}, after").classes("faint")
            _link(other).mark("predecessor")
        if value["replaced_by"]:
            ui.label("in its place:").classes("faint")
            _link(value["replaced_by"]).mark("successor")


def _link(esn: str) -> ui.link:
    return ui.link(esn, f"/meter/{esn}").classes("text-primary")


def _identity(grid: ui.grid, lines: tuple[tuple[str, str], ...], shown: dict[str, Any]) -> None:
    if shown.get("identity") == lines:
        return
    shown["identity"] = lines
    grid.clear()
    with grid:
        for name, text in lines:
            ui.label(name).classes("faint")
            ui.label(text).style("overflow-wrap: anywhere; min-width: 0")


def identity_lines(
    value: dict[str, Any], upgrade: dict[str, Any] | None
) -> tuple[tuple[str, str], ...]:
    """Give names and texts of who it is and how it does."""
    came = (
        ("Last heard", value["heard"] or "-"),
        ("Next due", value["next_due"] or "-"),
        ("Intervals", f"{value['intervals']:,}"),
    )
    if value["polled"]:
        return (
            ("Reached at", value["title"]),
            ("Model", value["model"] or "-"),
            ("Module", "none: it reports nothing by itself, and tells no outage"),
            *came,
        )
    module = value["module"]
    return (
        ("Title", value["title"]),
        ("Model", value["model"] or "-"),
        ("Module", f"{module.get('MODEL', '-')} {module.get('FW_VERSION', '')}"),
        ("Module's state", f"{value['module_state']}, warning {value['module_warning']}"),
        ("Upgrade", _upgrade_text(upgrade) if upgrade else "-"),
        ("Registered", value["registered"] or "-"),
        ("Provisioned", value["provisioned"] or "-"),
        ("Configuration", value["config_version"] or "none"),
        *came,
    )


def _upgrade_text(told: dict[str, Any]) -> str:
    """Give how far a new version has come, and what became of the last one."""
    text = str(told["state"])
    if told["image_octets"]:
        text += f", version {told['image_version']}"
        text += f", {told['received_octets']:,} of {told['image_octets']:,} octets"
    if told["activation"]:
        text += f", from {told['activation']} on"
    return text if told["last_result"] == "none" else f"{text}; the last: {told['last_result']}"


def _ask(service: Service, esn: str, kind: Kind, visitor: Visitor) -> None:
    """Begin a job, and say how it ends."""
    try:
        number = service.request(esn, kind, visitor.asks())
    except SmartMeterError as error:
        ui.notify(str(error), type="warning")
        return
    ui.notify(f"{kind} was begun", type="info")

    def look() -> None:
        job = service.work.one(number)
        if job["state"] not in ENDED:
            return
        timer.cancel()
        if job["state"] == DONE:
            tables = json.loads(job["result"]) if job["result"].startswith("{") else {}
            text = f": {', '.join(f'ST-{n}' for n in tables)} read" if tables else ""
            text = f": {job['result']}" if kind is Kind.TRACE else text
            ui.notify(f"{kind}: done{text}", type="positive")
        else:
            ui.notify(f"{kind} {job['state']}: {job['cause']}", type="negative")

    timer = ui.timer(0.3, look)


def _breaking(breaker: Breaker, esn: str, faults: dict[str, bool]) -> None:
    """Draw the demo's switches that break things."""
    ui.separator().props("vertical")
    labels = {"mains": "Mains off", "network": "Network cut", "silence": "Reports muted"}
    for name, label in labels.items():
        switch = ui.switch(
            label,
            value=faults[name],
            on_change=lambda e, what=name: breaker.strike(esn, what, bool(e.value)),
        )
        switch.props("dense color=red-8").mark(f"break-{name}")
