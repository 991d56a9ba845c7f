"""What a transcript shows of a password: nothing, nor what a guess could be held against."""

import pytest

from protocols.crc import crc16
from protocols.datalink.packet import FIRST, MULTI, STP, Packet
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify, Security
from smartmeter.conformance.transcript import Transcript, masked

REQUEST = Packet(encode_request(Security(b"reader".ljust(20)))).encode()
FILL = REQUEST[:7] + b"*" * 22


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (REQUEST, FILL),
        (b"\x06" + REQUEST, b"\x06" + FILL),
        (b"\x00\x15" + REQUEST[:-5], b"\x00\x15" + FILL[:-5]),
        (REQUEST + REQUEST, FILL + b"*" * 29),
    ],
)
def test_neither_a_password_nor_the_checksum_over_it_is_shown(sent: bytes, shown: bytes) -> None:
    assert masked(sent) == shown
    transcript = Transcript()
    transcript.sent(sent, 0)
    assert transcript.to_json()[0]["hex"] == shown.hex()
    lines = "\n".join(transcript.lines())
    assert REQUEST[-2:].hex(" ").upper() not in lines
    assert "Security; password not shown" in lines and "checksum" not in lines


def test_the_answer_to_identify_is_no_table_of_one_zero() -> None:
    transcript = Transcript()
    transcript.received(Packet(bytes((0, 0, 1, 0, 0))).encode(), 0)
    assert next(iter(transcript.lines())).endswith("ok, C12.18, version 1.0; toggle 0")


@pytest.mark.parametrize("ctrl", [0, MULTI | FIRST])
def test_a_packet_of_no_data_is_told_in_words(ctrl: int) -> None:
    body = bytes((STP, 0, ctrl, 0, 0, 0))
    transcript = Transcript()
    transcript.received(body + crc16(body).to_bytes(2, "little"), 0)
    assert "an empty message; toggle 0" in next(iter(transcript.lines()))


def test_other_requests_are_shown_as_they_are() -> None:
    identify = Packet(encode_request(Identify())).encode()
    assert masked(identify) == identify
