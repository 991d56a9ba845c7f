"""The page of the TMS in the gateway's process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from smartmeter.tms.users import Users, first_password
from smartmeter.tms.web.site import Site

if TYPE_CHECKING:
    from smartmeter.gateway.local_tms import LocalTms

FIRST_USER = "operator"
#: Where the first operator's password comes from, as with ``tms run``.
PASSWORD_VARIABLE = "SMARTMETER_TMS_PASSWORD"


async def show_page(local: LocalTms, host: str, port: int, note: Callable[[str], None]) -> None:
    """Show the page from when the local TMS has begun until cancelled."""
    await local.address()
    assert local.server is not None
    users = Users(local.server.store)
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        users.set(FIRST_USER, given)
    elif not users.any():
        password = first_password()
        users.set(FIRST_USER, password)
        note(f"log in as {FIRST_USER} with {password} (shown this once)")
    site = Site(local.server)
    await site.start(host, port)
    note(f"page http://{host}:{site.port}/")
    try:
        await asyncio.Event().wait()
    finally:
        await site.stop()
