"""The bench on C12.22: what its checks stand on, and how they are run.

Unlike a node of ours it adapts to nothing: an answer is what the rule says, or a
:class:`~smartmeter.conformance.verdicts.Deviation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, Envelope, Lock, build_apdu
from protocols.c1222.datagrams import awaited_id
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import CIPHERTEXT, CLEAR, EaxPrime, open_secured, split_services
from protocols.c1222.services import NetworkSecurity, encode_service
from protocols.errors import PortError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import Identify
from protocols.shown_by_repr import ShownByRepr
from smartmeter.conformance.bench import Permit
from smartmeter.conformance.transcript import Transcript
from smartmeter.conformance.verdicts import (
    Basis,
    Deviation,
    NotApplicable,
    Result,
    Unreachable,
    Verdict,
)

OWN_TITLE = ApTitle.parse(".65001")
ANSWER_S, SILENCE_S = 15.0, 2.0
GROUP = "network"
#: How often a node is looked for that has failed a check.
REACH_TRIES = 2
GONE = "the node does not answer any more"
LOCKED = f"{GONE}, as one may that locks itself after attacks"
#: What is said where a title is unknown, or the way to it cut.
OF_THE_WAY = (ResponseCode.uat, ResponseCode.nett, ResponseCode.netr)
IDENTIFY = encode_request(Identify())


class ApduLine(Protocol):
    """What the bench asks of a connection."""

    #: Whether octets come as a stream, not as datagrams.
    is_stream: bool
    #: How it ended, once ``receive`` has given None.
    why_ended: str

    def send(self, octets: bytes) -> None:
        """Send octets, on a new connection if there is none; PortError."""

    def receive(self, within_s: float) -> list[bytes] | None:
        """Give the APDUs that come next, none in time, or None when it has ended."""

    def close(self) -> None:
        """End it."""


@dataclass(repr=False)
class NetworkBench(ShownByRepr):
    """A node under test, by its title; ``keys`` and ``password`` as far as they are known."""

    line: ApduLine
    title: ApTitle
    now_us: Callable[[], int]
    utc_s: Callable[[], int]
    next_id: int
    keys: Mapping[int, EaxPrime] = field(default_factory=dict)
    password: bytes | None = None
    user_id: int = 0
    transcript: Transcript = field(default_factory=Transcript)
    _key_fits: bool = field(default=False, init=False)
    _silent_in_clear: bool = field(default=False, init=False)
    #: Ids of this check's requests that are answered.
    _answered: set[int] = field(default_factory=set, init=False)

    @property
    def key_id(self) -> int:
        """Give the newest key's id; NotApplicable without a key."""
        if not self.keys:
            raise NotApplicable("no key is given: --key-file, or SMARTMETER_C1222_KEYS")
        return max(self.keys)

    def lock(self, mode: int = CIPHERTEXT) -> Lock:
        """Give how a message is secured: the newest key, now.

        NotApplicable where the node has another key or time: what it then refuses is no fault.
        """
        lock = self._newest(mode)
        if not self._key_fits:
            self._try_key(lock)
        return lock

    def _newest(self, mode: int) -> Lock:
        key_id = self.key_id
        return Lock(self.keys[key_id], key_id, self.utc_s().to_bytes(4, "big"), mode)

    def _try_key(self, lock: Lock) -> None:
        """Ask for what every node gives to who has its key."""
        octets = self.build([IDENTIFY], lock)
        self.send(octets)
        found = self.receive(ANSWER_S)
        code = self.items(found[0], octets, lock)[0][0] if found else None
        if code in (None, ResponseCode.sme):
            told = "sme" if found else "nothing"
            raise NotApplicable(
                f"the node answers {told} under the key: another key, or the clocks differ"
            )
        self._key_fits = True

    def usual_lock(self) -> Lock | None:
        """Give None where the node answers in clear, if only with sme; else how it answers."""
        return self.lock() if self._silent_in_clear else None

    def serving_lock(self) -> Lock | None:
        """Give None where the node serves in clear, else a lock; NotApplicable without a key."""
        if self._silent_in_clear or self.ask([IDENTIFY])[0][0] == ResponseCode.sme:
            return self.lock()
        return None

    def still_answers(self) -> None:
        """Want an answer to Identify, whatever it says."""
        self.ask([IDENTIFY], self.usual_lock())

    def reach(self) -> None:
        """Want any answer to Identify, in clear or under a key; Unreachable when there is none."""
        why = ""
        for lock in (None, *([self._newest(CIPHERTEXT)] if self.keys else ())):
            self.settle()
            octets = self.build([IDENTIFY], lock)
            self.send(octets)
            found = self.receive(ANSWER_S)
            if found and found[0] != octets:
                self._want_the_node(found[0], lock)
                self._silent_in_clear = lock is not None
                return
            if found:
                raise Unreachable("what is sent there comes back as it is")
            why = why or ("no answer came" if found is not None else self.line.why_ended)
        raise Unreachable(f"nothing answers Identify there: {why}")

    def _want_the_node(self, octets: bytes, lock: Lock | None) -> None:
        """Want that an answer is not a relay's word for one that it does not reach."""
        with suppress(Deviation, NotApplicable):
            code = self.opened(octets, lock)[0][0]
            if code in OF_THE_WAY:
                raise Unreachable(f"a relay answers {code_name(code)}: is the title right?")

    def needs_stream(self) -> None:
        """Want a connection; NotApplicable over datagrams, each of which stands alone."""
        if not self.line.is_stream:
            raise NotApplicable("datagrams keep their boundaries")

    def build(
        self,
        services: Sequence[bytes],
        lock: Lock | None = None,
        response_control: int = ALWAYS,
        called: ApTitle | None = None,
    ) -> bytes:
        """Give a request with an id of its own."""
        self.next_id = self.next_id % 0x7FFF + 1
        envelope = Envelope(self.next_id, called or self.title, OWN_TITLE)
        return build_apdu(envelope, services, lock, response_control)

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.transcript.sent(octets, self.now_us())
        self._answered.discard(awaited_id(octets) or 0)
        self.line.send(octets)

    def receive(self, within_s: float) -> list[bytes] | None:
        """Give what comes next, as the line does; no datagram that answers again.

        A request in a datagram is sent again while its answer is on its way, and each is answered.
        """
        until_us = self.now_us() + int(within_s * 1e6)
        while True:
            found = self.line.receive(max(0.0, (until_us - self.now_us()) / 1e6))
            for octets in found or ():
                self.transcript.received(octets, self.now_us())
            fresh = [octets for octets in found or () if not self._comes_again(octets)]
            if not found or fresh:
                return found and fresh
            if self.now_us() >= until_us:
                return []

    def _comes_again(self, octets: bytes) -> bool:
        """Tell whether a datagram answers a request that has its answer; note that it has one."""
        if self.line.is_stream:
            return False
        try:
            answers = decode_apdu(octets).called_invocation_id
        except ApduRejected:
            return False
        if answers is None or answers in self._answered:
            return answers is not None
        self._answered.add(answers)
        return False

    def ask(self, services: Sequence[bytes], lock: Lock | None = None) -> list[bytes]:
        """Send a request, and want a right answer; give its items."""
        octets = self.build(services, lock)
        self.send(octets)
        return self.answer(octets, lock)

    def secured(self, services: Sequence[bytes]) -> list[bytes]:
        """Ask under the key, behind the password if one is known; give the items of the rest."""
        if self.password is None:
            return self.ask(services, self.lock())
        security = encode_service(NetworkSecurity(self.password, self.user_id))
        found = self.ask([security, *services], self.lock())
        return found[1:] if len(found) > len(services) else found

    def answer(self, request: bytes, lock: Lock | None = None) -> list[bytes]:
        """Want the answer to a request; give its items."""
        return self.items(self.first_answer(), request, lock)

    def first_answer(self) -> bytes:
        """Want that something comes; give its octets."""
        found = self.receive(ANSWER_S)
        if found is None:
            raise Deviation(f"an answer was due: {self.line.why_ended}")
        if not found:
            raise Deviation("no answer came")
        return found[0]

    def items(self, octets: bytes, request: bytes, lock: Lock | None = None) -> list[bytes]:
        """Want that an APDU is a right answer to a request; give its items."""
        asked = decode_apdu(request)
        apdu = _whole(octets)
        if apdu.called_invocation_id != asked.calling_invocation_id:
            raise Deviation(f"A4 is {apdu.called_invocation_id}, the request's A8 was another")
        if apdu.called is None or apdu.called.absolute != OWN_TITLE.absolute:
            raise Deviation(f"A2 is {apdu.called}, the caller's title is due")
        if apdu.calling is None or apdu.calling.absolute != self.title.absolute:
            raise Deviation(f"A6 is {apdu.calling}, the node's title is due")
        return self.opened(octets, lock)

    def opened(self, octets: bytes, lock: Lock | None = None) -> list[bytes]:
        """Give the items of an APDU, whatever it answers; Deviation when it cannot be opened."""
        apdu = _whole(octets)
        control, text = apdu.user_information[0], apdu.user_information[1:]
        try:
            if apdu.security_mode != CLEAR:
                key_id, iv = (lock.key_id, lock.iv) if lock else (self.key_id, b"")
                if apdu.iv is not None and apdu.key_id is not None:
                    key_id, iv = apdu.key_id, apdu.iv
                text = open_secured(apdu, self.keys.get(key_id), key_id, iv)
            return split_services(control, text)[1]
        except ApduRejected as error:
            raise Deviation(f"the answer cannot be opened: {error.reason}") from error

    def silence(self, octets: bytes, why: str) -> None:
        """Want that nothing comes; the node must still be there afterwards."""
        self.send(octets)
        found = self.receive(SILENCE_S)
        if found:
            raise Deviation(f"{why}: answered {found[0][:24].hex(' ')}, silence was due")

    def closes(self, octets: bytes, why: str) -> None:
        """Want that the connection is closed, however long that takes to be seen here."""
        self.send(octets)
        found = self.receive(ANSWER_S)
        if found is not None:
            raise Deviation(f"{why}: the connection stays open")

    def settle(self) -> None:
        """Begin anew for the next check."""
        self.line.close()
        self.transcript, self._answered = Transcript(), set()


