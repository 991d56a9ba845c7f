"""The public strategies draw what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat
from protocols.c1222.services import decode_service
from protocols.datalink.packet import Packet, decode_packet
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import decode_request, encode_request
from protocols.psem.services import Request
from smartmeter.conformance import network_strategies, strategies
from smartmeter.conformance.model import Step, parse

CONTEXT = Context(DeviceFormat())


@given(strategies.requests((0, 1)))
def test_drawn_requests_go_over_the_line_and_change_nothing(request: Request) -> None:
    octets = encode_request(request)
    assert decode_request(octets) == request or len(octets) == 13  # a Logon is padded
    assert not 0x40 <= octets[0] <= 0x4F


@given(strategies.packets())
def test_drawn_packets_are_legal(packet: Packet) -> None:
    assert packet.is_legal and decode_packet(packet.encode()) == packet


@given(strategies.damaged(strategies.packets()))
def test_a_damaged_packet_is_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_packet(octets)


@given(strategies.table_images(1, CONTEXT))
def test_a_drawn_table_has_its_size(image: bytes) -> None:
    assert len(image) == 32


@given(strategies.psem_messages())
def test_drawn_messages_are_never_empty(message: bytes) -> None:
    assert message


@given(strategies.device_formats())
def test_drawn_formats_are_declared_by_some_st_00(fmt: DeviceFormat) -> None:
    assert 0 <= fmt.ni_format1 <= 13 and fmt.tm_format <= 4


@given(strategies.sessions((0, 1, 23)))
def test_a_drawn_session_is_text_and_back(steps: tuple[Step, ...]) -> None:
    again = tuple(parse(step.text(), None) for step in steps)
    assert [step.text() for step in again] == [step.text() for step in steps]


@given(network_strategies.services((0, 1)))
def test_drawn_services_are_of_the_network_and_change_nothing(services: list[bytes]) -> None:
    assert 1 <= len(services) <= network_strategies.MAX_SERVICES
    for octets in services:
        assert decode_service(octets) is not None
        assert not 0x40 <= octets[0] <= 0x4F


@given(st.binary(min_size=1), st.data())
def test_a_damaged_message_has_one_to_three_other_octets(whole: bytes, data: st.DataObject) -> None:
    found = data.draw(network_strategies.damaged(whole))
    assert len(found) == len(whole)
    assert 1 <= sum(a != b for a, b in zip(whole, found, strict=True)) <= 3
