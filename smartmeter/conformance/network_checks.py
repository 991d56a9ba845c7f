"""Checks of a C12.22 node from outside, over one connection; numbered as in our list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER, ON_EXCEPTION, Lock
from protocols.c1222.envelope import decode_apdu, tlv
from protocols.c1222.errors import ApduRejected
from protocols.c1222.identification import C1222_STANDARD, decode_identification
from protocols.c1222.security import AUTHENTICATED, CIPHERTEXT
from protocols.c1222.services import NetworkLogon, decode_blocks, encode_service
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import FullRead, Identify, Logoff, Terminate
from smartmeter.conformance.network_bench import NetworkBench, NetworkCheck
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

IDENTIFY = encode_request(Identify())
READ_0 = encode_request(FullRead(0))
UNKNOWN = b"\x6f"
NETWORK_CHECKS: list[NetworkCheck] = []
_Act = Callable[[NetworkBench], None]


def _check(
    name: str, title: str, basis: Basis = Basis.TWO_SOURCES, attack: bool = False
) -> Callable[[_Act], _Act]:
    def enter(act: _Act) -> _Act:
        NETWORK_CHECKS.append(NetworkCheck(name, title, basis, act, attack))
        return act

    return enter


def _identify(bench: NetworkBench) -> bytes:
    """Identify as the node wants it: in clear, or secured where it says sme."""
    lock = None
    item = bench.ask([IDENTIFY])[0]
    if item[0] == ResponseCode.sme:
        lock = bench.lock()
        item = bench.ask([IDENTIFY], lock)[0]
    return item


def _want(item: bytes, *codes: ResponseCode) -> bytes:
    if item[0] not in codes:
        wanted = " or ".join(code.name for code in codes)
        raise Deviation(f"answered {code_name(item[0])}, not {wanted}")
    return item[1:]


@_check("C35", "Identify is answered with standard 03, version, revision and a list ended by 00")
def identify(bench: NetworkBench) -> None:
    """In any state; A4 and the swapped titles are looked at in every answer (8.1)."""
    data = _want(_identify(bench), ResponseCode.ok)
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
    octets = bench.build([IDENTIFY])
    for at in range(len(octets)):
        bench.send(octets[at : at + 1])
    bench.answer(octets)


@_check("C75", "three APDUs in one segment are three messages, answered in order")
def three_at_once(bench: NetworkBench) -> None:
    """Each answer is matched with its own request."""
    bench.needs_stream()
    asked = [bench.build([IDENTIFY]) for _ in range(3)]
    bench.send(b"".join(asked))
    found: list[bytes] = []
    while len(found) < 3:
        more = bench.receive(15.0)
        if not more:
            raise Deviation(f"{len(found)} answers came to three requests")
        found += more
    for octets, request in zip(found, asked, strict=False):
        bench.items(octets, request)


@_check("C83", "an octet other than 60 where an APDU begins closes the connection")
def other_octet(bench: NetworkBench) -> None:
    """It cannot be recovered (RFC 6142)."""
    bench.needs_stream()
    bench.closes(b"\x61\x00", "61")


@_check("C4", "an indefinite length closes the connection")
def indefinite(bench: NetworkBench) -> None:
    """So does one of 2^64."""
    bench.needs_stream()
    bench.closes(b"\x60\x80", "an indefinite length")
    bench.closes(b"\x60\x88" + b"\xff" * 8, "a length of eight octets")


@_check("C5", "a message without A8 is dropped")
def without_id(bench: NetworkBench) -> None:
    """There is nothing that an answer could refer to."""
    elements = decode_apdu(bench.build([IDENTIFY])).elements
    body = b"".join(octets for tag, octets in elements.items() if tag != 0xA8)
    bench.silence(tlv(0x60, body), "no A8")
    _identify(bench)


@_check("C9", "a message with an unknown element is dropped", Basis.ONE_SOURCE)
def unknown_element(bench: NetworkBench) -> None:
    """No MAC covers it."""
    elements = decode_apdu(bench.build([IDENTIFY])).elements
    elements[0xA8] += b"\xa9\x03\x02\x01\x00"
    body = b"".join(elements.values())
    bench.silence(tlv(0x60, body), "an element A9")
    _identify(bench)


@_check("C13", "an invocation id of 02 01 80 is 128, not -128")
def unsigned_id(bench: NetworkBench) -> None:
    """The answer's A4 tells."""
    bench.next_id = 127
    bench.ask([IDENTIFY])


@_check("C14", "a control octet without bit 7 carries nothing out", Basis.TWO_SOURCES)
def without_bit_7(bench: NetworkBench) -> None:
    """``iar``, or no answer."""
    octets = bench.build([IDENTIFY])
    bench.send(octets[:-3] + bytes([octets[-3] & 0x7F]) + octets[-2:])
    if found := bench.receive(2.0):
        _want(bench.items(found[0], octets)[0], ResponseCode.iar, ResponseCode.sme)


@_check("C16", "a service that is longer than what is left carries nothing out", Basis.ONE_SOURCE)
def overrun(bench: NetworkBench) -> None:
    """Not even what stands before it; ``iar``, or no answer."""
    octets = bench.build([IDENTIFY, b"\x30\x00\x00"])
    bench.send(octets[:-4] + b"\x09" + octets[-3:])
    if found := bench.receive(2.0):
        items = bench.items(found[0], octets)
        _want(items[0], ResponseCode.iar, ResponseCode.sme)
        if len(items) > 1:
            raise Deviation("an ill-formed list was answered item by item")


