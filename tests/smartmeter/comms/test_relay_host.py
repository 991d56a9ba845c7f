"""Relays as hosts: a chain in front of a TMS, kill -9, a damaged file, a TMS that is gone."""

import asyncio
import errno
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.native_address import UDP, NativeAddress
from protocols.c1222.registrar import Change, Entry
from protocols.c1222.registration import NodeType, Register, decode_registered, serial_uid
from protocols.c1222.services import Trace, encode_service
from protocols.c1222.stream import ApduStream
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from smartmeter.base.clock import DAY_S, US_PER_S, Calendar, monotonic_us, wall_utc_us
from smartmeter.base.errors import StorageError
from smartmeter.comms.known_ways import KnownWays
from smartmeter.comms.registrations import RegistrationFile
from smartmeter.comms.relay_host import RelayHost
from smartmeter.simulation.street import MODEL
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from tests.ports import free_port
from tests.protocols.c1222.conversation import items, request
from tests.smartmeter.cli.served import smartmeter
from tests.smartmeter.comms.relays import FACTORY, Through, relay_process, tcp
from tests.waiting import until

MASTER = ApTitle.parse(".1")


@pytest.fixture
async def tms(tmp_path: Path) -> AsyncIterator[TmsServer]:
    server = TmsServer(tmp_path / "tms", Calendar(wall_utc_us(), 1, monotonic_us()))
    await server.start("127.0.0.1", 0)
    server.import_shipment([Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)])
    yield server
    await server.stop()


async def test_a_smartmeter_registers_through_two_relays_and_its_answer_comes_back(
    tms: TmsServer,
) -> None:
    near_tms = RelayHost(ApTitle.parse(".92"), tcp(tms.address))
    await near_tms.start("127.0.0.1", 0)
    near_meter = RelayHost(ApTitle.parse(".91"), tcp(near_tms.address))
    await near_meter.start("127.0.0.1", 0)
    await until(lambda: near_tms.connected and near_meter.connected, "the chain is up")
    peer = Through(near_meter, tms)
    register = encode_service(Register(FACTORY.title, serial_uid(FACTORY.esn)))
    for service in (register, encode_request(Identify())):
        answer = await peer.ask(service)
        peer.node.receive("tcp", answer, monotonic_us())
        [event] = peer.node.events()
        assert event.responses[0][0] == 0  # type: ignore[attr-defined]
    for relay in (near_tms, near_meter):
        assert relay.relay.counts["forwarded"] >= 4
        await relay.stop()


async def test_when_a_middle_relay_was_restarted_the_nodes_below_come_anew(tms: TmsServer) -> None:
    """With the connection all ways to them ended, and a node that is content says nothing."""
    middle = RelayHost(ApTitle.parse(".92"), tcp(tms.address))
    await middle.start("127.0.0.1", free_port())
    lowest = RelayHost(ApTitle.parse(".91"), tcp(middle.address))
    await lowest.start("127.0.0.1", 0)
    await until(lambda: middle.connected and lowest.connected, "the chain is up")
    node = Through(lowest, tms).node
    serial, kind = serial_uid(FACTORY.esn), NodeType.HOST
    register = encode_service(Register(FACTORY.title, serial, node_type=kind))
    registered = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*lowest.address)
        node.request([register], MASTER, "tcp", monotonic_us(), key_id=0)
        [(_, octets)] = node.outgoing()
        writer.write(octets)
        async with asyncio.timeout(60):
            registered += ApduStream().feed(await reader.read(4096))
        assert tms.head_end.connected(FACTORY.esn)
        if len(registered) == 1:
            await middle.stop()
            await until(lambda: not tms.head_end.connected(FACTORY.esn), "it is forgotten")
            again = RelayHost(ApTitle.parse(".92"), tcp(tms.address))
            await again.start("127.0.0.1", middle.address[1])
            async with asyncio.timeout(60):
                while await reader.read(4096):
                    pass
            assert lowest.counts["let go to register anew"] == 1
        writer.close()
    assert len(registered) == 2
    await again.stop()
    await lowest.stop()


