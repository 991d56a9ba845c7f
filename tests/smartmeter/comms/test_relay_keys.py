"""A master relay whose nodes have keys: who comes and goes shows its own, and takes no other's."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, Lock, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.keys import NoKeys, SecurityState, TitleKeys
from protocols.c1222.node import Node, NodeSettings
from protocols.c1222.registrar import Registrar
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.relay import Relay
from protocols.c1222.relay_services import IN_CLEAR_WITH_KEYS
from protocols.c1222.security import EaxPrime, open_apdu, split_services
from protocols.c1222.services import Deregister, Service, encode_service
from protocols.psem.codes import ResponseCode
from smartmeter.base.clock import DAY_S, US_PER_S, wall_utc_us
from smartmeter.comms.relay_host import RelayHost
from tests.protocols.c1222.conversation import NOW_US, Clock, items
from tests.smartmeter.cli.served import smartmeter

MODULE = (sys.executable, "-m", "smartmeter")
MASTER = ApTitle.parse(".1")
TITLES = {name: ApTitle.parse(name) for name in (".7.1", ".7.2")}
KEYS = {name: bytes([number]) * 16 for number, name in enumerate(TITLES)}


class Master:
    """A master relay with the keys of two nodes."""

    def __init__(self) -> None:
        ring = TitleKeys()
        for name, title in TITLES.items():
            ring.add(title, KEYS[name])
        settings = NodeSettings(clear_services=IN_CLEAR_WITH_KEYS)
        node = Node(MASTER, ring, Clock(), SecurityState(1), settings)
        self.registrar = Registrar(ApTitle.parse(".7"))
        self.relay = Relay(node, self.registrar)
        self._id = 0

    def ask(self, caller: str, service: Service, key: bytes | None) -> int:
        """Ask as somebody, with a key or in clear; give the code of the answer."""
        self._id += 1
        lock = None
        if key is not None:
            iv = (NOW_US // 1_000_000).to_bytes(4, "big")
            lock = Lock(EaxPrime(key), 0, iv)
        envelope = Envelope(self._id, MASTER, TITLES[caller])
        self.relay.receive(caller, build_apdu(envelope, [encode_service(service)], lock), NOW_US)
        [(_, answer)] = self.relay.outgoing()
        apdu = decode_apdu(answer)
        if apdu.iv is None:
            return items(answer)[0][0]
        assert key is not None
        text = open_apdu(apdu, lambda key_id: EaxPrime(key), (0, apdu.iv))
        return split_services(apdu.user_information[0], text)[1][0][0]


def test_a_node_registers_with_its_key_and_not_without() -> None:
    master, register = Master(), Register(TITLES[".7.1"], serial_uid("A"))
    assert master.ask(".7.1", register, None) == ResponseCode.sme
    assert master.ask(".7.1", register, KEYS[".7.2"]) == ResponseCode.sme
    assert list(master.registrar) == []
    assert master.ask(".7.1", register, KEYS[".7.1"]) == 0


def test_a_node_with_a_key_cannot_claim_or_give_up_anothers_title() -> None:
    master = Master()
    assert master.ask(".7.1", Register(TITLES[".7.1"], serial_uid("A")), KEYS[".7.1"]) == 0
    claim = Register(TITLES[".7.1"], serial_uid("B"))
    assert master.ask(".7.2", claim, KEYS[".7.2"]) == ResponseCode.isc
    assert master.ask(".7.2", Deregister(TITLES[".7.1"]), KEYS[".7.2"]) == ResponseCode.isc
    assert master.ask(".7.1", Deregister(TITLES[".7.1"]), None) == ResponseCode.sme
    assert [str(entry.title) for entry in master.registrar] == [".7.1"]
    assert master.relay.counts["refused another's title"] == 1
    assert master.ask(".7.1", Deregister(TITLES[".7.1"]), KEYS[".7.1"]) == 0


async def test_a_node_with_a_key_is_known_once_the_wall_clock_of_its_relay_was_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind_us = 3 * DAY_S * US_PER_S
    monkeypatch.setattr(
        "smartmeter.comms.relay_host.wall_utc_us", lambda: wall_utc_us() - behind_us
    )
    ring = TitleKeys()
    ring.add(TITLES[".7.1"], KEYS[".7.1"])
    host = RelayHost(MASTER, domain=ApTitle.parse(".7"), keys=ring)
    await host.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*host.address)

    async def rejected(number: int) -> bool:
        iv = (wall_utc_us() // US_PER_S).to_bytes(4, "big")
        service = encode_service(Register(TITLES[".7.1"], serial_uid("A")))
        lock = Lock(EaxPrime(KEYS[".7.1"]), 0, iv)
        writer.write(build_apdu(Envelope(number, MASTER, TITLES[".7.1"]), [service], lock))
        return decode_apdu(await reader.read(4096)).iv is None

    try:
        async with asyncio.timeout(60):
            assert await rejected(1) and host.registrations == 0
            monkeypatch.undo()
            number = 2
            while await rejected(number):
                number += 1
                await asyncio.sleep(0.05)
            assert host.registrations == 1
    finally:
        writer.close()
        await host.stop()


def test_no_keys_are_no_keys() -> None:
    assert NoKeys().key(MASTER, 0) is None
    ring = TitleKeys()
    ring.add(MASTER, bytes(16))
    assert ring.key(MASTER, 1) is None and ring.key(None, 0) is None and ring.key(MASTER, 0)


def test_a_relay_process_reads_its_keys_and_says_at_the_end_what_passed(tmp_path: Path) -> None:
    keys = tmp_path / "keys.csv"
    keys.write_text(f"esn,title,key,model\nA,.7.1,{KEYS['.7.1'].hex()},x\n")
    options = ("--title", ".1", "--master", ".7", "--data", str(tmp_path / "data"))
    process = subprocess.Popen(
        [*MODULE, "relay", "run", *options, "--listen", "[::1]:0", "--keys", str(keys)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    host, _, port = process.stdout.readline().split()[1].removeprefix("tcp:").rpartition(":")
    service = encode_service(Register(TITLES[".7.1"], serial_uid("A")))
    with socket.create_connection((host.strip("[]"), int(port)), 60) as peer:
        peer.sendall(build_apdu(Envelope(5, MASTER, TITLES[".7.1"]), [service]))
        assert items(peer.recv(4096)) == [bytes([ResponseCode.sme])]
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert "connections 1" in told and "rejected security-demanded 1" in told, told


@pytest.mark.parametrize(
    "arguments, word",
    [
        (("--upstream", "tcp:h:1", "--keys", "k"), "--master"),
        (("--master", ".7", "--data", "d", "--keys", "no/such"), "check name and rights"),
    ],
)
def test_wrong_keys_are_told_with_the_remedy(arguments: tuple[str, ...], word: str) -> None:
    done = smartmeter("relay", "run", *arguments)
    assert done.returncode in (1, 2) and word in done.stderr
