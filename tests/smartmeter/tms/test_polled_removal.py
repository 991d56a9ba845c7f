"""A plain meter that is removed: asked no more, what it told stays, and it may come again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from smartmeter.base.clock import monotonic_us
from smartmeter.base.errors import SettingsError, SmartMeterError
from smartmeter.cli.tms import command
from smartmeter.cli.tms_client import PASSWORD_VARIABLE
from smartmeter.tms.poll_plan import PollPlan, poll_schedules
from smartmeter.tms.server import TmsServer
from smartmeter.tms.service import Service
from smartmeter.tms.shipment import Shipped
from smartmeter.tms.store.queries import UnknownMeter
from smartmeter.tms.template import make_template
from smartmeter.tms.users import FIRST_USER, Users
from smartmeter.tms.web.site import Site
from tests.smartmeter.tms.polling import LIST
from tests.smartmeter.tms.running import running_tms
from tests.waiting import until

NOW_S = 1_767_225_600


@pytest.fixture
async def tms(tmp_path: Path) -> AsyncIterator[TmsServer]:
    async with running_tms(tmp_path) as server:
        server.import_shipment([Shipped("SM1", ".7.1", bytes(16), "M")])
        yield server


def test_the_plan_forgets_a_meter_and_takes_it_up_again_once() -> None:
    plan = PollPlan(poll_schedules(make_template()))
    for esn in ("P1", "P2"):
        plan.add(esn, {}, NOW_S)
    plan.remove("P1")
    assert {due.esn for due in plan.tick(NOW_S)} == {"P2"}
    plan.add("P1", {}, NOW_S)
    again = plan.tick(NOW_S)
    assert {due.esn for due in again} == {"P1"}
    assert len({due.schedule.number for due in again}) == len(again)


async def test_a_removed_meter_is_not_known_any_more_and_its_history_is_kept(
    tms: TmsServer,
) -> None:
    service, counted = Service(tms), "SELECT count(*) FROM polls WHERE esn='P1'"
    await service.enter_polled(LIST)
    await until(lambda: tms.store.number(counted) > 0, "a poll has failed")
    service.remove_polled("P1")
    with pytest.raises(UnknownMeter):
        service.meter("P1")
    assert service.polled() == [] and tms.store.number("SELECT count(*) FROM polled_meters") == 0
    assert tms.store.number("SELECT count(*) FROM silences WHERE ended_s=0") == 0
    before = tms.store.number(counted)
    assert before > 0, "what was, stays"
    tms.head_end.expire(monotonic_us() + 3600 * 1_000_000)
    await asyncio.sleep(0.1)
    assert tms.store.number(counted) == before
    assert await service.enter_polled(LIST) == {"read": 1, "new": 1}
    with pytest.raises(SettingsError, match="not polled"):
        service.remove_polled("SM1")
    with pytest.raises(UnknownMeter):
        service.remove_polled("P2")


async def test_a_meter_that_comes_again_measures_its_own_place_and_no_longer_one_that_it_left(
    tms: TmsServer,
) -> None:
    service = Service(tms)
    other = LIST.splitlines()[1].replace("P1", "P2").replace(":1,", ":2,")
    await service.enter_polled(f"{LIST}{other}\n")
    service.replace("P1", "P2", "ann")
    service.remove_polled("P1")
    await service.enter_polled(LIST)
    assert service.meter("P1")["state"] == "polled" and service.meter("P1")["replaced_by"] == ""
    service.replace("P2", "P1", "ann")
    assert [one["esn"] for one in service.meter("P1")["place"]] == ["P1", "P2"], "no circle"


async def test_the_command_line_lists_adds_and_removes_by_rest(
    tms: TmsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    Users(tms.store).set(FIRST_USER, "a long password")
    site = Site(tms, Service(tms))
    await site.start("127.0.0.1", 0)
    (tmp_path / "list.csv").write_text(LIST)

    async def run(*arguments: str) -> str:
        url = ("--url", f"http://127.0.0.1:{site.port}")
        invoked = ["polled", *arguments, *url]
        done = await asyncio.to_thread(
            lambda: CliRunner().invoke(command, invoked, standalone_mode=False)
        )
        if done.exception is not None:
            raise done.exception
        return done.output

    try:
        assert await run("list") == "no plain meter is polled\n"
        assert "1 of 1" in await run("add", str(tmp_path / "list.csv"))
        told = await run("list", "--json")
        assert "socket://127.0.0.1:1" in told and "secret" not in told
        lines = LIST + "".join(f"P{n},socket://127.0.0.1:{n},2,secret,kV\n" for n in range(2, 6))
        await Service(tms).enter_polled(lines)
        monkeypatch.setattr("smartmeter.tms.service.MAX_POLLED", 2)
        told = await run("list")
        assert [line.split()[0] for line in told.splitlines()] == [f"P{n}" for n in range(1, 6)]
        assert await run("remove", "P1") == "P1 is polled no more\n"
        with pytest.raises(SmartMeterError, match="P1: is not known"):
            await run("remove", "P1")
    finally:
        await site.stop()
