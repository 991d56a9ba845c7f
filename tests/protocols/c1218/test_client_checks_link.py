"""Client checks C02 to C35: packets, acknowledgments, silence and noise."""

from collections.abc import Iterator

import pytest

from protocols.c1218.client import ClientOptions, EndedByMeter
from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import LogonSettings, open_session, read_table, write_table
from protocols.c1218.steps import Script
from protocols.datalink.packet import FIRST, MULTI, TOGGLE, Packet
from protocols.errors import (
    LinkError,
    LocalProtocolError,
    NotAcknowledged,
    NotAnswered,
    OutcomeUnknown,
    SessionEnded,
)
from protocols.psem.services import FullRead, Identify, Request, Response
from protocols.quirks import Quirk
from tests.protocols.c1218.checks import CHOICE, CONFLICT, ONE, TWO, check
from tests.protocols.c1218.client_bench import ACK, NAK, ClientBench, message_of, toggle_of
from tests.protocols.c1218.device_bench import IDENTIFY

IDENTIFICATION = "000000010000"[2:]
OK_5 = b"\0\0\5hello" + bytes([-sum(b"hello") & 0xFF])


def ask(request: Request) -> Iterator[Request]:
    """A script of one request."""
    return (yield request)  # type: ignore[return-value]


def reading(**options: object) -> tuple[ClientBench, bytes]:
    """Give a client that has just sent a Read of table 5, and its packet."""
    bench = ClientBench(ClientOptions(**options))  # type: ignore[arg-type]
    return bench, bench.run(read_table(5, bench.client.limits))


@check("C02", TWO)
def test_the_first_packet_is_identify_with_its_checksum_low_octet_first() -> None:
    bench = ClientBench()
    assert bench.run(ask(Identify())) == IDENTIFY


@check("C03", TWO)
def test_each_new_packet_has_the_other_toggle() -> None:
    bench = ClientBench()
    said, toggles = bench.open(LogonSettings()), []
    for answer in ("0000010000", "0004008006", "00"):
        toggles.append(toggle_of(said))
        said = bench.replies(answer)
    assert toggles == [0, TOGGLE, 0]


@check("C04", TWO)
def test_acknowledgment_and_answer_may_come_in_one_piece() -> None:
    bench, _ = reading()
    assert bench.hear(ACK + bench.answer(OK_5)) == ACK and bench.result == b"hello"


@check("C05", TWO)
def test_an_answer_may_come_octet_by_octet() -> None:
    bench, _ = reading()
    assert bench.hear(ACK) == b""
    said = b""
    for octet in bench.answer(OK_5):
        said += bench.wait(0.1) + bench.hear(bytes([octet]))
    assert said == ACK and bench.result == b"hello"


@check("C06", TWO)
def test_an_answer_is_acknowledged_once_after_the_turn_around() -> None:
    bench, _ = reading()
    bench.client.receive(ACK + bench.answer(OK_5), bench.now_us)
    assert bench.client.outgoing() == b"" and bench.client.deadline_us() == bench.now_us + 175
    assert bench.wait(0.01) == ACK and bench.wait(5) == b""


@check("C07", TWO)
def test_a_damaged_answer_is_refused_and_its_repetition_taken() -> None:
    bench, _ = reading()
    answer = bench.answer(OK_5)
    assert bench.hear(ACK, answer[:-1], b"\xff") == NAK
    assert bench.hear(answer) == ACK and bench.result == b"hello"


@check("C08", TWO)
def test_an_answer_that_stops_is_refused_after_half_a_second() -> None:
    bench, _ = reading()
    assert bench.hear(ACK, bench.answer(OK_5)[:-3]) == b""
    assert bench.wait(0.45) == b"" and bench.wait(0.1) == NAK


@check("C09", TWO)
def test_a_refused_request_is_repeated_octet_by_octet() -> None:
    bench, request = reading()
    assert bench.hear(NAK) == request


@check("C10", TWO)
def test_a_request_that_nobody_acknowledges_is_repeated_after_two_seconds() -> None:
    bench, request = reading()
    assert bench.wait(1.9) == b"" and bench.wait(0.2) == request


@check("C11", TWO)
def test_refusals_and_silence_count_together_up_to_four_transmissions() -> None:
    bench, request = reading()
    assert bench.hear(NAK) == request and bench.wait(2.1) == request
    assert bench.hear(NAK) == request
    assert bench.hear(NAK) == b"" and type(bench.error) is NotAcknowledged


