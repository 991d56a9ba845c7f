"""What all pages share: header, navigation, colours of states, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from nicegui import background_tasks, ui

from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.tms.model import State
from smartmeter.tms.service import Service
from smartmeter.tms.web.tables import KEEP_CELLS, TABLE_STYLE

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
    State.RETIRED: "grey-7",
}
STYLE = """
body { font-family: system-ui, "DejaVu Sans", sans-serif }
.figure { font-size: 1.9rem; font-weight: 600; line-height: 1.15 }
.faint { opacity: .72; font-size: .86rem }
h1 { font-size: 1.45rem; font-weight: 600; line-height: 1.3; margin: 0 }
h2 { font-size: 1.05rem; font-weight: 600; line-height: 1.4; margin: 0 }
h1, h2 { overflow-wrap: anywhere; min-width: 0 }
.body--dark .nicegui-content, .body--dark .q-dialog .q-btn--flat { --q-primary: #90caf9 }
@media (max-width: 600px) {
  .nicegui-content, .nicegui-card { padding: .6rem }
}
"""
#: Lines behind a chart, on light and on dark.
GRID = "#8888884d"
#: Leads to the log-in where the session has ended while the connection was away, as with each
#: start of the TMS: the page would try to connect, and be refused, for ever.  It stands in the page
#: itself, since what is sent over the connection does not come where that is away from the start.
COME_BACK = """<script>{
  const waiting = setInterval(() => {
    if (!window.socket) return;
    clearInterval(waiting);
    window.socket.on('connect_error', async () => {
      const answer = await fetch('/api/network').catch(() => null);
      if (answer && answer.status === 401) window.location.reload();
    });
  }, 50);
}</script>"""
#: Tailwind leaves marks and measures of each look at the page in the browser, which keeps them for
#: ever: 200 MB a day of an overview that stays open.  It measures between two marks within one
#: task, and an observer is called between tasks.
FORGET_MEASURES = """<script>
new PerformanceObserver(() => {
  performance.clearMarks();
  performance.clearMeasures();
}).observe({ entryTypes: ['mark', 'measure'] });
</script>"""
#: Said where nothing is drawn: the pages are live, and the browser's own part of them is a script.
NO_SCRIPT = (
    "<noscript>These pages need JavaScript; without it the REST API has the same.</noscript>"
)
#: How often an open page asks whether its reader has logged out elsewhere.
SESSION_S = 2.0
PAGES = (
    ("/", "Overview", "home"),
    ("/work", "Alarms and work", "notifications"),
    ("/network", "Network", "hub"),
)


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page, and whether the log-in that it was opened with still holds."""

    name: str
    is_in: Callable[[], bool]

    def asks(self) -> str:
        """Give who asks that something be done; SettingsError once the log-in has ended.

        The page's websocket outlives it: what comes over that is nobody's then.
        """
        if not self.is_in():
            raise SettingsError("log-in", "has ended", "log in again")
        return self.name


@contextmanager
def frame(title: str, visitor: Visitor, service: Service) -> Iterator[None]:
    """Draw a page's frame; its content goes inside, below a fault that concerns everything."""

    client, has_left = ui.context.client, False

    def look() -> None:
        nonlocal has_left
        if has_left:
            if client.has_socket_connection:  # a browser that stays is told and heard no more
                client.delete()
            return
        if not visitor.is_in():
            has_left = True
            ui.navigate.reload()  # which leads to the log-in, and from there back
        told = service.fault()
        banner.text = f"No report is acknowledged, and the SmartMeters keep them: {told}"
        banner.set_visibility(bool(told))

    ui.add_css(STYLE + TABLE_STYLE)
    ui.add_body_html(NO_SCRIPT)
    ui.add_body_html(COME_BACK)
    ui.add_body_html(FORGET_MEASURES)
    ui.page_title(f"{title} - SmartMeter TMS")
    with ui.header().classes("items-center no-wrap q-py-xs"):
        ui.label("SmartMeter TMS").classes("text-weight-bold gt-xs q-mr-md")
        with ui.element("nav").classes("row items-center no-wrap gap-3"):
            for target, name, icon in PAGES:
                with ui.link(target=target).classes("text-white no-underline row items-center"):
                    ui.icon(icon).classes("q-mr-xs gt-xs")
                    ui.label(name)
        ui.space()
        ui.label(visitor.name).classes("gt-xs q-mr-sm")
        with ui.element("form").props('method="post" action="/logout"'):
            ui.button("Log out").props('flat dense type="submit" color=white no-caps no-wrap')
    with ui.column().classes("w-full q-mx-auto gap-4").style("max-width: 1240px"):
        banner = ui.label().classes("w-full bg-negative text-white rounded-borders q-pa-sm")
        banner.props("role=alert").style("overflow-wrap: anywhere")
        banner.set_visibility(False)
        ui.timer(SESSION_S, look)
        ui.run_javascript(KEEP_CELLS)
        try:
            yield
        except Exception as error:
            with card("This page cannot be shown"):
                told = ui.label("Why is being looked into.").style("overflow-wrap: anywhere")
            if isinstance(error, SmartMeterError):
                told.text = str(error)
            else:
                background_tasks.create(_tell(told, error, service))


async def _tell(label: ui.label, error: Exception, service: Service) -> None:
    label.text = await _explained(error, service)


async def _explained(error: Exception, service: Service) -> str:
    """Give what nobody foresaw in a line: a damaged database mostly, all of which is read for it.

    The loop goes on meanwhile: reports are acknowledged there.
    """
    return str(await asyncio.to_thread(service.explained, error))


def live(
    service: Service, seconds: float, refresh: Callable[[], None], begin_s: float = 0.0
) -> None:
    """Refresh every so often; while it cannot be read, that is said, and what was shown stays."""
    told, shown = "", None
    known: dict[str, str] = {}  # an error is looked into once

    async def look() -> None:
        nonlocal told, shown
        text = ""
        try:
            refresh()
        except SmartMeterError as error:
            text = str(error)
        except Exception as error:
            name = repr(error)
            if name not in known:
                known[name] = await _explained(error, service)
            text = known[name]
        if text == told:
            return
        told = text
        if shown is not None:
            shown.dismiss()
        shown = ui.notification(text, type="negative", timeout=None) if text else None

    if begin_s:
        ui.timer(begin_s, look, once=True)
    ui.timer(seconds, look)


def heading(text: str, level: int = 2) -> None:
    """Write a real heading."""
    with ui.element(f"h{level}"):
        ui.label(text)


@contextmanager
def card(title: str = "") -> Iterator[None]:
    """Draw a card with a title, which names its region: a table in it has no name of its own."""
    with ui.card().classes("w-full").props("flat bordered") as drawn:
        if title:
            drawn.props["role"], drawn.props["aria-label"] = "region", title
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


def bar_chart(name: str) -> ui.echart:
    """Draw an empty bar chart that is filled later."""
    return (
        ui.echart(
            {
                "animation": False,
                "grid": {"left": 40, "right": 10, "top": 14, "bottom": 24},
                "tooltip": {"trigger": "axis"},
                "xAxis": {"type": "category", "data": [], "axisLabel": {"color": "#7a8899"}},
                "yAxis": {
                    "type": "value",
                    "minInterval": 1,
                    "axisLabel": {"color": "#7a8899"},
                    "splitLine": {"lineStyle": {"color": GRID}},
                },
                "series": [
                    {"type": "bar", "name": name, "data": [], "itemStyle": {"color": "#1976d2"}}
                ],
            }
        )
        .classes("w-full")
        .style("height: 10rem")
    )


def downloads(kinds: Sequence[str], esn: str = "") -> None:
    """Draw links to what was collected, of one meter or of all, as CSV files."""
    about = f"?{urlencode({'esn': esn})}" if esn else ""
    with ui.row().classes("items-baseline gap-3"):
        ui.label("Download as CSV:").classes("faint")
        for kind in kinds:
            link = ui.link(kind, f"/api/export/{kind}{about}")
            link.classes("text-primary").props("download")
