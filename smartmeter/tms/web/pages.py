"""The pages of the TMS, each in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from nicegui import app, ui

from smartmeter.base.errors import StorageError
from smartmeter.tms.fleet_upgrades import FleetUpgrades
from smartmeter.tms.service import Service
from smartmeter.tms.store.queries import UnknownMeter, meter_row
from smartmeter.tms.web import meter_page, network_page, overview_page, work_page
from smartmeter.tms.web.breaking import Breaker
from smartmeter.tms.web.frame import Visitor, frame
from smartmeter.tms.web.plain_page import nothing_there


def add_pages(
    service: Service,
    upgrades: FleetUpgrades,
    breaker: Breaker | None,
    visitor_of: Callable[[Request], Visitor],
) -> None:
    """Register all pages, and what is said where there is none."""

    @app.exception_handler(404)
    async def no_page(request: Request, error: Exception) -> HTMLResponse:
        return nothing_there("No page", f"There is no page {request.url.path:.80}", 404)

    @app.exception_handler(405)
    async def no_such_act(request: Request, error: Exception) -> HTMLResponse:
        text = f"{request.method:.20} cannot be asked of {request.url.path:.80}"
        return nothing_there("Not possible", text, 405)

    @app.exception_handler(UnknownMeter)
    async def no_such_meter(request: Request, error: Exception) -> HTMLResponse:
        return nothing_there("Not known", str(error), 404)

    async def known(esn: str) -> None:
        # Asked before NiceGUI makes a client, so that nobody is kept in memory for it.
        with suppress(StorageError):  # which the page tells
            meter_row(service.store, esn)

    @ui.page("/")
    def overview(request: Request) -> None:
        with frame("Overview", visitor_of(request), service):
            overview_page.draw(service, request.query_params)

    @ui.page("/meter/{esn}", dependencies=[Depends(known)])
    def meter(request: Request, esn: str) -> None:
        visitor = visitor_of(request)
        with frame(esn[:16], visitor, service):
            meter_page.draw(service, upgrades, breaker, esn, visitor)

    @ui.page("/network")
    def network(request: Request) -> None:
        with frame("Network", visitor_of(request), service):
            network_page.draw(service)

    @ui.page("/work")
    def work(request: Request) -> None:
        visitor = visitor_of(request)
        with frame("Alarms and work", visitor, service):
            work_page.draw(service, visitor)
