"""Sessions against a model: steps, faults of the line, and what a device may answer to each.

The model knows the states of C12.18, which services a device may lack, and what
the device itself has said: a table that is read twice is the same, a slice is a
part of the whole, what is refused without a password stays refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from protocols.c1218.session import LEGAL, State
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import decode_request, encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.description import describe
from protocols.psem.services import (
    OPTIONAL_SERVICES,
    DefaultRead,
    FullRead,
    IndexRead,
    Logon,
    Negotiate,
    OffsetRead,
    Request,
    Security,
    Terminate,
)
from smartmeter.conformance.bench import Bench, damaged, octets_of
from smartmeter.conformance.tester import SLACK_US, Answer, Tester
from smartmeter.conformance.verdicts import Basis, Deviation

#: Tables that change by themselves, and those that what we do changes.
MOVING = frozenset((3, 7, 8, 23, 27, 28, 52, 55, 63, 64, 65, 66, 67, 74, 76))
_ANY_READ = frozenset(ResponseCode) - {ResponseCode.isss, ResponseCode.err}


class Fault(Enum):
    """What happens on the line during a step; a device must not mind."""

    NONE = "clean"
    DAMAGED = "damaged"
    COPIED = "copied"
    NAKED = "naked"
    LOST_ACK = "lost-ack"


@dataclass(frozen=True)
class Step:
    """One request under one fault; without a request a pause that ends any session."""

    request: Request | None
    fault: Fault = Fault.NONE

    def text(self) -> str:
        """Give the step in one line; :func:`parse` reads it."""
        if self.request is None:
            return "pause longer than the traffic time-out"
        psem = encode_request(self.request)
        if isinstance(self.request, Security):
            return f"{self.fault.value} password"
        return f"{self.fault.value} {psem.hex()}  ({describe(psem)})"


def parse(text: str, password: bytes | None) -> Step:
    """Read a step; ValueError when it is none.  Passwords are not kept: give it again."""
    words = text.split()
    if words[:1] == ["pause"]:
        return Step(None)
    if len(words) < 2:
        raise ValueError(f"{text!r} is no step")
    if words[1] == "password":
        return Step(Security((password or b"").ljust(20)), Fault(words[0]))
    try:
        return Step(decode_request(bytes.fromhex(words[1])), Fault(words[0]))
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from error


class Model:
    """What a device may do next; ``run`` holds it against what it does."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.state = State.BASE
        self._proved = False
        self._whole: dict[int, bytes] = {}
        self._closed: set[int] = set()

    def run(self, steps: Sequence[Step]) -> None:
        """Run a session from Base on; Deviation names the step that went wrong."""
        self._bench.base()
        for number, step in enumerate(steps, 1):
            try:
                self._step(step)
            except Deviation as deviation:
                text = f"step {number}, {step.text()}: {deviation}"
                raise Deviation(text, deviation.basis) from deviation

    def _step(self, step: Step) -> None:
        tester = self._bench.tester
        if step.request is None:
            tester.silence(tester.rules.traffic_us + SLACK_US, step.text())
            self._enter(State.BASE)
            return
        answer = ask_under(tester, step.request, step.fault)
        self._judge(step.request, answer)
        following = LEGAL.get((self.state, type(step.request)))
        if answer.ok and following is not None:
            self._after(step.request, answer, following)

    def _enter(self, state: State) -> None:
        if state is not State.SESSION:
            self._proved = False
        if state is State.BASE:
            self._bench.tester.defaults()
        self.state = state

    def _after(self, request: Request, answer: Answer, following: State) -> None:
        if isinstance(request, Negotiate):
            self._bench.tester.take_grant(answer)
        if isinstance(request, Security):
            self._proved = True
        if following is not self.state or isinstance(request, Terminate):
            self._enter(following)

    def _judge(self, request: Request, answer: Answer) -> None:
        if answer.code == ResponseCode.sns and type(request).__name__ in OPTIONAL_SERVICES:
            return
        if (self.state, type(request)) not in LEGAL:
            answer.want(ResponseCode.isss)
        elif isinstance(request, Terminate) and self.state is State.BASE:
            answer.want(ResponseCode.ok, ResponseCode.isss)
        elif isinstance(request, Logon):
            answer.want(ResponseCode.ok)
        elif isinstance(request, FullRead | OffsetRead):
            self._judge_read(request, answer)
        elif isinstance(request, IndexRead | DefaultRead):
            answer.want(*_ANY_READ)
        else:
            answer.want(ResponseCode.ok)

    def _judge_read(self, request: FullRead | OffsetRead, answer: Answer) -> None:
        answer.want(*_ANY_READ)
        table = request.table
        if answer.code == ResponseCode.isc:
            self._closed.add(table)
        if not answer.ok:
            return
        if table in self._closed and not self._proved:
            raise Deviation(f"table {table} was refused without a password, and is shown now")
        octets = octets_of(answer)
        if table in MOVING:
            return
        if isinstance(request, FullRead):
            known = self._whole.setdefault(table, octets)
        else:
            known = self._whole.get(table, b"")[request.offset : request.offset + request.count]
        if table in self._whole and octets != known:
            raise Deviation(f"table {table} has other octets than before")


def ask_under(tester: Tester, request: Request, fault: Fault) -> Answer:
    """Ask for something while the line does its worst; the device must cope."""
    psem = encode_request(request)
    if fault is Fault.NONE or len(psem) > tester.packet_octets - 8:
        return tester.ask(psem)
    packet = tester.packet(psem)
    if fault is Fault.DAMAGED:
        tester.write(damaged(packet, 0x08))
        tester.want_nak("a damaged packet")
    tester.deliver(packet)
    if fault in (Fault.NAKED, Fault.LOST_ACK):
        first = tester.want_packet()
        if fault is Fault.NAKED:
            tester.nak()
        again = tester.want_packet("the answer again")
        if again.octets != first.octets:
            raise Deviation("the repetition differs from the answer")
        return tester.answer(again)
    answer = tester.answer()
    copies_are_new = isinstance(request, Terminate) or psem == b"\x20"
    if fault is Fault.COPIED and not copies_are_new:
        tester.deliver(packet, "a copy of a packet")
        if tester.next(300_000) is not None:
            raise Deviation("a copy was answered", Basis.TWO_SOURCES)
    return answer
