"""Checks of a C12.22 node from outside, over one connection; numbered as in our list."""

from __future__ import annotations

from dataclasses import replace

from protocols.c1222.ap_title import CALLED, CALLING, ApTitle
from protocols.c1222.ber import tlv
from protocols.c1222.builder import NEVER, ON_EXCEPTION, Lock
from protocols.c1222.envelope import APDU_TAG, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.identification import C1222_STANDARD, decode_identification
from protocols.c1222.security import AUTHENTICATED, CIPHERTEXT
from protocols.c1222.services import NetworkLogon, decode_blocks, encode_service
from protocols.c1222.transactions import HINTS
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import FullRead, FullWrite, Logoff, Terminate
from smartmeter.conformance.bench import Permit
from smartmeter.conformance.network_bench import (
    ANSWER_S,
    IDENTIFY,
    OWN_TITLE,
    SILENCE_S,
    NetworkBench,
    NetworkCheck,
    entered_in,
    want,
)
from smartmeter.conformance.network_envelope_checks import ENVELOPE_CHECKS
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

READ_0 = encode_request(FullRead(0))
#: ST-05 holds the name of who owns the meter.
NAMES = 5
READ_NAMES = encode_request(FullRead(NAMES))
UNKNOWN = b"\x6f"
_CHECKS: list[NetworkCheck] = []
_check = entered_in(_CHECKS)


@_check("C35", "Identify is answered with standard 03, version, revision and a list ended by 00")
def identify(bench: NetworkBench) -> None:
    """In any state; A4 and the swapped titles are looked at in every answer (8.1)."""
    data = want(bench.ask([IDENTIFY], bench.serving_lock())[0], ResponseCode.ok)
    try:
        found = decode_identification(data)
    except ApduRejected as error:
        raise Deviation(str(error)) from error
    if found.standard != C1222_STANDARD:
        raise Deviation(f"standard {found.standard:02X}H, 03H is due")
    if data[-1]:
        raise Deviation("the list of features does not end with 00")


@_check("C74", "an APDU that comes octet by octet is answered the same")
def octet_by_octet(bench: NetworkBench) -> None:
    """TCP keeps no boundaries."""
    bench.needs_stream()
    lock = bench.usual_lock()
    octets = bench.build([IDENTIFY], lock)
    for at in range(len(octets)):
        bench.send(octets[at : at + 1])
    bench.answer(octets, lock)


@_check("C75", "three APDUs in one segment are three messages, answered in order")
def three_at_once(bench: NetworkBench) -> None:
    """Each answer is matched with its own request."""
    bench.needs_stream()
    lock = bench.usual_lock()
    asked = [bench.build([IDENTIFY], lock) for _ in range(3)]
    bench.send(b"".join(asked))
    found: list[bytes] = []
    while len(found) < 3:
        more = bench.receive(ANSWER_S)
        if not more:
            raise Deviation(f"{len(found)} answers came to three requests")
        found += more
    for octets, request in zip(found, asked, strict=False):
        bench.items(octets, request, lock)


@_check("C83", "an octet other than 60 where an APDU begins closes the connection")
def other_octet(bench: NetworkBench) -> None:
    """It cannot be recovered (RFC 6142)."""
    bench.needs_stream()
    bench.closes(b"\x61\x00", "61")
    bench.still_answers()


@_check("C4", "an indefinite length closes the connection")
def indefinite(bench: NetworkBench) -> None:
    """So does one of 2^64."""
    bench.needs_stream()
    bench.closes(b"\x60\x80", "an indefinite length")
    bench.closes(b"\x60\x88" + b"\xff" * 8, "a length of eight octets")
    bench.still_answers()


@_check("C5", "a message without A8 is dropped")
def without_id(bench: NetworkBench) -> None:
    """There is nothing that an answer could refer to."""
    elements = decode_apdu(bench.build([IDENTIFY])).elements
    body = b"".join(octets for tag, octets in elements.items() if tag != 0xA8)
    bench.silence(tlv(0x60, body), "no A8")
    bench.still_answers()


@_check("C9", "a message with an unknown element is dropped", Basis.ONE_SOURCE)
def unknown_element(bench: NetworkBench) -> None:
    """No MAC covers it."""
    elements = decode_apdu(bench.build([IDENTIFY])).elements
    elements[0xA8] += b"\xa9\x03\x02\x01\x00"
    body = b"".join(elements.values())
    bench.silence(tlv(0x60, body), "an element A9")
    bench.still_answers()


@_check("C13", "an invocation id of 02 01 80 is 128, not -128")
def unsigned_id(bench: NetworkBench) -> None:
    """The answer's A4 tells."""
    lock = bench.usual_lock()
    bench.next_id = 127
    bench.ask([IDENTIFY], lock)


@_check("C14", "a control octet without bit 7 carries nothing out", Basis.TWO_SOURCES)
def without_bit_7(bench: NetworkBench) -> None:
    """``iar``, or no answer."""
    octets = bench.build([IDENTIFY])
    bench.send(octets[:-3] + bytes([octets[-3] & 0x7F]) + octets[-2:])
    if found := bench.receive(SILENCE_S):
        want(bench.items(found[0], octets)[0], ResponseCode.iar, ResponseCode.sme)


