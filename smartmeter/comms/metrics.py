"""Prometheus metrics: a small server that only tells, and what every listener has to tell."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from smartmeter.base.address import shown
from smartmeter.comms.sockets import cannot_listen, listening_sockets

MAX_REQUEST_OCTETS = 8192
REQUEST_TIMEOUT_S = 5.0
#: The client goes, takes too long, or sends what is no request.
_NO_REQUEST = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True)
class Family:
    """One metric: values by their label, or a single one without.

    ``counts``: it only rises while the process runs; Prometheus has ``_total`` behind the name.
    """

    name: str
    told: str
    values: Sequence[tuple[str, int]]
    label: str | None = None
    counts: bool = False


def events_family(counts: Mapping[str, int]) -> Family:
    """Give what passed the network side, and what was refused there, by reason."""
    told = "What passed the network side and what was refused there, by reason"
    happened = sorted(counts.items())
    return Family("smartmeter_network_events", told, happened, label="event", counts=True)


def network_families(counts: Mapping[str, int], connections: int) -> list[Family]:
    """Give what passed a listener and its machines, and how many are connected."""
    return [
        events_family(counts),
        Family("smartmeter_connections", "Connections that are open", [("", connections)]),
    ]


class _Collector(Collector):
    """Asks for the values at the moment that it is asked."""

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Give a family for each metric."""
        for one in self._families():
            kind = CounterMetricFamily if one.counts else GaugeMetricFamily
            family = kind(one.name, one.told, labels=[one.label] if one.label else [])
            for label, value in one.values:
                family.add_metric([label] if one.label else [], value)
            yield family


class MetricsServer:
    """Answers ``GET /metrics``, and anything else with 404; one request a connection."""

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(families))
        self._text: Callable[[], bytes] = lambda: generate_latest(registry)
        self._servers: list[asyncio.Server] = []

    async def start(self, host: str, port: int) -> None:
        """Listen; SettingsError when the address is taken."""
        try:
            for bound in listening_sockets(host, port, socket.SOCK_STREAM):
                made = await asyncio.start_server(self._serve, sock=bound, limit=MAX_REQUEST_OCTETS)
                self._servers.append(made)
        except OSError as error:
            self.stop()
            raise cannot_listen(f"metrics {shown(host, port)}", error) from error

    @property
    def port(self) -> int:
        """Give the port that is listened on."""
        port: int = self._servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """End."""
        for server in self._servers:
            server.close()

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
