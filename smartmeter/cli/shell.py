"""``smartmeter shell``: one kept session with a meter, with completion and a history.

While nothing is typed the session is kept alive.  From a pipe the same lines run as
a script: what changes the meter then needs ``--yes``, and the exit status tells whether
a line failed.
"""

from __future__ import annotations

import cmd
import contextlib
import os
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ansi_tables import name_of
from ansi_tables.errors import TableError
from ansi_tables.procedures import all_procedures
from protocols.errors import LinkError, PortError, ProtocolError
from protocols.transports.pump import MeterPort
from smartmeter.cli.meter_line import MeterLine, RemoteMeter, remote_options, warn_of_password
from smartmeter.cli.procedure import context_of, make_call, procedure_number, run_agreed
from smartmeter.cli.read import add_meaning, print_table, read_tables
from smartmeter.cli.tables import table_number
from smartmeter.cli.write import Change, given_octets, write_agreed

#: Below the 6 s after which a meter forgets an idle session, and what Wait asks for.
KEEP_ALIVE_S, WAIT_S = 4.0, 10
HISTORY_LINES = 1000


@click.command()
@click.argument("port")
@click.option("--yes", is_flag=True, help="Ask nothing before writes and procedures.")
@remote_options
def command(port: str, yes: bool, **line: Any) -> int:
    """Talk with the meter at PORT in one session; ``help`` lists what can be said.

    PORT is what ``smartmeter read`` takes, c1222://HOST[:PORT]/APTITLE too.
    """
    with MeterLine(port, **line).meter() as meter:
        warn_of_password(meter)
        shell = Shell(meter, yes)
        with History(), KeptAlive(meter, shell.lock):
            shell.cmdloop()
        return 1 if shell.failed and not sys.stdin.isatty() else 0


class KeptAlive:
    """Keeps the session while the prompt waits, in a thread of its own."""

    def __init__(self, meter: RemoteMeter, lock: threading.Lock) -> None:
        self._meter, self._lock = meter, lock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keep alive", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(KEEP_ALIVE_S):
            with self._lock, contextlib.suppress(ProtocolError):
                self._meter.keep_alive(WAIT_S)  # if it is lost, the next line begins a new one


