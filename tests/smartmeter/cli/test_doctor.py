"""``smartmeter doctor`` finds what is wrong and says how to mend it."""

import json
import os

from click.testing import CliRunner

from smartmeter.cli.doctor import command, look_at_clock, look_at_port
from tests.smartmeter.cli.served import assert_one_clear_error, smartmeter


def test_a_clock_of_1970_is_wrong_and_one_of_today_is_right() -> None:
    assert look_at_clock(5.0).wrong
    assert not look_at_clock(1_790_000_000.0).wrong


def test_a_port_that_is_not_there_is_named_with_a_remedy() -> None:
    finding = look_at_port("/dev/no-such-port")
    assert finding.wrong and finding.remedy


def test_the_verb_prints_json_and_its_status_says_whether_all_is_well() -> None:
    done = smartmeter("doctor", "--json", os.devnull)
    findings = json.loads(done.stdout)
    assert {"smartmeter", "construct", "clock", os.devnull} <= {f["subject"] for f in findings}
    assert done.returncode == (0 if all(f["well"] for f in findings) else 1)


def test_options_of_a_line_are_refused_where_no_port_is_named() -> None:
    for option in (("--baud", "57600"), ("--no-rts",), ("--user-id", "2"), ("--answer-port", "0")):
        done = CliRunner().invoke(command, option)
        assert done.exit_code == 2 and "name its PORT" in done.output


def test_wrong_use_is_one_line_and_status_2() -> None:
    assert_one_clear_error(["frobnicate"], 2, "frobnicate")
