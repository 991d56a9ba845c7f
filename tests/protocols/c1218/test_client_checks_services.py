"""Client checks C36 to C75: identification, negotiation, services, and the end."""

from collections.abc import Callable
from typing import Any

import pytest

from protocols.c1218.client import Client, ClientOptions
from protocols.c1218.conversation import Conversation
from protocols.c1218.scripts import (
    LogonSettings,
    ProcedureCall,
    close_session,
    keep_alive,
    read_part,
    read_table,
    run_procedure,
    write_table,
)
from protocols.c1218.steps import ClientLimits
from protocols.errors import (
    LinkError,
    LocalProtocolError,
    OutcomeUnknown,
    ProcedureUnanswered,
    RemoteProtocolError,
    ServiceRefused,
    TableChecksumError,
)
from protocols.psem.codec import block, encode_request, table_data
from protocols.psem.identification import parse_identification
from protocols.psem.services import FullWrite, OffsetRead
from protocols.quirks import Quirk
from tests.protocols.c1218.checks import CHOICE, ONE, TWO, check
from tests.protocols.c1218.client_bench import ClientBench, message_of, toggle_of
from tests.protocols.c1218.device_bench import IDENTIFY

IDENTIFICATION, GRANTED = "0000010000", "0004008006"
Answering = Callable[[bytes], bytes | str | None]


def serve(bench: ClientBench, said: bytes, answer: Answering, limit: int = 200) -> list[bytes]:
    """Answer requests until the script ends; give the requests.  None answers nothing."""
    asked = []
    for _ in range(limit):
        if said[:1] == b"\x06":
            said = said[1:]
        if said[:1] == b"\x55":
            said = said[1:]
        if not said:
            if bench.ended is not None:
                return asked
            said = bench.wait(0.5)
            continue
        request = message_of(said)
        asked.append(request)
        reply = answer(request)
        said = bench.hear(b"\x06") if reply is None else bench.replies(reply)
    raise AssertionError("the script does not end")


def opened(settings: LogonSettings | None = None, **options: Any) -> ClientBench:
    """Give a client in an open session with 1024 x 128."""
    bench = ClientBench(ClientOptions(**options))
    settings = settings or LogonSettings()
    serve(bench, bench.open(settings), usual)
    assert bench.result
    return bench


def usual(request: bytes) -> str:
    return {0x20: IDENTIFICATION, 0x61: GRANTED, 0x60: GRANTED}.get(request[0], "00")


def always(answer: bytes | str) -> Answering:
    return lambda request: answer


@check("C36", TWO)
def test_a_plain_identification_is_c12_18_version_1() -> None:
    found = parse_identification(bytes.fromhex("00010000"))
    assert (found.standard, found.version, found.revision) == ("C12.18", 1, 0)
    assert found.ended and not found.tags


@check("C37", TWO)
def test_features_are_read_in_any_order() -> None:
    features = "0706004142434445" + "060604534d4f50" + "02010002aabb" + "00"
    found = parse_identification(bytes.fromhex("020100" + features))
    assert found.device_class == b"SMOP" and found.identity == b"ABCDE"
    assert (found.auth_type, found.ticket) == (1, b"\xaa\xbb") and found.tags == (7, 6, 2)
    assert parse_identification(found.encode()).identity == b"ABCDE"


@check("C38", CHOICE)
def test_what_follows_an_unknown_feature_is_kept_and_the_session_goes_on() -> None:
    answer = "00000100" + "0301aa00"
    bench = ClientBench()
    serve(
        bench,
        bench.open(LogonSettings()),
        lambda r: answer if r[0] == 0x20 else usual(r),
    )
    found = parse_identification(bench.result.identification)
    assert found.rest == bytes.fromhex("0301aa00") and not found.ended


@check("C39", ONE)
def test_an_identification_without_its_end_is_accepted() -> None:
    bench = ClientBench()
    serve(
        bench,
        bench.open(LogonSettings()),
        lambda r: "00000100" if r[0] == 0x20 else usual(r),
    )
    assert bench.result.identification == b"\0\1\0"


