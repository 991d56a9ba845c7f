"""The whole site as a stranger and as an operator meet it: every path, and files that stream."""

import asyncio
import csv
import io
import json
import re
import sqlite3
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from nicegui import Client
from socketio import AsyncClient

from smartmeter.base.clock import Calendar, monotonic_us
from smartmeter.base.errors import StorageError
from smartmeter.tms.api import export_routes
from smartmeter.tms.api.export_routes import MAX_DOWNLOADS
from smartmeter.tms.api.wrong_requests import MAX_BODY_OCTETS
from smartmeter.tms.exports.kinds import FORMATS, KINDS
from smartmeter.tms.model import Kind, State
from smartmeter.tms.orders import OF_ONE_METER
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import read_shipment
from smartmeter.tms.upgrades import make_image, read_image
from smartmeter.tms.users import Users
from smartmeter.tms.web import frame
from smartmeter.tms.web.sessions import LIFE_S
from smartmeter.tms.web.site import Site
from tests.smartmeter.tms.stored import EPOCH_S, record
from tests.waiting import PATIENCE_S, until

#: More than the system keeps of a connection that nobody reads, in rows of a kilobyte.
ROWS, COUNTS = 12_000, str([123_456_789] * 24)


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, TmsServer, Site]]:
    tms = TmsServer(tmp_path, Calendar(EPOCH_S * 1_000_000))
    await tms.start("127.0.0.1", 0)
    tms.import_shipment(read_shipment(f"esn,title,key,model\nSM1,.7.1,{bytes(16).hex()},m\n"))
    Users(tms.store).set("ann", "good enough")
    site = Site(tms, Service(tms))
    await site.start("127.0.0.1", 0)
    try:
        address = f"http://127.0.0.1:{site.port}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
            yield client, tms, site
    finally:
        await site.stop()
        await tms.stop()


