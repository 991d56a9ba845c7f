"""Short messages by modems as they are: what they say in between, refuse, or still wait for."""

import pytest

from protocols.errors import LocalProtocolError
from protocols.machine import Event
from protocols.modem.at import COMMAND_US, ESCAPE_US, INITIALISE, MAX_QUEUED
from protocols.modem.messages import (
    LIST_US,
    LISTING_US,
    MAX_SENDING,
    SEND_US,
    MessageCame,
    MessageLine,
    MessageSent,
    ModemFailed,
    Ready,
)
from protocols.modem.pdu import submit
from tests.protocols.modem.pdus import as_delivered

PDU = as_delivered(submit("+15550001", b"octets", 1)[0][1], "+15550002")
CAME = MessageCame("+15550002", b"octets")


def told(line: MessageLine, *lines: str) -> tuple[list[Event], str]:
    """Let the modem say lines; give what happened, and what it is told then."""
    line.receive(b"".join(b"\r\n" + text.encode() + b"\r\n" for text in lines), 1)
    return list(line.events()), line.outgoing().decode()


def ready() -> MessageLine:
    line = MessageLine(0)
    assert line.outgoing() == b"\x1b\r"
    assert told(line, "ERROR")[1] == INITIALISE + "\r"
    assert told(line, "OK")[1] == "AT+CMGF=0\r"
    assert told(line, "OK")[1] == "AT+CNMI=2,1\r"
    assert told(line, "OK")[1] == "AT+CMGL=4\r"
    assert told(line, "OK") == ([Ready()], "")
    return line


def asked(line: MessageLine, octets: bytes) -> str:
    """Have octets sent; give what the modem is asked once it gives PDUs."""
    line.send("+15550001", octets, 1)
    assert line.outgoing() == b"AT+CMGF=0\r"
    return told(line, "OK")[1]


def test_a_message_is_read_whatever_the_modem_says_before_it_and_then_deleted() -> None:
    line = ready()
    assert told(line, '+CMTI: "SM",3')[1] == "AT+CMGR=3\r"
    found = told(line, "^RSSI:18", "+CMGR: 0,,26", "+CEREG: 1", PDU, "", "OK")
    assert found == ([CAME], "AT+CMGD=3\r")


def test_what_comes_before_the_modem_gives_pdus_is_left_to_the_list() -> None:
    line = MessageLine(0)
    line.outgoing()
    assert told(line, '+CMTI: "SM",3', "ERROR")[1] == INITIALISE + "\r"
    assert told(line, '+CMTI: "SM",4', "OK")[1] == "AT+CMGF=0\r"
    assert told(line, "OK")[1] == "AT+CNMI=2,1\r"
    assert told(line, '+CMTI: "SM",5')[1] == ""
    assert told(line, "OK")[1] == "AT+CMGR=5\r"


def test_what_is_no_message_is_not_deleted_in_its_place() -> None:
    line = ready()
    assert told(line, '+CMTI: "SM",3')[1] == "AT+CMGR=3\r"
    assert told(line, "^RSSI:18", '+CMGR: "REC UNREAD","+1"', "a text of text mode", "OK") == (
        [],
        "",
    )


def test_octets_that_a_modem_in_text_mode_shows_are_not_deleted_as_a_message() -> None:
    line = ready()
    assert told(line, '+CMTI: "SM",3')[1] == "AT+CMGR=3\r"
    assert told(line, '+CMGR: "REC UNREAD","+1"', b"octets".hex().upper(), "OK") == ([], "")


def test_a_list_is_read_around_what_the_modem_says_within_it() -> None:
    line = ready()
    line.expire(60_000_000)
    assert line.outgoing() == b"AT+CMGL=4\r"
    listed = ["+CMGL: 1,0,,26", PDU, "^MODE:5,4", "+CMGL: 2,0,,26", PDU]
    events, octets = told(line, "^RSSI:18", *listed, "OK")
    assert events == [CAME, CAME, Ready()] and octets == "AT+CNMI=2,1\r"
    assert told(line, "OK")[1] == "AT+CMGD=2\r"
    assert told(line, "OK")[1] == "AT+CMGD=1\r"


def test_a_modem_that_tells_of_no_message_is_listed_all_the_same() -> None:
    line = MessageLine(0)
    line.outgoing()
    for answer in ("OK", "OK", "OK", "+CMS ERROR: 303"):
        events, octets = told(line, answer)
        assert events == []
    assert octets == "AT+CMGL=4\r" and told(line, "OK")[0] == [Ready()]


def test_what_a_person_can_mend_is_told_in_words() -> None:
    line = MessageLine(0)
    for answer in ("OK", "OK", "OK", "OK"):
        told(line, answer)
    failed = ModemFailed(
        "the modem says +CMS ERROR: 311 (the SIM card wants its PIN; switch that off) to AT+CMGL=4"
    )
    assert told(line, "+CMS ERROR: 311")[0] == [failed]


def test_a_modem_that_waits_for_a_body_that_nobody_sends_is_freed() -> None:
    line = MessageLine(0)
    assert line.outgoing() == b"\x1b\r"
    line.expire(ESCAPE_US)  # one that waits for nothing may say nothing
    assert line.outgoing() == INITIALISE.encode() + b"\r"
    line = ready()
    assert asked(line, b"octets").startswith("AT+CMGS=")
    line.expire(1 + COMMAND_US)
    assert line.outgoing() == b"\x1b\r", "else the next command would be a message's body"


def sending(line: MessageLine, result: str) -> tuple[list[Event], str]:
    """Let the modem take the body of what is sent, and end it so."""
    line.receive(b"\r\n> ", 1)
    assert line.outgoing().endswith(b"\x1a")
    return told(line, result)


