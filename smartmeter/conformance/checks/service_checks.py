"""Group *services*: lengths, codes, Negotiate, Read (C12.18 4)."""

from __future__ import annotations

from functools import partial

from protocols.psem.codec import encode_request
from protocols.psem.codes import BAUD_CODES, BAUDS, ResponseCode
from protocols.psem.services import FullRead, IndexRead, Negotiate, OffsetRead, Terminate
from smartmeter.conformance.bench import WRITE_ONLY, Bench, in_group, octets_of
from smartmeter.conformance.tester import Answer
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "services")
ok, sns, onp, iar = ResponseCode.ok, ResponseCode.sns, ResponseCode.onp, ResponseCode.iar
isss, isc, err = ResponseCode.isss, ResponseCode.isc, ResponseCode.err
ADVICE = Basis.RECOMMENDATION


@check("D49", "requests of a wrong length are refused by PSEM, not by a NAK", ADVICE, seconds=4)
def wrong_lengths(bench: Bench) -> None:
    """Identification, Logon, Wait and Logoff, one octet too many or too few (D52)."""
    bench.base().ask(b"\x20\x00").want_refusal()
    logon = encode_request(bench.logon())
    for wrong in (logon[:-1], logon + b" "):
        tester = bench.id_state()
        tester.ask(wrong).want_refusal()
        tester.ask(bench.logon()).want(ok, basis=Basis.TWO_SOURCES)
    tester.ask(b"\x52\x00").want_refusal()
    tester.ask(b"\x70").want_refusal()
    bench.want_session(Basis.TWO_SOURCES)


@check("D58", "a table comes with its count and checksum")
def table_answer(bench: Bench) -> None:
    """``00 count data cksum``; the sum of data and cksum is 0 mod 256."""
    tester = bench.best_session()
    answer = tester.ask(FullRead(0))
    if answer.code == onp:
        answer = tester.ask(OffsetRead(0, 0, 40))
    octets = octets_of(answer.want(ok))
    if not octets:
        raise Deviation("ST-00 is empty")


@check("D59", "a table that is not there is iar, with rights or without", seconds=2)
def absent_table(bench: Bench) -> None:
    """An unknown table goes before missing rights."""
    absent = bench.unlisted()
    bench.session(room=True).ask(FullRead(absent)).want(iar)
    bench.tester.ask(OffsetRead(absent, 0, 4)).want(iar, sns)


@check(
    "D59b",
    "a Read of a wrong length of a table that is not there is iar",
    Basis.ONE_SOURCE,
    seconds=2,
)
def malformed_read_of_an_absent_table(bench: Bench) -> None:
    """By the order in which refusals go before each other; a default read names no table."""
    absent = bench.unlisted().to_bytes(2, "big")
    tester = bench.best_session()
    tester.ask(b"\x30" + absent + b"\0").want(iar)
    tester.ask(b"\x3f" + absent + b"\0").want(iar, sns)
    tester.ask(b"\x3e" + absent).want(err, onp, sns)


@check("D61", "a write-only table is not read: ST-07 is iar", seconds=2)
def write_only_table(bench: Bench) -> None:
    """Also with a password."""
    if WRITE_ONLY not in bench.listed():
        raise NotApplicable("ST-00 does not list ST-07")
    bench.best_session().ask(FullRead(WRITE_ONLY)).want(iar)


@check("D62", "a read by offset gives exactly those octets", seconds=2)
def offset_read(bench: Bench) -> None:
    """Inside the table."""
    whole = bench.table(0)
    tester = bench.best_session()
    for offset, count in ((0, 1), (3, 4), (len(whole) - 1, 1), (1, min(40, len(whole) - 1))):
        answer = tester.ask(OffsetRead(0, offset, count)).want_served("reads by offset")
        found = octets_of(answer.want(ok))
        if found != whole[offset : offset + count]:
            raise Deviation(f"{count} octets from {offset} on differ from the whole table")


@check("D63", "a read that crosses the end gives what exists, or onp", ADVICE, seconds=2)
def offset_read_across_the_end(bench: Bench) -> None:
    """Never wrong data."""
    whole = bench.table(0)
    tester = bench.best_session()
    answer = tester.ask(OffsetRead(0, len(whole) - 2, 9)).want_served("reads by offset")
    if answer.want(ok, onp).ok and octets_of(answer) != whole[-2:]:
        raise Deviation("other octets than those at the table's end", Basis.TWO_SOURCES)


@check("D64", "a read from the end on is onp", seconds=2)
def offset_read_past_the_end(bench: Bench) -> None:
    """At the end, and far after it: the offset has 24 bits."""
    whole = bench.table(0)
    tester = bench.best_session()
    for offset in (len(whole), len(whole) + 1, 0x10000, 0xFFFFFF):
        answer = tester.ask(OffsetRead(0, offset, 1)).want_served("reads by offset")
        answer.want(onp)


