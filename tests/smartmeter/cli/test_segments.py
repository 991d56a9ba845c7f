"""``--segment``: what is longer than a datagram may be goes in C12.22 segments."""

import asyncio
import signal
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import Node, ResponseArrived
from protocols.c1222.security import EaxPrime
from protocols.c1222.stream import ApduStream
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.cli import group
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.event_loop import ended
from smartmeter.simulation.fleet_keys import made_keys
from smartmeter.simulation.plain_meter import Registering
from smartmeter.simulation.served_fleet import ServedFleet, ServedSettings
from smartmeter.tms.shipment import Shipped
from tests.protocols.c1222.conversation import HOST, READ_1, Ring
from tests.protocols.c1222.wireshark import needs_tshark, tshark
from tests.smartmeter.comms.relays import relay_process
from tests.waiting import until

MOST, READS = 548, 200


def asked(address: tuple[str, int], meter: Shipped) -> tuple[tuple[bytes, ...], int]:
    """Read much in one message over TCP; give the responses, and how many APDUs brought them."""
    ring = Ring({0: EaxPrime(meter.key)})
    node = Node(HOST, ring, Calendar(wall_utc_us()))
    node.joins_segments = True
    node.request([READ_1] * READS, ApTitle.parse(meter.title), "relay", 0, key_id=0)
    [(_, octets)] = node.outgoing()
    assert len(octets) > MOST and not decode_apdu(octets).is_segment
    pieces = 0
    with socket.create_connection(address, 60) as peer:
        peer.sendall(octets)
        stream = ApduStream()
        while True:
            for piece in stream.feed(peer.recv(4096)):
                pieces += 1
                node.receive("relay", piece, 0)
            for event in node.events():
                assert isinstance(event, ResponseArrived)
                return event.responses, pieces


@needs_tshark
async def test_long_messages_pass_a_relay_in_datagrams_that_no_network_has_to_cut(
    tmp_path: Path,
) -> None:
    capture, switched_on = tmp_path / "relay.pcapng", ("--segment", str(MOST))
    options = (*switched_on, "--pcap", str(capture))
    relay, (host, port) = relay_process(tmp_path / "list", more=options)
    [meter] = made_keys(1, 1, True)
    by = BearerSettings("relay", f"udp:{host}:{port}", segment_octets=MOST)
    settings = ServedSettings(by, plain=True, registering=Registering.CLEAR, notify_min=0)
    fleet = ServedFleet([meter], settings, lambda: Calendar(wall_utc_us(), 1, monotonic_us()))
    running = asyncio.create_task(fleet.run())
    try:
        await until(
            lambda: fleet.members[0].device.standing()["state"] == "registered", "registered"
        )
        responses, pieces = await asyncio.to_thread(asked, (host, port), meter)
        assert len(responses) == READS and {one[0] for one in responses} == {0}
        assert pieces > 10, "they are not joined on the way"
    finally:
        await ended(running)
        relay.send_signal(signal.SIGTERM)
        relay.communicate(timeout=60)
    for way in ("src", "dst"):  # the request in two, the answer in many
        rows = tshark(capture, "-Y", f"udp.{way}port == 1153", "-T", "fields", "-e", "udp.length")
        sizes = [int(size) - 8 for size in rows.split()]
        assert MOST - 3 < max(sizes) <= MOST and len(sizes) >= 3
    assert not tshark(capture, "-Y", "ip.flags.mf == 1 || ip.frag_offset > 0").strip()


@pytest.mark.parametrize("verb", ["relay run", "tms run", "fleet serve"])
def test_a_size_that_cannot_be_is_refused(verb: str) -> None:
    done = CliRunner().invoke(group, [*verb.split(), "--segment", "255"])
    assert done.exit_code == 2 and "--segment" in done.stderr and "256" in done.stderr
