"""The overview: how many in which state, what comes in, who is late, what is open."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from smartmeter.tms.exports.kinds import KINDS
from smartmeter.tms.model import State
from smartmeter.tms.service import BAR_S, BARS, LATE, MAX_LISTED, MAX_SEARCH, Service
from smartmeter.tms.web.frame import bar_chart, card, chip, downloads, figure, heading, live
from smartmeter.tms.web.tables import ROWS, PagedTable, fill, table

REFRESH_S = 1.0


def draw(service: Service, query: Mapping[str, str]) -> None:
    """Draw the page and keep it live; ``query`` is that of its address."""
    with ui.row().classes("w-full items-baseline"):
        heading("Overview", 1)
        clock = ui.label().classes("faint").mark("clock")
    with ui.row().classes("w-full gap-3 items-stretch"):
        figures = {
            name: figure(label)
            for name, label in (
                ("meters", "SmartMeters"),
                ("connections", "connections"),
                ("reports_per_minute", "reports in the last minute"),
                ("intervals", "intervals stored"),
                ("open_alarms", "open alarms"),
                ("polls", "polls (by exception)"),
                *(
                    [("scheduled_polls", "scheduled polls of plain meters")]
                    if service.overview()["polled_meters"]
                    else []
                ),
            )
        }
    with card("States"):
        states = ui.row().classes("items-center gap-3").mark("states")
    with card(f"Reports that came in, each bar {BAR_S} s"):
        chart = bar_chart("reports")
    with ui.row().classes("w-full gap-4 items-start"):
        with (
            ui.column().classes("col").style("min-width: min(38rem, 100%)"),
            card("Late or silent"),
        ):
            late = table(
                [("esn", "SmartMeter"), ("state", "State"), ("cause", "Cause"), ("since", "Since")],
                "Nobody is late.",
            )
            more = ui.label().classes("faint")
        with ui.column().classes("col").style("min-width: min(27rem, 100%)"), card("Without power"):
            outages = table([("esn", "SmartMeter"), ("since", "Since")], "No outage.")
            older = ui.label().classes("faint")
    refresh_meters = _meters(service, query)

    def refresh() -> None:
        value = service.overview()
        clock.text = f"{value['time']} UTC on the meters' calendar"
        for name, label in figures.items():
            label.text = f"{value[name]:,}"
        _draw_states(states, value["states"])
        chart.options["xAxis"]["data"] = [f"-{(BARS - 1 - n) * BAR_S} s" for n in range(BARS)]
        chart.options["series"][0]["data"] = value["arrivals"]
        chart.update()
        fill(late, value["late"])
        rest = sum(value["states"][state] for state in LATE) - len(value["late"])
        more.text = f"{rest:,} more, late for less long, are in the list below." if rest else ""
        fill(outages, value["open_outages"])
        newest_only = len(value["open_outages"]) == MAX_LISTED
        older.text = "The newest; older ones are in the list below." if newest_only else ""
        refresh_meters()

    refresh()
    live(service, REFRESH_S, refresh)


def _draw_states(row: ui.row, counts: dict[str, int]) -> None:
    text = [(state, count) for state, count in counts.items() if count]
    if getattr(row, "shown", None) == text:
        return
    row.shown = text  # type: ignore[attr-defined]
    row.clear()
    with row:
        for state, count in text:
            with ui.row().classes("items-center gap-1 no-wrap"):
                chip(state)
                ui.label(f"{count:,}").classes("text-weight-medium")
        if not text:
            ui.label("No SmartMeter is known: import a shipment file under Alarms and work.")


def _meters(service: Service, query: Mapping[str, str]) -> Callable[[], None]:
    """Draw the list of all SmartMeters; give its refresh.

    What is searched for, and the page, are in the address: the way back from a meter leads there.
    """
    state = query.get("state", "")
    asked = {"state": state if state in list(State) else ""}
    asked["search"] = query.get("search", "")[:MAX_SEARCH]
    page = query.get("page", "")

    def rows_of(offset: int) -> tuple[int, list[dict[str, Any]]]:
        found = service.meters(offset, ROWS, asked["state"], asked["search"])
        return found["total"], found["meters"]

    def turned(number: int) -> None:
        chosen = {name: text for name, text in asked.items() if text} | {"page": number}
        ui.run_javascript(f"history.replaceState(null, '', {json.dumps('/?' + urlencode(chosen))})")

    with card("All SmartMeters"):
        with ui.row().classes("items-center gap-4"):
            search = ui.input("Search ESN", value=asked["search"])
            search.props("dense clearable").mark("search")
            choice = ui.select(
                ["all states", *[s.value for s in State]], value=asked["state"] or "all states"
            )
            choice.props('dense aria-label="State"').style("min-width: 10rem")
        columns = [
            ("esn", "SmartMeter"),
            ("state", "State"),
            ("heard", "Last heard"),
            ("next_due", "Next due"),
            ("model", "Model"),
        ]
        first = max(1, int(page)) if page.isdecimal() and len(page) < 10 else 1
        listed = PagedTable(columns, "No SmartMeter fits.", rows_of, first, turned)
        downloads(tuple(KINDS))

    def narrow() -> None:
        asked["search"] = str(search.value or "")
        asked["state"] = "" if choice.value == "all states" else str(choice.value)
        listed.begin()

    search.on_value_change(narrow)
    choice.on_value_change(narrow)
    return listed.refresh