def test_what_came_is_read_and_deleted_before_more_is_sent() -> None:
    line = ready()
    assert asked(line, b"one").startswith("AT+CMGS=")
    line.send("+15550001", b"two", 1)
    assert told(line, '+CMTI: "SM",3') == ([], "")
    assert sending(line, "OK")[1] == "AT+CMGR=3\r"
    assert told(line, "+CMGR: 0,,26", PDU, "OK") == ([CAME], "AT+CMGF=0\r"), "asked for before"
    assert told(line, "OK")[1] == "AT+CMGD=3\r"
    assert told(line, "OK")[1].startswith("AT+CMGS=")


def test_a_place_is_deleted_once_for_each_message_that_was_in_it() -> None:
    line = ready()
    asked(line, b"one")
    line.receive(b"\r\n> ", 1)
    line.outgoing()
    told(line, '+CMTI: "SM",3')
    line.expire(LIST_US)
    assert told(line, "OK")[1] == "AT+CNMI=2,1\r"
    assert told(line, "OK")[1] == "AT+CMGL=4\r"
    listed = told(line, "+CMGL: 3,0,,26", PDU, "OK")
    assert listed == ([CAME, Ready()], "AT+CMGR=3\r")
    assert told(line, "+CMGR: 1,,26", PDU, "OK") == ([], "AT+CMGD=3\r"), "it was given already"
    assert told(line, '+CMTI: "SM",3', "OK") == ([], "AT+CMGR=3\r")
    assert told(line, "+CMGR: 0,,26", PDU, "OK") == ([CAME], "AT+CMGD=3\r"), "another came there"


def test_more_messages_than_commands_may_wait_are_read_one_list_after_the_other() -> None:
    line = ready()
    asked(line, b"one")
    for place in range(1, 2 * MAX_QUEUED):
        told(line, f'+CMTI: "ME",{place}')
    octets = sending(line, "OK")[1]
    while octets != "":
        assert octets.startswith("AT+CMGR=")
        octets = told(line, "+CMS ERROR: 321")[1]
    line.expire(LIST_US)
    assert line.outgoing() == b"AT+CMGL=4\r", "what is not there is no failure of the modem"


def test_a_message_is_sent_whole_or_not_at_all_and_leaves_room_for_what_comes() -> None:
    line = ready()
    asked(line, b"one")
    for _ in range(MAX_SENDING // 2):
        line.send("+15550001", b"more", 1)
    with pytest.raises(LocalProtocolError):
        line.send("+15550001", bytes(1000), 1)
    told(line, '+CMTI: "SM",3')
    assert sending(line, "OK")[1] == "AT+CMGR=3\r"


def test_a_call_that_nobody_took_ends_no_command() -> None:
    line = ready()
    asked(line, b"one")
    assert told(line, "RING", "NO CARRIER") == ([], "")
    assert sending(line, "NO CARRIER") == ([], "")
    assert told(line, "+CMGS: 7", "OK") == ([MessageSent("+15550001", True, "OK")], "")


def test_a_long_list_is_waited_for() -> None:
    line = MessageLine(0)
    for answer in ("OK", "OK", "OK", "OK"):
        told(line, answer)
    line.expire(1 + COMMAND_US)
    assert line.events() == []
    line.expire(1 + LISTING_US)
    assert line.events() == [ModemFailed("the modem says no answer to AT+CMGL=4")]


def test_a_modem_that_sends_nothing_is_given_up_in_words() -> None:
    line = ready()
    for _ in range(2):
        asked(line, b"one")
        sending(line, "+CMS ERROR: 38")
    asked(line, b"one")
    failed = ModemFailed("the modem says +CMS ERROR: 38 to what is sent or deleted")
    assert sending(line, "+CMS ERROR: 38")[0][-1] == failed


def test_a_modem_that_forgot_how_to_take_messages_is_told_before_each() -> None:
    line = ready()
    assert asked(line, b"one").startswith("AT+CMGS=")
    assert sending(line, "OK") == ([MessageSent("+15550001", True, "OK")], "")
    # Off and on: in text mode 22 is a number, and the PDU a text that goes there.
    assert asked(line, bytes(200)).startswith("AT+CMGS=")
    assert sending(line, "OK")[1].startswith("AT+CMGS="), "once for all parts"


def test_a_modem_that_takes_no_pdus_any_more_is_sent_none() -> None:
    line = ready()
    line.send("+15550001", b"one", 1)
    line.outgoing()
    failed = ModemFailed("the modem says ERROR to AT+CMGF=0")
    assert told(line, "ERROR")[0] == [failed]


def test_a_network_that_takes_minutes_to_accept_a_message_is_waited_for() -> None:
    line = ready()
    asked(line, b"one")
    line.receive(b"\r\n> ", 1)
    line.outgoing()
    line.expire(170_000_000)
    assert line.events() == [], "what the modem says at last would be taken for another's result"
    assert told(line, "+CMGS: 7", "OK")[0] == [MessageSent("+15550001", True, "OK")]


def test_a_network_that_never_accepts_a_message_is_not_waited_for() -> None:
    line = ready()
    asked(line, b"one")
    line.receive(b"\r\n> ", 1)
    line.expire(1 + SEND_US)
    assert line.events() == [MessageSent("+15550001", False, "no answer")]


def test_a_message_of_which_a_part_is_refused_costs_no_more() -> None:
    line = ready()
    asked(line, bytes(1000))
    line.send("+15550002", b"another", 1)
    assert sending(line, "OK")[1].startswith("AT+CMGS=")
    refused = sending(line, "+CMS ERROR: 38")
    assert refused == ([MessageSent("+15550001", False, "+CMS ERROR: 38")], "AT+CMGF=0\r")
    told(line, "OK")
    assert sending(line, "OK")[0] == [MessageSent("+15550002", True, "OK")]