@_check("C19", "the absolute form of the title reaches the node as the relative one does")
def absolute_title(bench: NetworkBench) -> None:
    """A relay may change the form."""
    octets = bench.build([IDENTIFY], called=ApTitle(bench.title.absolute, False))
    bench.send(octets)
    bench.answer(octets)


@_check("C46", "response control never is met with silence")
def never(bench: NetworkBench) -> None:
    """Also where something is wrong."""
    bench.silence(bench.build([UNKNOWN], response_control=NEVER), "response control never")
    _identify(bench)


@_check("C45", "response control on exception: silence where all is ok")
def on_exception(bench: NetworkBench) -> None:
    """Identify is always ok."""
    if bench.ask([IDENTIFY])[0][0] != ResponseCode.ok:
        raise NotApplicable("Identify in clear is not ok at this node")
    bench.silence(bench.build([IDENTIFY], response_control=ON_EXCEPTION), "all was ok")


@_check("C36", "an unknown service is sns, and the others are answered")
def unknown_service(bench: NetworkBench) -> None:
    """One item for each service, in order."""
    items = bench.ask([UNKNOWN, IDENTIFY], bench.lock())
    if len(items) != 2:
        raise Deviation(f"{len(items)} items to two services", Basis.ONE_SOURCE)
    _want(items[0], ResponseCode.sns)
    _want(items[1], ResponseCode.ok)


@_check("C38", "Terminate and Logoff without a session are isss", Basis.ONE_SOURCE)
def no_session(bench: NetworkBench) -> None:
    """There is nothing to end."""
    for request in (Terminate(), Logoff()):
        _want(bench.ask([encode_request(request)], bench.lock())[0], ResponseCode.isss)


@_check("C30", "both security modes give the same table")
def both_modes(bench: NetworkBench) -> None:
    """ST-00, in clear with a MAC and enciphered."""
    modes = (AUTHENTICATED, CIPHERTEXT)
    found = {_table(bench.ask([READ_0], bench.lock(mode))[0]) for mode in modes}
    if len(found) != 1:
        raise Deviation("ST-00 differs between the modes")


@_check("C43", "a table that is not there is refused with onp or iar", Basis.ONE_SOURCE)
def missing_table(bench: NetworkBench) -> None:
    """2039 is the last standard table, and nobody has it."""
    item = bench.secured([encode_request(FullRead(2039))])[-1]
    _want(item, ResponseCode.onp, ResponseCode.iar, ResponseCode.isc)


@_check("C27", "a request that comes again is not carried out again")
def replay(bench: NetworkBench) -> None:
    """The stored answer, octet by octet, or nothing."""
    octets = bench.build([READ_0], bench.lock())
    bench.send(octets)
    first = bench.receive(15.0)
    if not first:
        raise Deviation("no answer came")
    bench.send(octets)
    again = bench.receive(2.0)
    if again and again[0] != first[0] and _code(bench, again[0], octets) != ResponseCode.sme:
        raise Deviation("the repetition was answered anew")


@_check("C37", "a session opens, serves what carries no key id and IV, and ends")
def session(bench: NetworkBench) -> None:
    """The time-out is granted in two octets; N ends with the logon's key id and IV (34)."""
    lock = bench.lock()
    logon = encode_service(NetworkLogon(bench.user_id, b"BENCH".ljust(10), 60))
    item = bench.ask([logon], lock)[0]
    if item[0] in (ResponseCode.sns, ResponseCode.bsy):
        raise NotApplicable(f"the node answers Logon with {code_name(item[0])}")
    if len(_want(item, ResponseCode.ok)) != 2:
        raise Deviation("the granted time-out has not two octets")
    try:
        _want(bench.ask([logon], bench.lock())[0], ResponseCode.isss)
        _table(bench.ask([READ_0], replace(lock, carried=True))[0])
    finally:
        ended = bench.ask([encode_request(Logoff())], bench.lock())[0]
    _want(ended, ResponseCode.ok)


@_check("C22", "a changed MAC, IV or octet gives nothing away", attack=True)
def changed(bench: NetworkBench) -> None:
    """``sme``, or no answer."""
    good = bench.build([READ_0], bench.lock())
    for place in (-1, -5, -9):
        octets = bytearray(good)
        octets[place] ^= 1
        bench.send(bytes(octets))
        found = bench.receive(2.0)
        if found is None:
            raise Deviation("the connection was closed")
        if found:
            _want(bench.items(found[0], good)[0], ResponseCode.sme)


@_check("C24", "an unknown key id is sme", Basis.ONE_SOURCE, attack=True)
def unknown_key(bench: NetworkBench) -> None:
    """Or no answer, where that is the node's way."""
    lock = bench.lock()
    other = next(number for number in range(255, -1, -1) if number not in bench.keys)
    octets = bench.build([READ_0], Lock(lock.cipher, other, lock.iv))
    bench.send(octets)
    if found := bench.receive(2.0):
        _want(bench.items(found[0], octets)[0], ResponseCode.sme)


def _code(bench: NetworkBench, octets: bytes, request: bytes) -> int:
    return bench.items(octets, request)[0][0]


def _table(item: bytes) -> bytes:
    if item[0] == ResponseCode.isc:
        raise NotApplicable("the node gives ST-00 to nobody without a password")
    data = _want(item, ResponseCode.ok)
    try:
        return decode_blocks(data)
    except RemoteProtocolError as error:
        raise Deviation(str(error)) from error
