"""``HOST:PORT`` as people write it, IPv6 addresses in brackets."""

from __future__ import annotations

from smartmeter.base.errors import SettingsError

MAX_PORT = 65_535


def host_port(place: str, text: str, example: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; SettingsError names the place and shows how it is written."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or len(port) > 5 or int(port) > MAX_PORT:
        raise SettingsError(place, f"{text!r:.80} is not HOST:PORT", f"write {example}")
    return host.strip("[]"), int(port)
