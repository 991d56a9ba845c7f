"""Where the sinks send to: values only, so that reading settings loads no client library."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class InfluxSettings:
    """``url`` is the whole write address, with precision=s."""

    url: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class MqttSettings:
    """A broker; ``discovery`` is Home Assistant's prefix, empty for none."""

    host: str
    port: int = 1883
    user: str = ""
    password: str = field(default="", repr=False)
    base: str = "smartmeter"
    discovery: str = "homeassistant"


@dataclass(frozen=True)
class HomeAssistantSettings:
    """``url`` is ws://HOST:8123/api/websocket; the token is a long-lived one."""

    url: str
    token: str = field(repr=False)


class SinkRefused(Exception):
    """The other side did not take it; the text is one line."""