def test_a_write_whose_copies_were_refused_but_for_one_has_an_unknown_outcome() -> None:
    bench = ClientBench()
    request = bench.run(write_table(5, b"hello", bench.client.limits))
    assert bench.wait(2.1) == request, "of the first copy nothing is known"
    assert bench.hear(NAK) == bench.hear(NAK) == request
    assert bench.hear(NAK) == b"" and isinstance(bench.error, OutcomeUnknown)


@check("C12", TWO)
def test_after_a_link_error_the_old_request_is_forgotten() -> None:
    bench, _ = reading()
    bench.wait(9)
    assert isinstance(bench.error, NotAcknowledged) and bench.wait(30) == b""
    assert bench.open(LogonSettings()) == IDENTIFY


@check("C13 C14", TWO)
def test_noise_around_the_acknowledgment_is_ignored() -> None:
    bench, _ = reading()
    assert bench.hear(b"\0\xff", ACK, b"\x81\0", bench.answer(OK_5)) == ACK
    assert bench.result == b"hello" and "Q2" in bench.met


@check("C15", ONE)
def test_an_echo_is_found_out_and_from_then_on_removed() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(negotiate=False))
    said = bench.hear(said, ACK, bench.answer(IDENTIFICATION))
    assert said[:1] == ACK and message_of(said[1:])[0] == 0x50 and "Q3" in bench.met
    assert bench.hear(said[:1], said[1:]) == b"" and bench.ended is None
    assert bench.wait(2.1) == said[1:], "an ACK of ours that comes back acknowledges nothing"
    assert bench.hear(said[1:], ACK, bench.answer("00")) == ACK
    bench.run(read_table(5, bench.client.limits))
    assert bench.ended is None


@check("C16", CHOICE)
def test_an_own_packet_that_comes_back_is_no_answer_even_without_the_filter() -> None:
    bench, request = reading(strict=frozenset({Quirk.ECHO}))
    assert bench.hear(request) == b"" and bench.ended is None
    assert bench.hear(ACK, bench.answer(OK_5)) == ACK and bench.result == b"hello"


@check("C17", CHOICE)
def test_an_answer_whose_acknowledgment_was_lost_is_taken_as_both() -> None:
    bench, _ = reading()
    assert bench.hear(bench.answer(OK_5)) == ACK and bench.result == b"hello"
    assert "Q5" in bench.met


@check("C17", CHOICE)
def test_a_strict_client_drops_such_an_answer_and_repeats_its_request() -> None:
    bench, request = reading(strict=frozenset({Quirk.IMPLIED_ACK}))
    answer = bench.answer(OK_5)
    assert bench.hear(answer) == b"" and bench.wait(2.1) == request
    assert bench.hear(ACK, answer) == ACK and bench.result == b"hello"


@check("C18", TWO)
def test_a_copy_of_the_last_answer_is_acknowledged_and_dropped() -> None:
    bench, _ = reading()
    answer = bench.answer(OK_5)
    bench.hear(ACK, answer)
    bench.run(read_table(6, bench.client.limits))
    assert bench.hear(answer) == ACK and bench.ended is None
    said = bench.hear(ACK, bench.answer(b"\0\0\1x\x88")) + bench.wait(0.02)
    assert said == ACK and bench.result == b"x" and "Q28" in bench.met  # it answers slower now


@check("C19", TWO)
def test_an_answer_with_the_last_toggle_and_another_checksum_is_new() -> None:
    bench, _ = reading()
    bench.hear(ACK, bench.answer(OK_5))
    bench.run(read_table(6, bench.client.limits))
    bench.toggle ^= TOGGLE
    assert bench.hear(ACK, bench.answer(b"\0\0\1x\x88")) == ACK and bench.result == b"x"
    assert "Q7" in bench.met


@check("C20", CHOICE)
def test_a_meter_whose_toggle_never_changes_is_understood_even_where_answers_are_equal() -> None:
    bench = ClientBench()
    bench.toggle = 0
    bench.open(LogonSettings(password=b"p", negotiate=False))
    for answer in (IDENTIFICATION, "00", "00"):
        bench.toggle = 0
        assert bench.ended is None
        bench.replies(answer)
    assert bench.result.password_accepted and {"Q7", "Q8"} <= bench.met


@check("C21", CHOICE)
def test_an_answer_with_another_identity_is_accepted_on_the_optical_port() -> None:
    bench, _ = reading()
    assert bench.hear(ACK, Packet(OK_5, TOGGLE, 0, 5).encode()) == ACK and bench.result == b"hello"


