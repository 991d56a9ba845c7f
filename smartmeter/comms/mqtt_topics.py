"""How a broker carries APDUs: its address, the topics, and what may stand in them.

::

    BASE/up/NODE      an APDU of the node        QoS 1, never retained
    BASE/down/NODE    an APDU to the node        QoS 1, never retained
    BASE/gone/NODE    the node has gone: its last will, and its farewell
    BASE/host         online or offline, retained: whether a head-end listens; its last will

A retained APDU would be a replay, so one that comes retained is dropped.  The
names of nodes carry no meaning for C12.22: titles and keys in the APDU do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import ip_address

DEFAULT_BASE = "c1222"
ONLINE, OFFLINE = b"online", b"offline"
MAX_BASE = 64
_NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
_BASE = re.compile(r"[A-Za-z0-9_.:@-]+(/[A-Za-z0-9_.:@-]+)*")


@dataclass(frozen=True)
class Broker:
    """Where a broker is, and under which topic its APDUs stand."""

    host: str
    port: int
    base: str

    def up(self, node: str) -> str:
        """Give the topic of APDUs from a node; ``+`` for all."""
        return f"{self.base}/up/{node}"

    def down(self, node: str) -> str:
        """Give the topic of APDUs to a node."""
        return f"{self.base}/down/{node}"

    def gone(self, node: str) -> str:
        """Give the topic of a node's end; ``+`` for all."""
        return f"{self.base}/gone/{node}"

    @property
    def presence(self) -> str:
        """Give the topic that tells whether a head-end listens."""
        return f"{self.base}/host"

    def node_of(self, topic: str) -> tuple[str, str] | None:
        """Give kind and node of a topic that came; None for one of another form."""
        kind, _, node = topic.removeprefix(f"{self.base}/").partition("/")
        return (kind, node) if kind in ("up", "gone") and _NAME.fullmatch(node) else None


def broker_address(address: str) -> Broker:
    """Read ``mqtt:HOST:PORT[/BASE]`` or ``mqtts:…``; SettingsError when it is none."""
    place, slash, base = address.partition("/")
    base = base if slash else DEFAULT_BASE
    if len(base) > MAX_BASE or not _BASE.fullmatch(base):
        raise SettingsError(
            f"address {address!r:.80}",
            "its topic cannot be used",
            "write mqtt:HOST:PORT/TOPIC in letters, digits and _ . : @ -",
        )
    host, port = ip_address(place)
    return Broker(host, port, base)


def check_node(name: str) -> str:
    """Give the name of a node as a topic may carry it; SettingsError when it cannot."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"node {name!r:.80}", "cannot stand in a topic", "use letters, digits and _ . : @ -"
        )
    return name
