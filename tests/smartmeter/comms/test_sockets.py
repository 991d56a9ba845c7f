"""Listening on both families, on every address of a name, and in C12.22's groups."""

import asyncio
import socket
from pathlib import Path
from typing import cast

import pytest

from protocols.c1222.native_address import IPV4_GROUP
from smartmeter.comms import sockets
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.bearers import make_bearer
from smartmeter.comms.listener import Listener
from smartmeter.comms.paths import UdpPath, native_address_of
from tests.protocols.c1222.conversation import READ_1, items, request
from tests.smartmeter.comms.far_ends import LIMIT, Answering, connected
from tests.waiting import until

UP_AND_MULTICAST = 0x1001


@pytest.mark.parametrize("host", ["::", "*"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_one_port_serves_both_families(host: str, kind: str) -> None:
    handler = Answering()
    listener = Listener(handler, LIMIT)
    await listener.listen_tcp(host, 0)
    await listener.listen_udp(host, listener.tcp_address[1])
    port = listener.tcp_address[1]
    try:
        for number, to in enumerate(("127.0.0.1", "[::1]")):
            bearer = make_bearer(BearerSettings("one", f"{kind}:{to}:{port}"))
            async with connected(bearer) as (connection, arrived, _):
                connection.send(request([READ_1], number))
                await until(lambda: arrived)
                assert items(arrived[0])[0][0] == 0
        hosts = {path.remote[0] for path in handler.paths}  # type: ignore[attr-defined]
        assert hosts == {"127.0.0.1", "::1"}, "an IPv4 peer has its IPv4 address"
    finally:
        await listener.close()


async def test_an_address_that_is_taken_leaves_no_socket_behind() -> None:
    taken = sockets.listening_sockets("127.0.0.1", 0, socket.SOCK_STREAM)[0]
    taken.listen()
    with pytest.raises(OSError):
        await Listener(Answering(), LIMIT).listen_tcp("localhost", taken.getsockname()[1])
    taken.close()


def test_of_a_name_the_addresses_that_the_computer_has_are_listened_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container where IPv6 is off, whose list of hosts names ::1 for localhost."""
    lacking = socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)
    there = socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)
    found = [lacking, there]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: found)
    [made] = sockets.listening_sockets("localhost", 0, socket.SOCK_STREAM)
    assert made.getsockname()[0] == "127.0.0.1"
    made.close()
    found.pop()
    with pytest.raises(OSError):
        sockets.listening_sockets("localhost", 0, socket.SOCK_STREAM)


def _link() -> str:
    """Give an interface that carries multicast; loopback alone does not."""
    names = [name for _, name in socket.if_nameindex()]
    flags = {name: int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) for name in names}
    able = [name for name in names if flags[name] & UP_AND_MULTICAST == UP_AND_MULTICAST]
    if not able:
        pytest.skip("no interface here carries multicast")
    return able[0]


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.2"), ("::", "127.0.0.2")])
async def test_a_datagram_is_answered_from_the_address_that_it_came_to(
    host: str, asked: str
) -> None:
    """A server may have several addresses, and who asks one takes no answer from another."""
    handler = Answering()
    listener = Listener(handler, LIMIT)
    await listener.listen_udp(host, 0)
    bearer = make_bearer(BearerSettings("alias", f"udp:{asked}:{listener.udp_address[1]}"))
    async with connected(bearer) as (connection, arrived, _):
        connection.send(request([READ_1]))
        await until(lambda: arrived)
        assert items(arrived[0])[0][0] == 0
    assert [path.local for path in handler.paths] == [(asked, listener.udp_address[1])]
    await listener.close()


def test_a_socket_to_one_peer_has_the_address_of_the_listener_where_that_leads_there() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        places = [(socket.AF_INET, peer.getsockname())]
        for host, seen in (
            ("0.0.0.0", "127.0.0.1"),
            ("::", "127.0.0.1"),
            ("127.0.0.2", "127.0.0.2"),
        ):
            [own] = sockets.listening_sockets(host, 0, socket.SOCK_DGRAM)
            port = own.getsockname()[1]
            with own:
                sockets.leave_port_to_connected(own)
                with sockets.connected_datagrams(places, (host, port)) as line:
                    assert line.getsockname() == (seen, port)
        for elsewhere in (("::1", port), ("192.0.2.99", port), None):
            with sockets.connected_datagrams(places, elsewhere) as line:
                assert line.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("group", "host"),
    [
        (IPV4_GROUP, "0.0.0.0"),
        (IPV4_GROUP, "::"),
        ("[ff02::204%LINK]", "::"),
        ("255.255.255.255", "0.0.0.0"),
        ("255.255.255.255", "::"),
    ],
)
async def test_who_asks_the_group_is_answered_from_our_own_address(group: str, host: str) -> None:
    handler = Answering()
    listener = Listener(handler, LIMIT)
    await listener.listen_udp(host, 0)
    port = listener.udp_address[1]
    await listener.listen_groups(port)
    try:
        bearer = make_bearer(BearerSettings("all", f"udp:{group.replace('LINK', _link())}:{port}"))
        async with connected(bearer) as (connection, arrived, _):
            connection.send(request([READ_1]))
            await until(lambda: arrived)
            assert items(arrived[0])[0][0] == 0
            await asyncio.sleep(0.05)
            assert len(handler.seen) == 1, "heard once, whatever the interfaces"
            [path] = handler.paths
            told = native_address_of(cast(UdpPath, path), True)
            assert told and told[:4] != b"\xff" * 4, "who looks for a relay is told where it is"
    finally:
        await listener.close()
