"""The options of verbs that are reached by more than their own sockets: a broker, calls out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from smartmeter.base.errors import SettingsError
from smartmeter.cli.given import not_empty, refuse_given
from smartmeter.cli.log_line import log_line
from smartmeter.cli.packages import need
from smartmeter.comms.bearer import BearerSettings, ip_address
from smartmeter.comms.carrier import Bell, Carrier, carrying
from smartmeter.comms.listener import Listener
from smartmeter.comms.mqtt_topics import broker_address
from smartmeter.comms.paths import Handler
from smartmeter.comms.standing import Standing
from smartmeter.comms.tls import TlsFiles

#: Where the password at a broker comes from; never from the command line.
PASSWORD_VARIABLE = "SMARTMETER_MQTT_PASSWORD"
MAX_CALLS = 1000


@dataclass(frozen=True)
class CarrierOptions:
    """What a verb is reached by beside its own sockets, as it was given."""

    call: tuple[str, ...] = ()
    mqtt: str | None = None
    mqtt_user: str = ""
    sms: str | None = None
    modem: str | None = None
    multicast: bool = False

    @property
    def dialled(self) -> tuple[str | None, ...]:
        """Give the addresses that are connected to."""
        return (*self.call, self.mqtt)

    def check(self) -> None:
        """Raise SettingsError for what cannot be opened, before anything has begun."""
        if len(self.call) > MAX_CALLS:
            fault = f"is given {len(self.call)} times"
            raise SettingsError("--call", fault, f"give at most {MAX_CALLS}")
        for address in self.call:
            if not address.startswith(("tcp:", "tls:")):
                fault = f"{address!r:.80} cannot be called"
                raise SettingsError("--call", fault, "write tcp:HOST:PORT")
            ip_address(address)
        if self.mqtt is not None:
            if not self.mqtt.startswith(("mqtt:", "mqtts:")):
                fault = f"{self.mqtt!r:.80} is no broker"
                raise SettingsError("--mqtt", fault, "write mqtt:HOST:PORT")
            broker_address(self.mqtt)
            need("aiomqtt")
        for option, port in (("--sms", self.sms), ("--modem", self.modem)):
            if port is not None and port.startswith("/") and not os.path.exists(port):
                fault = f"{port} is not there"
                raise SettingsError(option, fault, "plug the modem in, check its name")
        if self.modem is not None and self.modem == self.sms:
            fault = f"{self.modem} is --sms's too"
            raise SettingsError("--modem", fault, "give each a modem of its own")


def carrier_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options; it takes them together, as ``reached_by``."""
    names = [field.name for field in fields(CarrierOptions)]

    @wraps(verb)
    def gathered(**given: Any) -> None:
        reached_by = CarrierOptions(**{name: given.pop(name) for name in names})
        if reached_by.mqtt is None:
            refuse_given(("mqtt_user",), "is the log-in at a broker: give --mqtt, too")
        reached_by.check()
        verb(reached_by=reached_by, **given)

    with_options: Callable[..., None] = gathered
    for option in (
        click.option("--multicast", is_flag=True, help="Hear C12.22's multicast groups too (UDP)."),
        click.option(
            "--sms",
            callback=not_empty,
            metavar="PORT",
            help="Serve nodes by short messages, by a modem there.",
        ),
        click.option(
            "--modem",
            callback=not_empty,
            metavar="PORT",
            help="Answer nodes that call by telephone, by a modem there.",
        ),
        click.option(
            "--mqtt-user",
            default="",
            callback=not_empty,
            metavar="NAME",
            help="Log-in at the broker.",
        ),
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
        with_options = option(with_options)
    return with_options


@asynccontextmanager
async def reached(
    listener: Listener,
    handler: Handler,
    tls: TlsFiles,
    chosen: CarrierOptions,
    use_bell: Callable[[Bell | None], None],
) -> AsyncIterator[None]:
    """Open what the options say while the block runs.

    ``use_bell`` is given, before anything arrives, what can wake a node: None where nothing can.
    """
    carriers = make_carriers(listener, tls, chosen)
    use_bell(next((one for one in carriers if isinstance(one, Bell)), None))
    async with carrying(carriers, handler):
        if chosen.multicast:
            await listener.listen_groups(listener.tcp_address[1])
        yield


def make_carriers(listener: Listener, tls: TlsFiles, chosen: CarrierOptions) -> list[Carrier]:
    """Give what the options say, which were checked."""
    from smartmeter.comms.caller import Caller

    carriers: list[Carrier] = [
        Caller(one, listener, tls, _standing("node", one)) for one in chosen.call
    ]
    if chosen.mqtt is not None:
        carriers.append(_broker(listener, tls, chosen.mqtt, chosen.mqtt_user))
    if chosen.sms is not None:
        from smartmeter.comms.sms import SmsCarrier

        standing = _standing("short messages", chosen.sms)
        carriers.append(SmsCarrier(chosen.sms, listener.counts, standing))
    if chosen.modem is not None:
        from smartmeter.comms.answered_calls import CallCarrier

        standing = _standing("telephone", chosen.modem)
        carriers.append(CallCarrier(chosen.modem, listener.limit, listener.counts, standing))
    return carriers


def _broker(listener: Listener, tls: TlsFiles, address: str, user: str) -> Carrier:
    from smartmeter.comms.mqtt_carrier import MqttCarrier

    password = os.environ.get(PASSWORD_VARIABLE, "")
    settings = BearerSettings("mqtt", address, tls=tls, user=user, password=password)
    return MqttCarrier(settings, listener.limit, listener.counts, _standing("broker", address))


def _standing(kind: str, where: str) -> Standing:
    """Give what tells on standard error how a carrier does."""
    return Standing(f"{kind} {where}", tell)


def tell(text: str) -> None:
    """Tell people who look at the log of a verb that goes on: on standard error."""
    log_line(text, err=True)
