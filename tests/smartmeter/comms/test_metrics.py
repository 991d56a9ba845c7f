"""What a TMS tells Prometheus, read by Prometheus's own parser."""

import asyncio
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.cli.metrics import serving_metrics
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.tms.metrics import tms_families
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from tests.ports import free_port
from tests.waiting import until

NO_APDU = bytes.fromhex("60 01 00 61")


async def scraped(port: int) -> dict[tuple[str, ...], float]:
    """Ask as Prometheus does; gives values by name and labels."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"200 OK" in head
    families = text_string_to_metric_families(body.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


async def send(address: tuple[str, int], octets: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(*address)
    writer.write(octets)
    return writer


async def test_a_tms_tells_what_it_refused_and_how_its_smartmeters_do(tmp_path: Path) -> None:
    tms = TmsServer(tmp_path, Calendar(wall_utc_us(), 1, monotonic_us()))
    await tms.start("127.0.0.1", 0)
    factory = factory_of(1, 5, "tcp:127.0.0.1:1")
    tms.import_shipment([Shipped(factory.esn, str(factory.title), factory.key, MODEL)])
    writer = await send(tms.address, NO_APDU)
    await until(lambda: tms.counts.get("received", 0) > 0, "taken")
    port, service = free_port(), Service(tms)
    async with serving_metrics(("127.0.0.1", port), lambda: tms_families(service)):
        told = await scraped(port)
        tms.store.write_now(lambda c: c.execute("ALTER TABLE meters RENAME TO gone").fetchall())
        service = Service(tms)
        assert await scraped(port) == {("smartmeter_database_works",): 0}, "it cannot be read"
    refused = {
        event[0]: value
        for (name, *event), value in told.items()
        if name == "smartmeter_network_events_total"
    }
    assert refused["connections"] == 1
    assert any(one.startswith(("rejected", "closed")) for one in refused), refused
    assert told["smartmeter_meters", "shipped"] == 1
    assert told["smartmeter_polls_total",] == 0
    writer.close()
    await tms.stop()