@check("D64b", "a read of no octets is refused", ADVICE, seconds=1)
def offset_read_of_nothing(bench: Bench) -> None:
    """What octet-count 0 means is told by no source."""
    answer = bench.best_session().ask(OffsetRead(0, 0, 0)).want_served("reads by offset")
    answer.want(onp)


@check(
    "D66", "an answer that does not fit the limits is onp, not a part", Basis.ONE_SOURCE, seconds=3
)
def answer_too_long(bench: Bench) -> None:
    """Under 64 x 1, 52 table octets fit."""
    whole = bench.table(0)
    tester = bench.session(password=bench.password)
    tester.ask(OffsetRead(0, 0, 1)).want_served("reads by offset")
    if len(whole) >= 53:
        tester.ask(OffsetRead(0, 0, 53)).want(onp)
        tester.ask(FullRead(0)).want(onp)
    count = min(52, len(whole))
    if octets_of(tester.ask(OffsetRead(0, 0, count)).want(ok)) != whole[:count]:
        raise Deviation("52 octets differ from the whole table")


@check("D67", "a long answer comes in full packets and a rest", seconds=4)
def long_answer(bench: Bench) -> None:
    """57 octets of answer under 64 x 2: a packet of 56 and one of 1."""
    bench.need("Negotiate")
    number = bench.table_of(53)
    tester = bench.id_state()
    if not tester.negotiate(64, 2).ok or tester.packets < 2:
        raise NotApplicable("the device grants one packet a message")
    bench.begin_session(bench.password)
    answer = tester.ask(OffsetRead(number, 0, 53)).want_served("reads by offset")
    sizes = [len(packet.data) for packet in answer.want(ok).packets]
    if sizes != [56, 1]:
        raise Deviation(f"packets of {sizes} octets of data, not [56, 1]")
    if octets_of(answer) != bench.tables[number][:53] and number not in (52, 55):
        raise Deviation("the joined octets differ from the table", Basis.ONE_SOURCE)


@check("D68", "read codes without a meaning are sns", seconds=3)
def unknown_reads(bench: Bench) -> None:
    """3AH to 3DH; a device without index reads says sns to 31H as well (D69: never silence)."""
    tester = bench.best_session()
    for code in (0x3A, 0x3D):
        tester.ask(bytes((code, 0, 0))).want(sns)
    one, nine = (tester.ask(IndexRead(0, (0,) * count, 1)) for count in (1, 9))
    if one.code != sns and nine.code == sns:
        raise Deviation("31H is served, and 39H is sns", Basis.MEMORY)
    if nine.ok:
        octets_of(nine)  # no table is so deep, but whatever comes is a table's answer
    tester.ask(b"\x3e")


@check("D70", "a Read of a wrong length is onp", ADVICE, seconds=2)
def read_of_a_wrong_length(bench: Bench) -> None:
    """For one index, by offset, and full; sns where the form is not there."""
    tester = bench.best_session()
    tester.ask(b"\x30\x00").want(onp)
    tester.ask(b"\x30\x00\x00\x00").want(onp)
    tester.ask(b"\x3f\x00\x00\x00\x00\x00\x00").want(onp, sns)
    tester.ask(b"\x3f\x00\x00\x00\x00\x00\x00\x01\x00").want(onp, sns)
    tester.ask(b"\x31\x00\x00\x00\x00").want(onp, sns)


@check("D91", "services of C12.21 are sns in any state", seconds=4)
def telephone_services(bench: Bench) -> None:
    """22H, 53H and 71H, and codes that no service has (D92)."""
    if bench.rules.is_call:
        raise NotApplicable("in a call they are served")
    for state in (bench.base, bench.id_state, bench.session):
        for code in (0x22, 0x53, 0x71, 0x2F, 0x6F):
            state().ask(bytes((code,))).want(sns)


@check("D92", "codes that are no request are sns", ADVICE, seconds=3)
def no_request_codes(bench: Bench) -> None:
    """00H to 1FH and 80H to FFH."""
    tester = bench.session()
    for code in (0x00, 0x1F, 0x80, 0xFF, bench.rng.randrange(0x80, 0x100)):
        tester.ask(bytes((code, 1))).want(sns)
    bench.want_session(Basis.TWO_SOURCES)


@check("D77", "Negotiate grants no more than was asked for, in 5 octets", seconds=4)
def negotiate(bench: Bench) -> None:
    """Also without a baud list (D78); the present code comes back."""
    for octets, packets in ((64, 1), (256, 1), (128, 4), (1024, 16), (8192, 255)):
        tester = bench.id_state()
        answer = _granted(tester.ask(Negotiate(octets, packets)))
        size, count = int.from_bytes(answer.data[:2], "big"), answer.data[2]
        if not 32 <= size <= octets or not 1 <= count <= packets:
            raise Deviation(f"{size} x {count} granted for {octets} x {packets}", ADVICE)
        due = bench.rules.baud_code
        if answer.data[3] != due:
            text = f"baud code {answer.data[3]:02X}H, {due:02X}H is in force"
            raise Deviation(text, Basis.ONE_SOURCE)


