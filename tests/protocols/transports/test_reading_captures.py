"""Captures that we have not made: link layers, fragments, gaps, cut and packed files."""

import contextlib
import gzip
import io
import json
import socket
import struct
import tracemalloc
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.errors import PortError
from protocols.transports.ip_packets import TCP, UDP, Segment
from protocols.transports.ip_reading import MAX_FRAGMENTED, MAX_TUNNELS, IpReader
from protocols.transports.link_layers import OtherTraffic, ip_of
from protocols.transports.pcapng import MAX_UNPACKED_OCTETS, read_capture
from protocols.transports.tcp_streams import StreamJoiner
from smartmeter.cli.captured_streams import MAX_STREAMS, CapturedStreams, find_message
from smartmeter.cli.decode import command
from tests.protocols.c1222.conversation import READ_1, request

MESSAGE = request([READ_1])
UDP_PART = struct.pack(">HHHH", 4000, 1153, 8 + len(MESSAGE), 0) + MESSAGE


def ipv4(body: bytes, protocol: int = UDP, fragment: int = 0, options: bytes = b"") -> bytes:
    """An IPv4 packet; ``fragment`` is the field of flags and offset."""
    begin = 0x45 + len(options) // 4
    head = struct.pack(
        ">BBHHHBB", begin, 0, 20 + len(options) + len(body), 7, fragment, 64, protocol
    )
    return head + bytes(2) + socket.inet_aton("10.0.0.1") * 2 + options + body


def ipv6(body: bytes, protocol: int = UDP) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2
    return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + addresses + body


def tcp(octets: bytes, sequence: int, flags: int = 0x18) -> bytes:
    head = struct.pack(">HHIIBBHHH", 4000, 1153, sequence, 0, 0x50, flags, 9, 0, 0)
    return ipv4(head + octets, TCP)


def pcap(packets: list[bytes], link_type: int = 101, cut: int = 0) -> bytes:
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, link_type)
    for packet in packets:
        kept = packet[: cut or None]
        out += struct.pack("<IIII", 7, 8, len(kept), len(packet)) + kept
    return out


def udp(port: int, octets: bytes) -> bytes:
    return ipv4(struct.pack(">HHHH", 4000, port, 8 + len(octets), 0) + octets)


