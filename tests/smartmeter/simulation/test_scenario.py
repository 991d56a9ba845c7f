"""A scenario does what it says when its time has come, and a wrong one is refused beforehand."""

import json
import time
from pathlib import Path

import pytest

from ansi_tables import Snapshot
from protocols.transports.pump import open_meter
from smartmeter.base.clock import US_PER_S
from smartmeter.base.errors import SettingsError
from smartmeter.meter.profiles import PROFILES
from smartmeter.meter.trouble import Trouble
from smartmeter.simulation.breakable import Breakable
from smartmeter.simulation.control import Control, Controlled
from smartmeter.simulation.scenario import Scenario
from tests.smartmeter.cli.served import meter_process, smartmeter
from tests.smartmeter.meter.bench import Bench

STEPS = [
    {"at_s": 120, "do": "power", "on": False},
    {"at_s": 60, "do": "troubles", "kind": "cover"},
    {"at_s": 90, "do": "troubles", "kind": "cover", "on": False},
]


def test_steps_are_done_in_order_of_their_times() -> None:
    bench = Bench(PROFILES["residential-tou"])
    line = Breakable(bench.meter)
    control = Control([Controlled(line, "one", bench.calendar)], begun_us=0)
    scenario = Scenario.from_json(json.dumps(STEPS), "steps", meters=1)
    assert scenario.deadline_us(control) == 60 * US_PER_S
    assert list(scenario.expire(control, 59 * US_PER_S)) == []
    done = list(scenario.expire(control, 100 * US_PER_S))
    assert [text.split(":")[0] for text in done] == ["60 s", "90 s"]
    assert bench.meter.conditions.present == {}
    assert bench.meter.table(3, 100 * US_PER_S)[2] & 0x10  # tamper was seen
    assert len(list(scenario.expire(control, 120 * US_PER_S))) == 1
    assert not bench.meter.mains_on and scenario.deadline_us(control) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "{",
        '{"at_s": 1}',
        "[7]",
        '[{"do": "power", "on": false}]',
        '[{"at_s": -1, "do": "power", "on": false}]',
        '[{"at_s": 1, "do": "melt"}]',
        '[{"at_s": 1, "do": "power"}]',
        '[{"at_s": 1, "do": "troubles", "kind": "fire"}]',
        '[{"at_s": 1, "do": "power", "on": true, "meter": 1}]',
    ],
)
def test_a_wrong_scenario_names_its_step_and_a_remedy(wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Scenario.from_json(wrong, "bad.json", meters=1)
    assert caught.value.remedy and "bad.json" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"do": "troubles", "kind": "fire"}, f"one of {', '.join(Trouble)}; write it as"),
        ({"do": "power", "x" * 10_000: True}, f"'{'x' * 79} is not known here; on"),
        ({"do": "x" * 10_000}, f"do '{'x' * 79} is not known; one of"),
    ],
)
def test_a_wrong_step_is_quoted_in_short_and_what_may_stand_there_is_told_whole(
    wrong: dict[str, object], told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Scenario.from_json(json.dumps([{"at_s": 1, **wrong}]), "bad.json", meters=1)
    assert told in str(caught.value)


def test_an_outage_of_a_served_scenario_ends_when_it_says(tmp_path: Path) -> None:
    path = tmp_path / "outage.json"
    path.write_text('[{"at_s": 0, "do": "power", "on": false, "for_ms": 200}]')
    with meter_process("--tcp", "127.0.0.1:0", "--scenario", str(path)) as (port, process):
        assert process.stderr is not None
        assert "power" in process.stderr.readline()
        time.sleep(0.6)
        with open_meter(port, password=b"master") as meter:
            images = {number: meter.read(number) for number in (0, 71, 72, 75, 76)}
    assert [event.code for event in Snapshot(images).events()] == [1, 2]


def test_serve_refuses_a_wrong_scenario_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('[{"at_s": 1, "do": "melt"}]')
    done = smartmeter("meter", "serve", "--tcp", "127.0.0.1:0", "--scenario", str(path))
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1
    assert "step 1" in done.stderr and "troubles" in done.stderr
