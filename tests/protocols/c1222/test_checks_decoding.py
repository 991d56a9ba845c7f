"""Conformance checks 1 to 20: what a decoder accepts, and what a node says to what it does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle, decode_title
from protocols.c1222.dissection import dissect
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import DRAFT_2006, DRAFT_SECURITY, ApduRejected
from protocols.c1222.security import EaxPrime, open_apdu, split_services
from protocols.c1222.stream import ApduStream
from tests.protocols.c1222.conversation import MESSAGES, READ_1, Talk, items, request, vector

CLEAR_READ = "601ca2048002072aa603800105a80402021122be09280781058003300001"


def dropped(octets: bytes, reason: str, draft: str = "") -> None:
    """No answer, no effect, and counted by its reason, with the draft that it is of."""
    talk = Talk()
    assert talk.offer(octets) == []
    assert talk.rejections() == [reason]
    assert talk.server.node.counts[f"rejected {reason}{draft and ': '}{draft}"] == 1
    assert talk.server.node.counts["served"] == 0


def test_check_01_a_first_octet_other_than_60_is_dropped_and_closes_a_stream() -> None:
    dropped(vector("bad-tag-not-60"), "not-an-apdu")
    with pytest.raises(ApduRejected, match="not-an-apdu"):
        ApduStream().feed(vector("bad-tag-not-60"))


def test_check_02_a_length_beyond_the_datagram_is_dropped_and_waited_for_on_a_stream() -> None:
    dropped(vector("bad-truncated"), "length-overrun")
    stream, whole = ApduStream(), bytes.fromhex(CLEAR_READ)
    assert stream.feed(whole[:-3]) == []
    assert stream.feed(whole[-3:]) == [whole]


def test_check_03_an_octet_after_the_apdu_in_a_datagram_is_dropped() -> None:
    dropped(vector("bad-trailing-octet"), "trailing-bytes")


def test_check_04_an_indefinite_length_is_dropped_and_closes_a_stream() -> None:
    dropped(vector("bad-indefinite-length"), "indefinite-length")
    with pytest.raises(ApduRejected, match="indefinite-length"):
        ApduStream().feed(vector("bad-indefinite-length"))


def test_check_05_a_message_without_a8_is_dropped() -> None:
    dropped(vector("bad-missing-A8"), "missing-A8")


@pytest.mark.parametrize(
    ("user_information", "reason"),
    [
        ("", "missing-BE"),
        ("be09280881058003300001", "inner-length-mismatch"),
        ("be09280781068003300001", "inner-length-mismatch"),
        ("be09280781048003300001", "inner-length-mismatch"),
        ("be0a2907810580033000015a", "bad-user-information"),
        ("be09280782058003300001", "bad-user-information"),
        ("be0428028100", "empty-user-information"),
    ],
)
def test_check_06_a_missing_or_inconsistent_be_is_dropped(
    user_information: str, reason: str
) -> None:
    body = bytes.fromhex("a2048002072aa603800105a80402021122" + user_information)
    dropped(bytes([0x60, len(body)]) + body, reason)


def test_check_07_elements_out_of_order_are_dropped() -> None:
    dropped(vector("bad-element-order"), "element-order")


def test_check_08_an_element_twice_is_dropped() -> None:
    octets = bytes.fromhex(CLEAR_READ)
    twice = bytes.fromhex("a80402021122")
    body = octets[2:13] + twice + octets[13:]
    dropped(bytes([0x60, len(body)]) + body, "duplicate-element")


def test_check_09_an_unknown_element_is_dropped() -> None:
    dropped(vector("bad-unknown-element"), "unknown-element")


def test_check_10_a_title_with_another_tag_is_dropped() -> None:
    dropped(vector("bad-uid-tag"), "bad-uid-tag", DRAFT_2006)


@pytest.mark.parametrize("title", ["a200", "a20180"])
def test_a_title_without_a_tag_or_a_length_is_dropped(title: str) -> None:
    body = bytes.fromhex(title) + bytes.fromhex(CLEAR_READ)[8:]
    dropped(bytes([0x60, len(body)]) + body, "inner-length-mismatch")


def test_check_11_an_identifier_that_does_not_end_is_dropped() -> None:
    dropped(vector("bad-oid-unterminated"), "bad-oid")


def test_an_arc_is_written_in_as_few_octets_as_it_needs() -> None:
    for arc, octets in ((127, "7f"), (128, "8100"), (16_383, "ff7f"), (16_384, "818000")):
        title = ApTitle((7, arc), True)
        assert title.wire() == bytes.fromhex(f"80{1 + len(octets) // 2:02x}07{octets}")
        assert decode_title(title.wire()) == title
    with pytest.raises(ApduRejected, match="bad-oid"):
        decode_title(bytes.fromhex("8003078001"))


def test_check_12_an_a8_of_five_octets_or_without_02_is_dropped() -> None:
    dropped(vector("bad-A8-five-octets"), "bad-integer-length")
    dropped(vector("bad-A8-2006-raw-form"), "bad-integer-tag", DRAFT_2006)


AC = "ac0fa20da00ba109800107810401020304"


def with_security(element: str) -> bytes:
    octets = bytes.fromhex(CLEAR_READ)
    body = octets[2:-11] + bytes.fromhex(element) + octets[-11:]
    return bytes([0x60, len(body)]) + body


@pytest.mark.parametrize(
    ("element", "key_id"),
    [
        (AC, 7),
        ("ac12a210020100a00ba109800107810401020304", 7),
        ("ac10a20ea00ca10a80810107810401020304", 7),
        ("ac0ca20aa008a106810401020304", 0),
    ],
)
def test_a_security_element_is_read_in_each_form_that_is_sent(element: str, key_id: int) -> None:
    apdu = decode_apdu(with_security(element))
    assert (apdu.key_id, apdu.iv) == (key_id, b"\1\2\3\4")


@pytest.mark.parametrize(
    ("element", "draft"),
    [
        ("ac0ea20ca00aa1088000810401020304", ""),
        ("ac10a20ea00ca10a80020007810401020304", ""),
        ("ac0ea20ca00aa1088001078103010203", ""),
        ("ac10a20ea00ca10a80010781050102030405", ""),
        ("ac11a20fa00da10b8001078104010203040500", ""),
        ("ac0ba209a007a0058103010203", DRAFT_SECURITY),
        ("ac08a206810401020304", ""),
        ("ac0fa20da00ba109800107820401020304", DRAFT_SECURITY),
        ("ac13a211a00fa10d80010783080102030405060708", DRAFT_SECURITY),
        ("ac08a206830401020304", DRAFT_SECURITY),
    ],
)
def test_any_other_security_element_is_refused_and_old_ones_are_named(
    element: str, draft: str
) -> None:
    with pytest.raises(ApduRejected) as refused:
        decode_apdu(with_security(element))
    assert refused.value.draft == draft
    assert refused.value.reason in ("bad-auth-value", "inner-length-mismatch")


def test_check_13_an_invocation_id_is_unsigned() -> None:
    assert decode_apdu(vector("own-cleartext-auth-read")).calling_invocation_id == 128


def test_check_14_a_control_octet_without_bit_7_is_answered_iar_and_nothing_is_done() -> None:
    talk = Talk()
    [answer] = talk.offer(vector("bad-control-bit7-clear"))
    assert items(answer) == [b"\x05"]
    assert talk.rejections() == ["epsem-control"] and talk.server.node.counts["served"] == 0
    never = bytearray(vector("bad-control-bit7-clear"))
    never[-5] |= 2
    assert talk.offer(bytes(never)) == []


@pytest.mark.parametrize(
    ("control", "reason"), [(0x8C, "security-mode-reserved"), (0x83, "response-control-reserved")]
)
def test_check_15_reserved_modes_are_dropped(control: int, reason: str) -> None:
    octets = bytearray.fromhex(CLEAR_READ)
    octets[-5] = control
    dropped(bytes(octets), reason)


def test_check_16_a_service_past_the_end_is_answered_iar_and_not_even_earlier_ones_are_done() -> (
    None
):
    talk = Talk()
    [answer] = talk.offer(vector("bad-service-length-overrun"))
    assert items(answer) == [b"\x05"]
    write = b"\x40\0\3\0\1\x55\xab"
    good = bytearray(request([b"\x51" + b"SECRET".ljust(20), write, READ_1]))
    good[-4] += 1  # the length of the last service
    [answer] = talk.offer(bytes(good))
    assert items(answer) == [b"\x05"] and talk.tables.images[3] == bytes(5)
    assert talk.rejections() == ["service-length-overrun"] * 2


def test_check_17_a_zero_length_ends_the_list_and_padding_is_ignored() -> None:
    talk = Talk()
    [answer] = talk.offer(vector("own-multi-service-with-padding"))
    assert [item[0] for item in items(answer)] == [0, 0, 0x0A]


class Sliced(bytes):
    """Octets that count how many of them were copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, int):
            return found
        Sliced.copied += len(found)
        return Sliced(found)


