"""TLS below C12.22: certificates on both ends, strangers refused, nothing else changed."""

import asyncio
import socket
import ssl
import struct
import threading
from pathlib import Path

import click
import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import EaxPrime
from protocols.errors import LinkError, PortError
from protocols.psem.codec import encode_request
from protocols.psem.services import Identify
from protocols.transports.apdu_connection import ApduConnection
from protocols.transports.network_meter import NetworkMeter
from protocols.transports.network_name import parse_name
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.cli.meter_line import NetworkOptions
from smartmeter.cli.tls import tls_files
from smartmeter.comms import relay_host
from smartmeter.comms.bearer import BearerSettings, ip_address
from smartmeter.comms.bearers import check_address
from smartmeter.comms.event_loop import run_server
from smartmeter.comms.relay_host import RelayHost
from smartmeter.comms.tcp import TcpBearer
from smartmeter.comms.tls import TlsFiles, client_tls, server_tls
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.tms.server import TmsServer
from smartmeter.tms.shipment import Shipped
from tests.protocols.c1222.conversation import KEY, KEY_ID
from tests.smartmeter.cli.served import smartmeter
from tests.smartmeter.comms.authority import make_authority, speaking_tls
from tests.smartmeter.comms.relays import Through
from tests.smartmeter.comms.served import Served
from tests.waiting import until

FACTORY = factory_of(1, 5, "tcp:127.0.0.1:1")


async def test_a_relay_says_in_words_and_once_why_tls_does_not_come_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_host, "RECONNECT_S", 0.02)
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")

    async def told_by(files: TlsFiles) -> list[str]:
        told, seen = list[str](), list[object]()
        with speaking_tls(own, seen) as port:
            address = f"tls:127.0.0.1:{port}"
            relay = RelayHost(ApTitle.parse(".91"), address, tls=files, tell=told.append)
            await relay.start("127.0.0.1", 0)
            await until(lambda: len(seen) > 4, "tried again and again")
            await relay.stop()
        return told

    for files, word in ((other, "certificate is not trusted"), (TlsFiles(own.ca), "certificate")):
        [told] = await told_by(files)
        assert "is away" in told and word in told


async def test_a_relay_reaches_the_tms_over_tls_and_a_stranger_does_not(tmp_path: Path) -> None:
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    tms = TmsServer(tmp_path / "tms", Calendar(wall_utc_us(), 1, monotonic_us()))
    await tms.start("127.0.0.1", 0, server_tls(own))
    tms.import_shipment([Shipped(FACTORY.esn, str(FACTORY.title), FACTORY.key, MODEL)])
    address = f"tls:127.0.0.1:{tms.address[1]}"
    relay = RelayHost(ApTitle.parse(".91"), address, tls=own)
    await relay.start("127.0.0.1", 0)
    await until(lambda: relay.connected, "connected over TLS")
    peer = Through(relay, tms)
    peer.node.receive("tcp", await peer.ask(encode_request(Identify())), monotonic_us())
    [event] = peer.node.events()
    assert event.responses[0][0] == 0  # type: ignore[attr-defined]
    for files in (other, TlsFiles(other.ca), TlsFiles(own.ca)):
        await _refused(address, files)
    assert tms.connections == 1
    await relay.stop()
    await tms.stop()


def test_on_uvloop_tls_lets_in_who_has_a_certificate_and_nobody_else(tmp_path: Path) -> None:
    run_server(test_a_relay_reaches_the_tms_over_tls_and_a_stranger_does_not(tmp_path))


async def _refused(address: str, files: TlsFiles) -> None:
    """Who has another authority, or no certificate, gets no message through."""
    bearer = TcpBearer(BearerSettings("b", address, tls=files))
    try:
        connection = await bearer.connect()
    except (OSError, ssl.SSLError):
        return
    # TLS 1.3 tells a client without certificate only when it reads.
    async with asyncio.timeout(60):
        with pytest.raises(OSError, match="certificate"):
            await connection.receive(lambda octets: pytest.fail("an answer"))