WHOLE = ipv4(UDP_PART)
ETHERNET = bytes(12) + b"\x08\0"
HOP_BY_HOP = bytes((17, 0, 5, 2, 0, 0, 1, 0))
LINKS = {
    "vlan": (1, bytes(12) + bytes.fromhex("8100 0001 0800") + WHOLE),
    "two tags": (1, bytes(12) + bytes.fromhex("88a8 0001 9100 0001 0800") + WHOLE),
    "mpls": (1, bytes(12) + bytes.fromhex("8847 00001040 00001140") + WHOLE),
    "pppoe": (1, bytes(12) + bytes.fromhex("8864 11000001 0050 0021") + WHOLE),
    "ppp": (9, bytes.fromhex("ff03 0021") + WHOLE),
    "ppp, its protocol in one octet": (9, bytes.fromhex("ff03 21") + WHOLE),
    "ppp over ethernet alone": (51, bytes.fromhex("11000001 0050 0021") + WHOLE),
    "hdlc of Cisco": (104, bytes.fromhex("0f00 0800") + WHOLE),
    "hdlc of Cisco on a line of ppp": (50, bytes.fromhex("8f00 0800") + WHOLE),
    "mpls to many": (1, bytes(12) + bytes.fromhex("8848 00001140") + WHOLE),
    "llc": (1, bytes(12) + bytes.fromhex("0050 060603") + WHOLE),
    "snap": (1, bytes(12) + bytes.fromhex("0050 aaaa03 000000 0800") + WHOLE),
    "snap in cooked": (113, bytes(14) + bytes.fromhex("0004 aaaa03 000000 0800") + WHOLE),
    "cooked": (113, bytes(14) + bytes.fromhex("0800") + WHOLE),
    "cooked vlan": (113, bytes(14) + bytes.fromhex("8100 0001 0800") + WHOLE),
    "cooked 2": (276, bytes.fromhex("0800") + bytes(18) + WHOLE),
    "loopback": (0, struct.pack("<I", 2) + WHOLE),
    "raw": (12, WHOLE),
    "options": (101, ipv4(UDP_PART, options=bytes.fromhex("94040000"))),
    "ipv6": (101, ipv6(UDP_PART)),
    "hop by hop": (101, ipv6(HOP_BY_HOP + UDP_PART, 0)),
    "two extensions": (101, ipv6(bytes((60, *HOP_BY_HOP[1:])) + HOP_BY_HOP + UDP_PART, 0)),
    "atomic fragment": (101, ipv6(bytes((17, 0, 0, 0)) + bytes(4) + UDP_PART, 44)),
    "authenticated": (101, ipv4(bytes((17, 4, 0, 0)) + bytes(20) + UDP_PART, 51)),
    "ip in ip": (101, ipv4(WHOLE, 4)),
    "6in4": (101, ipv4(ipv6(UDP_PART), 41)),
    "4in6": (101, ipv6(WHOLE, 4)),
    "gre": (101, ipv4(bytes.fromhex("0000 0800") + WHOLE, 47)),
    "gre with all": (101, ipv6(bytes.fromhex("b000 86dd") + bytes(12) + ipv6(UDP_PART), 47)),
    "gre bridged": (101, ipv4(bytes.fromhex("0000 6558") + ETHERNET + WHOLE, 47)),
    "vxlan": (101, udp(4789, bytes.fromhex("0800000000000700") + ETHERNET + WHOLE)),
    "gtp-u": (101, udp(2152, bytes.fromhex("30ff0000 00000001") + WHOLE)),
    "gtp-u of 5g": (
        101,
        udp(2152, bytes.fromhex("34ff0000 00000001 00000085 01100900") + WHOLE),
    ),
    "three tunnels": (101, ipv4(ipv6(ipv4(WHOLE, 4), 4), 41)),
    "padded": (1, bytes(12) + b"\x08\0" + WHOLE + bytes(20)),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_message_is_found_behind_every_link_layer(name: str) -> None:
    segment = IpReader().read(ip_of(*LINKS[name]))
    assert segment is not None and segment.payload == MESSAGE and segment.destination[1] == 1153


@pytest.mark.parametrize(
    "link_type, octets, told",
    [
        (105, bytes(40), "link type 105"),
        (1, bytes(12) + b"\x22\xf0" + bytes(28), "EtherType 22F0H"),
        (101, ipv4(bytes(24), 50), "ESP"),
        (101, ipv4(bytes.fromhex("0001 880b") + WHOLE, 47), "GRE of another version"),
        (101, ipv4(WHOLE[:12], 4), "cut short"),
        (101, ipv4(UDP_PART[:7]), "cut short"),
        (101, b"", "no IP packet"),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_it(
    link_type: int, octets: bytes, told: str
) -> None:
    with pytest.raises(PortError, match=told) as error:
        IpReader().read(ip_of(link_type, octets))
    assert not isinstance(error.value, OtherTraffic)


def test_what_can_hold_no_message_is_other_traffic() -> None:
    for link_type, octets in ((1, bytes(12) + b"\x08\x06" + bytes(28)), (101, ipv4(b"", 1))):
        with pytest.raises(OtherTraffic, match=r"ARP|ICMP"):
            IpReader().read(ip_of(link_type, octets))


@given(st.sampled_from((1, 9, 50, 51, 101, 104, 113, 276)), st.binary(max_size=120))
def test_any_octets_are_a_packet_or_an_error(link_type: int, octets: bytes) -> None:
    with contextlib.suppress(PortError):
        IpReader().read(ip_of(link_type, octets))


@given(st.sampled_from((4, 41, 47)), st.binary(max_size=80))
def test_any_octets_in_a_tunnel_are_a_packet_or_an_error(protocol: int, octets: bytes) -> None:
    with contextlib.suppress(PortError):
        IpReader().read(ipv4(octets, protocol))


def test_tunnels_without_end_are_an_error() -> None:
    packet = WHOLE
    for _ in range(2 * MAX_TUNNELS):
        packet = ipv4(packet, 4)
    with pytest.raises(PortError, match="tunnels"):
        IpReader().read(packet)


@given(st.permutations(range(4)), st.sampled_from((4, 6)))
def test_fragments_are_joined_in_any_order_and_twice(order: list[int], version: int) -> None:
    pieces = []
    for number in range(4):
        at, more = 8 * number, number < 3
        part = UDP_PART[at : at + 8 if more else None]
        if version == 4:
            pieces.append(ipv4(part, fragment=at // 8 | 0x2000 * more))
        else:
            pieces.append(ipv6(struct.pack(">BBHI", 17, 0, at | more, 9) + part, 44))
    reader = IpReader()
    reader.read(pieces[order[0]])
    found = [segment for number in order if (segment := reader.read(pieces[number]))]
    assert [one.payload for one in found] == [MESSAGE] and reader.unfinished(1153) == 0


@pytest.mark.parametrize(
    ("version", "kind", "extension"),
    [
        (6, 60, b"\x11\0\1\4\0\0\0\0"),
        (6, 51, b"\x11\4" + bytes(22)),
        (4, 51, b"\x11\4" + bytes(22)),
    ],
)
def test_what_is_cut_into_fragments_may_begin_with_extensions(
    version: int, kind: int, extension: bytes
) -> None:
    body = extension + UDP_PART
    cuts = [(0, body[:32], True), (32, body[32:], False)]
    reader = IpReader()
    found = []
    for at, part, more in cuts:
        if version == 4:
            packet = ipv4(part, kind, at // 8 | 0x2000 * more)
        else:
            packet = ipv6(struct.pack(">BBHI", kind, 0, at | more, 9) + part, 44)
        found.append(reader.read(packet))
        assert reader.unfinished(1153) == more
        assert reader.unfinished(53) == 0, "the ports behind the extensions are known"
    assert found[0] is None and found[1] is not None and found[1].payload == MESSAGE


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_first_fragment_alone_tells_what_a_packet_of_ipv6_holds(order: tuple[int, int]) -> None:
    """The others may say another Next Header (RFC 8200 4.5)."""
    cuts = [(17, 0 | 1, UDP_PART[:16]), (59, 16, UDP_PART[16:])]
    pieces = [ipv6(struct.pack(">BBHI", kind, 0, at, 9) + part, 44) for kind, at, part in cuts]
    reader = IpReader()
    found = [reader.read(pieces[number]) for number in order]
    assert found[0] is None and found[1] is not None and found[1].payload == MESSAGE
    assert reader.unfinished(1153) == 0


def test_a_fragment_inside_another_takes_nothing_from_it() -> None:
    reader = IpReader()
    for fragment, part in ((0x2000, slice(32)), (0x2001, slice(8, 16)), (4, slice(32, None))):
        segment = reader.read(ipv4(UDP_PART[part], fragment=fragment))
    assert segment is not None and segment.payload == MESSAGE


def test_the_largest_packet_in_the_smallest_fragments_is_joined_at_its_last_one() -> None:
    reader, octets = IpReader(), 65_000
    packet = struct.pack(">HHHH", 4000, 1153, octets, 0) + bytes(octets - 8)
    for at in range(0, octets, 8):
        more = 0x2000 * (at + 8 < octets)
        segment = reader.read(ipv4(packet[at : at + 8], fragment=at // 8 | more))
        assert (segment is None) == bool(more)
    assert segment is not None and len(segment.payload) == octets - 8


def test_fragments_that_were_captured_on_two_interfaces_lack_nothing() -> None:
    first, last = ipv4(UDP_PART[:16], fragment=0x2000), ipv4(UDP_PART[16:], fragment=2)
    reader = IpReader()
    found = [reader.read(packet) for packet in (first, first, last, last)]
    assert [one.payload for one in found if one is not None] == [MESSAGE]
    assert reader.unfinished(1153) == 0
    for number in range(2 * MAX_FRAGMENTED):
        reader.read(ipv6(struct.pack(">BBHI", 17, 0, 1, number) + UDP_PART[:16], 44))
    assert reader.unfinished(1153) == 2 * MAX_FRAGMENTED


def test_fragments_without_their_rest_take_bounded_memory_and_are_counted() -> None:
    reader = IpReader()
    for number in range(2 * MAX_FRAGMENTED):
        body = struct.pack(">BBHI", 17, 0, 1, number) + UDP_PART[:16]
        assert reader.read(ipv6(body, 44)) is None
    assert reader.unfinished(1153) == 2 * MAX_FRAGMENTED
    assert reader.unfinished(53) == MAX_FRAGMENTED, "what is of another port, as far as is known"


def joined(
    packets: list[bytes], find: Callable[[bytes], int | None] | None = None
) -> tuple[list[bytes], int]:
    """What each run without a gap holds, and how many octets were lost."""
    reader, joiner = IpReader(), StreamJoiner(0x60, find)
    runs: list[bytes] = []
    pieces = []
    for packet in packets:
        segment = reader.read(packet)
        assert segment is not None
        pieces += joiner.offer(segment)
    pieces += [piece for _, piece in joiner.finish()]
    for piece in pieces:
        if piece.anew:
            runs.append(b"")
        runs[-1] += piece.octets
    return runs, sum(joiner.lost.values())


SIZE = len(MESSAGE)
A, B, C = MESSAGE[:10], MESSAGE[10:20], MESSAGE[20:]
#: Without an id (A8).
BAD = bytes.fromhex("6008a203800105be0100")


@pytest.mark.parametrize(
    ("packets", "runs", "lost"),
    [
        ([tcp(C, 21), tcp(A, 1), tcp(B, 11)], [MESSAGE], 0),
        ([tcp(b"", 0, 2), tcp(C, 21), tcp(B, 11), tcp(A, 1)], [MESSAGE], 0),
        ([tcp(A, 1), tcp(A, 1), tcp(MESSAGE[5:20], 6), tcp(C, 21), tcp(MESSAGE, 1)], [MESSAGE], 0),
        ([tcp(A, 0xFFFFFFFB), tcp(B + C, 5)], [MESSAGE], 0),
        ([tcp(MESSAGE, 1), tcp(b"\0", SIZE), tcp(MESSAGE, 1 + SIZE)], [MESSAGE * 2], 0),
        ([tcp(MESSAGE, 1), tcp(b"", 9, 2), tcp(MESSAGE, 10)], [MESSAGE] * 2, 0),
        ([tcp(b"", 0, 2), tcp(MESSAGE, 1), tcp(b"", 0, 2), tcp(MESSAGE, 1)], [MESSAGE] * 2, 0),
        ([tcp(A, 0, 2), tcp(A, 0, 2), tcp(B + C, 11)], [MESSAGE], 0),
        ([tcp(A, 0, 2), tcp(b"", 0, 2), tcp(MESSAGE, 1)], [MESSAGE], 0),
        ([tcp(b"", 0, 2), tcp(C, 21), tcp(b"", 0, 2), tcp(A, 1), tcp(B, 11)], [MESSAGE], 0),
        # What a reset carries says why.
        ([tcp(MESSAGE, 1), tcp(b"no more", 1 + SIZE, 4)], [MESSAGE], 0),
        ([tcp(A, 1), tcp(MESSAGE, 1000)], [A, MESSAGE], 0),
        ([tcp(C, 500), tcp(MESSAGE, 500 + len(C))], [MESSAGE], len(C)),
        ([tcp(C + MESSAGE, 500)], [], SIZE + len(C)),
        ([tcp(MESSAGE, 500), tcp(MESSAGE, 500 - SIZE)], [MESSAGE], SIZE),
        ([tcp(MESSAGE, 500), tcp(MESSAGE * 2, 500 - SIZE)], [MESSAGE], SIZE),
        ([tcp(b"", 0, 2), tcp(MESSAGE, 9), tcp(b"", 5, 2), tcp(MESSAGE, 6)], [MESSAGE] * 2, 0),
        ([tcp(b"", 499, 2), tcp(b"\0", 499), tcp(MESSAGE, 500), tcp(b"\0", 499)], [MESSAGE], 0),
    ],
)
def test_a_stream_goes_on_behind_what_was_not_captured(
    packets: list[bytes], runs: list[bytes], lost: int
) -> None:
    assert joined(packets) == (runs, lost)


@pytest.mark.parametrize(
    ("packets", "runs", "lost"),
    [
        ([tcp(b"", 0, 2), tcp(B, 11), tcp(C + MESSAGE, 21)], [MESSAGE], len(B + C)),
        ([tcp(C + A, 500), tcp(B + C + MESSAGE, 510 + len(C))], [MESSAGE * 2], len(C)),
        ([tcp(b"", 0, 2), tcp(A, 1), tcp(b"\x60\x30" * 9, 21), tcp(MESSAGE, 39)], [A, MESSAGE], 18),
        ([tcp(MESSAGE, 1), tcp(b"\x60", 2 + SIZE)], [MESSAGE], 1),
        ([tcp(MESSAGE[:3], 1), tcp(MESSAGE[3:], 4)], [MESSAGE], 0),
        ([tcp(BAD, 1), tcp(MESSAGE, 1 + len(BAD))], [BAD + MESSAGE], 0),
    ],
)
def test_a_stream_goes_on_with_the_next_message_wherever_it_begins(
    packets: list[bytes], runs: list[bytes], lost: int
) -> None:
    assert joined(packets, find_message) == (runs, lost)


def test_what_only_begins_as_a_message_does_hides_none_behind_a_gap(tmp_path: Path) -> None:
    middle = b"\x60\x03" * 20
    captured = [tcp(b"", 0, 2), tcp(MESSAGE + A, 1), tcp(middle, 900), tcp(MESSAGE * 2, 940)]
    status, frames, _ = told(tmp_path, pcap(captured))
    assert (status, [one["ok"] for one in frames]) == (1, [True] * 3)
    status, frames, _ = told(tmp_path, pcap(captured[2:]))
    assert (status, [one["ok"] for one in frames]) == (1, [False, True, True]), "no beginning"


def test_behind_a_gap_the_next_message_is_found_though_octets_come_one_by_one() -> None:
    titles = ApTitle.parse("1.3.6.1.4.1.33507.1919.9999"), ApTitle.parse(".7.1.2.3.4.5.6")
    message = build_apdu(Envelope(9, *titles), [READ_1])
    streams, octets = CapturedStreams(), message * 40
    ends = ("10.0.0.1", 1153), ("10.0.0.2", 4000)
    found = streams.offer(Segment(*ends, True, b"", 0, begins=True))
    for at, octet in enumerate(octets):
        if at != len(message) + 9:
            found += streams.offer(Segment(*ends, True, bytes([octet]), 1 + at))
    assert found + [apdu for _, apdu in streams.finish()] == [message] * 39


@given(st.binary(max_size=300), st.binary(max_size=8), st.integers(1, 0xFFFFFFFF))
def test_a_message_is_found_behind_any_octets_by_its_head(
    before: bytes, title: bytes, number: int
) -> None:
    arcs = ".".join(str(arc) for arc in title)
    envelope = Envelope(number, ApTitle.parse(f".7.{arcs}".rstrip(".")), ApTitle.parse(".1"))
    message = build_apdu(envelope, [READ_1])
    found = find_message(before + message)
    assert found is not None and found <= len(before)
    assert find_message(message) == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whole_messages_that_came_late_are_given_though_the_beginning_was_not_captured(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    captured = [tcp(MESSAGE, 500 + one * SIZE) for one in order]
    # Sent again, one by one and in one segment, they are given no more.
    captured += [captured[order.index(0)], tcp(MESSAGE * max(1, order[0]), 500)]
    captured.append(tcp(MESSAGE, 500 + 3 * SIZE))
    status, frames, words = told(tmp_path, pcap(captured))
    assert (status, [one["ok"] for one in frames], words) == (0, [True] * 4, "")


def test_what_came_late_and_is_no_whole_message_is_counted(tmp_path: Path) -> None:
    begun = [tcp(MESSAGE, 90_000)]
    for late in (tcp(C, 90_000 - len(C)), tcp(MESSAGE, 10_000)):
        status, frames, words = told(tmp_path, pcap([*begun, late]))
        assert (status, len(frames)) == (1, 1) and "not a whole message" in words
    # Where the beginning is known, or behind a gap, it may have been given before.
    for others in ([tcp(b"", 89_999, 2)], [tcp(MESSAGE, 91_000 + 50 * one) for one in range(70)]):
        captured = [*begun, *others, tcp(MESSAGE, 90_000 - SIZE)]
        status, frames, words = told(tmp_path, pcap(captured))
        assert (status, len(frames)) == (1, sum(MESSAGE in packet for packet in captured) - 1)


def test_a_stream_may_be_longer_than_its_numbers_reach() -> None:
    joiner, payload = StreamJoiner(), bytes(1 << 24)
    ends = ("10.0.0.1", 80), ("10.0.0.2", 4000)
    given = 0
    for number in range(300):
        segment = Segment(*ends, True, payload, number << 24 & 0xFFFFFFFF)
        given += sum(len(piece.octets) for piece in joiner.offer(segment))
        if number % 7 == 0:
            assert joiner.offer(segment) == [], "the same again"
    assert (given, joiner.lost, joiner.gaps) == (300 << 24, {}, {})


@pytest.mark.parametrize("gap", [(1 << 30) + 1, (1 << 31) - 9, (1 << 31) + 9, 5 << 29])
def test_a_gap_may_be_longer_than_any_window(tmp_path: Path, gap: int) -> None:
    captured, sequence = [tcp(b"", 0, 2)], 1
    for _ in range(4):
        captured.append(tcp(MESSAGE, sequence))
        sequence = sequence + SIZE + gap & 0xFFFFFFFF
    status, frames, words = told(tmp_path, pcap(captured))
    assert (status, len(frames)) == (1, 4)
    assert words.endswith("left out 3 gaps in streams of TCP: packets were not captured")


@given(
    st.lists(
        st.tuples(
            st.sampled_from((0, 1, 9, SIZE, 1 << 30, (1 << 30) + SIZE, 1 << 31, 3 << 30)),
            st.sampled_from((b"", b"\0", b"\x60", MESSAGE, A, B, C + MESSAGE)),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_segments_of_any_numbers_give_no_more_than_they_hold(
    segments: list[tuple[int, bytes, bool]],
) -> None:
    streams, given_octets = CapturedStreams(), 0
    ends = ("10.0.0.1", 4000), ("10.0.0.2", 1153)
    for sequence, payload, begins in segments:
        found = streams.offer(Segment(*ends, True, payload, sequence, begins))
        given_octets += sum(map(len, found))
    given_octets += sum(len(apdu) for _, apdu in streams.finish())
    assert given_octets <= sum(len(payload) for _, payload, _ in segments)


def test_messages_that_a_gap_of_a_stream_took_whole_are_told(tmp_path: Path) -> None:
    captured = [tcp(b"", 0, 2), tcp(MESSAGE, 1), tcp(MESSAGE, 1 + 2 * SIZE)]
    status, frames, words = told(tmp_path, pcap(captured))
    assert (status, len(frames)) == (1, 2)
    assert words.endswith("left out 1 gaps in streams of TCP: packets were not captured")
    captured.append(tcp(MESSAGE, 1 + SIZE))
    status, frames, words = told(tmp_path, pcap(captured))
    assert (status, len(frames), words) == (0, 3, ""), "it came late"


def test_a_stream_of_another_kind_takes_little_memory() -> None:
    joiner = StreamJoiner(0x60)
    ends = ("10.0.0.1", 80), ("10.0.0.2", 4000)
    for number in range(1000):
        assert joiner.offer(Segment(*ends, True, b"x" * 100, 100 * number)) == []
    assert joiner.lost[ends] > 90_000


def told(tmp_path: Path, octets: bytes) -> tuple[int, list[dict[str, object]], str]:
    """Exit status, frames, and the last line of what was said of the rest."""
    file = tmp_path / "capture"
    file.write_bytes(octets)
    done = CliRunner().invoke(
        command, ["frame", "--pcap", str(file), "--json"], standalone_mode=False
    )
    if isinstance(done.exception, Exception):
        return 2, [], str(done.exception)
    frames = json.loads(done.stdout)["frames"]
    return done.return_value, frames, (done.stderr.splitlines() or [""])[-1]


def test_what_a_capture_does_not_hold_is_told_and_is_no_frame(tmp_path: Path) -> None:
    status, frames, words = told(tmp_path, pcap([WHOLE], cut=40))
    assert status == 1 and frames[0]["reason"] == "cut-by-capture"
    assert told(tmp_path, pcap([bytes(40)], 105))[2].endswith("link type 105 is not known")
    first = ipv4(UDP_PART[:16], fragment=0x2000)
    assert "not all fragments" in told(tmp_path, pcap([first, WHOLE]))[2]
    assert "not a whole message" in told(tmp_path, pcap([tcp(A, 1)]))[2]
    of_others = struct.pack(">HHIIBBHHH", 80, 4000, 1, 0, 0x50, 0x18, 9, 0, 0) + b"HTTP/1.1 200"
    status, frames, words = told(tmp_path, pcap([ipv4(of_others, TCP), WHOLE]))
    assert (status, len(frames)) == (0, 1) and "beside, 1 packets: TCP without" in words
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    assert told(tmp_path, pcap([arp, ETHERNET + WHOLE], 1))[::2] == (
        0,
        f"{tmp_path}/capture: beside, 1 packets: ARP",
    )
    assert "UDP without" in told(tmp_path, pcap([WHOLE, udp(53, b"a question")]))[2]
    assert "ESP, encrypted" in told(tmp_path, pcap([WHOLE, ipv4(bytes(24), 50)]))[2]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_form_with_the_interface_before_each_packet_is_read(order: str) -> None:
    octets = struct.pack(order + "IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65_535, 101)
    for packet in (WHOLE, WHOLE):
        head = struct.pack(order + "IIIIIHBx", 7, 8, len(packet), len(packet) + 3, 1, 8, 4)
        octets += head + packet
    found = list(read_capture(octets))
    assert [(one.octets, one.utc_us, one.cut) for one in found] == [(WHOLE, 7_000_008, 3)] * 2
    with pytest.raises(PortError, match="cut short"):
        list(read_capture(octets + bytes(20)))


def test_a_datagram_is_whole_where_only_what_is_behind_it_was_cut(tmp_path: Path) -> None:
    status, frames, words = told(tmp_path, pcap([WHOLE + bytes(40)], cut=len(WHOLE) + 20))
    assert (status, frames[0]["ok"], words) == (0, True, "")


def test_streams_of_which_only_headers_were_kept_are_told(tmp_path: Path) -> None:
    status, frames, words = told(tmp_path, pcap([tcp(MESSAGE, 1), tcp(b"", 9)], cut=40))
    assert (status, frames) == (1, [])
    assert words.endswith("left out 1 packets of TCP: cut short by the recorder")


def test_what_a_file_holds_before_it_is_cut_short_is_given(tmp_path: Path) -> None:
    status, frames, words = told(tmp_path, pcap([WHOLE] * 3)[:-5])
    assert (status, len(frames)) == (1, 2)
    assert "the rest of the file" in words and "does not fit" in words
    assert told(tmp_path, pcap([WHOLE])[:-5])[0] == 2, "there is nothing to give"


def test_what_is_no_message_on_the_port_of_c12_22_is_not_passed_over(tmp_path: Path) -> None:
    status, frames, _ = told(tmp_path, pcap([udp(1153, b"\x61" + MESSAGE[1:])]))
    assert status == 1 and frames[0]["reason"] == "not-an-apdu"
    hello = bytes.fromhex("16030100c8010000c40303")
    status, frames, words = told(tmp_path, pcap([tcp(b"", 0, 2), tcp(hello, 1)]))
    assert (status, frames) == (1, []) and "11 octets" in words and "perhaps TLS" in words
    status, frames, words = told(tmp_path, pcap([tcp(b"", 0, 2), tcp(MESSAGE + hello, 1)]))
    assert status == 1 and len(frames) == 1 and "perhaps TLS" in words


def test_what_only_begins_with_the_same_octet_on_others_ports_is_other_traffic(
    tmp_path: Path,
) -> None:
    question = b"\x60\x1c\1\0\0\1" + bytes(24)
    assert told(tmp_path, pcap([WHOLE, udp(53, question)]))[0] == 0

    def secret(octets: bytes) -> bytes:
        return ipv4(struct.pack(">HHIIBBHHH", 443, 4000, 9, 0, 0x50, 0x18, 9, 0, 0) + octets, TCP)

    for octets in (b"\x60\x03" + bytes(range(40)), b"\x60\x03abc\x60\x07a"):
        status, frames, words = told(tmp_path, pcap([WHOLE, secret(octets)]))
        assert (status, len(frames)) == (0, 1) and "TCP without" in words
    for carried in (udp(20_000, MESSAGE), secret(MESSAGE), secret(MESSAGE[:-1] + b"\2")):
        assert len(told(tmp_path, pcap([carried]))[1]) == 1
    assert told(tmp_path, pcap([udp(20_000, MESSAGE)], cut=50))[1][0]["reason"] == "cut-by-capture"


def test_broken_messages_among_others_are_told_on_any_port(tmp_path: Path) -> None:
    broken = MESSAGE + b"\0"
    status, frames, _ = told(tmp_path, pcap([udp(20_000, MESSAGE), udp(20_000, broken)]))
    assert status == 1 and frames[1]["reason"] == "trailing-bytes"
    sent = b"\x60\x03\x80\1\0" + MESSAGE
    head = struct.pack(">HHIIBBHHH", 20_000, 4000, 9, 0, 0x50, 0x18, 9, 0, 0)
    status, frames, words = told(tmp_path, pcap([ipv4(head + sent, TCP)]))
    assert (status, len(frames)) == (1, 1) and "5 octets" in words


def test_a_large_capture_is_shown_as_json_without_being_kept(tmp_path: Path) -> None:
    file = tmp_path / "capture"
    file.write_bytes(pcap([WHOLE] * 500))
    with (tmp_path / "shown").open("w") as out, contextlib.redirect_stdout(out):
        tracemalloc.start()
        command.main(["frame", "--pcap", str(file), "--json"], standalone_mode=False)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 1_000_000, "five hundred frames as values take three times as much"


def test_connections_without_end_take_bounded_memory_and_are_counted() -> None:
    streams, count = CapturedStreams(), MAX_STREAMS + 10
    for number in range(count):
        there = ("10.0.0.1", 80 if number else 1153)
        streams.offer(Segment((f"10.{number}", 4000), there, True, b"GET", 1))
    assert streams.others == 9 and streams.foreign == 0
    assert not list(streams.finish())
    assert (streams.others, streams.cut_short) == (count - 1, 3)


def test_a_message_that_few_receivers_take_is_read_from_a_stream(tmp_path: Path) -> None:
    long = request([b"\x40\x00\x40\xc3\x50" + bytes(50_000) + b"\x00"])
    status, frames, _ = told(tmp_path, pcap([tcp(long[:40_000], 1), tcp(long[40_000:], 40_001)]))
    assert status == 0 and [frame["hex"] for frame in frames] == [long.hex()]


def test_a_packed_capture_is_read_and_a_damaged_or_endless_one_is_an_error() -> None:
    packed = gzip.compress(pcap([WHOLE]))
    assert [one.octets for one in read_capture(packed)] == [WHOLE]
    for cut in (12, 20):
        found, reading = [], read_capture(packed[:-cut])
        with pytest.raises(PortError, match=r"damaged|does not fit"):
            found += [one.octets for one in reading]
    found, reading = [], read_capture(gzip.compress(pcap([WHOLE] * 3))[:-4])
    with pytest.raises(PortError, match="damaged"):
        for one in reading:
            found.append(one.octets)
    assert found == [WHOLE] * 3
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(pcap([WHOLE]))
        for _ in range(MAX_UNPACKED_OCTETS >> 24):
            file.write(bytes(1 << 24))
    with pytest.raises(PortError, match="unpack it"):
        next(read_capture(out.getvalue()))
