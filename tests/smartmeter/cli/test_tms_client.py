"""What a verb says of a TMS whose answers are none."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import click
import pytest

from smartmeter.base.errors import SmartMeterError
from smartmeter.cli.tms_client import PASSWORD_VARIABLE, Refused, TmsClient, first_of, for_each
from tests.ports import free_port

LOGGED_IN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that lets anybody log in, and then says the same whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for octets in (LOGGED_IN, answer):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(octets)

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"cut": ',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html",
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_is_none_is_one_error_with_its_remedy(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    with answering(answer) as url:
        client = TmsClient(url, "operator")
        with pytest.raises(SmartMeterError, match="is the TMS running there"):
            client.get("/api/meters")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_tms_on_this_machine_is_asked_without_the_proxy_of_others(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        client = TmsClient(url.replace("127.0.0.1", host), "operator")
        assert client.get("/api/meters") == {}


def test_a_tms_elsewhere_is_asked_by_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        assert TmsClient("http://tms.example:8080", "operator").get("/api/meters") == {}


def test_a_page_that_is_not_there_is_told_in_words_with_the_option_that_names_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    with pytest.raises(SmartMeterError, match=r"^http://127\.0\.0\.1:\d+: Connection ref.*--url"):
        TmsClient(f"http://127.0.0.1:{free_port()}", "operator")


def test_a_proxy_whose_tms_does_not_run_is_not_taken_for_a_tms_with_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    with answering(b"HTTP/1.0 503 Service Unavailable\r\n\r\n<html>No server") as url:
        client = TmsClient(url, "operator")
        with pytest.raises(SmartMeterError, match="or behind a proxy whether it runs"):
            client.get("/api/meters")


def test_a_line_that_names_some_of_many_meters_tells_how_many_more_there_are() -> None:
    assert first_of(["SM1", "SM2"]) == "SM1, SM2"
    assert first_of([f"SM{number}" for number in range(25)]).endswith("SM19 and 5 more")


def test_what_is_refused_of_one_meter_keeps_nothing_from_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def act(esn: str) -> str:
        if esn == "SM2":
            raise Refused("http://tms", "SM2: is retired already")
        if esn == "SM9":
            raise SmartMeterError("http://tms", "Connection refused")
        return f"{esn} is retired"

    with pytest.raises(click.ClickException, match=r"not done with SM2$"):
        for_each(["SM1", "SM2", "SM3"], act)
    printed = capsys.readouterr()
    assert printed.out == "SM1 is retired\nSM3 is retired\n"
    assert printed.err == "SM2: not done: SM2: is retired already\n"
    with pytest.raises(Refused, match="retired already"):
        for_each(["SM2"], act)
    with pytest.raises(SmartMeterError, match="Connection refused"):
        for_each(["SM9", "SM1"], act)
    assert not capsys.readouterr().out, "a TMS that has gone is not asked for each of a thousand"
