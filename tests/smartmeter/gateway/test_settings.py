"""The settings file: what is wrong is named with its place and the remedy, before anything runs."""

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.base.errors import SettingsError
from smartmeter.cli import group
from smartmeter.comms.tls import TlsFiles
from smartmeter.gateway.checks import check_settings
from smartmeter.gateway.flash_file import FlashFile
from smartmeter.gateway.settings import read_settings, read_socket
from smartmeter.ssi.factory import FACTORY_PAGE, Factory, TmsAddress
from tests.ports import free_port
from tests.smartmeter.gateway.settings_file import WORKS, settings_file

INFLUX = "http://127.0.0.1:8086/api/v2/write?org=home&bucket=meter&precision=s"


def test_a_file_with_all_that_is_needed_is_read(tmp_path: Path) -> None:
    sinks = {
        "influx": {"url": f'"{INFLUX}"'},
        "home_assistant": {
            "url": '"ws://ha.local:8123/api/websocket"',
            "token_file": '"{folder}/key"',
        },
    }
    settings = read_settings(settings_file(tmp_path, WORKS | sinks), {})
    assert settings.sinks.influx is not None and settings.sinks.influx.url == INFLUX
    assert settings.seats[0].port == "/dev/smartmeter0"


@pytest.mark.parametrize(
    "host", ["h", "b_1.local", "192.0.2.1", "::1", "fe80::1%eth0", "bücher.de"]
)
def test_a_broker_may_have_any_name_and_address(tmp_path: Path, host: str) -> None:
    path = settings_file(tmp_path, WORKS | {"mqtt": {"host": f'"{host}"'}})
    mqtt = read_settings(path, {}).sinks.mqtt
    assert mqtt is not None and mqtt.host == host


