"""The board around the module: mains, service manager, journal, permission file, status."""

import asyncio
import re
import socket
import sys
from pathlib import Path

import pytest

from protocols.psem.codes import ResponseCode, code_name
from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.comms.metrics import MetricsServer
from smartmeter.gateway import journal
from smartmeter.gateway.journal import MAX_CHANGES_DAY, MAX_LINES_DAY, Journal
from smartmeter.gateway.mains import MeterAlone, PowerSupply, check_sense, make_sense
from smartmeter.gateway.metrics import GAUGES, meter_families
from smartmeter.gateway.permissions import read_permission
from smartmeter.gateway.service_manager import ServiceManager
from smartmeter.gateway.status import MeterStatus
from smartmeter.gateway.status_socket import StatusSocket, ask_status
from smartmeter.gateway.words import ERRORS, sentence
from smartmeter.ssi.states import ErrorCode, State
from tests.smartmeter.systemd import NEEDS_SYSTEMD, check_unit

BOARD = Path(journal.__file__).with_name("board")
HOUR_US = 3600 * 1_000_000
#: What journald 252 was seen to take for a line beside its text: 5,000 lines of 200 were 3.1 MB.
JOURNALD_OCTETS = 420
STATUS = {
    "meters": [
        {"esn": "SM1", "fresh": True, "outbox": 3, "state": None},
        {"esn": "SM3", "network_events": {"rejected mac-mismatch": 2, "served": 1}},
        {"esn": "SM2", "network_events": {"rejected mac-mismatch": 1}},
    ]
}


def supply(folder: Path, name: str, kind: str, online: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "type").write_text(kind + "\n")
    (folder / name / "online").write_text(online + "\n")
    return folder / name / "online"


def test_the_mains_are_felt_at_the_boards_power_supply(tmp_path: Path) -> None:
    (tmp_path / "BAT0").mkdir()
    supply(tmp_path, "BAT1", "Battery", "1")
    online = supply(tmp_path, "AC", "Mains", "1")
    sense = PowerSupply(tmp_path)
    assert sense.read() is True
    online.write_text("0\n")
    assert sense.read() is False
    online.unlink()
    assert sense.read() is None, "a supply that vanished tells nothing"


@pytest.mark.parametrize("kind", ["Mains", "USB", "USB_C", "USB_PD", "BrickID"])
def test_a_supply_of_a_negotiated_voltage_is_on_too(tmp_path: Path, kind: str) -> None:
    online = supply(tmp_path, "usb", kind, "2")
    sense = PowerSupply(tmp_path)
    assert sense.read() is True
    online.write_text("0\n")
    assert sense.read() is False
    online.write_text("2\n")
    assert sense.read() is True, "it has come back"


def test_a_board_without_a_sense_says_what_to_write(tmp_path: Path) -> None:
    assert MeterAlone().read() is None
    with pytest.raises(SettingsError, match='mains = "meter"'):
        make_sense(f"power_supply:{tmp_path}")
    for text in ("gpio", "gpio:17", "gpio:/dev/gpiochip0:x", "battery"):
        with pytest.raises(SettingsError, match="is no sense"):
            check_sense("g.toml", text)


def test_a_gpio_line_needs_its_library_or_its_chip() -> None:
    with pytest.raises(SettingsError, match="gpio:/dev/no-chip:17"):
        make_sense("gpio:/dev/no-chip:17")


#: The part of libgpiod's Python that a line needs; its level is in a file.
PRETEND_GPIOD = """
import pathlib, types
line = types.SimpleNamespace(
    Direction=types.SimpleNamespace(INPUT="in"),
    Value=types.SimpleNamespace(ACTIVE="1", INACTIVE="0"),
)
class LineSettings:
    def __init__(self, direction): assert direction == line.Direction.INPUT
class request_lines:
    def __init__(self, chip, consumer, config):
        self.file, self.lines = pathlib.Path(chip), set(config)
        self.file.read_text()
    def get_value(self, number):
        assert number in self.lines
        return self.file.read_text().strip()
    def release(self): self.file.write_text("released")
"""


def test_a_gpio_line_tells_whether_the_mains_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpiod.py").write_text(PRETEND_GPIOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "gpiod", raising=False)
    chip = tmp_path / "gpiochip0"
    with pytest.raises(SettingsError, match="check chip, line"):
        make_sense(f"gpio:{chip}:17")
    chip.write_text("1\n")
    sense = make_sense(f"gpio:{chip}:17")
    assert sense.read() is True
    chip.write_text("0\n")
    assert sense.read() is False
    chip.unlink()
    assert sense.read() is None, "a line that cannot be read tells nothing"
    chip.write_text("1\n")
    sense.close()
    assert chip.read_text() == "released"
    monkeypatch.delitem(sys.modules, "gpiod")


