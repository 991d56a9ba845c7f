"""A Home Assistant that keeps what it is told."""

import json
from datetime import datetime, timedelta
from typing import Any

from websockets.asyncio.server import Server, ServerConnection

from smartmeter.gateway.sinks.settings import HomeAssistantSettings
from tests.smartmeter.ssi.host import FACTORY

TOKEN, ESN = "long-lived", FACTORY.esn


class Home:
    """A Home Assistant as far as its websocket's statistics go."""

    def __init__(self, version: str = "2026.11.0") -> None:
        self.version = version
        self.statistics: dict[str, dict[str, tuple[int, int]]] = {}
        self.calls, self.admin = 0, True
        self.asked: list[dict[str, object]] = []

    async def serve(self, socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "auth_required", "ha_version": self.version}))
        hello = json.loads(await socket.recv())
        if hello != {"type": "auth", "access_token": TOKEN}:
            await socket.send(json.dumps({"type": "auth_invalid", "message": "Invalid token"}))
            return
        await socket.send(json.dumps({"type": "auth_ok", "ha_version": self.version}))
        async for text in socket:
            await socket.send(json.dumps(self.answer(json.loads(text))))

    def answer(self, call: dict[str, object]) -> dict[str, object]:
        if call.get("type") == "recorder/statistics_during_period":
            self.asked.append(call)
            return {"id": call["id"], "type": "result", "success": True, "result": self.found(call)}
        if call.get("type") == "auth/current_user":
            user = {"id": "1", "name": "gateway", "is_owner": False, "is_admin": self.admin}
            return {"id": call["id"], "type": "result", "success": True, "result": user}
        self.calls += 1
        fault = self.fault(call)
        if fault:
            error = {"code": "invalid_format", "message": fault}
            return {"id": call.get("id"), "type": "result", "success": False, "error": error}
        metadata, stats = call["metadata"], call["stats"]
        assert isinstance(metadata, dict) and isinstance(stats, list)
        held = self.statistics.setdefault(metadata["statistic_id"], {})
        held |= {one["start"]: (one["state"], one["sum"]) for one in stats}
        return {"id": call["id"], "type": "result", "success": True, "result": None}

    def found(self, call: Any) -> dict[str, list[dict[str, float]]]:
        """Give the last sum of each hour or calendar month that begins within what is asked."""
        needed = {"id", "type", "start_time", "end_time", "statistic_ids", "period"}
        assert set(call) == needed | {"units", "types"}
        assert (call["units"], call["types"]) == ({"energy": "Wh"}, ["sum"])
        first, end = (datetime.fromisoformat(call[name]) for name in ("start_time", "end_time"))
        if call["period"] == "month":  # whole ones, as the answers are
            first, end = first.replace(day=1), (end.replace(day=1) + timedelta(31)).replace(day=1)
        [name] = call["statistic_ids"]
        rows: dict[str, dict[str, float]] = {}
        for start, (_, total) in sorted(self.statistics.get(name, {}).items()):
            begin = datetime.fromisoformat(start)
            if first <= begin < end:
                place = start if call["period"] == "hour" else start[:7]
                rows[place] = {"start": begin.timestamp() * 1000, "sum": float(total)}
        return {name: list(rows.values())} if rows else {}

    def fault(self, call: dict[str, object]) -> str:
        metadata, stats = call.get("metadata"), call.get("stats")
        if call.get("type") != "recorder/import_statistics" or not isinstance(metadata, dict):
            return "unknown command"
        needed = {"statistic_id", "source", "name", "unit_of_measurement", "has_sum"}
        needed |= {"has_mean"} if self.version < "2025.11" else {"mean_type", "unit_class"}
        if set(metadata) != needed:
            return f"metadata {sorted(metadata)}"
        source, _, name = metadata["statistic_id"].partition(":")
        if (
            source != metadata["source"]
            or not name.replace("_", "").isalnum()
            or name != name.lower()
        ):
            return "statistic_id"
        told = {"unit_class": "energy", "mean_type": 0, "has_mean": False, "has_sum": True}
        if any(metadata[name] != value for name, value in told.items() if name in metadata):
            return "unit_class or mean_type"
        for one in stats if isinstance(stats, list) else ():
            start = datetime.fromisoformat(one["start"])
            if start.tzinfo is None or start.minute or start.second:
                return "start must be a full hour with a zone"
        return ""


def settings(server: Server, token: str = TOKEN) -> HomeAssistantSettings:
    port = next(iter(server.sockets)).getsockname()[1]
    return HomeAssistantSettings(f"ws://127.0.0.1:{port}/api/websocket", token)
