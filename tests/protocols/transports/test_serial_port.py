"""A serial port that goes in the midst of something says so in the words of ports."""

import os
import pty

import pytest
import serial

from protocols.errors import PortError
from protocols.transports.serial_port import SerialPort, opening_fault


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


def test_what_is_no_serial_port_is_told_so_and_not_in_a_librarys_words() -> None:
    with pytest.raises(PortError, match=r"^/dev/null: is no serial port; check its name"):
        SerialPort("/dev/null")
    assert opening_fault("/dev/null") == "is no serial port"
    assert opening_fault("/dev") == "Is a directory"


def test_a_port_that_another_program_has_is_told_so() -> None:
    far_end, near_end = pty.openpty()
    name = os.ttyname(near_end)
    port = SerialPort(name)
    assert opening_fault(name) == "another program uses it"
    port.close()
    os.close(near_end)
    os.close(far_end)
