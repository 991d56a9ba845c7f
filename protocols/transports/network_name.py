"""How a meter on the network is named: ``c1222://HOST[:PORT]/APTITLE``, and what carries it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote, urlsplit

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.native_address import DEFAULT_PORT
from protocols.errors import LocalProtocolError, PortNameError


class Carried(Enum):
    """What carries the messages; the value is the scheme of the name."""

    TCP = "c1222"
    UDP = "c1222+udp"
    TLS = "c1222+tls"


_SCHEMES = {carried.value: carried for carried in Carried}


@dataclass(frozen=True)
class NetworkName:
    """What a name says."""

    host: str
    port: int
    title: ApTitle
    carried: Carried = Carried.TCP


def parse_name(name: str) -> NetworkName:
    """Read ``c1222://HOST[:PORT]/APTITLE``, also with ``c1222+udp`` or ``c1222+tls``.

    PortNameError when it is none.
    """
    try:
        parts = urlsplit(name)
        # In a URL the % before a link's name may be written %25 (RFC 6874).
        host = unquote(parts.hostname or "")
        port = DEFAULT_PORT if parts.port is None else parts.port
        title = ApTitle.parse(unquote(parts.path).removeprefix("/"))
        more = bool("@" in parts.netloc or parts.query or parts.fragment)
    except (ValueError, LocalProtocolError):
        host, title, port, more = "", ApTitle((), True), 0, False
    scheme, _, rest = name.partition(":")
    carried = _SCHEMES.get(scheme.lower())
    if carried is None or not rest.startswith("//") or not (host and port and title.arcs) or more:
        raise PortNameError(
            f"{name}: write c1222://HOST[:PORT]/APTITLE, c1222://192.0.2.7/.7.42;"
            " c1222+udp:// or c1222+tls:// for UDP or TLS"
        )
    return NetworkName(host, port, title, carried)
