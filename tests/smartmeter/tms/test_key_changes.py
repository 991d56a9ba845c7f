"""Change of key without a gap: lost answers, ends that were cut off, databases from a backup."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import RequestArrived
from protocols.c1222.registration import NodeType
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import whole_write
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite
from smartmeter.base.clock import Calendar, monotonic_us, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.base.nvram import MemoryNvram
from smartmeter.cli.tms import command
from smartmeter.cli.tms_client import PASSWORD_VARIABLE
from smartmeter.comms.event_loop import ended
from smartmeter.simulation.street import MODEL, Street, factory_of
from smartmeter.ssi.keys import ModuleKeys, Role
from smartmeter.tms.head_end import HeadEnd
from smartmeter.tms.jobs import DONE
from smartmeter.tms.model import Kind
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import make_template
from smartmeter.tms.users import FIRST_USER, Users
from smartmeter.tms.web.site import Site
from tests.smartmeter.tms.peer import SEED, reasons
from tests.smartmeter.tms.running import running_tms
from tests.smartmeter.tms.talker import METER, Talker, tms
from tests.waiting import until

__all__ = ["tms"]

OK, SME = bytes([ResponseCode.ok]), bytes([ResponseCode.sme])
STATUS = encode_request(FullWrite(3, bytes.fromhex("0001000000")))
ESN = factory_of(1, SEED, "x").esn


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TmsServer]:
    """A TMS whose calendar is so fast that reports come each second."""
    async with running_tms(tmp_path, Calendar(wall_utc_us(), 900, monotonic_us())) as made:
        factory = factory_of(1, SEED, "x")
        made.import_shipment([Shipped(factory.esn, str(factory.title), factory.key, MODEL)])
        yield made


def keys_of(server: TmsServer, esn: str = ESN) -> set[tuple[int, int]]:
    rows = server.store.read("SELECT key_id, offered FROM keys WHERE esn=?", esn)
    return {(row["key_id"], row["offered"]) for row in rows}


def reports(server: TmsServer) -> int:
    return server.store.number("SELECT count(*) FROM reports WHERE esn=?", ESN)


@asynccontextmanager
async def living(server: TmsServer) -> AsyncIterator[ModuleKeys]:
    """A street that lives with the TMS; gives the keys of its first module."""
    host, port = server.address
    street = Street(1, SEED, server.calendar, f"tcp:{host}:{port}")
    running = asyncio.create_task(street.run())
    provisioned = "SELECT count(*) FROM meters WHERE provisioned_s != 0"
    await until(lambda: server.store.number(provisioned) == 1, "provisioned")
    module = street.houses[ESN].device.module
    assert module is not None
    yield module.parts.keys
    await ended(running)


async def change(server: TmsServer) -> None:
    number = server.head_end.request(ESN, Kind.KEY, "somebody")
    server.flush()
    state = "SELECT count(*) FROM jobs WHERE id=? AND state=?"
    await until(lambda: server.store.number(state, number, DONE) == 1, "the job is done")


async def test_a_smartmeter_that_reports_gets_new_keys_and_each_old_one_is_refused(
    server: TmsServer,
) -> None:
    async with living(server) as keys:
        for key_id in (1, 2, 3):
            await change(server)
            await until(lambda i=key_id: keys_of(server) == {(0, 0), (i, 0)}, "kept")
            await until(lambda i=key_id: keys.role(i) is Role.TMS, "there")
            await until(lambda: keys.role(0) is Role.ROOT, "it was used")
            assert keys.sending == key_id
            if key_id > 1:
                await until(lambda i=key_id: keys.key(None, i - 1) is None, "let go")
        before = reports(server)
        await until(lambda: reports(server) > before, "it goes on under the new key")
        assert reasons(server) == set(), "nothing was refused on the way"


async def test_a_tms_whose_database_is_older_than_the_key_gives_another_under_the_root(
    server: TmsServer, tmp_path: Path
) -> None:
    async with living(server) as keys:
        await change(server)
        await until(lambda: keys.role(0) is Role.ROOT, "it was used")
        old, port = keys.key(None, 1), server.address[1]
        await server.stop()
        store = Store(tmp_path / "tms.sqlite3")
        store.write_now(lambda c: c.execute("DELETE FROM keys WHERE key_id != 0").rowcount)
        store.close()
        again = TmsServer(tmp_path, server.calendar)
        await again.start("127.0.0.1", port)
        before = reports(again)
        await until(lambda: keys_of(again) == {(0, 0), (1, 0)}, "it was given one anew")
        assert keys.key(None, 1) is not old
        await until(lambda: reports(again) > before, "what waited has come")
        await again.stop()


class Module(Talker):
    """A node by hand, with keys that it was given."""

    def __init__(self, factory: Any, tms: TmsServer) -> None:
        super().__init__(factory, tms)
        self.keys = {0: EaxPrime(factory.key)}

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        return self.keys.get(key_id)

    async def take_key(self) -> tuple[int, int]:
        """Wait for a key, and give its id and the token of the message that brought it."""
        while True:
            asked = await self.hear(RequestArrived)
            write = whole_write(asked.services[0])
            if write is not None and write[0] == DEFAULT_BASE + SsiTable.KEYS:
                told = ssi_tables.decode(SsiTable.KEYS, write[1])
                assert told["ROLE"] == Role.TMS
                self.keys[told["KEY_ID"]] = EaxPrime(told["KEY"])
                return told["KEY_ID"], asked.token

    def answer(self, token: int, item: bytes) -> None:
        self.node.answer(token, [item], monotonic_us())
        for _, octets in self.node.outgoing():
            self._writer.write(octets)


async def order_key(tms: TmsServer, module: Module) -> tuple[int, int]:
    """Let a person order another key; gives the job's number, and the key's id when it has come."""
    await module.register(NodeType.HOST)
    number = tms.head_end.request(METER.esn, Kind.KEY, "somebody")
    tms.flush()
    key_id, _ = await module.take_key()
    return number, key_id


async def test_a_key_whose_ok_was_lost_counts_when_it_is_used_and_data_under_the_root_no_more(
    tms: TmsServer,
) -> None:
    async with Module(METER, tms) as module:
        _, key_id = await order_key(tms, module)
        assert keys_of(tms, METER.esn) == {(0, 0), (1, 1)}, "durable before it is told"
        assert await module.ask(STATUS) == (OK,), "both count"
        assert await module.ask(STATUS, key_id=key_id) == (OK,)
        await until(lambda: keys_of(tms, METER.esn) == {(0, 0), (1, 0)}, "it was used")
        assert await module.ask(STATUS) == (SME,), "the root's holder tells no data"
        assert await module.ask(STATUS, key_id=key_id) == (OK,)
        assert (await module.register(NodeType.HOST))[:1] == OK, "but registers"
        await until(lambda: "old-key" in reasons(tms), "it is noted")


async def test_a_key_that_was_offered_before_the_tms_was_cut_off_is_offered_again(
    tms: TmsServer, tmp_path: Path
) -> None:
    async with Module(METER, tms) as module:
        number, _ = await order_key(tms, module)
    await tms.stop()
    async with running_tms(tmp_path, tms.calendar) as again, Module(METER, again) as module:
        await module.register(NodeType.HOST)
        key_id, token = await module.take_key()
        assert key_id == 1 and keys_of(again, METER.esn) == {(0, 0), (1, 1)}
        module.answer(token, OK)
        await until(lambda: keys_of(again, METER.esn) == {(0, 0), (1, 0)}, "said ok")
        row = again.store.one("SELECT state, result FROM jobs WHERE id=?", number)
        assert row is not None and tuple(row) == ("done", "key 1")
        with pytest.raises(SettingsError, match="no key can be drawn"):
            HeadEnd(again.store, again.calendar, make_template(), lambda f: None).request(
                METER.esn, Kind.KEY, "somebody"
            )


async def test_a_key_that_was_used_before_the_tms_was_cut_off_is_not_changed_again(
    tms: TmsServer, tmp_path: Path
) -> None:
    async with Module(METER, tms) as module:
        number, key_id = await order_key(tms, module)
        await module.ask(STATUS, key_id=key_id)
        await until(lambda: keys_of(tms, METER.esn) == {(0, 0), (1, 0)}, "it was used")
        row = tms.store.one("SELECT state FROM jobs WHERE id=?", number)
        assert row is not None and row["state"] == "running", "its answer did not come"
    await tms.stop()
    async with running_tms(tmp_path, tms.calendar) as again:
        sql = "SELECT count(*) FROM jobs WHERE id=? AND state='done' AND result='key 1'"
        await until(lambda: again.store.number(sql, number) == 1, "it is told")
        assert keys_of(again, METER.esn) == {(0, 0), (1, 0)}


def test_a_module_keeps_two_keys_of_a_role_and_lets_go_of_the_old_one_when_the_new_is_used() -> (
    None
):
    memory = MemoryNvram()
    keys = ModuleKeys(memory, bytes(16))
    assert keys.add(9, Role.MAINTENANCE, b"9" * 16) and keys.role(0) is Role.TMS
    assert keys.add(1, Role.TMS, b"1" * 16) and keys.add(2, Role.TMS, b"2" * 16)
    assert keys.sending == 2 and keys.key(None, 1) is not None and keys.role(0) is Role.TMS
    keys.used(1)
    assert keys.key(None, 1) is not None, "the TMS speaks under the old one yet"
    keys.used(2)
    for one in (keys, ModuleKeys(memory, bytes(16))):
        assert one.key(None, 1) is None and one.sending == 2
        assert one.role(9) is Role.MAINTENANCE and one.role(0) is Role.ROOT
        assert one.key(None, 0) is not None
    commits = memory.commits
    keys.used(2)
    assert keys.add(2, Role.TMS, b"2" * 16) and memory.commits == commits, "it was repeated"
    assert not keys.add(0, Role.TMS, bytes(16)) and not keys.add(5, Role.ROOT, bytes(16))
    assert keys.add(2, Role.TMS, b"3" * 16) and keys.role(0) is Role.TMS, "another, not used yet"


def test_what_a_module_kept_before_keys_could_be_used_up_is_read() -> None:
    memory = MemoryNvram({"keys": b'[[1, 0, "' + b"31" * 16 + b'"]]'})
    keys = ModuleKeys(memory, bytes(16))
    assert keys.sending == 1 and keys.role(0) is Role.TMS
    keys.used(1)
    assert keys.role(0) is Role.ROOT


async def test_the_verb_waits_for_the_new_key_and_says_whose_was_not_changed(
    server: TmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    Users(server.store).set(FIRST_USER, "a long password")
    site = Site(server, Service(server))
    await site.start("127.0.0.1", 0)
    verb = ["change-key", ESN, "--url", f"http://127.0.0.1:{site.port}"]
    monkeypatch.setattr("smartmeter.tms.orders.KEY_ATTEMPTS", 1)
    try:
        done = await asyncio.to_thread(lambda: CliRunner().invoke(command, verb))
        assert done.exit_code == 1 and "failed: not connected" in done.output
        async with living(server):
            done = await asyncio.to_thread(lambda: CliRunner().invoke(command, verb))
            assert done.exit_code == 0 and done.output.split() == [ESN, "done:", "key", "1"]
    finally:
        await site.stop()
