"""What brings messages beside the sockets tells how it does, once for each change."""

import asyncio

import pytest

from smartmeter.cli.carriers import CarrierOptions, make_carriers
from smartmeter.comms.answered_calls import CallCarrier
from smartmeter.comms.carrier import Carrier, carrying
from smartmeter.comms.listener import Listener
from smartmeter.comms.sms import SmsCarrier
from smartmeter.comms.standing import Standing
from smartmeter.comms.tls import TlsFiles
from tests.ports import free_port
from tests.smartmeter.comms.far_ends import LIMIT, Answering, Modems
from tests.waiting import until


def test_each_change_is_told_once() -> None:
    told: list[str] = []
    standing = Standing("broker b", told.append)
    for _ in range(2):
        standing.fails("refused")
    for _ in range(2):
        standing.works()
    standing.fails("timed out")
    assert told == [
        "broker b: is away (refused)",
        "broker b: works",
        "broker b: is away (timed out)",
    ]


async def test_whoever_is_not_there_from_the_start_is_told_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    chosen = CarrierOptions(call=(f"tcp:127.0.0.1:{port}",), mqtt=f"mqtt:127.0.0.1:{port}")
    handler = Answering()
    told: list[str] = []

    def both() -> bool:
        told.extend(capsys.readouterr().err.splitlines())
        return len(told) > 1

    async with carrying(make_carriers(Listener(handler, LIMIT), TlsFiles(), chosen), handler):
        await until(both)
        await asyncio.sleep(0.5)  # and is tried again meanwhile
    both()
    assert sorted(told) == [
        f"broker mqtt:127.0.0.1:{port}: is away (Connection refused)",
        f"node tcp:127.0.0.1:{port}: is away (Connection refused)",
    ]


@pytest.mark.parametrize("kind", [SmsCarrier, CallCarrier])
async def test_a_modem_that_was_made_ready_works_and_one_that_is_unplugged_is_away(
    kind: type[SmsCarrier | CallCarrier],
) -> None:
    modems, told = Modems(), list[str]()
    name, standing = modems.of_head_end.name, Standing("modem", told.append)
    carrier: Carrier
    if kind is SmsCarrier:
        carrier = SmsCarrier(name, standing=standing)
    else:
        carrier = CallCarrier(name, LIMIT, standing=standing)
    async with carrying([carrier], Answering()):
        await until(lambda: told)
        modems.close()
        await until(lambda: len(told) == 2)
    assert told[0] == "modem: works" and told[1].startswith("modem: is away (")
