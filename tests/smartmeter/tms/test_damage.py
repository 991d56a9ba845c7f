"""A database in which pages stand in each other's places: one clear error, and nothing goes in."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from nicegui import Client

from smartmeter.base.clock import Calendar
from smartmeter.base.errors import DamagedError, SmartMeterError, StorageError
from smartmeter.cli.tms import command
from smartmeter.cli.tms_client import PASSWORD_VARIABLE, TmsClient
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.store import sqlite as embedded
from smartmeter.tms.store.sqlite import FILE_NAME, Store
from smartmeter.tms.users import Users
from smartmeter.tms.web.site import Site
from tests.smartmeter.tms.stored import EPOCH_S
from tests.waiting import PATIENCE_S, until

#: Rows whose values are of other kinds than those of the table in whose place they are put.
ROWS = {
    "meters": "INSERT INTO meters (esn, title) VALUES ('SM1', '.7.1')",
    "events": f"INSERT INTO events VALUES ('SM1', 1, {EPOCH_S}, 3, 0, x'00', {EPOCH_S})",
    "outages": f"INSERT INTO outages VALUES ('SM1', 1, 1, {EPOCH_S}, 0, {EPOCH_S})",
    "keys": "INSERT INTO keys VALUES ('SM1', 0, x'00000000000000000000000000000000', 0)",
}


def exchange(folder: Path, one: str, other: str) -> None:
    """Let the only pages of two tables stand in each other's places."""
    path = folder / FILE_NAME
    store = Store(path)
    for row in ROWS.values():
        store.write_now(lambda c, row=row: c.execute(row).rowcount)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name=?"
        pages = [connection.execute(sql, (name,)).fetchone()[0] - 1 for name in (one, other)]
        [(size,)] = connection.execute("PRAGMA page_size")
    octets = bytearray(path.read_bytes())
    first, second = (slice(page * size, (page + 1) * size) for page in pages)
    octets[first], octets[second] = octets[second], octets[first]
    path.write_bytes(octets)


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, TmsServer]]:
    exchange(tmp_path, "events", "outages")
    tms = TmsServer(tmp_path, Calendar(EPOCH_S * 1_000_000))
    await tms.start("127.0.0.1", 0)
    Users(tms.store).set("ann", "good enough")
    site = Site(tms, Service(tms))
    await site.start("127.0.0.1", 0)
    try:
        address = f"http://127.0.0.1:{site.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
            await client.post("/login", data={"user": "ann", "password": "good enough"})
            yield client, tms
    finally:
        await site.stop()
        await tms.stop()


async def test_rows_that_make_no_sense_are_a_damaged_database_and_nothing_goes_into_it(
    browser: tuple[httpx.AsyncClient, TmsServer],
) -> None:
    client, tms = browser
    answer = await client.get("/api/meters/SM1/events")
    told = answer.json()["error"]
    assert answer.status_code == 503 and "is damaged: NULL value in events.rec" in told
    assert "restore it from a copy" in told and len(told.splitlines()) == 1
    with pytest.raises(DamagedError):
        tms.store.write_now(lambda c: c.execute("DELETE FROM events").rowcount)
    assert (await client.get("/health")).status_code == 503


