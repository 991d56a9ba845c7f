"""The REST API of upgrades: ``POST /api/upgrades`` begins them, ``GET`` tells how far they are."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import FastAPI, Query, Request
from pydantic import Field

from ansi_tables.ssi_layouts import MAX_IMAGE_OCTETS
from smartmeter.base.errors import SettingsError
from smartmeter.tms.api.wrong_requests import Asked
from smartmeter.tms.fleet_upgrades import MAX_ACTIVATION_S, MAX_LIST, FleetUpgrades

#: An image's file as base64, with its manifest.
MAX_TEXT = (MAX_IMAGE_OCTETS + 1024) * 4 // 3


class UpgradeRequest(Asked):
    """``image`` is the image's file as base64; ``activation_s`` is a UTC second, 0 at once."""

    esns: list[str] = Field(min_length=1, max_length=MAX_LIST)
    image: str = Field(max_length=MAX_TEXT)
    activation_s: int = Field(0, ge=0, le=MAX_ACTIVATION_S)


def add_upgrades(app: FastAPI, upgrades: FleetUpgrades, user_of: Any) -> None:
    """Add the routes; ``user_of(request)`` gives who is logged in."""

    @app.post("/api/upgrades", status_code=202)
    async def begin(asked: UpgradeRequest, request: Request) -> dict[str, Any]:
        try:
            octets = base64.b64decode(asked.image, validate=True)
        except ValueError:
            raise SettingsError("image", "is no base64", "encode the image's file") from None
        return upgrades.begin(asked.esns, octets, asked.activation_s, user_of(request))

    @app.get("/api/upgrades")
    async def status(
        esn: str = Query("", max_length=16),
        offset: int = Query(0, ge=0, le=1 << 31),
        limit: int = Query(50, ge=1, le=200),
        after: str = Query("", max_length=16),
    ) -> dict[str, Any]:
        return upgrades.status(esn, offset, limit, after)
