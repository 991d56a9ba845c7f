"""Conformance checks 84 to 88: the local port between device and communication module."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.errors import ApduRejected
from protocols.c1222.local_port import (
    ANSWER_US,
    C1218_FORMAT,
    C1222_FORMAT,
    KEEP_ALIVE_US,
    LocalPacket,
    LocalPort,
    MessageArrived,
    MessageSent,
    PortFailed,
)
from protocols.c1222.local_transport import (
    Ask,
    Configuration,
    LinkControl,
    Negotiate,
    Negotiated,
    SendMessage,
    Transport,
    decode_negotiated,
    decode_transport,
)
from protocols.errors import LocalProtocolError
from protocols.psem.codes import ResponseCode
from tests.protocols.c1222.conversation import READ_1, request

#: Packets of the reference, with their checksums.
PUBLISHED = {
    "ee00210000076200400106080 11c83": Negotiate(64, 1, (6, 8), 1),
    "ee002100000700005702080103 6255": Negotiated(87, 2, 8, 1, 3),
    "ee000100000172 c06a": Ask(Transport.GET_CONFIGURATION),
    "ee00010000027501 fb85": Ask(Transport.GET_STATUS, 1),
    "ee00210000027380 cac1": LinkControl(0x80),
}


def pump(a: LocalPort, b: LocalPort, now_us: int = 0) -> list[object]:
    """Carry octets until both are quiet; give b's events."""
    for _ in range(2000):
        out, back = a.outgoing(), b.outgoing()
        if not out and not back:
            break
        b.receive(out, now_us)
        a.receive(back, now_us)
    return list(b.events())


def test_check_84_a_packet_with_a_wrong_checksum_is_naked_and_has_no_effect() -> None:
    port = LocalPort()
    octets = bytearray(LocalPacket(b"\x72").encode())
    octets[-1] ^= 1
    port.receive(bytes(octets), 0)
    assert port.outgoing() == b"\x15" and port.events() == []


def test_check_85_the_same_toggle_and_checksum_again_is_acknowledged_and_not_delivered() -> None:
    port, octets = LocalPort(), LocalPacket(b"\x72").encode()
    port.receive(octets + octets, 0)
    assert port.outgoing() == b"\x06\x06"
    assert port.events() == [MessageArrived(b"\x72", C1222_FORMAT, 0)]


def test_check_86_the_data_format_tells_c1222_transport_from_c1218() -> None:
    port = LocalPort()
    port.receive(bytes.fromhex("EE00000000012013 10"), 0)
    port.receive(LocalPacket(b"\x72").encode(), 0)
    formats = [event.data_format for event in port.events() if isinstance(event, MessageArrived)]
    assert formats == [C1218_FORMAT, C1222_FORMAT]


@given(st.binary(max_size=40).map(lambda tail: b"\x1b\xee" + tail))
def test_check_87_with_transparency_1b_and_ee_are_escaped_and_restored(data: bytes) -> None:
    sender, receiver = LocalPort(transparent=True), LocalPort()
    sender.send(data, C1222_FORMAT, 0)
    octets = sender.outgoing()
    assert 0xEE not in octets[1:] and octets.count(b"\x1b\x3b") >= 1 and b"\x1b\xce" in octets
    receiver.receive(octets, 0)
    assert receiver.events() == [MessageArrived(data, C1222_FORMAT, 0)]
    sender.receive(receiver.outgoing(), 0)
    assert sender.events() == [MessageSent()]


@pytest.mark.parametrize("octets", [b"\x6c", b"\x71", b"\x78", b"\x20", b""])
def test_check_88_an_unknown_transport_service_is_refused_with_05(octets: bytes) -> None:
    assert decode_transport(octets) == ResponseCode.iar == 5


@pytest.mark.parametrize("octets", ["7200", "73", "730000", "75", "750000", "7600"])
def test_a_transport_service_of_another_length_is_refused_with_05(octets: str) -> None:
    assert decode_transport(bytes.fromhex(octets)) == ResponseCode.iar


@pytest.mark.parametrize("octets", ["", "03", "00002000010a", "03002000010a0b", "00002000010a0b0c"])
def test_what_is_no_answer_to_negotiate_is_refused(octets: str) -> None:
    with pytest.raises(ApduRejected, match="no answer to negotiate"):
        decode_negotiated(bytes.fromhex(octets))


@pytest.mark.parametrize(("packet", "service"), PUBLISHED.items())
def test_the_published_packets_are_built_and_read_to_the_octet(
    packet: str, service: Negotiate | Negotiated | Ask | LinkControl
) -> None:
    octets = bytes.fromhex(packet.replace(" ", ""))
    assert LocalPacket(service.encode(), octets[2]).encode() == octets
    data = octets[6:-2]
    again = decode_negotiated(data) if isinstance(service, Negotiated) else decode_transport(data)
    assert again == service


@given(st.binary(min_size=1, max_size=600), st.booleans(), st.integers(1, 9))
def test_messages_of_many_packets_arrive_whole_in_any_split(
    data: bytes, transparent: bool, step: int
) -> None:
    sender = LocalPort(packets=16, transparent=transparent)
    receiver = LocalPort(packets=16)
    sender.send(data, C1222_FORMAT, 0)
    events: list[object] = []
    for _ in range(40):
        out = sender.outgoing()
        for at in range(0, len(out), step):
            receiver.receive(out[at : at + step], 0)
        sender.receive(receiver.outgoing(), 0)
        events += receiver.events()
    assert events == [MessageArrived(data, C1222_FORMAT, 0)]


