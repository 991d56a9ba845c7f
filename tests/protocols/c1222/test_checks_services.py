"""Conformance checks 35 to 51: services, sessions, response control, limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1218.scripts import LogonSettings
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, NEVER, ON_EXCEPTION, Envelope, build_apdu
from protocols.c1222.dissection import dissect
from protocols.c1222.errors import ApduRejected
from protocols.c1222.identification import decode_identification
from protocols.c1222.node import MessageRejected, NodeSettings, ResponseArrived, TransactionFailed
from protocols.c1222.security import MAX_SERVICES, EaxPrime
from protocols.c1222.services import (
    TRACE,
    NetworkLogon,
    NetworkSecurity,
    Resolve,
    Trace,
    decode_blocks,
    decode_service,
    encode_blocks,
    encode_service,
)
from protocols.psem.codec import ChecksumMismatch, block, encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    Authenticate,
    DefaultRead,
    Disconnect,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    IndexWrite,
    Logoff,
    OffsetRead,
    OffsetWrite,
    Security,
    Terminate,
    Unknown,
    Wait,
)
from tests.protocols.c1222.conversation import (
    HOST,
    KEY_ID,
    METER,
    NOW_US,
    PASSWORD,
    READ_1,
    Talk,
    items,
    lock,
    request,
    vector,
)

LOGON = encode_service(NetworkLogon(2, b"OPERATOR  ", 60))
SECURITY = encode_service(NetworkSecurity(PASSWORD, 2))
WRONG = encode_service(NetworkSecurity(b"guess".ljust(20), 2))
WRITE = encode_request(FullWrite(3, b"\x55"))
LOGOFF, TERMINATE = encode_request(Logoff()), encode_request(Terminate())
STRICT = NodeSettings()


def codes(answers: tuple[bytes, ...] | None) -> list[int] | None:
    return None if answers is None else [answer[0] for answer in answers]


def test_check_35_identify_is_answered_in_any_state() -> None:
    talk, identify = Talk(), encode_request(Identify())
    for before in ([], [LOGON], [LOGOFF], [WRONG], [TERMINATE]):
        answers = talk.ask([*before, identify])
        assert answers is not None
        told = decode_identification(answers[-1][1:])
        assert answers[-1][0] == 0 and told.standard == 3 and told.rest == b""
        assert answers[-1][-1] == 0 and told.sessionless


def test_check_36_an_unknown_service_is_sns_and_the_others_are_answered() -> None:
    answers = Talk().ask(
        [encode_request(Unknown(0x4E, b"x")), encode_request(Unknown(0x61, b"")), READ_1]
    )
    assert codes(answers) == [2, 2, 0]
    assert codes(
        Talk().ask([encode_request(DefaultRead()), encode_request(IndexRead(1, (0,), 1))])
    ) == [2, 2]


def test_check_37_logon_grants_an_idle_time_out_and_opens_a_session() -> None:
    talk = Talk(STRICT)
    [granted] = talk.offer(vector("own-logon-with-timeout-encrypted"))
    assert items(granted)[0] == bytes.fromhex("00003c") and len(talk.server.node.sessions) == 1
    other = Talk()
    assert other.ask([encode_service(NetworkLogon(2, b"X         ", 0))]) == (
        b"\0" + (3600).to_bytes(2, "big"),
    )


def test_check_38_logoff_terminate_and_wait_without_a_session_are_isss() -> None:
    assert codes(Talk().ask([LOGOFF, TERMINATE, encode_request(Wait(9))])) == [10, 10, 10]


def test_check_39_silence_ends_a_session() -> None:
    talk = Talk()
    assert codes(talk.ask([LOGON])) == [0]
    talk.later(59)
    assert codes(talk.ask([READ_1])) == [0]
    talk.later(61)
    assert codes(talk.ask([LOGOFF])) == [10]


def test_check_40_wait_stretches_the_time_out_once() -> None:
    talk = Talk()
    talk.ask([LOGON])
    assert codes(talk.ask([encode_request(Wait(30))])) == [0]
    talk.later(80)
    assert codes(talk.ask([READ_1])) == [0] and len(talk.server.node.sessions) == 1
    talk.later(80)
    assert codes(talk.ask([LOGOFF])) == [10]


def test_check_41_a_write_with_a_wrong_checksum_is_err_and_changes_nothing() -> None:
    talk = Talk()
    [answer] = talk.offer(vector("bad-write-checksum"))
    assert items(answer) == [b"\x01"] and talk.tables.images[3] == bytes(5)


def test_check_42_an_answer_with_a_wrong_checksum_is_rejected_by_the_host() -> None:
    octets = vector("cap-read-response-bad-checksum")
    with pytest.raises(ApduRejected, match="checksum-mismatch"):
        dissect(octets, {}.get, in_reply_to=["read"])
    with pytest.raises(ChecksumMismatch):
        decode_blocks(block(b"testdata")[:-1] + b"\0")


def test_check_43_a_read_without_rights_or_of_a_missing_table_is_refused() -> None:
    reads = [encode_request(FullRead(table)) for table in (42, 99, 1)]
    assert codes(Talk().ask(reads)) == [3, 5, 0]


def test_check_44_security_is_accepted_with_20_and_with_22_octets() -> None:
    short = encode_service(NetworkSecurity(PASSWORD))
    assert len(short) == 21 and len(SECURITY) == 23
    for security in (short, SECURITY):
        talk = Talk()
        assert codes(talk.ask([security, WRITE])) == [0, 0]
        in_session = Talk()
        assert codes(in_session.ask([LOGON, security])) == [0, 0]
        assert codes(in_session.ask([WRITE])) == [0]
    [answer] = Talk().offer(request([b"\x51" + bytes(8) + b"password1234"]))
    assert items(answer) == [b"\x03"]


def test_check_44_the_user_of_a_logon_counts_and_not_that_of_the_password() -> None:
    short, other = NetworkSecurity(PASSWORD), NetworkSecurity(PASSWORD, 9)
    for services, user_id in (
        ([LOGON, encode_service(short)], 2),
        ([LOGON, encode_service(other)], 2),
        ([encode_service(other)], 9),
        ([encode_service(short)], None),
    ):
        talk = Talk()
        assert talk.ask(services) is not None
        assert talk.tables.asked == [user_id]


def test_check_45_on_exception_and_all_ok_there_is_no_answer() -> None:
    talk = Talk()
    assert talk.ask([READ_1], response_control=ON_EXCEPTION) is None
    assert codes(
        talk.ask([READ_1, encode_request(FullRead(99))], response_control=ON_EXCEPTION)
    ) == [0, 5]
    assert codes(talk.ask([READ_1], response_control=ALWAYS)) == [0]


def test_check_46_never_means_never_even_for_an_error() -> None:
    talk = Talk()
    # Not as the host, which awaits no answer: what is sent to it counts.
    failing = [encode_request(FullRead(99))]
    for own_id, protection in enumerate((None, lock())):
        assert talk.offer(request(failing, own_id, protection, response_control=NEVER)) == []
        assert talk.server.node.counts["served"] == own_id + 1
    assert Talk(STRICT).offer(request([READ_1], response_control=NEVER)) == []


def test_check_47_an_answer_to_nothing_or_without_swapped_titles_is_dropped() -> None:
    talk = Talk()
    number = talk.host.request([READ_1], METER, "line", NOW_US)
    other = ApTitle.parse(".8.1")
    for envelope in (
        Envelope(9, HOST, METER, number + 1),
        Envelope(9, HOST, other, number),
        Envelope(9, other, METER, number),
        Envelope(9, None, METER, number),
        Envelope(9, HOST, None, number),
    ):
        talk.host.receive("line", build_apdu(envelope, [b"\0"]), NOW_US)
        [event] = talk.host.events()
        assert isinstance(event, MessageRejected)
    talk.host.receive("line", build_apdu(Envelope(9, HOST, METER, number), [b"\0"]), NOW_US)
    assert talk.host.events() == [ResponseArrived(number, (b"\0",), False, METER)]


def test_check_48_the_same_request_within_120_s_is_answered_from_the_store() -> None:
    talk, write = Talk(), request([SECURITY, WRITE])
    [answer] = talk.offer(write)
    talk.tables.images[3] = b"later"
    talk.later(119)
    assert talk.offer(write) == [answer] and talk.tables.images[3] == b"later"
    talk.later(2)
    talk.offer(write)
    assert talk.tables.images[3] == b"\x55"


def test_check_48_a_host_repeats_the_identical_octets_until_it_is_answered() -> None:
    talk = Talk()
    number = talk.host.request([READ_1], METER, "udp", NOW_US, timeout_us=9_000_000, repeats=2)
    sent = talk.host.outgoing()
    for _ in range(3):
        talk.later(3)
        sent += talk.host.outgoing()
    assert sent == [sent[0]] * 3
    assert talk.host.events() == [TransactionFailed(number, "no answer in time")]


def test_check_49_a_request_above_the_limit_is_rqtl_with_the_limit() -> None:
    talk = Talk(NodeSettings(demand_security=False, max_apdu_octets=512))
    [answer] = talk.offer(request([encode_request(FullWrite(3, bytes(600)))]))
    assert items(answer) == [b"\x0f" + (512).to_bytes(4, "big")]
    assert dissect(vector("own-error-rqtl"), {}.get)["services"][0]["max_size"] == 512
    assert talk.rejections() == ["too-large"] and talk.tables.images[3] == bytes(5)


def test_check_50_an_answer_above_the_limit_is_rstl_with_the_limit() -> None:
    talk = Talk(NodeSettings(demand_security=False, max_apdu_octets=512))
    talk.tables.images[9] = bytes(600)
    assert talk.ask([encode_request(FullRead(9))]) == (b"\x10" + (512).to_bytes(4, "big"),)
    assert codes(talk.ask([encode_request(OffsetRead(9, 0, 300))])) == [0]


@given(st.sampled_from((65_534, 65_535, 65_536, 131_070, 140_000)))
def test_check_51_after_a_block_of_ffff_octets_comes_another(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert decode_blocks(encode_blocks(data)) == data
    with pytest.raises(ApduRejected, match="octets follow the last block"):
        decode_blocks(encode_blocks(data) + b"\0")
    for write in (FullWrite(9, data), OffsetWrite(9, 70_000, data)):
        assert decode_service(encode_service(write)) == write


@pytest.mark.parametrize("size", [0xFFFF, 0x10003])
def test_check_51_every_form_of_write_may_have_more_than_one_block(size: int) -> None:
    for write in (
        FullWrite(9, bytes(size)),
        OffsetWrite(9, 0x1FFFF, bytes(size)),
        IndexWrite(9, (1,), bytes(size)),
        IndexWrite(9, tuple(range(9)), bytes(size)),
    ):
        assert decode_service(encode_service(write)) == write


def test_check_51_a_table_of_more_than_ffff_octets_is_written_and_read() -> None:
    large = NodeSettings(demand_security=False, max_apdu_octets=200_000)
    talk = Talk(large, host=large)
    data = bytes(70_000)
    assert codes(talk.ask([SECURITY, encode_service(FullWrite(9, data))])) == [0, 0]
    answers = talk.ask([encode_request(FullRead(9))])
    assert answers is not None and decode_blocks(answers[0][1:]) == data


def test_behind_a_failed_security_or_logon_nothing_is_done() -> None:
    talk = Talk()
    assert codes(talk.ask([WRONG, WRITE, encode_request(Identify())])) == [3, 3, 0]
    assert codes(talk.ask([LOGON, LOGON, READ_1])) == [0, 10, 10]
    assert talk.tables.images[3] == bytes(5)


def test_rights_of_a_message_without_session_end_with_it() -> None:
    talk = Talk()
    assert codes(talk.ask([SECURITY, WRITE])) == [0, 0]
    assert codes(talk.ask([WRITE])) == [3]


@pytest.mark.parametrize("key_id", [6, None])
def test_rights_of_a_session_are_no_others_who_claim_its_title(key_id: int | None) -> None:
    talk = Talk()
    talk.ring.ciphers[6] = EaxPrime(bytes(16))
    assert codes(talk.ask([LOGON, SECURITY])) == [0, 0]
    other = lock(cipher=EaxPrime(bytes(16)), key_id=6) if key_id is not None else None
    for number, services in enumerate([[WRITE], [SECURITY], [LOGON]]):
        talk.offer(request(services, 500 + number, other))
    assert talk.tables.images[3] == bytes(5)
    assert codes(talk.ask([WRITE])) == [0], "who has logged on goes on"
    talk.tables.images[3] = bytes(5)
    assert codes(talk.ask([LOGOFF, LOGON])) == [0, 0]
    talk.offer(request([SECURITY], 600, other))
    assert codes(talk.ask([WRITE])) == [3], "the password of another's message"


def test_there_are_as_many_sessions_as_identify_says() -> None:
    talk = Talk(NodeSettings(demand_security=False, max_sessions=2))
    for number, code in ((20, 0), (21, 0), (22, 6)):
        calling = ApTitle((number,), True)
        [answer] = talk.offer(request([LOGON], calling=calling))
        assert items(answer)[0][0] == code
    answers = talk.ask([encode_request(Identify())])
    assert answers is not None and decode_identification(answers[0][1:]).sessions == 2


def test_disconnect_needs_the_right_a_trace_ends_here_and_resolve_is_not_a_devices() -> None:
    talk = Talk()
    disconnect = encode_service(Disconnect())
    assert codes(talk.ask([disconnect])) == [3] and not talk.tables.left
    assert codes(talk.ask([SECURITY, disconnect])) == [0, 0] and talk.tables.left == 1
    [traced] = talk.ask([encode_service(Trace((HOST,)))]) or ()
    assert decode_service(bytes([TRACE]) + traced[1:]) == Trace((HOST, METER))
    assert codes(talk.ask([encode_service(Resolve(METER))])) == [2]


def test_who_leaves_the_network_has_no_session_any_more() -> None:
    talk = Talk()
    assert codes(talk.ask([LOGON, SECURITY, encode_service(Disconnect())])) == [0, 0, 0]
    assert codes(talk.ask([LOGOFF])) == [10]


@pytest.mark.parametrize("octets", ["30 00", "31 0001 0000", "3f 0001 000000", "40 0001 0005 00"])
def test_parameters_that_are_ill_formed_are_iar(octets: str) -> None:
    assert codes(Talk().ask([bytes.fromhex(octets)])) == [ResponseCode.iar]


def test_the_context_of_a_request_is_echoed() -> None:
    [answer] = Talk().offer(vector("own-ident-with-context"))
    assert dissect(answer, {}.get)["aso_context"] == "2.16.124.113620.1.22"


def test_an_answer_with_one_item_less_lacks_that_of_security() -> None:
    talk = Talk()
    number = talk.host.request([SECURITY, READ_1], METER, "line", NOW_US, key_id=KEY_ID)
    read = b"\0" + block(b"x")
    octets = build_apdu(Envelope(9, HOST, METER, number), [read], lock())
    talk.host.receive("line", octets, NOW_US)
    assert talk.host.events() == [ResponseArrived(number, (b"\0", read), True, METER)]


@pytest.mark.parametrize("secured", [False, True])
def test_more_services_than_are_worked_for_one_request_are_refused_as_too_large(
    secured: bool,
) -> None:
    talk = Talk()
    write = encode_service(FullWrite(3, b"new"))
    asked = [encode_service(Identify())] * (MAX_SERVICES - 1) + [encode_service(FullRead(1))]
    answered = talk.ask(asked, secured=secured)
    assert answered is not None and len(answered) == MAX_SERVICES
    assert talk.ask([*asked, write], secured=secured) == (bytes.fromhex("0F00000200"),)
    assert talk.tables.images[3] == bytes(5) and talk.rejections() == ["too-many-services"]


@pytest.mark.parametrize(
    "one",
    [
        Security(b"SECRET".ljust(20)),
        NetworkSecurity(b"SECRET".ljust(20), 2),
        Authenticate(1, b"SECRET".ljust(8)),
        FullWrite(42, b"SECRET"),
        OffsetWrite(42, 0, b"SECRET"),
        IndexWrite(42, (0,), b"SECRET"),
        LogonSettings(password=b"SECRET"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_may_be_written_to_a_log_tells_no_password_and_no_octets_of_a_table(
    one: object,
) -> None:
    assert "SECRET" not in repr(one)