@check("C40", ONE)
def test_an_answer_too_short_for_an_identification_is_waited_past() -> None:
    bench = ClientBench()
    bench.open(LogonSettings(negotiate=False))
    assert bench.hear(b"\x06", bench.answer("00")) == b"\x06" and "Q6" in bench.met
    assert message_of(bench.hear(bench.answer(IDENTIFICATION))[1:])[0] == 0x50


@check("C41", ONE)
def test_an_open_session_is_terminated_and_begun_again() -> None:
    bench, answers = ClientBench(), iter(["0a", "00", IDENTIFICATION])
    asked = serve(
        bench,
        bench.open(LogonSettings()),
        lambda r: next(answers) if r[0] in (0x20, 0x21) else usual(r),
    )
    assert [r[0] for r in asked[:3]] == [0x20, 0x21, 0x20] and "Q29" in bench.met


@check("C42 C62", ONE)
def test_busy_and_not_ready_are_asked_again_as_new_packets_a_limited_number_of_times() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings())
    assert bench.replies("06") == b""
    again = bench.wait(0.6)
    assert message_of(again) == b"\x20" and toggle_of(again) != toggle_of(said)
    bench = opened()
    begun_us = bench.now_us
    asked = serve(bench, bench.run(read_table(5, bench.client.limits)), always("07"))
    assert len(asked) == 21 and isinstance(bench.error, ServiceRefused) and bench.error.code == 7
    assert bench.now_us - begun_us < 15_000_000 and "Q25" in bench.met


@check("C43", ONE)
def test_silence_is_waited_out_and_tried_again_at_9600_and_at_the_last_speed() -> None:
    bench = ClientBench()
    bench.open(LogonSettings(bauds=(57600,)))
    bench.wait(8.1)
    assert bench.wait(6.3) == b""
    said = bench.wait(0.6)
    assert bench.bauds[-1][1] == 57600 and message_of(said) == b"\x21"
    bench.toggle = 0
    assert message_of((bench.hear(b"\x06", bench.answer("00")) + bench.wait(0.1))[1:]) == b"\x20"
    assert bench.bauds[-1][1] == 9600
    serve(bench, bench.hear(b"\x06", bench.answer(IDENTIFICATION)), usual)
    assert bench.result and "Q30" in bench.met


@check("C44", TWO)
def test_the_speed_changes_after_the_acknowledgment_has_left() -> None:
    bench = ClientBench()
    bench.open(LogonSettings(bauds=(57600,)))
    said = bench.replies(IDENTIFICATION)
    assert message_of(said) == bytes.fromhex("610400800a")
    client = bench.client
    client.receive(b"\x06" + bench.answer("000400800a"), bench.now_us)
    assert client.outgoing() == b"" and not client.events()
    client.expire(bench.now_us + 175)
    assert client.outgoing() == b"\x06" and not client.events()
    client.sent(bench.now_us + 1_200)
    assert [event.baud for event in client.events()] == [57600]  # type: ignore[attr-defined]
    bench.now_us += 1_200
    assert bench.wait(0.04) == b""
    assert message_of(bench.wait(0.02))[0] == 0x50


@check("C45", TWO)
@pytest.mark.parametrize("code", ["02", "01"])
def test_without_negotiate_the_defaults_stay(code: str) -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings())
    serve(bench, said, lambda r: code if r[0] & 0xF0 == 0x60 else usual(r))
    assert bench.result and bench.client.limits.packet_octets == 64
    assert ("Q11" in bench.met) == (code == "02")


@check("C46", ONE)
def test_a_grant_without_a_speed_keeps_the_speed() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(bauds=(57600,)))
    serve(bench, said, lambda r: "00010004" if r[0] & 0xF0 == 0x60 else usual(r))
    assert bench.client.limits.packet_octets == 256 and not bench.bauds and "Q12" in bench.met


@check("C47", CHOICE)
def test_a_grant_above_the_offer_is_cut_to_it() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(packet_octets=128, packets=2))
    serve(bench, said, lambda r: "002000ff06" if r[0] & 0xF0 == 0x60 else usual(r))
    limits = bench.client.limits
    assert (limits.packet_octets, limits.packets) == (128, 2) and "Q13" in bench.met


@check("C48", CHOICE)
def test_a_speed_that_was_not_offered_is_not_taken() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(bauds=(19200,)))
    serve(bench, said, lambda r: "000400800a" if r[0] & 0xF0 == 0x60 else usual(r))
    assert bench.result and not bench.bauds


