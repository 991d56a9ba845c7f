"""The options of verbs that are reached by more than their own sockets: a broker, calls out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.carrier import Carrier
from smartmeter.comms.listener import Listener
from smartmeter.comms.tls import TlsFiles

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
#: Where the password at a broker comes from; never from the command line.
PASSWORD_VARIABLE = "SMARTMETER_MQTT_PASSWORD"
MAX_CALLS = 1000


def carrier_options(verb: _Verb) -> _Verb:
    """Give a verb the options; :func:`make_carriers` takes them."""
    for option in (
        click.option("--multicast", is_flag=True, help="Hear C12.22's multicast groups too (UDP)."),
        click.option(
            "--sms", metavar="PORT", help="Serve nodes by short messages, by a modem there."
        ),
        click.option(
            "--modem", metavar="PORT", help="Answer nodes that call by telephone, by a modem there."
        ),
        click.option("--mqtt-user", default="", metavar="NAME", help="Log-in at the broker."),
        click.option(
            "--mqtt",
            metavar="mqtt:HOST:PORT[/TOPIC]",
            help="Serve nodes by a broker too; mqtts: with TLS. See docs/bearers.rst.",
        ),
        click.option(
            "--call",
            multiple=True,
            metavar="tcp:HOST:PORT",
            help="Open the connection to a node that listens; may be given again.",
        ),
    ):
        verb = option(verb)
    return verb


def make_carriers(
    listener: Listener,
    tls: TlsFiles,
    call: tuple[str, ...],
    mqtt: str | None,
    mqtt_user: str,
    sms: str | None,
    modem: str | None,
) -> list[Carrier]:
    """Give what the options say; SettingsError when it cannot be."""
    from smartmeter.comms.caller import Caller

    if len(call) > MAX_CALLS:
        raise SettingsError("--call", f"is given {len(call)} times", f"give at most {MAX_CALLS}")
    for address in call:
        if not address.startswith(("tcp:", "tls:")):
            raise SettingsError("--call", f"{address!r} cannot be called", "write tcp:HOST:PORT")
    carriers: list[Carrier] = [Caller(address, listener, tls) for address in call]
    if mqtt is not None:
        if not mqtt.startswith(("mqtt:", "mqtts:")):
            raise SettingsError("--mqtt", f"{mqtt!r} is no broker", "write mqtt:HOST:PORT")
        try:
            from smartmeter.comms.mqtt_carrier import MqttCarrier
        except ImportError as error:
            remedy = 'pip install "smartmeter[network]"'
            raise SettingsError("--mqtt", f"needs the package {error.name}", remedy) from error
        password = os.environ.get(PASSWORD_VARIABLE, "")
        settings = BearerSettings("mqtt", mqtt, tls=tls, user=mqtt_user, password=password)
        carriers.append(MqttCarrier(settings, listener.limit, listener.counts))
    if sms is not None:
        from smartmeter.comms.sms import SmsCarrier

        _check_port("--sms", sms)
        carriers.append(SmsCarrier(sms, listener.counts))
    if modem is not None:
        from smartmeter.comms.answered_calls import CallCarrier

        _check_port("--modem", modem)
        if modem == sms:
            raise SettingsError(
                "--modem", f"{modem} is --sms's too", "give each a modem of its own"
            )
        carriers.append(CallCarrier(modem, listener.limit, listener.counts))
    return carriers


def _check_port(option: str, port: str) -> None:
    if port.startswith("/") and not os.path.exists(port):
        raise SettingsError(option, f"{port} is not there", "plug the modem in, check its name")
