"""Ten thousand connections to head-end and relay as processes: held in little memory, let go."""

import resource
import select
import socket
import subprocess
from pathlib import Path

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from tests.protocols.c1222.conversation import items, request
from tests.smartmeter.cli.served import running
from tests.waiting import wait_until

CONNECTIONS = 10_000
#: What a connection may take of the server's memory (docs/measurements.rst).
CONNECTION_OCTETS = 8192
SERVERS = {
    "tms": ("tms", "run", "--web", "off", "--data"),
    "relay": ("relay", "run", "--title", ".7.42", "--master", ".7", "--data"),
}


def resident_octets(process: "subprocess.Popen[str]") -> int:
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def answered(client: socket.socket, called: bytes) -> bool:
    client.settimeout(60)
    client.sendall(called)
    return items(client.recv(4096))[0][0] == 0


def closed(clients: list[socket.socket]) -> int:
    """Count those that the server has closed."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    return len(poll.poll(0))


@pytest.mark.night
@pytest.mark.parametrize("kind", SERVERS)
def test_ten_thousand_connections_of_which_half_speak(kind: str, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > CONNECTIONS + 500, "the system must grant a socket a connection"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    title = ApTitle.parse(".1" if kind == "tms" else ".7.42")
    called = request([encode_request(Identify())], called=title)
    try:
        serve = (*SERVERS[kind], str(tmp_path), "--listen", "127.0.0.1:0")
        with running(*serve) as (told, process):
            port = int(told["ready"].rpartition(":")[2])
            before = resident_octets(process)
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
            speaking, silent = clients[::2], clients[1::2]
            assert all(answered(client, called) for client in speaking)
            for client in silent[::2]:
                client.sendall(b"\x60")  # a message that never goes on
            assert (resident_octets(process) - before) / CONNECTIONS < CONNECTION_OCTETS
            wait_until(lambda: closed(silent) == len(silent))
            assert closed(speaking) == 0
            assert all(answered(client, called) for client in speaking[:100])
            with socket.create_connection(("127.0.0.1", port)) as another:
                assert answered(another, called)
            for client in clients:
                client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
