"""Options that would have no effect beside others: each is refused, and nothing is done."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.cli import group


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("fleet --dot - --trace FILE", "--trace is of a run, and --dot runs nothing"),
        ("fleet --dot - --json", "--json is of a run, and --dot runs nothing"),
        ("fleet --dot - --pcap FILE", "--pcap is of a run, and --dot runs nothing"),
        ("fleet --meters 3 serve --connect h --keys FILE", "--meters is not for serve"),
        ("fleet serve --connect h --keys FILE --register off", "--register is for plain meters"),
        ("fleet serve --connect h --keys FILE --notify 5", "--notify is for plain meters"),
        ("fleet serve --connect h --keys FILE --plain --template default", "--template is for SSI"),
        ("tms run --data FILE --mqtt-user me", "--mqtt-user is the log-in at a broker"),
        ("relay run --upstream tcp:h:1 --mqtt-user me", "--mqtt-user is the log-in at a broker"),
        ("conformance sim: --plan --json FILE", "--json is of a run, and --plan runs nothing"),
        ("conformance sim: --plan --replay FILE", "--replay is of a run, and --plan runs nothing"),
        ("conformance --diff a b --html FILE", "--html has no part in --diff"),
        ("conformance sim: --diff a b", "PORT has no part in --diff"),
        ("conformance sim: --replay a --seed 7", "--seed has no part in --replay"),
        ("conformance sim: --replay a --check D07", "--check has no part in --replay"),
        ("conformance sim: --user-id 5", "--user-id is for c1222://HOST[:PORT]/APTITLE"),
        ("conformance sim: --yes-serial 5", "--yes-serial goes with --allow-...:"),
        ("conformance sim: --dtr", "sim: has no line"),
        ("meter serve --tcp h:1 --image a --clock 1,60", "--clock moves nothing in a meter"),
        ("meter serve --tcp h:1 --image a --seed 2", "--seed moves nothing in a meter"),
        ("meter serve --tcp h:1 --image a --profile residential", "--profile is for simulated"),
        ("meter serve --tcp h:1 --identity 5", "--identity is of calls"),
        ("meter show --dtr", "sim: has no line"),
        ("read tcp:h:1 --dtr", "tcp:h:1 has no line"),
        ("read modem:1@/dev/x --baud 9600", "modem:1@/dev/x is a call"),
        ("read modem:1@/dev/x --assume echo", "modem:1@/dev/x is a call"),
        ("read sim: --ask-password --password-file setup.cfg", "give one of --ask-password and"),
        ("clone modem:1@/dev/x FILE --no-bauds", "--no-bauds is of a line"),
        ("decode frame --protocol c1222 --pcap setup.cfg", "--protocol is of HEX"),
        ("doctor --pcap FILE", "--pcap is for a meter"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(
    line: str, told: str, tmp_path: Path
) -> None:
    given = [str(tmp_path / "made") if word == "FILE" else word for word in line.split()]
    done = CliRunner().invoke(group, given)
    assert done.exit_code == 2 and done.stdout == "", done.output
    assert f"Error: {told}" in done.stderr
    if "--pcap" not in line:  # what a capture would hold is begun with the verb
        assert list(tmp_path.iterdir()) == []


def test_a_demo_takes_its_port_whether_it_shows_a_page_or_not(tmp_path: Path) -> None:
    line = "demo --meters 1 --speed 60 --port 8081 --seed 1 --duration 1 --headless --json --data"
    done = CliRunner().invoke(group, [*line.split(), str(tmp_path)])
    assert done.exit_code == 0, done.output


def test_an_option_that_has_its_effect_is_none_of_these(tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["fleet", "--dot", "-", "--seed", "3", "--relays", "1"])
    assert done.exit_code == 0 and "seed 3" in done.stdout


def test_a_list_that_names_no_meter_is_not_taken_for_all(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("\n \n")
    line = ["tms", "cancel", "--kind", "ping", "--list", str(tmp_path / "list")]
    done = CliRunner().invoke(group, line)
    assert "names no meter" in str(done.exception)


@pytest.mark.parametrize(
    "line",
    [
        "write sim: 5 00 --yes --serial-number",
        "procedure sim: REMOTE_RESET 01 --yes --serial-number",
        "tms cancel SM000001 --kind",
        "tms upgrade send setup.cfg SM000001 --at",
        "tms retire SM000001 --replaced-by",
        "tms replace SM000001 SM000002 --at",
        "tms export intervals --data x --from",
        "tms export intervals --data x --to",
        "meter serve --tcp 127.0.0.1:0 --clock",
        "meter serve --tcp 127.0.0.1:0 --serial-number",
        "meter serve --pty",
        "meter serve --serial",
        "meter serve --modem",
        "gateway init --out x --esn",
        "gateway run --settings x --clock",
        "tms run --data x --clock",
        "tms run --data x --sms",
        "tms cancel SM000001 --user",
        "relay run --upstream tcp:h:1 --modem",
        "relay run --upstream tcp:h:1 --mqtt mqtt:h:1 --mqtt-user",
        "fleet serve --connect h --keys x --clock",
    ],
)
def test_an_option_is_not_left_out_by_a_variable_that_is_not_set(line: str) -> None:
    done = CliRunner().invoke(group, [*line.split(), ""])
    assert done.exit_code == 2 and "is empty; give a value, or leave it out" in done.stderr
