"""``GET /api/export/KIND``: what was collected, as a file that is made while it is fetched.

``esn`` (repeated; none: all), ``from`` and ``to`` (ISO 8601), ``format`` (csv or
jsonl), ``place`` (1: with the meters that were there before).  It reads over a
connection of its own, in threads: nothing else waits.
A file that cannot be ended is cut off without the end that HTTP has for it, so
that nobody takes it for whole.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import chain
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from fastapi.responses import JSONResponse, StreamingResponse

from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.base.instant import utc_second
from smartmeter.tms.exports.archive import Archive
from smartmeter.tms.exports.kinds import FORMATS, KINDS, export_pieces
from smartmeter.tms.exports.selection import Selection
from smartmeter.tms.store.places import BEGIN, MAX_SECOND
from smartmeter.tms.store.queries import NotThere

#: Files that are fetched at once, and meters that one request names.
MAX_DOWNLOADS, MAX_NAMED = 4, 500
#: How long a piece may wait for whoever fetches it.
STALL_S = 60.0
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


class _Download(StreamingResponse):
    """A file that ends, is cut off, or is given up; ``ended`` is called then."""

    def __init__(
        self, pieces: Iterator[str], name: str, media: str, ended: Callable[[], None]
    ) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(pieces, headers=headers, media_type=media)
        self._ended = ended

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()

    async def stream_response(self, send: Any) -> None:
        """Send the pieces; after a fault, and to nobody who takes them, the end is never told."""

        async def send_soon(message: Any) -> None:
            async with asyncio.timeout(STALL_S):
                await send(message)

        with suppress(SmartMeterError, TimeoutError):
            await super().stream_response(send_soon)


def add_exports(app: FastAPI, database: pathlib.Path) -> None:
    """Add the route."""
    under_way: set[Any] = set()

    @app.get(
        "/api/export/{kind}",
        response_class=StreamingResponse,
        responses={200: {"content": {one: {} for one in MEDIA_TYPES.values()}}},
    )
    async def export(
        kind: Annotated[str, Path(json_schema_extra={"enum": [*KINDS]})],
        esn: Annotated[list[str] | None, Query(max_length=MAX_NAMED)] = None,
        from_: str = Query("", alias="from", max_length=40),
        to: str = Query("", max_length=40),
        format_: str = Query(
            "csv", alias="format", max_length=8, json_schema_extra={"enum": [*FORMATS]}
        ),
        place: bool = False,
    ) -> Any:
        if kind not in KINDS:
            raise NotThere("export", f"no {kind!r:.40}", f"choose of {', '.join(KINDS)}")
        if format_ not in FORMATS:
            raise SettingsError("format", f"no {format_!r:.40}", f"choose of {', '.join(FORMATS)}")
        from_s = utc_second(from_, "from") if from_ else BEGIN
        to_s = utc_second(to, "to") if to else MAX_SECOND
        chosen = Selection(tuple(esn) if esn else None, from_s, to_s, place)
        if len(under_way) >= MAX_DOWNLOADS:
            return JSONResponse({"error": "other exports are under way; try again soon"}, 429)
        pieces = _pieces(database, chosen, kind, format_)
        # Already its first piece may take long: a look at all that is to be exported.
        under_way.add(pieces)
        try:
            first = await asyncio.to_thread(next, pieces, "")
        except BaseException:
            under_way.discard(pieces)
            raise
        name = f"{kind}-{esn[0] if esn and len(esn) == 1 else 'all'}.{format_}"
        ended = partial(under_way.discard, pieces)
        return _Download(chain([first], pieces), name, MEDIA_TYPES[format_], ended)


def _pieces(database: pathlib.Path, chosen: Selection, kind: str, format_: str) -> Iterator[str]:
    with closing(Archive(database)) as archive:
        yield from export_pieces(archive, chosen, kind, format_)
