"""Client check C01: how a serial port is opened before the first octet; and the page of checks."""

import time
from typing import Any

import pytest
import serial

from protocols.transports.serial_port import SerialPort
from tests.protocols.c1218.adapter import Adapter
from tests.protocols.c1218.checks import NUMBERS, TABLE, TWO, check, found, table


@check("C01", TWO)
def test_a_port_is_opened_at_9600_with_its_power_lines_and_rests_before_the_first_octet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Adapter] = []

    def opening(url: str, **settings: Any) -> Adapter:
        made.append(Adapter(url, **settings))
        return made[-1]

    monkeypatch.setattr(serial, "serial_for_url", opening)
    port = SerialPort("/dev/probe")
    [adapter] = made
    assert adapter.lines == {"rts": True, "dtr": False} and port.is_line
    assert adapter.settings["baudrate"] == 9600
    assert not any(adapter.settings[name] for name in ("rtscts", "dsrdtr", "xonxoff"))
    port.write(b"\x06" * 20)
    assert adapter.written[0][0] - adapter.opened_s >= 0.05
    # The adapter says at once that all is sent: the port waits for the bits all the same.
    assert time.monotonic() - adapter.written[0][0] >= 20 * 10 / 9600 - 0.001
    changed_s = time.monotonic()
    port.set_baud(57600)
    assert adapter.speed == 57600 and time.monotonic() - changed_s >= 0.016
    heard_s, _ = time.monotonic(), port.read(0.0)
    port.write(b"\x06")
    assert adapter.written[-1][0] - heard_s >= 0.02
    SerialPort("/dev/probe", rts=False, dtr=True)
    assert made[-1].lines == {"rts": False, "dtr": True}


def test_every_numbered_check_is_made_by_a_test() -> None:
    assert sorted({number for number, *_ in found()}) == sorted(NUMBERS)


def test_the_page_of_checks_is_current() -> None:
    remedy = "run: python -m tests.protocols.c1218.checks"
    assert TABLE.read_text() == table(), remedy