def test_the_work_on_a_list_of_services_grows_with_its_length_only() -> None:
    text = Sliced(bytes(4) + b"\x01\x20" * 16_000 + b"\0\0")
    ed_class, services, padding = split_services(0x90, text)
    assert (ed_class, services, padding) == (bytes(4), [b"\x20"] * 16_000, b"\0\0")
    assert Sliced.copied <= len(text)


@pytest.mark.parametrize("form", ["81{:02x}", "82{:04x}", "83{:06x}"])
def test_lengths_longer_than_they_must_be_are_read_in_every_element(form: str) -> None:
    def tlv(tag: int, content: bytes) -> bytes:
        return bytes([tag]) + bytes.fromhex(form.format(len(content))) + content

    octets = tlv(
        0x60,
        tlv(0xA1, tlv(0x06, bytes.fromhex("607c86f7540116")))
        + tlv(0xA2, tlv(0x80, b"\x07\x2a"))
        + tlv(0xA6, tlv(0x80, b"\x05"))
        + tlv(0xA7, tlv(0x02, b"\x04"))
        + tlv(0xA8, tlv(0x02, b"\x11\x22"))
        + tlv(0x8B, bytes.fromhex("607c86f75401160201"))
        + tlv(0xBE, tlv(0x28, tlv(0x81, b"\x80\x03\x30\x00\x01"))),
    )
    apdu = decode_apdu(octets)
    assert (str(apdu.called), str(apdu.calling)) == (".7.42", ".5")
    assert (apdu.calling_invocation_id, apdu.ae_qualifier) == (0x1122, 4)
    facts = dissect(octets, lambda key_id: None)
    assert facts["aso_context"] == "2.16.124.113620.1.22"
    assert facts["mechanism_name"] == "2.16.124.113620.1.22.2.1"
    [answer] = Talk().offer(octets)
    assert items(answer)[0][:1] == b"\0"


