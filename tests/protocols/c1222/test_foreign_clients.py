"""What clients of others send: found by a client that was written from the digest alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.addressing import is_group
from protocols.c1222.ap_title import BASE_ARCS, MAX_OCTETS, ApTitle, decode_title, take_uid
from protocols.c1222.builder import TEST, Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.in_clear import departed_title, gathered_titles, traced
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import Node, NodeSettings
from protocols.c1222.registrar import Registrar
from protocols.c1222.registration import Register, Registered, serial_uid
from protocols.c1222.relay import Relay
from protocols.c1222.relay_services import IN_CLEAR
from protocols.c1222.server import DISCONNECT_PROCEDURE
from protocols.c1222.services import Deregister, NetworkSecurity, Resolve, Trace, encode_service
from protocols.psem.codec import encode_request
from protocols.psem.services import Disconnect, FullWrite, Identify, OffsetRead
from tests.protocols.c1222.conversation import (
    HOST,
    METER,
    NOW_US,
    PASSWORD,
    READ_1,
    Clock,
    Ring,
    Tables,
    Talk,
    items,
    lock,
    request,
)

OK, ISC, ONP, IAR, SNS = b"\0", b"\x03", b"\x04", b"\x05", b"\x02"
PROVE = encode_service(NetworkSecurity(PASSWORD, 2))
RELAY, MASTER, DOMAIN = (ApTitle.parse(text) for text in (".91", ".1", ".7"))
LONGEST = ApTitle((1,) * MAX_OCTETS, True)


def test_a_relative_title_may_be_as_long_as_any_and_its_mac_covers_the_base_before_it() -> None:
    talk = Talk()
    [answer] = talk.offer(request([READ_1], lock=lock(), calling=LONGEST))
    assert items(answer)[0][:1] == OK and decode_apdu(answer).called == LONGEST
    assert talk.offer(request([READ_1], 2, calling=LONGEST))


@given(st.integers(0, 200), st.sampled_from((0x06, 0x80)))
def test_titles_of_any_length_are_read_or_refused_and_never_fail_later(size: int, tag: int) -> None:
    octets = bytes((tag, size) if size < 0x80 else (tag, 0x81, size)) + bytes([1]) * size
    try:
        title = decode_title(octets)
    except ApduRejected:
        assert size > MAX_OCTETS or (size == 0 and tag == 0x06)
        return
    assert title.wire() == octets
    assert decode_title(title.wire()).absolute == title.absolute and title.universal()


def test_a_mechanism_of_any_length_is_dropped_if_it_is_none() -> None:
    for size in (1, 127, 128, 200):
        mechanism = b"\x8b" + (bytes([size]) if size < 0x80 else bytes((0x81, size)))
        body = request([READ_1])
        inner = body[2:].replace(b"\xbe", mechanism + bytes([1]) * size + b"\xbe", 1)
        length = bytes([len(inner)]) if len(inner) < 0x80 else bytes((0x81, len(inner)))
        assert Talk().offer(b"\x60" + length + inner) == []


def test_a_list_that_ends_at_once_holds_no_service_and_is_answered_with_iar() -> None:
    for secured in (lock(), None):
        octets = request([b""], lock=secured)
        assert items(Talk().offer(octets)[0]) == [IAR]


@pytest.mark.parametrize("service", ["53", "530200", "53020000", "60", "6b", "71", "7101020304"])
def test_services_that_only_c12_18_and_c12_21_have_are_not_supported(service: str) -> None:
    assert Talk().ask([bytes.fromhex(service), READ_1[:1]]) == (SNS, IAR)


def test_titles_in_services_may_have_lengths_that_are_longer_than_they_must_be() -> None:
    short = encode_service(Resolve(METER))[1:]
    for length in (b"\x81", b"\x82\0", b"\x83\0\0"):
        octets = short[:1] + length + short[1:]
        assert take_uid(octets + b"rest", 0) == (METER, len(octets))


def test_a_group_is_one_in_both_forms_of_its_title_and_only_below_our_base() -> None:
    for text in (".0", ".7.0", ".7.0.3"):
        title = ApTitle.parse(text)
        assert is_group(title) and is_group(ApTitle(title.absolute, False))
    for text in ("2.16.124.113620.1.22.0", "2.16.124.113620.1.22.0.7", "1.3.6.1.4.1.33507.0", ".7"):
        assert not is_group(ApTitle.parse(text)), text
    talk = Talk()
    everybody = ApTitle((*BASE_ARCS, 7, 0), False)
    talk.offer(request([b"\x20"], called=everybody))
    talk.later(60)
    [(_, answer)] = talk.server.outgoing()
    assert decode_apdu(answer).calling == METER and decode_apdu(answer).called == HOST


def test_a_test_message_may_read_and_changes_nothing() -> None:
    talk, write = Talk(), encode_request(FullWrite(3, b"other"))
    assert talk.ask([PROVE, READ_1, write], qualifier=TEST) is not None
    assert talk.ask([PROVE, write], qualifier=TEST) == (OK, ONP)
    assert talk.tables.images[3] == bytes(5)
    assert talk.ask([PROVE, write]) == (OK, OK)


def test_a_read_across_the_end_gives_what_is_there_as_at_the_optical_port() -> None:
    talk = Talk()
    answer = talk.ask([encode_request(OffsetRead(1, 30, 9)), encode_request(OffsetRead(1, 32, 1))])
    assert answer is not None and answer[0][1:3] == b"\0\2" and answer[1] == ONP


class Leaving(Tables):
    """Notes for which procedure the right was asked for."""

    asked: list[int]

    def leave(self, rights: object, procedure: int, now_us: int) -> None:
        self.asked = [procedure]


def test_to_disconnect_takes_the_right_to_its_procedure() -> None:
    tables = Leaving()
    assert Talk(tables=tables).ask([encode_service(Disconnect())]) == (OK,)
    assert tables.asked == [DISCONNECT_PROCEDURE]
    assert Talk().ask([encode_service(Disconnect())]) == (ISC,)


@pytest.mark.parametrize("password", [PASSWORD, b"guess".ljust(20)])
@pytest.mark.parametrize("user_id", [2, None])
def test_a_relay_takes_the_security_that_goes_before_everything(
    password: bytes, user_id: int | None
) -> None:
    """It opens nothing there, and must keep nothing else from being done."""
    first = encode_service(NetworkSecurity(password, user_id))
    settings = NodeSettings(clear_services=IN_CLEAR)
    master = Relay(Node(RELAY, Ring(), Clock(), SecurityState(1), settings), Registrar(DOMAIN))
    register = encode_service(Register(METER, serial_uid("SM000001")))
    for number, service in enumerate((register, encode_request(Identify())), 1):
        for key in (None, lock()):
            asked = request([first, service], number, key, called=RELAY, calling=METER)
            master.receive("node", asked, NOW_US)
            [(_, answer)] = master.outgoing()
            assert [item[:1] for item in items(answer)] == [OK, OK]
    master.receive("node", request([first, READ_1], 9, called=RELAY, calling=METER), NOW_US)
    [(_, answer)] = master.outgoing()
    assert items(answer) == [b"\x0b"], "what a relay serves nobody in clear it does not now"


def test_a_trace_and_a_farewell_behind_a_security_are_seen_by_the_relays_between() -> None:
    trace, ends = (encode_service(one) for one in (Trace((METER,)), Deregister(METER)))
    octets = request([PROVE, trace])
    longer = request([PROVE, encode_service(Trace((METER, RELAY)))])
    assert traced(decode_apdu(octets), octets, RELAY) == longer
    assert gathered_titles(decode_apdu(longer)) == METER.wire() + RELAY.wire()
    farewell = decode_apdu(request([PROVE, ends]))
    answers = [build_apdu(Envelope(1, METER, RELAY, 9), [OK, last]) for last in (OK, ISC)]
    gone, stays = (departed_title(farewell, decode_apdu(answer)) for answer in answers)
    assert gone == METER and stays is None


@pytest.mark.parametrize("called", [None, METER])
def test_a_first_registration_is_answered_whether_the_master_names_the_title_or_none(
    called: ApTitle | None,
) -> None:
    """Published vectors have the new title in A2, which the relay has never heard of."""
    relay = Relay(Node(RELAY, Ring(), Clock(), None, NodeSettings()), upstream="up")
    asked = build_apdu(
        Envelope(85, MASTER, None), [encode_service(Register(None, serial_uid("SM1")))]
    )
    relay.receive("node", asked, NOW_US)
    assert relay.outgoing() == [("up", asked)]
    answer = build_apdu(Envelope(7, called, MASTER, 85), [Registered(METER, 300, 3600).encode()])
    relay.receive("up", answer, NOW_US)
    assert relay.outgoing() == [("node", answer)] and relay.routes() == {METER.absolute: "node"}
