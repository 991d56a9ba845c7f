"""Tables of text on a page: paged on the server where they are long, readable on a phone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nicegui import events, ui

TABLE_STYLE = """
.q-table th { font-weight: 600 }
@media (max-width: 600px) {
  .q-table th, .q-table td { padding: 2px 5px !important; white-space: normal !important }
}
@media (max-width: 820px) {
  .stacked thead { display: none }
  .stacked tbody tr { display: grid; grid-template-columns: repeat(3, 1fr); padding: .3rem 0;
    height: auto !important }
  .stacked tbody tr:not(:last-child) { border-bottom: 1px solid #8888884d }
  .stacked tbody td { border: 0 !important; height: auto !important; overflow-wrap: anywhere;
    padding: 2px 5px !important }
  .stacked tbody td:empty, .stacked tbody .no-time { display: none }
  .stacked tbody td::before { content: var(--label) !important; position: static !important;
    display: block; background: none !important; font-size: .72rem; opacity: .72 }
}
"""
#: A time stays on one line; what people and devices write may be broken anywhere.
_ONE_LINE = frozenset(
    ("time", "created", "since", "start", "end", "due", "next", "next_due", "last", "heard")
)
_WORDS = frozenset(("cause", "contents", "reason", "text", "what", "model", "title"))
_CELLS = {
    **dict.fromkeys(_ONE_LINE, "white-space: nowrap"),
    **dict.fromkeys(_WORDS, "overflow-wrap: anywhere; min-width: min(8rem, 24vw)"),
}
_CELLS["cause"] += "; grid-column: span 2"
#: A table of more columns, or with a cause among them, has no room on a phone or a tablet: there
#: its rows are stacked, names over values.
MAX_BESIDE = 4
#: Rows of one page of a table that is paged on the server.
ROWS = 25
#: More than any table has, and few enough that SQLite can count their rows.
MAX_PAGES = 1 << 40
#: What draws a cell with a time: on a phone it is broken between date and time, and only there.
TIME = (
    '<q-td :props="props" :class="{\'no-time\': !props.value}">'
    "<template v-for=\"part in String(props.value ?? '').split(' ')\">"
    "<span style=\"white-space: nowrap\">{{ part }}</span>{{ ' ' }}</template></q-td>"
)
#: What draws a cell that names a SmartMeter.
LINK = (
    '<q-td :props="props"><a class="text-primary" :href="\'/meter/\' + props.value">'
    "{{ props.value }}</a></q-td>"
)
#: NiceGUI makes a new component of a cell's template whenever anything on the page changes, each
#: second mostly: the cell in which the focus is, or a selection, would be another one.
KEEP_CELLS = """
const cells = new Map(), {h} = Vue;
globalThis.Vue = {...Vue, h: (type, ...rest) => {
  const isCell = type?.template && type.props?.props && Object.keys(type).length === 2;
  if (isCell && !cells.has(type.template)) cells.set(type.template, type);
  return h(isCell ? cells.get(type.template) : type, ...rest);
}};
"""


def table(columns: list[tuple[str, str]], empty: str) -> ui.table:
    """Draw a table of text, to be filled; ``empty`` is said when it has no rows."""
    drawn = ui.table(columns=_columns(columns), rows=[], row_key="row").classes("w-full")
    drawn.props('flat dense wrap-cells hide-pagination :rows-per-page-options="[0]"')
    _finish(drawn, columns, empty)
    return drawn


def fill(drawn: ui.table, rows: list[dict[str, Any]]) -> None:
    """Show rows; nothing is sent while they are the same."""
    numbered = [{**one, "row": number} for number, one in enumerate(rows)]
    if drawn.rows != numbered:
        drawn.rows = numbered


class PagedTable:
    """A table that is paged on the server.

    ``rows_of(offset)`` gives how many rows there are in all, and those of one page; ``turned`` is
    told which page is shown, from the first that a person chooses on.
    """

    def __init__(
        self,
        columns: list[tuple[str, str]],
        empty: str,
        rows_of: Callable[[int], tuple[int, list[dict[str, Any]]]],
        page: int = 1,
        turned: Callable[[int], None] = lambda page: None,
    ) -> None:
        self._rows_of, self._page, self._turned = rows_of, page, turned
        self.drawn = ui.table(
            columns=_columns(columns), rows=[], row_key="row", pagination=ROWS
        ).classes("w-full")
        self.drawn.props(f'flat dense wrap-cells :rows-per-page-options="[{ROWS}]"')
        _finish(self.drawn, columns, empty)
        self.drawn.on("request", self._turn)

    def refresh(self) -> None:
        """Show what there is now."""
        total, rows = self._rows_of((self._page - 1) * ROWS)
        if not rows and self._page > 1:
            self._page = max(1, -(-total // ROWS))
            total, rows = self._rows_of((self._page - 1) * ROWS)
        pagination = {"page": self._page, "rowsPerPage": ROWS, "rowsNumber": total}
        if self.drawn.pagination != pagination:
            self.drawn.pagination = pagination
        fill(self.drawn, rows)

    def begin(self) -> None:
        """Show the first page: something else is asked for."""
        self._page = 1
        self.refresh()
        self._turned(self._page)

    def _turn(self, event: events.GenericEventArguments) -> None:
        with suppress(LookupError, TypeError, ValueError, OverflowError):  # what a page may send
            self._page = min(max(1, int(event.args["pagination"]["page"])), MAX_PAGES)
            self.refresh()
            self._turned(self._page)


def _columns(columns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "label": label, "field": name, "align": "left"}
        | {"style": f"--label: '{label}'; {_CELLS.get(name, '')}"}
        for name, label in columns
    ]


def _finish(drawn: ui.table, columns: list[tuple[str, str]], empty: str) -> None:
    if len(columns) > MAX_BESIDE or "cause" in dict(columns):
        drawn.classes("stacked")
    drawn.add_slot("no-data", f'<div class="faint q-py-xs">{empty}</div>')
    for name in _ONE_LINE & {name for name, _ in columns}:
        drawn.add_slot(f"body-cell-{name}", TIME)
    if ("esn", "SmartMeter") in columns:
        drawn.add_slot("body-cell-esn", LINK)
