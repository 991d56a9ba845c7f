"""A simulated line between a client and a server, with chunks, loss and damage by a seed."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from protocols.c1218.client import Client, ScriptDone, ScriptFailed
from protocols.c1218.server import Refused, Server
from protocols.psem.codes import ResponseCode


@dataclass
class Tables:
    """A device of plain tables; counts each write that was carried out."""

    tables: dict[int, bytes] = field(default_factory=dict)
    password: bytes = b"secret".ljust(20)
    writes: list[tuple[int, int | None, bytes]] = field(default_factory=list)
    trusted: bool = False

    def logon(self, user_id: int, user: bytes, now_us: int) -> ResponseCode:
        return ResponseCode.ok if user_id < 100 else ResponseCode.iar

    def security(self, password: bytes, now_us: int) -> ResponseCode:
        self.trusted = password == self.password
        return ResponseCode.ok if self.trusted else ResponseCode.err

    def read(self, table: int, now_us: int) -> bytes:
        if table not in self.tables:
            raise Refused(ResponseCode.iar)
        if table >= 2048 and not self.trusted:
            raise Refused(ResponseCode.isc)
        return self.tables[table]

    def write(self, table: int, offset: int | None, data: bytes, now_us: int) -> None:
        old = self.read(table, now_us)
        start = offset or 0
        if start + len(data) > len(old):
            raise Refused(ResponseCode.onp)
        self.writes.append((table, offset, data))
        self.tables[table] = old[:start] + data + old[start + len(data) :]

    def session_ended(self, normally: bool, now_us: int) -> None:
        self.trusted = False


@dataclass
class Line:
    """Carries bytes between the two, one byte a millisecond, by the rules of one seed."""

    client: Client
    server: Server
    rng: Random
    loss: float = 0.0
    damage: float = 0.0
    now_us: int = 0
    log: list[tuple[str, bytes]] = field(default_factory=list)

    def run(self, script: Any, limit_s: int = 400) -> ScriptDone | ScriptFailed:
        """Run one script to its end."""
        token = object()
        ended: ScriptDone | ScriptFailed | None = None
        self.client.run(script, token, self.now_us)
        end_us = self.now_us + limit_s * 1_000_000
        while self.now_us < end_us:
            moved = self._carry("c2d", self.client, self.server)
            moved |= self._carry("d2c", self.server, self.client)
            self.server.events()
            for event in self.client.events():
                if isinstance(event, ScriptDone | ScriptFailed) and event.token is token:
                    ended = event
            if ended is not None and self.client.quiet:
                return ended
            if not moved:
                self._wait()
        raise AssertionError("the script neither ends nor fails")

    def _carry(self, way: str, sender: Any, receiver: Any) -> bool:
        data = sender.outgoing()
        if not data:
            return False
        self.now_us += 1000 * len(data)
        sender.sent(self.now_us)
        self.log.append((way, data))
        if self.rng.random() < self.loss:
            return True
        if self.rng.random() < self.damage:
            at = self.rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ (1 << self.rng.randrange(8))]) + data[at + 1 :]
        while data:
            cut = self.rng.randint(1, len(data))
            receiver.receive(data[:cut], self.now_us)
            data = data[cut:]
        return True

    def _wait(self) -> None:
        dues = [d for d in (self.client.deadline_us(), self.server.deadline_us()) if d is not None]
        assert dues, "both ends wait for ever"
        self.now_us = max(self.now_us, min(dues))
        for machine in (self.client, self.server):
            due = machine.deadline_us()
            if due is not None and due <= self.now_us:
                machine.expire(self.now_us)
