"""``smartmeter meter serve`` as a process, for tests that need a real one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from protocols.datalink.timing import Timing
from smartmeter.cli.meter_line import MeterLine

#: A calendar that stands: however slowly a meter is read, twice it shows the same.
STANDING = ("--clock", "1767225600,0.000001")


@contextmanager
def meter_process(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve a meter; gives the port's name from the ready line, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "smartmeter", "meter", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready "), (line, process.stderr and process.stderr.read())
        yield line.split()[1], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@contextmanager
def running(
    *arguments: str, **environment: str
) -> Iterator[tuple[dict[str, str], "subprocess.Popen[str]"]]:
    """Run a verb until the end; gives what it tells up to "ready", by first words, and it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "smartmeter", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    told: dict[str, str] = {}
    try:
        assert process.stdout is not None
        while "ready" not in told:
            line = process.stdout.readline()
            assert line, arguments
            told[line.split()[0]] = line.split()[1]
        yield told, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def assert_one_clear_error(arguments: Sequence[str], status: int, words: str) -> None:
    """Run the command line, which is to end with this status and these words, and no traceback."""
    done = smartmeter(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


def smartmeter(
    *arguments: str, timeout: int = 180, said: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end; ``said`` is what it reads."""
    return subprocess.run(
        [sys.executable, "-m", "smartmeter", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        input=said,
        env=os.environ | environment,
    )


def line_to(port: str, timing: Timing | None = None) -> MeterLine:
    """Give the line that the command line would make of a port alone."""
    line = MeterLine(
        port,
        baud=(),
        assume=(),
        strict=(),
        rts=True,
        dtr=False,
        user_id=0,
        user="",
        password_file=None,
        ask_password=False,
    )
    if timing is not None:
        line.options = replace(line.options, timing=timing)
    return line