async def test_every_path_asks_for_a_log_in_and_files_stream_behind_it(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, tms, site = browser
    routes = [one for one in site.application.routes if isinstance(one, APIRoute)]
    assert len(routes) > 25
    for route in routes:
        if route.path in ("/login", "/logout", "/health"):
            continue
        for method in route.methods:
            path = route.path.format_map(dict.fromkeys(route.param_convertors, "1"))
            answer = await client.request(method, path)
            assert answer.status_code in (303, 401), (method, path)
    form = {"user": "ann", "password": "good enough"}
    assert (await client.post("/login", data=form)).status_code == 303

    record(tms.store, range(3))
    async with client.stream("GET", "/api/export/intervals?esn=SM1&to=2026-01-01T00:30") as answer:
        assert answer.headers["content-disposition"] == 'attachment; filename="intervals-SM1.csv"'
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "content-length" not in answer.headers
        await answer.aread()
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["sequence"] for row in rows] == ["0", "1"]
    for query, status, told in (
        ("secrets", 404, "choose of intervals"),
        ("events?esn=SM9", 404, "SM9"),
        ("events?format=xlsx", 400, "choose of csv"),
        ("events?from=now", 400, "is no time"),
        ("events?" + "esn=SM1&" * 501, 400, "esn"),
    ):
        answer = await client.get(f"/api/export/{query}")
        assert (answer.status_code, told in answer.json()["error"]) == (status, True), query

    answer = await client.post("/api/upgrades", json={"esns": ["SM1"], "image": "\u00e9"})
    assert (answer.status_code, "no base64" in answer.text) == (400, True)
    answer = await client.get("/api/meters/SM1/load-profile?limit=2")
    assert [(end - EPOCH_S) // 900 for end in answer.json()["end_s"]] == [2, 3], "the newest"

    tms.store.write_now(lambda c: c.execute("ALTER TABLE meters RENAME TO gone").fetchall())
    for page in ("/", "/meter/SM1"):
        answer = await client.get(page)
        assert answer.status_code == 200 and "no such table: meters; check" in answer.text


IMAGE = make_image(b"payload", "M", "2.0", bytes(32)).file()
TO_NOBODY = json.dumps({"esns": ["SM8", "SM9"], "image": b64encode(IMAGE).decode()}).encode()
#: Method, path, body; the answer's status, and what it tells.
WRONG: list[tuple[str, str, bytes | None, int, str]] = [
    ("GET", "/api/export/alarms?frm=2026-01-01", None, 400, "no 'frm' here; choose of esn, f"),
    ("GET", "/api/overview?state=late", None, 400, "no 'state' here; leave it out"),
    ("GET", "/api/meters?state=silent&state=overdue", None, 400, "'state' comes twice"),
    ("GET", "/api/meters?state=lost", None, 400, "no 'lost'; choose of shipped"),
    ("GET", "/api/export/alarms?from=2026-02-01&to=2026-01-01", None, 400, "before from"),
    ("GET", "/api/meters/SM1/load-profile?from_s=5&to_s=4", None, 400, "to_s: is before from_s"),
    ("GET", "/api/jobs/-1", None, 400, "path.number"),
    ("GET", "/api/nothing", None, 404, "no '/api/nothing' here"),
    ("GET", "/api/export/alarms?esn=SM1&esn=SM9", None, 404, "SM9: is not known"),
    ("GET", "/api/jobs/999999", None, 404, "job 999999: is not known"),
    ("POST", "/api/jobs/999999/cancel", None, 404, "job 999999: is not known"),
    ("POST", "/api/alarms/5/close", None, 404, "alarm 5: is not known"),
    ("POST", "/api/meters/SM8/replace", b'{"by": "SM8"}', 404, "SM8: is not known"),
    ("POST", "/api/meters/SM1/replace", b'{"by": "SM8"}', 404, "SM8: is not known"),
    ("POST", "/api/jobs/cancel", b'{"esns": ["SM1", "SM8"]}', 404, "SM8: is not known"),
    ("POST", "/api/upgrades", TO_NOBODY, 404, "2 of them can be sent no image"),
    ("DELETE", "/api/polled/SM1", None, 404, "SM1: is a SmartMeter, which is not polled"),
    ("PUT", "/api/meters", None, 405, "PUT cannot be asked here"),
    ("POST", "/api/meters/SM1/retire", b'{"replacedby": "SM2"}', 400, "body.replacedby"),
    ("POST", "/api/meters/SM1/jobs", b"[" * 100_000, 400, "body: send a JSON object"),
    ("POST", "/api/meters/SM1/jobs", b'"ping"', 400, "Content-Type: application/json"),
    ("POST", "/api/meters/SM1/jobs", b" " * (MAX_BODY_OCTETS + 1), 413, "larger than 9 MiB"),
]


async def test_what_is_asked_wrongly_of_the_api_is_one_line_of_json(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, tms, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    for path in ("/health?at=5", "/login?next=%2F"):
        assert (await client.get(path)).status_code == 200
    headers = {"content-type": "application/json"}
    for method, path, body, status, told in WRONG:
        answer = await client.request(method, path, content=body, headers=headers)
        assert answer.status_code == status and told in answer.json()["error"], answer.text
    assert tms.store.number("SELECT count(*) FROM meters WHERE state='retired'") == 0


@pytest.mark.parametrize(
    "path",
    ["jobs?esn=SM9", "alarms?esn=SM9", "upgrades?esn=SM9"]
    + [f"meters?search={one}" for one in ("SM9", "%00", "SM1%00", "%25", "_", "%5C", "%E2%84%AA")],
)
async def test_a_list_that_is_narrowed_down_to_what_is_not_there_is_empty(
    browser: tuple[httpx.AsyncClient, TmsServer, Site], path: str
) -> None:
    client, tms, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    tms.head_end.upgrade(["SM1"], read_image(IMAGE, "image"), 0, "ann")
    found = await client.get(f"/api/{path}")
    assert found.status_code == 200 and found.json()[path.partition("?")[0]] == []
    assert (await client.get("/api/meters?search=m1")).json()["total"] == 1


async def test_who_asks_by_a_method_that_a_path_has_not_is_told_which_it_has(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, _, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    for path, allowed in (
        ("/api/meters", "GET, HEAD"),
        ("/api/polled", "GET, HEAD, POST"),
        ("/api/polled/P1", "DELETE"),
    ):
        answer = await client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_a_cookie_lasts_as_long_as_a_session_that_is_used_all_the_time(
    browser: tuple[httpx.AsyncClient, TmsServer, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _, _ = browser
    answer = await client.post("/login", data={"user": "ann", "password": "good enough"})
    assert f"Max-Age={LIFE_S};" in answer.headers["set-cookie"]
    late_s = int(time.time()) + LIFE_S - 60
    monkeypatch.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda _: late_s)
    assert (await client.get("/api/overview")).status_code == 200


async def test_who_logs_in_at_another_tms_of_the_machine_stays_in_at_this_one(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    """A browser gives a cookie to all ports of a host, and keeps one of a name."""
    _, tms, site = browser
    other = httpx.ASGITransport(Site(tms, Service(tms))._application())
    places = f"http://127.0.0.1:{site.port}", "http://127.0.0.1:1"
    async with httpx.AsyncClient(mounts={places[1]: other}) as client:
        for place in places:
            form = {"user": "ann", "password": "good enough"}
            assert (await client.post(f"{place}/login", data=form)).status_code == 303
        for place in places:
            assert (await client.get(f"{place}/api/overview")).status_code == 200


async def test_pages_of_meters_are_complete_while_others_are_entered_and_removed(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, _, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    lines = "".join(f"P{n},socket://h{n}:1,0,,m\n" for n in range(1, 7))
    await client.post("/api/polled", content=f"esn,address,user_id,password,model\n{lines}")
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        page = (await client.get("/api/meters", params={"limit": 2, "after": after})).json()
        if not page["meters"]:
            break
        found += [one["esn"] for one in page["meters"]]
        if len(found) == 2:
            await client.delete("/api/polled/P1")
        elif len(found) == 4:
            line = f"esn,title,key,model\nA1,.7.2,{bytes(16).hex()},m\n"
            await client.post("/api/shipment", content=line)
    assert found == ["P1", "P2", "P3", "P4", "P5", "P6", "SM1"] and page["total"] == 7


async def test_where_there_is_no_page_a_page_says_so_and_leads_back(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, _, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    clients = len(Client.instances)
    for method, path, status, told in (
        ("GET", "/nowhere/%3Cscript%3E", 404, "There is no page /nowhere/&lt;script&gt;<"),
        ("GET", "/meter/", 404, "no page"),
        ("GET", "/meter/SM%3Cb%3E", 404, "SmartMeter SM&lt;b&gt;: is not known"),
        ("DELETE", "/work", 405, "DELETE cannot be asked of /work"),
    ):
        answer = await client.request(method, path)
        assert (answer.status_code, told in answer.text) == (status, True), answer.text
        assert '<html lang="en">' in answer.text and '<a href="/">' in answer.text
    headers = {"sec-fetch-site": "cross-site"}
    answer = await client.post("/logout", headers=headers)
    assert answer.status_code == 403 and "nothing was done" in answer.text
    answer = await client.post("/api/polled", headers=headers)
    assert answer.status_code == 403 and "another site" in answer.json()["error"]
    assert len(Client.instances) == clients, "nobody is kept in memory for it"
    # As monitors and proxies ask whether it is there.
    for path in ("/health", "/login", "/api/overview"):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


async def test_the_openapi_document_says_what_is_sent_and_what_may_be_answered(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, _, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    document = (await client.get("/openapi.json")).json()
    paths = document["paths"]
    for path, methods in paths.items():
        for method, told in methods.items():
            assert "422" not in told["responses"], "it is answered with 400, and another shape"
            if path in ("/login", "/logout"):
                assert list(told["responses"]["4XX"]["content"]) == ["text/html"]
                continue
            refusal = told["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert refusal["required"] == ["error"], (path, method)
    for name, kinds in (("JobRequest", OF_ONE_METER), ("Cancellation", ("", *Kind))):
        assert document["components"]["schemas"][name]["properties"]["kind"]["enum"] == [*kinds]
    for path, name, values in (
        ("/api/meters", "state", ["", *State]),
        ("/api/export/{kind}", "kind", [*KINDS]),
        ("/api/export/{kind}", "format", [*FORMATS]),
    ):
        [told] = [one for one in paths[path]["get"]["parameters"] if one["name"] == name]
        assert told["schema"]["enum"] == values
    assert "text/csv" in paths["/api/shipment"]["post"]["requestBody"]["content"]
    log_in = paths["/login"]["post"]
    assert log_in["requestBody"]["content"].keys() == {"application/x-www-form-urlencoded"}
    assert "303" in log_in["responses"] and {} in log_in["security"]
    for path, shape in (("/login", "text/html"), ("/logout", "application/json")):
        assert list(paths[path]["post"]["responses"]["503"]["content"]) == [shape]
    assert paths["/api/overview"]["get"]["security"] == [{"log-in": []}]
    for path in ("/api/export/{kind}", "/api/topology.dot", "/login"):
        answer = await client.get(path.format(kind="alarms"))
        media = paths[path]["get"]["responses"]["200"]["content"]
        assert answer.headers["content-type"] in {
            *media,
            *(f"{one}; charset=utf-8" for one in media),
        }
        assert "application/json" not in media
    page = await client.get("/")
    assert "<noscript>These pages need JavaScript" in page.text


async def test_files_that_nobody_takes_hold_up_neither_each_other_nor_reports(
    browser: tuple[httpx.AsyncClient, TmsServer, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, tms, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    rows = [
        ("SM1", 1, 1, n, EPOCH_S + n, 900, 3, b"\x01", COUNTS, "report", 1) for n in range(ROWS)
    ]
    sql = f"INSERT INTO intervals VALUES ({','.join('?' * 11)})"
    tms.store.write_now(lambda c: c.executemany(sql, rows) and None)
    path = "/api/export/intervals?format=jsonl"
    async with AsyncExitStack() as stuck:
        begun = [stuck.enter_async_context(client.stream("GET", path)) for _ in range(8)]
        statuses = [answer.status_code for answer in await asyncio.gather(*begun)]
        assert sorted(statuses) == [200] * MAX_DOWNLOADS + [429] * (8 - MAX_DOWNLOADS)
        assert (await client.get(path)).status_code == 429
        record(tms.store, [ROWS])  # the writer waits for no reader
        with closing(sqlite3.connect(tms.store.path)) as other:
            [busy, *_] = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy, "no reader keeps the log"
    monkeypatch.setattr(
        export_routes, "STALL_S", 1.0
    )  # a busy machine takes a whole file in pieces
    async with AsyncExitStack() as stuck:
        for _ in range(MAX_DOWNLOADS):
            await stuck.enter_async_context(client.stream("GET", path))
        deadline_us = monotonic_us() + 60_000_000
        while (answer := await client.get(path)).status_code == 429:
            assert monotonic_us() < deadline_us, "those that nobody takes are given up"
    assert len(answer.text.splitlines()) == ROWS + 1


async def test_a_page_stays_live_behind_a_reverse_proxy_and_for_no_other_site(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, _, site = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    shake = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    asked, proxied = f"127.0.0.1:{site.port}", {"x-forwarded-host": "tms.example"}
    for headers, status in (
        ({"origin": f"http://{asked}"}, 200),
        ({"origin": f"https://{asked}"}, 200),  # the proxy ends the TLS and keeps the Host
        ({"origin": "https://tms.example", **proxied}, 200),
        ({"origin": "https://tms.example"}, 400),
        ({"origin": "https://tms.example:8443", **proxied}, 400),
        ({"origin": "null"}, 400),
    ):
        assert (await client.get(shake, headers=headers)).status_code == status, headers


async def test_who_has_gone_before_a_page_was_connected_is_no_fault_of_the_program(
    browser: tuple[httpx.AsyncClient, TmsServer, Site], caplog: pytest.LogCaptureFixture
) -> None:
    client, _, site = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    shake = client.build_request("GET", "/_nicegui_ws/socket.io/?EIO=4&transport=polling")
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "path": shake.url.path,
        "raw_path": shake.url.raw_path,
        "query_string": shake.url.query,
        "headers": [(name.lower(), value) for name, value in shake.headers.raw],
        "server": None,
        "client": None,
    }
    answers = []

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        answers.append(message)

    await site.application(scope, gone, send)
    assert not answers and not caplog.records


async def test_a_monitor_hears_without_a_log_in_whether_reports_are_acknowledged(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, tms, _ = browser
    assert (await client.get("/health")).json() == {"status": "ok"}
    tms.store.fault = StorageError("tms.sqlite3", "database or disk is full", "free some space")
    answer = await client.get("/health")
    assert answer.status_code == 503 and "takes nothing" in answer.json()["error"]
    assert "sqlite" not in answer.text
    tms.store.fault = None
    assert (await client.get("/health")).status_code == 200
    tms.store.write_now(lambda c: c.execute("ALTER TABLE settings RENAME TO gone").fetchall())
    answer = await client.get("/health")
    assert answer.status_code == 503 and "sqlite" not in answer.text


async def test_no_cache_keeps_what_is_behind_the_log_in(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    client, _, _ = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    page = await client.get("/")
    for path in ("/api/meters/SM1", "/api/export/alarms", "/api/nothing", "/openapi.json"):
        assert (await client.get(path)).headers["cache-control"] == "no-store", path
    assert page.headers["cache-control"] == "no-store"
    [script, *_] = re.findall(r'src="(/_nicegui/[^"]+\.js)"', page.text)
    assert "max-age" in (await client.get(script)).headers["cache-control"]


async def test_a_session_that_began_over_tls_is_told_over_it_only(
    browser: tuple[httpx.AsyncClient, TmsServer, Site],
) -> None:
    form = {"user": "ann", "password": "good enough"}
    for headers, told in (({}, False), ({"x-forwarded-proto": "https"}, True)):
        answer = await browser[0].post("/login", data=form, headers=headers)
        flags = answer.headers["set-cookie"].split("; ")[1:]
        assert ("secure" in flags) is told and {"httponly", "samesite=strict"} <= set(flags)


async def test_a_page_whose_log_in_has_ended_is_heard_no_more_over_its_open_websocket(
    browser: tuple[httpx.AsyncClient, TmsServer, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "SESSION_S", 0.05)
    client, tms, site = browser
    await client.post("/login", data={"user": "ann", "password": "good enough"})
    await client.get("/meter/SM1")
    page = list(Client.instances.values())[-1]
    address = f"http://127.0.0.1:{site.port}"
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    socket = AsyncClient()
    await socket.connect(
        f"{address}?client_id={page.id}",
        {"Cookie": cookie, "Origin": address},
        socketio_path="/_nicegui_ws/socket.io",
    )
    about = {"client_id": page.id, "tab_id": "tab", "document_id": "document"}
    assert await socket.call("handshake", about)
    clicks = []
    for label in ("Ping", "Trace"):
        button = next(one for one in page.elements.values() if one.props.get("label") == label)
        [listener] = button._event_listeners.values()
        clicks.append({"client_id": page.id, "id": button.id, "listener_id": listener.id})
    jobs = "SELECT count(*) FROM jobs"
    await socket.emit("event", clicks[0])
    await until(lambda: tms.store.number(jobs) == 1, "who is logged in is heard")
    Users(tms.store).remove("ann")
    await socket.emit("event", clicks[1])
    await until(lambda: page.id not in Client.instances, "the page is let go of")
    assert tms.store.number(jobs) == 1
    await socket.disconnect()


async def test_a_page_needs_no_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")  # as of /dev/shm in a closed container

    monkeypatch.setattr("nicegui.run.ProcessPoolExecutor", refuse)
    tms = TmsServer(tmp_path, Calendar(EPOCH_S * 1_000_000))
    await tms.start("127.0.0.1", 0)
    site = Site(tms, Service(tms))
    await site.start("127.0.0.1", 0)
    await site.stop()
    await tms.stop()