def test_the_service_manager_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(60)
        told = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"})
        assert told.period_s == 15
        told.ready("1 of 1 meters")
        assert manager.recv(1000) == b"READY=1\nSTATUS=1 of 1 meters"
        told.alive("x")
        assert manager.recv(1000).startswith(b"WATCHDOG=1")
        told.stopping()
        assert manager.recv(1000) == b"STOPPING=1"


def test_without_a_service_manager_nothing_is_told_and_nothing_fails() -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "/no/such/socket", "WATCHDOG_USEC": "x"}):
        manager = ServiceManager(environment)
        manager.ready("x")
        assert manager.period_s is None
    other = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    assert ServiceManager(other).period_s is None, "the watchdog is another process's"


@NEEDS_SYSTEMD
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = (BOARD / "smartmeter-gateway.service").read_text()
    assert "/opt/smartmeter/bin/smartmeter gateway run" in text
    check_unit("smartmeter-gateway.service", text, tmp_path)


def test_each_key_of_the_udev_rule_is_a_match_or_an_assignment() -> None:
    rules = (BOARD / "60-smartmeter.rules").read_text().splitlines()
    [rule] = [line for line in rules if not line.startswith("#")]
    keys = [
        re.fullmatch(r"(\w+(?:\{\w+\})?)(==|=|\+=)\"([^\"]+)\"", one) for one in rule.split(", ")
    ]
    matches = {key[1] for key in keys if key and key[2] == "=="}
    assert all(keys) and matches == {"SUBSYSTEM", "ATTRS{idVendor}", "ATTRS{idProduct}"}
    assigned = {key[1]: key[3] for key in keys if key and key[2] != "=="}
    assert assigned["SYMLINK"] == "smartmeter0" and assigned["ENV{ID_MM_DEVICE_IGNORE}"] == "1"


def test_a_lost_meter_is_said_once_and_its_return_once() -> None:
    lines: list[str] = []
    log = Journal(lines.append, lambda: 0)
    for text in ("answers", "answers", "does not answer", "does not answer", "answers"):
        log.state("meter", text)
    assert lines == ["meter: answers", "meter: does not answer", "meter: answers"]


def test_a_port_that_comes_and_goes_all_the_time_leaves_the_log_to_others() -> None:
    lines: list[str] = []
    now_us = 0
    log = Journal(lines.append, lambda: now_us)
    for _ in range(MAX_LINES_DAY):
        for text in ("works", "is away"):
            log.state("SM1 port", text)
    assert len(lines) == MAX_CHANGES_DAY
    assert lines[-1] == "SM1 port: comes and goes all the time: silent about it until tomorrow"
    log.state("SM2 meter", "does not answer")
    assert lines[-1] == "SM2 meter: does not answer"
    now_us = 24 * HOUR_US
    for _ in range(2):
        log.state("SM1 port", "is away")
    assert lines[MAX_CHANGES_DAY:] == ["SM2 meter: does not answer", "SM1 port: is away"]


@pytest.mark.parametrize("error", list(ERRORS))
def test_a_line_has_room_for_what_is_wrong_and_all_that_helps(error: ErrorCode) -> None:
    lines: list[str] = []
    why = f"registration was refused: {code_name(ResponseCode.sme)}"
    told = sentence(State.PROVISIONED, error, why=why)
    Journal(lines.append, lambda: 0).state(16 * "W", f"state 06 error {error:02d}: {told}")
    assert lines[0].endswith(told)


def test_what_is_said_again_within_the_hour_is_counted() -> None:
    lines: list[str] = []
    now_us = 0
    log = Journal(lines.append, lambda: now_us)
    for _ in range(500):
        log.say("refused\na message")
    now_us = HOUR_US
    log.say("refused a message")
    assert lines == ["refused a message", "refused a message (499 times more since)"]


def test_the_container_recipe_is_where_it_says_and_copies_what_there_is() -> None:
    text = (BOARD / "Containerfile").read_text()
    checkout = BOARD.parents[2]
    [recipe] = re.findall(r"podman build .* -f (\S+) \.", text)
    assert (checkout / recipe).samefile(BOARD / "Containerfile")
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for name in line.split()]
    assert {"setup.cfg", "smartmeter"} <= set(copied)
    assert all((checkout / name).exists() for name in copied)


def test_a_flood_of_different_lines_stays_under_ten_megabytes_a_day() -> None:
    lines: list[str] = []
    now_us = 0
    log = Journal(lines.append, lambda: now_us)
    for number in range(3 * MAX_LINES_DAY):
        log.say(f"{number} " + "x" * 1000)
    assert sum(len(line.encode()) + JOURNALD_OCTETS for line in lines) < 10_000_000
    assert lines[-1] == "too many lines: silent until tomorrow"
    now_us = 24 * HOUR_US
    log.say("a new day")
    assert lines[-1] == "a new day"


