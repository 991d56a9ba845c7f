"""The page's server inside the program: a taken port is one error, and nothing else is printed."""

import socket

import pytest
from fastapi import FastAPI

from smartmeter.base.errors import SettingsError
from smartmeter.tms.web.embedded import WebServer


async def test_a_port_that_is_taken_is_one_clear_error(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = WebServer(FastAPI(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(SettingsError, match="in use; choose another port"):
            await server.start()
        await server.stop()
    assert capfd.readouterr() == ("", "")


async def test_a_page_listens_for_both_families() -> None:
    server = WebServer(FastAPI(), "::", 0)
    await server.start()
    try:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, server.port), timeout=10):
                pass
    finally:
        await server.stop()
