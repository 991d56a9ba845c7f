"""A serial port, or any URL that pyserial knows (socket://, rfc2217://, loop://)."""

from __future__ import annotations

import serial

from protocols.errors import PortError

READ_OCTETS = 4096


class SerialPort:
    """9600 baud, 8N1, no handshake; RTS on and DTR off, as most powered probes want."""

    def __init__(self, url: str, baud: int = 9600, rts: bool = True, dtr: bool = False) -> None:
        self._url = url
        try:
            self._serial = serial.serial_for_url(
                url, baudrate=baud, timeout=0.05, rtscts=False, dsrdtr=False, xonxoff=False
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortError(f"{url}: {error}; check its name, or run: smartmeter doctor") from error
        for line, state in (("rts", rts), ("dtr", dtr)):
            try:
                setattr(self._serial, line, state)
            except (OSError, serial.SerialException):
                continue  # a pty or a socket has no such line

    def read(self, timeout_s: float) -> bytes:
        """Give what has arrived, waiting at most so long for the first octet."""
        try:
            self._serial.timeout = timeout_s
            data = self._serial.read(1)
            if data and (waiting := self._serial.in_waiting):
                data += self._serial.read(min(waiting, READ_OCTETS))
        except (serial.SerialException, OSError, TypeError) as error:
            raise PortError(f"{self._url} has gone: {error}; check the cable") from error
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Write and wait until the driver has sent it."""
        try:
            self._serial.write(data)
            self._serial.flush()
        except (serial.SerialException, OSError) as error:
            raise PortError(f"{self._url} has gone: {error}; check the cable") from error

    def set_baud(self, baud: int) -> None:
        """Change the speed."""
        try:
            self._serial.baudrate = baud
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortError(f"{self._url}: {baud} baud is not possible: {error}") from error

    def close(self) -> None:
        """Let the port go."""
        self._serial.close()
