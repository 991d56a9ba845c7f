"""A head-end that answers the telephone: calls that say nothing, or no message, are ended."""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from protocols.machine import HangUp
from protocols.transports import capture
from protocols.transports.ip_reading import IpReader
from protocols.transports.pcapng import read_capture
from smartmeter.comms.answered_calls import IDLE_US, CalledLine, CallPath
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.bearers import make_bearer
from smartmeter.comms.sockets import PATIENCE_S
from tests.protocols.c1222.conversation import READ_1, request
from tests.smartmeter.comms.far_ends import (
    HEAD_END_NUMBER,
    LIMIT,
    Answering,
    Modems,
    connected,
)
from tests.waiting import until

MESSAGE = request([READ_1])


class Called:
    """A line that has been called, and its handler."""

    def __init__(self) -> None:
        self.handler, self.counts = Answering(), Counter[str]()
        self.line = CalledLine(self.handler, LIMIT, self.counts)
        self.line.line_began(0)

    @property
    def hung_up(self) -> bool:
        return any(isinstance(event, HangUp) for event in self.line.events())


def test_a_caller_that_begins_no_message_is_hung_up_on() -> None:
    call = Called()
    assert call.line.deadline_us() == PATIENCE_S * 1_000_000
    call.line.expire(int(PATIENCE_S * 1_000_000))
    assert call.hung_up and call.counts["call ended too-slow"] == 1
    call.line.line_lost(1)
    assert call.line.deadline_us() is None, "nobody is there to be slow"


def test_a_caller_that_has_nothing_more_to_say_is_hung_up_on_later() -> None:
    call = Called()
    call.line.receive(MESSAGE, 5)
    assert call.line.outgoing()[:1] == b"\x60", "answered"
    call.line.expire(IDLE_US)
    assert not call.hung_up
    call.line.expire(IDLE_US + 5)
    assert call.hung_up


@pytest.mark.parametrize("octets", [b"hello", b"\x60\x80", b"\x60\x83\xff\xff\xff"])
def test_what_is_no_message_ends_the_call_once(octets: bytes) -> None:
    call = Called()
    call.line.receive(octets, 1)
    call.line.receive(octets, 2)
    assert call.hung_up and sum(call.counts.values()) == 1 and not call.handler.seen


def test_an_answer_to_a_call_that_has_ended_goes_into_no_other_call() -> None:
    call = Called()
    call.line.receive(MESSAGE, 1)
    path = call.handler.paths[0]
    assert isinstance(path, CallPath)
    call.line.outgoing()
    call.line.line_lost(2)
    assert call.handler.gone == [path]
    call.line.line_began(3)
    path.send(MESSAGE)
    assert call.line.outgoing() == b"" and call.counts["unsent"] == 1


async def test_tms_run_answers_by_one_modem_and_listens_for_messages_by_another(
    tmp_path: Path, modems: Modems
) -> None:
    other = Modems()
    modems.of_node.numbers[HEAD_END_NUMBER] = modems.dial
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "smartmeter", "tms", "run", "--data", str(tmp_path)),
        *("--listen", "127.0.0.1:0", "--web", "off"),
        *("--modem", modems.of_head_end.name, "--sms", other.of_head_end.name),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).startswith(b"ready ")
        settings = BearerSettings("call", f"modem:{HEAD_END_NUMBER}@{modems.of_node.name}")
        async with connected(make_bearer(settings)) as (connection, arrived, _taking):
            connection.send(request([b"\x20"]))
            await until(lambda: arrived)
        await until(lambda: "AT+CMGF=0" in other.of_head_end.commands)
        assert modems.of_head_end.commands[1:] == ["ATA"]
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 60)
        other.close()


def test_what_passes_in_a_call_is_in_the_capture_as_wireshark_knows_it(tmp_path: Path) -> None:
    capture.begin(tmp_path / "calls.pcapng")
    try:
        Called().line.receive(MESSAGE, 1)
    finally:
        capture.end()
    asked, answered = read_capture((tmp_path / "calls.pcapng").read_bytes())
    segments = [IpReader().read(one.octets) for one in (asked, answered)]
    assert segments[0] is not None and segments[0].payload == MESSAGE
    assert segments[0].destination[1] == 1153 and (asked.outbound, answered.outbound) == (
        False,
        True,
    )
    assert segments[1] is not None and segments[1].destination == segments[0].source