@check("D77b", "what Negotiate granted is in force after its ACK", seconds=4)
def negotiated_limits_hold(bench: Bench) -> None:
    """Answers use it, requests may; nothing longer is taken."""
    bench.need("Negotiate")
    tester = bench.id_state()
    _granted(tester.negotiate(96, 1))
    if tester.packet_octets < 96:
        raise NotApplicable(f"the device grants packets of {tester.packet_octets} octets")
    tester.deliver(
        tester.packet(encode_request(bench.logon()) + bytes(75)),
        "a packet of the size that was granted",
    )
    tester.answer().want_refusal(ADVICE)
    bench.begin_session(bench.password)
    whole = bench.tables.get(0, b"")
    if len(whole) >= 60:
        answer = tester.ask(OffsetRead(0, 0, 60)).want_served("reads by offset")
        octets_of(answer.want(ok))


@check("D77c", "limits whose grant was not acknowledged do not hold", ADVICE, seconds=3)
def unacknowledged_limits(bench: Bench) -> None:
    """A client that moved on has not taken them over."""
    bench.need("Negotiate")
    tester = bench.id_state()
    tester.unacknowledged(encode_request(Negotiate(96, 1)))
    tester.ask(bench.logon()).want(ok)
    tester.write(tester.packet(b"\x20" + bytes(60)))
    tester.want_nak("a packet of 69 octets")


@check("D79", "unknown bauds on offer keep the speed", seconds=2)
def unknown_bauds(bench: Bench) -> None:
    """Still ok, with the present code; the device stays at 9600."""
    tester = bench.id_state()
    answer = _granted(tester.ask(Negotiate(64, 1, (0x1F, 0x7E))))
    if answer.data[3] != bench.rules.baud_code:
        raise Deviation(f"baud code {answer.data[3]:02X}H, which was not on offer as a speed")
    tester.ask(bench.logon()).want(ok)


@check("D80", "a new speed holds from the ACK of its answer on", seconds=8)
def new_baud(bench: Bench) -> None:
    """The highest that is on offer and possible; 9600 again after Terminate."""
    bench.need_speeds()
    bench.need("Negotiate")
    tester = bench.id_state()
    codes = tuple(BAUD_CODES[baud] for baud in (19200, 38400, 57600))
    answer = _granted(tester.negotiate(64, 1, codes))
    if answer.data[3] not in codes:
        raise NotApplicable(f"the device keeps {BAUDS.get(answer.data[3], 'its')} baud")
    tester.ask(bench.logon()).want(ok)
    tester.ask(Terminate()).want(ok)
    tester.defaults()
    tester.identify()


@check("D80b", "every speed that the profile claims is granted", ADVICE, seconds=2)
def claimed_bauds(bench: Bench) -> None:
    """Each on offer alone; the speed is not changed, as no grant is acknowledged."""
    bench.need_speeds()
    bench.need("Negotiate")
    if not bench.profile.bauds:
        raise NotApplicable("the profile claims no speeds")
    for baud in bench.profile.bauds:
        tester = bench.id_state()
        packet = tester.unacknowledged(encode_request(Negotiate(64, 1, (BAUD_CODES[baud],)))).packet
        if (
            packet is None
            or packet.data[:1] != b"\0"
            or packet.data[4:] != bytes((BAUD_CODES[baud],))
        ):
            raise Deviation(f"{baud} baud were claimed, and are not granted")


@check("D81", "without an ACK the old speed stays", Basis.RECOMMENDATION, seconds=12)
def new_baud_without_ack(bench: Bench) -> None:
    """The answer is repeated at the old speed, then Base at 9600."""
    bench.need_speeds()
    bench.need("Negotiate")
    tester = bench.id_state()
    first = tester.unacknowledged(encode_request(Negotiate(64, 1, (BAUD_CODES[19200],))))
    again = tester.next(3_000_000)
    if again is None or again.octets != first.octets:
        raise Deviation(f"{again or 'nothing'} came, the answer was due again at 9600 baud")
    tester.rest(9_000_000, "the retries end")
    tester.forget()
    tester.identify()


@check("D83", "Negotiate of nothing is refused, and the old values stay", ADVICE, seconds=3)
def negotiate_nothing(bench: Bench) -> None:
    """No packets, no octets, or a baud list that is not there."""
    for wrong in (b"\x60\x00\x40\x00", b"\x60\x00\x00\x01", b"\x62\x00\x40\x01\x06"):
        tester = bench.id_state()
        tester.ask(wrong).want_refusal()
        tester.ask(bench.logon()).want(ok, basis=Basis.TWO_SOURCES)


def _granted(answer: Answer) -> Answer:
    if len(answer.want_served("Negotiate").want(ok).data) != 4:
        raise Deviation(f"an answer of {1 + len(answer.data)} octets, 5 are due")
    return answer
