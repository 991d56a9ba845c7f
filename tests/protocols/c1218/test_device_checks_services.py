"""Device checks D46 to D96: services, states and rights."""

from dataclasses import replace

import pytest

from protocols.c1218.device import DeviceChoices
from protocols.c1218.server import ServerOptions
from protocols.c1218.session import State
from protocols.datalink.packet import decode_packet
from protocols.psem.codes import ResponseCode
from protocols.psem.identification import Identification, parse_identification
from protocols.psem.services import Security
from tests.protocols.c1218.checks import CHOICE, CONFLICT, MEMORY, ONE, TWO, check
from tests.protocols.c1218.device_bench import (
    ACK,
    IDENTIFY,
    IMAGES,
    PASSWORD,
    DeviceBench,
    IndexedModel,
)

LOGON = b"\x50\0\1OPERATOR  "
SECURITY = b"\x51" + PASSWORD
OK, ERR, SNS, ISC, ONP, IAR, ISSS = (bytes([code]) for code in (0, 1, 2, 3, 4, 5, 10))
NEGOTIATE = bytes.fromhex("6100800406")


def block(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data + bytes([-sum(data) & 0xFF])


def read(table: int) -> bytes:
    return b"\x30" + table.to_bytes(2, "big")


def read_at(table: int, offset: int, count: int) -> bytes:
    head = b"\x3f" + table.to_bytes(2, "big") + offset.to_bytes(3, "big")
    return head + count.to_bytes(2, "big")


def write(table: int, data: bytes) -> bytes:
    return b"\x40" + table.to_bytes(2, "big") + block(data)


def in_every_state() -> list[DeviceBench]:
    return [DeviceBench(), DeviceBench().identified(), DeviceBench().logged_on()]


def refuses_outside(request: bytes, *states: State) -> None:
    """Hold that a request is isss, and changes nothing, in all but the given states."""
    for bench in in_every_state():
        state = bench.state
        if state not in states:
            assert bench.ask(request) == ISSS and bench.state is state


@check("D46 D48", TWO)
def test_identify_names_the_standard_and_its_version_in_a_list_that_ends() -> None:
    full = Identification(auth_type=1, auth_algorithm=0, device_class=b"SMOP", identity=b"SM000001")
    for options in (ServerOptions(version=2), ServerOptions(identification=full.encode())):
        bench = DeviceBench(options)
        answer = bench.ask("20")
        found = parse_identification(answer[1:])
        assert answer[:2] == b"\0\0" and found.ended and not found.rest and len(answer) <= 56
        assert bench.state is State.ID


@check("D47", TWO)
def test_identify_again_is_out_of_sequence_and_changes_nothing() -> None:
    refuses_outside(b"\x20", State.BASE)


@check("D49", CHOICE)
def test_a_request_of_a_wrong_length_is_acknowledged_and_refused() -> None:
    bench = DeviceBench()
    assert bench.ask("2000") == ERR and bench.state is State.BASE


@check("D50", TWO)
def test_logon_opens_a_session_in_id_state_only() -> None:
    bench = DeviceBench().identified()
    assert bench.ask(LOGON) == OK and bench.state is State.SESSION
    refuses_outside(LOGON, State.ID)


@check("D51", TWO)
def test_an_unknown_user_stays_outside() -> None:
    bench = DeviceBench().identified()
    assert bench.ask(b"\x50\xff\xff" + bytes(10)) == IAR and bench.state is State.ID


@check("D52", CHOICE)
@pytest.mark.parametrize("octets", [12, 14])
def test_a_logon_of_another_length_is_refused(octets: int) -> None:
    bench = DeviceBench().identified()
    assert bench.ask(LOGON.ljust(octets)[:octets]) == ERR and bench.state is State.ID


@check("D53", TWO)
def test_the_filling_of_the_user_name_does_not_matter() -> None:
    for filling in (b" ", b"\0"):
        bench = DeviceBench().identified()
        assert bench.ask(b"\x50\0\1" + b"ANN".ljust(10, filling)) == OK


@check("D54", TWO)
def test_the_right_password_opens_protected_tables() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(read(2050)) == ISC
    assert bench.ask(SECURITY) == OK
    assert bench.ask(read(2050)) == OK + block(IMAGES[2050])


@check("D55", TWO)
def test_a_wrong_password_gives_nothing_and_leaves_the_session_open() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(b"\x51" + b"guess".ljust(20)) == ERR
    assert bench.ask(read(2050)) == ISC and bench.state is State.SESSION


@check("D56", TWO)
def test_security_is_for_a_session_and_may_be_missing() -> None:
    refuses_outside(SECURITY, State.SESSION)
    without = ServerOptions(refusals={Security: ResponseCode.sns})
    assert DeviceBench(without).ask(SECURITY) == SNS
    assert DeviceBench(without).logged_on().ask(SECURITY) == SNS


@check("D57", TWO)
def test_tables_are_read_in_a_session_only() -> None:
    refuses_outside(read(0), State.SESSION)


@check("D58", TWO)
def test_a_read_answers_count_octets_and_checksum() -> None:
    answer = DeviceBench().logged_on().ask(read(0))
    assert answer == OK + b"\0\x28" + IMAGES[0] + answer[-1:]
    assert (sum(IMAGES[0]) + answer[-1]) % 256 == 0


@check("D59", TWO)
def test_an_unknown_table_is_inappropriate_whatever_the_rights() -> None:
    assert DeviceBench().logged_on().ask(read(999)) == IAR
    # Even where the request itself is malformed: the order of refusals.
    assert DeviceBench().logged_on().ask(read(999) + b"\0") == IAR


@check("D60", TWO)
def test_a_protected_table_needs_its_right() -> None:
    assert DeviceBench().logged_on().ask(read(2050)) == ISC
    assert DeviceBench().logged_on().ask(read_at(2050, 0, 1)[:-1]) == ISC


@check("D61", TWO)
def test_a_write_only_table_is_not_read() -> None:
    assert DeviceBench().logged_on().ask(read(7)) == IAR


@check("D62", TWO)
def test_an_offset_read_gives_exactly_its_slice() -> None:
    assert DeviceBench().logged_on().ask(read_at(0, 3, 4)) == OK + block(IMAGES[0][3:7])


@check("D63", CHOICE)
def test_a_slice_across_the_end_gives_what_exists_or_is_refused_by_choice() -> None:
    assert DeviceBench().logged_on().ask(read_at(0, 38, 9)) == OK + block(IMAGES[0][38:])
    strict = ServerOptions(choices=DeviceChoices(read_past_end=False))
    assert DeviceBench(strict).logged_on().ask(read_at(0, 38, 9)) == ONP


@check("D64", CHOICE)
def test_a_slice_behind_the_end_and_an_empty_one_are_not_possible() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(read_at(0, 40, 1)) == bench.ask(read_at(0, 0, 0)) == ONP
    other = ServerOptions(choices=DeviceChoices(zero_count=ResponseCode.iar))
    assert DeviceBench(other).logged_on().ask(read_at(0, 0, 0)) == IAR


@check("D65", TWO)
def test_an_offset_has_24_bits() -> None:
    answer = DeviceBench().logged_on().ask(read_at(70, 0x010002, 3))
    assert answer == OK + block(IMAGES[70][0x010002:0x010005])


@check("D66", TWO)
def test_a_table_that_does_not_fit_the_granted_packets_is_not_possible_at_once() -> None:
    bench = DeviceBench().negotiated(64, 2)
    assert bench.ask(read(70)) == ONP
    assert bench.ask(read_at(70, 0, 108)) == OK + block(IMAGES[70][:108])
    assert bench.ask(read_at(70, 0, 109)) == ONP


@check("D67", TWO)
def test_an_answer_of_57_octets_takes_two_packets_of_64() -> None:
    bench = DeviceBench().negotiated(64, 2)
    bench.answers.clear()
    assert bench.ask(read_at(70, 0, 53)) == OK + block(IMAGES[70][:53])
    assert [(p.ctrl & 0xC0, p.seq_nbr, len(p.data)) for p in bench.answers] == [
        (0xC0, 1, 56),
        (0x80, 0, 1),
    ]


@check("D68", TWO)
def test_index_reads_are_served_where_the_structure_is_known_and_else_not_supported() -> None:
    index_read = bytes.fromhex("31000000010002")
    assert DeviceBench().logged_on().ask(index_read) == SNS
    bench = DeviceBench(device=IndexedModel()).logged_on()
    assert bench.ask(index_read) == OK + block(IMAGES[0][2:6])
    by_octets = ServerOptions(choices=DeviceChoices(index_count_is_octets=True))
    counted = DeviceBench(by_octets, IndexedModel()).logged_on()
    assert counted.ask("31000000010003") == OK + block(IMAGES[0][2:5])
    for code in (0x3A, 0x3B, 0x3C, 0x3D, 0x4E):
        assert bench.ask(bytes([code]) + bytes(6)) == SNS
    assert bench.ask(bytes.fromhex("4100050001 0002 6869") + bytes([-0xD1 & 0xFF])) == OK
    assert bench.device.tables[5] == b"twhity octets stored"


@check("D69", CHOICE)
def test_the_default_read_is_answered_in_every_case() -> None:
    assert DeviceBench().logged_on().ask("3e") == SNS
    indexed = DeviceBench(device=IndexedModel()).logged_on()
    assert indexed.ask("3e") == OK + block(IMAGES[0])


@check("D70", CHOICE)
def test_an_index_read_of_a_wrong_length_is_not_possible() -> None:
    bench = DeviceBench(device=IndexedModel()).logged_on()
    assert bench.ask("310000000100") == ONP
    assert bench.ask("31000000ff0001") == ONP


@check("D71", TWO)
def test_what_was_written_is_read_back() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(write(5, b"w" * 20)) == OK
    assert bench.ask(read(5)) == OK + block(b"w" * 20)


@check("D72", CHOICE)
def test_a_wrong_table_checksum_is_acknowledged_refused_and_changes_nothing() -> None:
    wrong = write(5, b"w" * 20)[:-1] + b"\1"
    bench = DeviceBench().logged_on()
    assert bench.ask(wrong) == ERR and bench.device.tables[5] == IMAGES[5]
    chosen = ServerOptions(choices=DeviceChoices(bad_checksum=ResponseCode.onp))
    assert DeviceBench(chosen).logged_on().ask(wrong) == ONP


@check("D73", TWO)
def test_a_count_that_differs_from_the_octets_is_not_possible() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(write(5, b"w" * 20) + b"\0") == ONP
    assert bench.ask(write(5, b"w" * 19)) == ONP and bench.device.tables[5] == IMAGES[5]


@check("D74", TWO)
def test_a_read_only_table_is_inappropriate_and_a_missing_right_is_named_first() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(write(0, IMAGES[0])) == IAR == bench.ask(write(999, b"x"))
    assert bench.ask(write(2050, IMAGES[2050])) == ISC
    # Even where the request itself is malformed: the order of refusals.
    assert bench.ask(write(999, b"x") + b"\0") == IAR
    assert bench.ask(write(2050, b"x")[:-1] + b"\0") == ISC


@check("D75", TWO)
def test_an_offset_write_changes_its_octets_or_nothing() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(bytes.fromhex("4f0005000002") + block(b"??")) == OK
    assert bench.device.tables[5] == b"tw??ty octets stored"
    assert bench.ask(bytes.fromhex("4f0005000013") + block(b"??")) == ONP
    assert bench.device.tables[5] == b"tw??ty octets stored"


@check("D76", TWO)
def test_a_write_that_the_line_doubled_is_carried_out_once() -> None:
    bench = DeviceBench().logged_on()
    request = bench.request(write(5, b"w" * 20))
    bench.put(request, request)
    bench.put(ACK)
    bench.put(request)
    assert len(bench.device.writes) == 1


@check("D77", TWO)
def test_negotiate_answers_what_is_granted_never_more_than_asked() -> None:
    assert DeviceBench().identified().ask("6101000106") == bytes.fromhex("0001000106")
    small = ServerOptions(max_packet_octets=128, max_packets=3)
    assert DeviceBench(small).identified().ask("610400ff06") == bytes.fromhex("0000800306")


@check("D78", TWO)
def test_negotiate_without_a_speed_answers_the_present_one() -> None:
    assert DeviceBench().identified().ask("60008004") == bytes.fromhex("0000800406")


@check("D79", TWO)
def test_negotiate_with_unknown_speeds_only_keeps_the_present_one() -> None:
    assert DeviceBench().identified().ask("62008004550d") == bytes.fromhex("0000800406")


@check("D80", TWO)
def test_a_new_speed_begins_with_the_acknowledgment_of_its_answer() -> None:
    bench = DeviceBench().identified()
    got = bench.put(bench.request(bytes.fromhex("63008004060a0b")))
    assert decode_packet(got[1:]).data == bytes.fromhex("000080040a") and bench.bauds == []
    assert bench.put(ACK) == b"" and bench.bauds == [57600]
    assert bench.server.limits.packet_octets == 128


@check("D81", CHOICE)
def test_a_new_speed_whose_answer_nobody_acknowledges_never_begins() -> None:
    bench = DeviceBench().identified()
    answer = bench.put(bench.request(bytes.fromhex("610080040a")))[1:]
    assert bench.wait(7) == answer * 3 and bench.state is State.ID
    assert bench.wait(2) == b"" and bench.state is State.BASE and bench.bauds == []


@check("D82", TWO)
def test_negotiate_is_for_id_state() -> None:
    refuses_outside(NEGOTIATE, State.ID)


@check("D83", CHOICE)
def test_a_malformed_negotiate_changes_nothing() -> None:
    bench = DeviceBench().identified()
    for request in ("6100800006", "6100000406", "6300800406", "600080"):
        assert bench.ask(request) == ERR
    assert bench.server.limits.packet_octets == 64


@check("D84", TWO)
def test_the_defaults_return_with_base() -> None:
    for ends_by_request in (True, False):
        bench = DeviceBench().identified()
        assert bench.ask("610080040a") == bytes.fromhex("000080040a")
        if ends_by_request:
            assert bench.ask("21") == OK
        else:
            bench.wait(6.1)
        assert bench.state is State.BASE and bench.bauds == [57600, 9600]
        assert (bench.server.limits.packet_octets, bench.server.limits.packets) == (64, 1)


@check("D85", TWO)
def test_wait_stretches_the_silence_that_ends_a_session() -> None:
    for bench in (DeviceBench().identified(), DeviceBench().logged_on()):
        state = bench.state
        assert bench.ask("701e") == OK
        bench.wait(25)
        assert bench.state is state
        bench.wait(6)
        assert bench.state is State.BASE


@check("D86", TWO)
def test_wait_is_not_for_base() -> None:
    refuses_outside(b"\x70\x1e", State.ID, State.SESSION)


@check("D87", MEMORY)
def test_wait_holds_for_one_idle_time_or_by_choice_until_the_session_ends() -> None:
    lasting = ServerOptions(choices=DeviceChoices(wait_once=False))
    for options, state in ((None, State.BASE), (lasting, State.SESSION)):
        bench = DeviceBench(options).logged_on()
        assert bench.ask("701e") == OK
        bench.wait(20)
        bench.ask(read(0))
        bench.wait(7)
        assert bench.state is state
    shorter = DeviceBench().logged_on()
    assert shorter.ask("7001") == OK
    shorter.wait(5)
    assert shorter.state is State.SESSION


@check("D88", ONE)
def test_logoff_takes_the_rights_and_keeps_what_was_negotiated() -> None:
    bench = DeviceBench().negotiated(128, 4)
    bench.ask(SECURITY)
    assert bench.ask("52") == OK and bench.state is State.ID and not bench.device.trusted
    assert bench.server.limits.packet_octets == 128
    assert bench.ask(LOGON) == OK and bench.ask(read(2050)) == ISC


@check("D89", TWO)
def test_logoff_is_for_a_session() -> None:
    refuses_outside(b"\x52", State.SESSION)


@check("D90", CONFLICT)
def test_terminate_leads_to_base_once_its_answer_was_acknowledged() -> None:
    for bench in (DeviceBench().identified(), DeviceBench().logged_on()):
        state = bench.state
        assert decode_packet(bench.put(bench.request(b"\x21"))[1:]).data == OK
        assert bench.state is state
        bench.put(ACK)
        assert bench.state is State.BASE
    assert DeviceBench().ask("21") == OK
    other = ServerOptions(choices=DeviceChoices(terminate_in_base=ResponseCode.isss))
    assert DeviceBench(other).ask("21") == ISSS


@check("D91", TWO)
def test_services_of_the_telephone_variant_are_not_supported_in_any_state() -> None:
    for bench in in_every_state():
        for request in ("22", "530900" + "00" * 8, "711e010403"):
            assert bench.ask(request) == SNS


@check("D92", CHOICE)
@pytest.mark.parametrize("code", [0x00, 0x1F, 0x23, 0x7F, 0x80, 0xFF])
def test_a_code_that_is_no_request_is_not_supported(code: int) -> None:
    for bench in in_every_state():
        assert bench.ask(bytes([code])) == SNS


@check("D93", TWO)
def test_the_answer_of_a_procedure_repeats_its_selector_and_number() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(write(7, b"\x03\0\x2a")) == OK
    assert bench.ask(read(8)) == OK + block(b"\x03\0\x2a\0")


@check("D94", TWO)
def test_an_unknown_procedure_is_taken_and_answered_with_6() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(write(7, b"\x63\0\x2a")) == OK
    assert bench.ask(read(8)) == OK + block(b"\x63\0\x2a\6")


@check("D95", TWO)
def test_a_second_client_waits_until_the_first_one_s_session_has_timed_out() -> None:
    bench = DeviceBench().logged_on()
    bench.toggle = bench.answers and 0
    assert bench.ask("20") == ISSS
    bench.wait(6.1)
    bench.toggle = 0
    assert bench.ask("20")[:1] == OK


@check("D96", TWO)
def test_rights_do_not_outlive_their_session() -> None:
    bench = DeviceBench().logged_on(trusted=True)
    assert bench.ask("21") == OK
    bench.toggle = 0
    assert bench.logged_on().ask(read(2050)) == ISC


def test_an_identify_that_comes_again_after_its_answer_was_acknowledged_is_answered_anew() -> None:
    bench = DeviceBench()
    first = bench.put(IDENTIFY)
    bench.put(ACK)
    again = bench.put(IDENTIFY)
    assert decode_packet(again[1:]).data == decode_packet(first[1:]).data
    assert bench.state is State.ID


def test_copies_that_arrive_in_one_piece_are_answered_once() -> None:
    got = DeviceBench().put(IDENTIFY, IDENTIFY, IDENTIFY)
    assert got[:1] == ACK and decode_packet(got[1:]).data[:1] == OK


def test_copies_of_an_identify_that_comes_for_an_acknowledgment_are_answered_once() -> None:
    bench = DeviceBench().logged_on()
    bench.put(bench.request(b"\x21"))
    got = bench.put(IDENTIFY, IDENTIFY)
    assert got[:1] == ACK and decode_packet(got[1:]).data[:1] == OK


def test_an_answer_is_never_later_than_the_turn_around() -> None:
    bench = DeviceBench().logged_on()
    for code in (ResponseCode.bsy, ResponseCode.dnr):
        bench.device.refuses = code
        begun_us = bench.now_us
        assert bench.ask(read(0)) == bytes([code])
        assert bench.now_us - begun_us <= 2_000
    bench.device.refuses = None
    assert bench.ask(read(0))[:1] == OK


def test_a_device_may_end_a_session_by_itself() -> None:
    bench = DeviceBench().logged_on(trusted=True)
    bench.server.terminate(bench.now_us)
    packet = decode_packet(bench.wait(0.001))
    assert packet.data == b"\x21"
    bench.put(ACK)
    assert bench.put(bench.request(OK)) == ACK
    assert bench.state is State.BASE and not bench.device.trusted


def test_a_long_message_keeps_its_session_while_it_comes() -> None:
    bench = DeviceBench(replace(ServerOptions(), max_packets=254)).negotiated(64, 10)
    request = write(5, b"w" * 20)
    pieces = bench.pieces(*(request[at : at + 3] for at in range(0, len(request), 3)))
    for piece in pieces[:-1]:
        assert bench.put(piece) == ACK
        bench.wait(1.9)
    assert decode_packet(bench.put(pieces[-1])[1:]).data == OK