def permission(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "allow.toml"
    path.write_text(text)
    return path


def test_a_local_file_names_what_may_be_written(tmp_path: Path) -> None:
    text = "tables = [5]\nprocedures = [10]\ndangerous_procedures = [9]"
    found = read_permission(permission(tmp_path, text))
    assert found.table(5) and not found.table(6)
    assert found.procedure(10) and found.procedure(9) and not found.procedure(3)
    assert "tables 5" in str(found)
    assert str(read_permission(permission(tmp_path, ""))) == "read-only"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("procedures = [9]", "dangerous_procedures"),
        ("procedures = [2050]", "dangerous_procedures"),
        ("tables = [7]", "procedures"),
        ("tables = 5", "tables: 5 is no list; write [n,"),
        ("tables = [true]", "is no number"),
        ("tables = [-1]", "is no number"),
        ("tables = [5", "TOML"),
        ("table = [5]", "unknown"),
    ],
)
def test_a_wrong_permission_file_is_refused_with_the_place(
    tmp_path: Path, text: str, told: str
) -> None:
    path = permission(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_permission(path)
    assert told in str(caught.value) and str(path) in str(caught.value)


async def test_the_status_is_asked_over_a_socket_that_replaces_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    server = StatusSocket(path, lambda: STATUS)
    await server.start()
    assert await asyncio.to_thread(ask_status, path) == STATUS
    assert path.stat().st_mode & 0o007 == 0
    server.stop()
    with pytest.raises(SmartMeterError, match="is it running"):
        ask_status(path)


@pytest.mark.parametrize("octets", [b"", b"[1, 2]", b"{}", b"\xff\xfe{{", b"[" * 100_000])
async def test_what_answers_a_socket_and_is_no_gateway_is_told_as_such(
    tmp_path: Path, octets: bytes
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        writer.close()

    path = tmp_path / "gateway.sock"
    async with await asyncio.start_unix_server(serve, str(path)):
        with pytest.raises(SmartMeterError, match="what answers is no gateway"):
            await asyncio.to_thread(ask_status, path)


async def test_a_socket_in_a_folder_of_a_long_name_is_reached_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / ("f" * 60) / ("g" * 60) / "gateway.sock"
    with pytest.raises(SmartMeterError, match="is it running"):
        ask_status(path)
    server = StatusSocket(path, lambda: STATUS)
    await server.start()
    assert await asyncio.to_thread(ask_status, path) == STATUS
    with pytest.raises(SettingsError, match="a gateway runs"):
        await StatusSocket(path, lambda: STATUS).start()
    server.stop()
    assert not path.exists()
    with pytest.raises(SettingsError, match="File name too long"):
        await StatusSocket(tmp_path / ("s" * 120), lambda: STATUS).start()


async def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    path.write_text("mine")
    with pytest.raises(SettingsError, match="choose another name"):
        await StatusSocket(path, lambda: STATUS).start()
    assert path.read_text() == "mine"


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_each_gauge_is_a_member_of_the_status() -> None:
    assert set(GAUGES) <= set(MeterStatus.__annotations__)


async def test_metrics_are_prometheus_text_and_nothing_else_is_served() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, told: faults.append(told))
    server = MetricsServer(lambda: meter_families(STATUS))
    await server.start("127.0.0.1", 0)
    answer = await ask(server.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b'smartmeter_outbox_reports{esn="SM1"} 3.0' in answer
    assert b'smartmeter_fresh{esn="SM1"} 1.0' in answer
    refused = b'smartmeter_network_events_total{event="rejected mac-mismatch"} 3.0'
    assert refused in answer, "of all meters together"
    assert b"smartmeter_module_state{" not in answer, "what is not known is not made up"
    assert b"404" in await ask(server.port, b"GET /etc/passwd HTTP/1.1\r\n\r\n")
    for rubbish in (b"", b"\xff" * 100, b"GET /metrics " + b"x" * 100_000):
        assert b"smartmeter" not in await ask(server.port, rubbish)
    assert not faults, "rubbish is no fault of the gateway's"
    told = "cannot listen: Address already in use; choose another port"
    with pytest.raises(SettingsError, match=f"metrics 127.0.0.1:{server.port}: {told}"):
        await MetricsServer(list).start("127.0.0.1", server.port)
    server.stop()


async def test_a_second_gateway_with_the_same_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    first = StatusSocket(path, lambda: STATUS)
    await first.start()
    with pytest.raises(SettingsError, match="a gateway runs with these settings"):
        await StatusSocket(path, lambda: STATUS).start()
    assert (await asyncio.to_thread(ask_status, path)) == STATUS, "the first was left alone"
    first.stop()
