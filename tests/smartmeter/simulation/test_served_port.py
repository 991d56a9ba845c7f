"""What comes to a served fleet at its own port: segments, drafts, titles, and how it is counted."""

import asyncio

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.ber import tlv
from protocols.c1222.errors import DRAFT_2006
from protocols.c1222.security import EaxPrime
from protocols.c1222.segmentation import split
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.comms.bearer import BearerSettings
from smartmeter.simulation.fleet_control import FleetControl
from smartmeter.simulation.fleet_keys import made_keys
from smartmeter.simulation.plain_meter import PlainMeter
from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings
from smartmeter.tms.shipment import Shipped
from tests.protocols.c1222.conversation import READ_1, items, lock, request

METER, KEY = ApTitle.parse(".7.42"), bytes(range(16))


async def test_a_segment_out_of_range_is_answered_by_the_meter_that_it_is_for() -> None:
    """Offset 100 of a message of 100 octets (check 54), told through the fleet's listener."""
    elements = "a204 8002072aa303 020164a603 800101a803 020109be0a 2808 020164 8103 616263"
    octets = tlv(0x60, bytes.fromhex(elements))
    bearer = BearerSettings("head-end", "tcp:127.0.0.1:1", segment_octets=300)
    keys = [Shipped("SM000001", str(METER), KEY, "SM-PLAIN")]
    fleet = ServedFleet(
        keys, ServedSettings(bearer, plain=True), lambda: Calendar(wall_utc_us(), 1, monotonic_us())
    )
    await fleet.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*fleet.listener.tcp_address)
    writer.write(octets)
    async with asyncio.timeout(60):
        answer = await reader.read(4096)
    assert items(answer) == [bytes.fromhex("12 0064 0003")]
    writer.write(request([READ_1], 5, lock(key_id=0, cipher=EaxPrime(bytes(16)))))
    old = "a803020101 ab0a 0608607c86f754011602 be08 2806 8104 80012000"
    writer.write(tlv(0x60, bytes.fromhex(old)) + b"no message")
    async with asyncio.timeout(60):
        while await reader.read(4096):
            pass
    counted = FleetControl(fleet.members, fleet.network_events)
    found = counted.handle("GET", "/network", None, 0)
    assert found["connections"] == found["closed not-an-apdu"] == 1
    assert found[f"rejected unknown-element: {DRAFT_2006}"] == 1, found
    assert found["rejected segment-offset-range"] == found["rejected mac-mismatch"] == 1
    assert "/network" in counted.handle("GET", "/openapi.json", None, 0)["paths"]
    writer.close()
    await fleet.listener.close()


@pytest.mark.parametrize("plain", [True, False])
async def test_segments_are_joined_also_by_meters_that_never_reached_their_head_end(
    plain: bool,
) -> None:
    bearer = BearerSettings("head-end", "tcp:127.0.0.1:1", segment_octets=300)
    keys = [Shipped("SM000001", str(METER), KEY, "")]
    settings = ServedSettings(bearer, plain=plain)
    fleet = ServedFleet(keys, settings, lambda: Calendar(wall_utc_us(), 1, monotonic_us()))
    fleet.members[0].step()
    await fleet.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*fleet.listener.tcp_address)
    whole = request([encode_request(Identify())] * 100)
    for piece in split(whole, 150):
        writer.write(piece)
    async with asyncio.timeout(60):
        answer = await reader.read(16_384)
    assert len(items(answer)) == 100
    writer.close()
    await fleet.listener.close()


async def test_a_title_that_was_given_to_another_meter_meanwhile_finds_that_one() -> None:
    bearer = BearerSettings("head-end", "tcp:127.0.0.1:1")
    settings = ServedSettings(bearer, plain=True)
    keys = made_keys(2, 1, True)
    fleet = ServedFleet(keys, settings, lambda: Calendar(wall_utc_us(), 1, monotonic_us()))
    await fleet.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*fleet.listener.tcp_address)
    first, second = (member.device for member in fleet.members)
    assert isinstance(first, PlainMeter) and isinstance(second, PlainMeter)
    titles = [ApTitle.parse(one.title) for one in keys]
    for number, (title, meant) in enumerate([(titles[0], first), (titles[0], second)]):
        first.server.node.title, second.server.node.title = titles[number], titles[1 - number]
        writer.write(request([encode_request(Identify())], number + 1, called=title))
        async with asyncio.timeout(60):
            assert items(await reader.read(4096))[0][0] == ResponseCode.ok
        assert meant.server.node.counts["served"] == 1
    first.server.node.title = second.server.node.title = titles[1]
    writer.write(request([encode_request(Identify())], 9, called=titles[0]))
    async with asyncio.timeout(60):
        assert items(await reader.read(4096)) == [bytes([ResponseCode.uat])]
    writer.close()
    await fleet.listener.close()
