"""Certificates that are renewed on disk: taken up without a start, told when they do not fit."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from protocols.c1222.ap_title import ApTitle
from smartmeter.comms import relay_host, tls_renewal
from smartmeter.comms.bearer import BearerSettings
from smartmeter.comms.relay_host import RelayHost
from smartmeter.comms.tcp import TcpBearer
from smartmeter.comms.tls import client_tls, server_tls
from tests.smartmeter.comms.authority import make_authority, speaking_tls
from tests.waiting import until


async def test_a_listener_takes_a_certificate_that_was_renewed_up_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_renewal, "LOOK_S", 0.01)
    told: list[str] = []
    own = make_authority(tmp_path, "own")
    assert own.key is not None
    host = RelayHost(ApTitle.parse(".91"), tls=own, listen_tls=True, tell=told.append)
    await host.start("127.0.0.1", 0)
    try:

        async def shown() -> bytes | None:
            _, writer = await asyncio.open_connection(*host.address, ssl=client_tls(own))
            shown = writer.get_extra_info("ssl_object").getpeercert(True)
            writer.close()
            return bytes(shown)

        first = await shown()
        whole = own.key.read_bytes()
        own.key.write_bytes(b"half")
        await until(lambda: told, "a key that does not fit is told")
        assert "the one before stays (TLS file" in told[0]
        own.key.write_bytes(whole)
        await until(lambda: told[-1] == "TLS certificate: renewed", "it fits again")
        assert await shown() == first
        told.clear()
        make_authority(tmp_path, "own")
        await until(lambda: told[-1:] == ["TLS certificate: renewed"], "it is renewed")
        assert await shown() != first, "and its authority is believed"
    finally:
        await host.stop()


def test_who_connects_tells_once_of_a_renewed_certificate_that_does_not_fit(tmp_path: Path) -> None:
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    assert own.certificate and own.key and other.certificate and other.key
    told: list[str] = []
    shown = tls_renewal.ClientTls(own, told.append)
    first = shown.context()
    other.certificate.rename(own.certificate)
    assert all(shown.context() is first for _ in range(3))
    [fault] = told
    assert f"the one before stays (TLS file {own.certificate}: " in fault
    other.key.rename(own.key)
    assert shown.context() is not first and shown.context() is shown.context()
    assert told[1:] == ["TLS certificate: renewed"]


async def test_a_relay_tells_of_a_certificate_that_it_cannot_show_upstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_host, "RECONNECT_S", 0.02)
    own, told, seen = make_authority(tmp_path, "own"), list[str](), list[object]()
    assert own.certificate
    with speaking_tls(make_authority(tmp_path, "tms"), seen) as port:
        relay = RelayHost(ApTitle.parse(".91"), f"tls:127.0.0.1:{port}", tls=own, tell=told.append)
        await relay.start("127.0.0.1", 0)
        own.certificate.write_bytes(b"half")
        await until(lambda: any("TLS certificate" in line for line in told), "it is told")
        await relay.stop()


async def test_who_connects_shows_a_certificate_that_was_renewed(tmp_path: Path) -> None:
    own, following = make_authority(tmp_path, "own"), make_authority(tmp_path, "next")
    listener = make_authority(tmp_path, "listener")
    shown: list[bytes] = []

    def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("ssl_object").getpeercert(True))
        writer.close()

    context = server_tls(replace(listener, ca=own.ca))
    context.load_verify_locations(following.ca)
    server = await asyncio.start_server(taken, "127.0.0.1", 0, ssl=context)
    address = f"tls:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    bearer = TcpBearer(BearerSettings("up", address, tls=replace(own, ca=listener.ca)))

    async def connect(times: int) -> bytes:
        (await bearer.connect()).close()
        await until(lambda: len(shown) == times, "it has come in")
        return shown[-1]

    assert own.certificate and own.key and following.certificate and following.key
    first = await connect(1)
    following.key.rename(own.key)
    assert await connect(2) == first, "half a pair is none"
    following.certificate.rename(own.certificate)
    assert await connect(3) != first
    server.close()
