"""A probe behind a serial server (RFC 2217 over TCP): its power lines, and real speeds."""

from dataclasses import replace

import pytest

from protocols.c1218.client import ClientOptions
from protocols.c1218.scripts import LogonSettings
from protocols.datalink.timing import Timing
from protocols.errors import PortError
from protocols.transports.names import open_port
from protocols.transports.pump import MeterPort
from protocols.transports.serial_port import SerialPort
from smartmeter.cli import diagnosis
from tests.protocols.c1218.device_bench import IMAGES
from tests.protocols.transports.remote_probe import RemoteProbe
from tests.smartmeter.cli.served import line_to


def test_both_ends_change_speed_at_the_same_moment_and_lose_nothing() -> None:
    probe = RemoteProbe(power=(True, False))
    settings = LogonSettings(bauds=(19200, 57600))
    with MeterPort(open_port(probe.url), settings) as meter:
        assert meter.client.baud == 57600
        assert meter.read(0) == IMAGES[0] and meter.read(5) == IMAGES[5]
    assert probe.line.bauds == [57600, 9600] and probe.lost == 0
    assert not meter.client.quirks.met


def test_a_probe_without_its_power_is_silent_and_doctor_finds_what_it_wants() -> None:
    probe = RemoteProbe(power=(False, True))
    port = open_port(probe.url, rts=False, dtr=True)
    assert isinstance(port, SerialPort) and port.is_line
    with MeterPort(port) as meter:
        assert meter.read(5) == IMAGES[5]
    line = line_to(probe.url)
    line.options = replace(ClientOptions(), timing=Timing(response_us=300_000))
    found = {finding.subject: finding for finding in diagnosis.talk(line)}
    assert found["meter"].wrong and "flat side" in found["meter"].remedy
    assert "--no-rts --dtr" in found["power"].remedy


def test_a_server_that_confirms_no_modem_lines_is_told_apart_with_the_remedy() -> None:
    probe = RemoteProbe(power=(False, False), confirms_control=False)
    with pytest.raises(PortError, match=r"confirms no modem lines: try .*:\d+\?ign_set_control$"):
        open_port(probe.url)
    with MeterPort(open_port(f"{probe.url}?ign_set_control")) as meter:
        assert meter.read(5) == IMAGES[5]
