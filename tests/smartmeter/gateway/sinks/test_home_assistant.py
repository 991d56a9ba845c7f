"""Hourly history: exact, by UTC hour, the same when it is sent again; over a real websocket.

The server checks the calls as Home Assistant's developer documentation states
them for ``recorder/import_statistics`` and ``recorder/statistics_during_period``.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import Server, ServerConnection, serve

from smartmeter.gateway.checks import check_home_assistant
from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks import statistics_link
from smartmeter.gateway.sinks.home_assistant import hourly_statistics, statistic_metadata
from smartmeter.gateway.sinks.settings import HomeAssistantSettings, SinkRefused, TokenRefused
from smartmeter.gateway.sinks.statistics import Statistics
from smartmeter.gateway.sinks.statistics_link import StatisticsLink
from smartmeter.ssi.profile_reading import Interval
from tests.smartmeter.gateway.reports import EPOCH_S, hello, meter_images, profile, recorded
from tests.smartmeter.gateway.sinks.home import ESN, TOKEN, Home, settings


async def home_server(home: Home) -> Server:
    return await serve(home.serve, "127.0.0.1", 0)


def quarter_hours(first: datetime, count: int) -> list[tuple[int, str]]:
    begin_s = int(first.timestamp())
    ends = (begin_s + 900 * (n + 1) for n in range(count))
    return [((end_s - 1) // 3600 * 3600, "25") for end_s in ends]


async def test_history_is_imported_and_the_same_again_changes_nothing() -> None:
    home = Home()
    server = await home_server(home)
    rows = quarter_hours(datetime(2026, 1, 1, tzinfo=UTC), 4 * 24 * 40)
    entries = hourly_statistics(rows)
    metadata = statistic_metadata("SM000001", "delivered")
    await StatisticsLink(settings(server)).import_statistics(metadata, entries)
    held = dict(home.statistics["smartmeter:meter_sm000001_delivered"])
    assert len(held) == 24 * 40 and home.calls == 5
    assert held["2026-01-01T00:00:00+00:00"] == (100, 100)
    await StatisticsLink(settings(server)).import_statistics(metadata, entries[-30:])
    assert home.statistics["smartmeter:meter_sm000001_delivered"] == held
    server.close()


@pytest.mark.parametrize("version", ["2024.3.3", "2025.10.4", "2025.11.0b1", "2026.2.3"])
async def test_each_edition_of_home_assistant_takes_the_history(version: str) -> None:
    home = Home(version)
    server = await home_server(home)
    entries = hourly_statistics(quarter_hours(datetime(2026, 1, 1, tzinfo=UTC), 4))
    metadata = statistic_metadata("SM000001", "delivered")
    await StatisticsLink(settings(server)).import_statistics(metadata, entries)
    assert home.statistics == {metadata["statistic_id"]: {entries[0]["start"]: (100, 100)}}
    server.close()


async def test_who_is_no_home_assistant_has_refused_no_token() -> None:
    async def greet(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "hello"}))

    server = await serve(greet, "127.0.0.1", 0)
    with pytest.raises(SinkRefused, match="does url lead to it") as refused:
        await StatisticsLink(settings(server)).try_token()
    assert not isinstance(refused.value, TokenRefused)
    server.close()


async def test_only_what_is_not_there_is_sent_and_no_question_spans_many_hours() -> None:
    home = Home()
    server = await home_server(home)
    rows = quarter_hours(datetime(2026, 1, 1, tzinfo=UTC), 4 * 24 * 60)
    entries = hourly_statistics([(0, "5"), *rows])  # a clock that stood at 1970 for an hour
    metadata = statistic_metadata("SM000001", "delivered")
    link = StatisticsLink(settings(server))
    await link.import_statistics(metadata, entries)
    assert home.calls == 9
    held = home.statistics[metadata["statistic_id"]]
    whole, lost = dict(held), entries[700]["start"]
    del held[lost]
    await link.import_statistics(metadata, entries)
    assert home.calls == 10 and held == whole
    for call in home.asked:
        begin, end = (datetime.fromisoformat(call[name]) for name in ("start_time", "end_time"))
        assert end - begin <= timedelta(hours=200)
    server.close()


async def test_history_that_comes_piece_by_piece_is_that_of_the_whole(tmp_path: Path) -> None:
    home = Home()
    server = await home_server(home)
    readings = Readings(tmp_path / "readings.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images()))])
    step = Statistics(StatisticsLink(settings(server)), readings).step
    # In order, with a gap that is filled late, and once with a gateway that began anew.
    pieces = [range(3), range(3, 4), range(4, 9), range(17, 30), range(9, 17), range(30, 47)]
    for number, piece in enumerate(pieces, 2):
        values = [[n, 3 * n] for n in piece]
        readings.keep(ESN, 1, [(number, profile(number, piece.start, values))])
        assert await step() and not await step()
        if number == 4:
            step = Statistics(StatisticsLink(settings(server)), readings).step
    for direction in ("delivered", "received"):
        whole = hourly_statistics(readings.hourly(ESN, 1, direction))
        told = home.statistics[f"smartmeter:meter_sm000001_{direction}"]
        assert told == {one["start"]: (one["state"], one["sum"]) for one in whole}
        assert len(whole) == 12
    calls = home.calls
    readings.prune(EPOCH_S + 800 * 86_400 + 2 * 3600 + 1)
    readings.keep(ESN, 1, [(20, profile(20, 47, [[47, 141]]))])
    assert await step() and home.calls == calls + 2
    delivered = home.statistics["smartmeter:meter_sm000001_delivered"]
    assert delivered["2026-01-01T11:00:00+00:00"][1] == sum(range(48))
    server.close()


async def test_history_goes_on_when_another_meter_records_energy_in_another_channel(
    tmp_path: Path,
) -> None:
    home = Home()
    server = await home_server(home)
    readings = Readings(tmp_path / "readings.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images())), (2, profile(2, 0, [[10, 3]] * 40))])
    await Statistics(StatisticsLink(settings(server)), readings).step()
    readings.keep(ESN, 1, [(3, profile(3, 40, [[3, 10]] * 8))])
    readings._db.connection.execute(
        "UPDATE intervals SET channel = channel + 9 WHERE sequence >= 40 AND channel = 0"
    )
    readings._db.connection.execute(
        "UPDATE intervals SET direction = iif(channel = 1, 'delivered', 'received')"
        " WHERE sequence >= 40"
    )
    await Statistics(StatisticsLink(settings(server)), readings).step()
    for direction, wh in (("delivered", 10), ("received", 3)):
        told = home.statistics[f"smartmeter:meter_sm000001_{direction}"].values()
        assert [total for _, total in told] == [4 * wh * (n + 1) for n in range(12)]
    readings.prune(EPOCH_S + 800 * 86_400 + 11 * 3600 + 1)
    assert readings.forgotten(ESN, 1, "delivered") == 440
    server.close()


def begun(folder: Path) -> Readings:
    """Give new readings that know the meter, and none of its intervals."""
    readings = Readings(folder / "readings.sqlite3")
    readings.keep(ESN, 1, [(1, hello(1, meter_images()))])
    return readings


async def test_history_goes_on_from_what_home_assistant_has_where_the_readings_began_anew(
    tmp_path: Path,
) -> None:
    home = Home()
    server = await home_server(home)
    name = "smartmeter:meter_sm000001_delivered"
    readings = begun(tmp_path / "old")
    readings.keep(ESN, 1, [(2, profile(2, 0, [[10, 3]] * 48))])
    await Statistics(StatisticsLink(settings(server)), readings).step()
    readings.close()
    before = dict(home.statistics[name])
    # A new SD card: the meter still has the last eight of twelve hours, and records on.
    readings = begun(tmp_path / "new")
    readings.keep(
        ESN, 1, [(2, profile(2, 16, [[10, 3]] * 20)), (3, profile(3, 36, [[10, 3]] * 20))]
    )
    home.fault = lambda call: "not now"  # type: ignore[method-assign]
    with pytest.raises(SinkRefused, match="not now"):
        await Statistics(StatisticsLink(settings(server)), readings).step()
    del home.fault
    for _ in range(2):  # after a restart, as before it
        await Statistics(StatisticsLink(settings(server)), readings).step()
        assert home.statistics[name] == before | {
            "2026-01-01T12:00:00+00:00": (520, 520),
            "2026-01-01T13:00:00+00:00": (560, 560),
        }
        readings.move("home_assistant", {"intervals": 0})
    asked = [call["end_time"] for call in home.asked].count("2026-01-01T04:00:00+00:00")
    assert asked == 2, "once in each direction: what is known is kept"
    readings.prune(EPOCH_S + 800 * 86_400 + 6 * 3600 + 1)
    readings.keep(ESN, 1, [(4, profile(4, 56, [[10, 3]] * 4))])
    await Statistics(StatisticsLink(settings(server)), readings).step()
    assert home.statistics[name]["2026-01-01T14:00:00+00:00"] == (600, 600)
    assert home.statistics[name]["2026-01-01T13:00:00+00:00"] == (560, 560)
    readings.close()
    server.close()


@pytest.mark.parametrize(
    ("had", "first"),
    [(46, 46), (45, 46), (48, 18), (46, 16), (48, 51)],
)
async def test_no_energy_is_lost_where_the_readings_begin_anew_within_an_hour(
    tmp_path: Path, had: int, first: int
) -> None:
    """``had`` quarters of an hour are there; the new readings begin with a later or earlier one."""
    home = Home()
    server = await home_server(home)
    for folder, begin, end in (("old", 0, had), ("new", first, 56)):
        readings = begun(tmp_path / folder)
        readings.keep(ESN, 1, [(2, profile(2, begin, [[10, 3]] * (end - begin)))])
        for _ in range(2):
            await Statistics(StatisticsLink(settings(server)), readings).step()
            readings.move("home_assistant", {"intervals": 0})
        readings.close()
    told = home.statistics["smartmeter:meter_sm000001_delivered"]
    lost = max(0, first - had)
    assert told["2026-01-01T13:00:00+00:00"] == (10 * (56 - lost),) * 2
    sums = [told[hour][1] for hour in sorted(told)]
    assert sums == sorted(sums)
    server.close()


@pytest.mark.parametrize("hours_left", [0, 3, 9])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("had", [42, 44])
async def test_hours_that_home_assistant_has_lost_are_sent_again(
    tmp_path: Path, hours_left: int, restarted: bool, had: int
) -> None:
    """Its database is new, or from an older copy."""
    home = Home()
    server = await home_server(home)
    readings = begun(tmp_path)
    statistics = Statistics(StatisticsLink(settings(server)), readings)
    full = {f"2026-01-01T{n:02}:00:00+00:00": (40 * (n + 1),) * 2 for n in range(13)}
    for number, piece in enumerate((range(20), range(20, 40), range(40, had), range(had, 52)), 2):
        if number == 5:
            for held in home.statistics.values():
                for hour in sorted(held)[hours_left:]:
                    del held[hour]
            if restarted:
                statistics = Statistics(StatisticsLink(settings(server)), readings)
        rows = [[10, 3]] * len(piece)
        readings.keep(ESN, 1, [(number, profile(number, piece.start, rows))])
        await statistics.step()
    assert home.statistics["smartmeter:meter_sm000001_delivered"] == full
    readings.close()
    server.close()


@pytest.mark.parametrize("hours_left", [0, 9])
async def test_hours_without_energy_that_home_assistant_has_lost_are_sent_again(
    tmp_path: Path, hours_left: int
) -> None:
    """Where nothing is fed in, what it lost has the sum of what it kept."""
    home = Home()
    server = await home_server(home)
    readings = begun(tmp_path)
    statistics = Statistics(StatisticsLink(settings(server)), readings)
    for number, piece in enumerate((range(40), range(40, 44)), 2):
        for held in home.statistics.values():
            for hour in sorted(held)[hours_left:]:
                del held[hour]
        readings.keep(ESN, 1, [(number, profile(number, piece.start, [[10, 0]] * len(piece)))])
        await statistics.step()
    hours = sorted(home.statistics["smartmeter:meter_sm000001_received"])
    assert hours == [f"2026-01-01T{n:02}:00:00+00:00" for n in range(11)]
    readings.close()
    server.close()


async def test_a_database_that_is_new_begins_without_a_step_for_hours_that_are_gone(
    tmp_path: Path,
) -> None:
    home = Home()
    server = await home_server(home)
    name = "smartmeter:meter_sm000001_delivered"
    home.statistics = {name: {"2025-12-31T23:00:00+00:00": (5000, 5000)}}
    readings = begun(tmp_path)
    statistics = Statistics(StatisticsLink(settings(server)), readings)
    readings.keep(ESN, 1, [(2, profile(2, 0, [[10, 3]] * 40))])
    await statistics.step()
    assert home.statistics[name]["2026-01-01T09:00:00+00:00"] == (5400, 5400)
    readings.prune(EPOCH_S + 800 * 86_400 + 2 * 3600 + 1)
    home.statistics.clear()
    for number in (3, 4):
        readings.keep(ESN, 1, [(number, profile(number, 28 + 4 * number, [[10, 3]] * 4))])
        await statistics.step()
    sums = [home.statistics[name][hour][1] for hour in sorted(home.statistics[name])]
    assert sums == list(range(40, 40 * len(sums) + 1, 40)) and len(sums) == 10
    readings.close()
    server.close()


async def test_hours_count_as_sent_once_home_assistant_has_stored_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics_link, "STORED_AFTER_S", (0.0,))
    home = Home()
    server = await home_server(home)
    readings = begun(tmp_path)
    readings.keep(ESN, 1, [(2, profile(2, 0, [[10, 3]] * 8))])
    statistics = Statistics(StatisticsLink(settings(server)), readings)
    taken = home.answer

    def forget(call: dict[str, object]) -> dict[str, object]:
        answer = taken(call)
        home.statistics.clear()  # a power cut, before it had written them
        return answer

    home.answer = forget  # type: ignore[method-assign]
    with pytest.raises(SinkRefused, match="has not stored the statistics yet"):
        await statistics.step()
    assert home.calls == 2, "the other direction is not kept back"
    home.answer = taken  # type: ignore[method-assign]
    assert await statistics.step()
    held = home.statistics["smartmeter:meter_sm000001_delivered"]
    assert [total for _, total in held.values()] == [40, 80]
    readings.close()
    server.close()


async def told_of_new_readings(
    tmp_path: Path, had: list[list[int]], parts: Sequence[tuple[int, list[list[int]]]]
) -> dict[str, tuple[int, int]]:
    """Give what Home Assistant has after ``had`` of readings that were lost, and ``parts`` of new
    ones, each sent when it came: from which quarter of an hour, and its rows."""
    home = Home()
    server = await home_server(home)
    old, new = begun(tmp_path / "old"), begun(tmp_path / "new")
    old.keep(ESN, 1, [(2, profile(2, 0, had))])
    await Statistics(StatisticsLink(settings(server)), old).step()
    statistics = Statistics(StatisticsLink(settings(server)), new)
    for number, (begin, rows) in enumerate(parts, 2):
        new.keep(ESN, 1, [(number, profile(number, begin, rows))])
        await statistics.step()
    old.close()
    new.close()
    server.close()
    return home.statistics["smartmeter:meter_sm000001_delivered"]


@pytest.mark.parametrize(("had", "filled"), [(48, 42), (46, 46), (46, 42), (46, 38)])
async def test_no_energy_is_lost_or_doubled_where_a_gap_before_the_new_readings_is_filled(
    tmp_path: Path, had: int, filled: int
) -> None:
    full = [[10, 3]] * 56
    parts = ((52, full[52:56]), (filled, full[filled:52]))
    told = await told_of_new_readings(tmp_path, full[:had], parts)
    assert told["2026-01-01T13:00:00+00:00"] == (560, 560)


async def test_no_energy_is_doubled_where_none_came_in_the_hours_before_the_new_readings(
    tmp_path: Path,
) -> None:
    """As of a sun that went down: the history before goes on, and its sums stand still."""
    day = [[10, 3]] * 44 + [[0, 0]] * 12
    parts = ((52, day[52:56]), (42, day[42:52]))
    told = await told_of_new_readings(tmp_path, day[:48], parts)
    assert told["2026-01-01T13:00:00+00:00"] == (440, 440)


async def test_a_history_that_began_at_0_again_is_mended_although_the_first_import_fails(
    tmp_path: Path,
) -> None:
    home = Home()
    server = await home_server(home)
    name = "smartmeter:meter_sm000001_delivered"
    hours = [f"2026-01-01T{hour:02}:00:00+00:00" for hour in range(10, 15)]
    # By a version that asked nothing: new readings, and sums from 0 on, since twelve o'clock.
    held = zip(hours[:4], (440, 480, 40, 80), strict=True)
    home.statistics = {name: {hour: (wh, wh) for hour, wh in held}}
    readings = begun(tmp_path)
    readings.keep(ESN, 1, [(2, profile(2, 48, [[10, 3]] * 8))])
    readings.move("home_assistant", {"intervals": readings.after("intervals", 0)[-1]["number"]})
    readings.keep(ESN, 1, [(3, profile(3, 56, [[10, 3]] * 4))])
    home.fault = lambda call: "not now"  # type: ignore[method-assign]
    with pytest.raises(SinkRefused, match="not now"):
        await Statistics(StatisticsLink(settings(server)), readings).step()
    del home.fault
    await Statistics(StatisticsLink(settings(server)), readings).step()
    assert [home.statistics[name][hour][1] for hour in hours] == [440, 480, 520, 560, 600]
    readings.close()
    server.close()


async def test_an_earlier_hour_that_comes_later_is_not_counted_twice(tmp_path: Path) -> None:
    home = Home()
    server = await home_server(home)
    readings = begun(tmp_path / "old")
    readings.keep(ESN, 1, [(2, profile(2, 0, [[10, 3]] * 48))])
    await Statistics(StatisticsLink(settings(server)), readings).step()
    before = json.dumps(home.statistics)
    readings.close()
    readings = begun(tmp_path / "new")
    step = Statistics(StatisticsLink(settings(server)), readings).step
    for number, first in ((2, 32), (3, 16)):
        readings.keep(ESN, 1, [(number, profile(number, first, [[10, 3]] * 16))])
        await step()
        assert json.dumps(home.statistics) == before
    # A clock that was wrong for a while: far before all that Home Assistant has.
    wrong = [Interval(48 + n, EPOCH_S - 40 * 86_400 + 900 * n, b"\x01", (10, 3)) for n in range(4)]
    readings.keep(ESN, 1, [(4, recorded(4, wrong))])
    await step()
    told = home.statistics["smartmeter:meter_sm000001_delivered"]
    assert told["2026-01-01T11:00:00+00:00"] == (520, 520)
    readings.close()
    server.close()


async def test_the_sum_before_an_hour_is_found_after_an_absence_of_months() -> None:
    home = Home()
    server = await home_server(home)
    held = {"2025-03-30T22:00:00+00:00": (5, 5), "2025-06-01T00:00:00+00:00": (7, 7)}
    home.statistics = {"smartmeter:meter": {**held, "2026-01-01T00:00:00+00:00": (9, 9)}}
    for text, expected in (
        ("2025-03-30T22:00", 0),
        ("2025-03-30T23:00", 5),
        ("2025-06-01T00:00", 5),
        ("2025-06-01T01:00", 7),
        ("2026-01-01T00:00", 7),
        ("2026-01-01T01:00", 9),
    ):
        hour_s = int(datetime.fromisoformat(f"{text}+00:00").timestamp())
        assert (
            await StatisticsLink(settings(server)).sum_before("smartmeter:meter", hour_s)
            == expected
        )
    assert await StatisticsLink(settings(server)).sum_before("smartmeter:other", hour_s) == 0
    for rubbish in ([], {"smartmeter:meter": 7}, {"smartmeter:meter": [7]}):
        home.found = lambda call, told=rubbish: told  # type: ignore[method-assign,misc]
        with pytest.raises(SinkRefused, match="what are no statistics"):
            await StatisticsLink(settings(server)).sum_before("smartmeter:meter", hour_s)
    server.close()


async def test_a_wrong_token_and_a_refusal_are_one_line_each() -> None:
    server = await home_server(Home())
    metadata = statistic_metadata("SM000001", "delivered")
    with pytest.raises(SinkRefused, match="refuses the token: Invalid token"):
        await StatisticsLink(settings(server, "wrong")).import_statistics(metadata, [])
    entry = {"start": "2026-01-01T00:30:00+00:00", "state": 1, "sum": 1}
    with pytest.raises(SinkRefused, match="full hour"):
        await StatisticsLink(settings(server)).import_statistics(metadata, [entry])
    plain = settings(server)
    with pytest.raises(SinkRefused, match="is TLS spoken there"):
        await StatisticsLink(replace(plain, url=plain.url.replace("ws:", "wss:"))).sum_before(
            "s", 0
        )
    server.close()
    nobody = HomeAssistantSettings("ws://127.0.0.1:1/api/websocket", TOKEN)
    with pytest.raises(SinkRefused, match="Home Assistant"):
        await StatisticsLink(nobody).import_statistics(metadata, [])


async def test_check_tells_whether_the_token_is_taken() -> None:
    home = Home()
    server = await home_server(home)
    good = await asyncio.to_thread(check_home_assistant, settings(server))
    assert (good.wrong, good.text) == (False, "takes connections and the token")
    wrong = await asyncio.to_thread(check_home_assistant, settings(server, "wrong"))
    assert wrong.wrong and "refuses the token" in wrong.text and "token_file" in wrong.text
    home.admin = False
    other = await asyncio.to_thread(check_home_assistant, settings(server))
    assert other.wrong and "not an administrator's" in other.text
    assert not home.calls, "nothing was brought in"
    server.close()


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)],
)
def test_days_of_23_and_25_hours_have_as_many_entries(day: str, hours: int) -> None:
    zone = ZoneInfo("America/New_York")
    begin = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=zone)
    count = int(end.timestamp() - begin.timestamp()) // 900
    entries = hourly_statistics(quarter_hours(begin, count))
    assert len(entries) == hours
    assert [entry["sum"] for entry in entries] == [100 * (n + 1) for n in range(hours)]


@given(st.lists(st.decimals(0, 10_000, places=3), min_size=1, max_size=60))
def test_rounding_never_adds_up(values: list[Decimal]) -> None:
    rows = [(n // 4 * 3600, str(value)) for n, value in enumerate(values)]
    entries = hourly_statistics(rows)
    assert abs(entries[-1]["sum"] - sum(values)) <= Decimal("0.5")


async def test_a_message_that_is_nested_beyond_reason_is_a_refusal() -> None:
    async def babble(socket: ServerConnection) -> None:
        await socket.send("[" * 100_000)

    async with serve(babble, "127.0.0.1", 0) as server:
        with pytest.raises(SinkRefused, match="what is no message"):
            await StatisticsLink(settings(server)).import_statistics(
                statistic_metadata(ESN, "delivered"), [{}]
            )
