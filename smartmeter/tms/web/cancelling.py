"""How work that people ordered is cancelled on the pages: one piece of it, or all of a kind."""

from __future__ import annotations

from nicegui import events, ui

from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.model import SYSTEM
from smartmeter.tms.service import Service
from smartmeter.tms.web.frame import Visitor

#: The state of a job, and what ends it while it has none.
STATE = (
    '<q-td :props="props">{{ props.value }}'
    f" <q-btn v-if=\"!props.row.ended && props.row.requested_by != '{SYSTEM}'\" dense no-caps"
    ' outline size="sm" color="primary" label="Cancel"'
    " :aria-label=\"'Cancel ' + props.row.kind + ' of ' + props.row.esn\""
    " @click=\"$parent.$emit('cancel', props.row.id)\" /></q-td>"
)


def can_be_cancelled(drawn: ui.table, service: Service, visitor: Visitor) -> None:
    """Give each row of a table of jobs that has not ended a button that cancels it."""

    def cancel(event: events.GenericEventArguments) -> None:
        try:
            cause = service.work.cancel(int(event.args), visitor.asks())
        except (SmartMeterError, TypeError, ValueError) as error:
            ui.notify(str(error), type="warning")
        else:
            ui.notify(f"cancelled {cause}", type="info")

    drawn.add_slot("body-cell-state", STATE)
    drawn.on("cancel", cancel)


def cancelling(service: Service, visitor: Visitor) -> None:
    """Draw what cancels all that people ordered of a kind, after it has asked of which."""

    def cancel() -> None:
        dialog.close()
        try:
            done = service.work.cancel_all(visitor.asks(), str(kind.value or ""))
        except SmartMeterError as error:
            ui.notify(str(error), type="warning")
        else:
            ui.notify(f"{len(done):,} cancelled", type="info")

    with ui.dialog().props('aria-label="Cancel work"') as dialog, ui.card():
        ui.label("Cancel all that people ordered and has not ended?").classes("text-weight-medium")
        kind = ui.select({}, label="Work").classes("w-full").mark("cancel-kind")
        ui.label("What has gone out already is not taken back.").classes("faint")
        with ui.row().classes("w-full justify-end"):
            ui.button("Back", on_click=dialog.close).props("flat no-caps")
            ui.button("Cancel it", on_click=cancel).props("no-caps").mark("cancel-now")

    def ask() -> None:
        counts = service.work.under_way()
        if not counts:
            ui.notify("Nothing that a person ordered is under way.", type="info")
            return
        kind.set_options({one: f"{one} ({n:,})" for one, n in counts.items()}, value=min(counts))
        dialog.open()

    with ui.row().classes("w-full justify-end"):
        ui.button("Cancel all", icon="block", on_click=ask).props("no-caps outline dense")