class Shell(cmd.Cmd):
    """The lines that can be said."""

    def __init__(self, meter: RemoteMeter, yes: bool) -> None:
        super().__init__()
        self._meter, self._yes = meter, yes
        self.lock = threading.Lock()
        self.failed = False
        self._tables: list[str] = []
        self.prompt = "meter> " if sys.stdin.isatty() else ""
        self.use_rawinput = sys.stdin.isatty()

    def onecmd(self, line: str) -> bool:
        """Run a line; what goes wrong is told in one line and ends nothing."""
        try:
            with self.lock:
                return bool(super().onecmd(line))
        except (LinkError, PortError) as error:
            self._say_wrong(f"{error}; the next line begins a new session")
        except click.ClickException as error:
            self._say_wrong(error.format_message())
        except (ProtocolError, TableError, ValueError) as error:
            self._say_wrong(str(error))
        return False

    def _say_wrong(self, text: str) -> None:
        self.failed = True
        click.echo(text, err=True)

    def get_names(self) -> list[str]:
        """Leave out of ``help`` what nobody types."""
        return [name for name in super().get_names() if name != "do_EOF"]

    def emptyline(self) -> bool:
        """Do nothing, rather than the last line again: it may have been a write."""
        return False

    def default(self, line: str) -> None:
        """Name what is not known."""
        self._say_wrong(f"{line.split()[0]!r} is not known; say help")

    def do_read(self, line: str) -> None:
        """read TABLE...: print tables, decoded"""
        numbers = [table_number(text) for text in shlex.split(line)]
        if not numbers:
            raise click.UsageError("read which table?")
        found = read_tables(self._meter, numbers, faults_end_it=False)
        add_meaning(self._meter, found)
        for number in found.wanted:
            print_table(found, number)
            self.failed |= number in found.refused or number in found.faulty

    def do_hex(self, line: str) -> None:
        """hex TABLE [OFFSET COUNT]: print octets of a table"""
        words = shlex.split(line)
        if len(words) == 1:
            data = self._meter.read(table_number(words[0]))
        elif len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
            data = self._meter.read_part(table_number(words[0]), int(words[1]), int(words[2]))
        else:
            raise click.UsageError("hex TABLE, or hex TABLE OFFSET COUNT with two numbers")
        click.echo(data.hex(" "))

    def do_tables(self, line: str) -> None:
        """tables: list the tables that ST-00 names"""
        found = read_tables(self._meter, [0])
        if 0 in found.refused:
            raise found.refused[0]
        listed = found.snapshot.context.fmt.listed_tables
        self._tables = [name_of(number) for number in sorted(listed)]
        click.echo(" ".join(self._tables))

    def do_write(self, line: str) -> None:
        """write TABLE HEX | write TABLE PATH=VALUE...: write a table, and read it back"""
        words = shlex.split(line)
        if len(words) < 2:
            raise click.UsageError("write TABLE HEX, or write TABLE PATH=VALUE")
        members = tuple(words[1:]) if "=" in words[1] else ()
        octets = None if members else given_octets("".join(words[1:]))
        change = Change(table_number(words[0]), octets, members)
        self.failed |= bool(write_agreed(self._meter, change, yes=self._consent()))

    def do_procedure(self, line: str) -> None:
        """procedure WHICH [NAME=VALUE... | HEX]: run a procedure"""
        words = shlex.split(line)
        if not words:
            raise click.UsageError("which procedure?")
        context = context_of(self._meter)
        call = make_call(*procedure_number(words[0]), tuple(words[1:]), context)
        self.failed |= bool(run_agreed(self._meter, call, context, yes=self._consent()))

    def _consent(self) -> bool:
        """Tell whether nothing is to be asked; a pipe cannot be asked."""
        if not self._yes and not sys.stdin.isatty():
            raise click.ClickException("nobody is there to agree; a script says --yes")
        return self._yes

    def do_line(self, line: str) -> None:
        """line: what was granted, and what this meter does differently"""
        if not isinstance(self._meter, MeterPort):
            raise click.ClickException(
                "over the network there is no line: each message stands alone"
            )
        limits, client = self._meter.client.limits, self._meter.client
        click.echo(f"{limits.packet_octets} octets x {limits.packets} packets, {client.baud} baud")
        for quirk, times in client.quirks.met.items():
            click.echo(f"{quirk.number} {quirk.label}, {times} times: {quirk.value.seen}")

    def do_quit(self, line: str) -> bool:
        """quit: end the session"""
        return True

    do_exit = do_quit

    def do_EOF(self, line: str) -> bool:
        """End the session at the end of the input."""
        return True

    def _beginning(self, words: list[str], text: str) -> list[str]:
        return [word for word in words if word.startswith(text.upper())]

    def complete_read(self, text: str, line: str, begin: int, end: int) -> list[str]:
        """Complete the name of a table."""
        return self._beginning(self._tables or [name_of(number) for number in range(90)], text)

    complete_hex = complete_write = complete_read

    def complete_procedure(self, text: str, line: str, begin: int, end: int) -> list[str]:
        """Complete the name of a procedure."""
        return self._beginning([known.name for known in all_procedures()], text)


class History:
    """Lines typed before, kept in the user's folder; none where there is no readline."""

    def __init__(self) -> None:
        self._save: Callable[[], None] | None = None

    def __enter__(self) -> None:
        try:
            import readline
        except ImportError:
            return
        if not sys.stdin.isatty():
            return
        path = Path(click.get_app_dir("smartmeter")) / "history"
        readline.set_completer_delims(" \t")
        with contextlib.suppress(OSError):
            readline.read_history_file(path)
        readline.set_history_length(HISTORY_LINES)
        self._save = lambda: _write_history(readline, path)

    def __exit__(self, *error: object) -> None:
        if self._save is not None:
            with contextlib.suppress(OSError):
                self._save()


def _write_history(readline: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    readline.write_history_file(path)