def _whole(octets: bytes) -> Apdu:
    """Read an answer; Deviation when it is none, NotApplicable when it is a segment of one."""
    try:
        apdu = decode_apdu(octets)
    except ApduRejected as error:
        raise Deviation(f"the answer is no APDU: {error}") from error
    if apdu.is_segment:
        raise NotApplicable("the answer comes in segments, which the bench does not join")
    return apdu


def want(item: bytes, *codes: ResponseCode) -> bytes:
    """Give what follows an item's code, where that is one of these; else raise Deviation."""
    if item[0] not in codes:
        wanted = " or ".join(code.name for code in codes)
        raise Deviation(f"answered {code_name(item[0])}, not {wanted}")
    return item[1:]


@dataclass(frozen=True)
class NetworkCheck:
    """One thing that a node must do, and the permit that looking needs."""

    name: str
    title: str
    basis: Basis
    act: Callable[[NetworkBench], None]
    needs: Permit | None = None


Act = Callable[[NetworkBench], None]


def entered_in(checks: list[NetworkCheck]) -> Callable[..., Callable[[Act], Act]]:
    """Give the decorator that makes a check of a function, and enters it in a list."""

    def check(
        name: str, title: str, basis: Basis = Basis.TWO_SOURCES, needs: Permit | None = None
    ) -> Callable[[Act], Act]:
        def enter(act: Act) -> Act:
            checks.append(NetworkCheck(name, title, basis, act, needs))
            return act

        return enter

    return check


