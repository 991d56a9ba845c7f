"""How every verb that talks to a meter opens its port and logs on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from protocols.c1218.scripts import LogonSettings
from protocols.errors import PortNameError
from protocols.psem.codec import PASSWORD_OCTETS
from protocols.transports.modem_port import call_name
from protocols.transports.names import open_port
from protocols.transports.port import MODEM, Port
from protocols.transports.pump import monotonic_us
from smartmeter.base.errors import SettingsError
from smartmeter.base.file import read_password
from smartmeter.cli.ask_password import ask_password
from smartmeter.cli.file_name import FILE_THERE

if TYPE_CHECKING:
    from protocols.c1221.conversation import CallConversation

PASSWORD_VARIABLE = "SMARTMETER_PASSWORD"
#: A key for C12.21's Authenticate, ID=HEX; never from the command line.
CALL_KEY_VARIABLE = "SMARTMETER_CALL_KEY"
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def is_network(port: str) -> bool:
    """Tell whether a port's name is that of a meter on the network."""
    return port[:6].lower() in ("c1222:", "c1222+")


def logon_options(verb: _Verb) -> _Verb:
    """Give a verb the options of a logon; :func:`logon_settings` takes them."""
    for option in (
        click.option("--ask-password", is_flag=True, help="Ask for the password."),
        click.option("--password-file", type=FILE_THERE, help="A file."),
        click.option("--user", default="", help="User name of the logon, up to 10 characters."),
        click.option("--user-id", default=0, show_default=True, help="User id of the logon."),
    ):
        verb = option(verb)
    return verb


def logon_settings(
    user_id: int, user: str, password_file: str | None, ask_password: bool
) -> LogonSettings:
    """Give the logon that the options ask for."""
    if not 0 <= user_id <= 0xFFFF or len(user.encode()) > 10:
        raise click.UsageError("--user-id is 0 to 65535, --user up to 10 characters")
    if ask_password and password_file is not None:
        raise click.UsageError("give one of --ask-password and --password-file")
    password = _password(password_file, ask_password)
    if password is not None and len(password) > PASSWORD_OCTETS:
        fault = f"has {len(password)} octets, and a meter takes {PASSWORD_OCTETS}"
        raise SettingsError("the password", fault, "look at its file or variable")
    return LogonSettings(user_id, user.encode(), password)


def _password(password_file: str | None, ask: bool) -> bytes | None:
    if ask:
        text = ask_password("Password")
    elif password_file is not None:
        text = read_password(Path(password_file))
    else:
        return environment_password(PASSWORD_VARIABLE)
    return text.encode()


def environment_password(variable: str) -> bytes | None:
    """Give the password of an environment variable; an empty one counts as not set.

    So do a service's files of settings say that there is none.  A password of blanks is an
    empty file, or a variable of one blank: sent by mistake it is a failed try at the meter.
    """
    return os.environ.get(variable, "").encode() or None


def call_conversation(port: str, logon: LogonSettings) -> CallConversation | None:
    """Give what is said in a call (C12.21), or None for a port that is not dialled."""
    if not is_call(port):
        return None
    from protocols.c1221.conversation import CallConversation

    return CallConversation(logon, call_name(port).identity, call_key())


def is_call(port: str) -> bool:
    """Tell whether a port is a telephone call, in which C12.21 is spoken."""
    return port.startswith(MODEM)


def call_key() -> tuple[int, bytes] | None:
    """Give id and key of single DES from the environment: ``SMARTMETER_CALL_KEY=ID=HEX``."""
    text = os.environ.get(CALL_KEY_VARIABLE)
    if not text:
        return None
    number, _, octets = text.partition("=")
    try:
        key = int(number), bytes.fromhex(octets)
    except ValueError:
        key = 0, b""
    if not 0 <= key[0] <= 255 or len(key[1]) != 8:
        raise click.UsageError(f"{CALL_KEY_VARIABLE} is ID=HEX with 16 hex digits")
    return key


def open_any_port(port: str, rts: bool = True, dtr: bool = False) -> Port:
    """Open a port by its name; ``sim:`` is a simulated meter in this process."""
    if is_network(port):
        raise PortNameError(f"{port} is on the network: this verb needs a port with a meter on it")
    if not port.startswith("sim:"):
        return open_port(port, rts, dtr)
    from protocols.transports.capture import captured
    from protocols.transports.memory import MachinePort
    from smartmeter.base.clock import wall_utc_us
    from smartmeter.meter.sample import meter_named

    meter = meter_named(port, wall_utc_us(), monotonic_us())
    return captured(MachinePort(meter, monotonic_us))
