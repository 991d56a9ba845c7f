"""``gateway check``: what would fail with these settings, and what cannot work.  It only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from smartmeter.base.address import shown
from smartmeter.base.errors import SettingsError
from smartmeter.base.finding import Finding, well, wrong
from smartmeter.comms.bearer import ip_address
from smartmeter.comms.tls import TlsFiles, client_tls
from smartmeter.gateway.bearer_checks import (
    check_bearer,
    check_order,
    check_shared,
    listen_fault,
    one_only,
    takes_connections,
)
from smartmeter.gateway.mains import MeterAlone, make_sense
from smartmeter.gateway.meter_checks import check_meter
from smartmeter.gateway.place_checks import check_places
from smartmeter.gateway.settings import GatewaySettings
from smartmeter.gateway.sinks.settings import (
    HomeAssistantSettings,
    InfluxSettings,
    MqttSettings,
    SinkRefused,
)
from smartmeter.gateway.status_socket import answers


def check_settings(settings: GatewaySettings, ask_meters: bool) -> list[Finding]:
    """Look at everything; the meters' ports only when asked to, and when no gateway has them."""
    found = [well("permission", str(settings.permission))]
    found += check_places(settings)
    runs = answers(settings.socket)
    found += _tms(settings, runs)
    found += _sinks(settings, runs)
    found.append(_upgrade(settings))
    if runs:
        told = "one runs with these settings: its mains sense, ports and meters are not tried"
        return [*found, well("gateway", told, "ask it: smartmeter gateway status")]
    found += _mains(settings)
    found += _metrics(settings)
    if ask_meters:
        for seat in settings.seats:
            found += check_meter(seat)
    return found


def _metrics(settings: GatewaySettings) -> Iterator[Finding]:
    place = settings.metrics
    if place is None:
        return
    fault = listen_fault(*place)
    for bearer in settings.bearers:
        if bearer.address.startswith("listen:") and one_only(place, ip_address(bearer.address)):
            fault = f"is that of {bearer.address}"
    if fault:
        yield wrong(f"metrics {shown(*place)}", fault, "choose another address")


def _mains(settings: GatewaySettings) -> Iterator[Finding]:
    try:
        sense = make_sense(settings.mains)
    except SettingsError as error:
        yield wrong("mains", error.fault, error.remedy)
        return
    felt = sense.read()
    sense.close()
    if isinstance(sense, MeterAlone):
        yield well(
            "mains",
            "the board feels no outage: there is no last gasp, outages show in the meter's log",
            'if the board has a backed supply, set mains = "power_supply" or "gpio:CHIP:LINE"',
        )
    else:
        yield Finding(
            "mains",
            felt is None,
            "cannot be told" if felt is None else f"{'on' if felt else 'off'} now",
            "a last gasp needs a supply that outlives the mains for some seconds",
        )


def _tms(settings: GatewaySettings, runs: bool) -> Iterator[Finding]:
    if not settings.bearers:
        told = "none is set: one runs in the gateway's process, and goes by the meter's clock"
        yield well("TMS", told)
    for bearer in settings.bearers:
        yield from check_bearer(bearer, runs)
        yield from check_shared(bearer, len(settings.seats))
    if settings.bearers:
        yield check_order(settings.bearers)


def _sinks(settings: GatewaySettings, runs: bool) -> Iterator[Finding]:
    sinks = settings.sinks
    for name, value, package in (
        ("mqtt", sinks.mqtt, "aiomqtt"),
        ("home_assistant", sinks.home_assistant, "websockets"),
        ("metrics", settings.metrics, "prometheus_client"),
    ):
        if value is not None and find_spec(package) is None:
            yield wrong(name, f"needs the package {package}", 'pip install "smartmeter[gateway]"')
    if sinks.mqtt is not None:
        yield check_broker(sinks.mqtt, "" if runs else settings.seats[0].factory.esn)
    if sinks.influx is not None:
        yield check_url("InfluxDB", sinks.influx)
    if sinks.home_assistant is not None:
        yield check_home_assistant(sinks.home_assistant)


def check_broker(mqtt: MqttSettings, esn: str = "") -> Finding:
    """Look whether the broker of the sink would be reached, and would let the gateway in.

    ``esn`` is of its first module; without, as where it runs and is in already, nobody logs in.
    """
    reached = _reached("broker", (mqtt.host, mqtt.port), "the broker", mqtt.tls)
    if reached.wrong or not esn or find_spec("aiomqtt") is None:
        return reached
    from smartmeter.gateway.sinks.mqtt import try_log_in

    try:
        asyncio.run(try_log_in(mqtt, esn))
    except SinkRefused as error:
        fault, _, remedy = str(error).partition("; ")
        told = f"does not let the gateway in: {fault}"
        return wrong(reached.subject, told, remedy or "is a broker there? its log may tell more")
    return well(reached.subject, "takes connections, and lets the gateway in")


def check_url(name: str, sink: InfluxSettings | HomeAssistantSettings) -> Finding:
    """Look whether what a URL leads to would be reached, and would trust and be trusted."""
    url = urlsplit(sink.url)
    secured = url.scheme in ("https", "wss")
    place = url.hostname or "", url.port or (443 if secured else 80)
    return _reached(name, place, name, sink.tls if secured else None)


def check_home_assistant(home: HomeAssistantSettings) -> Finding:
    """Look whether Home Assistant would be reached, and would take the token."""
    reached = check_url("Home Assistant", home)
    if reached.wrong or find_spec("websockets") is None:
        return reached
    from smartmeter.gateway.sinks.statistics_link import StatisticsLink

    try:
        asyncio.run(StatisticsLink(home).try_token())
    except SinkRefused as error:
        return wrong(reached.subject, str(error), "look at url and token_file")
    return well(reached.subject, "takes connections and the token")


def _reached(name: str, place: tuple[str, int], whom: str, files: TlsFiles | None) -> Finding:
    subject = f"{name} {shown(*place)}"
    try:
        tls = client_tls(files) if files is not None else None
    except SettingsError as error:
        return wrong(subject, f"{error.place}: {error.fault}", error.remedy)
    return takes_connections(subject, place, whom, tls)


def _upgrade(settings: GatewaySettings) -> Finding:
    upgrade = settings.upgrade
    if upgrade is None:
        remedy = "write [upgrade] with public_key_file, if the TMS may send new versions"
        return well("upgrade", "off: images from the network are refused", remedy)
    try:
        owner = upgrade.slots.stat() if upgrade.slots.exists() else None
    except OSError as error:
        return wrong("upgrade", f"{upgrade.slots}: {error.strerror}", "check its rights")
    if owner is not None and owner.st_mode & 0o022:
        fault = f"others may write {upgrade.slots}, from where programs are run"
        return wrong("upgrade", fault, f"chmod go-w {upgrade.slots}")
    esn, key = settings.seats[0].factory.esn, upgrade.public_key.hex()
    text = f"{esn} takes images signed for {key[:16]}..., on trial for {upgrade.trial_s} s"
    return well("upgrade", text)
