"""The overview: how many in which state, what comes in, who is late, what is open."""

from __future__ import annotations

from typing import Any

from nicegui import events, ui

from smartmeter.tms.model import State
from smartmeter.tms.service import BAR_S, BARS, Service
from smartmeter.tms.web.frame import bar_chart, card, chip, figure, heading, table

REFRESH_S = 1.0
ROWS = 25


def draw(service: Service) -> None:
    """Draw the page and keep it live."""
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
            ui.column().classes("col").style("min-width: min(22rem, 100%)"),
            card("Late or silent"),
        ):
            late = table(
                [("esn", "SmartMeter"), ("state", "State"), ("cause", "Cause"), ("since", "Since")],
                [],
                "esn",
                "Nobody is late.",
            )
            _link(late)
        with ui.column().classes("col").style("min-width: min(18rem, 100%)"), card("Without power"):
            outages = table([("esn", "SmartMeter"), ("since", "Since")], [], "esn", "No outage.")
            _link(outages)
    refresh_meters = _meters(service)

    def refresh() -> None:
        value = service.overview()
        clock.text = f"{value['time']} UTC on the meters' calendar"
        for name, label in figures.items():
            label.text = f"{value[name]:,}"
        _draw_states(states, value["states"])
        chart.options["xAxis"]["data"] = [f"-{(BARS - 1 - n) * BAR_S} s" for n in range(BARS)]
        chart.options["series"][0]["data"] = value["arrivals"]
        chart.update()
        for drawn, rows in ((late, value["late"]), (outages, value["open_outages"])):
            if drawn.rows != rows:
                drawn.rows = rows
        refresh_meters()

    refresh()
    ui.timer(REFRESH_S, refresh)


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


def _link(drawn: ui.table) -> None:
    """Make the first column a link to the meter's page."""
    drawn.add_slot(
        "body-cell-esn",
        '<q-td :props="props"><a class="text-primary" :href="\'/meter/\' + props.value">'
        "{{ props.value }}</a></q-td>",
    )


def _meters(service: Service) -> Any:
    """Draw the list of all SmartMeters, paged on the server; give its refresh."""
    asked: dict[str, Any] = {"page": 1, "state": "", "search": ""}
    with card("All SmartMeters"):
        with ui.row().classes("items-center gap-4"):
            search = ui.input("Search ESN").props("dense clearable").mark("search")
            choice = ui.select(["all states", *[s.value for s in State]], value="all states")
            choice.props("dense").style("min-width: 10rem")
        columns = [
            ("esn", "SmartMeter"),
            ("state", "State"),
            ("heard", "Last heard"),
            ("next_due", "Next due"),
            ("model", "Model"),
        ]
        shown = [{"name": n, "label": label, "field": n, "align": "left"} for n, label in columns]
        drawn = ui.table(columns=shown, rows=[], row_key="esn", pagination=ROWS)
        drawn.classes("w-full").props('flat dense :rows-per-page-options="[25]"')
        drawn.add_slot("no-data", '<div class="faint q-py-xs">No SmartMeter fits.</div>')
        _link(drawn)

    def refresh() -> None:
        found = service.meters(
            (asked["page"] - 1) * ROWS, ROWS, asked["state"], asked["search"] or ""
        )
        pagination = {"page": asked["page"], "rowsPerPage": ROWS, "rowsNumber": found["total"]}
        if drawn.pagination != pagination:
            drawn.pagination = pagination
        if drawn.rows != found["meters"]:
            drawn.rows = found["meters"]

    def turn(event: events.GenericEventArguments) -> None:
        asked["page"] = max(1, int(event.args["pagination"]["page"]))
        refresh()

    def narrow() -> None:
        asked["page"] = 1
        asked["search"] = str(search.value or "")
        asked["state"] = "" if choice.value == "all states" else str(choice.value)
        refresh()

    drawn.on("request", turn)
    search.on_value_change(narrow)
    choice.on_value_change(narrow)
    return refresh
