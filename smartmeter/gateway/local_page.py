"""The page of the TMS in the gateway's process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from smartmeter.base.address import shown
from smartmeter.tms.service import Service
from smartmeter.tms.users import Users
from smartmeter.tms.web.site import Site

if TYPE_CHECKING:
    from smartmeter.gateway.local_tms import LocalTms


async def show_page(local: LocalTms, host: str, port: int, note: Callable[[str], None]) -> None:
    """Show the page from when the local TMS has begun until cancelled."""
    await local.address()
    assert local.server is not None
    told = Users(local.server.store).first(os.environ)
    if told is not None:
        note(told)
    site = Site(local.server, Service(local.server))
    await site.start(host, port)
    note(f"page http://{shown(host, site.port)}/")
    try:
        await asyncio.Event().wait()
    finally:
        await site.stop()
