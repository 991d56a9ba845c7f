"""``smartmeter tms user``: who may log in at a TMS, which may run meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmeter.base.errors import SettingsError
from smartmeter.base.file import read_password
from smartmeter.cli.ask_password import ask_password
from smartmeter.cli.file_name import FILE_THERE, folder_option
from smartmeter.cli.tms_client import PASSWORD_VARIABLE

if TYPE_CHECKING:
    from smartmeter.tms.users import Users


@click.group()
def command() -> None:
    """Who may log in at page and REST API.

    The TMS may run meanwhile.
    """


def _data_option(verb: Callable[..., None]) -> Callable[..., None]:
    return folder_option("--data", required=True, help="Its folder.")(verb)


@command.command(name="list")
@_data_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_users(data: str, as_json: bool) -> None:
    """Name all users."""
    with _users(data) as users:
        names = users.names()
    click.echo(json.dumps(names) if as_json else "\n".join(names) or "nobody")


@command.command(name="set")
@click.argument("name")
@_data_option
@click.option("--password-file", type=FILE_THERE, help="A file with the password.")
def set_user(name: str, data: str, password_file: str | None) -> None:
    """Enter a user, or give one another password.

    That ends all sessions under the old one.

    Without a file the password comes from SMARTMETER_TMS_PASSWORD or a prompt.
    """
    with _users(data) as users:
        is_new = name not in users.names()
        users.set(name, _password(name, password_file))
    click.echo(f"{name} may log in" if is_new else f"{name} has another password")


@command.command(name="remove")
@click.argument("name")
@_data_option
def remove_user(name: str, data: str) -> None:
    """Let a user log in no more.

    What this person did stays under the name.
    """
    with _users(data) as users:
        if not users.remove(name):
            known = ", ".join(users.names()) or "nobody"
            raise SettingsError("user", f"{name!r:.80} is not there", f"choose of: {known}")
        is_last = not users.any()
    click.echo(f"{name} may log in no more")
    if is_last:
        click.echo("nobody may: the next start of tms run makes an operator anew", err=True)


def _password(name: str, password_file: str | None) -> str:
    if password_file is not None:
        return read_password(Path(password_file))
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        return given
    return ask_password(f"New password of {name}", twice=True)


@contextmanager
def _users(data: str) -> Iterator[Users]:
    """Open the users of a TMS's folder; SettingsError if it is no such folder."""
    from smartmeter.tms.exports.archive import Archive
    from smartmeter.tms.store.sqlite import FILE_NAME, Store
    from smartmeter.tms.users import Users

    path = Path(data) / FILE_NAME
    with closing(Archive(path)):
        pass  # it is there, and has this program's schema: opening the store changes nothing
    with closing(Store(path)) as store:
        yield Users(store)
