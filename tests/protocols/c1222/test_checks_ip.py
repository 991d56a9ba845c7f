"""Conformance checks 79 to 82: native addresses and sizes over IP; 74 to 78 and 83 need sockets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.errors import ApduRejected
from protocols.c1222.native_address import (
    TCP,
    UDP,
    NativeAddress,
    decode_address,
    multicast_group,
)
from protocols.c1222.node import NodeSettings
from protocols.c1222.registration import ConnectionType, Register, refusal
from protocols.errors import LocalProtocolError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite
from tests.protocols.c1222.conversation import METER, NOW_US, Talk

#: What fits a datagram of 576 octets, less the headers of IPv4 and UDP.
DATAGRAM_OCTETS = 548
V6 = "20010db8000000000000000000000005"


@pytest.mark.parametrize(
    ("octets", "address"),
    [
        ("c0000205", NativeAddress("192.0.2.5")),
        ("c00002050481", NativeAddress("192.0.2.5", 1153)),
        ("c0000205048206", NativeAddress("192.0.2.5", 1154, TCP)),
        (V6, NativeAddress("2001:db8::5")),
        (V6 + "0482", NativeAddress("2001:db8::5", 1154)),
        (V6 + "048111", NativeAddress("2001:db8::5", 1153, UDP)),
        # In a field of 20 octets.
        ("c00002050481" + "00" * 14, NativeAddress("192.0.2.5")),
        ("c000020504810600000000", NativeAddress("192.0.2.5", 1153, TCP)),
        (V6 + "048106" + "00", NativeAddress("2001:db8::5", 1153, TCP)),
        # Other lengths are rounded up: an address that ends in zeros was stripped too far.
        ("c000020504", NativeAddress("192.0.2.5", 0x0400)),
        ("20010db800000001", NativeAddress("2001:db8:0:1::")),
    ],
)
def test_check_79_native_addresses_of_all_lengths_are_decoded(
    octets: str, address: NativeAddress
) -> None:
    assert decode_address(bytes.fromhex(octets)) == address


def test_check_79_what_is_longer_than_any_address_is_refused() -> None:
    with pytest.raises(ApduRejected):
        decode_address(bytes([1]) * 20)


def test_check_80_an_all_zero_field_is_no_address() -> None:
    for size in (0, 4, 19, 20):
        assert decode_address(bytes(size)) is None


@given(
    st.ip_addresses(v=4) | st.ip_addresses(v=6),
    st.sampled_from((1153, 1, 4_000, 65_535)),
    st.sampled_from((None, TCP, UDP)),
)
def test_an_address_goes_there_and_back_also_in_a_field(
    host: object, port: int, protocol: int | None
) -> None:
    address = NativeAddress(str(host), port, protocol)
    if any(address._packed()):
        assert decode_address(address.encode()) == address
        if protocol is not None:
            assert decode_address(address.encode().ljust(20, b"\0")) == address


def test_check_81_a_large_message_over_a_path_of_unknown_mtu_is_cut_to_fit_datagrams() -> None:
    settings = NodeSettings(demand_security=False, segment_octets=DATAGRAM_OCTETS)
    talk = Talk(host=settings)
    talk.host.request([encode_request(FullWrite(9, bytes(850)))], METER, "udp", NOW_US)
    pieces = [octets for _, octets in talk.host.outgoing()]
    assert len(pieces) == 2 and all(len(piece) + 28 <= 576 for piece in pieces)


@pytest.mark.parametrize("nibble", [0x0, 0x2, 0x6, 0x8, 0x9, 0xA, 0xB, 0xE])
def test_check_82_a_connection_type_that_rfc_6142_calls_invalid_is_refused(nibble: int) -> None:
    asked = Register(METER, None, connection_type=ConnectionType(nibble << 4 | 0xF))
    assert refusal(asked) == ResponseCode.iar


def test_what_is_no_address_is_refused_with_its_name() -> None:
    with pytest.raises(LocalProtocolError, match="meter"):
        NativeAddress("meter").encode()


def test_the_groups_of_discovery_go_from_narrow_to_wide() -> None:
    assert multicast_group(0x02) == "ff02::204"