def parts(*controls_and_seqs: tuple[int, int]) -> bytes:
    """Packets of twenty octets each, told from each other by their number."""
    return b"".join(
        LocalPacket(bytes([number]) * 20, control | 0x01 | number % 2 * 0x20, seq).encode()
        for number, (control, seq) in enumerate(controls_and_seqs)
    )


MULTI, FIRST = 0x80, 0xC0


@pytest.mark.parametrize(
    "packets",
    [
        ((MULTI, 0),),
        ((FIRST, 2), (MULTI, 0)),
        ((FIRST, 2), (MULTI, 1), (MULTI, 1)),
        ((FIRST, 5), (MULTI, 4), (MULTI, 3), (MULTI, 2), (MULTI, 1), (MULTI, 0)),
    ],
    ids=["no-beginning", "a-gap", "one-twice", "too-long"],
)
def test_the_rest_of_a_message_is_not_taken_for_a_message(packets: tuple[tuple[int, int]]) -> None:
    port = LocalPort(packets=1, packet_octets=70)
    port.receive(parts(*packets), 0)
    assert port.events() == [] and port.outgoing() == b"\x06" * len(packets)
    port.receive(parts((0, 0)) + parts((0, 0), (FIRST, 1), (MULTI, 0))[28:], 0)
    arrived = [one.data[0] for one in port.events() if isinstance(one, MessageArrived)]
    assert arrived == [0, 1], "what comes after it is whole"


def test_an_apdu_goes_to_the_device_with_the_senders_address() -> None:
    module, device = LocalPort(packets=4), LocalPort(packets=4)
    message = SendMessage(request([READ_1]), bytes.fromhex("c0000205"))
    module.send(message.encode(), C1222_FORMAT, 0)
    [event] = pump(module, device)
    assert isinstance(event, MessageArrived) and decode_transport(event.data) == message


def test_what_is_not_acknowledged_is_repeated_three_times_and_then_given_up() -> None:
    port = LocalPort()
    port.send(b"\x72", C1222_FORMAT, 0)
    sent, now_us = port.outgoing(), 0
    for _ in range(3):
        now_us += ANSWER_US
        port.expire(now_us)
        assert port.outgoing() == sent
    port.expire(now_us + ANSWER_US)
    assert port.outgoing() == b"" and port.events() == [PortFailed()]


@pytest.mark.parametrize("transparent", [False, True])
def test_what_the_peer_could_not_read_is_sent_again_at_once(transparent: bool) -> None:
    port, peer = (LocalPort(transparent=transparent) for _ in range(2))
    port.send(b"\x72", C1222_FORMAT, 0)
    sent = port.outgoing()
    peer.receive(sent[:-1] + bytes([sent[-1] ^ 1]), 0)
    port.receive(peer.outgoing(), 0)
    assert port.outgoing() == sent
    peer.receive(sent, 0)
    port.receive(peer.outgoing(), 0)
    assert port.events() == [MessageSent()] and len(peer.events()) == 1


def test_a_module_keeps_an_idle_line_alive() -> None:
    module = LocalPort(keeps_alive=True)
    assert module.deadline_us() == KEEP_ALIVE_US
    module.expire(KEEP_ALIVE_US - 1)
    assert module.outgoing() == b""
    module.expire(KEEP_ALIVE_US)
    assert module.outgoing()[:6].hex() == "ee0000000000"
    toggled = LocalPacket(b"", 0x21).encode()
    assert toggled.hex() == "ee0021000000d6df"


def test_limits_are_kept() -> None:
    with pytest.raises(LocalProtocolError):
        LocalPort(packet_octets=8)
    with pytest.raises(LocalProtocolError):
        LocalPort().send(bytes(100), C1222_FORMAT, 0)
    port = LocalPort()
    port.receive(b"\xee\0\x01\0\xff\xff", 0)
    assert port.outgoing() == b"\x15"


@given(st.binary(max_size=200))
def test_any_octets_do_no_harm(octets: bytes) -> None:
    port = LocalPort()
    port.receive(octets, 0)
    assert all(isinstance(event, MessageArrived) for event in port.events())


@given(
    st.tuples(st.integers(0x60, 0x7F), st.binary(max_size=50)).map(
        lambda it: bytes([it[0]]) + it[1]
    )
)
def test_any_message_in_a_packet_is_read_or_refused(message: bytes) -> None:
    port = LocalPort()
    port.receive(LocalPacket(message).encode(), 0)
    [event] = port.events()
    assert isinstance(event, MessageArrived) and event.data == message
    told = decode_transport(event.data)
    assert isinstance(told, ResponseCode) or told.encode() == message


def test_a_configuration_is_told_whole() -> None:
    told = Configuration(0, 0x15, 0x20, b"ACME", ApTitle.parse("2.999.1234567"), b"\xc0\0\2\5")
    assert told.encode().hex() == (
        "00001520" + b"ACME".hex() + "06058837cbad07" + "04c0000205" + "0000" + "80008000"
    )
