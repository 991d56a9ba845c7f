"""Two simulated meters on TCP, read at once in one asyncio loop."""

import asyncio

from protocols.transports.async_pump import open_meter_async
from protocols.transports.serving import serve_tcp
from smartmeter.base.clock import monotonic_us, wall_utc_us
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.sample import measured_meter


async def serve(serial: str, port: asyncio.Future[str]) -> None:
    """Serve a meter, and tell where."""
    meter = measured_meter(MeterSettings(serial=serial), wall_utc_us(), monotonic_us())
    await serve_tcp(
        meter, "127.0.0.1", 0, lambda number: port.set_result(f"tcp:127.0.0.1:{number}")
    )


async def read(serial: str, port: asyncio.Future[str]) -> None:
    """Read a meter's identity and load profile."""
    async with open_meter_async(await port, password=b"reader") as meter:
        identity, profile = await meter.read(1), await meter.read(64)
        print(serial, "says", identity[-16:].decode().strip(), "and gives", len(profile), "octets")


async def main() -> None:
    """Serve two, read two."""
    loop = asyncio.get_running_loop()
    ports = {serial: loop.create_future() for serial in ("SM000001", "SM000002")}
    serving = [asyncio.create_task(serve(serial, port)) for serial, port in ports.items()]
    await asyncio.gather(*(read(serial, port) for serial, port in ports.items()))
    for task in serving:
        task.cancel()


asyncio.run(main())