@check("C22", CHOICE)
def test_packets_longer_than_expected_are_taken_or_refused_by_choice() -> None:
    data = bytes(100)
    long = Packet(b"\0\0\x64" + data + b"\0", TOGGLE).encode()
    bench, _ = reading()
    assert bench.hear(ACK, long) == ACK and bench.result == data and "Q14" in bench.met
    bench, _ = reading(strict=frozenset({Quirk.LONG_UNASKED}))
    assert bench.hear(ACK, long) + bench.wait(1.1) == NAK


@check("C23", TWO)
def test_an_absurd_length_is_thrown_away_without_taking_memory() -> None:
    bench, _ = reading()
    assert bench.hear(ACK, bytes.fromhex("ee00200000ffff"), bytes(50)) == b""
    assert bench.wait(1.1) == NAK
    assert bench.hear(bench.answer(OK_5)) == ACK and bench.result == b"hello"


@check("C24", CHOICE)
def test_a_write_that_was_acknowledged_and_not_answered_is_not_repeated() -> None:
    bench = ClientBench()
    bench.run(write_table(5, b"w", bench.client.limits))
    assert bench.hear(ACK) == b"" and bench.wait(60) == b""
    assert isinstance(bench.error, OutcomeUnknown)
    bench, _ = reading()
    bench.hear(ACK)
    assert bench.wait(5.9) == b"" and bench.ended is None
    assert bench.wait(0.2) == b"" and isinstance(bench.error, NotAnswered)


@check("C25", ONE)
def test_a_poke_makes_the_meter_repeat_its_answer() -> None:
    bench, _ = reading(nak_poke=True)
    assert bench.hear(ACK) == b"" and bench.wait(1.9) == b""
    assert bench.wait(0.2) == NAK
    assert bench.hear(bench.answer(OK_5)) == ACK and bench.result == b"hello"


def three_packets(bench: ClientBench) -> list[bytes]:
    message = b"\0\0\x0c" + b"data to join" + bytes([-sum(b"data to join") & 0xFF])
    pieces = [message[:6], message[6:12], message[12:]]
    return [
        Packet(piece, MULTI | (0 if n else FIRST) | (n % 2 * TOGGLE), 2 - n).encode()
        for n, piece in enumerate(pieces)
    ]


@check("C26", TWO)
def test_an_answer_of_three_packets_is_acknowledged_thrice_and_joined() -> None:
    bench, _ = reading()
    bench.hear(ACK)
    for packet in three_packets(bench):
        assert bench.hear(packet) == ACK
    assert bench.result == b"data to join"


@check("C27", TWO)
def test_only_the_damaged_packet_of_several_is_asked_for_again() -> None:
    bench, _ = reading()
    one, two, three = three_packets(bench)
    bench.hear(ACK, one)
    assert bench.hear(two[:-1], b"\0") == NAK
    assert bench.hear(two) == bench.hear(three) == ACK and bench.result == b"data to join"


@check("C28", TWO)
def test_a_repeated_packet_of_several_is_not_joined_twice() -> None:
    bench, _ = reading()
    one, two, three = three_packets(bench)
    bench.hear(ACK, one)
    assert bench.hear(two) == bench.hear(two) == ACK
    assert bench.hear(three) + bench.wait(0.02) == ACK and bench.result == b"data to join"


@check("C29 C30", CONFLICT)
def test_packets_out_of_their_order_are_refused() -> None:
    bench, _ = reading()
    one, two, three = three_packets(bench)
    bench.hear(ACK, one)
    assert bench.hear(three) == NAK and bench.hear(two) == NAK
    bench, _ = reading()
    bench.hear(ACK)
    assert bench.hear(two) == NAK and bench.ended is None


@check("C31", TWO)
def test_a_long_request_goes_out_packet_by_packet() -> None:
    bench = ClientBench()
    bench.open(LogonSettings())
    for answer in (IDENTIFICATION, "0000400406", "00"):
        bench.replies(answer)
    said = bench.run(write_table(5, bytes(100), bench.client.limits))
    assert (said[2], said[3]) == (0xE0, 1) and len(said) == 64 and bench.wait(0.1) == b""
    said = bench.hear(ACK)
    assert (said[2], said[3]) == (0x80, 0) and len(said) == 106 - 56 + 8
    bench.replies("00")
    assert bench.result is None


@check("C32", TWO)
def test_a_write_longer_than_one_message_goes_by_offsets() -> None:
    bench = ClientBench()
    said = bench.run(write_table(5, bytes(range(100)), bench.client.limits))
    offsets = []
    while bench.ended is None:
        message = message_of(said)
        assert message[0] == 0x4F and len(said) <= 64
        offsets.append((int.from_bytes(message[3:6], "big"), int.from_bytes(message[6:8], "big")))
        said = bench.replies("00")
    assert offsets == [(0, 47), (47, 47), (94, 6)]
    with pytest.raises(LocalProtocolError):
        bench.client._link.send(bytes(57), bench.now_us)