def test_check_18_a_service_length_in_long_form_is_accepted() -> None:
    message = MESSAGES["own-write-length-82"]
    apdu = decode_apdu(vector("own-write-length-82"))
    text = open_apdu(apdu, {5: EaxPrime(bytes.fromhex(message["key"][0]["key"]))}.get)
    [service] = split_services(apdu.user_information[0], text)[1]
    assert len(service) == 0x132
    talk = Talk()
    password = b"\x51" + b"SECRET".ljust(20)
    long_form = request([password, b"\x40\x08\0" + (200).to_bytes(2, "big") + bytes(201)])
    assert [item[0] for item in items(talk.offer(long_form)[0])] == [0, 0]
    assert talk.tables.images[2048] == bytes(200)


def test_check_19_relative_and_absolute_form_are_the_same_title() -> None:
    relative = decode_apdu(vector("eaxp-author-vector-1-relative-form"))
    absolute = decode_apdu(vector("eaxp-author-vector-1-notification"))
    assert relative.called is not None and absolute.called is not None
    assert relative.called.absolute == absolute.called.absolute
    talk = Talk()
    called = ApTitle.parse("2.16.124.113620.1.22.0.7.42")
    assert len(talk.offer(request([READ_1], called=called))) == 1


@given(
    st.binary(max_size=90)
    | st.tuples(st.sampled_from(sorted(MESSAGES)), st.integers(0, 400), st.integers(0, 255)).map(
        lambda drawn: _mutated(*drawn)
    )
)
def test_check_20_any_octets_are_rejected_with_a_word_or_served(octets: bytes) -> None:
    talk = Talk()
    talk.offer(octets)
    node = talk.server.node
    rejected = [count for name, count in node.counts.items() if name.startswith("rejected ")]
    assert sum(rejected) + node.counts["served"] == node.counts["received"] == 1


def _mutated(name: str, at: int, value: int) -> bytes:
    octets = bytearray(vector(name))
    octets[at % len(octets)] = value
    return bytes(octets)