def test_a_server_that_resets_a_connection_over_tls_may_not_want_our_certificate(
    tmp_path: Path,
) -> None:
    """Its alert is lost where we were writing as it hung up; Python 3.13 tells of the reset."""
    own = make_authority(tmp_path, "own")

    def reset() -> None:
        line, _ = door.accept()
        over_tls = server_tls(TlsFiles(None, own.certificate, own.key)).wrap_socket(
            line, server_side=True
        )
        over_tls.recv(100)
        over_tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        over_tls.close()

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=reset)
        thread.start()
        name = parse_name(f"c1222+tls://127.0.0.1:{door.getsockname()[1]}/.7.42")
        connection = ApduConnection(name, client_tls(TlsFiles(own.ca)))
        connection.send(b"a request")
        assert connection.receive(10) is None
        assert connection.why_ended.endswith("see --tls-certificate")
        thread.join()


async def test_a_meter_is_read_over_tls_by_whoever_shows_a_certificate_that_is_wanted(
    tmp_path: Path,
) -> None:
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    served = Served()
    served.talk.clock.offset_us = wall_utc_us() - served.talk.now_us
    await served.listener.listen_tcp("127.0.0.1", 0, server_tls(own))
    name = f"c1222+tls://127.0.0.1:{served.listener.tcp_address[1]}/.7.42"

    def read(files: TlsFiles) -> bytes:
        with NetworkMeter(name, {KEY_ID: EaxPrime(KEY)}, tls=client_tls(files)) as meter:
            return meter.read(1)

    try:
        assert (await asyncio.to_thread(read, own))[:4] == b"SMOP"
        with pytest.raises(PortError, match=r"certificate is not trusted.*--tls-ca"):
            await asyncio.to_thread(read, other)
        with pytest.raises(LinkError, match="certificate"):
            await asyncio.to_thread(read, TlsFiles(own.ca))
        done = await asyncio.to_thread(
            smartmeter,
            *("read", name, "1", "--json", "--tls-ca", str(own.ca)),
            *("--tls-certificate", str(own.certificate), "--tls-key", str(own.key)),
            SMARTMETER_C1222_KEYS=f"{KEY_ID}={KEY.hex()}",
        )
        assert b"SMOP".hex() in done.stdout, done.stderr
    finally:
        await served.listener.close()
    NetworkOptions(tls_ca=str(own.ca)).check(name)
    for wrong, fault in (
        (NetworkOptions(tls_key=str(own.key)), "belong together"),
        (NetworkOptions(tls_ca=str(own.ca)), "nothing here speaks TLS"),
    ):
        with pytest.raises(click.UsageError, match=fault):
            wrong.check(name.replace("+tls", ""))
    with pytest.raises(click.UsageError, match="--tls-ca is for c1222"):
        NetworkOptions(tls_ca=str(own.ca)).check("sim:")


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    for wrong in (
        TlsFiles(None, own.certificate, other.key),
        TlsFiles(tmp_path / "none", own.certificate, own.key),
        TlsFiles(None, own.certificate, None),
    ):
        with pytest.raises(SettingsError):
            server_tls(wrong)
    with pytest.raises(SettingsError, match="TLS file"):
        client_tls(TlsFiles(own.key))
    done = smartmeter("tms", "run", "--data", str(tmp_path), "--tls-certificate", str(own.ca))
    assert done.returncode == 2 and "belong together" in done.stderr


@pytest.mark.parametrize(
    "dialled", [(), ("tcp:127.0.0.1:1", None), ("mqtt:127.0.0.1:1", "udp:127.0.0.1:1")]
)
def test_files_that_would_protect_nobody_are_refused(dialled: tuple[str | None, ...]) -> None:
    with pytest.raises(click.UsageError, match="nothing here speaks TLS"):
        tls_files(None, None, "ca.pem", dialled, listens=True)
    with pytest.raises(click.UsageError, match="nothing here speaks TLS"):
        tls_files("a.pem", "b.pem", None, dialled, listens=False)


@pytest.mark.parametrize("address", ["tls:127.0.0.1:1", "mqtts:127.0.0.1:1"])
def test_authorities_check_who_is_connected_to(address: str) -> None:
    assert tls_files(None, None, "ca.pem", (None, address), listens=True).ca == Path("ca.pem")


def test_an_address_says_tcp_or_tls() -> None:
    assert ip_address("tls:h:1153") == ("h", 1153)
    with pytest.raises(SettingsError, match="tls:"):
        check_address("ssl:h:1153")
