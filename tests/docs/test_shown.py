"""What README and the pages show to be typed is what the program and the library take."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import pytest

from smartmeter.cli import VERBS, group
from tests.docs.pages import PAGES, ROOT
from tests.smartmeter.cli.served import meter_process

#: A command in an indented block; of a pipe or a redirection what is before it is ours.
COMMAND = re.compile(r"^ +(?:\$ )?(?:/opt/smartmeter/bin/)?smartmeter (.+)$", re.MULTILINE)
ENDS = {"|", ">", "<", "\\"}


def _commands(page: Path) -> list[list[str]]:
    text = page.read_text(encoding="utf-8").replace("\\\n", "")
    found = []
    for line in COMMAND.findall(text):
        words = shlex.split(line, comments=True)
        ends = [place for place, word in enumerate(words) if word in ENDS]
        found.append(words[: ends[0]] if ends else words)
    return found


def _parse(words: list[str]) -> None:
    """Take a command apart as the program does; nothing is run."""
    command: click.Command = group
    context = click.Context(group)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        assert inner is not None, f"no verb {words[0]}"
        command, words = inner, words[1:]
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(list(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_program_takes_every_command_that_a_page_shows(page: Path) -> None:
    for words in _commands(page):
        try:
            _parse(words)
        except click.UsageError as error:
            pytest.fail(f"smartmeter {shlex.join(words)}: {error.format_message()}")


def test_a_fast_calendar_that_a_page_shows_begins_with_the_day_of_the_reader() -> None:
    clocks = [
        value
        for page in PAGES
        for words in _commands(page)
        for option, value in pairwise(words)
        if option == "--clock"
    ]
    # From a fixed epoch on it is decades ahead after a year, and one day no meter shows it.
    assert clocks and all(clock.startswith("$(date +%s),") for clock in clocks), clocks


def test_no_page_shows_a_calendar_that_begins_anew_for_a_memory_that_goes_on() -> None:
    for page in PAGES:
        for words in _commands(page):
            # At the second start the clock would go back by all that it was ahead.
            assert not {"--clock", "--state"} <= set(words), shlex.join(words)


def test_the_readme_shows_every_verb() -> None:
    assert {words[0] for words in _commands(ROOT / "README.rst")} == set(VERBS)


def test_the_code_of_the_readme_reads_a_meter() -> None:
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    block = text.partition(".. code-block:: python\n\n")[2].partition("\n\nWith ST-11")[0]
    code = re.sub(r"^    ", "", block, flags=re.MULTILINE)
    assert "/dev/ttyUSB0" in code
    with meter_process("--tcp", "127.0.0.1:0") as (port, _):
        code = code.replace("/dev/ttyUSB0", port)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert re.fullmatch(r"\[\d+, \d+, \d+, \d+\]\n", done.stdout), done.stdout + done.stderr
