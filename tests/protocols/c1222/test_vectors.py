"""Public captures, the vectors of EAX' and built messages: envelope, MAC and plaintext."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.ber import tlv
from protocols.c1222.envelope import (
    authentication_element,
    decode_apdu,
    integer_element,
)
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import (
    EaxPrime,
    canonified_cleartext,
    check_control,
    open_apdu,
    split_services,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "c1222_vectors.json"
MESSAGES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["messages"]
GOOD = [message for message in MESSAGES if message["expect"] == "accept"]
#: Faults inside a service's parameters, which the envelope does not look at.
INNER = {"checksum-mismatch"}
BAD = [m for m in MESSAGES if m["expect"] == "reject" and m["reason"] not in INNER]


def keys(message: dict[str, Any]) -> dict[int, EaxPrime]:
    listed = message.get("key", [])
    return {entry["key_id"]: EaxPrime(bytes.fromhex(entry["key"])) for entry in listed}


def session(message: dict[str, Any]) -> tuple[int, bytes] | None:
    carried = message.get("session")
    return (carried["key_id"], bytes.fromhex(carried["iv"])) if carried else None


@pytest.mark.parametrize("message", GOOD, ids=lambda m: m["name"])
def test_the_envelope_holds_what_was_published(message: dict[str, Any]) -> None:
    apdu, facts = decode_apdu(bytes.fromhex(message["hex"])), message["decoded"]
    assert str(apdu.called or "") == facts.get("called_ap_title", "")
    assert str(apdu.calling or "") == facts.get("calling_ap_title", "")
    assert apdu.calling_invocation_id == facts["calling_ap_invocation_id"]
    assert apdu.called_invocation_id == facts.get("called_ap_invocation_id")
    assert apdu.segment_total == facts.get("segment_total")
    assert apdu.segment_offset == facts.get("segment_offset")
    if not apdu.is_segment:
        assert apdu.user_information[0] == int(facts["epsem_control"], 16)
    if "iv" in facts and apdu.iv is not None:
        assert (apdu.key_id, apdu.iv.hex()) == (facts["key_id"], facts["iv"])


@pytest.mark.parametrize(
    "message", [m for m in GOOD if "segment_total" not in m["decoded"]], ids=lambda m: m["name"]
)
def test_the_mac_verifies_and_the_services_are_those_published(message: dict[str, Any]) -> None:
    apdu, facts = decode_apdu(bytes.fromhex(message["hex"])), message["decoded"]
    text = open_apdu(apdu, keys(message).get, session(message))
    if "canonified_cleartext" in facts:
        key_id, iv = session(message) or (apdu.key_id or 0, apdu.iv or b"")
        assert canonified_cleartext(apdu, key_id, iv).hex() == facts["canonified_cleartext"]
    if "plaintext" in facts:
        assert text.hex() == facts["plaintext"]
    ed_class, services, padding = split_services(apdu.user_information[0], text)
    assert (ed_class or b"").hex() == facts.get("ed_class", "")
    assert [f"{service[0]:02x}" for service in services] == [s["code"] for s in facts["services"]]
    assert len(padding) == facts.get("padding", 0)


@pytest.mark.parametrize("message", BAD, ids=lambda m: m["name"])
def test_a_bad_message_is_rejected_for_its_first_fault(message: dict[str, Any]) -> None:
    with pytest.raises(ApduRejected) as caught:
        apdu = decode_apdu(bytes.fromhex(message["hex"]))
        text = open_apdu(apdu, keys(message).get, session(message))
        split_services(apdu.user_information[0], text)
    assert caught.value.reason == message["reason"]


def test_three_segments_join_to_the_whole_message() -> None:
    pieces = [decode_apdu(bytes.fromhex(m["hex"])) for m in GOOD if "segment" in m["name"]]
    whole = b"".join(
        p.user_information for p in sorted(pieces, key=lambda p: p.segment_offset or 0)
    )
    assert whole.hex() == next(m["hex"] for m in GOOD if m["name"] == "own-write-length-82")


@given(st.binary(max_size=120), st.sampled_from(MESSAGES), st.integers(0, 400), st.integers(0, 7))
def test_any_octets_are_read_or_rejected_and_nothing_else(
    noise: bytes, message: dict[str, Any], at: int, bit: int
) -> None:
    mutated = bytearray.fromhex(message["hex"])
    mutated[at % len(mutated)] ^= 1 << bit
    for data in (noise, b"\x60" + noise, bytes(mutated)):
        try:
            apdu = decode_apdu(data)
            split_services(
                apdu.user_information[0], open_apdu(apdu, keys(message).get, session(message))
            )
        except ApduRejected as error:
            assert error.reason


@given(
    st.binary(min_size=16, max_size=16), st.binary(min_size=17, max_size=80), st.binary(max_size=90)
)
def test_what_is_sealed_opens_and_one_bit_changed_does_not(
    key: bytes, header: bytes, plain: bytes
) -> None:
    cipher, mac = EaxPrime(key).seal(header, plain)
    assert EaxPrime(key).open(header, cipher, mac) == plain
    with pytest.raises(ApduRejected, match="mac-mismatch"):
        EaxPrime(key).open(header, cipher, bytes([mac[0] ^ 1]) + mac[1:])


def test_a_header_that_can_be_forged_under_any_key_is_refused() -> None:
    with pytest.raises(ApduRejected):
        EaxPrime(bytes(16)).open(b"x" * 16, b"", bytes(4))


@given(st.lists(st.integers(0, 2**40), max_size=6), st.booleans())
def test_a_title_is_written_and_read_alike(arcs: list[int], relative: bool) -> None:
    title = ApTitle(tuple(arcs) if relative else (2, 16, *arcs), relative)
    element = tlv(0xA2, title.wire())
    data = tlv(
        0x60, element + integer_element(0xA8, 128) + tlv(0xBE, tlv(0x28, tlv(0x81, b"\x80")))
    )
    apdu = decode_apdu(data)
    assert apdu.called == title and apdu.calling_invocation_id == 128
    assert ApTitle.parse(str(title)) == title


def test_the_authentication_element_has_its_seventeen_octets() -> None:
    element = authentication_element(2, bytes.fromhex("48f3d061"))
    assert element.hex() == "ac0fa20da00ba109800102810448f3d061"
    assert check_control(0x88) == 2
