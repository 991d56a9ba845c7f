"""A TCP port that has gone says so in the words of ports, however it went."""

import socket

import pytest

from protocols.errors import PortError, PortNameError
from protocols.transports.names import open_port
from protocols.transports.tcp import TcpPort


def test_a_port_that_is_closed_or_whose_far_end_went_is_told_as_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = TcpPort.connect(*listening.getsockname())
        far, _ = listening.accept()
        assert port.read(0) == b""
        far.close()
        with pytest.raises(PortError, match="closed the connection"):
            port.read(1)
        port.close()
        with pytest.raises(PortError, match="has gone"):
            port.read(1)
        with pytest.raises(PortError, match="has gone"):
            port.write(b"\x06")


@pytest.mark.parametrize("name", ["c1222://192.0.2.7/.7.42", "C1222+udp://192.0.2.7/.7.42"])
def test_a_node_on_the_network_is_no_port_and_who_asks_is_told_what_reads_it(name: str) -> None:
    with pytest.raises(PortNameError, match=r"no port: \S+network_meter reads it"):
        open_port(name)
