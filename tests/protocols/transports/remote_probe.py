"""A serial server in the field, by RFC 2217: a probe with power lines, and a speed of its own."""

import socket
import threading
import time
from dataclasses import dataclass, field

from serial.rfc2217 import SET_CONTROL, PortManager

from protocols.c1218.server import Server
from protocols.machine import SetBaud
from tests.protocols.c1218.device_bench import ModelDevice


@dataclass
class ProbeLine:
    """The serial line of the server, as RFC 2217 sets it; modem inputs are off."""

    rts: bool = False
    dtr: bool = False
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: int = 1
    xonxoff: bool = False
    rtscts: bool = False
    cts: bool = False
    dsr: bool = False
    ri: bool = False
    cd: bool = False
    break_condition: bool = False
    bauds: list[int] = field(default_factory=list)

    def reset_input_buffer(self) -> None:
        """Have no buffer."""

    def reset_output_buffer(self) -> None:
        """Have no buffer."""


class RemoteProbe:
    """Serves a meter behind a probe that is alive only under ``power`` (RTS, DTR).

    Octets at another speed than the meter's are lost, as on a real line.  Some servers do not
    confirm what modem lines they were told.
    """

    def __init__(self, power: tuple[bool, bool], confirms_control: bool = True) -> None:
        self._power, self._confirms_control = power, confirms_control
        self.meter = Server(ModelDevice())
        self.line = ProbeLine()
        self.meter_baud = 9600
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            try:
                self._serve(connection)
            except OSError:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        self.line = ProbeLine(bauds=self.line.bauds)
        connection.settimeout(0.002)
        manages = PortManager if self._confirms_control else _Unconfirming
        manager = manages(self.line, _Writer(connection))
        while True:
            try:
                data = connection.recv(4096)
                if not data:
                    return
            except TimeoutError:
                data = b""
            now_us = time.monotonic_ns() // 1000
            # One after the other: what came before a change of speed is heard at the old one.
            for octet in manager.filter(data):
                if self._hears():
                    self.meter.receive(octet, now_us)
            due_us = self.meter.deadline_us()
            if due_us is not None and due_us <= now_us:
                self.meter.expire(now_us)
            if out := self.meter.outgoing():
                if self._hears():
                    connection.sendall(b"".join(manager.escape(out)))
                self.meter.sent(now_us)
            for event in self.meter.events():
                if isinstance(event, SetBaud):
                    self.meter_baud = event.baud
                    self.line.bauds.append(event.baud)

    def _hears(self) -> bool:
        alive = (self.line.rts, self.line.dtr) == self._power
        if alive and self.line.baudrate != self.meter_baud:
            self.lost += 1
            return False
        return alive


class _Unconfirming(PortManager):
    """Passes over what concerns modem lines, as a server does whose port has none."""

    def _telnet_process_subnegotiation(self, suboption: bytes) -> None:
        if suboption[1:2] != SET_CONTROL:
            super()._telnet_process_subnegotiation(suboption)


class _Writer:
    """What the port manager writes its answers to."""

    def __init__(self, connection: socket.socket) -> None:
        self.write = connection.sendall
