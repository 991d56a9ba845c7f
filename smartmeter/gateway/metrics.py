"""Prometheus metrics: a small server that only tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from smartmeter.base.errors import SettingsError

MAX_REQUEST_OCTETS = 8192
REQUEST_TIMEOUT_S = 5.0
#: name in ``Seat.status`` -> metric and help.
GAUGES = {
    "port_open": ("smartmeter_port_open", "Whether the optical port is open"),
    "meter_answers": ("smartmeter_meter_answers", "Whether the meter answers"),
    "fresh": ("smartmeter_fresh", "Whether the newest interval is within two periods"),
    "last_interval_end_s": ("smartmeter_last_interval_end_seconds", "End of the newest interval"),
    "outbox": ("smartmeter_outbox_reports", "Reports that wait for the TMS"),
    "last_acknowledged_s": (
        "smartmeter_last_acknowledged_seconds",
        "When the TMS acknowledged last",
    ),
    "state": ("smartmeter_module_state", "State of the module, 0 to 6"),
    "error": ("smartmeter_module_error", "Error of the module, 0 for none"),
    "warning": ("smartmeter_module_warning", "Warning of the module, 0 for none"),
    "clock_offset_s": ("smartmeter_clock_offset_seconds", "Meter's clock less the module's"),
    "state_octets": ("smartmeter_state_written_bytes", "Octets written to the state file"),
    "state_commits": ("smartmeter_state_commits", "Commits to the state file"),
}
#: Who asks goes, waits too long, or sends what is no request.
_NO_REQUEST = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
Status = Callable[[], dict[str, Any]]


class _Collector(Collector):
    """Gives the gauges of all meters at the moment that they are asked for."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give a family for each gauge."""

        meters = self._status()["meters"]
        for name, (metric, told) in GAUGES.items():
            family = GaugeMetricFamily(metric, told, labels=["esn"])
            for one in meters:
                if one.get(name) is not None:
                    family.add_metric([one["esn"]], int(one[name]))
            yield family


class MetricsServer:
    """Answers ``GET /metrics``, and anything else with 404; one request a connection."""

    def __init__(self, status: Status) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(status))
        self._text: Callable[[], bytes] = lambda: generate_latest(registry)
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; SettingsError when the address is taken."""
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, limit=MAX_REQUEST_OCTETS
            )
        except OSError as error:
            raise SettingsError(
                f"metrics {host}:{port}", f"cannot listen: {error.strerror}", "choose another port"
            ) from error

    @property
    def port(self) -> int:
        """Give the port that is listened on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_NO_REQUEST):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                known = head.startswith((b"GET /metrics ", b"GET /metrics?"))
                body = self._text() if known else b"try /metrics\n"
                status = b"200 OK" if known else b"404 Not Found"
                writer.write(
                    b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain; version=0.0.4\r\n"
                    b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
                )
                await writer.drain()
        writer.close()