@pytest.mark.parametrize(
    ("said", "tls", "port"),
    [
        ({}, None, 1883),
        ({"tls": "false"}, None, 1883),
        ({"tls": "true"}, TlsFiles(), 8883),
        ({"tls": "true", "port": "443"}, TlsFiles(), 443),
        ({"tls_ca": '"/ca"'}, TlsFiles(Path("/ca")), 8883),
        (
            {"tls_certificate": '"/c"', "tls_key": '"/k"'},
            TlsFiles(None, Path("/c"), Path("/k")),
            8883,
        ),
    ],
)
def test_a_broker_speaks_tls_where_that_is_said_or_a_file_for_it_is_named(
    said: dict[str, str], tls: TlsFiles | None, port: int, tmp_path: Path
) -> None:
    path = settings_file(tmp_path, WORKS | {"mqtt": {"host": '"h"'} | said})
    mqtt = read_settings(path, {}).sinks.mqtt
    assert mqtt is not None and (mqtt.tls, mqtt.port) == (tls, port)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"gateway": {"data": '"{folder}"', "socket": '"{folder}/s"'}},
        {"gateway": {}, "module": WORKS["module"] | {"state": '"{folder}/state"'}},
    ],
)
def test_the_socket_is_known_without_the_keys_which_who_asks_may_not_read(
    said: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    path = settings_file(tmp_path, WORKS | said)
    named = read_settings(path, {}).socket
    (tmp_path / "key").unlink()
    assert read_socket(path) == named
    done = CliRunner().invoke(group, ("gateway", "status", "--settings", str(path)))
    assert "no gateway answers" in str(done.exception)


def test_a_file_that_begins_as_some_editors_begin_it_is_read(tmp_path: Path) -> None:
    path = settings_file(tmp_path, WORKS)
    path.write_text("\ufeff" + path.read_text())
    assert read_settings(path, {}).seats


def test_how_long_everything_is_kept_can_be_said(tmp_path: Path) -> None:
    assert read_settings(settings_file(tmp_path, WORKS), {}).keep_days is None
    said = WORKS | {"gateway": WORKS["gateway"] | {"keep_days": "400"}}
    assert read_settings(settings_file(tmp_path, said), {}).keep_days == 400


def test_segments_are_switched_on_beside_the_address_that_sends_them(tmp_path: Path) -> None:
    tms = {"address": '"udp:h:1"', "segment": "1232"}
    settings = read_settings(settings_file(tmp_path, WORKS | {"[tms]": tms}), {})
    [bearer] = settings.bearers
    assert bearer.segment_octets == 1232 and bearer.way.has_segments


def test_a_password_is_its_line_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "optical").write_text(" two words \r\n")
    said = WORKS | {"meter": {"port": '"p"', "password_file": f'"{tmp_path / "optical"}"'}}
    (seat,) = read_settings(settings_file(tmp_path, said), {}).seats
    assert seat.factory.optical_password == b" two words "


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        ("meter", {"port": '"tcp:nowhere"'}, "tcp:HOST:PORT"),
        ("meter", {"port": '"tcp:host:99999"'}, "tcp:HOST:PORT"),
        ("meter", {"port": '"p"', "dtr": '"on"'}, "write true or false"),
        ("influx", {"url": f'"{INFLUX}"'.replace("http", "ftp")}, "http://"),
        ("influx", {"url": '"http://h/write?precision=ns"'}, "precision=s"),
        ("influx", {"url": '"http://h:x/write?precision=s"'}, "http://"),
        ("influx", {"url": '"http:///write?precision=s"'}, "http://"),
        ("home_assistant", {"url": '"http://h"', "token_file": '"{folder}/key"'}, "ws://"),
        ("influx", {"url": f'"{INFLUX}"'.replace("127.0.0.1", "x" * 64)}, "http://"),
        ("csv", {"file": f'"/tmp/{"x" * 256}"'}, "file is longer than a file's name"),
        ("gateway", {"data": f'"{"/xyz" * 1024}"'}, "data is longer than a file's name"),
        ("mqtt", {"host": f'"{"x" * 64}"'}, "write its name"),
        *(
            ("mqtt", {"host": f'"{host}"'}, "write its name")
            for host in ("http://h", "h/x", "h:1883", "[::1]", "a b", " ", "fe80::x", "*")
        ),
        ("mqtt", {"host": '"h"', "user": '""', "password_file": '"{folder}/key"'}, "give user"),
        ("mqtt", {"host": '"h"', "base": '"$SYS"'}, 'base = "smartmeter"'),
        ("gateway", {"data": '"{folder}"', "socket": '""'}, "socket is empty"),
        ("gateway", {"data": '"{folder}"', "socket": '"/run/.."'}, "socket names a folder"),
        ("gateway", {"data": '" "'}, "data is empty"),
        ("gateway", {"data": '"d"', "allow": '"/no"'}, "[gateway], allow /no: No such file"),
        ("gateway", {"data": '"~/smartmeter"'}, "write the whole path"),
        ("csv", {"file": '"."'}, "file names a folder"),
        ("upgrade", {"public_key_file": '"{folder}/public"', "slots": '""'}, "slots is empty"),
        ("gateway", {"data": '"{folder}"', "mains": '"gpio:x"'}, "power_supply"),
        ("gateway", {"data": '"d"', "mains": f'"power_supply:{"x" * 256}"'}, "is no sense; write"),
        ("gateway", {"data": r'"a\u0000b"'}, "cannot be seen"),
        ("gateway", {"data": '"{folder}"', "keep_days": "6"}, "from 7 to"),
        ("gateway", {"data": '"{folder}"', "keep_days": '"800"'}, "from 7 to"),
        ("meter", {"port": '"p"', "user": '"ELEVENLONGX"'}, "at most 10"),
        ("meter", {"port": '"p"', "password_file": '"{folder}/key"'}, "at most 20"),
        ("meter", {"port": '"p"', "password_file": '"{folder}/octets"'}, "no UTF-8 text"),
        ("mqtt", {"host": '"h"', "base": '"meters/+"'}, 'base = "smartmeter"'),
        ("mqtt", {"host": '"h"', "base": '""'}, 'base = "smartmeter"'),
        ("mqtt", {"host": '"h"', "discovery": '"#"'}, 'discovery = "homeassistant"'),
        ("mqtt", {"host": '"h"', "password_file": '"{folder}/key"'}, "give user"),
        ("mqtt", {"host": '"h"', "tls": '"yes"'}, "write true or false"),
        ("mqtt", {"host": '"h"', "tls": "false", "tls_ca": '"/ca"'}, "write true"),
        ("mqtt", {"host": '"h"', "tls_ca": '""'}, "tls_ca"),
        ("mqtt", {"host": '"h"', "tls_key": '"/key"'}, "give tls_certificate"),
        ("mqtt", {"host": '"h"', "ca": '"/ca"'}, "tls_ca"),
        ("influx", {"url": f'"{INFLUX}"', "token_file": '"{folder}/words"'}, "one word"),
        ("influx", {"url": f'"{INFLUX}"'.replace("127", "user:word@127")}, "http://HOST"),
        ("influx", {"url": f'"{INFLUX}"'.replace("home", "my home")}, "http://HOST"),
        ("home_assistant", {"url": '"ws://h/x"', "token_file": '"{folder}/empty"'}, "one word"),
        ("home_assistant", {"url": '"ws://h/#x"', "token_file": '"{folder}/key"'}, "ws://HOST"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    tmp_path: Path, section: str, values: dict[str, str], told: str
) -> None:
    path = settings_file(tmp_path, WORKS | {section: values})
    with pytest.raises(SettingsError) as caught:
        read_settings(path, {})
    assert told in str(caught.value) and f"[{section}]" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[csv]]\nfile = 'x'", "[csv]: is a list; give one table with file"),
        ("csv = 'x'", "[csv]: is no table; give one table with file"),
        ("tms = ['x']", "[[tms]] number 1: is no table; give one table with address"),
        ("[tms]\naddress = 'tcp:h:1'", "[tms]: is one table; write [[tms]]"),
        ("[upgrade]", "[upgrade]: public_key_file is missing; name a file"),
    ],
)
def test_what_is_no_section_is_told_as_it_is(tmp_path: Path, text: str, told: str) -> None:
    path = settings_file(tmp_path, WORKS)
    path.write_text(f"{text}\n{path.read_text()}")
    with pytest.raises(SettingsError) as caught:
        read_settings(path, {})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("gateway", "keep_days"),
        ("module", "esn"),
        ("meter", "rts"),
        ("meter", "x" * 5000),
        ("mqtt", "port"),
        ("upgrade", "trial_s"),
        *(("[tms]", name) for name in ("address", "title", "cost", "when", "max_apdu")),
        ("x" * 5000, "name"),
    ],
)
def test_of_a_wrong_value_that_is_long_its_beginning_is_quoted(
    tmp_path: Path, section: str, name: str
) -> None:
    works = {
        "[tms]": {"address": '"tcp:h:1"'},
        "mqtt": {"host": '"h"'},
        "upgrade": {"public_key_file": '"{folder}/public"'},
    } | WORKS
    wrong = works | {section: works.get(section, {}) | {name: f'"{"x" * 5000}"'}}
    with pytest.raises(SettingsError) as caught:
        read_settings(settings_file(tmp_path, wrong), {})
    assert "x" * 70 in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"address": '"foo"'}, "number 1, address 'foo'"),
        ({"address": '"tcp:h:1"', "tls_ca": '"/ca"'}, "number 1: TLS files, but tcp: speaks none"),
        ({"address": '"tls:h:1"', "tls_key": '"/k"'}, "number 1: tls_key is of nothing"),
        ({"address": '"tcp:h:1"', "title": '"x"'}, "number 1: 'x' is no title"),
        ({"address": '"tcp:h:1"', "segment": "1232"}, "number 1, segment: is for udp: alone"),
        ({"address": '"udp:h:1"', "segment": "99"}, "segment"),
        ({"address": '"mqtt:h:1/t"', "node": '"a/b"'}, "number 1, node 'a/b': cannot stand"),
    ],
)
def test_a_wrong_tms_is_named_with_its_number(
    tmp_path: Path, values: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(settings_file(tmp_path, WORKS | {"[tms]": values}), {})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "plain"),
    [
        ({"[tms]": {"address": '"tcp:h:1"'}, "csv": {"file": '"{folder}/x"'}}, True),
        ({"[tms]": {"address": '"udp:h:1"'}}, True),
        ({"[tms]": {"address": '"tls:h:1"'}}, False),
        ({"[tms]": {"address": '"mqtts:h:1/t"'}}, False),
        ({"[tms]": {"address": '"tcp:h:1"'}, "mqtt": {"host": '"h"'}}, False),
        ({"[tms]": {"address": '"tcp:h:1"'}, "influx": {"url": f'"{INFLUX}"'}}, False),
        ({}, True),
        ({"mqtt": {"host": '"h"'}}, False),
    ],
)
def test_what_could_come_to_speak_tls_is_known(
    tmp_path: Path, sections: dict[str, dict[str, str]], plain: bool
) -> None:
    assert read_settings(settings_file(tmp_path, WORKS | sections), {}).is_plain is plain


