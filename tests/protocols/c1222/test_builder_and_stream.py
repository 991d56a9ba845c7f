"""What is built reads back, agrees with published octets, and streams in any split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER, NOTIFICATION, Envelope, Lock, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import AUTHENTICATED, CIPHERTEXT, EaxPrime, open_apdu, split_services
from protocols.c1222.stream import ApduStream

KEY = EaxPrime(bytes.fromhex("01020304050607080102030405060708"))
NODE, HOST = ApTitle.parse(".7.42"), ApTitle.parse(".5")


def test_the_published_clear_read_and_notification_are_built_to_the_octet() -> None:
    read = build_apdu(Envelope(0x1122, NODE, HOST), [bytes.fromhex("300001")])
    assert read.hex() == "601ca2048002072aa603800105a80402021122be09280781058003300001"
    write = bytes.fromhex("400003000500010000" + "00ff")
    notification = build_apdu(
        Envelope(0x70, HOST, NODE, qualifier=NOTIFICATION), [write], None, NEVER, b"ACME"
    )
    assert notification.hex() == (
        "602ca203800105a6048002072aa703020104a803020170"
        "be152813811192" + b"ACME".hex() + "0b400003000500010000" + "00ff"
    )


def test_example_8_of_the_standard_is_built_to_the_octet() -> None:
    lock = Lock(KEY, 2, bytes.fromhex("48f3d061"))
    services = [b"\x51PASSWORD            \0\2", bytes.fromhex("3f00010000100010")]
    called, calling = ApTitle.parse(".123.8437"), ApTitle.parse(".123.4")
    assert build_apdu(Envelope(3, called, calling), services, lock).hex() == (
        "604fa20580037bc175a60480027b04a803020103ac0fa20da00ba109800102810448f3d061"
        "be2a282881268841d10cda76206811b36f781489a11997773e117cb07aa3aa40374a7107c50da7f799c5d4e8"
    )


@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4),
    st.sampled_from([None, AUTHENTICATED, CIPHERTEXT]),
    st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.binary(min_size=4, max_size=4),
)
def test_what_is_built_reads_back(
    services: list[bytes], mode: int | None, own: int, answers: int | None, ed: bytes | None
) -> None:
    lock = None if mode is None else Lock(KEY, 9, b"\1\2\3\4", mode)
    apdu = decode_apdu(build_apdu(Envelope(own, NODE, HOST, answers), services, lock, 0, ed))
    assert (apdu.called, apdu.calling, apdu.calling_invocation_id) == (NODE, HOST, own)
    assert apdu.called_invocation_id == answers and apdu.is_response == (answers is not None)
    text = open_apdu(apdu, {9: KEY}.get)
    assert split_services(apdu.user_information[0], text) == (ed, services, b"")


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.data())
def test_apdus_are_cut_out_of_any_split_of_a_stream(
    bodies: list[bytes], data: st.DataObject
) -> None:
    apdus = [build_apdu(Envelope(n, NODE, HOST), [body]) for n, body in enumerate(bodies)]
    octets, stream, found = b"".join(apdus), ApduStream(), []
    while octets:
        cut = data.draw(st.integers(1, len(octets)))
        found += stream.feed(octets[:cut])
        octets = octets[cut:]
    assert found == apdus


def test_a_read_that_looks_like_a_message_goes_on_with_the_one_that_has_begun() -> None:
    stream, inner = ApduStream(), b"\x60\1\0"
    assert stream.feed(b"\x60\3") == [] and stream.feed(inner) == [b"\x60\3" + inner]


@pytest.mark.parametrize("begin", ["608180", "60820100", "6083000100"])
def test_a_long_length_may_come_octet_by_octet(begin: str) -> None:
    whole = bytes.fromhex(begin) + bytes(int(begin[4:], 16))
    stream = ApduStream()
    found = [apdu for at in range(len(whole)) for apdu in stream.feed(whole[at : at + 1])]
    assert found == [whole] and not stream.pending


@pytest.mark.parametrize("octets", ["61", "6080", "60847fffffff", "6083ffffff", "6082ffff"])
def test_what_cannot_be_recovered_ends_the_stream(octets: str) -> None:
    with pytest.raises(ApduRejected):
        ApduStream().feed(bytes.fromhex(octets))


@given(st.integers(1, 3), st.data())
def test_what_cannot_be_recovered_takes_no_whole_apdu_with_it_however_it_is_split(
    count: int, data: st.DataObject
) -> None:
    apdus = [build_apdu(Envelope(n, NODE, HOST), [b"\x20"]) for n in range(count)]
    octets, stream, found = b"".join(apdus) + b"\x61\0", ApduStream(), []
    with pytest.raises(ApduRejected):
        while True:
            cut = data.draw(st.integers(1, len(octets))) if len(octets) > 1 else 1
            found += stream.feed(octets[:cut])
            stream.check()
            octets = octets[cut:]
    assert found == apdus
