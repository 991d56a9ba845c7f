"""Alarms and work: what is open, what was done, who is unknown, who was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import events, ui

from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.service import Service
from smartmeter.tms.web.frame import card, heading, table

REFRESH_S = 1.5
ROWS = 25
MAX_SHIPMENT_OCTETS = 8 << 20
LINK = (
    '<q-td :props="props"><a class="text-primary" :href="\'/meter/\' + props.value">'
    "{{ props.value }}</a></q-td>"
)
CLOSE = (
    '<q-td :props="props"><q-btn v-if="!props.row.closed_by" dense no-caps outline size="sm"'
    ' color="primary" label="Close" @click="$parent.$emit(\'close\', props.row.id)" />'
    '<span v-else class="faint">{{ props.row.closed_by }}</span></q-td>'
)


def draw(service: Service, user: str) -> None:
    """Draw the page and keep it live."""
    heading("Alarms and work", 1)
    with card("Alarms"):
        alarms = table(
            [
                ("time", "Time"),
                ("esn", "SmartMeter"),
                ("text", "What"),
                ("value", "Value"),
                ("source", "Seen by"),
                ("closed_by", "Closed by"),
            ],
            [],
            "id",
            "No alarm has come in.",
        )
        alarms.add_slot("body-cell-esn", LINK)
        alarms.add_slot("body-cell-closed_by", CLOSE)
        alarms.mark("alarms")
    with card("Work"):
        jobs = table(
            [
                ("created", "Time"),
                ("esn", "SmartMeter"),
                ("kind", "Work"),
                ("state", "State"),
                ("cause", "Cause"),
                ("requested_by", "Asked by"),
                ("attempts", "Tries"),
            ],
            [],
            "id",
            "No work was done yet.",
        )
        jobs.add_slot("body-cell-esn", LINK)
    with ui.row().classes("w-full gap-4 items-start"):
        with ui.column().classes("col").style("min-width: min(20rem, 100%)"):
            unknown = _unknown(service)
        with ui.column().classes("col").style("min-width: min(20rem, 100%)"), card("Refused"):
            refused = table(
                [("time", "Time"), ("title", "Title"), ("reason", "Reason"), ("count", "Times")],
                [],
                "time",
                "Nothing was refused.",
            )

    def close(event: events.GenericEventArguments) -> None:
        try:
            service.close_alarm(int(event.args), user)
        except (SmartMeterError, TypeError, ValueError) as error:
            ui.notify(str(error), type="warning")
        refresh()

    alarms.on("close", close)
    sources: list[tuple[ui.table, Callable[[], list[dict[str, Any]]]]] = [
        (alarms, lambda: service.alarms(0, ROWS)["alarms"]),
        (jobs, lambda: service.jobs(0, ROWS)["jobs"]),
        (unknown, service.unknown_devices),
        (refused, lambda: service.security_events()[:ROWS]),
    ]

    def refresh() -> None:
        for drawn, rows_of in sources:
            rows = rows_of()
            if drawn.rows != rows:
                drawn.rows = rows

    refresh()
    ui.timer(REFRESH_S, refresh)


def _unknown(service: Service) -> ui.table:
    with card("Unknown devices"):
        drawn = table(
            [("title", "Title"), ("last", "Last heard"), ("count", "Times")],
            [],
            "title",
            "Nobody unknown has spoken.",
        )

        _upload("Import a shipment file (CSV)", service.import_shipment, "SmartMeters")
        _upload("Import plain meters to poll (CSV)", service.import_polled, "plain meters")
    return drawn


def _upload(label: str, take: Callable[[str], dict[str, int]], what: str) -> None:
    """Draw where a file can be dropped; ``take`` gives how many were read and how many are new."""

    async def taken(event: events.UploadEventArguments) -> None:
        try:
            done = take((await event.file.read()).decode("utf-8"))
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
    ).props("flat bordered accept=.csv").classes("w-full")
