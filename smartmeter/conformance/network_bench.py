"""The bench on C12.22: what its checks stand on, and how they are run.

Unlike a node of ours it adapts to nothing: an answer is what the rule says, or a
:class:`~smartmeter.conformance.verdicts.Deviation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import ALWAYS, Envelope, Lock, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.security import CIPHERTEXT, EaxPrime, open_secured, split_services
from protocols.c1222.services import NetworkSecurity, encode_service
from protocols.errors import PortError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Identify
from smartmeter.conformance.transcript import Transcript
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable, Result, Verdict

OWN_TITLE = ApTitle.parse(".65001")
ANSWER_S, SILENCE_S = 15.0, 2.0
GROUP = "network"


class ApduLine(Protocol):
    """What the bench asks of a connection."""

    #: Whether octets come as a stream, not as datagrams.
    is_stream: bool

    def send(self, octets: bytes) -> None:
        """Send octets, on a new connection if there is none; PortError."""

    def receive(self, within_s: float) -> list[bytes] | None:
        """Give the APDUs that come next, none in time, or None when the peer has closed."""

    def close(self) -> None:
        """End it."""


@dataclass
class NetworkBench:
    """A node under test, by its title; ``keys`` and ``password`` as far as they are known."""

    line: ApduLine
    title: ApTitle
    now_us: Callable[[], int]
    utc_s: Callable[[], int]
    next_id: int
    keys: Mapping[int, EaxPrime] = field(default_factory=dict, repr=False)
    password: bytes | None = field(default=None, repr=False)
    user_id: int = 0
    transcript: Transcript = field(default_factory=Transcript)
    _key_fits: bool = field(default=False, init=False)

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
        key_id = self.key_id
        lock = Lock(self.keys[key_id], key_id, self.utc_s().to_bytes(4, "big"), mode)
        if not self._key_fits:
            self._try_key(lock)
        return lock

    def _try_key(self, lock: Lock) -> None:
        """Ask for what every node gives to who has its key."""
        octets = self.build([encode_request(Identify())], lock)
        self.send(octets)
        found = self.receive(ANSWER_S)
        code = self.items(found[0], octets, lock)[0][0] if found else None
        if code in (None, ResponseCode.sme):
            told = "sme" if found else "nothing"
            raise NotApplicable(
                f"the node answers {told} under the key: another key, or the clocks differ"
            )
        self._key_fits = True

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
        self.line.send(octets)

    def receive(self, within_s: float) -> list[bytes] | None:
        """Give what comes next, as the line does."""
        found = self.line.receive(within_s)
        for octets in found or ():
            self.transcript.received(octets, self.now_us())
        return found

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
        found = self.receive(ANSWER_S)
        if found is None:
            raise Deviation("the connection was closed, an answer was due")
        if not found:
            raise Deviation("no answer came")
        return self.items(found[0], request, lock)

    def items(self, octets: bytes, request: bytes, lock: Lock | None = None) -> list[bytes]:
        """Want that an APDU is a right answer to a request; give its items."""
        asked = decode_apdu(request)
        try:
            apdu = decode_apdu(octets)
        except ApduRejected as error:
            raise Deviation(f"the answer is no APDU: {error}") from error
        if apdu.called_invocation_id != asked.calling_invocation_id:
            raise Deviation(f"A4 is {apdu.called_invocation_id}, the request's A8 was another")
        if apdu.called is None or apdu.called.absolute != OWN_TITLE.absolute:
            raise Deviation(f"A2 is {apdu.called}, the caller's title is due")
        if apdu.calling is None or apdu.calling.absolute != self.title.absolute:
            raise Deviation(f"A6 is {apdu.calling}, the node's title is due")
        control = apdu.user_information[0]
        text = apdu.user_information[1:]
        try:
            if control >> 2 & 3:
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
        """Want that the connection is closed."""
        self.send(octets)
        found = self.receive(SILENCE_S)
        if found is not None:
            raise Deviation(f"{why}: the connection stays open")

    def settle(self) -> None:
        """Begin anew for the next check."""
        self.line.close()
        self.transcript = Transcript()


@dataclass(frozen=True)
class NetworkCheck:
    """One thing that a node must do; ``attack`` needs a permit."""

    name: str
    title: str
    basis: Basis
    act: Callable[[NetworkBench], None]
    attack: bool = False


def run_network(
    bench: NetworkBench,
    checks: Iterable[NetworkCheck],
    waivers: Mapping[str, str],
    told: Callable[[Result], None],
) -> list[Result]:
    """Run checks one after the other; PortError when the node cannot be reached at all."""
    results = []
    for check in checks:
        bench.settle()
        result = _once(bench, check).waived(waivers)
        results.append(result)
        told(result)
    bench.line.close()
    return results


def _once(bench: NetworkBench, check: NetworkCheck) -> Result:
    begin_us, verdict, text = bench.now_us(), Verdict.PASSED, ""
    try:
        check.act(bench)
    except Deviation as deviation:
        verdict, text = deviation.verdict(check.basis), str(deviation)
    except NotApplicable as reason:
        verdict, text = Verdict.NOT_APPLICABLE, str(reason)
    except PortError as error:
        if not bench.transcript.entries[1:]:
            raise
        verdict, text = Deviation(str(error)).verdict(check.basis), str(error)
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
