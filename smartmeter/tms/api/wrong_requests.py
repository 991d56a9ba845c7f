"""What is asked wrongly of the REST API, each answered with ``{"error": text}``.

400 for what is wrong itself (a query or a member that is not known, or comes twice, too) or cannot
be as things are, 404 for what is named and not there (a path, a meter, a job), 405 for a method
that a path has not, 413 for a body that is too large, 503 while the store takes or gives nothing,
500 for what nobody foresaw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, get_args, get_origin

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from smartmeter.base.errors import SettingsError, SmartMeterError, StorageError
from smartmeter.tms.store.queries import NotThere

#: The largest file that a page or a program may send (8 MiB), and what a form puts around it.
MAX_BODY_OCTETS = 9 << 20
NO_JSON = "send a JSON object, with Content-Type: application/json"


#: How the libraries below say that a body is no JSON object, or no text at all.
_NO_OBJECT = ("model_attributes_type", "json_invalid")
_NO_TEXT = "There was an error parsing the body"
_TOLD = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {"error": {"type": "string"}},
            "required": ["error"],
        }
    }
}
#: How the OpenAPI document describes them.
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"content": _TOLD, "description": "Asked wrongly, or not there"},
    503: {"content": _TOLD, "description": "The database takes or gives nothing"},
}


class Asked(BaseModel):
    """What is asked with a body: a member that is misspelt is refused, and not left out.

    So is one of another kind: true is no number, nor is a text.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


async def known_query(request: Request) -> None:
    """Refuse a query that the path has not, or has once and is given twice: it would be left out.

    Whoever asks for the log-in, or after the TMS's health, may have a query of its own.
    """
    if not request.url.path.startswith("/api/"):
        return
    fields = request.scope["route"].dependant.query_params
    known = {one.alias: one.field_info.annotation for one in fields}
    for name in request.query_params:
        if name not in known:
            remedy = f"choose of {', '.join(sorted(known))}" if known else "leave it out"
            raise SettingsError("query", f"no {name!r:.40} here", remedy)
        is_list = any(get_origin(one) is list for one in (known[name], *get_args(known[name])))
        if not is_list and len(request.query_params.getlist(name)) > 1:
            raise SettingsError("query", f"{name!r:.40} comes twice", "give it once")


def add_refusals(app: FastAPI) -> None:
    """Answer each error that a route raises as this file says."""

    @app.exception_handler(SmartMeterError)
    async def wrong(request: Request, error: SmartMeterError) -> JSONResponse:
        status = 503 if isinstance(error, StorageError) else 400
        return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotThere) else status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        text = NO_JSON if first["type"] in _NO_OBJECT else first["msg"]
        return JSONResponse({"error": f"{place:.80}: {text}"}, 400)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        detail = f"body: {NO_JSON}" if error.detail == _NO_TEXT else error.detail
        return JSONResponse({"error": detail}, error.status_code, error.headers)


def add_nowhere(app: FastAPI) -> None:
    """Answer what no route of ``app`` does below ``/api``; to be called when all are there."""
    routes = list(app.routes)

    async def nowhere(scope: Any, receive: Any, send: Any) -> None:
        asked = {**scope, "root_path": scope["root_path"].removesuffix("/api")}
        status, text = 404, f"no {scope['path']!r:.80} here; see /openapi.json"
        headers = {}
        partial = [route for route in routes if route.matches(asked)[0] is Match.PARTIAL]
        if partial:
            status, text = 405, f"{scope['method']:.20} cannot be asked here; see /openapi.json"
            headers["Allow"] = ", ".join(_methods(partial))
        await JSONResponse({"error": text}, status, headers)(scope, receive, send)

    app.mount("/api", nowhere)


def _methods(routes: Iterable[BaseRoute]) -> list[str]:
    """Give what routes can be asked; HEAD goes wherever GET does."""
    plain = (route for route in routes if isinstance(route, Route))
    found = {method for route in plain for method in route.methods or ()}
    return sorted(found | {"HEAD"} if "GET" in found else found)


class Unforeseen:
    """ASGI middleware: an error that nobody foresaw is answered with a line, and no traceback.

    ``explained`` tells in a thread what is behind it, a damaged database mostly.
    """

    def __init__(self, app: Any, explained: Callable[[Exception], SmartMeterError]) -> None:
        self._app, self._explained = app, explained

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        begun = False

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            # The store's own words, too, where it is asked who is logged in.
            is_told = isinstance(error, SmartMeterError)
            told = error if is_told else await asyncio.to_thread(self._explained, error)
            status = 503 if isinstance(told, StorageError) else 500
            await JSONResponse({"error": str(told)}, status)(scope, receive, send)


class BodyLimit:
    """ASGI middleware: a body that is too large is read no further, and never kept."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on; HTTPException for who reads too much of it."""
        octets = 0

        async def bounded() -> Any:
            nonlocal octets
            message = await receive()
            octets += len(message.get("body", b""))
            if octets > MAX_BODY_OCTETS:
                text = f"the body is larger than {MAX_BODY_OCTETS >> 20} MiB"
                raise HTTPException(413, text, {"Connection": "close"})
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)
