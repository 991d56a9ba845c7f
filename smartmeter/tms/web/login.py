"""Log-in and log-out as plain HTML, and the guard before everything else.

The form is no NiceGUI page: that would keep a client in memory for every
anonymous visitor.  The guard stands before http *and* websocket.
"""

from __future__ import annotations

import asyncio
import html
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote
from weakref import WeakValueDictionary

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.requests import ClientDisconnect, HTTPConnection

from smartmeter.base.errors import StorageError
from smartmeter.tms.web.plain_page import nothing_there, plain_page
from smartmeter.tms.web.sessions import FailureLimit, SessionTable

#: Longest form that is read, in octets; user and password fit many times.
MAX_FORM_OCTETS = 4096
FORM_TIMEOUT_S = 10.0
#: Password hashes computed at once; each takes tens of MiB for a moment.
HASHES_AT_ONCE = 2

OPEN_PATHS = ("/login", "/health")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        "connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

FORM = """<p>Log in to see the meters.</p>{error}
<form method="post"><label for="user">User</label>
<input id="user" name="user" autocomplete="username" required autofocus maxlength="64">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 maxlength="256"><button type="submit">Log in</button></form>"""
#: How the OpenAPI document describes what programs log in by, and what needs no log-in.
_FIELD = {"type": "string"}
_FIELDS = {
    "type": "object",
    "properties": {"user": _FIELD, "password": _FIELD},
    "required": ["user", "password"],
}
_FORM_BODY = {
    "requestBody": {
        "content": {"application/x-www-form-urlencoded": {"schema": _FIELDS}},
        "required": True,
    }
}
OPEN: dict[str, Any] = {"security": [{}]}
_HTML = {"content": {"text/html": {"schema": {"type": "string"}}}}
_PAGE: dict[str, Any] = {
    "responses": {"4XX": {**_HTML, "description": "Wrong, too often or forged, as a page"}},
    "response_class": HTMLResponse,
}
_NOT_LOOKED_UP = {503: {**_HTML, "description": "The database gives nothing, as a page"}}
_LOG_IN = {**_PAGE, "responses": {**_PAGE["responses"], **_NOT_LOOKED_UP}}
FORGED = "This was asked by a page of another site, and nothing was done."


class Guard:
    """ASGI middleware: without a session nothing but the log-in form is reached."""

    def __init__(self, app: Any, table: SessionTable) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request pass, send it to the log-in, or refuse what another site's page asks."""
        if scope["type"] == "http" and _is_forged(HTTPConnection(scope), scope["method"]):
            answer: Response = nothing_there("Refused", FORGED, 403)
            if scope["path"].startswith("/api/"):
                answer = JSONResponse({"error": "asked by a page of another site"}, 403)
            await answer(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        session_id = HTTPConnection(scope).session.get("id")
        if self._table.user(session_id, time.monotonic()) is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        elif scope["path"].startswith("/api/"):
            await JSONResponse({"error": "log in first"}, 401)(scope, receive, send)
        else:
            await RedirectResponse(_login_from(scope), 303)(scope, receive, send)


def _login_from(scope: Any) -> str:
    """Give the address of the log-in, which leads on to the page that was asked for."""
    page, query = quote(scope["path"]), scope["query_string"].decode("ascii", "replace")
    page += f"?{query}" if query else ""
    return "/login" if scope["method"] != "GET" or page == "/" else f"/login?next={quote(page)}"


def _page_of(asked: str) -> str:
    """Give where a log-in leads on to: what was asked for, if that is a page of this site.

    Two slashes begin a host; a browser takes a backslash for one, and leaves out what cannot be
    printed.
    """
    is_own = asked[:1] == "/" and asked[1:2] not in ("/", "\\") and asked.isprintable()
    return asked if is_own else "/"


def _is_forged(asked: HTTPConnection, method: str) -> bool:
    """Tell whether a page of another origin (another port, too) asks that something be done."""
    if method in ("GET", "HEAD"):
        return False
    site, origin = asked.headers.get("sec-fetch-site"), asked.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    # Where there is no TLS, browsers tell a site no more than where its page is from.
    hosts = asked.headers.get("host"), asked.headers.get("x-forwarded-host")
    return origin is not None and not is_own(origin, *hosts)


def is_own(origin: str, *hosts: str | None) -> bool:
    """Tell whether a page is of this site: of the host, and the port, that was asked for.

    Not by which scheme: a reverse proxy may end the TLS.  What it was asked for itself, no page
    of another site can say (X-Forwarded-Host).
    """
    return origin.partition("://")[2] in hosts


def add_login(
    app: FastAPI,
    table: SessionTable,
    check: Callable[[str, str], str | None],
    limit: FailureLimit,
) -> None:
    """Add the log-in form, the log-out and the security headers to an application.

    ``check(user, password)`` gives the hash that the password was found right by,
    or None; StorageError where that cannot be looked up.  It is slow on purpose and
    runs in a thread; it must take as long for an unknown user as for a known one.
    """
    hashing = asyncio.Semaphore(HASHES_AT_ONCE)
    turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def form(error: str = "", status: int = 200) -> HTMLResponse:
        text = f'<p class="error" role="alert">{html.escape(error)}</p>' if error else ""
        return plain_page("Log in", FORM.format(error=text), status)

    @app.get("/login", openapi_extra=OPEN, **_PAGE)
    async def login_page() -> HTMLResponse:
        return form()

    @app.post("/login", status_code=303, openapi_extra={**OPEN, **_FORM_BODY}, **_LOG_IN)
    async def login(request: Request) -> Response:
        fields = await read_form(request)
        if fields is None:
            return form("The form could not be read. Try again.", 400)
        user, password = fields
        address = request.client.host if request.client else ""
        # Those of one address wait for each other, and a flood from there for nobody else.
        async with turns.setdefault(address, asyncio.Lock()), hashing:
            if not limit.admits(address, user, time.monotonic()):
                return form("Too many failed log-ins. Wait a minute, then try again.", 429)
            try:
                proof = await asyncio.to_thread(check, user, password)
            except StorageError:  # which tells more than a stranger is to know
                return form("Who may log in cannot be looked up: the database gives nothing.", 503)
            if proof is not None:
                limit.succeeded(address, user)
        if proof is None:
            return form("User or password is wrong.", 401)
        table.close(request.session.get("id"))
        request.session["id"] = secrets.token_urlsafe(32)
        table.open(request.session["id"], user, proof, time.monotonic())
        return RedirectResponse(_page_of(request.query_params.get("next", "")), 303)

    @app.post("/logout", status_code=303, **_PAGE)
    async def logout(request: Request) -> Response:
        table.close(request.session.pop("id", None))
        return RedirectResponse("/login", 303)


async def read_form(request: Request) -> tuple[str, str] | None:
    """Give user and password of a posted form, or None when it is none, too long or too slow."""
    body = b""
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_FORM_OCTETS:
                    return None
        fields = parse_qs(body.decode("ascii"), max_num_fields=8, errors="strict")
        return fields["user"][0][:64], fields["password"][0][:256]
    except (KeyError, ValueError, TimeoutError, ClientDisconnect):
        return None
