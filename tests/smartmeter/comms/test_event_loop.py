"""The loop of a server is uvloop where it is installed, else asyncio's own."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from smartmeter.comms.event_loop import run_server


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


async def _module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_a_server_runs_on_uvloop() -> None:
    assert run_server(_module_of_the_loop()).startswith("uvloop")


def test_without_uvloop_a_server_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_server(_module_of_the_loop()).startswith("asyncio")


def test_an_exception_comes_through() -> None:
    async def fails() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run_server(fails())
