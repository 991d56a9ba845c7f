"""The log-in stands before every page, and cannot be tried in bulk."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect

from smartmeter.tms.web.login import MAX_FORM_OCTETS, Guard, add_login
from smartmeter.tms.web.sessions import (
    IDLE_LIMIT_S,
    LIFE_S,
    MAX_SESSIONS,
    FailureLimit,
    SessionTable,
)


def application(check: Callable[[str, str], str | None]) -> FastAPI:
    app = FastAPI()
    table = SessionTable(lambda user, proof: True)
    app.add_middleware(Guard, table=table)
    app.add_middleware(SessionMiddleware, secret_key="for this test")
    add_login(app, table, check, FailureLimit())
    return app


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    proofs = {("ann", "good"): "hash"}
    app = application(lambda user, word: proofs.get((user, word)))

    @app.get("/")
    async def page() -> str:
        return "secret"

    @app.get("/api/meters")
    async def meters() -> str:
        return "secret"

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_without_a_session_only_the_form_is_reached(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/")).headers["location"] == "/login"
    assert (await browser.get("/api/meters")).status_code == 401
    assert (await browser.get("/login")).status_code == 200


async def test_the_right_password_opens_and_the_log_out_closes(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", data={"user": "ann", "password": "good"})
    assert answer.status_code == 303
    assert "secret" in (await browser.get("/")).text
    stale = dict(browser.cookies)
    await browser.post("/logout")
    assert (await browser.get("/", cookies=stale)).status_code == 303


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("/meter/SM1?tab=2&a=%2F", "/meter/SM1?tab=2&a=%2F"),
        ("/login?next=//evil.example/", "/"),
        ("/login?next=/%5Cevil.example/", "/"),
        ("/login?next=/%09/evil.example/", "/"),
        ("/login?next=https://evil.example/", "/"),
    ],
)
async def test_a_log_in_leads_on_to_the_page_that_was_asked_for_and_to_no_other_site(
    browser: httpx.AsyncClient, asked: str, leads_to: str
) -> None:
    answer = await browser.get(asked)
    form = answer.headers.get("location", asked)
    assert "/login?next=" in form
    for password, status in (("wrong", 401), ("good", 303)):
        answer = await browser.post(form, data={"user": "ann", "password": password})
        assert answer.status_code == status
    assert answer.headers["location"] == leads_to


async def test_five_failures_close_the_door_for_a_minute(browser: httpx.AsyncClient) -> None:
    wrong = {"user": "ann", "password": "bad"}
    assert [(await browser.post("/login", data=wrong)).status_code for _ in range(6)] == [
        *[401] * 5,
        429,
    ]
    good = {"user": "ann", "password": "good"}
    assert (await browser.post("/login", data=good)).status_code == 429


async def test_guesses_that_come_at_once_are_no_way_around_the_five(
    browser: httpx.AsyncClient,
) -> None:
    forms = [{"user": "ann", "password": f"guess {number}"} for number in range(30)]
    answers = await asyncio.gather(*(browser.post("/login", data=form) for form in forms))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 25


async def test_who_logs_in_often_or_with_many_programs_at_once_is_not_kept_out(
    browser: httpx.AsyncClient,
) -> None:
    good = {"user": "ann", "password": "good"}
    assert {(await browser.post("/login", data=good)).status_code for _ in range(12)} == {303}
    answers = await asyncio.gather(*(browser.post("/login", data=good) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {303}


async def test_a_flood_of_log_ins_from_one_address_keeps_nobody_at_another_waiting() -> None:
    ended = threading.Event()

    def check(user: str, password: str) -> str | None:
        return "hash" if user == "ann" or ended.wait(60) else None

    app = application(check)

    async def log_in(address: str, user: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 1000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            form = {"user": user, "password": "good"}
            return (await client.post("/login", data=form)).status_code

    flood = [asyncio.create_task(log_in("192.0.2.1", f"guess {n}")) for n in range(20)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.wait_for(log_in("192.0.2.2", "ann"), 30) == 303
        assert not any(one.done() for one in flood)
    finally:
        ended.set()
    assert await asyncio.gather(*flood) == [303] * 20


@pytest.mark.parametrize("body", [b"", b"user=ann", b"\xff\xfe", b"user=a&" * MAX_FORM_OCTETS])
async def test_a_bad_form_is_one_clear_answer(browser: httpx.AsyncClient, body: bytes) -> None:
    answer = await browser.post("/login", content=body)
    assert answer.status_code == 400 and "could not be read" in answer.text


async def test_a_form_posted_from_another_site_is_refused(browser: httpx.AsyncClient) -> None:
    form = {"user": "ann", "password": "good"}
    for site in ("cross-site", "same-site"):  # another port of the same host is the same site
        answer = await browser.post("/login", data=form, headers={"sec-fetch-site": site})
        assert answer.status_code == 403 and "another site" in answer.text
    for origin in ("http://test:8123", "http://elsewhere", "null", "http://[::1"):
        answer = await browser.post("/login", data=form, headers={"origin": origin})
        assert answer.status_code == 403, "over plain HTTP a browser tells no more than this"
    for own in (
        {"origin": "http://test"},
        {"origin": "https://test"},  # a reverse proxy ends the TLS
        {"origin": "https://tms.example:8443", "x-forwarded-host": "tms.example:8443"},
    ):
        assert (await browser.post("/login", data=form, headers=own)).status_code == 303
    assert (await browser.post("/login", data=form)).status_code == 303
    asked = browser.build_request("POST", "/api/meters", headers={"sec-fetch-site": "same-site"})
    assert (await browser.send(asked)).status_code == 403


async def test_a_browser_that_leaves_in_the_middle_of_its_form_is_no_fault(
    browser: httpx.AsyncClient,
) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield b"user=ann&pass"
        raise ClientDisconnect

    answer = await browser.post("/login", content=torn())
    assert answer.status_code == 400


def test_sessions_are_bounded_and_end_when_idle() -> None:
    table = SessionTable(lambda user, proof: True)
    for number in range(MAX_SESSIONS + 5):
        table.open(str(number), "ann", "hash", float(number))
    assert len(table.sessions) == MAX_SESSIONS
    assert table.user("0", 0.0) is None
    assert table.user("500", 501.0) == "ann"
    assert table.user("500", 502.0 + IDLE_LIMIT_S) is None
    assert table.user(7, 0.0) is None


def test_a_session_that_is_used_all_the_time_ends_after_a_week() -> None:
    table = SessionTable(lambda user, proof: True)
    table.open("watched", "ann", "hash", 0.0)
    for hour in range(LIFE_S // 3600 + 1):
        assert table.user("watched", hour * 3600.0) == "ann"
    assert table.user("watched", LIFE_S + 1.0) is None


def test_a_session_ends_when_its_user_is_gone_or_has_another_password() -> None:
    hashes = {"ann": "one", "bob": "two"}
    table = SessionTable(lambda user, proof: hashes.get(user) == proof)
    for user, proof in hashes.items():
        table.open(f"of {user}", user, proof, 0.0)
    hashes["ann"] = "three"
    del hashes["bob"]
    assert table.user("of ann", 1.0) is None and table.user("of bob", 1.0) is None
    hashes |= {"ann": "one", "bob": "two"}
    assert not table.sessions, "ended is ended"
