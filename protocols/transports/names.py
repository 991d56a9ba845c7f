"""Ports by their names."""

from __future__ import annotations

import re

from protocols.errors import PortNameError
from protocols.transports.capture import captured
from protocols.transports.port import MODEM, Port
from protocols.transports.tcp import TcpPort

MAX_TCP_PORT = 65_535


def open_port(name: str, rts: bool = True, dtr: bool = False) -> Port:
    """Open a port by its name: a device, ``tcp:HOST:PORT``, or any URL that pyserial knows.

    ``modem:NUMBER@PORT`` dials; C12.21 is spoken in the call.

    ``rts`` and ``dtr`` are the lines that many probes take their power from.
    What passes goes into the capture of this process, if there is one.
    """
    if name.lower().startswith(("c1222:", "c1222+")):
        raise PortNameError(
            f"{name:.80} names a node on the network, no port:"
            " protocols.transports.network_meter reads it"
        )
    if name.startswith(MODEM):
        # A board beside its meter dials nobody, and keeps nothing of a modem in memory.
        from protocols.transports.modem_port import ModemPort, call_name

        call = call_name(name)
        return captured(ModemPort(open_line(call.port, rts, dtr=True), call.number))
    return captured(open_line(name, rts, dtr))


def open_line(name: str, rts: bool = True, dtr: bool = False) -> Port:
    """Open a port of which the capture has nothing: a modem's, where commands pass."""
    if address := tcp_address(name):
        return TcpPort.connect(*address)
    # pyserial asks which system this is when it is imported: only who opens a port needs it.
    from protocols.transports.serial_port import SerialPort

    return SerialPort(name, rts=rts, dtr=dtr)


def tcp_address(name: str) -> tuple[str, int] | None:
    """Give host and number of ``tcp:HOST:PORT``, None for another kind of port.

    PortNameError where it is wrongly written, or nothing is.
    """
    if not name:
        raise PortNameError("the name of the port is empty; give a device or tcp:HOST:PORT")
    if not name.startswith("tcp:"):
        return None
    host, _, port = name[4:].rpartition(":")
    # A resolver would take a number beyond 16 bits for another port.
    is_port = bool(re.fullmatch("[0-9]{1,5}", port)) and int(port) <= MAX_TCP_PORT
    if not host or "/" in host or not is_port:
        raise PortNameError(
            f"{name:.80}: a TCP port is written tcp:HOST:PORT, with 0 to {MAX_TCP_PORT}"
        )
    return host.strip("[]"), int(port)
