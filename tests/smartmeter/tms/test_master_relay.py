"""The TMS as master relay: what a network asks it, who passes through it, who is told."""

import asyncio
from random import Random
from typing import Any

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NEVER, NOTIFICATION, TEST
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.native_address import TCP, UDP, NativeAddress, decode_address
from protocols.c1222.node import MessageRejected, RequestArrived, ResponseArrived
from protocols.c1222.registration import (
    ConnectionType,
    NodeType,
    Register,
    decode_registered,
    serial_uid,
)
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import (
    Deregister,
    NetworkSecurity,
    Resolve,
    Trace,
    decode_service,
    encode_service,
)
from protocols.c1222.stream import ApduStream
from protocols.errors import LinkError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, Identify, IndexWrite
from protocols.transports.network_meter import NetworkMeter
from smartmeter.base.clock import monotonic_us, wall_utc_us
from smartmeter.comms.event_loop import ended
from smartmeter.comms.paths import TcpPath
from smartmeter.comms.relay_host import RelayHost
from smartmeter.comms.way_finder import ACCEPTS
from smartmeter.simulation.fleet import Fleet, FleetSettings
from smartmeter.simulation.street import Street
from smartmeter.simulation.swarm import HOUR_US, Fault, Kind
from smartmeter.tms.model import Kind as JobKind
from smartmeter.tms.registrations import GRACE_S, MAX_HOSTS, REGISTRATION_PERIOD_S
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from tests.ports import free_port
from tests.protocols.c1222.conversation import items, lock, request
from tests.smartmeter.comms.far_ends import FarEnd
from tests.smartmeter.comms.relays import asked, tcp
from tests.smartmeter.tms.peer import HOST_TITLE, answer_to
from tests.smartmeter.tms.talker import HOST, METER, SEED, Talker, tms
from tests.waiting import until

__all__ = ["tms"]


