"""A page starts whatever other page servers the program has made."""

from fastapi import FastAPI

from smartmeter.tms.web.embedded import WebServer


def test_a_page_server_that_never_serves_knows_its_application() -> None:
    # The page framework asks every server of the program for it, when one of them starts.
    server = WebServer(FastAPI(), "127.0.0.1", 0)
    assert server._server.config.loaded_app is not None
