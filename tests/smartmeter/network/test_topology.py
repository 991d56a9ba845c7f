"""The picture of the network: every place and way, whatever their names; Graphviz agrees."""

import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from smartmeter.base.errors import SettingsError
from smartmeter.cli.fleet import command
from smartmeter.network.link import LinkSettings
from smartmeter.network.topology import Place, Topology, Way
from smartmeter.simulation.fleet import Fleet, FleetSettings, run_fleet
from smartmeter.simulation.swarm import HOUR_US, Kind


def test_a_chain_is_drawn_from_the_top_down_once() -> None:
    graph = Topology()
    tms, relay = Place("TMS", "tms"), Place(".91", "relay", "far")
    graph.chain([tms, relay, Place("SM1", "meter")])
    graph.chain([tms, relay, Place("SM2", "meter", sound=False)])
    assert list(graph.ways) == [(".91", "TMS"), ("SM1", ".91"), ("SM2", ".91")]
    text = graph.dot()
    assert text.count('"TMS" -- ".91"') == 1 and ".91\\nfar" in text
    assert text.count("style=dashed") == 1


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True))
def test_any_names_make_one_line_each_with_even_quotes(names: list[str]) -> None:
    graph = Topology()
    graph.chain([Place(name, "meter") for name in names])
    lines = graph.dot("x").splitlines()
    assert len(lines) == 4 + len(names) + len(names) - 1
    for line in lines:
        assert line.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 0


def test_a_way_needs_its_places() -> None:
    with pytest.raises(AssertionError):
        Topology().link(Way("a", "b"))


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the Debian package graphviz")
def test_graphviz_draws_what_the_fleet_says(tmp_path: object) -> None:
    done = CliRunner().invoke(command, ["--meters", "3", "--relays", "2", "--dot", "-"])
    assert done.exit_code == 0, done.output
    drawn = subprocess.run(
        ["dot", "-Tjson0"], input=done.output, capture_output=True, text=True, timeout=60
    )
    assert drawn.returncode == 0, drawn.stderr
    graph = json.loads(drawn.stdout)
    assert len(graph["objects"]) == 6 and len(graph["edges"]) == 5


def test_a_fleet_behind_relays_loses_nothing_and_is_the_same_for_the_same_seed() -> None:
    settings = FleetSettings(2, 1, 4, relays=2, kinds=(Kind.AREA, Kind.LOSS, Kind.NETWORK))
    assert run_fleet(settings).sound
    assert settings.command.endswith("--seed 4 --relays 2")
    traces: list[list[str]] = [[], []]
    for trace in traces:
        Fleet(settings, trace.append).run(4 * HOUR_US)
    assert traces[0] == traces[1] and len(traces[0]) > 50


@pytest.mark.night
@pytest.mark.parametrize("seed", range(11, 19))
def test_four_bad_days_of_three_meters_behind_two_relays(seed: int) -> None:
    assert run_fleet(FleetSettings(3, 4, seed, relays=2)).sound


def test_an_area_fault_cuts_off_the_meters_of_one_relay_only() -> None:
    fleet = Fleet(FleetSettings(4, 1, 2, relays=2, faults=False))
    fleet.run(3 * HOUR_US)
    fault = next(iter(Fleet(FleetSettings(4, 5, 2, kinds=(Kind.AREA,))).faults))
    fleet._strike_area(True, fault)
    before = {esn: fleet.store.number(_NEWEST, esn) for esn in fleet.houses}
    fleet.run(4 * HOUR_US)
    after = {esn: fleet.store.number(_NEWEST, esn) for esn in fleet.houses}
    cut = {house.relay for esn, house in fleet.houses.items() if after[esn] == before[esn]}
    heard = {house.relay for esn, house in fleet.houses.items() if after[esn] > before[esn]}
    assert len(cut) == len(heard) == 1 and cut != heard


_NEWEST = "SELECT max(end_s) FROM intervals WHERE esn=?"


def test_over_a_bad_link_everything_arrives_and_the_command_says_how_bad() -> None:
    link = LinkSettings(40_000, 400_000, 10, 2400, 20_000, 0, 0, 10, 10, 5)
    settings = FleetSettings(1, 1, 6, faults=False, link=link)
    assert run_fleet(settings).sound
    assert "--link loss_percent=10 --link rate_bps=2400" in settings.command


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--link", "loss=1"], "loss_percent"),
        (["--link", "loss_percent=-1"], "whole number"),
        (["--link", "loss_percent=95"], "at most 90"),
        (["--link", "duty_period_us=5"], "duty_open_us"),
        (["--link", "duty_open_us=5"], "duty_period_us"),
        (["--link", "queue_octets=500"], "rate_bps"),
        (["--backhaul", "loss_percent=1"], "--relays"),
        (["--relays", "1", "--backhaul", "rate_bps"], "rate_bps"),
        (["--relays", "x"], "--relays"),
    ],
)
def test_wrong_links_are_wrong_use(arguments: list[str], word: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2 and word in done.output


def test_a_picture_that_cannot_be_written_is_said_so() -> None:
    with pytest.raises(SettingsError, match=r"--dot .*choose another"):
        command.main(["--meters", "1", "--dot", "/no/such/folder/x.dot"], standalone_mode=False)
