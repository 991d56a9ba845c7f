"""Line protocol to an HTTP server: what was taken moves the cursor, what was refused does not."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from smartmeter.gateway.journal import Journal
from smartmeter.gateway.outlets import Outlets
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.influx import TIMEOUT_S, InfluxSink
from smartmeter.gateway.sinks.settings import InfluxSettings, SinkRefused, Sinks
from smartmeter.ssi.profile_reading import Interval
from tests.smartmeter.gateway.reports import EPOCH_S, hello, meter_images, profile, recorded
from tests.smartmeter.ssi.host import FACTORY


class Server(HTTPServer):
    """Keeps bodies; ``status`` is what it answers."""

    status = 204
    fault = b"bucket\nmissing"
    bodies: list[str]
    tokens: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.bodies.append(body)
        self.server.tokens.append(self.headers["Authorization"])
        self.send_response(self.server.status)
        self.end_headers()
        if self.server.status >= 400:
            self.wfile.write(self.server.fault)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    running.bodies, running.tokens = [], []
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def test_points_are_sent_once_they_were_taken_and_again_when_they_were_not(
    server: Server, tmp_path: Path
) -> None:
    readings = Readings(tmp_path / "r")
    readings.keep(FACTORY.esn, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    sink = InfluxSink(
        InfluxSettings(f"http://127.0.0.1:{server.server_port}/api/v2/write?precision=s", "secret"),
        readings,
    )
    lines, position = sink.batch()
    assert lines[0] == (
        "interval,channel=0,direction=delivered,esn=SM000001,quantity=active\\ energy,set=1,unit=Wh"
        f' value=51,raw=51i,length_s=900i,sequence=0i,ring_epoch=1i,status="01" {EPOCH_S + 900}'
    )
    server.status = 404
    with pytest.raises(SinkRefused, match="404 bucket missing"):
        sink.send(lines)
    assert sink.batch()[0] == lines
    server.status = 204
    sink.send(lines)
    sink.sent(position)
    assert sink.batch()[0] == []
    assert server.bodies == ["\n".join(lines)] * 2 and set(server.tokens) == {"Token secret"}


@pytest.mark.parametrize(
    "status, fault",
    [
        (400, b'{"error":"partial write: points beyond retention policy dropped=1"}'),
        (
            422,
            b'{"code":"unprocessable entity","message":"failure writing points to database: '
            b'partial write: points beyond retention policy dropped=7"}',
        ),
    ],
)
def test_points_that_are_older_than_the_server_keeps_hold_nothing_up(
    server: Server, tmp_path: Path, status: int, fault: bytes
) -> None:
    readings = Readings(tmp_path / "r")
    readings.keep(FACTORY.esn, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    server.status, server.fault = status, fault
    url = f"http://127.0.0.1:{server.server_port}/write?db=m&precision=s"
    said: list[str] = []
    told = asyncio.Event()
    journal = Journal(lambda line: (said.append(line), told.set())[0], lambda: 0)
    outlets = Outlets(Sinks(influx=InfluxSettings(url)), readings, journal, list, int)

    async def until_it_is_told() -> None:
        tasks = [asyncio.ensure_future(runner) for runner in outlets.runners()]
        await told.wait()
        for task in tasks:
            task.cancel()

    asyncio.run(asyncio.wait_for(until_it_is_told(), 60))
    assert readings.position("influx")
    assert said[0].startswith("InfluxDB keeps nothing as old as some of what it was sent: {")
    server.status, server.fault = 400, b'{"error":"partial write: field type conflict"}'
    with pytest.raises(SinkRefused, match="field type conflict"):
        InfluxSink(InfluxSettings(url), readings).send(["x value=1 1"])


def test_what_was_not_measured_is_no_point_and_an_end_that_comes_again_hides_no_other(
    tmp_path: Path,
) -> None:
    # As a meter tells: its clock is set back at 03:41; the rest of the block is skipped.
    set_back = [
        (74, 0, "01 82 20"),
        (0, 900, "00 84 40"),
        (126, -2700, "01 82 20"),
        (172, -1800, "01 00 00"),
        (202, 0, "01 00 00"),
        (198, 900, "01 00 00"),
    ]
    intervals = [
        Interval(77 + n, EPOCH_S + 9000 + after_s, bytes.fromhex(status), (value, 0))
        for n, (value, after_s, status) in enumerate(set_back)
    ]
    readings = Readings(tmp_path / "r")
    readings.keep(FACTORY.esn, 1, [(1, hello(1, meter_images())), (2, recorded(2, intervals))])
    sink = InfluxSink(InfluxSettings("http://127.0.0.1:1/write"), readings)
    points = {}
    for line in sink.batch()[0]:
        tags, fields, time = re.split(r"(?<!\\) ", line)
        if "channel=0" in tags:
            points[tags, int(time) - EPOCH_S - 9000] = fields
    assert len(points) == 5, "each has an identity of its own"
    assert [
        ("again=1" in tags, after_s, fields.split(",")[0])
        for (tags, after_s), fields in points.items()
    ] == [
        (False, 0, "value=74"),
        (False, -2700, "value=126"),
        (False, -1800, "value=172"),
        (True, 0, "value=202"),
        (False, 900, "value=198"),
    ]


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    sink = InfluxSink(InfluxSettings("http://127.0.0.1:1/write"), Readings(tmp_path / "r"))
    with pytest.raises(SinkRefused, match="InfluxDB"):
        sink.send(["x value=1 1"])
    with pytest.raises(SinkRefused, match="InfluxDB"):
        InfluxSink(InfluxSettings("no url"), Readings(tmp_path / "r")).send(["x value=1 1"])


@contextmanager
def answering(
    octets: bytes, stays: bool = False, answered: threading.Event | None = None
) -> Iterator[str]:
    """Give the URL of a server that answers every request with these octets, and says when."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection = listening.accept()[0]
                    connection.recv(10_000)
                    connection.sendall(octets)
                    if answered is not None:
                        answered.set()
                    if stays:
                        kept.append(connection)
                    else:
                        connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/write?precision=s"
        listening.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"220 mail server\r\n\r\n", "220 mail server"),
        # Who goes there by GET, as browsers do, has posted nothing.
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://i/write\r\n\r\n",
            "302 it is at https://i/write",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "200 with a web page"),
        (b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "answered 500"),
        (b"HTTP/1.1 500 Oops\r\n" + b"X: y\r\n" * 500 + b"\r\n", "more than 100 headers"),
    ],
)
def test_an_answer_that_takes_nothing_is_a_refusal(
    tmp_path: Path, answer: bytes, told: str
) -> None:
    with answering(answer) as url, pytest.raises(SinkRefused, match=told):
        InfluxSink(InfluxSettings(url), Readings(tmp_path / "r")).send(["x value=1 1"])


