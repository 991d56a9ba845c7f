"""A call to a meter by a modem on a pty: read, a refused number, a carrier that is lost."""

from collections.abc import Iterator

import pytest

from protocols.c1218.scripts import LogonSettings
from protocols.c1221.conversation import CallConversation
from protocols.errors import PortError
from protocols.transports.modem_port import CallName, call_name
from protocols.transports.names import open_port
from protocols.transports.pump import MeterPort
from tests.protocols.c1221.call import KEY, CallBench, KeyedDevice
from tests.protocols.modem.pty_modem import PtyModem
from tests.smartmeter.cli.served import smartmeter

NUMBER = "5551234"


@pytest.fixture
def modem() -> Iterator[PtyModem]:
    made = PtyModem({NUMBER: lambda: CallBench(KeyedDevice(), identity=7).server})
    yield made
    made.close()


def test_a_meter_is_read_in_a_call_with_its_key(modem: PtyModem) -> None:
    conversation = CallConversation(LogonSettings(2, b"OPERATOR"), 7, (0, KEY))
    port = open_port(f"modem:{NUMBER}/7@{modem.name}")
    with MeterPort(port, conversation=conversation) as meter:
        assert meter.read(0) == bytes(range(40))
        assert meter.read(2050) == b"for who has the password", "the key's rights"
        opened = meter.opened
        assert opened is not None and opened.identification[0] == 2
    assert modem.commands[0].startswith("ATE0") and modem.commands[1] == f"ATD{NUMBER}"
    assert modem.far is None, "hung up"


def test_nobody_at_the_number_is_told(modem: PtyModem) -> None:
    with pytest.raises(PortError, match="NO ANSWER; check number"):
        open_port(f"modem:999@{modem.name}")


def test_a_lost_carrier_ends_the_port(modem: PtyModem) -> None:
    port = open_port(f"modem:{NUMBER}@{modem.name}")
    modem.lose_carrier()
    with pytest.raises(PortError, match="NO CARRIER"):
        while True:
            port.read(0.1)
    with pytest.raises(PortError):
        port.write(b"x")
    port.close()


def test_read_takes_a_number_and_a_modem(modem: PtyModem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTMETER_CALL_KEY", f"0={KEY.hex()}")
    port = f"modem:{NUMBER}/7@{modem.name}"
    done = smartmeter("read", port, "2050", "--json")
    assert b"for who has the password".hex() in done.stdout, done.stderr
    monkeypatch.setenv("SMARTMETER_CALL_KEY", "nonsense")
    wrong = smartmeter("read", port, "0")
    assert wrong.returncode == 2 and "16 hex digits" in wrong.stderr


@pytest.mark.parametrize(
    "name", ["modem:", "modem:5@", "modem:@/dev/x", "modem:5/256@/dev/x", "modem:5/x@/d", "modem:5"]
)
def test_a_name_that_is_none_is_told_how_it_is_written(name: str) -> None:
    with pytest.raises(PortError, match="modem:NUMBER@PORT"):
        open_port(name)


def test_a_name_may_hold_the_device() -> None:
    assert call_name("modem:+15551234/9@/dev/ttyUSB0") == CallName("+15551234", 9, "/dev/ttyUSB0")
    assert call_name("modem:5@tcp:h:1").port == "tcp:h:1"
