"""Device checks D01 to D45: what a device does with octets, packets and silence."""

from itertools import pairwise

import pytest

from protocols.c1218.device import DeviceChoices
from protocols.c1218.server import ServerOptions
from protocols.c1218.session import State
from protocols.datalink.packet import FIRST, MULTI, TOGGLE, Packet, decode_packet
from protocols.datalink.timing import LinkChoices
from protocols.quirks import Quirk
from tests.protocols.c1218.checks import CHOICE, CONFLICT, ONE, TWO, check
from tests.protocols.c1218.device_bench import ACK, IDENTIFY, NAK, DeviceBench

IDENTIFICATION = bytes.fromhex("0000010000")
READ_5 = bytes.fromhex("300005")
WRITE_5 = bytes.fromhex("400005") + b"\0\x14" + b"2" * 20 + bytes([-sum(b"2" * 20) & 0xFF])


def answer_of(got: bytes) -> bytes:
    """Give the message of an ACK and one packet."""
    assert got[:1] == ACK
    return decode_packet(got[1:]).data


def damaged(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 4]) + octets[at + 1 :]


@check("D01", TWO)
def test_a_device_that_hears_nothing_says_nothing_and_stays_in_base() -> None:
    bench = DeviceBench()
    assert bench.wait(60) == b""
    assert bench.state is State.BASE and bench.bauds == []
    assert (bench.server.limits.packet_octets, bench.server.limits.packets) == (64, 1)
    assert bench.server.limits.baud == 9600


@check("D02", TWO)
def test_identify_is_acknowledged_and_answered_in_a_packet_with_its_checksum_low_first() -> None:
    got = DeviceBench().put(IDENTIFY)
    assert answer_of(got) == IDENTIFICATION
    assert got[1:] == bytes.fromhex("ee0000000005 0000010000 c6b5")


@check("D03", TWO)
def test_the_first_packet_may_carry_either_toggle() -> None:
    got = DeviceBench().put(bytes.fromhex("ee0020000001208270"))
    assert answer_of(got) == IDENTIFICATION


@check("D04", TWO)
def test_octets_that_are_no_packet_are_dropped_in_silence() -> None:
    bench = DeviceBench()
    assert bench.put(bytes.fromhex("00ff550615")) == b""
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION


@check("D05", TWO)
def test_noise_right_before_a_packet_is_skipped() -> None:
    assert answer_of(DeviceBench().put(b"\0\xff\x55", IDENTIFY)) == IDENTIFICATION


@check("D06", TWO)
def test_a_packet_is_delimited_by_its_length_alone() -> None:
    bench = DeviceBench().logged_on()
    data = b"\xee\x06\x15\xee" * 5
    write = bytes.fromhex("4000050014") + data + bytes([-sum(data) & 0xFF])
    assert bench.ask(write) == b"\0"
    assert bench.device.tables[5][:20] == data[:20]


@check("D07 D08", TWO)
@pytest.mark.parametrize("at", [6, 7, 8], ids=["data", "checksum low", "checksum high"])
def test_a_damaged_packet_is_refused_and_not_executed(at: int) -> None:
    bench = DeviceBench()
    assert bench.put(damaged(IDENTIFY, at)) == NAK
    assert bench.state is State.BASE


@check("D09", TWO)
def test_a_checksum_sent_high_octet_first_is_refused_unless_that_is_tolerated() -> None:
    swapped = Packet(b"\x20").encode(crc_swapped=True)
    assert DeviceBench().put(swapped) == NAK
    tolerant = DeviceBench(ServerOptions(tolerates=frozenset({Quirk.CRC_SWAPPED})))
    got = tolerant.put(swapped)
    assert got[:1] == ACK and decode_packet(got[1:], crc_swapped=True).data == IDENTIFICATION


@check("D10", TWO)
def test_the_unreflected_checksum_is_refused() -> None:
    assert DeviceBench().put(bytes.fromhex("ee0000000001 20 ccf6")) == NAK


@check("D11", TWO)
def test_a_refused_packet_is_not_remembered() -> None:
    bench = DeviceBench()
    assert bench.put(damaged(IDENTIFY, 6)) == NAK
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION


@check("D12", CONFLICT)
def test_a_packet_that_stops_in_its_header_is_refused_after_half_a_second() -> None:
    bench = DeviceBench()
    assert bench.put(IDENTIFY[:4]) == b"" and bench.wait(0.49) == b""
    assert bench.wait(0.02) == NAK
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION
    silent = DeviceBench(ServerOptions(link_choices=LinkChoices(nak_incomplete_header=False)))
    silent.put(IDENTIFY[:4])
    assert silent.wait(1) == b"" and answer_of(silent.put(IDENTIFY)) == IDENTIFICATION


@check("D13", TWO)
def test_a_packet_without_its_last_octet_is_refused_after_half_a_second() -> None:
    bench = DeviceBench()
    assert bench.put(IDENTIFY[:-1]) == b"" and bench.wait(0.49) == b""
    assert bench.wait(0.02) == NAK


@check("D14", TWO)
def test_gaps_below_half_a_second_do_not_break_a_packet() -> None:
    bench, got = DeviceBench(), b""
    for octet in IDENTIFY:
        got += bench.put(bytes([octet])) + bench.wait(0.4)
    assert answer_of(got) == IDENTIFICATION


@check("D15", CHOICE)
def test_a_packet_without_data_is_refused() -> None:
    bench = DeviceBench()
    assert bench.put(bytes.fromhex("ee00000000003e4c")) + bench.wait(1.1) == NAK


@check("D16", CHOICE)
def test_a_packet_above_the_size_in_force_is_refused_once_the_line_is_quiet() -> None:
    bench = DeviceBench()
    assert bench.put(Packet(bytes([0x40] * 57)).encode()) == b""
    assert bench.wait(1.1) == NAK
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION


@check("D17", TWO)
def test_a_packet_of_exactly_64_octets_is_taken_before_negotiate() -> None:
    bench = DeviceBench().logged_on()
    octets = Packet(b"\x40\0\5\0\x32" + bytes(51), bench.toggle).encode()
    assert len(octets) == 64 and answer_of(bench.put(octets)) == b"\x04"


@check("D18", TWO)
def test_an_absurd_length_neither_hangs_the_device_nor_takes_memory() -> None:
    bench = DeviceBench()
    assert bench.put(bytes.fromhex("ee00000000ffff")) == b""
    for _ in range(20):  # the line does not become quiet
        bench.put(bytes(100))
        if bench.wait(0.1) == NAK:
            break
    else:
        raise AssertionError("never refused")
    assert bench.now_us < 3_500_000
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION


@check("D19", CHOICE)
def test_reserved_control_bits_are_ignored() -> None:
    assert answer_of(DeviceBench().put(Packet(b"\x20", 0x1C).encode())) == IDENTIFICATION


@check("D20", ONE)
@pytest.mark.parametrize("data_format", [1, 2, 3])
def test_packets_of_another_protocol_are_not_processed(data_format: int) -> None:
    bench = DeviceBench()
    assert bench.put(Packet(b"\x20", data_format).encode()) == NAK
    assert bench.state is State.BASE


@check("D21", CHOICE)
def test_a_first_packet_of_one_is_refused() -> None:
    bench = DeviceBench()
    assert bench.put(Packet(b"\x20", FIRST).encode()) == NAK and bench.state is State.BASE


@check("D22", CHOICE)
def test_a_single_packet_with_others_to_follow_is_refused() -> None:
    bench = DeviceBench()
    assert bench.put(Packet(b"\x20", 0, 6).encode()) == NAK and bench.state is State.BASE


@check("D23", TWO)
def test_a_copy_of_the_last_packet_is_acknowledged_and_not_executed_again() -> None:
    bench = DeviceBench().logged_on()
    request = bench.request(WRITE_5)
    assert answer_of(bench.put(request)) == b"\0"
    bench.put(ACK)
    assert bench.put(request) == ACK
    assert len(bench.device.writes) == 1


@check("D24", TWO)
def test_a_copy_of_the_request_asks_for_the_unacknowledged_answer_again() -> None:
    bench = DeviceBench().identified()
    request = bench.request(b"\x50\0\1" + bytes(10))
    first = bench.put(request)
    bench.wait(0.5)
    assert bench.put(request) == first
    assert bench.put(ACK) == b"" and bench.state is State.SESSION


