"""A device that answers the telephone: rung, read, hung up, rung again; carrier and modem lost."""

import threading
from pathlib import Path

from protocols.c1218.scripts import LogonSettings, read_table
from protocols.c1221.client import CallClient
from protocols.c1221.conversation import CallConversation
from protocols.modem.answering import REMIND_US, AnsweringModem
from protocols.modem.at import COMMAND_US, GUARD_US, INITIALISE, CommandDone
from protocols.transports.pcapng import read_capture
from smartmeter.base.clock import monotonic_us
from tests.protocols.c1221.call import CallBench
from tests.protocols.modem.pty_modem import PtyModem
from tests.smartmeter.cli.served import meter_process
from tests.waiting import wait_until


class Line:
    """A device's modem, by hand."""

    def __init__(self) -> None:
        self.bench = CallBench()
        self.machine = AnsweringModem(self.bench.server, 0)
        self.now_us = 0
        assert self.say() == INITIALISE.encode() + b"\r"
        assert self.hear(b"\r\nOK\r\n") == b""
        assert self.stands() == (True, "OK")

    def say(self) -> bytes:
        octets = self.machine.outgoing()
        self.machine.sent(self.now_us)
        return octets

    def hear(self, octets: bytes, later_us: int = 1000) -> bytes:
        self.machine.receive(octets, self.now_us)
        self.now_us += later_us
        self.machine.expire(self.now_us)
        return self.say()

    def stands(self) -> tuple[bool, str]:
        """How the modem was initialised."""
        (event,) = self.machine.events()
        assert isinstance(event, CommandDone)
        return event.ok, event.result

    def called(self) -> None:
        assert self.hear(b"\r\nRING\r\n") == b"ATA\r"
        assert self.hear(b"\r\nCONNECT 9600\r\n") == b""


def test_a_call_is_taken_served_and_ended_by_disconnect() -> None:
    line = Line()
    for _ in range(2):
        line.called()
        bench = line.bench
        bench.toggle = 0
        said = line.hear(bench.packet(b"\x20"))
        assert said[:1] == b"\x06" and said[7:9] == b"\0\2"
        line.hear(b"\x06")
        assert line.hear(bench.packet(b"\x22"))[7:8] == b"\0"
        assert line.hear(b"\x06") == b"", "silence before the escape"
        line.now_us += 1_200_000
        assert line.hear(b"") == b"+++"
        line.now_us += 1_200_000
        assert line.hear(b"\r\nOK\r\n") == b"ATH\r"
        line.hear(b"\r\nOK\r\n")


def test_a_lost_carrier_leaves_nothing_of_the_call() -> None:
    line = Line()
    line.called()
    line.hear(line.bench.packet(b"\x20"))
    line.hear(b"\x06\r\nNO CARRIER\r\n")
    line.called()
    line.bench.toggle = 0
    assert line.hear(line.bench.packet(b"\x20"))[7:9] == b"\0\2", "Base state again"


def test_a_modem_that_was_switched_off_is_told_again() -> None:
    line = Line()
    line.now_us = REMIND_US
    assert line.hear(b"") == INITIALISE.encode() + b"\r"
    line.now_us += COMMAND_US
    assert line.hear(b"") == b"" and line.stands() == (False, "no answer")


def test_a_call_that_another_program_left_is_ended_and_the_next_one_taken() -> None:
    line = Line()
    line.now_us = REMIND_US
    assert line.hear(b"") == INITIALISE.encode() + b"\r"
    line.now_us += COMMAND_US
    assert line.hear(b"octets of that call") == b"" and line.stands() == (False, "no answer")
    line.now_us += GUARD_US
    assert line.hear(b"") == b"+++"
    line.now_us += GUARD_US
    assert line.hear(b"\r\nOK\r\n") == b"ATH\r"
    assert line.hear(b"\r\nOK\r\n") == INITIALISE.encode() + b"\r"
    line.hear(b"\r\nOK\r\n")
    assert line.stands() == (True, "OK")
    line.called()


def test_a_modem_that_is_dead_is_freed_once_until_it_is_reminded() -> None:
    line = Line()
    line.now_us = REMIND_US
    said = line.hear(b"")
    while line.machine.deadline_us() != 2 * REMIND_US + 1000:
        line.now_us = line.machine.deadline_us() or 0
        said += line.hear(b"")
    initialise = INITIALISE.encode() + b"\r"
    assert said == initialise + b"+++ATH\r" + initialise


class Caller:
    """A client that reads a table in a call that it makes; a machine at the far modem."""

    def __init__(self) -> None:
        now_us = monotonic_us()
        conversation = CallConversation(LogonSettings(2, b"SSI", b"reader"), 5)
        self.client: CallClient = conversation.client  # type: ignore[assignment]
        self.client.run(conversation.open(), "open", now_us)
        self.client.run(read_table(1, self.client.limits), "read", now_us)
        self.client.run(conversation.close(), "close", now_us)
        self.ended: dict[object, object] = {}
        self.done = threading.Event()
        self.receive, self.expire = self.client.receive, self.client.expire
        self.outgoing, self.sent = self.client.outgoing, self.client.sent
        self.deadline_us = self.client.deadline_us

    def events(self) -> list[object]:
        events = list(self.client.events())
        for event in events:
            token = getattr(event, "token", None)
            if token is not None:
                self.ended[token] = getattr(event, "result", getattr(event, "error", None))
            if token == "close":
                self.done.set()
        return events


def test_meter_serve_answers_the_telephone_and_captures_the_call(tmp_path: Path) -> None:
    modem, file = PtyModem(), tmp_path / "call.pcapng"
    modem.stored_profile_takes_calls = modem.takes_calls_itself = True
    with meter_process("--modem", modem.name, "--identity", "5", "--pcap", str(file)):
        wait_until(lambda: modem.commands)  # the modem is told before anybody calls
        caller = Caller()
        modem.ring(caller)
        assert caller.done.wait(60), caller.ended
        assert isinstance(caller.ended["read"], bytes) and len(caller.ended["read"]) == 32
        assert modem.commands[:2] == [INITIALISE, "ATA"]
    frames = [one.octets for one in read_capture(file.read_bytes())]
    assert frames[0][:2] == b"\xee\x05" and {frame[:1] for frame in frames} == {b"\xee", b"\x06"}
    modem.close()