@_check("C16", "a service that is longer than what is left carries nothing out", Basis.ONE_SOURCE)
def overrun(bench: NetworkBench) -> None:
    """Not even what stands before it; ``iar``, or no answer."""
    octets = bench.build([IDENTIFY, b"\x30\x00\x00"])
    bench.send(octets[:-4] + b"\x09" + octets[-3:])
    if found := bench.receive(SILENCE_S):
        items = bench.items(found[0], octets)
        want(items[0], ResponseCode.iar, ResponseCode.sme)
        if len(items) > 1:
            raise Deviation("an ill-formed list was answered item by item")


@_check("C19", "the absolute form of the title reaches the node as the relative one does")
def absolute_title(bench: NetworkBench) -> None:
    """A relay may change the form."""
    lock = bench.usual_lock()
    octets = bench.build([IDENTIFY], lock, called=ApTitle(bench.title.absolute, False))
    bench.send(octets)
    bench.answer(octets, lock)


@_check("C23", "a title whose form a relay changed fits the MAC as before")
def absolute_title_under_a_mac(bench: NetworkBench) -> None:
    """It covers the absolute form of both, whatever was sent."""
    lock = bench.lock()
    octets = bench.build([IDENTIFY], lock)
    elements = decode_apdu(octets).elements
    called, calling = (ApTitle(one.absolute, False) for one in (bench.title, OWN_TITLE))
    elements[CALLED] = called.called_elements[0]
    elements[CALLING] = calling.calling_elements[0]
    changed = tlv(APDU_TAG, b"".join(elements.values()))
    bench.send(changed)
    want(bench.answer(changed, lock)[0], ResponseCode.ok)


@_check("C46", "response control never is met with silence")
def never(bench: NetworkBench) -> None:
    """Also where something is wrong."""
    bench.silence(bench.build([UNKNOWN], response_control=NEVER), "response control never")
    bench.still_answers()


@_check("C45", "response control on exception: silence where all is ok")
def on_exception(bench: NetworkBench) -> None:
    """Identify is always ok."""
    lock = bench.serving_lock()
    want(bench.ask([IDENTIFY], lock)[0], ResponseCode.ok)
    bench.silence(bench.build([IDENTIFY], lock, ON_EXCEPTION), "all was ok")


@_check("C36", "an unknown service is sns, and the others are answered")
def unknown_service(bench: NetworkBench) -> None:
    """One item for each service, in order."""
    items = bench.ask([UNKNOWN, IDENTIFY], bench.lock())
    if len(items) != 2:
        raise Deviation(f"{len(items)} items to two services", Basis.ONE_SOURCE)
    want(items[0], ResponseCode.sns)
    want(items[1], ResponseCode.ok)


@_check("C38", "Terminate and Logoff without a session are isss", Basis.ONE_SOURCE)
def no_session(bench: NetworkBench) -> None:
    """There is nothing to end."""
    for request in (Terminate(), Logoff()):
        want(bench.ask([encode_request(request)], bench.lock())[0], ResponseCode.isss)


@_check("C30", "both security modes give the same table")
def both_modes(bench: NetworkBench) -> None:
    """ST-00, in clear with a MAC and enciphered."""
    modes = (AUTHENTICATED, CIPHERTEXT)
    found = {_table(bench.ask([READ_0], bench.lock(mode))[0]) for mode in modes}
    if len(found) != 1:
        raise Deviation("ST-00 differs between the modes")


@_check("C29", "what is asked secured is not answered with less protection", Basis.ONE_SOURCE)
def as_protected(bench: NetworkBench) -> None:
    """But for what a relay may say, or who could not open it (7.4)."""
    for mode, way in ((AUTHENTICATED, "with a MAC"), (CIPHERTEXT, "enciphered")):
        lock = bench.lock(mode)
        octets = bench.build([READ_0], lock)
        bench.send(octets)
        answer = bench.first_answer()
        items = bench.items(answer, octets, lock)
        hints = all(item[0] in HINTS for item in items)
        if not hints and decode_apdu(answer).security_mode < mode:
            raise Deviation(f"what was asked {way} was answered with less protection")


@_check("C25", "a secured message without key id and IV is sme without a session", Basis.ONE_SOURCE)
def without_element(bench: NetworkBench) -> None:
    """Or no answer."""
    octets = bench.build([READ_0], replace(bench.lock(), carried=True))
    bench.send(octets)
    if found := bench.receive(SILENCE_S):
        want(bench.items(found[0], octets)[0], ResponseCode.sme)


@_check("C43", "a table that is not there is refused with onp or iar", Basis.ONE_SOURCE)
def missing_table(bench: NetworkBench) -> None:
    """2039 is the last standard table, and nobody has it."""
    item = bench.secured([encode_request(FullRead(2039))])[-1]
    want(item, ResponseCode.onp, ResponseCode.iar, ResponseCode.isc)


