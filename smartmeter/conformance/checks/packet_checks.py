"""Group *packet*: checksums, lengths, control octets, copies, repetitions (C12.18 2.1 to 2.8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from protocols.datalink.packet import FIRST, TOGGLE
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, Logon
from smartmeter.conformance.bench import Bench, damaged, in_group, raw
from smartmeter.conformance.tester import SLACK_US, Tester
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "packet")
IDENTIFY, READ_ST0 = b"\x20", b"\x30\x00\x00"
OTHERS_ARE_SILENT = Basis.RECOMMENDATION
#: The longest gap that a device must bear, with room for a clock of its own.
LONGEST_GAP_US = 480_000


def _not_executed(tester: Tester) -> None:
    """Want that the device is still in Base: Identification works."""
    tester.pause(700_000)
    tester.identify()


def _bad_checksum(bench: Bench, damage: Callable[[bytes], bytes], why: str) -> None:
    tester = bench.base()
    tester.write(damage(tester.packet(IDENTIFY)))
    tester.want_nak(why)
    _not_executed(tester)


@check("D06", "EE, 06 and 15 inside a packet's data are data")
def control_characters_in_data(bench: Bench) -> None:
    """Only the length delimits a packet."""
    tester = bench.id_state()
    user = bytes.fromhex("ee0615ee0615ee000000")
    answer = tester.ask(Logon(bench.profile.user_id, user))
    answer.want(ResponseCode.ok, ResponseCode.iar, ResponseCode.err)


@check("D07", "a flipped data bit is NAKed, and the packet not executed", seconds=2)
def flipped_data_bit(bench: Bench) -> None:
    """One bit of the data."""
    bit = 1 << bench.rng.randrange(8)
    _bad_checksum(bench, lambda p: p[:6] + bytes((p[6] ^ bit,)) + p[7:], "a flipped data bit")


@check("D08", "a flipped checksum bit is NAKed", seconds=2)
def flipped_checksum_bit(bench: Bench) -> None:
    """One bit of either checksum octet."""
    bit = 1 << bench.rng.randrange(8)
    _bad_checksum(bench, lambda p: damaged(p, bit), "a flipped checksum bit")
    _bad_checksum(bench, lambda p: p[:-2] + bytes((p[-2] ^ bit, p[-1])), "a flipped checksum bit")


@check("D09", "a checksum with its high octet first is NAKed", Basis.ONE_SOURCE, seconds=2)
def swapped_checksum(bench: Bench) -> None:
    """Some meters are made so; the standard says low octet first."""
    _bad_checksum(bench, lambda p: p[:-2] + p[:-3:-1], "a swapped checksum")


@check("D10", "an unreflected CCITT checksum is NAKed", seconds=2)
def ccitt_checksum(bench: Bench) -> None:
    """The name CCITT often means this one; it is wrong here."""

    def damage(packet: bytes) -> bytes:
        register = 0xFFFF
        for octet in packet[:-2]:
            register ^= octet << 8
            for _ in range(8):
                carry = register & 0x8000
                register = (register << 1 ^ (0x1021 if carry else 0)) & 0xFFFF
        return packet[:-2] + register.to_bytes(2, "little")

    _bad_checksum(bench, damage, "an unreflected CCITT checksum")


@check("D11", "a packet that was NAKed is not remembered: its repetition is served")
def a_naked_packet_is_not_a_copy(bench: Bench) -> None:
    """The same toggle, now with the right checksum."""
    tester = bench.base()
    good = tester.packet(IDENTIFY)
    tester.write(damaged(good, 1))
    tester.want_nak("a wrong checksum")
    tester.deliver(good, "its repetition")
    tester.answer().want(ResponseCode.ok)


@check("D12", "silence inside a header ends the packet", Basis.RECOMMENDATION, seconds=4)
def silence_in_the_header(bench: Bench) -> None:
    """After the inter-character time-out the device listens anew; a NAK is usual."""
    tester = bench.base()
    tester.write(tester.packet(IDENTIFY)[:4])
    tester.want_nak("a header that stops", OTHERS_ARE_SILENT)
    tester.identify()


@check("D13", "a packet whose last octet is missing is NAKed", seconds=4)
def last_octet_missing(bench: Bench) -> None:
    """After the inter-character time-out, not before the octets could have come."""
    tester = bench.base()
    whole = tester.packet(IDENTIFY)
    tester.write(whole[:-1])
    begin_us = tester.now_us()
    tester.silence(380_000, "a packet that may still go on")
    tester.want_nak("a packet without its last octet")
    latest_us = bench.rules.inter_character_us + 1_000_000 + SLACK_US + tester.way_us
    if tester.now_us() - begin_us > latest_us:
        raise Deviation("the NAK came later than any inter-character time-out", Basis.MEMORY)
    _not_executed(tester)


@check("D14", "gaps of 400 ms inside a packet are tolerated", seconds=6)
def gaps_inside_a_packet(bench: Bench) -> None:
    """The inter-character time-out is 500 ms at least."""
    tester = bench.base()
    for octet in tester.packet(IDENTIFY):
        began_us = tester.now_us()
        tester.pause(380_000)
        tester.write(bytes((octet,)))
        if tester.now_us() - began_us > LONGEST_GAP_US:
            raise NotApplicable("this computer made a gap longer than it wanted: it is too busy")
    tester.want_ack("a packet with gaps")
    tester.answer().want(ResponseCode.ok)


@check("D15", "a packet of no data is NAKed", Basis.RECOMMENDATION, seconds=3)
def no_data(bench: Bench) -> None:
    """Length 0 is not legal in C12.18."""
    tester = bench.base()
    tester.write(raw(tester.toggle, 0, 0, b""))
    tester.want_nak("a packet of no data", OTHERS_ARE_SILENT)
    _not_executed(tester)


@check("D16", "a packet above the size in force is NAKed", Basis.RECOMMENDATION, seconds=3)
def above_the_packet_size(bench: Bench) -> None:
    """65 octets before Negotiate."""
    tester = bench.base()
    tester.write(raw(tester.toggle, 0, 57, IDENTIFY + bytes(56)))
    tester.want_nak("a packet of 65 octets", OTHERS_ARE_SILENT)
    _not_executed(tester)


@check("D17", "a packet of exactly the size in force is accepted", seconds=2)
def at_the_packet_size(bench: Bench) -> None:
    """64 octets before Negotiate: acknowledged; its PSEM is refused."""
    tester = bench.base()
    tester.deliver(tester.packet(b"\x20" + bytes(55)), "a packet of 64 octets")
    tester.answer().want_refusal(Basis.RECOMMENDATION)


@check("D18", "a length of FFFFH does not hang the device", seconds=5)
def absurd_length(bench: Bench) -> None:
    """It is back when the line is quiet."""
    tester = bench.base()
    tester.write(raw(tester.toggle, 0, 0xFFFF, b"\x20"))
    tester.want_nak("a length of FFFFH", OTHERS_ARE_SILENT)
    tester.pause(1_500_000)
    tester.identify()


@check("D19", "reserved bits of ctrl are ignored", Basis.RECOMMENDATION)
def reserved_bits(bench: Bench) -> None:
    """Bits 4 to 2 are sent as 0, and not looked at."""
    tester = bench.base()
    tester.deliver(tester.packet(IDENTIFY, ctrl=0x1C), "a packet with reserved bits")
    tester.answer().want(ResponseCode.ok)


@check("D20", "a packet of another data format is not processed", Basis.ONE_SOURCE, seconds=5)
def other_data_formats(bench: Bench) -> None:
    """NAK or silence; the device stays in Base."""
    for number in (1, 2, 3):
        tester = bench.base()
        tester.write(tester.packet(IDENTIFY, ctrl=number))
        tester.want_nak(f"data format {number}", None)
        _not_executed(tester)


def _refused(bench: Bench, ctrl: int, seq_nbr: int, why: str) -> None:
    tester = bench.base()
    tester.write(tester.packet(IDENTIFY, ctrl, seq_nbr))
    tester.want_nak(why, OTHERS_ARE_SILENT)
    _not_executed(tester)


@check("D21", "FIRST without MULTI is not processed", Basis.RECOMMENDATION, seconds=2)
def first_without_multi(bench: Bench) -> None:
    """It begins nothing."""
    _refused(bench, FIRST, 0, "ctrl 40H")


@check("D22", "a single packet with a seq-nbr is not processed", Basis.RECOMMENDATION, seconds=2)
def single_with_seq_nbr(bench: Bench) -> None:
    """A single packet has none to follow."""
    _refused(bench, 0, 6, "a single packet with seq-nbr 6")


@check("D23", "a copy of the last packet is acknowledged and not executed again", seconds=4)
def copy_of_the_last_packet(bench: Bench) -> None:
    """Identity, toggle and checksum are equal: it is the same packet."""
    tester = bench.session()
    packet = tester.packet(READ_ST0)
    tester.deliver(packet)
    tester.answer()
    tester.deliver(packet, "a copy of the last packet")
    tester.silence(1_500_000, "a copy of a request that was answered")
    tester.ask(FullRead(0))


@check(
    "D23b",
    "a copy of Identification whose answer was acknowledged is answered anew",
    Basis.RECOMMENDATION,
    seconds=3,
)
def copy_of_identification(bench: Bench) -> None:
    """Its client was started again and begins with the same toggle."""
    tester = bench.base()
    packet = tester.packet(IDENTIFY)
    for _ in range(2):
        tester.deliver(packet)
        tester.answer().want(ResponseCode.ok)


@check("D24", "a copy while the answer is unacknowledged brings the answer again", seconds=3)
def copy_before_the_ack(bench: Bench) -> None:
    """Our ACK and its answer were lost: both come again, the answer with its toggle."""
    tester = bench.session()
    packet = tester.packet(READ_ST0)
    tester.deliver(packet)
    first = tester.want_packet()
    tester.deliver(packet, "a copy of the request")
    again = tester.next(1_000_000)  # at once, not with the next time-out
    if again is None or again.octets != first.octets:
        raise Deviation(f"{again or 'nothing'} came, the answer was due again", Basis.ONE_SOURCE)
    tester.ack()
    tester.ask(FullRead(0))


@check("D25", "the toggle of its predecessor does not make a packet a copy", seconds=2)
def same_toggle_other_packet(bench: Bench) -> None:
    """Its checksum differs: it is new."""
    tester = bench.session()
    tester.ask(FullRead(0))
    tester.toggle ^= TOGGLE
    tester.ask(FullRead(1))


@check("D26", "the same request with the other toggle is a new one", seconds=2)
def other_toggle_same_request(bench: Bench) -> None:
    """It is executed and answered again."""
    tester = bench.session()
    tester.ask(FullRead(0))
    tester.ask(FullRead(0))


@check("D28", "Identification with the toggle of the Terminate before it is answered")
def identification_after_terminate(bench: Bench) -> None:
    """Clients begin anew with toggle 0."""
    tester = bench.id_state()
    toggle = tester.toggle
    tester.ask(b"\x21").want(ResponseCode.ok)
    tester.toggle = toggle
    tester.identify()


@check("D27", "an Identification equal to the last packet before Base is answered", seconds=9)
def identification_after_a_time_out(bench: Bench) -> None:
    """The memory of the last packet ends with the traffic time-out."""
    tester = bench.base()
    toggle = tester.toggle
    tester.identify()
    tester.rest(bench.rules.traffic_us + SLACK_US, "the session times out")
    tester.toggle = toggle
    tester.identify()


@check("D29", "an answer that is not acknowledged comes again, three times, then Base", seconds=12)
def unacknowledged_answer(bench: Bench) -> None:
    """2 s apart; retries are counted, not tries, by most sources."""
    tester = bench.base()
    first, times = tester.unacknowledged(IDENTIFY), []
    response_us = bench.rules.response_us
    while (item := tester.next(response_us + 2 * SLACK_US)) is not None:
        if item.octets != first.octets:
            raise Deviation(f"{item} came, the same answer was due")
        times.append(item.at_us)
        if len(times) > 5:
            break
    gaps = [later - at for at, later in zip([first.at_us, *times], times, strict=False)]
    if not times:
        raise Deviation("the answer was not repeated")
    if any(not response_us - SLACK_US < gap < response_us + 2 * SLACK_US for gap in gaps):
        raise Deviation(
            f"repeated after {[gap // 1000 for gap in gaps]} ms, not {response_us // 1000}"
        )
    if not 2 <= len(times) <= 3:  # the third would come when the traffic time-out is over
        basis = None if len(times) > 3 else Basis.ONE_SOURCE
        raise Deviation(f"repeated {len(times)} times, not 3", basis)
    tester.identify()


@check("D30", "a NAK brings the same answer again", seconds=5)
def nak_for_an_answer(bench: Bench) -> None:
    """With its toggle; NAKs count as retries."""
    tester = bench.base()
    first = tester.unacknowledged(IDENTIFY)
    for _ in range(3):
        tester.nak()
        if tester.want_packet("a repetition").octets != first.octets:
            raise Deviation("the repetition differs")
    tester.nak()
    tester.silence(2_500_000, "more NAKs than retries")


@check("D34", "every new answer flips the device's toggle", seconds=3)
def device_toggle(bench: Bench) -> None:
    """Refusals included."""
    tester = bench.session()
    toggles = [tester.ask(r).packets[0].ctrl & TOGGLE for r in (FullRead(0), FullRead(2047))]
    toggles += [
        tester.ask(b"\x20").packets[0].ctrl & TOGGLE,
        tester.ask(FullRead(0)).packets[0].ctrl & TOGGLE,
    ]
    if toggles[0] == toggles[1] or toggles[1] == toggles[2] or toggles[2] == toggles[3]:
        raise Deviation(f"toggles {[toggle >> 5 for toggle in toggles]}")


@check("D29c", "the response time-out begins when the answer has left", seconds=9)
def time_out_from_the_last_octet(bench: Bench) -> None:
    """A long packet takes its time on the line; its repetition comes 2 s after its end."""
    bench.need("Negotiate")
    number, tester = bench.public(), bench.tester
    first = tester.unacknowledged(b"\x30" + number.to_bytes(2, "big"))
    response_us = bench.rules.response_us
    again = tester.next(response_us + 2 * SLACK_US)
    if again is None or again.octets != first.octets:
        raise Deviation(f"{again or 'nothing'} came, the answer was due again")
    if again.began_us - first.at_us < response_us - 40_000:
        raise Deviation("repeated too soon after its last octet", Basis.ONE_SOURCE)
    tester.ack()


@check("D45", "any identity is served on an optical port, and comes back", Basis.ONE_SOURCE)
def other_identity(bench: Bench) -> None:
    """One public client always sends 05; on a telephone line only the own one and 00 are served."""
    tester = bench.base()
    own, tester.identity = tester.identity, 0 if bench.rules.is_call else 5
    try:
        tester.identify()
    finally:
        tester.identity = own