def test_a_gateway_that_speaks_no_tls_loads_none() -> None:
    code = (
        "import sys, smartmeter.cli.gateway, smartmeter.gateway.settings as settings\n"
        "from smartmeter.gateway.beginning import leave_tls_out\n"
        "leave_tls_out()\n"
        "import smartmeter.gateway.service, smartmeter.comms.tcp, smartmeter.comms.udp\n"
        "import smartmeter.gateway.local_tms\n"
        "assert sys.modules['ssl'] is None and 'asyncio' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_two_settings_may_name_one_file(tmp_path: Path) -> None:
    for name in ("SM1.nvram", "readings.sqlite3", "gateway.sock"):
        path = settings_file(tmp_path, WORKS | {"csv": {"file": f'"{tmp_path}/{name}"'}})
        with pytest.raises(SettingsError, match="the same file"):
            read_settings(path, {})


@pytest.fixture
def other_state(tmp_path: Path) -> Path:
    factory = Factory("SM2", bytes(16), (TmsAddress("local"),))
    with closing(FlashFile(tmp_path / "other.nvram")) as nvram:
        nvram.commit({FACTORY_PAGE: factory.page()})
    return tmp_path / "other.nvram"


def test_a_check_names_every_place_that_cannot_be_used_and_makes_none(
    tmp_path: Path, other_state: Path
) -> None:
    (tmp_path / "old.csv").write_text("years of readings\n")
    (tmp_path / "astray").symlink_to(tmp_path / "nothing")
    files, port = {"octets": '"{folder}/octets"', "folder": '"{folder}"'}, free_port()
    wrong = {
        "no state file": {"module": WORKS["module"] | {"state": files["octets"]}},
        "is no regular file": {"module": WORKS["module"] | {"state": files["folder"]}},
        "belongs to module SM2": {"module": WORKS["module"] | {"state": f'"{other_state}"'}},
        "is no file": {"csv": {"file": files["folder"]}},
        "of other readings": {"csv": {"file": '"{folder}/old.csv"'}},
        "is no socket": {"gateway": WORKS["gateway"] | {"socket": files["octets"]}},
        "cannot listen there": {"gateway": WORKS["gateway"] | {"metrics": '"192.0.2.1:9118"'}},
        "is that of listen:127.0.0.1:9118": {
            "gateway": WORKS["gateway"] | {"metrics": '"127.0.0.1:9118"'},
            "[tms]": {"address": '"listen:127.0.0.1:9118"'},
        },
        f"is that of listen:127.0.0.1:{port}": {
            "gateway": WORKS["gateway"] | {"metrics": f'"0.0.0.0:{port}"'},
            "[tms]": {"address": f'"listen:127.0.0.1:{port}"'},
        },
        "cannot be made": {"gateway": {"data": '"{folder}/octets/data"'}},
        "No such file": {"gateway": {"data": '"{folder}/astray"'}},
        "TLS file": {"[tms]": {"address": '"tls:127.0.0.1:1"', "tls_ca": files["octets"]}},
    }
    for told, sections in wrong.items():
        settings = read_settings(settings_file(tmp_path, WORKS | sections), {})
        found = [str(one) for one in check_settings(settings, False) if one.wrong]
        assert any(told in one for one in found), (told, found)
    path = settings_file(tmp_path, WORKS | {"gateway": {"data": '"{folder}/new/data"'}})
    found = check_settings(read_settings(path, {}), False)
    assert not any(one.wrong for one in found)
    assert any(one.text.startswith("will be made") for one in found)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("sections", "page", "told"),
    [
        ({}, "127.0.0.1:{taken}", "--with-tms 127.0.0.1:{taken}: cannot listen"),
        ({"gateway": {"metrics": '"127.0.0.1:{taken}"'}}, "", "metrics 127.0.0.1:{taken}: cannot"),
        (
            {"gateway": {"metrics": '"127.0.0.1:{free}"'}},
            "0.0.0.0:{free}",
            "--with-tms 0.0.0.0:{free}: cannot listen",
        ),
        ({"gateway": {"mains": '"power_supply:{folder}"'}}, "", "shows no supply"),
        ({"[tms]": {"address": '"tls:h:1"', "tls_ca": '"{folder}/key"'}}, "", "key: "),
        (
            {
                "[tms]": {
                    "address": '"listen:h:1"',
                    "tls_certificate": '"{folder}/no"',
                    "tls_key": '"{folder}/key"',
                }
            },
            "",
            "no: No such file",
        ),
        ({"mqtt": {"host": '"h"', "tls_ca": '"{folder}/octets"'}}, "", "octets: "),
    ],
)
def test_what_keeps_a_gateway_from_starting_is_told_before_anything_is_made(
    tmp_path: Path, sections: dict[str, dict[str, str]], page: str, told: str
) -> None:
    data = {"data": '"{folder}/data"'}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"{taken}": str(taken.getsockname()[1]), "{free}": str(free_port())}
        path = settings_file(
            tmp_path, WORKS | sections | {"gateway": data | sections.get("gateway", {})}
        )
        path.write_text(_filled(path.read_text(), ports))
        option = ("--with-tms", _filled(page, ports)) if page else ()
        done = CliRunner().invoke(group, ("gateway", "run", "--settings", str(path), *option))
    assert isinstance(done.exception, SettingsError), done.output
    assert _filled(told, ports) in str(done.exception)
    assert not (tmp_path / "data").exists() and not done.output


