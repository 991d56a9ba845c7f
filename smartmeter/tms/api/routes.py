"""The REST API: the same functions of ``tms.service`` that the pages call."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from smartmeter.base.instant import utc_second
from smartmeter.tms.api.wrong_requests import Asked, add_refusals
from smartmeter.tms.collected import MAX_INTERVALS
from smartmeter.tms.fleet_upgrades import MAX_LIST
from smartmeter.tms.model import Kind, State
from smartmeter.tms.orders import OF_ONE_METER
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import MAX_SHIPMENT_OCTETS
from smartmeter.tms.store.places import MAX_SECOND

#: How the OpenAPI document describes a body that is read here as it comes.
CSV_BODY = {
    "requestBody": {"content": {"text/csv": {"schema": {"type": "string"}}}, "required": True}
}
Number = Annotated[int, Path(ge=0, le=MAX_SECOND)]
#: The ``id`` of the last one of the page before.
Before = Annotated[int, Query(ge=0, le=MAX_SECOND)]


class _Graph(PlainTextResponse):
    media_type = "text/vnd.graphviz"


class JobRequest(Asked):
    """What a job is asked for with."""

    kind: str = Field(max_length=40, json_schema_extra={"enum": [*OF_ONE_METER]})


class Cancellation(Asked):
    """Which jobs are cancelled: of a kind, of some meters, or both."""

    kind: str = Field("", max_length=40, json_schema_extra={"enum": ["", *Kind]})
    esns: list[Annotated[str, Field(max_length=16)]] = Field([], max_length=MAX_LIST)


class Retirement(Asked):
    """What a meter is taken out of service with: the ESN of the one in its place, or nothing."""

    replaced_by: str = Field("", max_length=16)


class Replacement(Asked):
    """Which meter is put in the place of another, and since when (ISO 8601; nothing: now)."""

    by: str = Field(max_length=16)
    at: str = Field("", max_length=40)


class Closing(Asked):
    """Which open alarms are closed: those with numbers up to ``newest``, of all or one meter."""

    newest: int = Field(ge=0, le=MAX_SECOND)
    esn: str = Field("", max_length=16)


def add_api(app: FastAPI, service: Service, user_of: Any) -> None:
    """Add the routes; ``user_of(request)`` gives who is logged in."""

    add_refusals(app)
    _add_reads(app, service)
    _add_lists(app, service)
    _add_network(app, service)
    _add_acts(app, service, user_of)


def _add_reads(app: FastAPI, service: Service) -> None:
    @app.get("/api/overview")
    async def overview() -> dict[str, Any]:
        return service.overview()

    @app.get("/api/meters")
    async def meters(
        offset: int = Query(0, ge=0, le=1 << 31),
        limit: int = Query(25, ge=1, le=200),
        state: str = Query("", max_length=40, json_schema_extra={"enum": ["", *State]}),
        search: str = Query("", max_length=64),
        after: str = Query("", max_length=16),
    ) -> dict[str, Any]:
        return service.meters(offset, limit, state, search, after)

    @app.get("/api/meters/{esn}")
    async def meter(esn: str) -> dict[str, Any]:
        return service.meter(esn)

    @app.get("/api/meters/{esn}/load-profile")
    async def load_profile(
        esn: str,
        from_s: int | None = Query(None, ge=0, le=MAX_SECOND),
        to_s: int | None = Query(None, ge=0, le=MAX_SECOND),
        set_nbr: int = Query(1, ge=1, le=4, alias="set"),
        limit: int = Query(MAX_INTERVALS, ge=1, le=MAX_INTERVALS),
        place: bool = False,
    ) -> dict[str, Any]:
        return service.collected.load_profile(esn, from_s, to_s, set_nbr, limit, place)

    @app.get("/api/meters/{esn}/registers")
    async def registers(esn: str) -> dict[str, Any]:
        return service.collected.registers(esn)

    @app.get("/api/meters/{esn}/events")
    async def events(esn: str, limit: int = Query(50, ge=1, le=200)) -> list[dict[str, Any]]:
        return service.collected.events(esn, limit)

    @app.get("/api/meters/{esn}/messages")
    async def messages(esn: str, limit: int = Query(50, ge=1, le=200)) -> list[dict[str, Any]]:
        return service.collected.messages(esn, limit)

    @app.get("/api/meters/{esn}/polls")
    async def polls(esn: str, limit: int = Query(50, ge=1, le=200)) -> list[dict[str, Any]]:
        return service.collected.polls(esn, limit)

    @app.get("/api/polled")
    async def polled(after: str = Query("", max_length=16)) -> list[dict[str, Any]]:
        return service.polled(after)


def _add_lists(app: FastAPI, service: Service) -> None:
    @app.get("/api/jobs")
    async def jobs(
        offset: int = Query(0, ge=0, le=1 << 31),
        limit: int = Query(50, ge=1, le=200),
        esn: str = Query("", max_length=16),
        before: Before = MAX_SECOND,
    ) -> dict[str, Any]:
        return service.work.page(offset, limit, esn, before)

    @app.get("/api/jobs/{number}")
    async def job(number: Number) -> dict[str, Any]:
        return service.work.one(number)

    @app.get("/api/alarms")
    async def alarms(
        offset: int = Query(0, ge=0, le=1 << 31),
        limit: int = Query(50, ge=1, le=200),
        only_open: bool = False,
        esn: str = Query("", max_length=16),
        before: Before = MAX_SECOND,
    ) -> dict[str, Any]:
        return service.alarms.page(offset, limit, only_open, esn, before)

    @app.get("/api/unknown-devices")
    async def unknown_devices() -> list[dict[str, Any]]:
        return service.unknown_devices()

    @app.get("/api/refusals")
    async def refusals() -> list[dict[str, Any]]:
        return service.security_events()


def _add_network(app: FastAPI, service: Service) -> None:
    @app.get("/health", openapi_extra={"security": [{}]})
    async def health() -> dict[str, str]:
        # Asked without a log-in, so it tells nothing of the fault itself.
        if service.fault() or not service.can_read():
            raise HTTPException(503, "the database takes nothing, and no report is acknowledged")
        return {"status": "ok"}

    @app.get("/api/network")
    async def network() -> dict[str, int]:
        return service.network()

    @app.get("/api/topology")
    async def topology() -> dict[str, Any]:
        return service.topology()

    @app.get("/api/topology.dot", response_class=_Graph)
    async def topology_dot() -> _Graph:
        return _Graph(service.topology_dot())


def _add_acts(app: FastAPI, service: Service, user_of: Any) -> None:
    @app.post("/api/meters/{esn}/jobs", status_code=202)
    async def begin(esn: str, asked: JobRequest, request: Request) -> dict[str, int]:
        return {"job": service.request(esn, asked.kind, user_of(request))}

    @app.post("/api/jobs/{number}/cancel")
    async def cancel(number: Number, request: Request) -> dict[str, str]:
        return {"status": "cancelled", "cause": service.work.cancel(number, user_of(request))}

    @app.post("/api/jobs/cancel")
    async def cancel_all(asked: Cancellation, request: Request) -> dict[str, Any]:
        return {"cancelled": service.work.cancel_all(user_of(request), asked.kind, asked.esns)}

    @app.post("/api/meters/{esn}/retire")
    async def retire(esn: str, asked: Retirement, request: Request) -> dict[str, str]:
        service.retire(esn, user_of(request), asked.replaced_by)
        return {"status": "retired"}

    @app.post("/api/meters/{esn}/replace")
    async def replace(esn: str, asked: Replacement, request: Request) -> dict[str, str]:
        at_s = utc_second(asked.at, "at") if asked.at else None
        service.replace(esn, asked.by, user_of(request), at_s)
        return {"status": "replaced"}

    @app.post("/api/meters/{esn}/return")
    async def bring_back(esn: str) -> dict[str, str]:
        service.bring_back(esn)
        return {"status": "in service"}

    @app.post("/api/alarms/{number}/close")
    async def close_alarm(number: Number, request: Request) -> dict[str, str]:
        service.alarms.close(number, user_of(request))
        return {"status": "closed"}

    @app.post("/api/alarms/close")
    async def close_alarms(asked: Closing, request: Request) -> dict[str, int]:
        whose = asked.newest, user_of(request), asked.esn
        return {"closed": await asyncio.to_thread(service.alarms.close_all, *whose)}

    @app.post("/api/shipment", openapi_extra=CSV_BODY)
    async def shipment(request: Request) -> Any:
        text = await _text(request, "the shipment file")
        return text if isinstance(text, JSONResponse) else await service.enter_shipment(text)

    @app.post("/api/polled", openapi_extra=CSV_BODY)
    async def polled(request: Request) -> Any:
        text = await _text(request, "the list of polled meters")
        return text if isinstance(text, JSONResponse) else await service.enter_polled(text)

    @app.delete("/api/polled/{esn}")
    async def remove_polled(esn: str) -> dict[str, str]:
        service.remove_polled(esn)
        return {"status": "removed"}


async def _text(request: Request, what: str) -> str | JSONResponse:
    """Give a request's body as text, or the answer to one that is too large or no text."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_SHIPMENT_OCTETS:
                return JSONResponse({"error": f"{what} is larger than 8 MiB"}, 413)
        return body.decode("utf-8")
    except ClientDisconnect:
        return JSONResponse({"error": f"{what} is cut off"}, 400)
    except UnicodeDecodeError:
        return JSONResponse({"error": f"{what} is no UTF-8 text"}, 400)
