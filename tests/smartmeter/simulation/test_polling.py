"""Both ways of reading over the same links and faults: what each comes to, and how it is told."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from smartmeter.base.clock import US_PER_S
from smartmeter.base.errors import SettingsError
from smartmeter.cli.compare_polling import (
    _CASE,
    _TABLES,
    _no_worse,
    _plot,
    _table,
    command,
)
from smartmeter.cli.comparison_plot import _draw, check_plot, write_plot
from smartmeter.network.faults import Partition
from smartmeter.network.link import LinkSettings
from smartmeter.simulation.fleet import EPOCH_US, FleetSettings
from smartmeter.simulation.polling import (
    MODES,
    Claim,
    Figures,
    PolledFleet,
    ages_of,
    compare,
    measure,
    unanswered,
)
from smartmeter.simulation.swarm import HOUR_US, Fault, Kind
from smartmeter.tms.model import Kind as JobKind

ESN = "SM000001"


def test_polling_reads_everything_in_turn_and_the_meters_say_nothing_themselves() -> None:
    fleet = PolledFleet(FleetSettings(3, 1, 2, faults=False))
    fleet.run(4 * HOUR_US)
    causes = {row["cause"] for row in fleet.store.read("SELECT cause FROM reports")}
    assert causes == {1}, "no report but the hello"
    assert fleet.store.number("SELECT count(*) FROM intervals") >= 3 * 15
    assert fleet.head_end.figures.polls >= 3 * 15


def test_an_outage_is_known_sooner_by_exception_and_both_deliver_the_same_intervals() -> None:
    by_exception, polled = compare(3, 1, 1, LinkSettings(500_000, 200_000, 0, 9600))
    assert by_exception.outages == polled.outages > 0
    assert by_exception.outage_known_median_s is not None
    assert by_exception.outage_known_median_s < 120
    assert (polled.outage_known_median_s or 1e9) > by_exception.outage_known_median_s
    assert abs(by_exception.complete_percent - polled.complete_percent) < 3
    assert by_exception.line_s_per_meter_day > 0


def test_what_polling_takes_for_an_outage_begins_with_a_poll_that_fails_after_a_good_one() -> None:
    fleet = PolledFleet(FleetSettings(1, 1, 2, faults=False))
    fleet.faults = [Fault(2 * HOUR_US, 4 * HOUR_US, Kind.MAINS, ESN, 0)]
    hours = {0: "done", 1: "failed", 3: "failed", 5: "done", 6: "failed", 7: "done"}
    rows = [
        (ESN, JobKind.RECOVER, state, EPOCH_US // US_PER_S + hour * 3600)
        for hour, state in hours.items()
    ]
    sql = "INSERT INTO jobs (esn, kind, state, requested_by, created_s, ended_s)"
    fleet.store.write(lambda c: c.executemany(f"{sql} VALUES (?,?,?,'',0,?)", rows))
    fleet.run(1)
    claims = unanswered(fleet)
    assert [(one.known_s * US_PER_S - EPOCH_US) // HOUR_US for one in claims] == [1, 6]
    found = measure(fleet, "polling", claims)
    # It had been given up before its mains went: there was nothing new to know.
    assert (found.outages, found.outages_missed, found.false_alarms) == (1, 1, 2)


def test_what_was_claimed_before_the_mains_went_is_a_false_alarm() -> None:
    fleet = PolledFleet(FleetSettings(1, 1, 2, faults=False))
    fleet.faults = [Fault(2 * HOUR_US, 4 * HOUR_US, Kind.MAINS, ESN, 0)]
    fleet.run(1)
    begin_s = (EPOCH_US + 2 * HOUR_US) // US_PER_S
    found = measure(fleet, "polling", [Claim(ESN, begin_s - 60, begin_s - 60)])
    assert (found.outages_missed, found.false_alarms) == (1, 1)


def test_polling_takes_no_meter_that_it_has_yet_to_hear_of_for_one_without_mains() -> None:
    fleet = PolledFleet(FleetSettings(3, 1, 1, faults=False))
    fleet.run(2 * HOUR_US)
    given_up = fleet.store.number("SELECT count(*) FROM jobs WHERE state='failed'")
    assert given_up and unanswered(fleet) == []


def test_where_most_is_lost_polling_sees_outages_that_are_none() -> None:
    link = LinkSettings(500_000, 200_000, 70, 9600)
    fleet = PolledFleet(FleetSettings(1, 1, 1, link=link, faults=False))
    fleet.run(12 * HOUR_US)
    claims = unanswered(fleet)
    assert len(claims) > 2
    fleet.faults = []
    assert measure(fleet, "polling", claims).false_alarms == len(claims)


def test_the_command_prints_an_object_for_each_way_of_a_link_that_is_named_twice() -> None:
    arguments = ["--meters", "1", "--rate", "9600", "--rate", "9600", "--loss", "0", "--json"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert [one["mode"] for one in found] == ["exception", "polling"]
    assert all(one["octets_per_meter_day"] > 0 for one in found)


def test_a_rate_that_no_link_has_is_wrong_use() -> None:
    assert CliRunner().invoke(command, ["--rate", "1"]).exit_code == 2


def test_what_never_came_is_as_old_as_the_run() -> None:
    fleet = PolledFleet(FleetSettings(1, 1, 2, faults=False))
    fleet.run(3 * HOUR_US)
    cut = Partition()
    fleet.houses["SM000001"].link.wrap(cut)
    fleet.run(9 * HOUR_US)
    ages = ages_of(fleet)
    assert len(ages) == len(fleet.houses["SM000001"].journal)
    # Six hours came to nothing; their intervals are from no time to six hours old.
    assert ages[-1] >= 6 * 3600 - 900 and sum(age > 3600 for age in ages) >= 19


@pytest.mark.parametrize("columns", ["1", "30", "500"])
def test_the_tables_fit_on_eighty_characters_and_are_whole_on_any_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outage = {"outages": 2, "outages_missed": 2, "outage_known_median_s": None, "false_alarms": 99}
    one = Figures(
        "exception", 10**9, 90, 99999.9, 1e6, 1e6, 10**8, 86400.0, complete_percent=99.99, **outage
    )
    for title, headings in _TABLES:
        shown = _table(title, (*_CASE, *headings), [one])
        assert title in shown and "…" not in shown
        assert max(map(len, shown.splitlines())) <= 80
    assert "never" in _plot([one])


def figures(mode: str, **changes: Any) -> Figures:
    usual = {"rate_bps": 9600, "loss_percent": 0, "intervals_per_hour": 4.0, "age_median_s": 20.0}
    usual |= {"age_p95_s": 30.0, "octets_per_meter_day": 5000, "line_s_per_meter_day": 4.0}
    usual |= {"outages": 0, "outages_missed": 0, "outage_known_median_s": None}
    usual |= {"false_alarms": 0}
    return Figures(mode, **(usual | {"complete_percent": 99.0} | changes))


def test_it_is_told_where_polling_is_no_worse_and_that_there_was_no_outage() -> None:
    quiet = [figures("exception"), figures("polling", age_p95_s=900.0, octets_per_meter_day=4000)]
    assert "No mains failed" in _plot(quiet) and "never" not in _plot(quiet)
    assert (
        _no_worse(quiet)
        .splitlines()[-1]
        .endswith("9600 bit/s  0 %: what arrived, age of half the data, octets, false alarms")
    )
    outages = {"outages": 3, "outage_known_median_s": 35.0}
    worse = {"complete_percent": 90.0, "age_median_s": 99.0, "age_p95_s": 99.0}
    worse |= {
        "octets_per_meter_day": 9000,
        "outages_missed": 1,
        "false_alarms": 2,
        "outage_known_median_s": 400.0,
    }
    pair = [figures("exception", **outages), figures("polling", **outages | worse)]
    assert _no_worse(pair).splitlines()[-1].endswith(": nowhere")


def test_a_plot_has_a_line_for_each_way_and_rate_and_says_where_there_is_nothing(
    tmp_path: Path,
) -> None:
    found = [
        Figures(mode, rate, loss, 4, 700, 900, 30_000, 30.0, 0, 0, None, 0, 99.0)
        for rate in (1200, 9600)
        for loss in (0, 20)
        for mode in ("exception", "polling")
    ]
    write_plot(str(tmp_path / "ways.svg"), found, "four cases")
    drawn = (tmp_path / "ways.svg").read_text()
    # matplotlib draws text as shapes, and tells it in comments.
    for text in ("exception, 1200 bit/s", "polling, 9600 bit/s", "four cases", "none"):
        assert f"<!-- {text} -->" in drawn or text in drawn
    write_plot(str(tmp_path / "ways.png"), found, "")
    drawn_before = (tmp_path / "ways.png").read_bytes()
    assert drawn_before.startswith(b"\x89PNG")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(SettingsError, match=r"ways\.png: File too large"):
            write_plot(str(tmp_path / "ways.png"), found, "there is no room")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "ways.png").read_bytes() == drawn_before


def test_no_two_ways_and_rates_are_drawn_alike() -> None:
    pyplot = pytest.importorskip("matplotlib.figure")
    axes = pyplot.Figure().subplots()
    rates = (300, 600, 1200, 2400, 9600, 19200)
    _draw(axes, "age_p95_s", [figures(mode, rate_bps=one) for one in rates for mode in MODES])
    looks = {(one.get_linestyle(), one.get_marker(), one.get_color()) for one in axes.lines}
    assert len(looks) == len(axes.lines) == 2 * len(rates)


@pytest.mark.parametrize("name", ["ways.txt", "ways", "no/such/folder/ways.svg"])
def test_a_plot_that_cannot_be_written_is_told_before_the_work(name: str) -> None:
    with pytest.raises(SettingsError, match="--plot"):
        check_plot(name)
