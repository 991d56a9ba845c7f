"""``smartmeter shell`` on a terminal: prompt, completion, history, and a session that is kept."""

import os
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protocols.errors import ServiceRefused
from smartmeter.cli.shell import Shell

pty = pytest.importorskip("pty", reason="no terminals here")

PROMPT = "meter> "


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._descriptor = ours
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smartmeter", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, **environment, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(theirs)

    def say(self, text: str, expected: str, then: str = "", timeout_s: float = 60.0) -> str:
        """Type, and read until something is shown, and after it what asks for more."""
        os.write(self._descriptor, text.encode())
        shown, end_s = "", time.monotonic() + timeout_s
        while then not in shown.partition(expected)[2] or expected not in shown:
            assert time.monotonic() < end_s, f"{expected!r} does not come; there is {shown!r}"
            if select.select([self._descriptor], [], [], 0.2)[0]:
                shown += os.read(self._descriptor, 4096).decode(errors="replace")
        return shown

    def close(self) -> int:
        """End the input; give the exit status.

        An end that is typed before the prompt is there is lost: it is typed until it is heard.
        """
        for _ in range(120):
            os.write(self._descriptor, b"\x04")
            try:
                status = self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
            os.close(self._descriptor)
            return status
        raise AssertionError("the program does not end")


def test_a_shell_completes_remembers_and_asks(tmp_path: Path) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    terminal = Terminal(["shell", "sim:"], {**home, "SMARTMETER_PASSWORD": "master"})
    terminal.say("", PROMPT)
    terminal.say("read ST-05\n", "IDENTIFICATION", PROMPT)
    terminal.say("read 23\n", "active energy delivered: ", PROMPT)
    terminal.say("procedure CLEAR_D\t\n", "Type the meter's serial number")
    terminal.say("SM000001\n", "CLEAR_DATA: completed", PROMPT)
    terminal.say("write 5 IDENTIFICATION=POLE\n", "[y/N]")
    terminal.say("n\n", "nothing was sent", PROMPT)
    terminal.say("line\n", "9600 baud", PROMPT)
    assert "EOF" not in terminal.say("help\n", "write", PROMPT)
    assert terminal.close() == 0
    [history] = tmp_path.rglob("history")
    assert "procedure CLEAR_DATA" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


class Locked:
    """A meter that shows nothing."""

    def read(self, table: int, progress: object = None) -> bytes:
        raise ServiceRefused(3, "isc", f"FullRead of table {table}")


@pytest.mark.parametrize("line", ["tables", "read 0", "hex 0", "procedure 9"])
def test_a_meter_that_does_not_show_its_tables_ends_no_shell(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(Locked(), yes=True)  # type: ignore[arg-type]
    assert not shell.onecmd(line) and shell.failed
    told = "".join(capsys.readouterr())
    assert "isc" in told or "ST-00" in told, told
