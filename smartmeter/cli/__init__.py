"""The command line: one file a verb, loaded only when the verb is used.

What several verbs share: ``meter_line`` and ``logon`` reach a meter, with ``known_keys`` and
``tls`` on the network, ``tms_client`` a TMS that runs.  ``carriers``, ``segments``, ``metrics``
and ``fast_calendar`` are options of servers, ``state_folder``, ``stopping`` and ``log_line`` what
all that go on want.
``given`` refuses options that others leave without effect, ``packages`` looks for what is wanted.
``tables``, ``members``, ``overview`` and ``meter_report`` show tables, ``consent`` asks before a
change.  Files are named by ``file_name``, read by ``text_file`` and ``image_file``, written by
``whole_file``; ``terminal`` draws progress and tables.

Exit status 0 done, 1 the work failed, 2 wrong use: an argument, a setting or a
file that a person gave is wrong.  A file that cannot be read or made is wrong use, one that
takes no more, as on a full disk, is work that failed.  An error is one line with its remedy; a
traceback comes only with ``--debug``.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from protocols.errors import PortNameError
from smartmeter.base.errors import SettingsError
from smartmeter.cli.pcap import add_pcap_option
from smartmeter.version import VERSION

#: verb -> (module in this package, one line for ``--help``).
VERBS = {
    "demo": ("demo", "TMS, page and a street of SmartMeters, from factory state on."),
    "meter": ("meter", "Simulated meters on a pty, a serial line or TCP."),
    "read": ("read", "Read a meter's tables, for a person or as JSON."),
    "write": ("write", "Write a table, shown before and read back after."),
    "procedure": ("procedure", "Run a procedure in a meter, and tell its answer."),
    "shell": ("shell", "One kept session with a meter: read, write, procedures."),
    "clone": ("clone", "A whole meter to one image, by reading only."),
    "decode": ("decode", "Bytes to text, without a meter."),
    "conformance": ("conformance", "The bench: what is wrong with a C12.18 device."),
    "gateway": ("gateway", "The SSI module on this board, beside a real meter."),
    "relay": ("relay", "A C12.22 relay or master relay."),
    "tms": ("tms", "The head-end: collects, provisions, watches."),
    "fleet": ("fleet", "A simulated fleet in virtual time, deterministic by seed."),
    "compare-polling": ("compare_polling", "Poll by exception against polling, in figures."),
    "doctor": ("doctor", "What is wrong on this computer, and how to mend it."),
}

#: Top-level module of an optional package -> the extra that brings it.
EXTRAS = {
    "cryptography": "network",
    "aiomqtt": "network",
    "prometheus_client": "network",
    "nicegui": "tms",
    "argon2": "tms",
    "websockets": "gateway",
    "gpiod": "gpio",
    "matplotlib": "plot",
    "hypothesis": "conformance",
    "numpy": "numpy",
}
#: Verbs that soon want more than the network's packages -> the extra that brings those, too.
WHOLE_EXTRAS = {"tms": "tms", "demo": "tms", "gateway": "gateway"}
SOON_S = 0.05

#: What a shell gives for a program that Ctrl-C ended.
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Load one verb."""
        if name not in VERBS:
            return None
        command = import_module(f"smartmeter.cli.{VERBS[name][0]}").command
        assert isinstance(command, click.Command)
        add_pcap_option(name, command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; a reader of its output that has gone, as ``| head`` does, is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _give_up_output()
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="smartmeter")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def group(debug: bool) -> None:
    """Read, simulate, provision and watch ANSI C12 meters.

    Only meters that you own or may touch; never break a seal.
    """


def _missing(module: str, arguments: Sequence[str]) -> str:
    """Tell of a module that is not there, and what brings it and all that the verb wants."""
    package = module.partition(".")[0]
    extra = EXTRAS.get(package, "")
    if extra == "network":
        verb = next((one for one in arguments if one in VERBS), "")
        extra = WHOLE_EXTRAS.get(verb, extra)
        if verb == "compare-polling" and any(one.startswith("--plot") for one in arguments):
            extra += ",plot"
    remedy = f'pip install "smartmeter[{extra}]"' if extra else "install it"
    return f"{package} is not installed; {remedy}"


def _system_fault(error: OSError) -> str:
    """Tell what the system refused, where no verb has met it: the name, its words, the remedy."""
    if error.errno == errno.ENOSPC:
        return f"{error.filename or 'output'}: {error.strerror}; free some space"
    if error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}; check the name and its rights"
    return str(error)


def _fill_closed_streams() -> None:
    """Put the null device where a standard stream is closed, as ``>&-`` does.

    Libraries fail where there is none, and on a socket or a file of ours that has its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _escape_what_cannot_be_printed() -> None:
    """Let a letter that the output's encoding lacks end nothing, as it ends no error message."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """Let what cannot be printed go: Python would fail on it once more at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(text: str) -> None:
    """Tell a person; where nothing can be told, as on a full disk, the exit status stays right."""
    try:
        click.echo(text, err=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _once_more(lost: sys.UnraisableHookArgs) -> None:
    """Bring a Ctrl-C again that fell where nothing can be raised, as in the collector's calls."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    from _thread import interrupt_main
    from threading import Timer

    Timer(SOON_S, interrupt_main).start()


def _show(error: click.ClickException) -> None:
    """Tell of an error as of all others; of wrong use, below what Click says of the right one."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        _tell(error.format_message())  # the whole help is all that there is to say
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"Try '{error.ctx.command_path} --help' for help."
        _tell(f"{error.ctx.get_usage()}\n{hint}\n")
    _tell(f"smartmeter: {error.format_message()}")


def main() -> None:
    """Run the command line; the console script's entry point."""
    sys.unraisablehook = _once_more
    _fill_closed_streams()
    _escape_what_cannot_be_printed()
    try:
        status = group.main(standalone_mode=False)
    except click.exceptions.Abort as error:
        _give_up_output()  # the question, where it could not be printed
        # Click makes one of Ctrl-C, and of a question whose answer never came; 8.1 hides the cause.
        if isinstance(error.__context__, KeyboardInterrupt):
            _tell("smartmeter: stopped")
            sys.exit(INTERRUPTED)
        remedy = "--help tells what answers it in a script"
        told = f"a question was not answered, and nothing more was done; {remedy}"
        _tell(f"smartmeter: {told}")
        sys.exit(1)
    except click.ClickException as error:
        _show(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        text = str(error) or type(error).__name__
        if isinstance(error, ModuleNotFoundError):
            text = _missing(error.name or "a module", sys.argv[1:])
        elif isinstance(error, OSError):
            text = _system_fault(error) or text
        _give_up_output()
        _tell(f"smartmeter: {' '.join(text.split())}")
        sys.exit(2 if isinstance(error, SettingsError | PortNameError) else 1)
    sys.exit(status if isinstance(status, int) else 0)
