"""The blocking and the asyncio shell: the same conversation, the same results, short files."""

import asyncio
import inspect
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.errors import OutcomeUnknown, PortError, ServiceRefused
from protocols.transports import async_pump, pump
from protocols.transports.async_pump import open_meter_async
from protocols.transports.memory import MachinePort
from protocols.transports.names import open_port
from protocols.transports.network_meter import NetworkMeter
from protocols.transports.pump import open_meter
from protocols.transports.serial_port import SerialPort
from smartmeter.meter.sample import meter_named
from tests.smartmeter.cli.served import meter_process


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with meter_process("--tcp", "127.0.0.1:0") as (name, _):
        yield name


def test_both_shells_give_the_same_tables_and_parts(port: str) -> None:
    async def everything() -> tuple[list[bytes], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        beside = asyncio.create_task(tick())
        async with open_meter_async(port, password=b"master") as meter:
            await meter.write(5, b"POLE 17".ljust(20))
            await meter.write_part(5, 5, b"18")
            both = await asyncio.gather(meter.read(5), meter.read_part(5, 0, 4))
            assert (await meter.procedure(b"\x09\0\x2a\0"))[:4] == b"\x09\0\x2a\0"
            await meter.keep_alive(5)
            with pytest.raises(ServiceRefused):
                await meter.read(999)
            read = [*both, await meter.read(64)]
        beside.cancel()
        return read, ticks

    read, ticks = asyncio.run(everything())
    with open_meter(port, password=b"master") as meter:
        assert read == [meter.read(5), meter.read_part(5, 0, 4), meter.read(64)]
    assert read[0] == b"POLE 18".ljust(20) and ticks > 10


def test_both_shells_have_the_same_calls() -> None:
    def calls(shell: type) -> dict[str, object]:
        names = (name for name in dir(shell) if not name.startswith("_"))
        members = ((name, getattr(shell, name)) for name in names)
        return {name: callable(one) and inspect.signature(one) for name, one in members}

    assert calls(async_pump.AsyncMeterPort) == calls(pump.MeterPort)


class Cable(MachinePort):
    """A port into a simulated meter that can be pulled out for good."""

    gone = False

    def read(self, timeout_s: float) -> bytes:
        if self.gone:
            raise PortError("the cable has gone")
        return super().read(timeout_s)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_session_whose_port_has_gone_closes_without_waiting_for_it(blocking: bool) -> None:
    cables: list[Cable] = []

    def plugged() -> Cable:
        assert not cables, "nobody needs the port again"
        cables.append(Cable(meter_named("sim:", 0, pump.monotonic_us()), pump.monotonic_us))
        return cables[0]

    async def talk() -> None:
        async with async_pump.AsyncMeterPort(plugged):
            cables[0].gone = True

    if blocking:
        with pump.MeterPort(plugged(), reopen=plugged):
            cables[0].gone = True
    else:
        asyncio.run(talk())


def test_a_port_that_has_gone_for_good_is_one_clear_error() -> None:
    async def talk() -> None:
        with meter_process("--tcp", "127.0.0.1:0") as (name, process):
            async with open_meter_async(name) as meter:
                process.kill()
                process.wait()
                await meter.write(5, b"x")

    patience, async_pump.PATIENCE_S = async_pump.PATIENCE_S, 0.2
    try:
        with pytest.raises((OutcomeUnknown, pump.PortError), match=r"closed|gone|read it back"):
            asyncio.run(talk())
    finally:
        async_pump.PATIENCE_S = patience


@pytest.mark.parametrize("module", [pump, async_pump])
def test_a_shell_is_short_and_holds_no_rule(module: object) -> None:
    text = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    assert len(text.splitlines()) < 200


def test_a_port_that_another_program_uses_is_not_disturbed_and_one_clear_error() -> None:
    near, far = pty.openpty()
    name = os.ttyname(far)
    used = SerialPort(name)
    with pytest.raises(PortError, match="another program uses it"):
        SerialPort(name)
    os.write(near, b"\x06")
    assert used.read(1.0) == b"\x06"
    used.close()
    SerialPort(name).close()
    os.close(near)
    os.close(far)


def test_a_search_for_a_port_that_is_no_pattern_is_one_clear_error() -> None:
    with pytest.raises(PortError, match="check its name"):
        SerialPort("hwgrep://(")


@pytest.mark.parametrize(
    "url", ["socket://127.0.0.1", "socket://x:y", "rfc2217://:2217", "socket://[::1]:70000"]
)
def test_a_url_of_the_network_without_its_port_says_how_it_is_written(url: str) -> None:
    with pytest.raises(PortError, match=r"write (socket|rfc2217)://HOST:PORT"):
        SerialPort(url)


@pytest.mark.parametrize(
    ("name", "words"),
    [("/dev/no-such-line", "No such file"), ("socket://127.0.0.1:1", "Connection refused")],
)
def test_why_a_port_cannot_be_opened_is_said_once_and_in_words(name: str, words: str) -> None:
    with pytest.raises(PortError) as caught:
        SerialPort(name)
    text = str(caught.value)
    assert text.startswith(f"{name}: {words}") and "Errno" not in text and text.count(name) == 1


def test_a_name_that_no_resolver_looks_up_is_one_clear_error() -> None:
    wrong = f"{'a' * 64}:1"
    with pytest.raises(pump.PortError, match="check the address"):
        open_meter(f"tcp:{wrong}")
    network = NetworkMeter(f"c1222://{wrong}/.7.1", {})
    with pytest.raises(pump.PortError, match="check the address"), network:
        network.read(1)

    async def asked() -> None:
        async with open_meter_async(f"tcp:{wrong}"):
            raise AssertionError("nobody is there")

    with pytest.raises(pump.PortError, match="check the address"):
        asyncio.run(asked())


@pytest.mark.parametrize("name", ["tcp:h", "tcp:127.0.0.1:67543", "tcp:h:²", "tcp::2000"])
def test_a_port_number_that_no_port_has_is_told_and_never_taken_for_another(name: str) -> None:
    with pytest.raises(PortError, match="tcp:HOST:PORT"):
        open_port(name)
