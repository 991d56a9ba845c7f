"""Short messages as a bearer: limits, strangers, a modem that fails, and the bell that wakes."""

import asyncio

import pytest

from protocols.modem.pdu import MAX_OCTETS, submit
from smartmeter.base.errors import SettingsError
from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.bearers import check_address
from smartmeter.comms.event_loop import ended
from smartmeter.comms.sms import SmsBearer, SmsCarrier
from smartmeter.comms.way import Need
from tests.ports import free_port
from tests.protocols.c1222.conversation import READ_1, request
from tests.protocols.modem.pdus import as_delivered
from tests.smartmeter.comms.far_ends import (
    HEAD_END_NUMBER,
    NODE_NUMBER,
    Answering,
    FarEnd,
    Modems,
    connected,
)
from tests.smartmeter.comms.hosted import Node, running
from tests.waiting import until


def bearer_of(modems: Modems) -> SmsBearer:
    return SmsBearer(BearerSettings("sms", f"sms:{HEAD_END_NUMBER}@{modems.of_node.name}"))


def test_the_bearer_says_how_much_it_carries_and_how_long_it_takes(modems: Modems) -> None:
    way = bearer_of(modems).settings.way
    assert way.max_apdu_octets == MAX_OCTETS == 1072 and way.answer_us == 180_000_000


async def test_octets_of_a_stranger_and_what_is_no_message_are_not_taken(modems: Modems) -> None:
    async with connected(bearer_of(modems)) as (_, arrived, _taking):
        pdu = submit(NODE_NUMBER, request([READ_1]), 1)[0][1]
        modems.of_node.deliver(as_delivered(pdu, "+15559999999"))
        modems.of_node.deliver("00FF")
        modems.of_node.deliver(as_delivered(pdu, HEAD_END_NUMBER))
        await until(lambda: arrived)
        await asyncio.sleep(0.2)
        assert arrived == [request([READ_1])]
        assert modems.of_node.stored == {}, "what was read is deleted, whatever it was"


async def test_the_head_end_is_known_with_and_without_the_plus_of_its_number(
    modems: Modems,
) -> None:
    bare = HEAD_END_NUMBER.removeprefix("+")
    bearer = SmsBearer(BearerSettings("sms", f"sms:{bare}@{modems.of_node.name}"))
    async with connected(bearer) as (_, arrived, _taking):
        pdu = submit(NODE_NUMBER, request([READ_1]), 1)[0][1]
        for sender in (HEAD_END_NUMBER, bare, f"{bare}9"):
            modems.of_node.deliver(as_delivered(pdu, sender))
        await until(lambda: len(arrived) == 2 and not modems.of_node.stored)
        assert arrived == [request([READ_1])] * 2


async def test_what_came_while_nobody_listened_is_read_at_the_start(modems: Modems) -> None:
    pdu = submit(NODE_NUMBER, request([READ_1]), 1)[0][1]
    modems.of_node.deliver(as_delivered(pdu, HEAD_END_NUMBER))
    async with connected(bearer_of(modems)) as (_, arrived, _taking):
        await until(lambda: arrived == [request([READ_1])])


async def test_a_modem_that_refuses_ends_the_bearer(modems: Modems) -> None:
    modems.of_node.refuses_messages = True
    async with connected(bearer_of(modems)) as (connection, _, taking):
        for number in range(3):
            connection.send(request([READ_1], number))
        await asyncio.wait_for(asyncio.wait((taking,)), 60)
        assert isinstance(taking.exception(), OSError)


async def test_a_port_without_a_modem_cannot_be_opened() -> None:
    with pytest.raises(OSError):
        await SmsBearer(BearerSettings("sms", "sms:+15551234@/dev/nothing-here")).connect()


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_bell_makes_the_node_open_its_socket(modems: Modems, as_text: bool) -> None:
    far, node = FarEnd("tcp", free_port()), Node()
    node.waits = Need.NOTHING
    ways = (
        BearerSettings("socket", f"tcp:127.0.0.1:{far.port}", when=When.WANTED),
        BearerSettings("sms", f"sms:{HEAD_END_NUMBER}@{modems.of_node.name}", cost=50),
    )
    async with far.listening(), running(node, *ways):
        await until(lambda: "sms" in node.ways)
        await asyncio.sleep(0.1)
        assert "socket" not in node.ways
        if as_text:  # "wake" in the alphabet of telephones, as a person would send it
            sender = "0B915155000000F1"
            modems.of_node.deliver("0004" + sender + "0000" + "00" * 7 + "04" + "F7F0BA0C")
        else:
            carrier = SmsCarrier(modems.of_head_end.name)
            task = asyncio.create_task(carrier.run(Answering()))
            await until(lambda: carrier._line.ready.is_set())
            carrier.wake(NODE_NUMBER)
        await until(lambda: "socket" in node.heard)
        if not as_text:
            await ended(task)


NO_NUMBERS = ["sms:", "sms:1", "sms:x@/dev/y", "sms:+@/d", "sms:9,1@/d"]
NO_NUMBERS += ["modem:@/dev/x", "modem:,@/d", "modem:9;1@/d", f"modem:{'1' * 31}@/d"]


@pytest.mark.parametrize("address", NO_NUMBERS)
def test_an_address_that_is_none_is_told_how_it_is_written(address: str) -> None:
    with pytest.raises(SettingsError, match="no number at a modem"):
        check_address(address)