@_check(
    "C41",
    "a write with a wrong checksum is err, and changes nothing",
    Basis.ONE_SOURCE,
    needs=Permit.WRITES,
)
def wrong_checksum(bench: NetworkBench) -> None:
    """What stands in ST-05 is written to it, so that nothing is lost where it is taken."""
    item = bench.secured([READ_NAMES])[-1]
    if item[0] != ResponseCode.ok:
        raise NotApplicable(f"ST-05 is refused with {code_name(item[0])}")
    before = _table(item)
    write = encode_request(FullWrite(NAMES, before))
    item = bench.secured([write[:-1] + bytes((write[-1] ^ 1,))])[-1]
    if item[0] == ResponseCode.ok:
        raise Deviation("it was taken")
    if _table(bench.secured([READ_NAMES])[-1]) != before:
        raise Deviation(f"answered {code_name(item[0])}, and ST-05 is another")
    if item[0] != ResponseCode.err:
        raise NotApplicable(f"the node refuses the write with {code_name(item[0])}")


@_check("C27", "a request that comes again is not carried out again")
def replay(bench: NetworkBench) -> None:
    """The stored answer, octet by octet, or nothing."""
    octets = bench.build([READ_0], bench.lock())
    bench.send(octets)
    first = bench.first_answer()
    bench.send(octets)
    again = bench.receive(SILENCE_S)
    if again and again[0] != first and _code(bench, again[0], octets) != ResponseCode.sme:
        raise Deviation("the repetition was answered anew")


def _logged_on(bench: NetworkBench, lock: Lock) -> bytes:
    """Open a session, and give what was granted; NotApplicable at a node without sessions."""
    item = bench.ask([_logon(bench)], lock)[0]
    if item[0] in (ResponseCode.sns, ResponseCode.bsy):
        raise NotApplicable(f"the node answers Logon with {code_name(item[0])}")
    return want(item, ResponseCode.ok)


def _logon(bench: NetworkBench) -> bytes:
    return encode_service(NetworkLogon(bench.user_id, b"BENCH".ljust(10), 60))


def _logged_off(bench: NetworkBench) -> int:
    """End the session; give the code of the answer."""
    return bench.ask([encode_request(Logoff())], bench.lock())[0][0]


@_check("C76", "a session outlives its connection", Basis.ONE_SOURCE)
def outlived(bench: NetworkBench) -> None:
    """RFC 6142, 5.2.4."""
    bench.needs_stream()
    _logged_on(bench, bench.lock())
    bench.line.close()
    ended = _logged_off(bench)
    if ended != ResponseCode.ok:
        raise Deviation(f"Logoff on the next connection: answered {code_name(ended)}, not ok")


@_check("C37", "a session opens, serves what carries no key id and IV, and ends")
def session(bench: NetworkBench) -> None:
    """The time-out is granted in two octets; N ends with the logon's key id and IV (34)."""
    lock = bench.lock()
    if len(_logged_on(bench, lock)) != 2:
        raise Deviation("the granted time-out has not two octets")
    try:
        want(bench.ask([_logon(bench)], bench.lock())[0], ResponseCode.isss)
        _table(bench.ask([READ_0], replace(lock, carried=True))[0])
    finally:
        ended = _logged_off(bench)
    if ended != ResponseCode.ok:
        raise Deviation(f"Logoff: answered {code_name(ended)}, not ok")


@_check("C22", "a changed MAC, IV or octet gives nothing away", needs=Permit.ATTACKS)
def changed(bench: NetworkBench) -> None:
    """``sme``, or no answer."""
    good = bench.build([READ_0], bench.lock())
    for place in (-1, -5, -9):
        octets = bytearray(good)
        octets[place] ^= 1
        bench.send(bytes(octets))
        found = bench.receive(SILENCE_S)
        if found is None:
            raise Deviation("the connection was closed")
        if found:
            want(bench.items(found[0], good)[0], ResponseCode.sme)


@_check("C24", "an unknown key id is sme", Basis.ONE_SOURCE, needs=Permit.ATTACKS)
def unknown_key(bench: NetworkBench) -> None:
    """Or no answer, where that is the node's way."""
    lock = bench.lock()
    other = next(number for number in range(255, -1, -1) if number not in bench.keys)
    octets = bench.build([READ_0], Lock(lock.cipher, other, lock.iv))
    bench.send(octets)
    if found := bench.receive(SILENCE_S):
        want(bench.items(found[0], octets)[0], ResponseCode.sme)


def _code(bench: NetworkBench, octets: bytes, request: bytes) -> int:
    return bench.items(octets, request)[0][0]


def _table(item: bytes) -> bytes:
    if item[0] == ResponseCode.isc:
        raise NotApplicable("the node gives ST-00 to nobody without a password")
    data = want(item, ResponseCode.ok)
    try:
        return decode_blocks(data)
    except RemoteProtocolError as error:
        raise Deviation(str(error)) from error


#: In the order in which they are run: attacks may lock a node, so they come last.
NETWORK_CHECKS = sorted([*_CHECKS, *ENVELOPE_CHECKS], key=lambda one: one.needs is Permit.ATTACKS)
