"""A serial port that goes in the midst of something says so in the words of ports."""

import os
import pty

import pytest
import serial

from protocols.errors import PortError
from protocols.transports.serial_port import SerialPort


class PulledOut(serial.Serial):
    """A port whose cable is pulled out when what was written is waited for."""

    far_end = -1

    def flush(self) -> None:
        os.close(self.far_end)
        super().flush()


def test_a_cable_that_is_pulled_out_behind_a_write_is_told_as_a_port_that_has_gone() -> None:
    far_end, near_end = pty.openpty()
    port = SerialPort(os.ttyname(near_end))
    port._serial.close()
    port._serial = PulledOut(os.ttyname(near_end), exclusive=True)
    port._serial.far_end = far_end
    os.close(near_end)
    with pytest.raises(PortError, match="has gone: Input/output error; check the cable"):
        port.write(b"\x55")
    with pytest.raises(PortError, match="Input/output error"):
        port.set_baud(19200)
    port.close()