async def test_a_registration_that_rfc_6142_calls_invalid_is_iar(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        title, serial = METER.title, serial_uid(METER.esn)
        for nibble in (0x0, 0x2, 0x6, 0x8, 0x9, 0xA, 0xB, 0xE):
            wrong = Register(title, serial, connection_type=ConnectionType(nibble << 4))
            assert await meter.ask(encode_service(wrong)) == (bytes([ResponseCode.iar]),), nibble
        nobody = Register(None, None)
        assert await meter.ask(encode_service(nobody)) == (bytes([ResponseCode.iar]),)
        assert tms.store.number("SELECT count(*) FROM meters WHERE registered_s != 0") == 0


async def test_the_answer_names_the_transports_of_the_registration(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        answer = await meter.register(connection_type=ConnectionType(0xF7))
        assert decode_registered(answer).info == 0xF0


async def test_there_is_no_session_to_end_at_a_host(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        logon = b"\x50\0\2OPERATOR  \0\x3c"
        element = encode_service(IndexWrite(3, (0,), b"x"))
        answers = await meter.ask(b"\x52", b"\x21", b"\x70\x05", logon, b"\x7f", element)
        isss, sns, onp = (bytes([ResponseCode[name]]) for name in ("isss", "sns", "onp"))
        assert answers == (isss, isss, isss, sns, sns, onp)


async def test_a_node_of_the_2006_draft_is_named_as_that_to_the_operator(tms: TmsServer) -> None:
    body = "be0728058103800120"  # identify, in clear
    for begin in (
        *("a10706052a8648ce52a8021122", "a2030d0101a803020101", "a203800101a8021122"),
        *("a803020101ac0ca20aa008a006800101810102", "a803020101ac08a2068204deadbeef"),
    ):
        head = bytes.fromhex(begin + body)
        tms.receive("x", bytes([0x60, len(head)]) + head)
    tms.head_end.expire(monotonic_us())
    await until(lambda: len(Service(tms).security_events()) >= 4, "they are listed")
    told = [row["reason"] for row in Service(tms).security_events()]
    assert all("2006" in reason for reason in told)
    assert any("security of the drafts of 2006 and 2008" in reason for reason in told)


async def test_it_says_who_it_is_which_way_and_where_in_clear_too(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        assert (await meter.register())[0] == 0
        trace = encode_service(Trace((METER.title,)))
        own = encode_service(Resolve(HOST_TITLE))
        where = encode_service(Resolve(METER.title))
        for key_id in (0, None):
            answers = await meter.ask(encode_request(Identify()), trace, own, where, key_id=key_id)
            assert [answer[0] for answer in answers] == [0, 0, 0, 0]
            told = decode_service(bytes([0x26]) + answers[1][1:])
            assert told == Trace((METER.title, HOST_TITLE))
            address = decode_address(answers[2][2:])
            assert address is not None and (address.host, address.port) == tms.address
            client = decode_address(answers[3][2:])
            assert client is not None and client.port != tms.address[1]
        nobody = await meter.ask(encode_service(Resolve(ApTitle.parse(".7.9.9"))))
        assert nobody == (bytes([ResponseCode.uat]),)
        # Some clients put security before everything.  It opens nothing, and keeps nothing away.
        proving = encode_service(NetworkSecurity(b"guess".ljust(20), 2))
        for key_id in (0, None):
            answers = await meter.ask(proving, encode_request(Identify()), key_id=key_id)
            assert [answer[0] for answer in answers] == [0, 0]
        # What changes something is not served in clear.
        for leaving in ([], [proving]):
            leaving.append(encode_service(Deregister(METER.title)))
            meter.node.request(leaving, HOST_TITLE, "tcp", monotonic_us())
            [(_, octets)] = meter.node.outgoing()
            meter._writer.write(octets)
            answers = (await meter.hear(ResponseArrived)).responses
            assert answers[-1] == bytes([ResponseCode.sme])


async def test_a_node_gives_up_its_own_title_and_no_others(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        await meter.register()
        for title, code in (
            (HOST.title, ResponseCode.isc),
            (ApTitle.parse(".8"), ResponseCode.uat),
        ):
            assert await meter.ask(encode_service(Deregister(title))) == (bytes([code]),)
        assert tms.head_end.connected(METER.esn)
        assert await meter.ask(encode_service(Deregister(METER.title))) == (b"\0",)
        assert not tms.head_end.connected(METER.esn)
        registered = "SELECT registered_s FROM meters WHERE esn=?"
        assert tms.store.number(registered, METER.esn) == 0
        assert (await meter.register())[0] == 0
        assert tms.store.number(registered, METER.esn) != 0


async def test_a_notification_host_is_told_who_comes_and_goes(tms: TmsServer) -> None:
    async with Talker(HOST, tms) as host, Talker(METER, tms) as meter:
        assert (await host.register(NodeType.HOST | NodeType.NOTIFICATION_HOST))[0] == 0
        await meter.register()
        came = await host.hear(RequestArrived)
        assert isinstance(came, RequestArrived) and came.key_id == 0
        [service] = map(decode_service, came.services)
        assert isinstance(service, Register) and service.title == METER.title
        await meter.ask(encode_service(Deregister(METER.title)))
        [service] = map(decode_service, (await host.hear(RequestArrived)).services)
        assert service == Deregister(METER.title)
    state = tms.store.one("SELECT state FROM meters WHERE esn=?", HOST.esn)
    assert state is not None and state["state"] == "registered", "a host is not provisioned"
    assert not tms.store.read("SELECT * FROM jobs WHERE esn=?", HOST.esn)


async def test_notification_hosts_are_bounded_and_known_after_a_restart(tms: TmsServer) -> None:
    async with Talker(HOST, tms) as host:
        await host.register(NodeType.NOTIFICATION_HOST)
        again = type(tms.head_end)(tms.store, tms.calendar, tms.head_end.template, lambda f: None)
        again.load(0)
        assert again.registrations.hosts == {HOST.esn}
        others = {str(n) for n in range(MAX_HOSTS)}
        tms.head_end.registrations.hosts = {*others, HOST.esn}
        assert (await host.register(NodeType.NOTIFICATION_HOST))[0] == 0, "it has its place"
        tms.head_end.registrations.hosts = others
        assert await host.register(NodeType.NOTIFICATION_HOST) == bytes([ResponseCode.bsy])
        assert (await host.register())[0] == 0, "as what it was before"


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_node_without_a_connection_is_called_where_it_said(
    kind: str, tms: TmsServer
) -> None:
    far, protocol = FarEnd(kind, free_port()), TCP if kind == "tcp" else UDP
    where = NativeAddress("127.0.0.1", far.port, protocol)
    given = {"connection_type": ACCEPTS[protocol], "address": where.encode()}
    async with Talker(METER, tms) as meter:
        assert (await meter.register(NodeType.HOST, address=where.encode()))[0] == 0
        assert tms.head_end.collector.native_address(METER.title) is None, "it takes no calls"
        assert (await meter.register(NodeType.HOST, **given))[0] == 0
        assert await meter.ask(encode_service(Deregister(METER.title))) == (b"\0",)
        assert tms.head_end.collector.native_address(METER.title) is None
        assert (await meter.register(NodeType.HOST, **given))[0] == 0
    await until(lambda: not tms.head_end.connected(METER.esn), "it has gone")
    again = type(tms.head_end)(tms.store, tms.calendar, tms.head_end.template, lambda f: None)
    again.load(0)
    assert again.collector.native_address(METER.title) == where, "known after a restart"
    looked_for = request([encode_service(Resolve(METER.title))], 3, called=HOST_TITLE)
    told = where.encode()
    assert items(await asked(tms, looked_for)) == [bytes([0, len(told)]) + told]
    async with far.listening() as node:
        device = node.talk
        device.server.node.title, device.ring.ciphers = METER.title, {0: EaxPrime(METER.key)}
        device.clock.offset_us = wall_utc_us() - device.now_us
        # Somebody asks it through the TMS, and then an operator.
        answer = await asked(tms, request([encode_request(Identify())], called=METER.title))
        assert items(answer)[0][:2] == b"\0\3"
        tms.head_end.request(METER.esn, JobKind.PING, "operator")
        tms.flush()
        done = "SELECT count(*) FROM jobs WHERE state='done'"
        await until(lambda: tms.store.number(done) == 1, "the ping")
        assert len(node.paths) == 1, "one connection serves both"


async def test_a_request_in_a_datagram_that_is_lost_is_sent_again_and_in_a_stream_is_not(
    tms: TmsServer,
) -> None:
    collector, udp = tms.head_end.collector, tms.listener.datagram_path("127.0.0.1", free_port())
    assert udp is not None
    for path, times in ((udp, 3), (TcpPath(tms.listener), 1)):
        now_us = monotonic_us()
        collector.asking.request(METER.esn, [encode_request(Identify())], path, now_us)
        sent = []
        for second in range(16):
            collector.expire(now_us + second * 1_000_000)
            sent += [octets for way, octets in collector.outgoing() if way == path]
        assert len(sent) == times and len(set(sent)) == 1


async def test_a_report_behind_a_security_service_is_acknowledged_with_it(tms: TmsServer) -> None:
    header = {
        "SIGNATURE": b"SSI1",
        "BASE": DEFAULT_BASE,
        "ESN": METER.esn,
        "OUTBOX_EPOCH": 7,
        "REPORT_NBR": 1,
        "CAUSE": 2,
        "SCHEDULE_NBR": 255,
        "TIME": 1,
        "DUE_TIME": 0,
        "CONFIG_VERSION": 0,
        "CONTEXT_ID": 0,
        "STATE": 7,
        "WARNING": 0,
    }
    write = encode_request(
        FullWrite(DEFAULT_BASE, ssi_tables.encode(SsiTable.REPORT_HEADER, header))
    )
    security = encode_service(NetworkSecurity(b"SECRET".ljust(20), 2))
    async with Talker(METER, tms) as meter:
        assert await meter.ask(security, write) == (b"\0", b"\0")
        assert tms.store.number("SELECT count(*) FROM reports") == 1
        service = Register(METER.title, serial_uid(METER.esn))
        answers = await meter.ask(security, encode_service(service))
        assert [answer[0] for answer in answers] == [0, 0]
        assert tms.head_end.connected(METER.esn)


async def test_tables_that_a_plain_node_tells_are_arrived_data(tms: TmsServer) -> None:
    status = encode_request(FullWrite(3, bytes.fromhex("0001000000")))
    registers = encode_request(FullWrite(23, bytes(40)))
    images = "SELECT image FROM images WHERE esn=? AND table_nbr=?"
    async with Talker(METER, tms) as meter:
        node, now_us = meter.node, monotonic_us()
        options: dict[str, Any] = {"key_id": 0, "qualifier": NOTIFICATION, "ed_class": b"SMOP"}
        node.request([status], HOST_TITLE, "tcp", now_us, response_control=NEVER, **options)
        node.request([registers, status], HOST_TITLE, "tcp", now_us, **options)
        for _, octets in node.outgoing():
            meter._writer.write(octets)
        assert (await meter.hear(ResponseArrived)).responses == (b"\0", b"\0")
        kept = tms.store.one(images, METER.esn, 3)
        assert kept is not None and bytes(kept["image"]).hex() == "0001000000"
        assert tms.store.one(images, METER.esn, 23) and tms.head_end.figures.notifications == 2
        # What is no write is no data: it is answered as any request.
        node.request([encode_request(FullRead(3))], HOST_TITLE, "tcp", now_us, **options)
        for _, octets in node.outgoing():
            meter._writer.write(octets)
        refused = (await meter.hear(ResponseArrived)).responses
        assert refused == (bytes([ResponseCode.isc]),)


async def test_a_node_with_a_key_need_not_say_notification_and_a_test_becomes_no_data(
    tms: TmsServer,
) -> None:
    status = encode_request(FullWrite(3, bytes.fromhex("0001000000")))
    async with Talker(METER, tms) as meter:
        for qualifier, code in ((TEST | NOTIFICATION, ResponseCode.onp), (0, ResponseCode.ok)):
            meter.node.request(
                [status], HOST_TITLE, "tcp", monotonic_us(), key_id=0, qualifier=qualifier
            )
            for _, octets in meter.node.outgoing():
                meter._writer.write(octets)
            assert (await meter.hear(ResponseArrived)).responses == (bytes([code]),)
        assert tms.head_end.figures.notifications == 1


async def test_tables_that_were_told_before_the_start_are_refused_as_a_replay(
    tms: TmsServer,
) -> None:
    """Which messages were heard is forgotten over a restart; an old image must not come back."""
    status = encode_request(FullWrite(3, bytes.fromhex("0001000000")))
    async with Talker(METER, tms) as meter:
        told = monotonic_us()
        meter.node.request([status], HOST_TITLE, "tcp", told, key_id=0, qualifier=NOTIFICATION)
        [(_, octets)] = meter.node.outgoing()
        tms.head_end.collector.begin(told + 2_000_000)
        meter._writer.write(octets)
        assert (await meter.hear(ResponseArrived)).responses == (bytes([ResponseCode.sme]),)
        assert tms.head_end.figures.notifications == 0
        tms.head_end.collector.begin(told)
        meter.node.request([status], HOST_TITLE, "tcp", told, key_id=0, qualifier=NOTIFICATION)
        for _, octets in meter.node.outgoing():
            meter._writer.write(octets)
        assert (await meter.hear(ResponseArrived)).responses == (b"\0",)


async def test_meters_are_read_and_traced_through_the_tms_and_its_relays(tms: TmsServer) -> None:
    near = RelayHost(ApTitle.parse(".92"), tcp(tms.address))
    await near.start("127.0.0.1", 0)
    far = RelayHost(ApTitle.parse(".91"), tcp(near.address))
    await far.start("127.0.0.1", 0)
    street = Street(1, SEED, tms.calendar, tcp(far.address))
    running = asyncio.create_task(street.run())
    service = Service(tms)

    def read(title: str) -> bytes:
        name = f"c1222://{tms.address[0]}:{tms.address[1]}/{title}"
        with NetworkMeter(name, {0: EaxPrime(METER.key)}) as meter:
            return meter.read(1)

    try:
        await until(lambda: tms.head_end.connected(METER.esn), "it registers")
        await until(lambda: service.meter(METER.esn)["state"] == "provisioned", "it is ready")
        assert METER.esn.encode() in await asyncio.to_thread(read, str(METER.title))
        with pytest.raises(LinkError, match="uat"):
            await asyncio.to_thread(read, ".7.9.9")
        number = service.request(METER.esn, "trace", "ann")
        await until(lambda: service.work.one(number)["state"] == "done", "it is traced")
        assert service.work.one(number)["result"] == f".1 > .92 > .91 > {METER.title}"
    finally:
        await ended(running)
        for relay in (far, near):
            await relay.stop()


async def test_a_question_to_all_is_answered_here_and_goes_to_all_nodes(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        assert (await meter.register())[0] == 0
        reader, writer = await asyncio.open_connection(*tms.address)
        writer.write(request([encode_request(Identify())], called=ApTitle.parse(".0")))
        refused = await meter.hear(MessageRejected)
        assert refused.calling == ApTitle.parse(".5") and refused.reason == "security-demanded"
        stream = ApduStream()
        async with asyncio.timeout(60):
            while not (found := stream.feed(await reader.read(4096))):
                pass
        writer.close()
        assert decode_apdu(found[0]).calling == HOST_TITLE


async def test_a_question_to_all_that_only_others_can_open_goes_to_them(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        assert (await meter.register())[0] == 0
        _, writer = await asyncio.open_connection(*tms.address)
        ask = [encode_request(Identify())]
        writer.write(request(ask, lock=lock(key_id=7), called=ApTitle.parse(".0")))
        refused = await meter.hear(MessageRejected)
        assert refused.calling == ApTitle.parse(".5") and refused.reason == "unknown-key-id"
        writer.close()
    assert tms.head_end.figures.refused == 0, "it was not for the TMS alone"


async def test_what_is_for_nobody_here_is_answered_so(tms: TmsServer) -> None:
    octets = request([encode_request(Identify())], called=ApTitle.parse(".7.9.9"))
    answer = await answer_to(octets, tms)
    assert items(answer) == [bytes([ResponseCode.uat])]
    assert decode_apdu(answer).calling == ApTitle.parse(".7.9.9")
    assert tms.counts["answered uat"] == 1


# In virtual time.


def test_a_registration_that_is_not_refreshed_lapses_and_the_next_one_counts() -> None:
    fleet = Fleet(FleetSettings(1, 4, 3, faults=False))
    fleet.run(2 * HOUR_US)
    registered = "SELECT registered_s FROM meters"
    assert fleet.store.number(registered) and fleet.head_end.connected("SM000001")
    first = fleet.store.number(registered)
    fleet.run(26 * HOUR_US)
    assert fleet.store.number(registered) > first, "it keeps itself alive"
    outage = Fault(fleet.now_us, fleet.now_us, Kind.MAINS, "SM000001", 0)
    house = fleet.houses["SM000001"]
    house.strike(outage, True, Random(1), fleet.now_us)
    fleet._run_house("SM000001")
    fleet.run(fleet.now_us + (REGISTRATION_PERIOD_S + GRACE_S + 120) * 1_000_000)
    assert fleet.store.number(registered) == 0 and not fleet.head_end.connected("SM000001")
    house.strike(outage, False, Random(1), fleet.now_us)
    fleet._run_house("SM000001")
    fleet.run(fleet.now_us + HOUR_US)
    assert fleet.store.number(registered) and fleet.head_end.connected("SM000001")


def test_a_smartmeter_that_is_deregistered_by_the_network_comes_back() -> None:
    fleet = Fleet(FleetSettings(1, 1, 3, faults=False))
    fleet.run(2 * HOUR_US)
    [house] = fleet.houses.values()
    before = fleet.store.number("SELECT registered_s FROM meters")
    title = fleet.head_end.meters.title("SM000001")
    asked = fleet.head_end.collector.ask(
        "SM000001", [encode_service(Deregister(title))], fleet.now_us
    )
    fleet._settle_office()
    fleet.run(fleet.now_us + 60 * 1_000_000)
    assert asked and house.device.module.state.name
    assert fleet.store.number("SELECT registered_s FROM meters") > before
