"""Real and built frames: what a receiver makes of each."""

import json
from pathlib import Path
from typing import Any

import pytest
from crcmod.predefined import mkPredefinedCrcFun
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.crc import crc16, crc_hqx_reflected
from protocols.datalink.link import Collision, Link, MessageReceived, PacketPassed
from protocols.datalink.packet import FIRST, TOGGLE, Packet, decode_packet
from protocols.errors import RemoteProtocolError

VECTORS = Path(__file__).parents[2] / "vectors" / "c1218_vectors.json"
FRAMES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["frames"]
PACKETS = [frame for frame in FRAMES if frame["layer"] == "packet"]


def number(fact: int | str) -> int:
    return int(fact, 16) if isinstance(fact, str) else fact


@pytest.mark.parametrize("frame", PACKETS, ids=lambda frame: frame["name"])
def test_a_packet_decodes_to_its_fields_or_is_refused(frame: dict[str, Any]) -> None:
    octets = bytes.fromhex(frame["hex"])
    try:
        packet = decode_packet(octets)
    except RemoteProtocolError:
        assert not frame["crc_ok"] or not frame["valid"]
        return
    assert frame["crc_ok"]
    facts = frame["decoded"]
    assert (packet.identity, packet.ctrl, packet.seq_nbr) == (
        int(str(facts["identity"]), 16)
        if isinstance(facts["identity"], str)
        else facts["identity"],
        int(str(facts["ctrl"]), 16) if isinstance(facts["ctrl"], str) else facts["ctrl"],
        facts["seq"],
    )
    if packet.data and len(packet.data) <= 8183:
        assert Packet(packet.data, packet.ctrl, packet.seq_nbr, packet.identity).encode() == octets


@pytest.mark.parametrize("frame", PACKETS, ids=lambda frame: frame["name"])
def test_a_receiver_answers_each_frame_as_recommended(frame: dict[str, Any]) -> None:
    small = frame["name"] == "bad_oversize_for_default"
    link = Link(Collision.GIVE_UP, 64 if small else 8192)
    link.receive_packets = 255
    octets = bytes.fromhex(frame["hex"])
    if frame["valid"] and octets[2] & 0x80 and not octets[2] & 0x40:
        # A following packet: the one before it has come.
        before = Packet(b"before", (octets[2] | FIRST) ^ TOGGLE, octets[3] + 1, octets[1])
        assert list(link.receive(before.encode(), 0)) == [PacketPassed()]
        link.expire(1_000)
        assert link.outgoing() == b"\x06"
    events = list(link.receive(octets, 1_000))
    link.expire(2_000_000)
    answer = link.outgoing()
    match frame["expect"]:
        case "accept" | "ack-then-error":
            assert answer == b"\x06"
        case "nak":
            assert answer == b"\x15"
        case _:
            assert answer in (b"", b"\x06", b"\x15")
    complete = [event for event in events if isinstance(event, MessageReceived)]
    if frame["expect"] == "accept" and octets[3] == 0:
        assert len(complete) == 1


def test_the_checksum_has_its_published_check_value() -> None:
    assert crc16(b"123456789") == 0x906E


@given(st.binary(max_size=300))
@example(b"")
def test_the_checksum_of_the_standard_library_is_that_of_crcmod(octets: bytes) -> None:
    assert crc_hqx_reflected(octets) == mkPredefinedCrcFun("x-25")(octets) == crc16(octets)


def test_what_begins_with_another_octet_is_no_packet_though_its_checksum_is_right() -> None:
    body = b"\xef" + Packet(b"\x20").encode()[1:-2]
    with pytest.raises(RemoteProtocolError, match="does not begin with EE"):
        decode_packet(body + crc16(body).to_bytes(2, "little"))
