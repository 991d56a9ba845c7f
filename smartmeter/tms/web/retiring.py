"""The buttons that take a meter out of service, and into it again."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from smartmeter.base.errors import SmartMeterError
from smartmeter.tms.model import State
from smartmeter.tms.service import Service
from smartmeter.tms.web.frame import Visitor


def retiring(service: Service, esn: str, visitor: Visitor) -> Callable[[str], None]:
    """Draw them; give what is to be told of the meter's state."""
    with ui.dialog().props('aria-label="Take out of service"') as dialog, ui.card():
        ui.label(f"Take {esn} out of service?").classes("text-weight-medium")
        ui.label(
            "Nothing is due of it and nothing asked, and what it still sends is refused."
            " What it sent stays. It can be brought back."
        )
        replaced_by = ui.input("Replaced by (ESN, if any)").props("dense").classes("w-full")
        ui.label("The history of this place goes on with the meter in its place.").classes("faint")

        def retire() -> None:
            by = (replaced_by.value or "").strip()
            if _done(lambda: service.retire(esn, visitor.asks(), by)):
                dialog.close()

        with ui.row().classes("w-full justify-end"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
            ui.button("Retire", on_click=retire).props("no-caps color=red-8").mark("retire-now")

    def bring_back() -> None:
        def act() -> None:
            visitor.asks()
            service.bring_back(esn)

        _done(act)

    out = ui.button("Retire", icon="power_settings_new", on_click=dialog.open)
    back = ui.button("Bring back", icon="restore", on_click=bring_back)
    for button, mark in ((out, "retire"), (back, "return")):
        button.props("no-caps outline dense").classes("q-px-sm").mark(mark)

    def show(state: str) -> None:
        back.set_visibility(state == State.RETIRED)
        out.set_visibility(state != State.RETIRED)

    return show


def _done(act: Callable[[], None]) -> bool:
    """Do it, or say why not."""
    try:
        act()
    except SmartMeterError as error:
        ui.notify(str(error), type="warning")
        return False
    return True
