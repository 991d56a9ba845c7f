"""The bearers of some settings, each by the kind of its address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import Bearer, BearerSettings, ip_address
from smartmeter.comms.mqtt_topics import broker_address
from smartmeter.comms.standing import Tell, tell_nobody
from smartmeter.comms.tls import client_tls, server_tls

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, loaded only where TLS is spoken


# Imported when one is made: reading settings takes no bearer, and a board only its own.
def _tcp(settings: BearerSettings, tell: Tell) -> Bearer:
    from smartmeter.comms.tcp import TcpBearer

    return TcpBearer(settings, tell)


def _udp(settings: BearerSettings, _: Tell) -> Bearer:
    from smartmeter.comms.udp import UdpBearer

    return UdpBearer(settings)


def _mqtt(settings: BearerSettings, tell: Tell) -> Bearer:
    from smartmeter.comms.mqtt import MqttBearer

    return MqttBearer(settings, tell)


def _sms(settings: BearerSettings, _: Tell) -> Bearer:
    from smartmeter.comms.sms import SmsBearer

    return SmsBearer(settings)


def _dial_up(settings: BearerSettings, _: Tell) -> Bearer:
    from smartmeter.comms.dial_up import DialUpBearer

    return DialUpBearer(settings)


def _listening(settings: BearerSettings, _: Tell) -> Bearer:
    from smartmeter.comms.listening import ListeningBearer

    return ListeningBearer(settings)


def _number_at_port(address: str) -> object:
    from smartmeter.comms.sms import number_at_port

    return number_at_port(address)


#: Kind of address: how it is checked, and what makes its bearer.
KINDS: dict[str, tuple[Callable[[str], object], Callable[[BearerSettings, Tell], Bearer]]] = {
    "tcp": (ip_address, _tcp),
    "tls": (ip_address, _tcp),
    "udp": (ip_address, _udp),
    "listen": (ip_address, _listening),
    "mqtt": (broker_address, _mqtt),
    "mqtts": (broker_address, _mqtt),
    "sms": (_number_at_port, _sms),
    "modem": (_number_at_port, _dial_up),
}


def check_address(address: str) -> str:
    """Give the kind of an address; SettingsError when no bearer has it."""
    kind = address.partition(":")[0]
    if kind not in KINDS:
        others = ", ".join(f"{known}:" for known in KINDS if known != "tcp")
        remedy = f"write tcp:HOST:PORT, or begin with {others}"
        raise SettingsError(f"address {address!r:.80}", "is no bearer", remedy)
    KINDS[kind][0](address)
    return kind


def bearer_tls(settings: BearerSettings) -> ssl.SSLContext | None:
    """Give the context of a bearer that speaks TLS; SettingsError for files that do not fit."""
    if not settings.speaks_tls:
        return None
    make = server_tls if settings.address.startswith("listen:") else client_tls
    return make(settings.tls)


def make_bearer(settings: BearerSettings, tell: Tell = tell_nobody) -> Bearer:
    """Give the bearer of an address; SettingsError when there is none.

    It tells of certificates that were renewed and do not fit.
    """
    return KINDS[check_address(settings.address)][1](settings, tell)


def make_bearers(
    settings: Sequence[BearerSettings], node: str = "", tell: Tell = tell_nobody
) -> list[Bearer]:
    """Give the bearers of a node by its name; SettingsError when none is set."""
    if not settings:
        raise SettingsError("bearers", "none is set", "give the address of a TMS")
    return [make_bearer(replace(one, node=one.node or node), tell) for one in settings]
