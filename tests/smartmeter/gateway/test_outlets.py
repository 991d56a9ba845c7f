"""What is said of sinks: what they did, and nothing before they did it."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from smartmeter.gateway.journal import Journal
from smartmeter.gateway.outlets import Outlets
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.settings import HomeAssistantSettings, InfluxSettings, Sinks
from tests.ports import free_port
from tests.smartmeter.gateway.reports import EPOCH_S, hello, meter_images, profile
from tests.smartmeter.gateway.sinks.home import Home, settings
from tests.smartmeter.ssi.host import FACTORY
from tests.waiting import until


async def test_a_sink_that_was_sent_nothing_is_not_said_to_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.outlets.POLL_S", 0.01)
    place = f"127.0.0.1:{free_port()}"  # nobody listens there
    sinks = Sinks(
        csv=tmp_path / "out.csv",
        influx=InfluxSettings(f"http://{place}/write?precision=s"),
        home_assistant=HomeAssistantSettings(f"ws://{place}/api/websocket", "token"),
    )
    readings = Readings(tmp_path / "r")
    said: list[str] = []
    outlets = Outlets(sinks, readings, Journal(said.append, lambda: 0), list, lambda: None)
    running = asyncio.gather(*outlets.runners())
    await until(lambda: readings.position("csv"))
    assert said == []
    images = meter_images()
    readings.keep(FACTORY.esn, 1, [(1, hello(1, images)), (2, profile(2, 0, [[51, 0]]))])
    await until(lambda: len(said) >= 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    told = {line.partition(": ")[0]: line.partition(": takes ")[2][:7] for line in said}
    assert told == {"CSV file": "what co", "InfluxDB": "nothing", "Home Assistant": "nothing"}
    readings.close()


async def test_a_token_that_was_refused_is_not_offered_again_while_others_are_tried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home Assistant may ban an address after a few."""
    for name, seconds in (("POLL_S", 0.01), ("FIRST_REST_S", 0.01), ("MAX_REST_S", 0.01)):
        monkeypatch.setattr(f"smartmeter.gateway.outlets.{name}", seconds)
    home = Home()
    offered, others = 0, 0

    async def count(socket: ServerConnection) -> None:
        nonlocal offered
        offered += 1
        await home.serve(socket)

    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal others
        others += 1
        writer.close()

    server = await serve(count, "127.0.0.1", 0)
    influx = await asyncio.start_server(close, "127.0.0.1", 0)
    place = "{}:{}".format(*influx.sockets[0].getsockname())
    sinks = Sinks(
        influx=InfluxSettings(f"http://{place}/write?precision=s"),
        home_assistant=settings(server, "revoked"),
    )
    readings = Readings(tmp_path / "r")
    images = meter_images()
    readings.keep(FACTORY.esn, 1, [(1, hello(1, images)), (2, profile(2, 0, [[51, 0]]))])
    said: list[str] = []
    outlets = Outlets(sinks, readings, Journal(said.append, lambda: 0), list, lambda: None)
    running = asyncio.gather(*outlets.runners())
    await until(lambda: any("refuses the token" in line for line in said))
    tried = others
    await until(lambda: others >= tried + 5)
    assert offered == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    readings.close()
    server.close()
    influx.close()


async def test_a_board_that_is_on_for_less_than_an_hour_forgets_what_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.gateway.outlets.FIRST_PRUNE_S", 0.01)
    readings = Readings(tmp_path / "r", keep_days=7)
    images = meter_images()
    readings.keep(FACTORY.esn, 1, [(1, hello(1, images)), (2, profile(2, 0, [[51, 0]]))])
    assert readings.meters()
    journal = Journal(print, lambda: 0)
    outlets = Outlets(Sinks(), readings, journal, list, lambda: EPOCH_S + 9 * 86_400)
    running = asyncio.gather(*outlets.runners())
    await until(lambda: not readings.meters())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    readings.close()
