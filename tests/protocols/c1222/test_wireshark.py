"""Wireshark agrees with every message of ours: no fault, MACs right, the same cleartext.

Faults of its dissector (4.0), which say nothing about our octets: segments (BER
errors), messages of a session without AC, a key id that is left out, an
indirect reference in BE, padding after a zero length, a secured message without
called title, arcs above 32 bits.  We send none of them unless segmentation is
switched on; ``KNOWN_FAULTS`` names the vectors.  A MAC over longer lengths than
needed it calls bad, and one where the three lengths before the user information
have not the same size (``MISJUDGED``): it takes them for equally long.
Parameters of register, resolve and trace it shows raw.
"""

from collections.abc import Iterator
from pathlib import Path

from protocols.c1222.builder import NOTIFICATION, URGENT
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import Node, RequestArrived
from protocols.c1222.registration import Register, Registered, serial_uid
from protocols.c1222.security import AUTHENTICATED, CIPHERTEXT
from protocols.c1222.services import (
    Deregister,
    NetworkLogon,
    NetworkSecurity,
    Resolve,
    Service,
    Trace,
    encode_service,
)
from protocols.psem.codec import block
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    DefaultRead,
    Disconnect,
    FullRead,
    FullWrite,
    Identify,
    IndexRead,
    IndexWrite,
    Logoff,
    OffsetRead,
    OffsetWrite,
    Terminate,
    Wait,
)
from protocols.transports.ip_packets import PacketMaker
from tests.protocols.c1222.conversation import (
    HOST,
    KEY,
    KEY_ID,
    MESSAGES,
    METER,
    NOW_US,
    OPEN,
    PASSWORD,
    Clock,
    Ring,
    vector,
)
from tests.protocols.c1222.wireshark import dissected, needs_tshark, write_capture

SERVICES: tuple[Service, ...] = (
    Identify(),
    Terminate(),
    Disconnect(),
    Deregister(METER),
    Resolve(METER),
    Trace((HOST, METER)),
    Register(METER, serial_uid("SM000001"), 3600),
    FullRead(1),
    IndexRead(1, (2, 3), 1),
    DefaultRead(),
    OffsetRead(64, 70_000, 300),
    FullWrite(2048, bytes(300)),
    IndexWrite(3, (1,), b"x"),
    OffsetWrite(3, 4, b"yz"),
    NetworkLogon(2, b"OPERATOR", 60),
    NetworkSecurity(PASSWORD, 2),
    Logoff(),
    Wait(30),
)
ANSWERS: tuple[bytes, ...] = (
    *(bytes([code]) for code in ResponseCode),
    b"\0" + block(bytes(300)),
    Registered(METER, 300, 3600, 0xC1).encode(),
    b"\x0f\0\0\x08\0",
)
KNOWN_FAULTS = (
    "own-segment-0-of-3",
    "own-in-session-read-without-AC",
    "own-key-id-absent",
    "own-multi-service-with-padding",
)
ENDS = ("192.0.2.1", 1153), ("192.0.2.2", 1153)
ENDS_V6 = ("2001:db8::1", 1153), ("2001:db8::2", 1153)
#: Octets of user information whose own length takes fewer octets than one of those around it.
MISJUDGED = {*range(124, 128), *range(250, 256)}


def node(title: object) -> Node:
    return Node(title, Ring(), Clock(), None, OPEN)  # type: ignore[arg-type]


def exchange(services: list[bytes], answers: list[bytes], **options: int) -> tuple[bytes, bytes]:
    """Give request and answer of two nodes of ours."""
    host, meter = node(HOST), node(METER)
    host.request(services, METER, "path", NOW_US, **options)  # type: ignore[arg-type]
    [(_, asked)] = host.outgoing()
    meter.receive("path", asked, NOW_US)
    [event] = meter.events()
    assert isinstance(event, RequestArrived)
    meter.answer(event.token, answers, NOW_US)
    [(_, answered)] = meter.outgoing()
    return asked, answered