@check("D25", TWO)
def test_the_toggle_alone_does_not_make_a_copy() -> None:
    bench = DeviceBench().logged_on()
    bench.ask(READ_5)
    bench.toggle ^= TOGGLE
    assert bench.ask(bytes.fromhex("300001"))[:1] == b"\0"


@check("D26", TWO)
def test_the_same_request_with_the_other_toggle_is_executed_again() -> None:
    bench = DeviceBench().logged_on()
    assert bench.ask(WRITE_5) == b"\0" == bench.ask(WRITE_5)
    assert len(bench.device.writes) == 2


@check("D27", CHOICE)
def test_after_the_time_out_the_very_same_identify_is_answered_in_full() -> None:
    bench = DeviceBench()
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION
    bench.put(ACK)
    bench.wait(6.1)
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION


@check("D28", TWO)
def test_after_terminate_an_identify_with_the_same_toggle_is_answered() -> None:
    bench = DeviceBench().identified()
    bench.toggle = 0
    assert bench.ask("21") == b"\0"
    assert answer_of(bench.put(IDENTIFY)) == IDENTIFICATION


def test_an_identify_repeated_in_an_open_session_is_refused_each_time() -> None:
    bench = DeviceBench().logged_on()
    for _ in range(3):  # a client that comes after a crash, and starts over with its toggle
        assert answer_of(bench.put(IDENTIFY)) == b"\x0a"
        assert bench.put(ACK) == b"" and bench.state is State.SESSION


@check("D29", TWO)
def test_an_unacknowledged_answer_is_repeated_three_times_and_then_the_session_ends() -> None:
    bench = DeviceBench()
    answer = bench.put(IDENTIFY)[1:]
    assert bench.wait(1.9) == b"" and bench.wait(0.2) == answer
    assert bench.wait(4) == answer * 2 and bench.state is State.ID
    assert bench.wait(2.1) == b"" and bench.state is State.BASE


@check("D30", TWO)
def test_a_nak_asks_for_the_answer_again_within_the_same_limit() -> None:
    bench = DeviceBench()
    answer = bench.put(IDENTIFY)[1:]
    for _ in range(3):
        assert bench.put(NAK) == answer
    assert bench.put(NAK) == b"" and bench.state is State.BASE


@check("D31", CHOICE)
def test_other_octets_while_an_acknowledgment_is_due_are_ignored() -> None:
    bench = DeviceBench()
    answer = bench.put(IDENTIFY)[1:]
    assert bench.put(b"\0\xff\x20\x55") == b""
    assert bench.wait(2) == answer
    assert bench.put(ACK) == b"" and bench.state is State.ID


@check("D32", CHOICE)
def test_a_new_request_instead_of_an_acknowledgment_is_taken() -> None:
    bench = DeviceBench()
    bench.put(IDENTIFY)
    got = bench.put(Packet(b"\x50\0\1" + bytes(10), TOGGLE).encode())
    assert answer_of(got) == b"\0" and bench.state is State.SESSION


@check("D33", TWO)
def test_acknowledgments_that_nobody_waits_for_are_ignored() -> None:
    bench = DeviceBench().identified()
    assert bench.put(ACK, NAK, ACK) == b"" and bench.state is State.ID


@check("D34", TWO)
def test_each_new_answer_has_the_other_toggle() -> None:
    bench = DeviceBench().logged_on()
    for _ in range(4):
        bench.ask(READ_5)
    toggles = [packet.ctrl & TOGGLE for packet in bench.answers]
    assert len(toggles) > 4 and all(one != other for one, other in pairwise(toggles))


@check("D35", TWO)
def test_nothing_is_sent_before_the_turn_around_delay() -> None:
    bench = DeviceBench()
    bench.server.receive(IDENTIFY, bench.now_us)
    assert bench.server.outgoing() == b""
    assert bench.server.deadline_us() == bench.now_us + 175
    bench.server.expire(bench.now_us + 174)
    assert bench.server.outgoing() == b""
    bench.server.expire(bench.now_us + 175)
    assert bench.server.outgoing()[:1] == ACK