@check("C49", ONE)
def test_silence_after_a_change_of_speed_leads_back_to_9600_without_one() -> None:
    bench = ClientBench()
    bench.open(LogonSettings(bauds=(57600,)))
    bench.replies(IDENTIFICATION)
    bench.replies("000400800a")
    changed_us = bench.bauds[-1][0]
    bench.wait(8.3)  # the Logon finds nobody
    said = bench.wait(6.6)
    assert said == IDENTIFY and bench.bauds[-1][1] == 9600
    assert bench.bauds[-1][0] - changed_us > 14_000_000
    bench.toggle = 0
    asked = serve(bench, said, usual)
    assert asked[1] == bytes.fromhex("60040080") and bench.result and "Q10" in bench.met


def sliced(table: bytes) -> Answering:
    """Answer offset reads only."""

    def answer(request: bytes) -> bytes:
        if request[0] != 0x3F:
            return b"\x04"
        at, count = int.from_bytes(request[3:6], "big"), int.from_bytes(request[6:8], "big")
        part = table[at : at + count]
        return b"\0" + block(part) if part else b"\x04"

    return answer


@check("C50 C51", TWO)
def test_a_table_too_long_for_the_defaults_is_read_by_pieces_of_52() -> None:
    bench, image = ClientBench(), bytes(range(200))
    asked = serve(bench, bench.run(read_table(70, bench.client.limits)), sliced(image))
    assert bench.result == image and asked[0] == b"\x30\0\x46"
    assert [int.from_bytes(r[6:8], "big") for r in asked[1:]] == [52] * 4 + [44]


def test_a_meter_that_gives_less_at_a_time_than_asked_for_is_read_to_the_end() -> None:
    bench, image = ClientBench(), bytes(range(200))
    whole = sliced(image)

    def at_most_30(request: bytes) -> bytes | str:
        if request[0] != 0x3F:
            return whole(request)
        return whole(request[:6] + min(30, int.from_bytes(request[6:8], "big")).to_bytes(2, "big"))

    serve(bench, bench.run(read_table(70, bench.client.limits)), at_most_30)
    assert bench.result == image


@check("C52", TWO)
def test_logon_and_security_have_their_lengths_and_their_filling() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(2, b"ANN", b"secret", negotiate=False))
    asked = serve(bench, said, usual)
    assert asked[1] == b"\x50\0\2ANN       " and asked[2] == b"\x51secret" + b" " * 14


@check("C53", TWO)
def test_what_does_not_fit_is_refused_here_and_not_sent() -> None:
    for settings in (
        LogonSettings(user=b"eleven char", negotiate=False),
        LogonSettings(password=b"p" * 21, negotiate=False),
    ):
        bench = ClientBench()
        asked = serve(bench, bench.open(settings), usual)
        assert isinstance(bench.error, LocalProtocolError)
        assert all(request[0] in (0x20, 0x50) for request in asked)


@check("C54", TWO)
@pytest.mark.parametrize("code", ["01", "03", "0b"])
def test_a_refused_password_is_told_and_the_session_stays(code: str) -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(password=b"guess"))
    asked = serve(bench, said, lambda r: code if r[0] == 0x51 else usual(r))
    assert bench.result.password_accepted is False and ("Q20" in bench.met) == (code != "01")
    # Once filled with spaces, once with NULs: some meters want the one, some the other.
    assert [r[-1] for r in asked if r[0] == 0x51] == [0x20, 0]


@check("C54", TWO)
def test_a_meter_that_is_busy_throughout_does_not_refuse_the_password() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(password=b"secret"))
    serve(bench, said, lambda r: "06" if r[0] == 0x51 else usual(r))
    assert isinstance(bench.error, ServiceRefused) and bench.error.name == "bsy"


@check("C55", TWO)
def test_without_security_the_session_goes_on_without_rights() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(password=b"p"))
    serve(bench, said, lambda r: "02" if r[0] == 0x51 else usual(r))
    assert bench.result.password_accepted is None and "Q11" in bench.met


