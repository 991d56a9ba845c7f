"""The settings file: what is wrong is named with its place and the remedy, before anything runs."""

from pathlib import Path

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.gateway.settings import read_settings

WORKS = {
    "gateway": {"data": '"{folder}"'},
    "module": {"esn": '"SM1"', "key_file": '"{folder}/key"'},
    "meter": {"port": '"/dev/smartmeter0"'},
}
INFLUX = "http://127.0.0.1:8086/api/v2/write?org=home&bucket=meter&precision=s"


def settings_file(folder: Path, sections: dict[str, dict[str, str]]) -> Path:
    (folder / "key").write_text("00" * 16)
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for name, values in sections.items()
    )
    path = folder / "g.toml"
    path.write_text(text.replace("{folder}", str(folder)))
    return path


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
    ("section", "values", "told"),
    [
        ("meter", {"port": '"tcp:nowhere"'}, "tcp:HOST:PORT"),
        ("meter", {"port": '"tcp:host:99999"'}, "tcp:HOST:PORT"),
        ("influx", {"url": f'"{INFLUX}"'.replace("http", "ftp")}, "http://"),
        ("influx", {"url": '"http://h/write?precision=ns"'}, "precision=s"),
        ("influx", {"url": '"http://h:x/write?precision=s"'}, "http://"),
        ("influx", {"url": '"http:///write?precision=s"'}, "http://"),
        ("home_assistant", {"url": '"http://h"', "token_file": '"{folder}/key"'}, "ws://"),
        ("influx", {"url": f'"{INFLUX}"'.replace("127.0.0.1", "x" * 64)}, "http://"),
        ("mqtt", {"host": f'"{"x" * 64}"'}, "write its name"),
        ("gateway", {"data": '"{folder}"', "mains": '"gpio:x"'}, "power_supply"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    tmp_path: Path, section: str, values: dict[str, str], told: str
) -> None:
    path = settings_file(tmp_path, WORKS | {section: values})
    with pytest.raises(SettingsError) as caught:
        read_settings(path, {})
    assert told in str(caught.value) and f"[{section}]" in str(caught.value)
