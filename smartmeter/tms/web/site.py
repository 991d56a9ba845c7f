"""The TMS on the web: log-in, REST, pages, in the program's own loop."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import APIKeyCookie
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from smartmeter.tms.api.export_routes import add_exports
from smartmeter.tms.api.routes import add_api
from smartmeter.tms.api.upgrade_routes import add_upgrades
from smartmeter.tms.api.wrong_requests import (
    REFUSALS,
    BodyLimit,
    Unforeseen,
    add_nowhere,
    known_query,
)
from smartmeter.tms.fleet_upgrades import FleetUpgrades
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.users import Users
from smartmeter.tms.web.breaking import Breaker
from smartmeter.tms.web.embedded import WebServer
from smartmeter.tms.web.login import HEADERS, Guard, add_login, is_own
from smartmeter.tms.web.sessions import LIFE_S, FailureLimit, SessionTable

RECONNECT_S = 10
#: Where the framework connects its pages, by a websocket or by asking again and again.
SOCKET_PATH = "/_nicegui_ws/"


class Site:
    """One page server for one TMS; ``breaker`` adds the demo's buttons that break things."""

    def __init__(self, server: TmsServer, service: Service, breaker: Breaker | None = None) -> None:
        self._server, self._service = server, service
        self._breaker = breaker
        self._web: WebServer | None = None
        self.application: FastAPI

    @property
    def port(self) -> int:
        """Give the port that is listened on."""
        assert self._web is not None
        return self._web.port

    async def start(self, host: str, port: int) -> None:
        """Build the application and listen; SettingsError when the address is taken."""
        self.application = self._application()
        self._web = WebServer(self.application, host, port)
        await self._web.start()

    async def stop(self) -> None:
        """End."""
        if self._web is not None:
            await self._web.stop()

    def _application(self) -> FastAPI:
        # NiceGUI reads where it may store things when it is imported.
        os.environ.setdefault("NICEGUI_STORAGE_PATH", str(self._storage()))
        # Its warnings are a line for each page that is not there.
        logging.getLogger("nicegui").setLevel(logging.ERROR)
        from nicegui import app as nicegui_app
        from nicegui import core, run, ui

        from smartmeter.tms.web.frame import Visitor
        from smartmeter.tms.web.pages import add_pages

        cookie = f"session-{secrets.token_hex(4)}"
        app = FastAPI(
            title="SmartMeter TMS",
            docs_url=None,
            redoc_url=None,
            dependencies=[Depends(known_query), Depends(_log_in(cookie))],
            responses=REFUSALS,
        )
        users = Users(self._server.store)
        hashes = _Hashes(users)
        table = SessionTable(lambda name, proof: hashes.get(name) == proof)

        def user_of(connection: HTTPConnection) -> str:
            return table.user(connection.session.get("id"), time.monotonic()) or "unknown"

        def visitor_of(connection: HTTPConnection) -> Visitor:
            session_id = str(connection.session.get("id"))
            is_in = partial(table.is_open, session_id)
            return Visitor(user_of(connection), lambda: is_in(time.monotonic()))

        def check(name: str, password: str) -> str | None:
            hashed = hashes.get(name)
            return hashed if users.check(hashed, password) else None

        add_login(app, table, check, FailureLimit())
        add_api(app, self._service, user_of)
        upgrades = FleetUpgrades(self._server)
        add_upgrades(app, upgrades, user_of)
        add_exports(app, self._server.store.path)
        add_nowhere(app)
        add_pages(self._service, upgrades, self._breaker, visitor_of)
        nicegui_app.colors(primary="#1565c0", secondary="#455a64", accent="#00796b")
        secret = secrets.token_urlsafe(32)
        app.add_middleware(BodyLimit)
        app.add_middleware(_StillThere)
        app.add_middleware(Guard, table=table)
        # Named for this TMS alone: a browser gives a cookie to all ports of a host.  It lasts as
        # long as a session can, for no answer gives it anew; the table ends idle ones.
        app.add_middleware(SessionMiddleware, secret, cookie, LIFE_S, same_site="strict")
        app.add_middleware(Unforeseen, explained=self._service.explained)
        app.add_middleware(_Headers)
        # Its application is one for the whole process: a site before this one may have served it.
        core.app.middleware_stack = None
        ui.run_with(
            app,
            storage_secret=secret,
            title="SmartMeter TMS",
            dark=None,
            language="en-US",
            reconnect_timeout=RECONNECT_S,
            show_welcome_message=False,
        )
        # Nobody here uses its pool of processes, which needs a /dev/shm that can be written.
        run.setup = _nothing
        # The default would let pages of any origin talk to ours.
        core.sio.eio.cors_allowed_origins = _is_own
        return app

    def _storage(self) -> Path:
        return self._server.store.path.parent / "web"


def _log_in(cookie: str) -> APIKeyCookie:
    """Give what the OpenAPI document tells of the log-in; who is in, the guard has seen before."""
    told = "POST /login gives it"
    return APIKeyCookie(name=cookie, description=told, scheme_name="log-in", auto_error=False)


def _nothing() -> None:
    """Take the place of what is not wanted."""


def _is_own(origin: str | None, environ: Mapping[str, Any]) -> bool:
    """Tell whether a websocket is asked for by a page of this site."""
    hosts = environ.get("HTTP_HOST"), environ.get("HTTP_X_FORWARDED_HOST")
    return origin is not None and is_own(origin, *hosts)


class _Hashes:
    """Password hashes by name, read in the thread that checks them."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def get(self, name: str) -> str | None:
        with contextlib.suppress(UnicodeError):
            return self._users.hash_of(name)
        return None


class _StillThere:
    """ASGI middleware: who has gone before a page's connection was looked at is not connected.

    As after a time in which this program was stopped.  The framework would take it for a fault of
    its own, which the whole database is read for.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, if somebody waits for its answer."""
        if scope["type"] != "http" or not scope["path"].startswith(SOCKET_PATH):
            await self._app(scope, receive, send)
            return
        read = [await receive()]
        if read[0]["type"] == "http.disconnect":
            return

        async def again() -> Any:
            return read.pop() if read else await receive()

        await self._app(scope, again, send)


class _Headers:
    """ASGI middleware: the security headers on every answer; HEAD is GET without the body.

    What does not say how long it may be kept (a program's own file does) is kept nowhere.
    A session that began over TLS (a reverse proxy on this machine says so) is told over it only.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._headers = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and add to its answer."""

        async def add(message: Any) -> None:
            if message["type"] == "http.response.start":
                told = message.get("headers", [])
                if scope["scheme"] == "https":
                    told = [(k, v + b"; secure" * (k == b"set-cookie")) for k, v in told]
                if not any(name.lower() == b"cache-control" for name, _ in told):
                    told = [*told, (b"cache-control", b"no-store")]
                message["headers"] = [*told, *self._headers]
            await send(message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server leaves the body out
        await self._app(scope, receive, add if scope["type"] == "http" else send)