@check("C56", CHOICE)
def test_a_wrong_table_checksum_is_looked_at_twice() -> None:
    bench = opened()
    asked = serve(bench, bench.run(read_table(5, bench.client.limits)), always("0000026869aa"))
    assert len(asked) == 2 and isinstance(bench.error, TableChecksumError)
    answers = iter(["0000026869aa", b"\0" + block(b"hi")])
    serve(bench, bench.run(read_table(5, bench.client.limits)), lambda r: next(answers))
    assert bench.result == b"hi"


@check("C57", TWO)
def test_a_count_that_does_not_fit_is_an_error() -> None:
    bench = opened()
    serve(bench, bench.run(read_table(5, bench.client.limits)), always("00000968692f"))
    assert isinstance(bench.error, RemoteProtocolError)


@check("C58", TWO)
def test_a_short_answer_is_given_with_its_own_length() -> None:
    bench = opened()
    said = bench.run(read_part(5, 0, 10, bench.client.limits))
    serve(bench, said, always(b"\0" + block(b"hi")))
    assert bench.result == b"hi"


@check("C59", ONE)
def test_an_empty_table_is_empty() -> None:
    bench = opened()
    serve(bench, bench.run(read_table(5, bench.client.limits)), always("00000000"))
    assert bench.result == b""


@check("C60 C61", ONE)
def test_a_refusal_keeps_its_code_and_may_have_octets_behind_it() -> None:
    for answer, code, name in (("0f001234", 15, "rqtl"), ("1d", 29, "1D"), ("1e", 30, "PRIVATE")):
        bench = opened()
        serve(bench, bench.run(read_table(5, bench.client.limits)), always(answer))
        assert isinstance(bench.error, ServiceRefused)
        assert bench.error.code == code and name in str(bench.error)


@check("C63 C64", CHOICE)
@pytest.mark.parametrize("code", [9, 10])
def test_a_meter_that_wants_to_begin_anew_is_obeyed_and_asked_again(code: int) -> None:
    talk = Conversation(LogonSettings(password=b"p"), None)
    bench = ClientBench()
    bench.client = talk.client
    serve(bench, bench.run(talk.open()), usual)
    reads: list[bytes] = []

    def answer(request: bytes) -> bytes | str:
        if request[0] != 0x30:
            return usual(request)
        reads.append(request)
        return bytes([code]) if len(reads) == 1 else b"\0" + block(b"hi")

    asked = serve(bench, bench.run(talk.read(5)), answer)
    assert bench.result == b"hi" and len(reads) == 2
    assert [r[0] for r in asked] == [0x30, 0x21, 0x20, 0x60, 0x50, 0x51, 0x30]


@check("C65", TWO)
def test_a_write_carries_the_two_s_complement_of_its_octets_only() -> None:
    assert encode_request(FullWrite(5, b"hi"))[-1] == -sum(b"hi") & 0xFF
    assert encode_request(FullWrite(5, b"")) == bytes.fromhex("400005000000")
    assert encode_request(FullWrite(5, b"hi"), ones_complement=True)[-1] == ~sum(b"hi") & 0xFF
    assert table_data(block(b"hi")) == b"hi"


@check("C66", TWO)
def test_a_write_whose_line_fails_has_an_unknown_outcome_and_is_not_repeated() -> None:
    talk, bench = Conversation(None, None), ClientBench()
    bench.client = talk.client
    serve(bench, bench.run(talk.open()), usual)
    said = bench.run(talk.write(5, b"hi"))
    assert message_of(said)[0] == 0x40
    assert bench.wait(60).count(said) == 3  # the packet's own repetitions, and nothing after
    assert isinstance(bench.error, OutcomeUnknown) and bench.error.confirmed == 0


@check("C67", TWO)
def test_an_offset_has_three_octets() -> None:
    assert encode_request(OffsetRead(64, 0x010203, 5)) == bytes.fromhex("3f00400102030005")


@check("C68", TWO)
def test_manufacturer_and_pending_tables_have_their_bits() -> None:
    from ansi_tables.ids import manufacturer, pending

    assert manufacturer(5) == 0x0805 and pending(5) == 0x1005
    assert encode_request(FullWrite(manufacturer(5), b""))[1:3] == b"\x08\x05"


