"""A machine on a port, in an asyncio loop: the port is read and written by a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from protocols.errors import PortError
from protocols.machine import Event, Machine
from protocols.transports.names import open_line
from protocols.transports.port import Port
from smartmeter.base.clock import US_PER_S, monotonic_us

#: The longest wait of the thread that reads: a machine's own deadline is met within it.
MAX_WAIT_S = 0.1


async def run_on_port(
    name: str, make: Callable[[int], Machine], heed: Callable[[Event], None]
) -> None:
    """Run a machine on a port until cancelled; OSError when the port cannot be had, or goes."""
    try:
        port = await asyncio.to_thread(open_line, name)
    except PortError as error:
        raise OSError(str(error)) from error
    machine = make(monotonic_us())
    try:
        while True:
            await _turn(port, machine)
            for event in machine.events():
                heed(event)
    except PortError as error:
        raise OSError(str(error)) from error
    finally:
        port.close()


async def _turn(port: Port, machine: Machine) -> None:
    if octets := machine.outgoing():
        await asyncio.to_thread(port.write, octets)
        machine.sent(monotonic_us())
    due_us, now_us = machine.deadline_us(), monotonic_us()
    wait_s = MAX_WAIT_S if due_us is None else max(0.0, (due_us - now_us) / US_PER_S)
    data = await asyncio.to_thread(port.read, min(wait_s, MAX_WAIT_S))
    now_us = monotonic_us()
    if data:
        machine.receive(data, now_us)
    machine.expire(now_us)
