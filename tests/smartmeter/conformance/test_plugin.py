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
    folder: Path, *arguments: str, tests: str = THEIRS
) -> "subprocess.CompletedProcess[str]":
    (folder / "test_theirs.py").write_text(tests)
    environment = {name: value for name, value in os.environ.items() if name != "REQUIRE_ALL"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
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


def test_the_properties_that_the_page_shows_hold(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "conformance.rst"
    block = page.read_text().partition("# test_mine.py")[2].partition("``meter`` is an open")[0]
    done = run_theirs(tmp_path, "--meter", "sim:", tests=dedent(f"    #{block}"))
    assert "5 passed" in done.stdout, done.stdout + done.stderr
