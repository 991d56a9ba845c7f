"""``decode table`` and ``decode diff``: listings, layouts, a whole meter, and errors that teach."""

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ansi_tables import Snapshot
from protocols.c1218.scripts import LogonSettings
from protocols.transports.pump import MeterPort
from smartmeter.base.errors import SettingsError
from smartmeter.cli import group, meter_report, overview
from smartmeter.cli.logon import open_any_port
from smartmeter.cli.read import read_tables
from tests.ansi_tables.meaning.device import device
from tests.ansi_tables.meaning.registers import a_block, a_demand_meter


def run(*arguments: str, given: bytes | None = None) -> Result:
    arguments = ("decode", *arguments)
    result = CliRunner().invoke(group, arguments, input=given, standalone_mode=False)
    assert result.exception is None, result.exception
    return result


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated meter that measured for a day, with all its tables."""
    with MeterPort(open_any_port("sim:"), LogonSettings(password=b"master")) as meter:
        listed = read_tables(meter, [0]).snapshot[0].STD_TBLS_USED
        tables = read_tables(meter, sorted(listed)).snapshot
    tables.identity["site"] = "bench"
    tables.images[42] = b"master".ljust(20) + bytes(22)
    path = tmp_path_factory.mktemp("image") / "meter.json"
    path.write_text(tables.to_json())
    return path


def test_a_listing_is_aligned_and_tells_units(image: Path) -> None:
    lines = run("table", "23", "--image", str(image)).output.splitlines()
    assert lines[0] == "ST-23  Current register data, 40 octets"
    first = next(line for line in lines if "SUMMATIONS.0" in line)
    assert "active energy delivered: " in first and first.endswith(" Wh")
    assert len({line.index("TOT") for line in lines if "TOT" in line}) == 1
    assert "\x1b" not in "".join(lines)


def test_colours_are_for_a_terminal_only(image: Path) -> None:
    arguments = ["decode", "table", "52", "--image", str(image)]
    shown = CliRunner().invoke(group, arguments, standalone_mode=False, color=True).output
    assert "\x1b[1mST-52" in shown


def test_what_an_image_says_of_its_meter_cannot_command_the_terminal(tmp_path: Path) -> None:
    told = {"note": "bench \x1b]0;title\x07", "\x1b[2Jsite": "A"}
    (tmp_path / "meter.json").write_text(Snapshot({}, identity=told).to_json())
    output = run("table", "--all", "--image", str(tmp_path / "meter.json")).output
    assert "bench \\x1b]0;title\\x07" in output and "\\x1b[2Jsite" in output
    assert not set(output) & {"\x1b", "\x07"}


def test_a_layout_tells_offset_width_name_type_condition_and_meaning(image: Path) -> None:
    lines = run("table", "23", "--layout", "--image", str(image)).output.splitlines()
    assert lines[1].split() == ["offset", "width", "name", "type", "condition", "meaning"]
    resets = lines[2].split(maxsplit=6)
    assert resets[:4] == ["0", "1", "NBR_DEMAND_RESETS", "UINT8"]
    assert resets[5] == "ST-21.REG_FUNC1_FLAGS.DEMAND_RESET_CTR_FLAG"
    assert resets[6] == "demand reset counter"
    assert any("absent" in line and "CONT_CUM_DEMAND" in line for line in lines)
    assert any("absent" in line and "ST-21.NBR_TIERS > 0" in line for line in lines)
    shown = json.loads(run("table", "3", "--layout", "--json", "--image", str(image)).output)["3"]
    assert shown["size"] == 5 and shown["layout"][0]["bits"]["METERING_FLAG"] == [0, 0]
    assert {"offset", "width", "path", "type_name", "condition", "meaning"} <= set(
        shown["layout"][0]
    )


def test_a_whole_meter_reads_as_a_person_would_want_it(image: Path) -> None:
    result = run("table", "--image", str(image), "--all")
    assert result.return_value == 0
    text = result.output
    for words in (
        "site           bench",
        "manufacturer   SMOP, model SM-RES-1",
        "Registers",
        "active energy delivered",
        "set 1: 96 intervals of 15 min",
        "ST-64  Load profile data set 1",
        "fields more of its lists",
    ):
        assert words in text, words
    assert "master" not in text and b"master".hex() not in text
    assert "passwords or keys, not shown" in text
    assert len(text.splitlines()) < 700
    everything = json.loads(run("table", "--image", str(image), "--all", "--json").output)
    assert set(everything) == {str(number) for number in Snapshot.from_json(image.read_text())}


def test_a_meter_with_tiers_demands_and_self_reads_is_told(tmp_path: Path) -> None:
    tables: dict[int, Any] = a_demand_meter()
    tables[21] |= {"NBR_TIERS": 2, "NBR_SELF_READS": 1}
    tables[51] = {}
    made = device(tables | {23: a_block(), 24: a_block("PREV_SEASON_REG_DATA.")})
    made.images[26] = bytes(made.layout(26).size or 0)
    made.images[26] = b"\0\1\0\5\0\0" + made.images[26][6:]
    made.images[99], made.images[53] = b"\1\2", b"\1"
    path = tmp_path / "meter.json"
    path.write_text(made.to_json())
    result = run("table", "--image", str(path), "--all")
    assert result.return_value == 1
    for words in (
        "tiers 0, 1: all zero",
        "self-read 5",
        "Previous season",
        "maximum",
        "demand resets 3",
    ):
        assert words in result.output, words
    assert "ST-53" in result.stderr and "try another edition" in result.stderr


@pytest.mark.parametrize("profile", ["commercial", "industrial", "unusual"])
def test_registers_and_intervals_of_every_kind_of_meter_agree(profile: str) -> None:
    """A day of intervals, scaled, is what the register counted but for the running interval."""
    with MeterPort(open_any_port(f"sim:{profile}"), LogonSettings(password=b"master")) as meter:
        listed = read_tables(meter, [0]).snapshot[0].STD_TBLS_USED
        tables = read_tables(meter, sorted(listed)).snapshot
    energy = {"quantity": "active energy", "direction": "delivered"}
    register = tables.registers().one(**energy, tier=None)
    recorded = tables.load_profile()
    (channel,) = (
        one
        for one in recorded.channels
        if (one.quantity, one.direction) == ("active energy", "delivered")
    )
    total = sum(Fraction(value) for value in channel.values if value is not None)
    mean = total / len(recorded)
    assert register.value is not None and channel.unit == register.unit == "Wh"
    assert 0 <= Fraction(register.value) - total <= 3 * mean
    assert any("intervals of" in line for line in meter_report.lines(tables))


def test_hex_a_file_and_an_image_give_the_same(image: Path, tmp_path: Path) -> None:
    octets = Snapshot.from_json(image.read_text()).images[52]
    (tmp_path / "octets").write_bytes(octets)
    shown = [
        run("table", "ST-52", *given, "--image", str(image), "--json").output
        for given in ((octets.hex(),), (octets.hex(" "),), ("--file", str(tmp_path / "octets")), ())
    ]
    assert len(set(shown)) == 1
    fields = json.loads(shown[0])["52"]["fields"]
    assert fields["TIME_DATE_QUAL"]["GMT_FLAG"] == 1


@pytest.mark.parametrize(
    "dump",
    ["{:02x} ", "{:02X}-", "{:02x}:", "0x{:02X}, ", "\\x{:02x}", "{:02X};", "0x{:02x}\n"],
)
def test_octets_are_read_as_other_programs_print_them(image: Path, dump: str) -> None:
    octets = Snapshot.from_json(image.read_text()).images[52]
    printed = "".join(map(dump.format, octets)).rstrip(" ,-:;")
    given = run("table", "52", printed, "--image", str(image))
    assert given.output == run("table", "52", "--image", str(image)).output
    frame = "".join(map(dump.format, bytes.fromhex("EE0000000001201310"))).rstrip(" ,-:;")
    assert run("frame", frame, "--json").return_value == 0


def test_octets_after_the_table_are_reported(image: Path) -> None:
    octets = Snapshot.from_json(image.read_text()).images[52].hex() + "beef"
    result = run("table", "52", octets, "--image", str(image))
    assert "2 octets follow the table" in result.output and "beef" in result.output
    assert result.return_value == 0


def test_a_file_that_is_no_table_does_not_flood_the_terminal(image: Path, tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(bytes(100_000))
    file = ("--file", str(tmp_path / "capture"), "--image", str(image))
    shown = run("table", "52", *file).output
    assert "99993 octets follow the table" in shown and len(shown) < 1000
    assert len(json.loads(run("table", "52", *file, "--json").output)["52"]["trailing"]) == 199_986


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("23", "00"), ("ST-00", "read it from the meter")),
        (
            ("23", "00", "IMAGE"),
            ("ST-23", "SUMMATIONS.0", "octet 1", "6 octets, 0 are there", "edition"),
        ),
        (("54", "00", "IMAGE"), ()),
    ],
)
def test_errors_say_what_where_and_what_to_try(
    image: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    given = [*arguments]
    if "IMAGE" in given:
        given[given.index("IMAGE") :] = ["--image", str(image)]
    result = run("table", *given)
    assert result.return_value == (1 if words else 0)
    for word in words:
        assert word in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) <= 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("table",),
        ("table", "--all"),
        ("table", "23"),
        ("table", "99999"),
        ("table", "1" * 4000),
        ("table", "1", "0", "--file", __file__),
        ("table", "1", "zz"),
        ("table", "1", "--image", __file__, "--all"),
        ("table", "--image", __file__, "--all", "--layout"),
    ],
)
def test_wrong_use_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    fault = CliRunner().invoke(group, ["decode", *arguments], standalone_mode=False).exception
    assert isinstance(fault, click.UsageError | SettingsError), repr(fault)
    assert 10 < len(str(fault)) < 300 and "\n" not in str(fault)


def test_two_images_are_compared_in_words(image: Path, tmp_path: Path) -> None:
    tables = Snapshot.from_json(image.read_text())
    tables.images[5] = b"POLE 17".ljust(20)
    other = tmp_path / "other.json"
    other.write_text(tables.to_json())
    result = run("diff", str(image), str(other))
    assert result.output.splitlines() == [
        "ST-05 IDENTIFICATION: SM000001 became POLE 17 (device identification set by the owner)"
    ]
    assert run("diff", str(image), str(image)).output == "no difference\n"
    assert json.loads(run("diff", str(image), str(other), "--json").output)[0]["table"] == 5


def test_texts_that_are_filled_or_meant_for_the_terminal_are_printed_escaped(
    image: Path, tmp_path: Path
) -> None:
    tables = Snapshot.from_json(image.read_text())
    tables.images[1] = b"\xff" * 12 + tables.images[1][12:]
    tables.images[5] = b"\x1b]0;mine\x07\xe9".ljust(20)
    file = tmp_path / "filled.json"
    file.write_text(tables.to_json())
    report = run("table", "--all", "--image", str(file)).output
    assert "manufacturer   -, model -" in report
    assert r"name           \x1b]0;mine\x07\xe9" in report and "\x1b" not in report
    assert r"\x1b]0;mine\x07\xe9" in run("table", "5", "--image", str(file)).output
    assert "meter      - -, serial" in "\n".join(overview.lines(tables, {}, datetime.now(UTC)))


def test_standard_input_takes_the_place_of_any_file(image: Path) -> None:
    plain = run("table", "23", "--image", str(image)).output
    assert run("table", "23", "--image", "-", given=image.read_bytes()).output == plain
    octets = Snapshot.from_json(image.read_text()).images[23]
    assert run("table", "23", "--image", str(image), "--file", "-", given=octets).output == plain
    assert run("diff", str(image), "-", given=image.read_bytes()).output == "no difference\n"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("table", "1", "--image", "-"), b""),
        (("table", "1", "--image", "-"), b"\xff\xfe"),
        (("table", "1", "--image", "-", "--file", "-"), b"{}"),
        (("diff", "-", "-"), b"{}"),
    ],
)
def test_a_standard_input_that_is_no_use_is_one_error(
    arguments: tuple[str, ...], given: bytes
) -> None:
    result = CliRunner().invoke(group, ["decode", *arguments], input=given, standalone_mode=False)
    assert isinstance(result.exception, SettingsError | click.UsageError)
