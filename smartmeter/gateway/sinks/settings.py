"""Where the sinks send to: values, and how they are read; no client library is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from smartmeter.base.address import may_be_a_name
from smartmeter.base.errors import SettingsError
from smartmeter.comms.tls import TlsFiles
from smartmeter.gateway.settings_file import Section, SettingsFile

#: What is put before a meter's name and a word in topics of 65,535 octets at most.
MAX_TOPIC = 200
#: Where brokers listen, as registered: mqtt and secure-mqtt.
PORT, TLS_PORT = 1883, 8883


@dataclass(frozen=True)
class InfluxSettings:
    """``url`` is the whole write address, with precision=s."""

    url: str
    token: str = field(default="", repr=False)
    tls: TlsFiles = field(default_factory=TlsFiles)


@dataclass(frozen=True)
class MqttSettings:
    """A broker; ``discovery`` is Home Assistant's prefix, empty for none; ``tls`` None is plain."""

    host: str
    port: int = PORT
    user: str = ""
    password: str = field(default="", repr=False)
    base: str = "smartmeter"
    discovery: str = "homeassistant"
    tls: TlsFiles | None = None


@dataclass(frozen=True)
class HomeAssistantSettings:
    """``url`` is ws://HOST:8123/api/websocket; the token is a long-lived one."""

    url: str
    token: str = field(repr=False)
    tls: TlsFiles = field(default_factory=TlsFiles)


class SinkRefused(Exception):
    """The other side did not take it; the text is one line."""


class TokenRefused(SinkRefused):
    """It will not until somebody gives another token, and may shut out who goes on asking."""


@dataclass(frozen=True)
class Sinks:
    """Where readings go beside the TMS; None for those that are not set."""

    csv: Path | None = None
    mqtt: MqttSettings | None = None
    influx: InfluxSettings | None = None
    home_assistant: HomeAssistantSettings | None = None


def _host(mqtt: Section) -> str:
    host = mqtt.text("host")
    if not may_be_a_name(host):
        raise SettingsError(f"{mqtt.place}, host", f"{host!r:.80} is none", "write its name alone")
    return host


def _topic(mqtt: Section, name: str, default: str) -> str:
    """Give what topics begin with; ``discovery = ""`` turns discovery off."""
    topic = mqtt.text(name, default)
    wrong = set(topic) & set("+#") or topic.startswith("$") or len(topic) > MAX_TOPIC
    if wrong or (not topic and name == "base"):
        fault = f"{topic!r:.80} is no beginning of a topic"
        raise SettingsError(f"{mqtt.place}, {name}", fault, f'write {name} = "{default}"')
    return topic


def _broker_tls(mqtt: Section) -> TlsFiles | None:
    """Give the files of a broker that speaks TLS: it is said, or one of them is named."""
    files = mqtt.tls_files()
    is_named = files != TlsFiles()
    if mqtt.switch("tls", is_named):
        return files
    if is_named:  # whoever gives them must not believe that strangers are kept away
        raise SettingsError(f"{mqtt.place}, tls", "is false, and there are TLS files", "write true")
    return None


def _broker(mqtt: Section) -> MqttSettings:
    if "password_file" in mqtt and not mqtt.text("user", ""):
        raise SettingsError(mqtt.place, "a password is of nobody", "give user, too")
    tls = _broker_tls(mqtt)
    return MqttSettings(
        _host(mqtt),
        mqtt.number("port", PORT if tls is None else TLS_PORT, 1, 65_535),
        mqtt.text("user", ""),
        mqtt.secret("password_file", default=""),
        _topic(mqtt, "base", "smartmeter"),
        _topic(mqtt, "discovery", "homeassistant"),
        tls,
    )


def _url(section: Section, schemes: tuple[str, ...], example: str) -> str:
    text = section.text("url")
    try:
        parts = urlsplit(text)
        host = parts.hostname
        named = host and may_be_a_name(host) and parts.port != 0 and "@" not in parts.netloc
        written = text.isascii() and " " not in text and not parts.fragment
        good = parts.scheme in schemes and named and written
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise SettingsError(f"{section.place}, url", f"{text!r:.80} is none", f"write {example}")
    return text


def _url_tls(section: Section, url: str) -> TlsFiles:
    """Give the TLS files of what a URL leads to; SettingsError where it leads there without TLS."""
    files, scheme = section.tls_files(), urlsplit(url).scheme
    if files != TlsFiles() and scheme in ("http", "ws"):
        fault = f"TLS files, but {scheme}: speaks none"
        raise SettingsError(section.place, fault, f"write {scheme}s: in url")
    return files


def _influx(influx: Section) -> InfluxSettings:
    url = _influx_url(influx)
    return InfluxSettings(url, influx.token("token_file", ""), _url_tls(influx, url))


def _home_assistant(home: Section) -> HomeAssistantSettings:
    url = _url(home, ("ws", "wss"), "ws://HOST:8123/api/websocket")
    return HomeAssistantSettings(url, home.token("token_file"), _url_tls(home, url))


def _influx_url(influx: Section) -> str:
    example = "http://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET&precision=s"
    url = _url(influx, ("http", "https"), example)
    if parse_qs(urlsplit(url).query).get("precision") not in (["s"], ["second"]):
        # Without it the server takes seconds for nanoseconds.
        raise SettingsError(f"{influx.place}, url", "its times are not seconds", "add precision=s")
    return url


def read_sinks(file: SettingsFile) -> Sinks:
    """Read the sections of all sinks; SettingsError names place, fault and remedy."""
    csv, mqtt = file.optional("csv"), file.optional("mqtt")
    influx, home = file.optional("influx"), file.optional("home_assistant")
    return Sinks(
        None if csv is None else csv.file("file"),
        None if mqtt is None else _broker(mqtt),
        None if influx is None else _influx(influx),
        None if home is None else _home_assistant(home),
    )