@check("C33", ONE)
def test_a_meter_that_terminates_while_the_client_is_idle_is_answered() -> None:
    bench = ClientBench()
    said = bench.hear(bench.answer("21"))
    assert said[:1] == ACK and message_of(said[1:]) == b"\0" and "Q37" in bench.met
    bench.hear(ACK)
    bench.client.receive(bench.answer("52"), bench.now_us)
    assert [EndedByMeter()] == list(bench.client.events())


@check("C34", CHOICE)
def test_a_meter_that_logs_off_during_a_read_ends_the_read() -> None:
    bench, _ = reading()
    said = bench.hear(ACK, bench.answer("52"))
    assert said[:1] == ACK and message_of(said[1:]) == b"\0"
    assert isinstance(bench.error, SessionEnded)


def test_requests_of_the_meter_do_not_make_the_client_wait_for_ever() -> None:
    bench, _ = reading()
    bench.hear(ACK)
    for _ in range(5):
        said = bench.hear(bench.answer("55 55"))
        assert said[:1] == ACK and message_of(said[1:]) == b"\x02"
        bench.hear(ACK)
        bench.wait(1)
    assert bench.ended is None
    bench.wait(1.1)
    assert isinstance(bench.error, NotAnswered)


def test_a_refused_answer_of_ours_says_nothing_about_the_write_that_waits_for_its_own() -> None:
    bench, talk = ClientBench(), Conversation(None, None)
    bench.client = talk.client
    bench.run(talk.write(5, b"hello"))
    said = bench.hear(ACK, bench.answer("20"))
    assert said[:1] == ACK and message_of(said[1:]) == b"\x02"
    for _ in range(3):
        assert bench.hear(NAK) == said[1:]
    assert bench.hear(NAK) + bench.wait(60) == b"", "no new session, and no second write"
    assert isinstance(bench.error, OutcomeUnknown)


def test_a_refusal_of_what_was_given_up_says_nothing_about_the_write_behind_it() -> None:
    bench, talk = ClientBench(), Conversation(None, None)
    bench.client = talk.client
    said = bench.hear(bench.answer("55 55"))
    assert said[:1] == ACK and message_of(said[1:]) == b"\x02"
    write = bench.run(talk.write(5, b"hello"))
    assert message_of(write)[0] == 0x40
    for _ in range(3):
        assert bench.hear(NAK) == write, "the first of them may be for what was said before"
    assert bench.hear(NAK) + bench.wait(60) == b"", "no new session, and no second write"
    assert isinstance(bench.error, OutcomeUnknown)


@check("C35", CHOICE)
def test_the_result_does_not_depend_on_how_octets_and_time_are_cut() -> None:
    def run(pieces: int) -> list[object]:
        bench, _ = reading()
        stream = ACK + bench.answer(OK_5)
        said = b""
        for at in range(0, len(stream), pieces):
            said += bench.hear(stream[at : at + pieces]) + bench.wait(0.01)
        return [said, bench.result, sorted(bench.met)]

    assert run(1) == run(3) == run(100)


def test_a_script_may_begin_a_new_session_after_a_lost_link() -> None:
    def script() -> Iterator[Request]:
        try:
            yield FullRead(5)
        except LinkError:
            response: Response = yield Identify()  # type: ignore[assignment]
            return response.ok  # type: ignore[return-value]

    bench = ClientBench()
    bench.run(script())
    said = bench.wait(8.5)
    assert said.endswith(IDENTIFY)
    bench.replies(IDENTIFICATION)
    assert bench.result is True


def test_a_late_identification_is_neither_the_answer_to_logon_nor_a_table() -> None:
    """The second answer to an Identify of before; as table data it is one octet, rightly summed."""
    bench = ClientBench()
    settings = LogonSettings(negotiate=False)

    def visit() -> Script[bytes]:
        yield from open_session(settings)
        return (yield from read_table(5, bench.client.limits))

    bench.run(visit())
    assert message_of(bench.replies(IDENTIFICATION))[0] == 0x50
    assert bench.replies(IDENTIFICATION) == b"" and "Q6" in bench.met
    assert message_of(bench.hear(bench.answer("00"))[1:])[0] == 0x30
    assert bench.replies(OK_5) == b"" and bench.result == b"hello"
