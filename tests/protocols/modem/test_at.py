"""A modem behind its commands: results, calls, what it says by itself, and what it says wrongly."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.modem.at import (
    COMMAND_US,
    DIAL_US,
    GUARD_US,
    HELD_US,
    INITIALISE,
    MAX_LINE_OCTETS,
    MAX_QUEUED,
    AtModem,
    CallEnded,
    CommandDone,
    Connected,
    DataArrived,
    Line,
    Told,
)


def online() -> AtModem:
    modem = AtModem()
    modem.dial("5551234", 0)
    assert modem.outgoing() == b"ATD5551234\r"
    modem.receive(b"\r\nCONNECT 9600\r\n", 1)
    assert modem.events() == [Connected()]
    return modem


def test_commands_are_carried_out_one_after_the_other_with_their_lines() -> None:
    modem = AtModem()
    modem.command(INITIALISE, 0)
    modem.command("AT+CSQ", 0, token="signal")
    assert modem.outgoing() == INITIALISE.encode() + b"\r"
    modem.receive(INITIALISE.encode() + b"\r\r\nOK\r\n", 1)
    assert modem.outgoing() == b"AT+CSQ\r"
    modem.receive(b"\r\n+CSQ: 17,0\r\n\r\nOK\r\n", 2)
    assert modem.events() == [
        CommandDone(INITIALISE, True, "OK", ()),
        CommandDone("signal", True, "OK", ("+CSQ: 17,0",)),
    ]


@pytest.mark.parametrize("result", ["ERROR", "+CMS ERROR: 38", "+CME ERROR: 10"])
def test_a_command_that_fails_says_how(result: str) -> None:
    modem = AtModem()
    modem.command("AT+CMGF=0", 0)
    modem.receive(f"\r\n{result}\r\n".encode(), 1)
    assert modem.events() == [CommandDone("AT+CMGF=0", False, result, ())]


def test_a_modem_that_does_not_answer_is_not_waited_for() -> None:
    modem = AtModem()
    modem.command("AT", 0)
    modem.command("ATI", 0)
    assert modem.deadline_us() == COMMAND_US
    modem.expire(COMMAND_US)
    assert modem.events() == [CommandDone("AT", False, "no answer", ())]
    assert modem.outgoing().endswith(b"ATI\r")


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_no_carrier_that_comes_in_pieces_is_no_octet_of_the_call(size: int) -> None:
    modem = online()
    heard = b"data\r\nNO CARRIER\r\n"
    for at in range(0, len(heard), size):
        modem.receive(heard[at : at + size], 2)
    *arrived, end = modem.events()
    assert b"".join(one.octets for one in arrived if isinstance(one, DataArrived)) == b"data"
    assert end == CallEnded("NO CARRIER") and not modem.stands and modem.deadline_us() is None


def test_a_no_carrier_that_comes_slowly_ends_the_call_all_the_same() -> None:
    modem, now_us = online(), 2
    for part in (b"data\r\nNO", b" CARRI", b"ER\r\n"):
        modem.receive(part, now_us)
        now_us += HELD_US
        modem.expire(now_us)
    assert modem.events()[-1] == CallEnded("NO CARRIER") and not modem.stands


def test_what_only_begins_like_no_carrier_is_given_a_moment_later() -> None:
    modem = online()
    modem.receive(b"a message that ends so\r", 2)
    assert modem.events() == [DataArrived(b"a message that ends so")]
    assert modem.deadline_us() == 2 + HELD_US
    modem.expire(2 + HELD_US)
    assert modem.events() == [DataArrived(b"\r")] and modem.deadline_us() is None
    modem.receive(b"\r\nNO", 3)
    modem.receive(b"W", 3)
    assert modem.events() == [DataArrived(b"\r\nNOW")]


@pytest.mark.parametrize("reason", ["BUSY", "NO CARRIER", "NO ANSWER", "NO DIALTONE"])
def test_a_call_that_is_not_answered_says_why(reason: str) -> None:
    modem = AtModem()
    modem.dial("1", 0)
    modem.receive(f"\r\n{reason}\r\n".encode(), 1)
    assert modem.events() == [CallEnded(reason)] and modem.line is Line.COMMAND
    modem.dial("1", 2)
    modem.expire(2 + DIAL_US)
    assert modem.events() == [CallEnded("no answer")]


@pytest.mark.parametrize("after", ["\r\n+CREG: 1\r\n", "\r\nRING\r\n\r\nRI"])
def test_what_the_modem_says_at_once_behind_no_carrier_hides_no_end(after: str) -> None:
    modem = online()
    modem.receive(b"octets\r\nNO CARRIER\r\n" + after.encode(), 2)
    assert modem.events() == [DataArrived(b"octets"), CallEnded("NO CARRIER")]
    modem = online()
    said = b"\r\nNO CARRIER\r\n\xee\0 of a message"
    modem.receive(said, 2)
    assert modem.events() == [DataArrived(said)]


def test_octets_pass_through_a_call_until_the_carrier_is_lost() -> None:
    modem = online()
    modem.send(b"\xee\0\r\n")
    assert modem.outgoing() == b"\xee\0\r\n"
    modem.receive(b"\x06\xee\r\nOK\r\n\0", 2)
    modem.receive(b"tail\r\nNO CARRIER\r\n", 3)
    assert modem.events() == [
        DataArrived(b"\x06\xee\r\nOK\r\n\0"),
        DataArrived(b"tail"),
        CallEnded("NO CARRIER"),
    ]
    modem.send(b"late")
    assert modem.outgoing() == b""


def test_what_follows_connect_at_once_belongs_to_the_call() -> None:
    modem = AtModem()
    modem.answer(0)
    assert modem.outgoing() == b"ATA\r"
    modem.receive(b"\r\nCONNECT\r\n\xee\x01", 1)
    assert modem.events() == [Connected(), DataArrived(b"\xee\x01")]


@pytest.mark.parametrize("split", range(1, 16))
def test_what_follows_connect_belongs_to_the_call_in_any_split(split: int) -> None:
    modem = AtModem()
    modem.answer(0)
    heard = b"\r\nCONNECT\r\n\n\xee\x01"
    modem.receive(heard[:split], 1)
    modem.receive(heard[split:], 1)
    connected, *arrived = modem.events()
    assert connected == Connected()
    assert b"".join(one.octets for one in arrived if isinstance(one, DataArrived)) == b"\n\xee\x01"


def test_a_call_that_rings_again_before_it_is_taken_is_taken_once() -> None:
    modem = AtModem()
    modem.command("ATI", 0)
    modem.answer(0)
    modem.answer(0)
    modem.receive(b"\r\nOK\r\n", 1)
    modem.answer(1)
    assert modem.outgoing() == b"ATI\rATA\r"
    # What told of a ring is heard with what came behind it.
    modem.receive(b"\r\nRING\r\n\r\nCONNECT\r\n", 2)
    assert modem.events()[-2:] == [Told("RING"), Connected()]
    modem.answer(2)
    modem.receive(b"\r\nNO CARRIER\r\n", 3)
    assert modem.outgoing() == b"" and modem.line is Line.COMMAND


def test_hanging_up_keeps_silence_around_the_escape() -> None:
    modem = online()
    modem.hang_up(100)
    assert modem.outgoing() == b"" and modem.deadline_us() == 100 + GUARD_US
    modem.expire(100 + GUARD_US)
    assert modem.outgoing() == b"+++"
    modem.receive(b"\r\nOK\r\n", 150 + GUARD_US)
    modem.expire(100 + 2 * GUARD_US)
    assert modem.outgoing() == b"ATH\r" and modem.events()[-1] == CallEnded("hung up")


def test_a_prompt_is_answered_with_the_body() -> None:
    modem = AtModem()
    modem.command("AT+CMGS=10", 0, body="0011AA")
    modem.outgoing()
    modem.receive(b"\r\n> ", 1)
    assert modem.outgoing() == b"0011AA\x1a"
    modem.receive(b"\r\n+CMGS: 7\r\n\r\nOK\r\n", 2)
    assert modem.events() == [CommandDone("AT+CMGS=10", True, "OK", ("+CMGS: 7",))]


def test_what_it_says_right_behind_a_prompt_is_not_lost() -> None:
    modem = AtModem()
    modem.command("AT+CMGS=10", 0, body="00")
    modem.receive(b'\r\n> \r\n+CMTI: "SM",5\r\n', 1)
    assert modem.events() == [Told('+CMTI: "SM",5')]


def test_what_it_says_by_itself_is_told_even_between_a_command_and_its_result() -> None:
    modem = AtModem()
    modem.receive(b"\r\nRING\r\n", 0)
    modem.command("AT+CSQ", 1)
    modem.receive(b'\r\n+CMTI: "SM",3\r\n\r\n+CSQ: 1,0\r\n\r\nOK\r\n', 2)
    assert modem.events() == [
        Told("RING"),
        Told('+CMTI: "SM",3'),
        CommandDone("AT+CSQ", True, "OK", ("+CSQ: 1,0",)),
    ]


@pytest.mark.parametrize("number", ["", "12;ATZ", "1\r2", "5" + "x", "٣"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(LocalProtocolError):
        AtModem().dial(number, 0)


def test_commands_that_wait_have_a_limit() -> None:
    modem = AtModem()
    with pytest.raises(LocalProtocolError, match="wait for the modem"):
        for _ in range(MAX_QUEUED + 2):
            modem.command("AT", 0)


@given(st.lists(st.binary(max_size=40), max_size=30), st.booleans())
def test_any_octets_in_any_split_take_little_memory_and_do_no_harm(
    pieces: list[bytes], command: bool
) -> None:
    modem: Any = AtModem()
    if command:
        modem.command("AT+CMGS=3", 0, body="00")
    for number, piece in enumerate(pieces):
        modem.receive(piece * 20, number)
        assert len(modem._buffer) <= MAX_LINE_OCTETS
    modem.expire(COMMAND_US + 100)
    assert modem.line is Line.COMMAND
