"""Registration and the services' octets: the published example, round trips, any octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.errors import ApduRejected
from protocols.c1222.registrar import MAX_LAPSES_MORE, Registrar, RegistrarSettings
from protocols.c1222.registration import (
    VALID_CONNECTION_NIBBLES,
    ConnectionType,
    NodeType,
    Register,
    Registered,
    decode_register,
    decode_registered,
    serial_text,
    serial_uid,
)
from protocols.c1222.services import (
    Deregister,
    NetworkLogon,
    NetworkSecurity,
    Resolve,
    Service,
    decode_service,
    encode_service,
)
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import MalformedRequest
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, Identify, OffsetRead, OffsetWrite, Unknown

REQUEST = bytes.fromhex("2720C0414D4345800006058837CBAD0707C0000205048106015180")
ANSWER = bytes.fromhex("008002072A012C000E10C1")


def test_the_published_request_is_read_and_built_to_the_octet() -> None:
    register = decode_register(REQUEST)
    assert register.title is None and register.serial is not None
    assert register.node_type == NodeType.END_DEVICE
    assert register.connection_type == (
        ConnectionType.CONNECTION | ConnectionType.ACCEPTS_CONNECTIONS
    )
    assert register.address == bytes.fromhex("C0000205048106")
    assert register.period_s == 86_400
    assert register.encode() == REQUEST


def test_the_published_answer_is_read_and_built_to_the_octet() -> None:
    answer = decode_registered(ANSWER)
    assert (str(answer.title), answer.delay_s, answer.period_s, answer.info) == (
        ".7.42",
        300,
        3600,
        0xC1,
    )
    assert answer.encode() == ANSWER


@pytest.mark.parametrize("octets", [b"\x01", b"", ANSWER[:-1], ANSWER + b"\0"])
def test_a_refusal_is_no_registration(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_registered(octets)


def test_a_refused_registration_says_in_words_why() -> None:
    with pytest.raises(RemoteProtocolError, match=r"isc \(insufficient security clearance\)"):
        decode_registered(bytes([ResponseCode.isc]))


@given(st.integers(0, len(REQUEST) - 1))
def test_a_truncated_request_is_refused(size: int) -> None:
    with pytest.raises(MalformedRequest) as refused:
        decode_service(REQUEST[:size])
    assert refused.value.answer in (ResponseCode.iar, ResponseCode.err)


@pytest.mark.parametrize("pattern", [b"", b".7.*"])
def test_a_request_with_an_octet_too_many_is_refused(pattern: bytes) -> None:
    node_type = NodeType.DOMAIN_PATTERN if pattern else NodeType.END_DEVICE
    octets = Register(None, serial_uid("1"), 60, node_type, pattern=pattern).encode()
    assert decode_register(octets).pattern == pattern
    with pytest.raises(ApduRejected, match="length does not fit"):
        decode_register(octets + b"\0")


@pytest.mark.parametrize("kind", [Deregister, Resolve])
def test_where_one_title_must_be_there_is_neither_none_nor_another(
    kind: type[Deregister | Resolve],
) -> None:
    octets = encode_service(kind(ApTitle.parse(".7.1")))
    for wrong in (octets[:1], octets + octets[1:]):
        with pytest.raises(MalformedRequest) as refused:
            decode_service(wrong)
        assert refused.value.answer == ResponseCode.iar


@given(st.binary(max_size=64))
def test_any_octets_are_a_service_or_refused_with_a_code(octets: bytes) -> None:
    try:
        service = decode_service(octets)
    except MalformedRequest as error:
        assert isinstance(error.answer, ResponseCode)
    else:
        # A registration may spell lengths and titles in more than one way; its values stay.
        assert decode_service(encode_service(service)) == service


@given(
    st.sampled_from(
        (
            Identify(),
            FullRead(2048),
            OffsetRead(64, 70_000, 512),
            FullWrite(7, b"\x0a\x00\x01"),
            OffsetWrite(64, 9, b"abc"),
            NetworkLogon(2, b"user      ", 60),
            NetworkSecurity(b"secret".ljust(20), 2),
            Register(ApTitle.parse(".7.42"), serial_uid("SM000001"), 3600),
            Unknown(0x61, b"\0\x80\1"),
        )
    )
)
def test_every_service_goes_there_and_back(service: Service) -> None:
    assert decode_service(encode_service(service)) == service


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30))
def test_a_serial_number_goes_there_and_back_as_a_uid(serial: str) -> None:
    assert serial_text(serial_uid(serial)) == serial


def test_an_answer_of_any_title_goes_there_and_back() -> None:
    answer = Registered(ApTitle.parse("2.16.124.113620.1.22.0.9"), 1, 2, 3)
    assert decode_registered(answer.encode()) == answer


@pytest.mark.parametrize("nibble", sorted(VALID_CONNECTION_NIBBLES))
def test_the_answer_names_the_transports_of_the_registration(nibble: int) -> None:
    asked = Register(
        None, serial_uid("SM000001"), connection_type=ConnectionType(nibble << 4 | 0x07)
    )
    answer = decode_registered(Registrar(ApTitle.parse(".7")).register(asked, 0))
    assert answer.info == nibble << 4


@pytest.mark.parametrize("wished", [".7.0", ".7.0.5"])
def test_a_title_that_means_many_is_given_to_nobody(wished: str) -> None:
    registrar = Registrar(ApTitle.parse(".7"))
    asked = Register(ApTitle.parse(wished), serial_uid("SM000001"))
    assert registrar.register(asked, 0) == bytes([ResponseCode.err]) and not list(registrar)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),  # whose
            st.one_of(st.none(), st.integers(1, 9)),  # its period, or it gives its title up
            st.integers(0, 8_000_000),  # how long after the one before
        ),
        max_size=30,
    )
)
def test_what_came_anew_lapses_by_its_newest_period_and_nothing_else_does(
    steps: list[tuple[int, int | None, int]],
) -> None:
    registrar = Registrar(ApTitle.parse(".7"), RegistrarSettings(max_period_s=5, grace_s=1))
    dues: dict[ApTitle, int] = {}
    now_us = 0
    for arc, period_s, later_us in steps:
        now_us += later_us
        title = ApTitle.parse(f".7.{arc}")
        registrar.expire(now_us)
        dues = {one: due_us for one, due_us in dues.items() if now_us < due_us}
        if period_s is None:
            registrar.deregister(title, title)
            dues.pop(title, None)
        else:
            registrar.register(Register(title, None, period_s), now_us)
            dues[title] = now_us + (min(period_s, 5) + 1) * 1_000_000
        assert {entry.title: entry.lapses_us for entry in registrar} == dues
        assert registrar.deadline_us() == min(dues.values(), default=None)


def test_one_title_that_comes_anew_all_the_time_takes_no_more_memory() -> None:
    registrar = Registrar(ApTitle.parse(".7"))
    for at_us in range(3 * MAX_LAPSES_MORE):
        registrar.register(Register(ApTitle.parse(".7.1"), None, 3600), at_us)
        registrar.changes()
        assert len(registrar._lapses) <= MAX_LAPSES_MORE + 2
    assert registrar.deadline_us() == (3600 + 60) * 1_000_000 + at_us