def run_network(
    bench: NetworkBench,
    checks: Iterable[NetworkCheck],
    waivers: Mapping[str, str],
    told: Callable[[Result], None],
) -> list[Result]:
    """Run checks one after the other; PortError or Unreachable when there is no node at all.

    Where it does not answer any more after a check that failed, or after attacks, the others are
    not run.
    """
    bench.reach()
    results, gone, attacked = [], "", False
    for check in checks:
        bench.settle()
        if attacked and not gone and not _answers(bench):
            gone = LOCKED
        if gone:
            result = Result(check.name, GROUP, check.title, check.basis, Verdict.NOT_RUN, gone)
        else:
            result, reachable = _run(bench, check)
            gone = "" if reachable else GONE
            attacked = attacked or check.needs is Permit.ATTACKS
        result = result.waived(waivers)
        results.append(result)
        told(result)
    bench.line.close()
    return results


def _run(bench: NetworkBench, check: NetworkCheck) -> tuple[Result, bool]:
    """Run a check; tell whether the node answers after it, where it failed.

    That it does not is a violation, whatever the check rests on.
    """
    result = _once(bench, check)
    if not result.verdict.failed or _answers(bench):
        return result, True
    return replace(result, verdict=Verdict.VIOLATION, text=f"{result.text}; {GONE}"), False


def _answers(bench: NetworkBench) -> bool:
    for _ in range(REACH_TRIES):
        with suppress(Unreachable, PortError):
            bench.reach()
            return True
    return False


def _once(bench: NetworkBench, check: NetworkCheck) -> Result:
    begin_us, verdict, text = bench.now_us(), Verdict.PASSED, ""
    try:
        check.act(bench)
    except Deviation as deviation:
        verdict, text = deviation.verdict(check.basis), str(deviation)
    except NotApplicable as reason:
        verdict, text = Verdict.NOT_APPLICABLE, str(reason)
    except PortError as error:
        verdict, text = Verdict.VIOLATION, f"the connection went away: {error}"
    took_s = (bench.now_us() - begin_us) / 1e6
    return Result(
        check.name,
        GROUP,
        check.title,
        check.basis,
        verdict,
        text,
        bench.transcript,
        took_s,
    )