def test_the_words_of_a_refusal_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\nabc"
    told = ""
    for patience_s in (0.05, 0.5, 5, 50):  # the head must come within it, whose words do not
        monkeypatch.setattr("smartmeter.gateway.sinks.influx.TIMEOUT_S", patience_s)
        with answering(head, stays=True) as url, pytest.raises(SinkRefused) as refused:
            InfluxSink(InfluxSettings(url), Readings(tmp_path / "r")).send(["x value=1 1"])
        told = str(refused.value)
        if "timed out" not in told:
            break
    assert told == "InfluxDB answered 500"


def test_a_refusal_whose_words_do_not_end_can_be_hung_up(tmp_path: Path) -> None:
    head = b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 1000\r\n\r\nabc"
    answered = threading.Event()
    with answering(head, stays=True, answered=answered) as url:
        sink = InfluxSink(InfluxSettings(url), Readings(tmp_path / "r"))

        def hang_up() -> None:
            answered.wait(60)
            time.sleep(0.3)  # of what has come, the words are read now
            sink.hang_up()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        before = time.monotonic()
        with pytest.raises(SinkRefused, match="answered 500"):
            sink.send(["x value=1 1"])
        assert time.monotonic() - before < TIMEOUT_S
        hanging_up.join()


def test_who_is_hung_up_on_before_the_connection_is_there_waits_for_no_answer(
    tmp_path: Path,
) -> None:
    with answering(b"HTTP/1.1 ", stays=True) as url:
        sink = InfluxSink(InfluxSettings(url), Readings(tmp_path / "r"))
        sink.hang_up()
        with pytest.raises(SinkRefused, match="hung up before"):
            sink.send(["x value=1 1"])


def test_an_ipv6_address_needs_no_port(tmp_path: Path) -> None:
    sink = InfluxSink(InfluxSettings("https://[::1]/write"), Readings(tmp_path / "r"))
    with pytest.raises(SinkRefused) as told:
        sink.send(["x value=1 1"])
    assert "not known" not in str(told.value)  # the host; whether one listens is another thing


def test_a_server_that_hangs_holds_up_no_end(tmp_path: Path) -> None:
    readings = Readings(tmp_path / "r")
    readings.keep(FACTORY.esn, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[51, 0]]))])
    with answering(b"HTTP/1.1 ", stays=True) as url:
        outlets = Outlets(
            Sinks(influx=InfluxSettings(url)), readings, Journal(print, lambda: 0), list, int
        )

        async def for_a_moment() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.gather(*outlets.runners())

        before = time.monotonic()
        asyncio.run(for_a_moment())
        assert time.monotonic() - before < TIMEOUT_S
