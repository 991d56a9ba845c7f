"""The name of a served pty: a link that is made, and taken away, without harm to anybody's."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.errors import PortError
from protocols.transports.serving import serve_pty
from smartmeter.meter.sample import meter_named

EPOCH_US = 1_767_225_600_000_000
LOCK_IT = """
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY), fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


async def served(link: Path) -> "asyncio.Task[None]":
    """Serve a meter at a link, which is there when this returns."""
    ready = asyncio.Event()
    meter = meter_named("sim:", EPOCH_US, 0)
    task = asyncio.create_task(serve_pty(meter, link, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    return task


async def end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait((task,))


async def test_a_link_to_a_file_or_to_a_port_is_nobodys_to_replace(tmp_path: Path) -> None:
    link = tmp_path / "meter"
    for target in (tmp_path, Path("/dev/null")):
        link.symlink_to(target)
        with pytest.raises(PortError, match="File exists; choose a name that is free"):
            await served(link)
        assert link.readlink() == target
        link.unlink()


async def test_a_link_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "meter"
    link.symlink_to("/dev/pts/no-more")
    task = await served(link)
    assert link.readlink() != Path("/dev/pts/no-more")
    await end(task)
    assert not os.path.lexists(link)


async def test_who_ends_takes_away_the_own_link_only(tmp_path: Path) -> None:
    link = tmp_path / "meter"
    first = await served(link)
    second = await served(link)
    own = link.readlink()
    await end(first)
    assert link.readlink() == own
    await end(second)
    assert not os.path.lexists(link)


async def test_no_lock_keeps_clients_out_where_theirs_is_of_the_same_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There flock, which a client asks for, meets a lock by lockf.
    link = tmp_path / "meter"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")
        task = await served(link)
    program = [sys.executable, "-c", LOCK_IT, str(link)]
    done = await asyncio.to_thread(subprocess.run, program, timeout=180, check=False)
    await end(task)
    assert done.returncode == 0
