"""Sockets that listen: both families on one port, every address of a name, multicast groups.

``[::]:PORT`` takes IPv4 and IPv6.  C12.22's own groups (RFC 6142,
11.5) are joined on every interface, so that whoever asks everybody is heard.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Sequence

from protocols.c1222.native_address import IPV4_GROUP, IPV6_SCOPES, multicast_group
from smartmeter.base.address import shown
from smartmeter.base.errors import SettingsError

ANY = ("::", "")
LINK_SCOPE = 2
#: Linux: whether a socket hears groups that others have joined.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, (socket.IPPROTO_IPV6, 29)
#: How long a peer may take to accept a connection.
CONNECT_TIMEOUT_S = 10.0
#: A connection that has not given its first message by then, or does not end one, is closed.
PATIENCE_S = 30.0
#: A peer that does not read what is sent to it is let go when so much waits.
MAX_UNSENT_OCTETS = 1 << 20
#: Half-open connections: probes begin after a minute of silence, and three may be lost.  What is
#: sent meanwhile is acknowledged in the same time (ms), or the connection has gone.
KEEPALIVE = (
    ("TCP_KEEPIDLE", 60),
    ("TCP_KEEPINTVL", 20),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 120_000),
)
#: What is said of an address that this computer does not have.
_LACKING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
#: Interfaces on which groups are joined.
MAX_INTERFACES = 64


def listening_sockets(host: str, port: int, kind: int) -> list[socket.socket]:
    """Give bound sockets for a host, one for each of its addresses; OSError when there is none.

    One that this computer lacks is left out: ``localhost`` is ``::1``, too, where IPv6 is switched
    off.  Port 0 takes a free one, the same for all.  ``kind`` is SOCK_STREAM or SOCK_DGRAM.
    """
    if host in ANY:
        if socket.has_dualstack_ipv6():
            return [_bound(socket.AF_INET6, kind, ("::", port), both=True)]
        return [_bound(socket.AF_INET, kind, ("0.0.0.0", port))]
    found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    lacking: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            made.append(_bound(family, kind, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno not in _LACKING:
                for one in made:
                    one.close()
                raise
            lacking = error
        else:
            port = made[0].getsockname()[1]
    if not made and lacking is not None:
        raise lacking
    return made


def check_listening(*asked: tuple[str, tuple[str, int] | None]) -> None:
    """Raise SettingsError where a TCP port cannot be had, or two are one, before anything is made.

    ``asked`` is the option of each, and its address, None for one that is not wanted.
    """
    given: dict[tuple[str, int], str] = {}
    with contextlib.ExitStack() as held:
        for option, address in asked:
            if address is None:
                continue
            place = f"{option} {shown(*address)}"
            if address[1] and address in given:
                raise SettingsError(place, f"is that of {given[address]}", "choose another port")
            given[address] = option
            try:
                for one in listening_sockets(*address, socket.SOCK_STREAM):
                    held.callback(one.close)
                    one.listen()  # only then another cannot have the port under another name
            except OSError as error:
                raise cannot_listen(place, error) from error


def cannot_listen(place: str, error: OSError) -> SettingsError:
    """Give the error of an address that cannot be listened on, with the remedy that fits."""
    remedy = "choose another port"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        remedy = "name an address of this computer"
    elif error.errno in (errno.EACCES, errno.EPERM):
        remedy = "choose a port above 1023"
    return SettingsError(place, f"cannot listen: {error.strerror}", remedy)


def keep_alive(connected: socket.socket | None) -> None:
    """Ask the system to find out when the peer has gone without a word."""
    if connected is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def leave_groups_to_others(own: socket.socket) -> None:
    """Let sockets of groups have the port of our own, and hear for it what goes to groups."""
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, option in ((socket.IPPROTO_IP, _IP_MULTICAST_ALL), _IPV6_MULTICAST_ALL):
        with contextlib.suppress(OSError):
            own.setsockopt(level, option, 0)


def leave_port_to_connected(own: socket.socket) -> None:
    """Let a socket that is connected to one peer have the port of our own: it hears that peer,
    and our own everybody else."""
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def connected_datagrams(
    places: Sequence[tuple[int, tuple[str | int, ...]]], own: tuple[str, int] | None
) -> socket.socket:
    """Give a socket for datagrams to and from the first of a peer's places (family, address) that
    there is a way to; OSError when there is none.

    It sends from ``own`` address and port where these are to be had and lead there
    (``leave_port_to_connected``).
    """
    fault = OSError("nobody bears the name")
    for family, address in places:
        for bound_to in (_of_family(own, family), None):
            try:
                return _connected(family, address, bound_to)
            except OSError as error:
                fault = error
    raise fault


def _of_family(own: tuple[str, int] | None, family: int) -> tuple[str, int] | None:
    if own is None or own[0] in (*ANY, "0.0.0.0"):
        return own and ("", own[1])
    return own if (":" in own[0]) == (family == socket.AF_INET6) else None


def _connected(
    family: int, address: tuple[str | int, ...], bound_to: tuple[str, int] | None
) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if bound_to is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(bound_to)
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def group_sockets(port: int) -> list[socket.socket]:
    """Give sockets that hear C12.22's multicast groups, on every interface that can."""
    interfaces = [index for index, _ in socket.if_nameindex()][:MAX_INTERFACES]
    made = []
    with contextlib.suppress(OSError):
        joined = _bound(socket.AF_INET, socket.SOCK_DGRAM, (IPV4_GROUP, port), shared=True)
        made.append(joined)
        for index in interfaces:
            member = struct.pack("=4s4si", socket.inet_aton(IPV4_GROUP), bytes(4), index)
            _join(joined, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    for scope in IPV6_SCOPES:
        group = multicast_group(scope)
        # A socket for the link's own scope belongs to one link.
        for bound_to in interfaces if scope == LINK_SCOPE else [0]:
            with contextlib.suppress(OSError):
                address = (group, port, 0, bound_to)
                joined = _bound(socket.AF_INET6, socket.SOCK_DGRAM, address, shared=True)
                made.append(joined)
                packed = socket.inet_pton(socket.AF_INET6, group)
                for index in [bound_to] if bound_to else interfaces:
                    member = packed + struct.pack("@I", index)
                    _join(joined, socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
    return made


def _bound(
    family: int,
    kind: int,
    address: tuple[str | int, ...],
    both: bool = False,
    shared: bool = False,
) -> socket.socket:
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        made.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, shared or kind == socket.SOCK_STREAM
        )
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _join(joined: socket.socket, level: int, option: int, member: bytes) -> None:
    """Join; an interface without multicast is left out."""
    with contextlib.suppress(OSError):
        joined.setsockopt(level, option, member)