async def test_who_is_logged_in_cannot_be_looked_up_in_a_damaged_database(
    browser: tuple[httpx.AsyncClient, TmsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, tms = browser
    tms.store.write_now(lambda c: c.execute("UPDATE users SET hash=CAST(x'ff' AS TEXT)").rowcount)
    answer = await client.get("/api/overview")
    assert answer.status_code == 503 and "is damaged: Could not decode" in answer.json()["error"]
    answer = await client.post("/login", data={"user": "ann", "password": "good enough"})
    assert answer.status_code == 503 and "the database gives nothing" in answer.text
    assert FILE_NAME not in answer.text, "a stranger is not told where it is"
    monkeypatch.setenv(PASSWORD_VARIABLE, "good enough")
    with pytest.raises(SmartMeterError, match="cannot look up who may log in; see its log"):
        await asyncio.to_thread(TmsClient, str(client.base_url), "ann")


@pytest.mark.parametrize(
    "stored", ["", "5", "$argon2id$\u00e9", "$argon2id$v=19$m=8,t=1,p=1$\u00e9$x"]
)
async def test_a_stored_hash_that_is_none_lets_nobody_in(
    browser: tuple[httpx.AsyncClient, TmsServer], stored: str
) -> None:
    client, tms = browser
    tms.store.write_now(lambda c: c.execute("UPDATE users SET hash=?", (stored,)).rowcount)
    answer = await client.post("/login", data={"user": "ann", "password": "good enough"})
    assert answer.status_code == 401 and "is wrong" in answer.text


async def test_what_the_program_did_not_foresee_is_one_line_too_and_the_rest_goes_on(
    browser: tuple[httpx.AsyncClient, TmsServer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, tms = browser
    looks: list[None] = []
    may_end = threading.Event()

    def look() -> None:
        may_end.wait(60)
        looks.append(None)

    monkeypatch.setattr(tms.store, "damage", look)
    tms.store.write_now(lambda c: c.execute("UPDATE meters SET heard_s='x'").rowcount)
    page = await client.get("/meter/SM1")
    assert "This page cannot be shown" in page.text and "is being looked into" in page.text
    assert (await client.get("/health")).status_code == 200 and not looks
    may_end.set()
    drawn = list(Client.instances.values())[-1].elements.values()

    def is_told() -> bool:
        return any("did not foresee" in str(getattr(one, "text", "")) for one in drawn)

    await until(is_told, "it is told on the page that is there")
    looks.clear()
    answer = await client.get("/api/meters/SM1/events")
    assert answer.status_code == 500 and len(answer.json()["error"].splitlines()) == 1
    assert "did not foresee TypeError" in answer.json()["error"] and caplog.records

    def fails(now_us: int) -> None:
        raise KeyError("nowhere")

    expire = tms.head_end.expire
    monkeypatch.setattr(tms.head_end, "expire", fails)
    await until(lambda: tms.counts.get("not foreseen", 0) > 3, "several looks at what is due")
    assert len(looks) <= 2, "the database is not looked through for each of them"
    looked: list[int] = []
    monkeypatch.setattr(tms.head_end, "expire", lambda now_us: looked.append(expire(now_us)))
    await until(lambda: bool(looked), "a look")


def test_who_asks_while_the_database_is_looked_through_waits_for_that_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / FILE_NAME)
    looks: list[Path] = []
    begun, may_end = threading.Event(), threading.Event()

    def look(path: Path) -> None:
        looks.append(path)
        begun.set()
        may_end.wait(60)

    monkeypatch.setattr(embedded, "damage_of", look)
    with ThreadPoolExecutor() as threads:
        told = [threads.submit(store.damage)]
        begun.wait(60)
        told += [threads.submit(store.damage) for _ in range(3)]
        store.write_now(lambda c: c.execute("DELETE FROM events").rowcount)  # it goes on meanwhile
        may_end.set()
        assert [one.result(60) for one in told] == [None] * 4
    assert len(looks) <= 2, "who came in the last moment may have one of its own"
    store.close()


async def test_a_head_end_does_not_start_on_rows_that_make_no_sense(tmp_path: Path) -> None:
    exchange(tmp_path, "keys", "outages")
    tms = TmsServer(tmp_path, Calendar(EPOCH_S * 1_000_000))
    with pytest.raises(DamagedError, match=r"is damaged: .*; restore it from a copy"):
        await tms.start("127.0.0.1", 0)
    tms.store.close()


def test_what_is_damaged_is_neither_exported_nor_takes_the_place_of_a_good_copy(
    tmp_path: Path,
) -> None:
    exchange(tmp_path, "events", "outages")
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(b"of yesterday")
    for verb in ("export events", f"backup --out {copy}"):
        asked = [*verb.split(), "--data", str(tmp_path)]
        done = CliRunner().invoke(command, asked, standalone_mode=False)
        assert isinstance(done.exception, DamagedError), verb
        assert FILE_NAME in str(done.exception) and "is damaged: " in str(done.exception)
    assert copy.read_bytes() == b"of yesterday"


def test_a_text_of_which_octets_were_changed_is_told_as_that(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    broken = "INSERT INTO meters (esn, title) VALUES ('SM1', CAST(x'ff' AS TEXT))"
    store.write_now(lambda c: c.execute(broken).rowcount)
    with pytest.raises(StorageError, match=r"is damaged: Could not decode .*; restore it"):
        store.read("SELECT title FROM meters")
    assert not store.damaged
    store.close()
