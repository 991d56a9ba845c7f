"""The answer to identify: the published octets, unknown features, cuts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.dissection import dissect
from protocols.c1222.errors import ApduRejected
from protocols.c1222.identification import (
    NodeIdentification,
    answer_of_node,
    decode_identification,
    identification,
)
from protocols.c1222.services import Trace
from protocols.psem.codes import ResponseCode
from tests.protocols.c1222.conversation import HOST, METER

#: Example of the reference, after the response code.
PUBLISHED = bytes.fromhex(
    "0301000406" + "09607c86f75401160201" + "0581" + "068004" + b"ACME".hex()
    + "070901" + b"METER001".hex() + "00"
)  # fmt: skip


def test_the_published_answer_is_read_and_built_to_the_octet() -> None:
    told = decode_identification(PUBLISHED)
    assert told == NodeIdentification(
        3,
        1,
        0,
        ApTitle.parse("2.16.124.113620.1.22.2.1"),
        1,
        True,
        ApTitle(tuple(b"ACME"), True),
        (1, b"METER001"),
    )
    assert told.encode() == PUBLISHED


def test_a_node_of_ours_says_c1222_eax_and_sessionless() -> None:
    told = decode_identification(identification(sessions=4))
    assert (told.standard, told.sessions, told.sessionless) == (3, 4, True)
    assert str(told.mechanism) == "2.16.124.113620.1.22.2.1" and told.rest == b""


def test_a_node_that_has_no_title_yet_cannot_be_traced() -> None:
    assert answer_of_node(Trace((HOST,)), None) == bytes([ResponseCode.onp])


def test_reading_ends_at_an_unknown_feature_and_the_rest_is_kept() -> None:
    told = decode_identification(bytes.fromhex("0301000581" + "0912345600"))
    assert told.sessions == 1 and told.rest.hex() == "0912345600"


@given(st.integers(0, len(PUBLISHED) - 2))
def test_a_cut_is_refused_or_leaves_whole_features(size: int) -> None:
    try:
        told = decode_identification(PUBLISHED[:size])
    except ApduRejected as error:
        assert error.reason == "service-length"
    else:
        assert told.encode()[:-1] == PUBLISHED[:size]


@given(st.binary(max_size=60))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    try:
        decode_identification(octets)
    except ApduRejected as error:
        assert error.reason


def test_an_identity_without_its_format_is_refused() -> None:
    with pytest.raises(ApduRejected):
        decode_identification(bytes.fromhex("0301000700"))


def test_features_are_told_in_the_order_in_which_they_came_and_each_time() -> None:
    answer = "00030100" + "0582" + "068000" + "07020141" + "0501" + "00"
    octets = build_apdu(Envelope(9, HOST, METER, 7), [bytes.fromhex(answer)])
    [item] = dissect(octets, lambda key_id: None, in_reply_to=["identify"])["services"]
    assert item["features"] == [
        ["session_ctrl", {"sessions": 2, "sessionless": True}],
        ["device_class", "."],
        ["device_identity", {"format": 1, "identification": "41"}],
        ["session_ctrl", {"sessions": 1, "sessionless": False}],
    ]


def test_a_code_that_the_standard_reserves_has_no_name() -> None:
    octets = build_apdu(Envelope(9, HOST, METER, 7), [b"\x1e", b"\x13"])
    items = dissect(octets, lambda key_id: None)["services"]
    assert [item["response"] for item in items] == ["reserved"] * 2
