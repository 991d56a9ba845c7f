"""Alarms and work: what is open, what was done, who is unknown, who was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import events, ui

from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import MAX_SHIPMENT_OCTETS
from smartmeter.tms.web.cancelling import can_be_cancelled, cancelling
from smartmeter.tms.web.frame import Visitor, card, heading, live
from smartmeter.tms.web.tables import ROWS, PagedTable, fill, table

REFRESH_S = 1.5
NOT_TAKEN = "The file was not taken: it must be one CSV file (.csv), of 8 MiB at most."
CLOSE = (
    '<q-td :props="props"><q-btn v-if="!props.row.closed_by" dense no-caps outline size="sm"'
    ' color="primary" label="Close" :aria-label="\'Close alarm \' + props.row.id"'
    " @click=\"$parent.$emit('close', props.row.id)\" />"
    '<span v-else class="faint">{{ props.row.closed_by }}</span></q-td>'
)


def draw(service: Service, visitor: Visitor) -> None:
    """Draw the page and keep it live."""
    heading("Alarms and work", 1)
    refreshes = [_alarms(service, visitor), _jobs(service, visitor)]
    with ui.row().classes("w-full gap-4 items-start"):
        with ui.column().classes("col").style("min-width: min(25rem, 100%)"):
            unknown = _unknown(service)
        with ui.column().classes("col").style("min-width: min(33rem, 100%)"), card("Refused"):
            refused = table(
                [("time", "Time"), ("title", "Title"), ("reason", "Reason"), ("count", "Times")],
                "Nothing was refused.",
            )

    def refresh() -> None:
        for one in refreshes:
            one()
        fill(unknown, service.unknown_devices()[:ROWS])
        fill(refused, service.security_events()[:ROWS])

    refresh()
    live(service, REFRESH_S, refresh)


def _alarms(service: Service, visitor: Visitor) -> Callable[[], None]:
    """Draw the alarms, to be closed by a person, one or all; give their refresh."""

    def of_meter() -> str:
        return (esn.value or "").strip()

    def rows_of(offset: int) -> tuple[int, list[dict[str, Any]]]:
        found = service.alarms.page(offset, ROWS, bool(only_open.value), of_meter())
        # A browser's numbers are exact up to 2**53 only.
        return found["total"], [one | {"value": str(one["value"])} for one in found["alarms"]]

    def close(event: events.GenericEventArguments) -> None:
        try:
            service.alarms.close(int(event.args), visitor.asks())
        except (SmartMeterError, TypeError, ValueError) as error:
            ui.notify(str(error), type="warning")
        listed.refresh()

    with card("Alarms"):
        with ui.row().classes("w-full items-center gap-4"):
            only_open = ui.switch("Open ones only").props("dense").mark("only-open")
            esn = ui.input("Of one ESN").props("dense clearable").mark("alarms-of")
            ui.space()
            closing = _closing_all(service, visitor, of_meter, lambda: listed.refresh())
            ui.button("Close all", icon="done_all", on_click=closing).props("no-caps outline dense")
        listed = PagedTable(
            [
                ("time", "Time"),
                ("esn", "SmartMeter"),
                ("text", "What"),
                ("value", "Value"),
                ("source", "Seen by"),
                ("closed_by", "Closed by"),
            ],
            "No alarm.",
            rows_of,
        )
        listed.drawn.add_slot("body-cell-closed_by", CLOSE)
        listed.drawn.mark("alarms").on("close", close)
    only_open.on_value_change(listed.begin)
    esn.on_value_change(listed.begin)
    return listed.refresh


def _closing_all(
    service: Service, visitor: Visitor, of_meter: Callable[[], str], closed: Callable[[], None]
) -> Callable[[], None]:
    """Draw what asks before all open alarms are closed; give what opens it."""
    asked: dict[str, Any] = {}

    async def close() -> None:
        dialog.close()
        try:
            whose = asked["newest"], visitor.asks(), asked["esn"]
            await asyncio.to_thread(service.alarms.close_all, *whose)
        except SmartMeterError as error:
            ui.notify(str(error), type="warning")
        closed()

    with ui.dialog().props('aria-label="Close all alarms"') as dialog, ui.card():
        question = ui.label().classes("text-weight-medium")
        ui.label("Those that come in meanwhile stay open.").classes("faint")
        with ui.row().classes("w-full justify-end"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
            ui.button("Close them", on_click=close).props("no-caps").mark("close-all-now")

    def ask() -> None:
        found = service.alarms.page(0, 1, True, of_meter())
        if not found["alarms"]:
            ui.notify("No alarm is open.", type="info")
            return
        asked.update(newest=found["alarms"][0]["id"], esn=of_meter())
        whose = f" of {asked['esn']}" if asked["esn"] else ""
        question.text = f"Close all {found['total']:,} open alarms{whose}?"
        dialog.open()

    return ask


def _jobs(service: Service, visitor: Visitor) -> Callable[[], None]:
    """Draw what was done and is under way; give its refresh."""

    def rows_of(offset: int) -> tuple[int, list[dict[str, Any]]]:
        found = service.work.page(offset, ROWS)
        return found["total"], found["jobs"]

    with card("Work"):
        cancelling(service, visitor)
        listed = PagedTable(
            [
                ("created", "Time"),
                ("esn", "SmartMeter"),
                ("kind", "Work"),
                ("state", "State"),
                ("cause", "Cause"),
                ("requested_by", "Asked by"),
                ("attempts", "Tries"),
            ],
            "No work was done yet.",
            rows_of,
        )
        can_be_cancelled(listed.drawn.mark("work"), service, visitor)
    return listed.refresh


def _unknown(service: Service) -> ui.table:
    with card("Unknown devices"):
        drawn = table(
            [("title", "Title"), ("last", "Last heard"), ("count", "Times")],
            "Nobody unknown has spoken.",
        )
        _upload("Import a shipment file (CSV)", service.enter_shipment, "SmartMeters")
        _upload("Import plain meters to poll (CSV)", service.enter_polled, "plain meters")
    return drawn


def _upload(label: str, take: Callable[[str], Awaitable[dict[str, int]]], what: str) -> None:
    """Draw where a file can be dropped; ``take`` gives how many were read and how many are new."""

    async def taken(event: events.UploadEventArguments) -> None:
        try:
            done = await take((await event.file.read()).decode("utf-8"))
        except UnicodeDecodeError:
            ui.notify("The file is no UTF-8 text.", type="negative")
        except SmartMeterError as error:
            ui.notify(str(error), type="negative")
        else:
            ui.notify(f"{done['new']} of {done['read']} {what} are new", type="positive")

    ui.upload(
        label=label,
        auto_upload=True,
        max_file_size=MAX_SHIPMENT_OCTETS,
        on_upload=taken,
        on_rejected=lambda: ui.notify(NOT_TAKEN, type="negative"),
    ).props("flat bordered accept=.csv color=blue-9").classes("w-full")
