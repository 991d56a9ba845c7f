"""Verbs that visit a meter in a telephone call: C12.21, with a key or a password."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.c1221.server import CallOptions, CallServer
from protocols.psem.identification import parse_identification
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.base.nvram import MemoryNvram
from smartmeter.cli.logon import CALL_KEY_VARIABLE
from smartmeter.cli.served_meters import Served, on_telephone
from smartmeter.meter.image import MeterImage
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.simulation.telephone_meter import KeyedPort
from tests.protocols.c1221.call import CallBench
from tests.protocols.modem.pty_modem import PtyModem
from tests.smartmeter.cli.served import smartmeter

NUMBER, KEY = "5551234", bytes.fromhex("0011223344556677")
SETTINGS = MeterSettings(serial="SM000001")


def a_meter() -> Meter:
    now_us = monotonic_us()
    return Meter(SETTINGS, MemoryNvram(), Calendar(wall_utc_us(), 1, now_us), now_us)


def device() -> KeyedPort:
    return KeyedPort(a_meter(), {1: KEY})


@pytest.fixture
def modem() -> Iterator[PtyModem]:
    made = PtyModem({NUMBER: lambda: CallServer(device(), CallOptions(lambda: bytes(range(8)), 7))})
    yield made
    made.close()


def test_a_meter_with_keys_announces_authenticate_and_a_key_opens_what_its_password_does() -> None:
    bench = CallBench()
    bench.server = CallServer(device(), CallOptions(lambda: bytes(8), 7))
    told = parse_identification(bench.ask("20")[1:])
    assert (told.std, told.auth_type, told.auth_algorithm, told.ticket) == (2, 1, 0, bytes(8))


def test_clone_reads_a_meter_in_a_call_with_its_key(
    modem: PtyModem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALL_KEY_VARIABLE, f"1={KEY.hex()}")
    file, port = tmp_path / "meter.json", f"modem:{NUMBER}/7@{modem.name}"
    done = smartmeter("clone", port, str(file))
    assert done.returncode == 0, done.stderr
    image = MeterImage.from_json(file.read_text(), "meter.json")
    assert image.identity["serial"] == "SM000001" and image.link.identification[0] == 2
    assert {1, 23, 64} <= set(image.tables), "the key opened ST-64"
    assert modem.commands.count(f"ATD{NUMBER}") == 1 and modem.far is None, "hung up"


def test_a_key_that_the_meter_refuses_is_told(
    modem: PtyModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALL_KEY_VARIABLE, f"1={KEY[::-1].hex()}")
    done = smartmeter("read", f"modem:{NUMBER}/7@{modem.name}", "1", "--json")
    assert done.returncode == 0 and b"SM000001".hex() in done.stdout
    assert "refused the key" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_key_that_nobody_asks_for_is_told(
    modem: PtyModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALL_KEY_VARIABLE, f"1={KEY.hex()}")
    bare = OpticalPort(a_meter())
    modem.numbers[NUMBER] = lambda: CallServer(bare, CallOptions(lambda: bytes(8), 7))
    done = smartmeter("read", f"modem:{NUMBER}/7@{modem.name}", "1", "--json")
    assert done.returncode == 0 and "asks for no key" in done.stderr, done.stderr


def test_a_key_whose_number_opens_nothing_at_a_simulated_meter_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, told in ((1, ""), (2, "key 2 opens nothing; the meter knows 0 to 1\n")):
        monkeypatch.setenv(CALL_KEY_VARIABLE, f"{number}={KEY.hex()}")
        on_telephone(Served(a_meter(), ""), 7)
        assert capsys.readouterr().err.endswith(told), number


def test_doctor_visits_a_meter_in_a_call_and_says_why_nobody_may_answer(modem: PtyModem) -> None:
    done = smartmeter("doctor", f"modem:{NUMBER}@{modem.name}", "--json")
    found = {one["subject"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, found
    assert found["meter"]["text"].startswith("C12.21 1.0") and "baud" not in found["meter"]["text"]
    assert found[f"modem at {modem.name}"]["well"] and found["ST-01"]["well"]
    modem.numbers.clear()
    done = smartmeter("doctor", f"modem:{NUMBER}@{modem.name}")
    assert done.returncode == 1 and "NO ANSWER" in done.stdout


def test_the_bench_goes_by_c1221_in_a_call_to_a_device_on_a_shared_line(modem: PtyModem) -> None:
    checks = [part for name in ("D46", "D77", "D91") for part in ("--check", name)]
    done = smartmeter("conformance", f"modem:{NUMBER}/7@{modem.name}", *checks)
    assert done.returncode == 0, done.stdout
    assert "not applicable" in done.stdout and modem.commands.count(f"ATD{NUMBER}") == 1


def test_the_bench_proves_the_key_calls_again_and_sees_tickets_that_come_again(
    modem: PtyModem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CALL_KEY_VARIABLE, f"1={KEY.hex()}")
    checks = [part for name in ("D101", "D103", "D106") for part in ("--check", name)]
    done = smartmeter("conformance", f"modem:{NUMBER}/7@{modem.name}", *checks)
    assert done.returncode == 0 and "2 passed, 1 doubtful" in done.stdout, done.stdout
    assert "1 tickets in three sessions" in done.stdout
    assert modem.commands.count(f"ATD{NUMBER}") == 2, "the carrier was lost once"
