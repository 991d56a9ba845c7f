"""Group *packet*: messages of several packets, whole, damaged, cut off and out of order."""

from __future__ import annotations

from functools import partial

from protocols.datalink.packet import FIRST, MULTI
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from smartmeter.conformance.bench import Bench, damaged, in_group
from smartmeter.conformance.checks.packet_checks import OTHERS_ARE_SILENT
from smartmeter.conformance.tester import SLACK_US, Tester
from smartmeter.conformance.verdicts import Basis, NotApplicable

check = partial(in_group, "packet")


def _two_packets(bench: Bench) -> tuple[Tester, bytes, bytes]:
    """Give a session with room, and a Logon cut into two packets that must not be cut."""
    bench.need("Negotiate")
    tester = bench.id_state()
    granted = tester.negotiate(64, 4)
    if not granted.ok or tester.packets < 2:
        raise NotApplicable("the device grants one packet a message")
    psem = encode_request(bench.logon())
    first = tester.packet(psem[:7], MULTI | FIRST, 1)
    return tester, first, tester.packet(psem[7:], MULTI, 0)


@check("D39", "a request in two packets is acknowledged twice and answered once", seconds=2)
def request_of_two_packets(bench: Bench) -> None:
    """Pieces are joined."""
    tester, first, second = _two_packets(bench)
    for piece in (first, second):
        tester.deliver(piece)
    tester.answer().want(ResponseCode.ok)


@check("D40", "a damaged second packet is NAKed, its repetition taken", seconds=2)
def damaged_second_packet(bench: Bench) -> None:
    """Only that packet is repeated."""
    tester, first, second = _two_packets(bench)
    tester.deliver(first)
    tester.write(damaged(second, 4))
    tester.want_nak("a damaged second packet")
    tester.deliver(second, "its repetition")
    tester.answer().want(ResponseCode.ok)


@check(
    "D41", "a continuation without a first packet is not processed", Basis.RECOMMENDATION, seconds=3
)
def continuation_alone(bench: Bench) -> None:
    """NAK is usual; some acknowledge and drop."""
    tester, _, second = _two_packets(bench)
    tester.write(second)
    tester.want_nak("a continuation alone", OTHERS_ARE_SILENT)
    tester.ask(bench.logon()).want(ResponseCode.ok, basis=Basis.TWO_SOURCES)


@check(
    "D42", "a continuation that skips a seq-nbr is not processed", Basis.RECOMMENDATION, seconds=3
)
def skipped_seq_nbr(bench: Bench) -> None:
    """The partial message is dropped."""
    tester, _, _ = _two_packets(bench)
    psem = encode_request(bench.logon())
    tester.deliver(tester.packet(psem[:7], MULTI | FIRST, 2))
    tester.write(tester.packet(psem[7:], MULTI, 0))
    tester.want_nak("a skipped seq-nbr", OTHERS_ARE_SILENT)
    tester.write(tester.packet(psem[7:], MULTI, 1))
    tester.want_nak("a continuation of what was dropped", OTHERS_ARE_SILENT)
    tester.ask(bench.logon()).want(ResponseCode.ok, basis=Basis.TWO_SOURCES)


@check("D41b", "a partial message ends with the conversation", Basis.TWO_SOURCES, seconds=10)
def partial_message_and_base(bench: Bench) -> None:
    """Its first packet came before Base: what follows it there continues nothing."""
    tester, first, _ = _two_packets(bench)
    tester.deliver(first)
    tester.rest(bench.rules.traffic_us + SLACK_US, "the conversation times out")
    tester.defaults()
    tester.identify()
    tester.negotiate(64, 4)
    tester.write(tester.packet(encode_request(bench.logon())[7:], MULTI, 0))
    tester.want_nak("a continuation from before Base", OTHERS_ARE_SILENT)
    tester.ask(bench.logon()).want(ResponseCode.ok)


@check(
    "D43", "a single packet ends an incomplete message and is served", Basis.ONE_SOURCE, seconds=2
)
def single_after_first(bench: Bench) -> None:
    """The incomplete message is forgotten."""
    tester, first, _ = _two_packets(bench)
    tester.deliver(first)
    tester.ask(bench.logon()).want(ResponseCode.ok)


@check("D44", "a message of more packets than granted is not taken", Basis.ONE_SOURCE, seconds=3)
def too_many_packets(bench: Bench) -> None:
    """The device may refuse it at its first packet."""
    tester, _, _ = _two_packets(bench)
    psem = encode_request(bench.logon())
    tester.write(tester.packet(psem[:7], MULTI | FIRST, tester.packets))
    tester.want_nak("a first packet of too many")
    tester.ask(bench.logon()).want(ResponseCode.ok, basis=Basis.TWO_SOURCES)


@check("P01", "the first packet of a message may come twice", Basis.TWO_SOURCES, seconds=2)
def first_packet_twice(bench: Bench) -> None:
    """Our ACK was lost: it is acknowledged again, and not appended."""
    tester, first, second = _two_packets(bench)
    for piece in (first, first, second):
        tester.deliver(piece)
    tester.answer().want(ResponseCode.ok)
