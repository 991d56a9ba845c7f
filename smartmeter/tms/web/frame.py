"""What all pages share: header, navigation, colours of states, empty and error states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from smartmeter.tms.model import State

COLOURS = {
    State.PROVISIONED: "green-8",
    State.REGISTERED: "blue-7",
    State.PROVISIONING: "blue-7",
    State.SHIPPED: "grey-6",
    State.OVERDUE: "amber-9",
    State.SILENT: "red-8",
    State.POWERLESS: "deep-purple-7",
    State.FAILED: "red-8",
    State.POLLED: "teal-8",
}
STYLE = """
body { font-family: system-ui, "DejaVu Sans", sans-serif }
.figure { font-size: 1.9rem; font-weight: 600; line-height: 1.15 }
.faint { opacity: .72; font-size: .86rem }
.q-table th { font-weight: 600 }
h1 { font-size: 1.45rem; font-weight: 600; line-height: 1.3; margin: 0 }
h2 { font-size: 1.05rem; font-weight: 600; line-height: 1.4; margin: 0 }
@media (max-width: 600px) { .nicegui-content { padding: .6rem } }
"""
PAGES = (
    ("/", "Overview", "home"),
    ("/work", "Alarms and work", "notifications"),
    ("/network", "Network", "hub"),
)


@contextmanager
def frame(title: str, user: str) -> Iterator[None]:
    """Draw a page's frame; its content goes inside."""
    ui.add_css(STYLE)
    ui.page_title(f"{title} - SmartMeter TMS")
    with ui.header().classes("items-center no-wrap q-py-xs"):
        ui.label("SmartMeter TMS").classes("text-weight-bold gt-xs q-mr-md")
        with ui.element("nav").classes("row items-center no-wrap gap-3"):
            for target, name, icon in PAGES:
                with ui.link(target=target).classes("text-white no-underline row items-center"):
                    ui.icon(icon).classes("q-mr-xs")
                    ui.label(name)
        ui.space()
        ui.label(user).classes("gt-xs q-mr-sm")
        with ui.element("form").props('method="post" action="/logout"'):
            ui.button("Log out").props('flat dense type="submit" color=white no-caps')
    with ui.column().classes("w-full q-mx-auto gap-4").style("max-width: 1240px"):
        yield


def heading(text: str, level: int = 2) -> None:
    """Write a real heading."""
    with ui.element(f"h{level}"):
        ui.label(text)


@contextmanager
def card(title: str = "") -> Iterator[None]:
    """Draw a card with a title."""
    with ui.card().classes("w-full").props("flat bordered"):
        if title:
            heading(title)
        yield


def figure(name: str) -> ui.label:
    """Draw a big number with its name; gives the number to be set."""
    with ui.card().classes("col").props("flat bordered").style("min-width: 8.5rem"):
        value = ui.label("-").classes("figure")
        ui.label(name).classes("faint")
    return value


def chip(state: str) -> None:
    """Draw a state."""
    colour = {known.value: colour for known, colour in COLOURS.items()}.get(state, "grey-7")
    ui.badge(state).props(f"color={colour}").classes("q-px-sm q-py-xs text-body2")


def table(
    columns: list[tuple[str, str]], rows: list[dict[str, Any]], key: str, empty: str
) -> ui.table:
    """Draw a table of text; ``empty`` is said when it has no rows."""
    shown = [
        {"name": name, "label": label, "field": name, "align": "left"} for name, label in columns
    ]
    drawn = ui.table(columns=shown, rows=rows, row_key=key).classes("w-full")
    drawn.props('flat dense wrap-cells hide-pagination :rows-per-page-options="[0]"')
    drawn.add_slot("no-data", f'<div class="faint q-py-xs">{empty}</div>')
    return drawn


def bar_chart(name: str) -> ui.echart:
    """Draw an empty bar chart that is filled later."""
    return (
        ui.echart(
            {
                "animation": False,
                "grid": {"left": 40, "right": 10, "top": 14, "bottom": 24},
                "tooltip": {"trigger": "axis"},
                "xAxis": {"type": "category", "data": [], "axisLabel": {"color": "#7a8899"}},
                "yAxis": {"type": "value", "minInterval": 1, "axisLabel": {"color": "#7a8899"}},
                "series": [
                    {"type": "bar", "name": name, "data": [], "itemStyle": {"color": "#1976d2"}}
                ],
            }
        )
        .classes("w-full")
        .style("height: 10rem")
    )
