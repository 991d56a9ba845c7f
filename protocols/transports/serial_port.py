"""A serial port, or any URL that pyserial knows (socket://, rfc2217://, loop://).

Not every driver can tell when the last bit has left: a USB adapter takes the
bytes and says so at once.  On a real line a write therefore lasts as long as
its bits, and before a change of speed the line rests for the adapter's timer.

Two programs on one port take each other's octets, so it is locked (on Windows it
is anyway) for as long as it is open.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from urllib.parse import urlsplit

import serial

from protocols.errors import PortError, PortNameError
from protocols.transports.port import system_words

if sys.platform == "win32":
    TerminalError = OSError
else:
    # What pyserial lets pass of a port that goes while it is drained or set; it is no OSError.
    from termios import error as TerminalError

READ_OCTETS = 4096
BITS_AN_OCTET = 10
#: A probe that takes its power from RTS or DTR is ready after this.
SETTLE_S = 0.05
#: The latency timer of common USB adapters.
USB_TIMER_S = 0.016
#: Meters need time to switch from sending to receiving, far more than the 175 us of the
#: standard: what industrial clients wait after the last octet before they send.
TURN_AROUND_S = 0.020
#: How a port of a serial server (RFC 2217) begins, and pyserial's option for one that never
#: confirms the modem lines that it was told.
FAR, IGNORED = "rfc2217://", "ign_set_control"
FAULTS = (serial.SerialException, OSError, TerminalError)
#: What pyserial says where a port opens and takes no speed: a cause of the system's in its text.
_UNSET = re.compile(r"Could not configure port: \((\d+), ")


class SerialPort:
    """9600 baud, 8N1, no handshake; RTS on and DTR off, as most powered probes want.

    On a real line nothing is sent earlier than ``turn_around_s`` after the last octet came.
    """

    def __init__(
        self,
        url: str,
        rts: bool = True,
        dtr: bool = False,
        turn_around_s: float = TURN_AROUND_S,
    ) -> None:
        self._url = url
        self._turn_around_s = turn_around_s
        self._heard_s = 0.0
        _demand_network_port(url)
        try:
            self._serial = serial.serial_for_url(
                url,
                baudrate=9600,
                timeout=0.05,
                rtscts=False,
                dsrdtr=False,
                xonxoff=False,
                exclusive=True,
            )
        except (*FAULTS, ValueError, re.error) as error:
            if getattr(error, "errno", None) == errno.EWOULDBLOCK:
                raise PortError(f"{url}: another program uses it; end that first") from error
            raise PortError(f"{url}: {_fault(url, error)}; {_remedy(url, error)}") from error
        #: Whether it has modem lines: a pty or a socket has none, and no bits that take time.
        self.is_line = self._power(rts, dtr)
        if self.is_line:
            time.sleep(SETTLE_S)

    def _power(self, rts: bool, dtr: bool) -> bool:
        for line, state in (("rts", rts), ("dtr", dtr)):
            try:
                setattr(self._serial, line, state)
            except FAULTS:
                return False
        far = self._url.startswith(FAR)  # a real line, at the other end of a network
        return far or isinstance(self._serial, serial.Serial)

    def read(self, timeout_s: float) -> bytes:
        """Give what has arrived, waiting at most so long for the first octet."""
        try:
            self._serial.timeout = timeout_s
            data = self._serial.read(1)
            if data and (waiting := self._serial.in_waiting):
                data += self._serial.read(min(waiting, READ_OCTETS))
        except (*FAULTS, TypeError) as error:
            raise self._gone(error) from error
        if data:
            self._heard_s = time.monotonic()
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Write and wait until the last bit has left."""
        begun_s = time.monotonic()
        if self.is_line and begun_s < self._heard_s + self._turn_around_s:
            time.sleep(self._heard_s + self._turn_around_s - begun_s)
            begun_s = time.monotonic()
        try:
            self._serial.write(data)
            self._serial.flush()
        except FAULTS as error:
            raise self._gone(error) from error
        if self.is_line:
            bits_s = len(data) * BITS_AN_OCTET / self._serial.baudrate
            time.sleep(max(0.0, begun_s + bits_s - time.monotonic()))

    def set_baud(self, baud: int) -> None:
        """Change the speed, once an adapter has surely sent what was written."""
        if self.is_line:
            time.sleep(USB_TIMER_S)
        try:
            self._serial.baudrate = baud
        except (*FAULTS, ValueError) as error:
            raise PortError(f"{self._url}: {baud} baud is not possible: {_words(error)}") from error

    def close(self) -> None:
        """Let the port go."""
        self._serial.close()

    def _gone(self, error: Exception) -> PortError:
        return PortError(f"{self._url} has gone: {_words(error)}; check the cable")


def local_ports() -> list[str]:
    """Give the names of this computer's serial ports, sorted."""
    # Not at the top: it is wanted for set-up only, and looks far around.
    from serial.tools.list_ports import comports

    return sorted(port.device for port in comports())


def opening_fault(name: str) -> str:
    """Open a local port and close it, nothing sent; give why it cannot be, else nothing."""
    try:
        serial.Serial(name, timeout=0.1, dsrdtr=False, rtscts=False, exclusive=True).close()
    except (*FAULTS, ValueError) as error:
        return _fault(name, error)
    return ""


def _demand_network_port(url: str) -> None:
    """Refuse a URL of the network without its port, of which pyserial's own errors say nothing."""
    scheme, colon, _ = url.partition("://")
    if not colon or scheme not in ("socket", "rfc2217"):
        return
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname and parts.port)
    except ValueError:
        complete = False
    if not complete:
        raise PortNameError(f"{url:.80}: write {scheme}://HOST:PORT, with a port of 1 to 65535")


def _fault(url: str, error: Exception) -> str:
    """Give why a port cannot be opened; pyserial says the name again, or a number for its cause."""
    if getattr(error, "errno", None) == errno.EWOULDBLOCK:
        return "another program uses it"
    told = _words(error).removeprefix(f"Could not open port {url}: ")
    if cause := _UNSET.match(told):
        number = int(cause[1])
        return "is no serial port" if number == errno.ENOTTY else os.strerror(number)
    return told


def _words(error: Exception) -> str:
    return system_words(OSError(*error.args) if isinstance(error, TerminalError) else error)


def _remedy(url: str, error: Exception) -> str:
    """Tell what to try; some serial servers never confirm a modem line that they were told."""
    if url.startswith(FAR) and "'control'" in str(error) and IGNORED not in url:
        return f"its server confirms no modem lines: try {url}{'&' if '?' in url else '?'}{IGNORED}"
    return "check its name and your rights, or run: smartmeter doctor"
