"""``--metrics HOST:PORT``: what a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from smartmeter.base.address import host_port

if TYPE_CHECKING:
    from smartmeter.comms.metrics import Family

EXAMPLE = "127.0.0.1:9119"
metrics_option = click.option(
    "--metrics",
    metavar="HOST:PORT",
    callback=lambda _, option, text: (
        text if text is None else host_port("--metrics", text, EXAMPLE)
    ),
    help="Tell Prometheus here what is counted (/metrics).",
)


@asynccontextmanager
async def serving_metrics(
    address: tuple[str, int] | None, families: Callable[[], Iterable[Family]]
) -> AsyncIterator[None]:
    """Serve while the block runs, where an address is given; SettingsError when it cannot be."""
    if address is None:
        yield
        return
    from smartmeter.comms.metrics import MetricsServer

    server = MetricsServer(families)
    await server.start(*address)
    try:
        yield
    finally:
        server.stop()
