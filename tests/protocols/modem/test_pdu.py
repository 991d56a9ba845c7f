"""Short messages as PDUs: examples that others published, parts, and any octets."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.modem.pdu import (
    JOIN_US,
    MAX_OCTETS,
    MAX_WAITING,
    PART_OCTETS,
    Delivered,
    Part,
    PartJoiner,
    delivered,
    submit,
)
from tests.protocols.modem.pdus import as_delivered


def test_a_published_text_message_is_read() -> None:
    # The example of the widely copied PDU description: "How are you?" from 27838890001.
    pdu = "07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"
    assert delivered(pdu) == Delivered("27838890001", b"", "hellohello")


def test_a_short_message_is_one_pdu_with_its_octets_as_they_are() -> None:
    [(size, pdu)] = submit("+46708251358", b"\x60\x03abc", 9)
    assert pdu == "0001000B916407281553F800040560" + "03616263"
    assert size == len(pdu) // 2 - 1, "without the length of the centre's address"


@given(st.integers(1, MAX_OCTETS), st.binary(min_size=1, max_size=9), st.integers(0, 1000))
def test_octets_survive_their_parts_in_any_order(size: int, some: bytes, reference: int) -> None:
    octets = (some * size)[:size]
    pdus = [as_delivered(pdu) for _, pdu in submit("15551234567", octets, reference)]
    joiner, got = PartJoiner(), []
    for pdu in reversed(pdus):
        whole = joiner.take(delivered(pdu), 0)
        if whole is not None:
            got.append(whole)
    assert got == [octets] and len(joiner) == 0


def test_a_part_may_have_a_reference_of_16_bits_and_other_elements_before() -> None:
    for header, part in (
        ("06080412340302", Part(0x1234, 3, 2)),
        ("0b0504158200000003120302", Part(0x12, 3, 2)),
        ("060504158200 00".replace(" ", ""), None),
        ("0400031203", None),
    ):
        body = bytes.fromhex(header) + b"octets"
        pdu = "0044" + "0b915155214365f7" + "0004" + "00" * 7 + f"{len(body):02x}" + body.hex()
        assert delivered(pdu) == Delivered("+15551234567", b"octets", part=part)


@pytest.mark.parametrize("octets", [b"", bytes(MAX_OCTETS + 1)])
def test_what_no_message_carries_is_refused(octets: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="a message carries"):
        submit("+15551234567", octets, 1)


@pytest.mark.parametrize("number", ["", "12", "x", "+1 555", "1" * 16, '1"\r'])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(LocalProtocolError, match="no number"):
        submit(number, b"x", 1)


def test_parts_that_never_become_whole_are_forgotten() -> None:
    joiner = PartJoiner()
    for reference in range(3 * MAX_WAITING):
        one = Delivered("+1555", bytes(PART_OCTETS), part=Part(reference, 2, 1))
        assert joiner.take(one, reference) is None
    assert len(joiner) == MAX_WAITING
    late = Delivered("+1555", b"x", part=Part(3 * MAX_WAITING - 1, 2, 2))
    assert joiner.take(late, 3 * MAX_WAITING + JOIN_US) is None and len(joiner) == 1
    for part in (Part(1, 0, 0), Part(1, 2, 3), Part(1, 255, 1), Part(1, 2, 0)):
        assert joiner.take(Delivered("+1", b"x", part=part), 0) is None


@given(st.binary(max_size=200))
def test_any_octets_are_a_message_or_are_refused(octets: bytes) -> None:
    with suppress(RemoteProtocolError):
        assert len(delivered(octets.hex()).octets) <= 140


@given(st.binary(min_size=1, max_size=140), st.data())
def test_a_message_with_changed_octets_is_a_message_or_is_refused(
    octets: bytes, data: st.DataObject
) -> None:
    changed = bytearray.fromhex(as_delivered(submit("15551234567", octets, 1)[0][1]))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] = data.draw(st.integers(0, 255))
    for pdu in (changed, changed[:place]):
        with suppress(RemoteProtocolError):
            assert len(delivered(pdu.hex()).octets) <= 160


@pytest.mark.parametrize("pdu", ["", "zz", "00", "0004", "07917283010010F5"])
def test_what_is_no_pdu_is_refused(pdu: str) -> None:
    with pytest.raises(RemoteProtocolError):
        delivered(pdu)
