"""pytest --meter gives its fixtures to tests of others, and skips them without a meter."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

THEIRS = """
def test_a_meter_answers(meter):
    assert len(meter.read(1)) == 32

def test_tables_are_decoded(snapshot):
    assert snapshot[1].MANUFACTURER.strip() == "SMOP"

def test_the_bench_speaks_octet_by_octet(bench):
    bench.base().identify()
"""


def run_theirs(
    folder: Path, *arguments: str, tests: str = THEIRS, **variables: str
) -> "subprocess.CompletedProcess[str]":
    (folder / "test_theirs.py").write_text(tests)
    environment = {name: value for name, value in os.environ.items() if name != "REQUIRE_ALL"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment | variables,
    )


def test_the_fixtures_reach_a_meter(tmp_path: Path) -> None:
    done = run_theirs(tmp_path, "--meter", "sim:")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_without_a_meter_their_tests_are_skipped(tmp_path: Path) -> None:
    done = run_theirs(tmp_path)
    assert done.returncode == 0 and "3 skipped" in done.stdout, done.stdout


def test_a_meter_that_is_not_there_is_one_line_for_each_test(tmp_path: Path) -> None:
    for name, words in (("./nothing", "No such file"), ("sim:nobody", "is not known")):
        done = run_theirs(tmp_path, "--meter", name)
        assert done.returncode == 1 and "3 errors" in done.stdout
        assert done.stdout.count(f"--meter {name}: ") >= 3 and words in done.stdout
        assert "Traceback" not in done.stdout and "os.open" not in done.stdout


LEAVES = """
import pytest
from hypothesis import HealthCheck, given, settings
from smartmeter.conformance import strategies
from smartmeter.conformance.verdicts import Unreachable

@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=200, database=None)
@given(request=strategies.requests((0,), password=b"not to be shown"))
def test_no_password_is_asked_for(bench, request):
    assert type(request).__name__ != "Security"

@pytest.fixture
def wrong():
    from smartmeter.conformance.plugin import _or_one_line
    with _or_one_line("here"):
        raise Unreachable("it says nothing")

def test_a_wrong_device(wrong): ...
"""


def test_what_fails_shows_no_password_and_a_device_that_is_gone_no_trace(tmp_path: Path) -> None:
    done = run_theirs(tmp_path, "--meter", "sim:", tests=LEAVES, SMARTMETER_PASSWORD="reader-7")
    assert "1 failed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "request=Security()" in done.stdout and "bench=<" in done.stdout
    assert "reader-7" not in done.stdout and "not to be shown  " not in done.stdout
    assert "--meter here: it says nothing" in done.stdout and "raise Unreachable" not in done.stdout


def test_the_properties_that_the_page_shows_hold(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "conformance.rst"
    block = page.read_text().partition("# test_mine.py")[2].partition("``meter`` is an open")[0]
    done = run_theirs(tmp_path, "--meter", "sim:", tests=dedent(f"    #{block}"))
    assert "6 passed" in done.stdout, done.stdout + done.stderr
