"""``--pcap``: what a verb said is in the file, Wireshark reads it, and so do we."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1218.scripts import LogonSettings
from protocols.c1222.dissection import dissect
from protocols.errors import PortError
from protocols.transports import capture
from protocols.transports.async_tcp import converse
from protocols.transports.capture import Capture, FrameCutter
from protocols.transports.ip_packets import PacketMaker, Segment
from protocols.transports.ip_reading import IpReader
from protocols.transports.link_layers import ip_of
from protocols.transports.pcapng import (
    RAW_IP,
    USER_C1218,
    Captured,
    PcapngWriter,
    read_capture,
)
from protocols.transports.tcp_streams import StreamJoiner
from smartmeter.cli import VERBS, group
from smartmeter.cli.pcap import TALKING
from smartmeter.network.link import LinkSettings
from smartmeter.simulation.fleet import EPOCH_US, Fleet, FleetSettings
from smartmeter.simulation.polling import compare
from smartmeter.simulation.swarm import HOUR_US
from tests.protocols.c1222.conversation import MESSAGES, READ_1, Talk, request, vector
from tests.protocols.c1222.wireshark import needs_tshark, tshark, write_capture
from tests.smartmeter.cli.served import meter_process, smartmeter

LUA = Path(__file__).parents[3] / "docs" / "wireshark" / "c1218.lua"
ENDS = ("192.0.2.1", 4000), ("192.0.2.2", 1153)


def take_apart(link_type: int, octets: bytes) -> Segment | None:
    return IpReader().read(ip_of(link_type, octets))


@needs_tshark
def test_a_read_is_captured_whole_and_dissected_by_our_lua(tmp_path: Path) -> None:
    file, other = tmp_path / "read.pcapng", tmp_path / "meter.pcapng"
    file.touch(0o644)
    with meter_process("--tcp", "127.0.0.1:0", "--pcap", str(other)) as (port, _):
        done = smartmeter("read", port, "1", "--json", "--pcap", str(file))
        assert done.returncode == 0, done.stderr
    decoded = smartmeter("decode", "frame", "--pcap", str(file), "--json")
    assert decoded.returncode == 0, decoded.stderr
    frames = json.loads(decoded.stdout)["frames"]
    table = json.loads(done.stdout)["1"]["hex"]
    assert any(table in frame["hex"] for frame in frames)
    assert {frame["direction"] for frame in frames} == {"sent", "received"}
    # The meter saw the same, the other way round.
    seen = json.loads(smartmeter("decode", "frame", "--pcap", str(other), "--json").stdout)
    assert [frame["hex"] for frame in seen["frames"]] == [frame["hex"] for frame in frames]
    options = ("-X", f"lua_script:{LUA}", "-T", "fields", "-e", "c1218.crc_good", "-e", "c1218.stp")
    rows = tshark(file, *options).splitlines()
    assert len(rows) == len(frames) and "0\t238" not in rows and any(rows)
    assert file.stat().st_mode & 0o077 == 0


def test_a_capture_of_c1222_decodes_and_answers_are_read_by_their_requests(
    tmp_path: Path,
) -> None:
    asked = request([READ_1])
    [answered] = Talk().offer(asked)
    maker, file = PacketMaker(), tmp_path / "net.pcapng"
    pieces = [maker.packet(*ENDS, True, asked[at : at + 9]) for at in range(0, len(asked), 9)]
    write_capture(file, [*pieces, maker.packet(*reversed(ENDS), True, answered)])
    done = smartmeter("decode", "frame", "--pcap", str(file), "--json")
    piped = subprocess.run(
        [sys.executable, "-m", "smartmeter", "decode", "frame", "--json", "--pcap", "-"],
        input=file.read_bytes(),
        capture_output=True,
        timeout=300,
    )
    assert piped.stdout.decode() == done.stdout
    first, second = json.loads(done.stdout)["frames"]
    assert first["decoded"] == dissect(asked, {}.get) and first["source"] == "192.0.2.1:4000"
    assert second["decoded"]["services"][0]["data"].startswith(b"SMOP".hex())


def test_a_classic_pcap_over_ethernet_is_read_too(tmp_path: Path) -> None:
    packet = bytes(12) + b"\x08\0" + PacketMaker().packet(*ENDS, False, request([READ_1]))
    head = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    data = head + struct.pack(">IIII", 7, 8, len(packet), len(packet)) + packet
    [captured] = read_capture(data)
    assert captured.utc_us == 7_000_008
    segment = take_apart(captured.link_type, captured.octets)
    assert segment is not None and segment.payload == request([READ_1])
    assert list(read_capture(data[:24])) == []
    for size in set(range(len(data))) - {24}:
        with pytest.raises(PortError):
            list(read_capture(data[:size]))


def test_what_is_no_capture_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no capture")
    done = smartmeter("decode", "frame", "--pcap", str(tmp_path / "text"))
    assert done.returncode == 2 and "pcap" in done.stderr
    assert smartmeter("decode", "frame").returncode == 2
    nowhere = smartmeter("read", "sim:", "0", "--pcap", str(tmp_path / "no" / "such.pcapng"))
    assert nowhere.returncode == 2 and "choose another" in nowhere.stderr


@pytest.mark.parametrize(
    "refused",
    [
        ("read", "/dev/nothere"),
        ("read", "sim:", "--baud", "17"),
        ("read", "sim:", "999999"),
        ("read", "sim:", "--no-such-option"),
        ("tms", "run", "--data", "new", "--listen", "nowhere"),
    ],
    ids=" ".join,
)
def test_a_verb_that_is_refused_makes_no_capture_and_empties_none(
    tmp_path: Path, refused: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_bytes(b"what was captured before")
    (tmp_path / "link").symlink_to("led-to")
    for option in ("--pcap", "--record") if refused[0] == "read" else ("--pcap",):
        for name in ("old", "new.pcapng", "link"):
            assert smartmeter(*refused, option, name).returncode in (1, 2)
    assert (tmp_path / "old").read_bytes() == b"what was captured before"
    assert {path.name for path in tmp_path.iterdir()} == {"old", "link"}


def test_a_capture_in_which_nothing_has_passed_yet_is_one(tmp_path: Path) -> None:
    """So that what is left of a process that was killed can be opened."""
    with (tmp_path / "early").open("wb") as out:
        Capture(out, "early")
        assert list(read_capture((tmp_path / "early").read_bytes())) == []


def test_a_full_disk_ends_the_capture_and_not_the_talk() -> None:
    done = smartmeter("read", "sim:", "0", "--json", "--pcap", "/dev/full")
    assert json.loads(done.stdout)["0"]["fields"], done.stderr
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "/dev/full: the capture is not whole: No space left on device" in done.stderr


@given(st.lists(st.binary(max_size=300), max_size=6), st.booleans())
def test_packets_go_there_and_back(payloads: list[bytes], is_stream: bool) -> None:
    out, maker = io.BytesIO(), PacketMaker()
    writer = PcapngWriter(out)
    for number, payload in enumerate(payloads):
        writer.packet(Captured(RAW_IP, number, maker.packet(*ENDS, is_stream, payload), True))
    found = list(read_capture(out.getvalue()))
    segments = [take_apart(one.link_type, one.octets) for one in found]
    assert [one.payload for one in segments if one] == payloads
    assert [one.utc_us for one in found] == list(range(len(payloads)))
    assert all(one.outbound for one in found)


def read_whole(octets: bytes) -> None:
    """Read a capture and all its packets; a PortError is as good, if it names what is wrong."""
    try:
        for packet in read_capture(octets):
            take_apart(packet.link_type, packet.octets)
    except PortError as error:
        assert str(error)


@given(st.binary(max_size=400))
def test_any_octets_are_a_capture_or_an_error(octets: bytes) -> None:
    for begin in (b"", b"\x0a\x0d\x0d\x0a", b"\xa1\xb2\xc3\xd4"):
        read_whole(begin + octets)


@given(st.data())
def test_a_capture_with_changed_octets_is_read_or_is_an_error(data: st.DataObject) -> None:
    out, maker = io.BytesIO(), PacketMaker()
    writer = PcapngWriter(out)
    for number in range(3):
        packet = maker.packet(*ENDS, True, b"\x60\x03abc")
        writer.packet(Captured(RAW_IP, number, packet, True))
    changed = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    read_whole(bytes(changed))
    read_whole(bytes(changed[: data.draw(st.integers(0, len(changed)))]))


@given(st.permutations(range(5)), st.binary(min_size=50, max_size=50))
def test_a_stream_is_joined_from_segments_in_any_order_and_twice(
    order: list[int], data: bytes
) -> None:
    maker, joiner = PacketMaker(), StreamJoiner()
    packets = [maker.packet(*ENDS, True, data[at : at + 10]) for at in range(0, 50, 10)]
    segments = [segment for p in packets if (segment := take_apart(RAW_IP, p))]
    [piece] = joiner.offer(segments[0])
    out = piece.octets
    for number in order + order:
        out += b"".join(piece.octets for piece in joiner.offer(segments[number]))
    assert out == data


@given(
    st.lists(st.sampled_from((b"\x06", b"\x15", bytes.fromhex("ee00000000012013 10"))), max_size=6),
    st.data(),
)
def test_frames_are_cut_out_of_any_split_of_a_line(
    frames: list[bytes], data: st.DataObject
) -> None:
    line, cutter, found = b"".join(frames), FrameCutter(), []
    while line:
        size = data.draw(st.integers(1, len(line)))
        found += cutter.feed(line[:size])
        line = line[size:]
    assert found == frames


def test_every_verb_that_talks_takes_a_capture_and_the_others_are_known() -> None:
    context = click.Context(group)
    assert set(VERBS) - set(TALKING) == {"decode"}, "does a new verb talk?"
    for verb, leaves in TALKING.items():
        command = group.get_command(context, verb)
        assert command is not None
        found = [command]
        if isinstance(command, click.Group):
            found = [command.commands[leaf] if leaf else command for leaf in leaves]
        for leaf in found:
            assert any("--pcap" in parameter.opts for parameter in leaf.params), (verb, leaf.name)


async def test_a_session_with_a_plain_meter_is_in_the_capture_of_the_tms(tmp_path: Path) -> None:
    file = tmp_path / "poll.pcapng"
    with meter_process("--tcp", "127.0.0.1:0") as (port, _):
        capture.begin(file)
        try:
            settings = LogonSettings(2, b"TMS", b"reader")
            image = await converse(port, settings, lambda talk: talk.read(1))
        finally:
            capture.end()
    frames = [one for one in read_capture(file.read_bytes()) if one.link_type == USER_C1218]
    assert any(image in frame.octets for frame in frames)
    assert {frame.outbound for frame in frames} == {True, False}


@needs_tshark
def test_the_links_of_a_simulated_fleet_are_captured_with_its_own_calendar(tmp_path: Path) -> None:
    files = [tmp_path / "one.pcapng", tmp_path / "two.pcapng"]
    for file in files:
        lines: list[str] = []
        fleet = Fleet(FleetSettings(2, 1, 3, faults=False, relays=1), lines.append)
        fleet.capture_to(capture.begin(file))
        fleet.run(3 * HOUR_US)
        capture.end()
    assert files[0].read_bytes() == files[1].read_bytes()
    packets = list(read_capture(files[0].read_bytes()))
    stamps = [one.utc_us - EPOCH_US for one in packets]
    assert stamps == sorted(stamps) and stamps[0] > 0 and stamps[-1] <= 3 * HOUR_US
    segments = [take_apart(one.link_type, one.octets) for one in packets]
    ends = [(one.source[0], one.destination[0]) for one in segments if one is not None]
    near = [pair for pair in ends if any(host.startswith("10.") for host in pair)]
    assert len(near) == len(lines), "what the trace has"
    assert set(ends) - set(near) == {("198.18.0.1", "192.0.2.1"), ("192.0.2.1", "198.18.0.1")}
    assert len(tshark(files[0], "-Y", "c1222").splitlines()) == len(packets)
    assert not tshark(files[0], "-Y", "_ws.malformed")


def test_compared_ways_of_reading_are_told_apart_in_the_capture(tmp_path: Path) -> None:
    file = tmp_path / "compared.pcapng"
    compare(1, 1, 1, LinkSettings(1000, 0, 0, 9600), capture.begin(file))
    capture.end()
    octets = file.read_bytes()
    assert b"exception, 9600 bit/s, 0 % lost" in octets and b"polling, 9600 bit/s" in octets
    found = [take_apart(one.link_type, one.octets) for one in read_capture(octets)]
    hosts = {one.source[0] for one in found if one is not None}
    assert hosts == {"192.0.2.1", "10.0.0.1", "10.1.0.1"}


@pytest.mark.parametrize("order", ["<", ">"])
def test_packets_in_the_old_block_and_stamps_with_an_offset_are_read(order: str) -> None:
    def block(kind: int, body: bytes) -> bytes:
        total = struct.pack(order + "I", 12 + len(body))
        return struct.pack(order + "I", kind) + total + body + total

    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = struct.pack(order + "HHBxxxHHqI", 9, 1, 9, 14, 8, 1_700_000_000, 0)
    interface = block(1, struct.pack(order + "HxxI", 101, 5) + options)
    payload = b"packet"
    head = struct.pack(order + "HHIIII", 0, 0xFFFF, 0, 5_000, len(payload), 9)
    old = block(2, head + payload + bytes(2))
    simple = block(3, struct.pack(order + "I", len(payload)) + payload[:5] + bytes(3))
    first, second = read_capture(section + interface + old + simple)
    assert (first.octets, first.utc_us, first.cut) == (payload, 1_700_000_000_000_005, 3)
    assert (second.octets, second.cut) == (payload[:5], 1)
    assert not list(read_capture(section + simple)), "of no interface"


def test_a_session_is_read_by_its_logon_and_segments_give_the_whole(tmp_path: Path) -> None:
    """Messages of a session may leave the security element out (C12.22 digest, 8.3)."""
    session = ("own-logon-with-timeout-encrypted", "own-in-session-read-without-AC")
    names = (*session, *(f"own-segment-{number}-of-3" for number in (2, 0, 1)))
    maker, file = PacketMaker(), tmp_path / "net.pcapng"
    write_capture(file, [maker.packet(*ENDS, False, vector(name)) for name in names])
    key = MESSAGES[session[0]]["key"][0]["key"]
    verb = ("decode", "frame", "--pcap", str(file))
    done = smartmeter(*verb, "--json", SMARTMETER_C1222_KEYS=f"5={key}")
    frames = json.loads(done.stdout)["frames"]
    assert [frame["ok"] for frame in frames] == [True] * 5 and done.returncode == 0
    for frame, name in zip(frames, session, strict=False):
        assert frame["decoded"]["services"] == MESSAGES[name]["decoded"]["services"]
    assert ["whole" in frame for frame in frames] == [False] * 4 + [True]
    whole = MESSAGES["own-write-length-82"]
    assert frames[-1]["whole"]["hex"] == whole["hex"]
    assert frames[-1]["whole"]["decoded"]["services"] == whole["decoded"]["services"]
    shown = smartmeter(*verb, SMARTMETER_C1222_KEYS=f"5={key}").stdout
    assert "the whole message:" in shown and "security-element-missing" not in shown
