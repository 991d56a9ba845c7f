"""The bearers of some settings, each by the kind of its address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import Bearer, BearerSettings, ip_address
from smartmeter.comms.dial_up import DialUpBearer
from smartmeter.comms.listening import ListeningBearer
from smartmeter.comms.mqtt_topics import broker_address
from smartmeter.comms.sms import SmsBearer, number_at_port
from smartmeter.comms.tcp import TcpBearer
from smartmeter.comms.udp import UdpBearer


def _mqtt(settings: BearerSettings) -> Bearer:
    from smartmeter.comms.mqtt import MqttBearer  # only who uses a broker needs the library

    return MqttBearer(settings)


#: Kind of address: how it is checked, and what makes its bearer.
KINDS: dict[str, tuple[Callable[[str], object], Callable[[BearerSettings], Bearer]]] = {
    "tcp": (ip_address, TcpBearer),
    "tls": (ip_address, TcpBearer),
    "udp": (ip_address, UdpBearer),
    "listen": (ip_address, ListeningBearer),
    "mqtt": (broker_address, _mqtt),
    "mqtts": (broker_address, _mqtt),
    "sms": (number_at_port, SmsBearer),
    "modem": (number_at_port, DialUpBearer),
}


def check_address(address: str) -> str:
    """Give the kind of an address; SettingsError when no bearer has it."""
    kind = address.partition(":")[0]
    if kind not in KINDS:
        others = ", ".join(f"{known}:" for known in KINDS if known != "tcp")
        remedy = f"write tcp:HOST:PORT, or begin with {others}"
        raise SettingsError(f"address {address!r}", "is no bearer", remedy)
    KINDS[kind][0](address)
    return kind


def make_bearer(settings: BearerSettings) -> Bearer:
    """Give the bearer of an address; SettingsError when there is none."""
    return KINDS[check_address(settings.address)][1](settings)


def make_bearers(settings: Sequence[BearerSettings], node: str = "") -> list[Bearer]:
    """Give the bearers of a node by its name; SettingsError when none is set."""
    if not settings:
        raise SettingsError("bearers", "none is set", "give the address of a TMS")
    return [make_bearer(replace(one, node=one.node or node)) for one in settings]
