"""``HOST:PORT`` as people write it, IPv6 addresses in brackets."""

from __future__ import annotations

import string

from smartmeter.base.errors import SettingsError

MAX_PORT = 65_535
#: The underscore is in no host's name by the letter, and in many by use.
_IN_NAMES = frozenset(b"-._" + string.ascii_letters.encode() + string.digits.encode())


def host_port(place: str, text: str, example: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; SettingsError names the place and shows how it is written."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        remedy = f"write {example}, an IPv6 address in brackets: [::1]:1153"
        raise SettingsError(place, f"{text!r:.80} is not HOST:PORT", remedy)
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else -1
    if not host or not may_be_a_name(host) or not 0 <= number <= MAX_PORT:
        raise SettingsError(place, f"{text!r:.80} is not HOST:PORT", f"write {example}")
    return host, number


def listening_place(place: str, text: str, example: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` of a port of our own; ``*`` is all addresses of both families."""
    if not text.startswith("*:"):
        return host_port(place, text, example)
    try:
        return host_port(place, f"[::]{text[1:]}", example)
    except SettingsError as error:  # quotes what was given
        raise SettingsError(place, f"{text!r:.80} is not HOST:PORT", error.remedy) from None


def may_be_a_name(host: str) -> bool:
    """Tell whether it is an IPv6 address, or what a resolver looks up: labels of 1 to 63 octets."""
    if ":" in host:
        from ipaddress import AddressValueError, IPv6Address

        try:
            IPv6Address(host)
        except AddressValueError:
            return False
        return True
    try:
        octets = host.encode("idna")
    except UnicodeError:
        return False
    return bool(octets) and set(octets) <= _IN_NAMES


def shown(host: str, port: int) -> str:
    """Give ``HOST:PORT`` as :func:`host_port` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
