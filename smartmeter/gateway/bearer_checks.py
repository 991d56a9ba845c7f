"""What ``gateway check`` says of the bearers: each for itself, and who carries what."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from protocols.transports.port import system_words
from smartmeter.base.errors import SettingsError
from smartmeter.base.finding import Finding, well, wrong
from smartmeter.comms.bearer import BearerSettings, When, ip_address
from smartmeter.comms.bearers import bearer_tls
from smartmeter.comms.mqtt_topics import broker_address
from smartmeter.comms.sms import number_at_port
from smartmeter.comms.sockets import check_listening
from smartmeter.comms.way import MAX_REPORT_OCTETS, Carries

if TYPE_CHECKING:
    import ssl  # megabytes of a small board, which only who speaks TLS loads

CONNECT_TIMEOUT_S = 5.0
#: A certificate that is not wanted is refused behind TLS 1.3's handshake, after so long at most.
REFUSAL_S = 1.0


def check_bearer(bearer: BearerSettings, runs: bool = False) -> Iterator[Finding]:
    """Look whether a bearer could be opened; a gateway that ``runs`` has the port it listens at."""
    kind, tls = bearer.address.partition(":")[0], None
    try:
        tls = bearer_tls(bearer)
    except SettingsError as error:
        yield wrong(bearer.address, f"{error.place}: {error.fault}", error.remedy)
    if kind == "udp":
        yield well(bearer.address, "UDP: only an answer tells whether it is there")
    elif kind == "listen":
        if not runs:
            yield _can_listen(bearer.address)
    elif kind in ("mqtt", "mqtts"):
        if find_spec("aiomqtt") is None:
            remedy = 'pip install "smartmeter[gateway]"'
            yield wrong(bearer.address, "needs the package aiomqtt", remedy)
            return
        broker = broker_address(bearer.address)
        yield takes_connections(bearer.address, (broker.host, broker.port), "the broker", tls)
    elif kind in ("sms", "modem"):
        yield _has_modem(bearer.address)
    else:
        yield takes_connections(bearer.address, ip_address(bearer.address), "the TMS", tls)


def takes_connections(
    name: str, place: tuple[str, int], whom: str, tls: ssl.SSLContext | None
) -> Finding:
    """Tell whether ``whom`` takes connections there, inside TLS where it is given."""
    try:
        with socket.create_connection(place, CONNECT_TIMEOUT_S) as line:
            if tls is not None and _ends_at_once(line, place[0], tls):
                told = "ends the connection at once: is our certificate one that is wanted?"
                return wrong(name, told, "look at tls_certificate and tls_key")
    except OSError as error:
        remedy = f"check address, network and {whom}"
        if getattr(error, "library", None):  # it is TLS that says so
            remedy = "look at tls_ca, tls_certificate and the name in the address"
        return wrong(name, system_words(error), remedy)
    return well(name, "takes connections")


def _ends_at_once(line: socket.socket, host: str, tls: ssl.SSLContext) -> bool:
    """Speak TLS; tell whether the far end goes then, as TLS 1.3 refuses our certificate."""
    with tls.wrap_socket(line, server_hostname=host) as secured:
        secured.settimeout(REFUSAL_S)
        try:
            return not secured.recv(1)
        except TimeoutError:
            return False


def _can_listen(address: str) -> Finding:
    fault = listen_fault(*ip_address(address))
    if fault:
        return wrong(address, fault, "choose another port, or stop who has it")
    return well(address, "can be listened at; the host must open the connection")


def listen_fault(host: str, port: int) -> str:
    """Tell what keeps a listener from beginning there; empty for nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return f"cannot listen there: {error.strerror}"
    return ""


def one_only(first: tuple[str, int], second: tuple[str, int]) -> bool:
    """Tell whether listening at one place keeps others from listening at a second one."""
    if first == second:
        return True
    if first[1] != second[1] or listen_fault(*first) or listen_fault(*second):
        return False
    try:
        # 0.0.0.0 has the ports of every address, and a name may be that of any.
        check_listening(("", first), ("", second))
    except SettingsError:
        return True
    return False


def _has_modem(address: str) -> Finding:
    number, port = number_at_port(address)
    if not port.startswith("/"):
        return well(address, f"the modem at {port} is not asked")
    if not os.path.exists(port):
        return wrong(address, "there is no such port", "plug the modem in, check its name")
    if not os.access(port, os.R_OK | os.W_OK):
        return wrong(address, "no permission", "sudo usermod -aG dialout $USER")
    return well(address, f"the port is there; {number} is not called")


def check_shared(bearer: BearerSettings, meters: int) -> Iterator[Finding]:
    """Tell of what only one meter can have: each of several opens every bearer for itself."""
    told = f"is for one meter, and there are {meters}: they take it from each other"
    if meters < 2:
        return
    if bearer.address.startswith("listen:"):
        yield wrong(bearer.address, told, "let a gateway of its own listen for each")
    elif bearer.node and bearer.address.startswith(("mqtt:", "mqtts:")):
        told = f"node {bearer.node} {told}"
        yield wrong(bearer.address, told, "leave node out: each has its ESN there")


def check_order(bearers: Sequence[BearerSettings]) -> Finding:
    """Tell in words which bearer carries what, the cheapest first; wrong if nothing carries all."""
    told = []
    for one in sorted(bearers, key=lambda bearer: bearer.cost):
        what = "alarms" if one.carries is Carries.URGENT else "everything"
        if one.max_apdu_octets < MAX_REPORT_OCTETS:
            what += f" up to {one.max_apdu_octets} octets"
        when = ", opened when something waits" if one.when is When.WANTED else ""
        told.append(f"{one.name} (cost {one.cost}) carries {what}{when}")
    if all(one.carries is Carries.URGENT for one in bearers):
        return wrong(
            "bearers",
            "; ".join(told) + ": nothing carries the load profile",
            'give one bearer carries = "all"',
        )
    return well("bearers", "; ".join(told))
