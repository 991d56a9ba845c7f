"""Checks of what a C12.22 node takes for a message: the envelope, its lengths and its size."""

from __future__ import annotations

from dataclasses import replace

from protocols.c1222.ap_title import CALLED
from protocols.c1222.ber import tlv
from protocols.c1222.builder import Lock
from protocols.c1222.envelope import APDU_TAG, decode_apdu
from protocols.c1222.security import MAC_OCTETS, canonified_cleartext
from protocols.psem.codes import ResponseCode, code_name
from smartmeter.conformance.bench import Permit
from smartmeter.conformance.network_bench import (
    ANSWER_S,
    IDENTIFY,
    SILENCE_S,
    NetworkBench,
    NetworkCheck,
    entered_in,
    want,
)
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

RESERVED = 3
#: An ApTitle has tag 06, or 80 where it is relative.
OTHER_TAG = 0x82
#: Of a service that nobody has, with parameters that make its request long.
UNKNOWN = b"\x6f"
#: How long; a node grants 500 octets or more, and 32,767 are the most that is known.
REQUEST_OCTETS = (700, 2_500, 9_000, 32_000)
ENVELOPE_CHECKS: list[NetworkCheck] = []
_check = entered_in(ENVELOPE_CHECKS)


def _dropped(
    bench: NetworkBench, octets: bytes, lock: Lock | None, why: str, basis: Basis | None = None
) -> None:
    """Want that Identify in a wrong message is met with silence.

    Who refuses it carries nothing out: an answer other than ok is no more than advice.
    """
    bench.send(octets)
    if found := bench.receive(SILENCE_S):
        try:
            code = bench.opened(found[0], lock)[0][0]
        except Deviation:
            code = None
        told = "what cannot be read" if code is None else code_name(code)
        text = f"{why}: answered {told}, silence was due"
        raise Deviation(text, basis if code == ResponseCode.ok else Basis.RECOMMENDATION)
    bench.still_answers()


def _elements(bench: NetworkBench, lock: Lock | None) -> dict[int, bytes]:
    """Give the elements of a message that is answered; no MAC covers their order or number."""
    return decode_apdu(bench.build([IDENTIFY], lock)).elements


def _message(*elements: bytes) -> bytes:
    return tlv(APDU_TAG, b"".join(elements))


@_check("C7", "elements out of order are dropped", Basis.RECOMMENDATION)
def out_of_order(bench: NetworkBench) -> None:
    """Two stacks take this order only, one takes any."""
    lock = bench.serving_lock()
    elements = _elements(bench, lock)
    own_id = elements.pop(0xA8)
    _dropped(bench, _message(own_id, *elements.values()), lock, "A8 before A2")


@_check("C8", "an element that stands twice is dropped")
def twice(bench: NetworkBench) -> None:
    """Both say the same, so that whichever is taken fits the MAC."""
    lock = bench.serving_lock()
    elements = _elements(bench, lock)
    elements[0xA8] *= 2
    _dropped(bench, _message(*elements.values()), lock, "A8 twice")


@_check("C10", "a title with a tag other than 06 and 80 is dropped", Basis.ONE_SOURCE)
def other_tag(bench: NetworkBench) -> None:
    """No edition knows it."""
    lock = bench.serving_lock()
    elements = _elements(bench, lock)
    title = elements[CALLED][2:]
    elements[CALLED] = elements[CALLED][:2] + bytes((OTHER_TAG,)) + title[1:]
    _dropped(bench, _message(*elements.values()), lock, f"A2 holds a tag {OTHER_TAG:02X}")


@_check("C11", "a title whose last arc does not end is dropped")
def unfinished(bench: NetworkBench) -> None:
    """Its last octet says that another follows."""
    lock = bench.serving_lock()
    elements = _elements(bench, lock)
    called = elements[CALLED]
    elements[CALLED] = called[:-1] + bytes((called[-1] | 0x80,))
    _dropped(bench, _message(*elements.values()), lock, "A2 does not end")


