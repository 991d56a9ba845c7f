"""A TMS that runs on a free port for a while, and its REST API without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.tms.api.routes import add_api
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service


@asynccontextmanager
async def running_tms(folder: Path, calendar: Calendar | None = None) -> AsyncIterator[TmsServer]:
    """Run a TMS by the wall's clock, or by another calendar."""
    tms = TmsServer(folder, calendar or Calendar(wall_utc_us(), 1, monotonic_us()))
    await tms.start("127.0.0.1", 0)
    try:
        yield tms
    finally:
        await tms.stop()


def rest(tms: TmsServer) -> httpx.AsyncClient:
    """Give a client of the API, logged in as ann."""
    app = FastAPI()
    add_api(app, Service(tms), lambda request: "ann")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