@check("C69 C70", ONE)
def test_an_idle_session_is_kept_by_wait_or_else_by_a_short_read() -> None:
    bench = opened()
    asked = serve(bench, bench.run(keep_alive(bench.client.limits, 30)), always("00"))
    assert asked == [b"\x70\x1e"]
    bench = opened()
    answer = lambda r: "02" if r[0] == 0x70 else b"\0" + block(b"S")  # noqa: E731
    for expected in ([b"\x70\x1e", b"\x3f\0\1\0\0\0\0\1"], [b"\x3f\0\1\0\0\0\0\1"]):
        asked = serve(bench, bench.run(keep_alive(bench.client.limits, 30)), answer)
        assert asked == expected
    assert "Q36" in bench.met
    bench = opened()  # the meter that has no Wait has lost the session besides: that is told
    serve(
        bench,
        bench.run(keep_alive(bench.client.limits, 30)),
        lambda r: "02" if r[0] == 0x70 else "0A",
    )
    assert isinstance(bench.error, ServiceRefused) and bench.error.name == "isss"


@check("C71 C72", TWO)
def test_the_answer_of_a_procedure_is_asked_for_until_it_is_the_finished_one() -> None:
    bench = opened()
    call = b"\x09\0\x2a\1"
    seen = iter([b"\x09\0\x29\0", b"\x09\0\x2a\1", b"\x09\0\x2a\0\1"])

    def answer(request: bytes) -> bytes:
        return b"\0" if request[0] == 0x40 else b"\0" + block(next(seen))

    asked = serve(bench, bench.run(run_procedure(call, bench.client.limits)), answer)
    assert bench.result == b"\x09\0\x2a\0\1" and len(asked) == 4
    bench = opened()
    said = bench.run(run_procedure(call, bench.client.limits))
    asked = serve(bench, said, lambda r: b"\0" if r[0] == 0x40 else b"\0" + block(b"\x09\0\x29\0"))
    assert isinstance(bench.error, ProcedureUnanswered) and len(asked) == 21


@check("C73", TWO)
def test_a_session_ends_with_logoff_and_terminate_whatever_is_answered() -> None:
    for logoff in ("00", "02", None):
        bench = opened()
        said = bench.run(close_session(bench.client.quirks))
        asked = serve(bench, said, lambda r, logoff=logoff: logoff if r[0] == 0x52 else "00")
        assert [r[0] for r in asked] == [0x52, 0x21]
        assert ("Q31" in bench.met) == (logoff != "00")


@check("C74", TWO)
def test_a_terminate_that_nobody_answers_ends_all_the_same() -> None:
    bench = opened()
    serve(
        bench,
        bench.run(close_session(bench.client.quirks)),
        lambda r: None if r[0] == 0x21 else "00",
    )
    assert bench.result is None and "Q32" in bench.met
    bench = opened()
    bench.run(close_session(bench.client.quirks))
    bench.wait(60)
    assert isinstance(bench.error, LinkError)  # nobody is there at all


@check("C75", TWO)
def test_after_terminate_the_defaults_hold_and_nothing_is_remembered() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings(bauds=(57600,)))
    serve(bench, said, lambda r: "000400800a" if r[0] & 0xF0 == 0x60 else usual(r))
    serve(bench, bench.run(close_session()), usual)
    assert bench.wait(0.1) == b"" and bench.bauds[-1][1] == 9600
    assert bench.client.limits.packet_octets == 64 and bench.client.limits.packets == 1
    assert bench.open(LogonSettings()) == IDENTIFY


def test_a_negotiate_that_nobody_answers_is_done_without() -> None:
    bench = ClientBench()
    said = bench.open(LogonSettings())
    asked = serve(bench, said, lambda r: None if r[0] & 0xF0 == 0x60 else usual(r))
    assert [r[0] for r in asked] == [0x20, 0x60, 0x20, 0x50] and bench.result
    assert bench.client.limits.packet_octets == 64 and "Q11" in bench.met