def conversations() -> Iterator[tuple[bool, list[bytes], bytes]]:
    """Give for each message whether it is secured, its services and its octets."""
    services = [encode_service(service) for service in SERVICES]
    whole = [services[7], services[11], services[10]]
    for mode in (None, AUTHENTICATED, CIPHERTEXT):
        options = {} if mode is None else {"key_id": KEY_ID, "mode": mode}
        each = [([service], [ANSWERS[n % len(ANSWERS)]]) for n, service in enumerate(services)]
        each += [([services[0]], [answer]) for answer in ANSWERS]
        each += [(whole, [ANSWERS[-3], b"\0", b"\5"])]
        for asked, answered in each:
            request, answer = exchange(asked, answered, **options)
            yield mode is not None, asked, request
            yield mode is not None, answered, answer
        options |= {"qualifier": NOTIFICATION | URGENT}
        request, answer = exchange(whole[1:2], [b"\0"], **options)
        yield mode is not None, whole[1:2], request
        yield mode is not None, [b"\0"], answer


@needs_tshark
def test_every_service_answer_and_mode_is_dissected_without_a_fault(tmp_path: Path) -> None:
    maker, packets = PacketMaker(), []
    messages = list(conversations())
    ways = [(is_stream, ends) for is_stream in (True, False) for ends in (ENDS, ENDS_V6)]
    for is_stream, ends in ways:
        for n, (_, _, octets) in enumerate(messages):
            packets.append(maker.packet(ends[n % 2], ends[1 - n % 2], is_stream, octets))
    write_capture(tmp_path / "own.pcapng", packets)
    rows = dissected(tmp_path / "own.pcapng", {KEY_ID: KEY})
    assert len(rows) == len(ways) * len(messages) > 800
    for (secured, items, octets), row in zip(messages * len(ways), rows, strict=True):
        assert not row["_ws.malformed"] and not row["c1222.epsem.not_decrypted"], octets.hex()
        assert row["c1222.crypto_bad"] in ([], ["0"]), octets.hex()
        assert row["c1222.crypto_good"] == (["1"] if secured else []), octets.hex()
        assert row["c1222.epsem.data"] == [item.hex() for item in items]
        codes = [f"0x{item[0]:02x}" for item in items]
        assert row["c1222.cmd"] + row["c1222.err"] == codes


@needs_tshark
def test_messages_of_every_size_are_verified_but_those_it_misjudges(tmp_path: Path) -> None:
    maker, messages = PacketMaker(), []
    for mode in (AUTHENTICATED, CIPHERTEXT):
        for size in range(280):
            write = encode_service(FullWrite(3, bytes(size)))
            messages.append(exchange([write], [b"\0"], key_id=KEY_ID, mode=mode)[0])
    packets = [maker.packet(*ENDS, False, octets) for octets in messages]
    write_capture(tmp_path / "sizes.pcapng", packets)
    rows = dissected(tmp_path / "sizes.pcapng", {KEY_ID: KEY})
    for octets, row in zip(messages, rows, strict=True):
        if len(decode_apdu(octets).user_information) not in MISJUDGED:
            assert row["c1222.crypto_good"] == ["1"], octets.hex()


@needs_tshark
def test_segments_of_a_stream_are_put_together_by_wireshark_too(tmp_path: Path) -> None:
    messages, maker = list(conversations())[:40], PacketMaker()
    stream = b"".join(octets for n, (_, _, octets) in enumerate(messages) if n % 2 == 0)
    packets = [maker.packet(*ENDS, True, stream[at : at + 7]) for at in range(0, len(stream), 7)]
    write_capture(tmp_path / "cut.pcapng", packets)
    rows = dissected(tmp_path / "cut.pcapng", {KEY_ID: KEY})
    found = [value for row in rows for value in row["c1222.epsem.data"]]
    wanted = [
        item.hex() for n, (_, items, _) in enumerate(messages) if n % 2 == 0 for item in items
    ]
    assert found == wanted and not any(row["_ws.malformed"] for row in rows)


@needs_tshark
def test_it_reads_the_public_messages_as_we_do_but_for_its_known_faults(tmp_path: Path) -> None:
    maker = PacketMaker()
    by_keys: dict[tuple[tuple[int, bytes], ...], list[str]] = {}
    for name, message in MESSAGES.items():
        if message["expect"] == "accept" and name not in KNOWN_FAULTS and "segment" not in name:
            listed = ((k["key_id"], bytes.fromhex(k["key"])) for k in message.get("key", []))
            by_keys.setdefault(tuple(listed), []).append(name)
    for keys, names in by_keys.items():
        packets = [maker.packet(*ENDS, False, vector(name)) for name in names]
        write_capture(tmp_path / "public.pcapng", packets)
        rows = dissected(tmp_path / "public.pcapng", dict(keys))
        for name, row in zip(names, rows, strict=True):
            assert not row["_ws.malformed"], name
            assert row["c1222.crypto_good"] == (["1"] if keys else []), name
