"""The control interface over HTTP: what programs in any language can do to served meters."""

import json
import signal
import socket
import struct
from typing import Any

import httpx

from protocols.transports.pump import open_meter
from tests.smartmeter.cli.served import meter_process, smartmeter

SERVE = ("--tcp", "127.0.0.1:0", "--control", "127.0.0.1:0")


def test_a_served_meter_is_broken_and_mended_over_http() -> None:
    with meter_process(*SERVE, "--count", "2") as (port, process):
        assert process.stdout is not None
        second = process.stdout.readline()
        base = second.split("control ")[1].strip().removesuffix("/meters/1")
        with httpx.Client(base_url=base) as http:
            assert http.get("/meters").json()[0]["port"] == port
            assert "/meters/{meter}/faults" in http.get("/openapi.json").json()["paths"]
            edited = http.put("/meters/0/tables/5", json={"hex": b"EDITED LIVE".hex()})
            assert edited.status_code == 200
            with open_meter(port) as meter:
                assert meter.read(5) == b"EDITED LIVE"
            assert any("0005H" in call["request"] for call in http.get("/meters/0/calls").json())
            assert http.post("/meters/0/faults", json={"kind": "melt"}).status_code == 422
            plain = http.post("/meters/0/faults", content="kind=drop")
            assert plain.status_code == 415 and "application/json" in plain.json()["error"]
            broken = http.post(
                "/meters/0/faults", content="{", headers={"Content-Type": "application/json"}
            )
            assert broken.status_code == 400
        assert_survives(base)
        assert_forgets_who_hangs_up(base)
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.communicate(timeout=60)[1]


def assert_survives(base: str) -> None:
    """Garbage, a body that is too long, and a client that says nothing disturb nobody."""
    host, port = base.removeprefix("http://").rsplit(":", 1)
    lines = [b"\x00\xff" * 500 + b"\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"]
    for length in ("9" * 11, "9" * 5_000):
        lines += [f"POST /meters/0/faults HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()]
    silent = socket.create_connection((host, int(port)))
    for line in lines:
        with socket.create_connection((host, int(port))) as connection:
            connection.settimeout(60)
            connection.sendall(line)
            shown: Any = connection.recv(300)
            assert shown[:9] in (b"HTTP/1.1 ", b"HTTP/1.0 ") or b"Error" in shown, shown
    assert json.loads(httpx.get(f"{base}/meters").text)
    silent.close()


def assert_forgets_who_hangs_up(base: str) -> None:
    """Clients that reset their connections in the midst of a request leave no trace."""
    host, port = base.removeprefix("http://").rsplit(":", 1)
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /meters/0/faults HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert json.loads(httpx.get(f"{base}/meters").text)


def test_a_wrong_address_is_one_clear_error() -> None:
    for address, words in (("nowhere", "127.0.0.1:8090"), ("127.0.0.1:99999", "HOST:PORT")):
        done = smartmeter("meter", "serve", "--tcp", "127.0.0.1:0", "--control", address)
        assert done.returncode == 2 and words in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
