"""What keeps a gateway from starting, looked for before it makes anything on disk."""

from __future__ import annotations

from collections.abc import Iterator

from smartmeter.comms.bearers import bearer_tls
from smartmeter.comms.sockets import check_listening
from smartmeter.comms.tls import TlsFiles, client_tls
from smartmeter.gateway.mains import make_sense
from smartmeter.gateway.settings import GatewaySettings


def refuse_hindrances(settings: GatewaySettings, page: tuple[str, int] | None) -> None:
    """SettingsError for a mains sense, an address or TLS files that cannot be had on this board.

    ``page`` is the address of a TMS in this process, which takes the place of the bearers.
    """
    make_sense(settings.mains).close()
    for bearer in settings.bearers if page is None else ():
        bearer_tls(bearer)
    for files in _sinks(settings):
        client_tls(files)
    check_listening(("metrics", settings.metrics), ("--with-tms", page))


def _sinks(settings: GatewaySettings) -> Iterator[TlsFiles]:
    """Give the TLS files that sinks name."""
    sinks = settings.sinks
    for one in (sinks.mqtt, sinks.influx, sinks.home_assistant):
        if one is not None and one.tls is not None and one.tls != TlsFiles():
            yield one.tls
