"""A host and a device that talk, for tests that read as conversations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocols.c1222.access import Rights
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, Lock, build_apdu
from protocols.c1222.envelope import Apdu, decode_apdu
from protocols.c1222.keys import SecurityState
from protocols.c1222.node import (
    MessageRejected,
    Node,
    NodeSettings,
    RequestArrived,
    ResponseArrived,
)
from protocols.c1222.security import EaxPrime, open_apdu, split_services
from protocols.c1222.server import Refused, Server
from protocols.psem.codes import ResponseCode

HOST, METER = ApTitle.parse(".5"), ApTitle.parse(".7.42")
#: 2025-02-11: the instant of the IV in the vectors.
VECTOR_UTC_S = 0x67AABBCC
NOW_US = VECTOR_UTC_S * 1_000_000
KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
KEY_ID = 5
PASSWORD = b"SECRET".ljust(20)
READ_1 = bytes.fromhex("300001")

VECTORS = Path(__file__).parents[2] / "vectors" / "c1222_vectors.json"
MESSAGES: dict[str, dict[str, Any]] = {
    message["name"]: message for message in json.loads(VECTORS.read_text())["messages"]
}


def vector(name: str) -> bytes:
    return bytes.fromhex(MESSAGES[name]["hex"])


@dataclass
class Clock:
    offset_us: int | None = 0

    def utc_us(self, now_us: int) -> int | None:
        return None if self.offset_us is None else now_us + self.offset_us


@dataclass
class Ring:
    ciphers: dict[int, EaxPrime] = field(default_factory=lambda: {KEY_ID: EaxPrime(KEY)})
    peer: ApTitle | None = None

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self.ciphers.get(key_id) if self.peer in (None, peer) else None


@dataclass
class Tables:
    """A device: four tables; writing needs the password."""

    images: dict[int, bytes] = field(
        default_factory=lambda: {0: b"zero", 1: b"SMOP" + bytes(28), 3: bytes(5), 7: b""}
    )
    left: int = 0
    #: User ids of the passwords that came.
    asked: list[int | None] = field(default_factory=list)

    def of_message(self, message: RequestArrived) -> Rights:
        return "reader"

    def of_password(
        self, user_id: int | None, user: bytes, password: bytes, rights: Rights
    ) -> Rights | None:
        self.asked.append(user_id)
        return "master" if password == PASSWORD else None

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        if table == 42:
            raise Refused(ResponseCode.isc)
        if table not in self.images:
            raise Refused(ResponseCode.iar)
        return self.images[table]

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        if rights != "master":
            raise Refused(ResponseCode.isc)
        self.images[table] = data

    def leave(self, rights: Rights, procedure: int, now_us: int) -> None:
        if rights != "master":
            raise Refused(ResponseCode.isc)
        self.left += 1


OPEN = NodeSettings(demand_security=False)


class Talk:
    """A device under test and a host, on one path without loss."""

    def __init__(
        self,
        settings: NodeSettings | None = None,
        title: ApTitle = METER,
        host: NodeSettings | None = None,
        tables: Tables | None = None,
    ) -> None:
        self.now_us = NOW_US
        self.clock, self.ring, self.tables = Clock(), Ring(), tables or Tables()
        self.settings = settings or OPEN
        self.server = Server(Node(title, self.ring, self.clock, None, self.settings), self.tables)
        self.host = Node(HOST, self.ring, self.clock, SecurityState(100), host or OPEN)

    def later(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)
        self.server.expire(self.now_us)
        self.host.expire(self.now_us)

    def offer(self, octets: bytes, path: str = "line") -> list[bytes]:
        """Give octets to the device; give what it sends."""
        self.server.receive(path, octets, self.now_us)
        return [octets for _, octets in self.server.outgoing()]

    def rejections(self) -> list[str]:
        return [e.reason for e in self.server.events() if isinstance(e, MessageRejected)]

    def ask(
        self, services: Sequence[bytes], *, secured: bool = True, **options: Any
    ) -> tuple[bytes, ...] | None:
        """Ask as the host; give the items of the answer, None when there is none."""
        key_id = KEY_ID if secured else None
        called = options.pop("called", METER)
        number = self.host.request(services, called, "line", self.now_us, key_id=key_id, **options)
        for _, octets in self.host.outgoing():
            for answer in self.offer(octets):
                self.host.receive("line", answer, self.now_us)
        for event in self.host.events():
            if isinstance(event, ResponseArrived) and event.transaction == number:
                return event.responses
        return None


def request(
    services: Sequence[bytes], own_id: int = 0x1122, lock: Lock | None = None, **options: Any
) -> bytes:
    """Build a request of the host to the device by hand."""
    envelope = Envelope(own_id, options.pop("called", METER), options.pop("calling", HOST))
    return build_apdu(envelope, services, lock, **options)


def lock(**changes: Any) -> Lock:
    values = {"cipher": EaxPrime(KEY), "key_id": KEY_ID, "iv": VECTOR_UTC_S.to_bytes(4, "big")}
    return Lock(**{**values, **changes})


def items(octets: bytes) -> list[bytes]:
    """Give the items of one APDU, whatever its protection by the test's key."""
    apdu: Apdu = decode_apdu(octets)
    text = open_apdu(apdu, Ring().ciphers.get)
    return split_services(apdu.user_information[0], text)[1]
