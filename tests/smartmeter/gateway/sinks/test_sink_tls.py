"""InfluxDB and Home Assistant behind certificates of the house: trusted by file, else in words."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.server import serve

from smartmeter.base.errors import SettingsError
from smartmeter.comms.tls import TlsFiles, server_tls
from smartmeter.gateway import bearer_checks
from smartmeter.gateway.checks import check_url
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.settings import read_settings
from smartmeter.gateway.sinks.home_assistant import statistic_metadata
from smartmeter.gateway.sinks.influx import InfluxSink
from smartmeter.gateway.sinks.settings import HomeAssistantSettings, InfluxSettings, SinkRefused
from smartmeter.gateway.sinks.statistics_link import StatisticsLink
from tests.smartmeter.comms.authority import make_authority
from tests.smartmeter.gateway.settings_file import WORKS, settings_file
from tests.smartmeter.gateway.sinks.home import TOKEN, Home

Sink = InfluxSettings | HomeAssistantSettings


@asynccontextmanager
async def influx(tls: ssl.SSLContext) -> AsyncIterator[int]:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def home_assistant(tls: ssl.SSLContext) -> AsyncIterator[int]:
    async with serve(Home().serve, "127.0.0.1", 0, ssl=tls) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def use(sink: Sink, folder: Path) -> None:
    if isinstance(sink, HomeAssistantSettings):
        link = StatisticsLink(sink)
        assert await link.sum_before(statistic_metadata("M", "delivered")["statistic_id"], 0) == 0
        return
    readings = Readings(folder / "readings.sqlite3")
    made = InfluxSink(sink, readings)
    await asyncio.to_thread(made.send, ["m v=1 1"], made.tls())
    readings.close()


@pytest.mark.parametrize(
    ("served", "sink"),
    [
        (influx, InfluxSettings("https://HOST/write?precision=s")),
        (home_assistant, HomeAssistantSettings("wss://HOST/api/websocket", TOKEN)),
    ],
)
async def test_a_sink_behind_a_certificate_of_the_house_is_trusted_by_its_file(
    served: object, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bearer_checks, "REFUSAL_S", 0.2)
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    old = make_authority(tmp_path, "old", days=-1)
    for shown, trusted, host, told in (
        (own, own.ca, "127.0.0.1", ""),
        (own, None, "127.0.0.1", "its certificate is not trusted: unable to get local issuer"),
        (own, other.ca, "127.0.0.1", "its certificate is not trusted: "),
        (own, own.ca, "localhost", "its certificate is not trusted: Hostname mismatch"),
        (old, old.ca, "127.0.0.1", "its certificate is not trusted: certificate has expired"),
    ):
        async with served(server_tls(replace(shown, ca=None))) as port:  # type: ignore[operator]
            url = sink.url.replace("HOST", f"{host}:{port}")
            asked = replace(sink, url=url, tls=TlsFiles(trusted))
            finding = await asyncio.to_thread(check_url, "sink", asked)
            assert (finding.wrong, told in finding.text) == (bool(told), True), finding
            if told:
                with pytest.raises(SinkRefused, match=told):
                    await use(asked, tmp_path)
            else:
                await use(asked, tmp_path)


def test_tls_files_of_a_sink_that_speaks_none_or_that_are_not_there_are_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text("t")
    influx_url = "http://h/write?precision=s"
    for name, url, secured in (
        ("influx", influx_url, influx_url.replace("http", "https")),
        ("home_assistant", "ws://h/api/websocket", "wss://h/api/websocket"),
    ):
        section = {"url": f'"{url}"', "token_file": f'"{tmp_path / "token"}"'}
        section["tls_ca"] = f'"{tmp_path / "ca"}"'
        sections = WORKS | {name: section}
        with pytest.raises(SettingsError, match=f"speaks none; write {secured.partition(':')[0]}:"):
            read_settings(settings_file(tmp_path, sections), {})
        section["url"] = f'"{secured}"'
        sinks = read_settings(settings_file(tmp_path, sections), {}).sinks
        found = sinks.influx or sinks.home_assistant
        assert found is not None and found.tls == TlsFiles(tmp_path / "ca")
        finding = check_url(name, found)
        assert finding.wrong and "ca: No such file or directory" in finding.text