@_check("C12", "an invocation id of five octets, or without 02, is dropped", Basis.ONE_SOURCE)
def no_integer(bench: NetworkBench) -> None:
    """The second is how it was written in 2006, so who still knows that is told it as advice."""
    lock = bench.serving_lock()
    elements = _elements(bench, lock)
    own_id = elements[0xA8][4:]
    elements[0xA8] = tlv(0xA8, tlv(0x02, b"\x01" + own_id.rjust(4, b"\0")))
    _dropped(bench, _message(*elements.values()), lock, "five octets")
    elements = _elements(bench, lock)
    elements[0xA8] = tlv(0xA8, elements[0xA8][4:])
    _dropped(bench, _message(*elements.values()), lock, "the form of 2006", Basis.RECOMMENDATION)


@_check("C15", "a reserved security mode or response control is dropped")
def reserved(bench: NetworkBench) -> None:
    """Both are 3."""
    lock = bench.serving_lock()
    octets = bench.build([IDENTIFY], lock, RESERVED)
    _dropped(bench, octets, lock, "response control 3")
    octets = bench.build([IDENTIFY], replace(lock, mode=RESERVED) if lock else None)
    if lock is None:
        at = len(octets) - len(IDENTIFY) - 2
        octets = octets[:at] + bytes((octets[at] | RESERVED << 2,)) + octets[at + 1 :]
    _dropped(bench, octets, lock, "security mode 3")


@_check("C17", "a length of zero ends the list of services, and what follows is padding")
def padded(bench: NetworkBench) -> None:
    """Identify with three octets of it is Identify."""
    items = bench.ask([IDENTIFY, b"", b"", b""], bench.serving_lock())
    want(items[0], ResponseCode.ok)
    if len(items) != 1:
        raise Deviation(f"{len(items)} items to one service")


@_check("C18", "a service's length in the forms 81 and 82 is read", Basis.ONE_SOURCE)
def long_lengths(bench: NetworkBench) -> None:
    """Shorter would do: a sender need not, a reader must."""
    lock = bench.serving_lock()
    for head in (b"\x81\x01", b"\x82\x00\x01"):
        octets = _with_list(bench, head + IDENTIFY, lock)
        bench.send(octets)
        items = bench.answer(octets, lock)
        if items[0][0] != ResponseCode.ok:
            raise Deviation(f"{head.hex(' ')}: answered {code_name(items[0][0])}, not ok")


def _with_list(bench: NetworkBench, listed: bytes, lock: Lock | None) -> bytes:
    """Give a request with a list of services that is written as it stands, below 128 octets."""
    octets = bench.build([listed[1:]], lock)
    if lock is None:
        return octets[: -len(listed)] + listed
    covered = canonified_cleartext(decode_apdu(octets), lock.key_id, lock.iv)
    text, mac = lock.cipher.seal(covered, listed)
    return octets[: -len(listed) - MAC_OCTETS] + text + mac


@_check(
    "C49",
    "a request that is too large is rqtl, with the limit",
    Basis.ONE_SOURCE,
    needs=Permit.ATTACKS,
)
def too_large(bench: NetworkBench) -> None:
    """The sources disagree on the width of the limit, and a small node may lack it."""
    lock = bench.serving_lock()
    for size in REQUEST_OCTETS:
        octets = bench.build([UNKNOWN + bytes(size)], lock)
        bench.send(octets)
        found = bench.receive(ANSWER_S)
        if not found and not bench.line.is_stream:
            raise NotApplicable(f"datagrams of {len(octets)} octets may be lost on the way")
        if found is None:
            text = f"{len(octets)} octets: the connection ended, rqtl was due"
            raise Deviation(text, Basis.RECOMMENDATION)
        if not found:
            raise Deviation(f"{len(octets)} octets: no answer came, rqtl was due")
        item = bench.items(found[0], octets, lock)[0]
        if item[0] == ResponseCode.rqtl:
            return _check_limit(item[1:], len(octets))
    raise NotApplicable(f"requests of {REQUEST_OCTETS[-1]:,} octets are taken")


def _check_limit(told: bytes, octets: int) -> None:
    """Want that what rqtl tells is a limit below the octets that were too many."""
    if len(told) not in (0, 3, 4):
        raise Deviation(f"rqtl carries {len(told)} octets, a limit has 4 or 3")
    limit = int.from_bytes(told)
    if told and not 0 < limit < octets:
        raise Deviation(f"rqtl tells a limit of {limit}, and {octets} octets were too many")
