"""``smartmeter tms user``: entered, changed and removed beside a TMS that runs."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from smartmeter.base.clock import Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.cli.tms import command
from smartmeter.cli.tms_client import PASSWORD_VARIABLE
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.store.sqlite import FILE_NAME, Store
from smartmeter.tms.web.site import Site
from tests.smartmeter.tms.stored import EPOCH_S
from tests.waiting import PATIENCE_S


def test_a_password_that_comes_by_standard_input_is_taken_without_a_warning(
    tmp_path: Path,
) -> None:
    Store(tmp_path / FILE_NAME).close()
    words = [sys.executable, "-m", "smartmeter", "tms", "user", "set", "ann"]
    done = subprocess.run(
        [*words, "--data", str(tmp_path)],
        input="good enough\ngood enough\n",
        env={name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE},
        capture_output=True,
        text=True,
        start_new_session=True,  # so that no terminal is there to ask at
    )
    assert (done.returncode, done.stdout) == (0, "ann may log in\n")
    assert "arning" not in done.stderr


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    tms = TmsServer(tmp_path, Calendar(EPOCH_S * 1_000_000))
    await tms.start("127.0.0.1", 0)
    site = Site(tms, Service(tms))
    await site.start("127.0.0.1", 0)
    try:
        address = f"http://127.0.0.1:{site.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S) as browser:
            yield browser
    finally:
        await site.stop()
        await tms.stop()


def user(folder: Path, *words: str, password: str | None = None) -> Result:
    done = CliRunner().invoke(
        command, ["user", *words, "--data", str(folder)], env={PASSWORD_VARIABLE: password}
    )
    if isinstance(done.exception, SettingsError):
        raise done.exception
    return done


async def test_a_user_is_entered_changed_and_removed_while_the_tms_runs(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    async def log_in(password: str) -> int:
        form = {"user": "ann", "password": password}
        return (await client.post("/login", data=form)).status_code

    async def is_in() -> bool:
        return (await client.get("/api/overview")).status_code == 200

    assert await log_in("good enough") == 401
    assert user(tmp_path, "set", "ann", password="good enough").stdout == "ann may log in\n"
    assert await log_in("good enough") == 303 and await is_in()
    (tmp_path / "word").write_text("another one\n")
    changed = user(tmp_path, "set", "ann", "--password-file", str(tmp_path / "word"))
    assert changed.stdout == "ann has another password\n"
    assert not await is_in(), "a session under the old one has ended"
    assert await log_in("good enough") == 401 and await log_in("another one") == 303
    user(tmp_path, "set", "bob", password="good enough")
    assert json.loads(user(tmp_path, "list", "--json").stdout) == ["ann", "bob"]
    user(tmp_path, "remove", "ann")
    assert not await is_in() and await log_in("another one") == 401
    assert "makes an operator anew" in user(tmp_path, "remove", "bob").stderr


def test_what_is_no_user_or_no_password_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name a TMS's folder"):
        user(tmp_path, "list")
    TmsServer(tmp_path, Calendar(EPOCH_S * 1_000_000)).store.close()
    assert user(tmp_path, "list").stdout == "nobody\n"
    for name, password, told in (
        ("ann", "short", "at least 8"),
        ("ann", "x" * 257, "at most 256"),
        ("", "good enough", "1 to 64 printable"),
        ("a\nb", "good enough", "1 to 64 printable"),
        ("system", "good enough", "system is the TMS itself"),
    ):
        with pytest.raises(SettingsError, match=told):
            user(tmp_path, "set", name, password=password)
    with pytest.raises(SettingsError, match="'ann' is not there; choose of: nobody"):
        user(tmp_path, "remove", "ann")
