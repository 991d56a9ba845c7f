"""init, check, run and status as a person on a board types them."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner

import smartmeter as package
from ansi_tables import Snapshot
from ansi_tables.profile_blocks import shape_of
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.cli import group
from smartmeter.gateway.database import database_files
from smartmeter.gateway.meter_checks import _clock, _history, _identity, _intervals
from smartmeter.gateway.place_checks import check_places
from smartmeter.gateway.settings import GatewaySettings, read_settings
from smartmeter.gateway.setup import Found, write_files
from smartmeter.gateway.sinks.settings import Sinks
from smartmeter.gateway.status_socket import answers, ask_status
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profiles import PROFILES, draw_profile
from smartmeter.tms.shipment import read_shipment
from smartmeter.tms.store.sqlite import FILE_NAME
from tests.ports import free_port
from tests.smartmeter.cli.served import meter_process, smartmeter
from tests.smartmeter.gateway.settings_file import WORKS, settings_file

SOURCE = Path(package.__file__ or "").parent
LONG_NAME = "x" * 300
NOBODY = 65_534
MASTER = {"SMARTMETER_OPTICAL_PASSWORD": "master"}


@pytest.fixture(scope="module")
def meter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with meter_process("--pty", str(tmp_path_factory.mktemp("port") / "meter")) as (port, _):
        yield port


def test_init_asks_before_it_probes_and_a_no_leaves_the_port_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "smartmeter",
            "gateway",
            "init",
            "--out",
            str(tmp_path / "x"),
            "--port",
            "/dev/ups",
        ],
        input="n\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Probe /dev/ups?" in done.stdout
    assert done.returncode == 1 and "nothing was written" in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tms", "nowhere"), "--tms, address 'nowhere': is no bearer"),
        (("--tms", ""), "--tms, address '': is no bearer"),
        (("--esn", "sm-1"), "--esn: ESN 'sm-1' is not"),
        ((), "gateway.toml: is there already"),
        (("--out", "gateway.toml"), "--out gateway.toml: gateway.toml is no folder; name a folder"),
        (("--out", "gateway.toml/x"), "x: gateway.toml is no folder; name a folder"),
        (("--out", "loop/x"), "loop/x: loop is no folder; name a folder"),
    ],
)
def test_init_refuses_what_is_wrong_before_it_touches_a_port(
    options: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    if not options or "--out" in options:
        (tmp_path / "gateway.toml").touch()
    line = ("gateway", "init", "--out", str(tmp_path), "--port", "/dev/ups", "--yes", *options)
    done = CliRunner().invoke(group, line)
    assert isinstance(done.exception, SettingsError) and told in str(done.exception)
    assert not done.output  # nothing was probed


def test_init_recognises_the_meter_and_what_it_writes_runs(meter: str, tmp_path: Path) -> None:
    kept = ("--data", str(tmp_path / "kept"))
    made = smartmeter(
        *("gateway", "init", "--out", str(tmp_path / "g"), "--port", meter, "--yes", *kept),
        **MASTER,
    )
    assert made.returncode == 0, made.stderr
    assert "meter SMOP SM-RES-1, serial SM000001" in made.stdout
    folder = tmp_path / "g"
    [shipped] = read_shipment((folder / "shipment.csv").read_text())
    assert shipped.esn == "SM000001"
    assert (folder / "SM000001.key").read_text().strip() == shipped.key.hex()
    made_files = [path for path in folder.iterdir() if path.is_file()]
    assert all(one.stat().st_mode & 0o077 == 0 for one in made_files if one.suffix != ".toml")
    settings = str(folder / "gateway.toml")
    checked = smartmeter("gateway", "check", "--settings", settings, **MASTER)
    assert checked.returncode == 0, checked.stdout
    assert f"{tmp_path / 'kept'}: will be made" in checked.stdout
    assert "with a password it shows ST-00, ST-01," in checked.stdout
    assert str(folder / "data") not in (folder / "gateway.toml").read_text()
    assert "read-only" in checked.stdout and "no last gasp" in checked.stdout
    assert "history log" in checked.stdout
    again = smartmeter("gateway", "init", "--out", str(folder), "--port", meter, "--yes", **MASTER)
    assert again.returncode == 2 and "is there already" in again.stderr


def test_init_writes_a_port_that_is_found_from_any_folder_and_texts_that_toml_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meter").symlink_to("/dev/null")
    found = Found("./meter", True, "a meter", "1", 'A"B\\C')
    path, *_ = write_files(tmp_path / "g", tmp_path / "kept", [found], "", None, 2)
    settings = read_settings(path, {})
    assert settings.seats[0].port == str(tmp_path / "meter"), "a link stays a link"
    assert settings.seats[0].model == 'A"B\\C'


def test_the_group_may_read_the_settings_that_name_the_status_socket_and_nothing_else(
    tmp_path: Path,
) -> None:
    before = os.umask(0o022)
    try:
        found = Found("/dev/null", True, "a meter", "1", "m")
        paths = write_files(tmp_path / "g", tmp_path / "kept", [found], "", None, 2)
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in paths] == ["0o640", "0o600", "0o600"]


def test_init_writes_nothing_where_something_is_wrong(tmp_path: Path) -> None:
    one, again = (Found(port, True, "a meter", "1") for port in ("/dev/a", "/dev/b"))
    for esn, told in (("", "the same serial number"), ("SM1", "name one --port")):
        with pytest.raises(SettingsError, match=told):
            write_files(tmp_path / "g", tmp_path / "kept", [one, again], esn, None, 2)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="Not a directory; name a folder"):
        write_files(tmp_path / "file" / "g", tmp_path / "kept", [one], "", None, 2)
    with pytest.raises(SettingsError, match="no UTF-8 text"):
        write_files(tmp_path / os.fsdecode(b"z\xe4hler"), tmp_path, [one], "", None, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(SettingsError, match="check its rights"):
        write_files(tmp_path / LONG_NAME / "g", tmp_path / "kept", [one], "", None, 2)


def test_init_leaves_no_half_of_a_file_where_the_disk_is_full(tmp_path: Path) -> None:
    meter = Found("/dev/a", True, "a meter", "SM1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # a key has room, the settings none
    try:
        with pytest.raises(SettingsError, match="check its rights"):
            write_files(tmp_path / "g", tmp_path / "kept", [meter], "", None, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "g").iterdir()) == []


def test_init_goes_on_with_the_keys_of_one_that_was_cut_off(tmp_path: Path) -> None:
    meters = [Found(f"/dev/{name}", True, "a meter", name) for name in ("SM1", "SM2")]
    folder = tmp_path / "g"

    def init() -> dict[str, bytes]:
        write_files(folder, tmp_path / "kept", meters, "", None, 2)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    whole = init()
    written = ("SM1.key", "SM2.key", "shipment.csv", "gateway.toml")
    for missing in (written[3:], written[2:]):
        for name in missing:
            (folder / name).unlink()
        assert init() == whole
    for name, others in (("shipment.csv", "esn,title,key,model\n"), ("SM1.key", "no key")):
        (folder / "gateway.toml").unlink()
        (folder / name).write_text(others)
        with pytest.raises(SettingsError, match=f"{name}: is there already"):
            init()
        assert (folder / name).read_text() == others
        assert not (folder / "gateway.toml").exists()
        (folder / name).write_bytes(whole[name])
        assert init() == whole


def test_of_two_inits_at_once_one_is_told_and_takes_nothing_from_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, synchronise = tmp_path / "g", os.fsync

    def beaten(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", synchronise)
        other = Found("/dev/b", True, "another meter", "SM2")
        write_files(folder, tmp_path / "kept", [other], "", None, 2)
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", beaten)
    with pytest.raises(SettingsError, match=r"shipment\.csv: is there already"):
        one = Found("/dev/a", True, "a meter", "SM1")
        write_files(folder, tmp_path / "kept", [one], "", None, 2)
    settings = read_settings(folder / "gateway.toml", {})
    [shipped] = read_shipment((folder / "shipment.csv").read_text())
    assert shipped.esn == "SM2" and [seat.port for seat in settings.seats] == ["/dev/b"]
    assert (folder / "SM2.key").read_text().strip() == shipped.key.hex()


def test_a_place_that_cannot_even_be_looked_at_is_one_finding_of_many(tmp_path: Path) -> None:
    seat = read_settings(settings_file(tmp_path, WORKS), {}).seats[0]
    closed = tmp_path / LONG_NAME  # as a folder that is closed to this user: it cannot be asked for
    sinks = Sinks(csv=closed / "x.csv")
    settings = GatewaySettings((seat,), (), closed, closed / "socket", sinks=sinks)
    wrong = [one.subject for one in check_places(settings) if one.wrong]
    assert wrong == [str(closed), str(closed / "x.csv"), str(closed / "socket")]


def test_a_secret_that_everybody_may_read_is_told_with_the_remedy(tmp_path: Path) -> None:
    locked = WORKS | {"meter": WORKS["meter"] | {"password_file": '"{folder}/words"'}}
    path = settings_file(tmp_path, locked)
    (tmp_path / "key").chmod(0o644)
    (tmp_path / "words").chmod(0o640)
    (tmp_path / "words").write_text("secret")
    told = [one for one in check_places(read_settings(path, {})) if "everybody" in one.text]
    key = tmp_path / "key"
    assert [(one.subject, one.wrong, one.remedy) for one in told] == [
        (str(key), False, f"chmod o= {key}")
    ]


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may not do everything, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_check_names_each_file_that_the_gateways_user_cannot_write() -> None:
    with TemporaryDirectory() as name:  # the folders of the tests are closed to others
        folder = Path(name)
        settings = read_settings(settings_file(folder, WORKS), {})
        files = [
            settings.seats[0].state,
            *database_files(settings.readings),
            *database_files(settings.local_tms / FILE_NAME),
        ]
        settings.local_tms.mkdir()
        for file in files:
            file.touch()
            file.chmod(0o444)  # whatever the umask
        settings.local_tms.chmod(0o555)  # nor may its owner, who runs the tests
        folder.chmod(0o777)
        with nobody():
            wrong = {(one.subject, one.text) for one in check_places(settings) if one.wrong}
        settings.local_tms.chmod(0o755)
        assert wrong == {(str(one), "no permission") for one in (settings.local_tms, *files)}


def test_a_dead_socket_of_another_user_is_not_told_as_a_gateway_that_runs() -> None:
    with (
        TemporaryDirectory() as name,
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as another,
        socket.socket(socket.AF_UNIX) as odd,
    ):
        odd.bind(b"\0" + os.urandom(8).hex().encode() + b"\xff\n1 2 3 flags 5 6 7 name")
        odd.listen()
        path, elsewhere = Path(name) / "gateway.sock", Path(name) / "more" / "gateway.sock"
        Path(name).chmod(0o755)
        elsewhere.parent.mkdir()
        for end, place in ((listening, path), (another, elsewhere)):
            end.bind(str(place))
            place.chmod(0)
            end.listen()
        with nobody():
            assert answers(path)
            with pytest.raises(SmartMeterError, match="no permission to ask"):
                ask_status(path)
        listening.close()  # killed: its name stays
        with nobody():
            assert not answers(path)
            with pytest.raises(SmartMeterError, match="no gateway answers"):
                ask_status(path)


def test_check_names_everything_that_would_fail(tmp_path: Path) -> None:
    meter = str(tmp_path / "meter")  # its own: others leave sessions and wrong passwords behind
    (tmp_path / "file").write_text("")
    (tmp_path / "token").write_text("t")
    settings = tmp_path / "g.toml"
    settings.write_text(
        f'[gateway]\ndata = "{tmp_path}/file/data"\n[module]\nesn = "SM000001"\n'
        f'[meter]\nport = "{meter}"\n[[tms]]\naddress = "tcp:127.0.0.1:1"\n'
        '[mqtt]\nhost = "127.0.0.1"\nport = 1\n'
        '[influx]\nurl = "http://127.0.0.1:2/write?precision=s"\n'
        f'[home_assistant]\nurl = "wss://127.0.0.1:3/x"\ntoken_file = "{tmp_path}/token"\n'
    )
    key = {"SMARTMETER_MODULE_KEY": "00" * 16, "SMARTMETER_OPTICAL_PASSWORD": "wrong"}
    with meter_process("--pty", meter):
        checked = smartmeter("gateway", "check", "--settings", str(settings), "--json", **key)
    told = checked.stdout + checked.stderr
    assert checked.returncode == 1, told
    wrong = {one["subject"] for one in json.loads(checked.stdout) if one["wrong"]}
    assert {str(tmp_path / "file" / "data"), "tcp:127.0.0.1:1", "broker 127.0.0.1:1"} <= wrong
    assert {"InfluxDB 127.0.0.1:2", "Home Assistant 127.0.0.1:3"} <= wrong, told
    assert "the meter refuses the password" in told and meter in wrong, told
    assert "Traceback" not in checked.stderr


def test_a_port_that_is_not_there_is_named_once_with_one_remedy(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    key = {"SMARTMETER_MODULE_KEY": "00" * 16}
    for port in (gone, f"tcp:127.0.0.1:{free_port()}"):
        path = settings_file(tmp_path, WORKS | {"meter": {"port": f'"{port}"'}})
        checked = smartmeter("gateway", "check", "--settings", str(path), **key)
        place, other = port.removeprefix("tcp:"), str(tmp_path / "other")
        [told] = re.findall(rf"^WRONG {port}: .*\n +-> .*$", checked.stdout, re.M)
        assert told.count(place) == 1 and told.count("doctor") + told.count("listening") == 1, told
        tried = smartmeter("gateway", "init", "--out", other, "--port", port, "--yes")
        assert tried.stdout.count(place) == 1, tried.stdout


@pytest.mark.parametrize(
    ("ahead_s", "told"), [(0, ""), (10_800, "+10800 s"), (-63_072_000, "-63072000 s")]
)
def test_a_meter_whose_clock_is_not_the_boards_is_told(ahead_s: int, told: str) -> None:
    now_us = 1_767_225_600 * US_PER_S
    settings = MeterSettings(profile=PROFILES["residential-tou"])
    meter = Meter(settings, MemoryNvram(), Calendar(now_us), 0)  # on local time
    tables = Snapshot({n: meter.table(n, 0) for n in (0, 51, 52, 53, 54)})
    [*found] = _clock("port", tables, now_us // US_PER_S - ahead_s)
    assert [told in str(one) and not one.wrong for one in found] == [True] * (ahead_s != 0)


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"locked": [71, 73]}, "ST-71, ST-73 locked"), ({"used": ()}, "keeps no history log")],
)
def test_a_history_log_that_is_locked_is_not_said_to_be_none(
    fields: dict[str, Any], told: str
) -> None:
    known: dict[str, Any] = {"used": (71, 73), "locked": []} | fields
    found = _history("port", Snapshot({}), **known)
    assert told in found.text and not found.wrong


def test_how_soon_a_short_history_log_is_full_is_told_in_plain_digits() -> None:
    meter = Meter(MeterSettings(profile=draw_profile(4)), MemoryNvram(), Calendar(US_PER_S), 0)
    used = (0, 71, 73)
    tables = Snapshot({number: meter.table(number, 0) for number in used})
    found = _history("port", tables, used, [])
    assert "5 entries are overwritten in 0.00006 days (5 s)" in found.text and not found.wrong


def test_a_meter_that_cannot_be_told_from_another_is_told_of() -> None:
    meter = Meter(MeterSettings(), MemoryNvram(), Calendar(US_PER_S), 0)
    images = {number: meter.table(number, 0) for number in (0, 1)}
    assert not list(_identity("port", Snapshot(images)))
    for image in (images[1][:16] + b" " * 16, images[1][:10], b""):
        [found] = _identity("port", Snapshot({**images, 1: image}))
        assert "no serial number" in found.text and not found.wrong


def test_a_load_profile_with_a_fraction_is_told_of() -> None:
    calendar = Calendar(1_767_225_600 * US_PER_S)
    settings = MeterSettings(profile=PROFILES["unusual"])  # which writes its counts as text
    meter = Meter(settings, MemoryNvram(), calendar, 0)
    meter.advance(4 * 3600 * US_PER_S)
    used = (0, 61, 62, 63, 64)
    images = {number: meter.table(number, 4 * 3600 * US_PER_S) for number in used}
    assert not list(_intervals("port", Snapshot(images)))
    shape = shape_of(Snapshot(images).layout(64), 1)
    assert shape is not None
    at = shape.interval(0, 0) + shape.status_octets
    spoiled = images[64][:at] + b"         1.5" + images[64][at + 12 :]
    [found] = _intervals("port", Snapshot({**images, 64: spoiled}))
    assert "1 of 12 intervals" in found.text and "no whole numbers" in found.text
    assert not found.wrong


def test_a_gateway_never_asks_the_boards_clock_what_time_it_is() -> None:
    asking = re.compile(r"wall_utc_us|time\.time\(|time_ns\(|\.now\(|utcnow|\.today\(")
    places = [SOURCE / "gateway", SOURCE / "ssi", SOURCE / "comms"]
    asks = {
        str(path.relative_to(SOURCE))
        for place in places
        for path in place.rglob("*.py")
        if asking.search(path.read_text())
    }
    # A check is for a person; a relay on a board of its own has no other clock.
    assert asks == {"gateway/meter_checks.py", "comms/relay_host.py"}


#: What a board's clock may say: the day before after its boot, and a century later soon after.
BOARD_CLOCK = """
import time
wall, begun_s = time.time, time.time()
time.time = lambda: wall() + (-86_400 if wall() < begun_s + 3 else 3_155_760_000)
time.time_ns = lambda: int(time.time() * 1_000_000_000)
"""


def words_of(manager: socket.socket, count: int) -> list[bytes]:
    """Wait for so many notifications to the service manager; give the first line of each."""
    manager.settimeout(60)
    return [manager.recv(1000).split(b"\n")[0] for _ in range(count)]


def test_a_gateway_without_any_tms_fills_a_csv_file_whatever_its_boards_clock_says(
    tmp_path: Path,
) -> None:
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "sitecustomize.py").write_text(BOARD_CLOCK)
    begun_s = int(time.time())
    clock = f"{begun_s},1200"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    notified = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    with meter_process("--pty", str(tmp_path / "m"), "--clock", clock) as (port, _):
        made = smartmeter(
            *("gateway", "init", "--out", str(tmp_path / "g"), "--port", port, "--yes"), **MASTER
        )
        assert made.returncode == 0, made.stderr
        settings = str(tmp_path / "g" / "gateway.toml")
        gateway = subprocess.Popen(
            [
                sys.executable,
                "-u",
                "-m",
                "smartmeter",
                "gateway",
                "run",
                "--settings",
                settings,
                "--clock",
                clock,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **MASTER, **notified, "PYTHONPATH": str(tmp_path / "board")},
        )
        csv = tmp_path / "g" / "data" / "intervals.csv"
        asked = ("gateway", "status", "--settings", settings, "--json")
        end = time.monotonic() + 180
        while time.monotonic() < end and (not csv.exists() or csv.read_text().count("\n") < 7):
            time.sleep(0.1)
        # Two periods are a second and a half here: on a busy machine values may just be stale.
        status = json.loads(smartmeter(*asked, **MASTER).stdout)
        while time.monotonic() < end and not status["meters"][0]["fresh"]:
            status = json.loads(smartmeter(*asked, **MASTER).stdout)
        for_people = smartmeter(*asked[:-1], **MASTER).stdout
        words = words_of(manager, 3)
        gateway.terminate()
        out, _ = gateway.communicate(timeout=60)
    assert gateway.returncode == 0, out
    assert words == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"], "the service manager's socket"
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            words.append(manager.recv(1000).split(b"\n")[0])
    assert words[-1] == b"STOPPING=1" and words.count(b"READY=1") == 1
    manager.close()
    assert "Traceback" not in out and "towards the meter: read-only" in out
    lines = csv.read_text().splitlines()[1:]
    assert len(lines) >= 6, out
    ended_s = [datetime.fromisoformat(line.split(",")[5]).timestamp() for line in lines]
    meter_s = 1200 * (time.time() - begun_s)
    assert all(begun_s <= end_s <= begun_s + meter_s for end_s in ended_s), "by the meter's clock"
    assert status["tms"] == "local" and status["meters"][0]["fresh"] is True
    assert status["meters"][0]["state"] == 6 and status["meters"][0]["meter_answers"] is True
    assert "read-only, TMS local" in for_people and "meter answers          yes" in for_people
    assert "network events" in for_people and "{" not in for_people
    assert re.search(r"last interval end      20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ\n", for_people)
    version = status["meters"][0]["configuration"]
    assert f"configuration          {version:08x}\n" in for_people
    gone = smartmeter("gateway", "status", "--settings", settings, **MASTER)
    assert gone.returncode == 1 and "is it running" in gone.stderr
