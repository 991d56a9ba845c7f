"""``gateway run``: the SSI module on a Linux board, with a real port and a real file.

The same ``smartmeter.ssi.module.Module`` as in the simulation.  Its
non-volatile memory is a file that survives kill -9 and power loss
(``flash_file``); its calendar is set from the meter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction

from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.base.errors import SettingsError
from smartmeter.comms.node import NodeHost
from smartmeter.comms.tcp import make_bearers
from smartmeter.gateway.flash_file import FlashFile
from smartmeter.gateway.probe import Probe
from smartmeter.gateway.settings import GatewaySettings
from smartmeter.ssi.factory import FACTORY_PAGE, load_factory
from smartmeter.ssi.module import Module, SecurityNote, StateChanged


def prepare_memory(settings: GatewaySettings) -> FlashFile:
    """Open the state file; a new one gets the factory memory of the settings.

    SettingsError when the file belongs to another module.
    """
    nvram = FlashFile(settings.state)
    if nvram.get(FACTORY_PAGE) is not None and load_factory(nvram).esn != settings.factory.esn:
        raise SettingsError(
            str(settings.state), "belongs to another module", "move it away, or mend the ESN"
        )
    nvram.commit({FACTORY_PAGE: settings.factory.page()})
    return nvram


async def run_gateway(
    settings: GatewaySettings, rate: Fraction, note: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Run a module until told to stop; ``note`` takes one line for each thing that happens."""
    nvram = prepare_memory(settings)
    now_us = monotonic_us()
    module = Module(nvram, Calendar(None, rate, now_us), now_us)

    def after() -> None:
        probe.flush()
        for event in module.events():
            if isinstance(event, StateChanged):
                note(f"state {event.state:02d} error {event.error:02d}")
            elif isinstance(event, SecurityNote):
                note(f"refused a message on {event.path}: {event.reason}")

    host = NodeHost(module, make_bearers(list(settings.bearers)), after=after)

    def settle() -> None:
        module.expire(monotonic_us())
        host.step()

    probe = Probe(settings.port, module.optical, asyncio.get_running_loop(), settle, note)
    probe.start()
    task = asyncio.create_task(host.run())
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
        probe.stop()
        nvram.close()