@pytest.mark.parametrize(
    ("sections", "option", "package"),
    [
        ({}, ("--with-tms", "127.0.0.1:0"), "nicegui"),
        ({"gateway": {"metrics": '"127.0.0.1:0"'}}, (), "prometheus_client"),
        ({"mqtt": {"host": '"127.0.0.1"'}}, (), "aiomqtt"),
        ({"[tms]": {"address": '"mqtt:127.0.0.1:1883"'}}, (), "aiomqtt"),
        (
            {"home_assistant": {"url": '"ws://h/api/websocket"', "token_file": '"{folder}/key"'}},
            (),
            "websockets",
        ),
    ],
)
def test_a_package_that_is_missing_is_told_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sections: dict[str, dict[str, str]],
    option: tuple[str, ...],
    package: str,
) -> None:
    data = {"gateway": {"data": '"{folder}/data"'} | sections.get("gateway", {})}
    path = settings_file(tmp_path, WORKS | sections | data)
    monkeypatch.setitem(sys.modules, package, None)
    done = CliRunner().invoke(group, ("gateway", "run", "--settings", str(path), *option))
    assert isinstance(done.exception, ModuleNotFoundError) and done.exception.name == package
    assert not (tmp_path / "data").exists()


def _filled(text: str, ports: dict[str, str]) -> str:
    for name, port in ports.items():
        text = text.replace(name, port)
    return text