@check("D36", TWO)
def test_six_seconds_without_traffic_end_the_session_without_a_word() -> None:
    bench = DeviceBench().negotiated(128, 4)
    bench.ask(b"\x51" + b"secret".ljust(20))
    assert bench.device.trusted and bench.server.limits.packets == 4
    assert bench.wait(6.1) == b""
    assert bench.state is State.BASE and not bench.device.trusted
    assert (bench.server.limits.packet_octets, bench.server.limits.packets) == (64, 1)


@check("D37", TWO)
def test_traffic_every_five_seconds_keeps_the_session() -> None:
    bench = DeviceBench().logged_on()
    for _ in range(6):
        bench.wait(5)
        assert bench.ask(READ_5)[:1] == b"\0"


@check("D38", CHOICE)
def test_broken_packets_do_not_keep_a_session_unless_they_are_taken_for_traffic() -> None:
    lenient = ServerOptions(choices=DeviceChoices(bad_packets_are_traffic=True))
    for options, state in ((None, State.BASE), (lenient, State.ID)):
        bench = DeviceBench(options).identified()
        for _ in range(7):
            bench.wait(1)
            assert bench.put(damaged(IDENTIFY, 6)) == NAK
        assert bench.state is state


@check("D39", TWO)
def test_a_request_of_two_packets_is_acknowledged_twice_and_answered_once() -> None:
    bench = DeviceBench().negotiated(64, 4)
    one, two = bench.pieces(WRITE_5[:20], WRITE_5[20:], toggle=bench.toggle)
    assert bench.put(one) == ACK
    assert answer_of(bench.put(two)) == b"\0" and len(bench.device.writes) == 1


@check("D40", TWO)
def test_a_damaged_second_packet_is_refused_and_its_repetition_taken() -> None:
    bench = DeviceBench().negotiated(64, 4)
    one, two = bench.pieces(WRITE_5[:20], WRITE_5[20:], toggle=bench.toggle)
    assert bench.put(one) == ACK and bench.put(damaged(two, 9)) == NAK
    assert answer_of(bench.put(two)) == b"\0" and len(bench.device.writes) == 1


@check("D41", CONFLICT)
def test_a_following_packet_without_a_first_is_refused() -> None:
    bench = DeviceBench().negotiated(64, 4)
    _, two = bench.pieces(WRITE_5[:20], WRITE_5[20:], toggle=bench.toggle)
    assert bench.put(two) == NAK and not bench.device.writes


@check("D42", CONFLICT)
def test_a_skipped_packet_drops_the_message() -> None:
    bench = DeviceBench().negotiated(64, 4)
    pieces = bench.pieces(WRITE_5[:9], WRITE_5[9:18], WRITE_5[18:], toggle=bench.toggle)
    assert bench.put(pieces[0]) == ACK and bench.put(pieces[2]) == NAK
    assert bench.put(pieces[1]) == NAK and not bench.device.writes
    yielding = ServerOptions(link_choices=LinkChoices(nak_out_of_sequence=False))
    bench = DeviceBench(yielding).negotiated(64, 4)
    assert bench.put(pieces[2]) == ACK and bench.wait(1) == b"" and not bench.device.writes


@check("D43", ONE)
def test_a_single_request_after_a_first_packet_replaces_the_message() -> None:
    bench = DeviceBench().negotiated(64, 4)
    one, two = bench.pieces(WRITE_5[:20], WRITE_5[20:], toggle=bench.toggle)
    assert bench.put(one) == ACK
    bench.toggle ^= TOGGLE
    assert bench.ask(READ_5)[:1] == b"\0"
    assert bench.put(two) == NAK and not bench.device.writes


@check("D44", ONE)
def test_more_packets_than_negotiated_are_refused() -> None:
    bench = DeviceBench().negotiated(64, 2)
    first = Packet(WRITE_5[:9], MULTI | FIRST | bench.toggle, 2).encode()
    assert bench.put(first) == NAK


@check("D45", CHOICE)
def test_any_identity_is_answered_with_itself() -> None:
    got = DeviceBench().put(Packet(b"\x20", identity=5).encode())
    assert answer_of(got) == IDENTIFICATION and decode_packet(got[1:]).identity == 5
