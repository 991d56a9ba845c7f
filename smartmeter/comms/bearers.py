"""The bearers of some settings, each by the kind of its address."""

from __future__ import annotations

from collections.abc import Sequence

from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import Bearer, BearerSettings
from smartmeter.comms.tcp import TcpBearer
from smartmeter.comms.udp import UdpBearer


def make_bearer(settings: BearerSettings) -> Bearer:
    """Give the bearer of an address: ``udp:…``, ``tcp:…`` or ``tls:…``."""
    if settings.address.startswith("udp:"):
        return UdpBearer(settings)
    return TcpBearer(settings)


def make_bearers(settings: Sequence[BearerSettings]) -> list[Bearer]:
    """Give the bearers of some settings; SettingsError when there is none."""
    if not settings:
        raise SettingsError("bearers", "none is set", "give the address of a TMS")
    return [make_bearer(one) for one in settings]