def test_a_slow_write_is_waited_for_and_a_first_err_is_asked_again() -> None:
    bench = opened()
    bench.run(write_table(5, b"hi", bench.client.limits))
    bench.hear(b"\x06")
    bench.wait(15)
    bench.hear(bench.answer("00"))
    assert bench.result is None and "Q27" in bench.met
    answers = iter(["01", b"\0" + block(b"hi")])
    serve(bench, bench.run(read_table(5, bench.client.limits)), lambda r: next(answers))
    assert bench.result == b"hi" and "Q26" in bench.met
    asked = serve(bench, bench.run(read_table(5, bench.client.limits)), always("01"))
    assert isinstance(bench.error, ServiceRefused) and len(asked) == 1, "only at first"


def test_one_s_complement_checksums_are_taken_after_a_second_look_and_then_sent_so() -> None:
    bench = opened()
    odd = b"\0" + block(b"hi", ones_complement=True)
    asked = serve(bench, bench.run(read_table(5, bench.client.limits)), always(odd))
    assert bench.result == b"hi" and len(asked) == 2 and "Q22" in bench.met
    asked = serve(bench, bench.run(read_table(5, bench.client.limits)), always(odd))
    assert len(asked) == 1
    asked = serve(bench, bench.run(write_table(5, b"hi", bench.client.limits)), always("00"))
    assert asked[0][-1] == ~sum(b"hi") & 0xFF
    strict = opened(strict=frozenset({Quirk.ONES_COMPLEMENT}))
    serve(strict, strict.run(read_table(5, strict.client.limits)), always(odd))
    assert isinstance(strict.error, TableChecksumError)


def test_a_board_that_must_not_be_asked_for_its_answer_is_not_asked() -> None:
    bench = opened()
    call = ProcedureCall(b"\x09\0\x2a\1", ask=False)
    asked = serve(bench, bench.run(call.script(bench.client.limits)), always("00"))
    assert [r[0] for r in asked] == [0x40] and bench.result == b""


def test_a_meter_without_offset_reads_is_read_element_by_element() -> None:
    elements = [[b"aa"], [b"bb", b"cc"], [b"dd"]]

    def answer(request: bytes) -> bytes:
        if not 0x31 <= request[0] <= 0x39:
            return b"\x04" if request[0] == 0x30 else b"\x02"
        words = [int.from_bytes(request[at : at + 2], "big") for at in range(3, len(request), 2)]
        place = words[:-1]
        if place[0] >= len(elements):
            return b"\x04"
        parts = elements[place[0]]
        if len(place) == 1:
            return b"\0" + block(parts[0]) if len(parts) == 1 else b"\x04"
        if len(place) == 2 and place[1] < len(parts):
            return b"\0" + block(parts[place[1]])
        return b"\x04"

    bench = opened()
    serve(bench, bench.run(read_table(5, bench.client.limits)), answer)
    assert bench.result == b"aabbccdd" and not bench.client.limits.offset_reads


def test_a_part_of_a_table_is_cut_out_of_the_whole_where_there_are_no_offsets() -> None:
    bench = opened()
    answer: Answering = lambda r: b"\0" + block(b"abcdef") if r[0] == 0x30 else "02"  # noqa: E731
    serve(bench, bench.run(read_part(5, 2, 3, bench.client.limits)), answer)
    assert bench.result == b"cde"


def test_a_read_goes_on_in_a_new_session_where_it_stopped() -> None:
    talk, bench = Conversation(LogonSettings(packet_octets=64, packets=1), None), ClientBench()
    bench.client = talk.client
    image, told, reads = bytes(range(200)), [], []
    grant = {0x60: "0000400106"}
    serve(bench, bench.run(talk.open()), lambda r: grant.get(r[0], usual(r)))

    def answer(request: bytes) -> bytes | str | None:
        if request[0] not in (0x30, 0x3F):
            return grant.get(request[0], usual(request))
        reads.append(request)
        return None if len(reads) == 4 else sliced(image)(request)

    said = bench.run(talk.read(70, lambda done, whole: told.append(done)))
    serve(bench, said, answer)
    offsets = [int.from_bytes(r[3:6], "big") for r in reads if r[0] == 0x3F]
    assert (
        bench.result == image
        and offsets == [0, 52, 104, 104, 156, 200]
        and told == [52, 104, 156, 200]
    )


def test_limits_split_by_what_was_granted() -> None:
    assert ClientLimits().max_read == 52 and ClientLimits().max_write == 50
    assert ClientLimits(1024, 255).max_read == 65_535
    assert Client().limits.max_read == 52