async def test_behind_a_relay_that_was_restarted_the_tms_asks_a_node_of_datagrams(
    tms: TmsServer, tmp_path: Path
) -> None:
    """It did not notice, and may have nothing to say for a day."""
    place, port = tmp_path / "ways", free_port()
    relay = RelayHost(ApTitle.parse(".92"), tcp(tms.address), data=place)
    await relay.start("127.0.0.1", port)
    await until(lambda: relay.connected, "the way up is open")
    loop, node = asyncio.get_running_loop(), Through(relay, tms).node
    with socket.socket(type=socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        register = encode_service(Register(FACTORY.title, serial_uid(FACTORY.esn)))
        node.request([register], MASTER, "udp", monotonic_us(), key_id=0)
        [(_, octets)] = node.outgoing()
        async with asyncio.timeout(60):
            await loop.sock_sendto(line, octets, relay.address)
            node.receive("udp", await loop.sock_recv(line, 4096), monotonic_us())
            node.events()
            await relay.stop()
            await until(lambda: not tms.head_end.connected(FACTORY.esn), "it is forgotten")
            again = RelayHost(ApTitle.parse(".92"), tcp(tms.address), data=place)
            await again.start("127.0.0.1", port)
            collector = tms.head_end.collector
            await until(lambda: bool(collector.relay.relay_in_turn()), "the relay is back")
            collector.ask(FACTORY.esn, [encode_request(Identify())], monotonic_us())
            tms.received()
            node.receive("udp", await loop.sock_recv(line, 4096), monotonic_us())
            [event] = node.events()
            node.answer(event.token, [b"\0\3\1\0\0"], monotonic_us())  # type: ignore[attr-defined]
            [(_, octets)] = node.outgoing()
            await loop.sock_sendto(line, octets, again.address)
            await until(lambda: tms.head_end.connected(FACTORY.esn), "it is known where")
    await again.stop()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
async def test_an_answer_in_clear_may_come_by_another_port_of_the_host_that_was_asked(
    source: str, kind: socket.SocketKind
) -> None:
    """Deployed nodes answer so; of another host anybody could have said it."""
    master, node = RelayHost(MASTER, domain=ApTitle.parse(".7")), ApTitle.parse(".7.42")
    await master.start("127.0.0.1", 0)
    loop = asyncio.get_running_loop()

    def line(host: str, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(type=kind)
        made.bind((host, 0))
        made.connect(master.address)
        made.setblocking(False)
        return made

    async def heard(by: socket.socket, wait_s: float = 60) -> bytes:
        async with asyncio.timeout(wait_s):
            return await loop.sock_recv(by, 4096)

    host = line("127.0.0.1", socket.SOCK_STREAM)
    with host, line("127.0.0.1", kind) as asked, line(source, kind) as answering:
        register = encode_service(Register(node, serial_uid("SM1")))
        asked.send(build_apdu(Envelope(1, MASTER, node), [register]))
        await heard(asked)
        host.send(build_apdu(Envelope(2, node, ApTitle.parse(".5")), [b"\x20"]))
        await heard(asked)
        answering.send(build_apdu(Envelope(3, ApTitle.parse(".5"), node, 2), [b"\0\3\1\0\0"]))
        if source == "127.0.0.1":
            assert items(await heard(host)) == [b"\0\3\1\0\0"]
        else:
            await until(lambda: master.relay.counts["dropped no-way-back"], "it is dropped")
    await master.stop()


async def test_over_udp_a_relay_is_reached_as_before_when_it_was_restarted() -> None:
    """Nothing ends between datagrams: who is above goes on to where it has heard the relay."""
    master = RelayHost(MASTER, domain=ApTitle.parse(".7"))
    await master.start("127.0.0.1", 0)
    above = f"udp:{master.address[0]}:{master.address[1]}"
    middle = RelayHost(ApTitle.parse(".92"), above)
    await middle.start("127.0.0.1", free_port())
    loop, place = asyncio.get_running_loop(), middle.address
    node, register = ApTitle.parse(".7.42"), Register(ApTitle.parse(".7.42"), serial_uid("SM1"))
    with socket.socket(type=socket.SOCK_DGRAM) as line:
        line.setblocking(False)

        async def asked(number: int, service: bytes) -> bytes:
            octets = build_apdu(Envelope(number, MASTER, node), [service])
            await loop.sock_sendto(line, octets, place)
            async with asyncio.timeout(60):
                return await loop.sock_recv(line, 4096)

        await until(lambda: middle.connected, "the way up is open")
        assert items(await asked(1, encode_service(register)))[0][0] == 0
        await middle.stop()
        middle = RelayHost(ApTitle.parse(".92"), above)
        await middle.start(*place)
        await until(lambda: middle.connected, "the way up is open again")
        assert items(await asked(2, encode_request(Identify())))[0][0] == 0
        _, writer = await asyncio.open_connection(*master.address)
        writer.write(build_apdu(Envelope(3, node, ApTitle.parse(".5")), [b"\x20"]))
        async with asyncio.timeout(60):
            assert decode_apdu(await loop.sock_recv(line, 4096)).called == node
        writer.close()
    await middle.stop()
    await master.stop()


async def test_without_a_tms_nodes_are_told_that_it_cannot_be_reached(tms: TmsServer) -> None:
    relay = RelayHost(ApTitle.parse(".91"), f"tcp:127.0.0.1:{free_port()}")
    await relay.start("127.0.0.1", 0)
    answer = await Through(relay, tms).ask(encode_request(Identify()))
    assert items(answer) == [b"\x0e"]
    await relay.stop()


async def test_a_way_up_that_is_not_there_is_told_once_and_so_is_its_coming(tms: TmsServer) -> None:
    told: list[str] = []
    port = free_port()
    relay = RelayHost(ApTitle.parse(".93"), f"tcp:127.0.0.1:{port}", tell=told.append)
    await relay.start("127.0.0.1", 0)
    await until(lambda: told, "it is told")
    upper = RelayHost(ApTitle.parse(".94"), tcp(tms.address))
    await upper.start("127.0.0.1", port)
    await until(lambda: relay.connected and len(told) > 1, "it is tried again")
    await relay.stop()
    await upper.stop()
    away, works = told
    assert away.startswith(f"upstream tcp:127.0.0.1:{port}: is away (")
    assert works == f"upstream tcp:127.0.0.1:{port}: works"


async def test_a_way_up_of_datagrams_works_only_once_something_has_come_by_it() -> None:
    told: list[str] = []
    port = free_port()
    relay = RelayHost(ApTitle.parse(".93"), f"udp:127.0.0.1:{port}", tell=told.append)
    await relay.start("127.0.0.1", 0)
    await until(lambda: told, "it is told")
    upper = RelayHost(ApTitle.parse(".94"), None)
    await upper.start("127.0.0.1", port)
    await until(lambda: len(told) > 1, "it is tried again")
    await relay.stop()
    await upper.stop()
    assert told == [
        f"upstream udp:127.0.0.1:{port}: is away (Connection refused)",
        f"upstream udp:127.0.0.1:{port}: works",
    ]


async def test_a_relay_answers_for_itself_over_tcp_and_udp(tms: TmsServer) -> None:
    relay = RelayHost(ApTitle.parse(".91"), tcp(tms.address))
    await relay.start("127.0.0.1", 0)
    title = ApTitle.parse(".91")
    trace = encode_service(Trace((FACTORY.title,)))
    octets = request([encode_request(Identify()), trace], called=title)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        await loop.sock_sendto(client, octets, relay.listener.udp_address)
        async with asyncio.timeout(60):
            answer = await loop.sock_recv(client, 4096)
    assert [item[0] for item in items(answer)] == [0, 0]
    await relay.stop()


def register(address: tuple[str, int], serial: str, number: int) -> ApTitle:
    """Register in clear, as a node without a title; give the title that it is given."""
    service = encode_service(Register(None, serial_uid(serial), 3600))
    octets = request([service], number, called=MASTER, calling=None, ed_class=b"SMOP")
    with socket.create_connection(address, 60) as peer:
        peer.sendall(octets)
        stream, found = ApduStream(), []
        while not found:
            found = stream.feed(peer.recv(4096))
    assert decode_apdu(found[0]).called_invocation_id == number
    return decode_registered(items(found[0])[0]).title


def test_a_master_relay_that_is_killed_forgets_no_registration_that_it_answered(
    tmp_path: Path,
) -> None:
    titles: dict[str, ApTitle] = {}
    for turn in range(3):
        metrics = free_port()
        process, address = relay_process(tmp_path, metrics)
        try:
            for serial, title in titles.items():
                assert register(address, serial, len(serial)) == title
            for n in range(5):
                titles[f"SM{turn}{n}"] = register(address, f"SM{turn}{n}", n + 1)
            with urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=60) as answer:
                told = answer.read().decode()
            assert f"smartmeter_registrations {len(titles)}.0" in told
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
    assert len(set(titles.values())) == len(titles) == 15


async def test_a_middle_relay_that_is_killed_reaches_nodes_of_datagrams_that_say_nothing(
    tmp_path: Path,
) -> None:
    """They do not notice; and what is above sends on to where it has heard the relay."""
    master = RelayHost(MASTER, domain=ApTitle.parse(".7"))
    await master.start("127.0.0.1", 0)
    place = ("--title", ".92", "--upstream", f"udp:{master.address[0]}:{master.address[1]}")
    process, address = relay_process(tmp_path, place=place, port=free_port())
    loop, node = asyncio.get_running_loop(), ApTitle.parse(".7.42")
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            registering = encode_service(Register(node, serial_uid("SM1")))
            octets = build_apdu(Envelope(1, MASTER, node), [registering])
            async with asyncio.timeout(60):
                answer = b""
                while not answer or items(answer)[0][0] != 0:  # until the way up is open
                    await loop.sock_sendto(line, octets, address)
                    answer = await loop.sock_recv(line, 4096)
                process.kill()
                process.communicate()
                process, _ = relay_process(tmp_path, place=place, port=address[1])
                _, writer = await asyncio.open_connection(*master.address)
                writer.write(asked := build_apdu(Envelope(3, node, ApTitle.parse(".5")), [b"\x20"]))
                assert await loop.sock_recv(line, 4096) == asked
            writer.close()
    finally:
        process.kill()
        process.communicate()
        await master.stop()


@pytest.mark.parametrize("set_first", [True, False])
async def test_what_is_answered_before_or_after_the_wall_clock_was_set_is_known_after_a_restart(
    set_first: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a board that has no clock of its own, when the power comes back."""
    behind_us = 3 * DAY_S * US_PER_S
    monkeypatch.setattr(
        "smartmeter.comms.relay_host.wall_utc_us", lambda: wall_utc_us() - behind_us
    )
    node, domain = ApTitle.parse(".7.42"), ApTitle.parse(".7")
    master = RelayHost(MASTER, domain=domain, data=tmp_path)
    await master.start("127.0.0.1", 0)
    if set_first:
        monkeypatch.undo()
        await until(lambda: master._calendar.moved_us)
    reader, writer = await asyncio.open_connection(*master.address)
    service = encode_service(Register(node, serial_uid("SM1")))
    writer.write(build_apdu(Envelope(1, MASTER, node), [service]))
    async with asyncio.timeout(60):
        assert items(await reader.read(4096))[0][0] == 0
    writer.close()
    monkeypatch.undo()
    await until(lambda: master._calendar.moved_us)
    await master.stop()
    again = RelayHost(MASTER, domain=domain, data=tmp_path)
    again.relay.expire(monotonic_us())
    assert again.registrations == 1


def test_the_way_to_a_node_of_datagrams_is_kept_until_it_has_another_or_is_old(
    tmp_path: Path,
) -> None:
    heard, later, stream = (
        bytes.fromhex(x) for x in ("0a0000010481 11", "0a000002048111", "0a000001048106")
    )
    one, two, three = (ApTitle.parse(f".7.{number}") for number in (1, 2, 3))
    ways = KnownWays(tmp_path / "w", 0, 100, 0)
    for title in (one, two, three):
        ways.learned(title, heard, 0)
    ways.learned(two, later, 10)
    ways.learned(three, stream, 10)
    assert ways.write() and not ways.write()
    ways.learned(one, heard, 20)
    assert not ways.write(), "it is fresh enough"
    ways.close()
    ways = KnownWays(tmp_path / "w", 0, 100, 0)
    told = [ways.place(title, 99) for title in (one, two, three)]
    assert told[:2] == [NativeAddress("10.0.0.1", 1153, UDP), NativeAddress("10.0.0.2", 1153, UDP)]
    assert told[2] is None, "it has a connection now, and comes anew"
    assert ways.place(one, 100) is None
    ways.close()


def test_a_way_that_was_read_by_a_clock_that_is_behind_is_noted_again_when_it_is_heard(
    tmp_path: Path,
) -> None:
    title, heard = ApTitle.parse(".7.1"), bytes.fromhex("0a000001048111")
    ways = KnownWays(tmp_path / "w", 1000, 100, 0)
    ways.learned(title, heard, 0)
    assert ways.write()
    ways.close()
    ways = KnownWays(tmp_path / "w", 0, 100, 0)
    assert ways.place(title, 99) is not None and ways.place(title, 100) is None
    ways.learned(title, heard, 60)
    ways.clock_was_set(1000)
    ways.close()
    ways = KnownWays(tmp_path / "w", 1000, 100, 110)
    assert ways.place(title, 159) is not None and ways.place(title, 160) is None
    ways.close()


def test_of_too_many_ways_the_one_that_was_noted_first_gives_way_also_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartmeter.comms.known_ways.MAX_ENTRIES", 2)
    titles = [ApTitle.parse(f".7.{number}") for number in (1, 2, 3)]
    ways = KnownWays(tmp_path / "w", 0, 100, 0)
    for title in titles:
        ways.learned(title, bytes.fromhex("0a000001048111"), 0)
    assert ways.write()
    ways.close()
    ways = KnownWays(tmp_path / "w", 0, 100, 0)
    assert [ways.place(title, 50) is not None for title in titles] == [False, True, True]
    ways.close()


def test_damaged_ways_are_left_out_and_told_and_the_others_are_known(tmp_path: Path) -> None:
    file, heard = tmp_path / "ways.jsonl", bytes.fromhex("0a000001048111")
    one, two = (ApTitle.parse(f".7.{number}") for number in (1, 2))
    ways = KnownWays(file, 0, 100, 0)
    ways.learned(one, heard, 0)
    ways.learned(two, heard, 0)
    assert ways.write()
    ways.close()
    first, second, _ = file.read_bytes().split(b"\n")
    for damaged in (b"no json", first.replace(heard.hex().encode(), b"ff" * 21), first[1:], b"[]"):
        file.write_bytes(damaged + b"\n" + second + b"\n")
        ways = KnownWays(file, 0, 100, 0)
        assert ways.left_out == 1 and ways.place(two, 50) and not ways.place(one, 50)
        ways.close()
    file.write_bytes(b"no json\n")
    told: list[str] = []
    RelayHost(MASTER, data=tmp_path, tell=told.append)
    assert told == [f"{file}: 1 damaged ways to nodes were left out"]


def test_a_last_line_that_a_power_cut_left_without_its_beginning_was_not_answered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    entry = Entry(ApTitle.parse(".7.1"), None, 0, 0, b"", b"", 5_000_000)
    file = RegistrationFile(path, 0)
    file.load()
    file.write([Change(entry, True)], [entry])
    whole = path.read_bytes()
    zeros = bytes(len(whole) // 2)
    path.write_bytes(whole + zeros + whole[len(zeros) :])
    assert RegistrationFile(path, 0).load() == [entry]
    path.write_bytes(whole + zeros + whole[len(zeros) :] + whole)
    with pytest.raises(StorageError, match="line 2 is damaged"):
        RegistrationFile(path, 0).load()


def test_a_line_that_was_cut_short_is_left_out_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = RegistrationFile(path, 0)
    assert file.load() == []
    entry = Entry(ApTitle.parse(".7.1"), serial_uid("A"), 32, 64, b"SMOP", b"", 5_000_000)
    gone = Entry(ApTitle.parse(".7.2"), None, 32, 64, b"SMOP", b"", None)
    file.write([Change(entry, True), Change(gone, True), Change(gone, False)], [])
    file.close()
    path.write_bytes(path.read_bytes() + b'{"present": tr')
    # Another process: its monotonic clock began a second later.
    assert RegistrationFile(path, 1_000_000).load()[0].lapses_us == 4_000_000
    whole = path.read_bytes()
    for damaged in (b"no json", b"\xff\xfe", b"[]", b"[" * 20_000, whole[:1] + whole[2:-1]):
        path.write_bytes(whole + damaged + b"\n")
        with pytest.raises(StorageError, match=r"r\.jsonl: line 2 is damaged; move it away"):
            RegistrationFile(path, 0).load()


@pytest.mark.parametrize("call", ["pathlib.Path.open", "smartmeter.base.file.sync_folder"])
def test_a_list_that_was_written_anew_and_not_opened_again_loses_no_change(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where connections have taken all descriptors."""
    opened = Path.open

    def refused(path: Path, mode: str = "ab") -> object:
        if mode == "ab":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opened(path, mode)

    one, two = (Entry(ApTitle.parse(f".7.{n}"), None, 0, 0, b"", b"", 5_000_000) for n in (1, 2))
    file = RegistrationFile(tmp_path / "r.jsonl", 0)
    file.load()
    file.write([Change(one, True)], [one])
    with monkeypatch.context() as patch:
        patch.setattr(call, refused)
        with pytest.raises(StorageError):
            file.clock_was_set(7, [one])
    file.write([Change(two, True)], [one, two])
    file.close()
    assert RegistrationFile(tmp_path / "r.jsonl", 7).load() == [one, two]


@pytest.mark.parametrize("leads_to", [os.devnull, "/"])
def test_a_list_that_is_no_file_is_told_and_not_read(tmp_path: Path, leads_to: str) -> None:
    (tmp_path / "r.jsonl").symlink_to(leads_to)
    with pytest.raises(StorageError, match=r"r\.jsonl: is no file; move it away"):
        RegistrationFile(tmp_path / "r.jsonl", 0).load()


def test_a_list_for_which_there_is_no_room_is_not_told_to_be_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = RegistrationFile(path, 0)
    file.load()
    entry = Entry(ApTitle.parse(".7.1"), None, 32, 64, b"SMOP", b"", None)
    file.write([Change(entry, True)], [])
    file.close()
    whole, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(StorageError, match="its space") as told:
            RegistrationFile(path, 0).load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Errno" not in str(told.value) and path.read_bytes() == whole


def test_wrong_use_is_told_with_the_remedy() -> None:
    for arguments, word in (
        ((), "--upstream"),
        (("--master", ".7"), "--data"),
        (("--upstream", "nowhere"), "tcp:HOST:PORT"),
        (("--upstream", "tcp:h:1", "--title", "x"), "title"),
        (("--upstream", "tcp:h:1", "--listen", "x"), "HOST:PORT"),
    ):
        done = smartmeter("relay", "run", *arguments)
        assert done.returncode in (1, 2) and word in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
