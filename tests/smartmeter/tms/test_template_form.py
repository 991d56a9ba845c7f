"""What is wrong with a template is told by its place in the file, and what to write there."""

import json
from typing import Any

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.tms.template import read_template

EVENT = {"SOURCE": 1, "CODE": 7, "DISPOSITION": 2}
PART = {"TABLE": 23, "OFFSET": 0, "COUNT": 4}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"schedules": 5}, "schedules: 5 is no list; write [...]"),
    ({"schedules": {}}, "schedules: {} is no list; write [...]"),
    ({"monitors": ""}, "monitors: '' is no list; write [...]"),
    ({"schedules": [{"SCHEDULE_NBR": 1}, "ab"]}, "schedules, entry 2: 'ab' is no object"),
    ({"outage": []}, "outage: [] is no object; write {...}"),
    ({"zone": ["UTC"]}, "zone: ['UTC'] is no text; name a zone"),
    ({"monitors": [{"PATH": 1}]}, "monitors, entry 1: PATH: 1 is no text"),
    (
        {"schedules": [{"PERIOD_MIN": -1}]},
        "schedules, entry 1: PERIOD_MIN: -1 is none that fits; give a whole number, 0 to 65535",
    ),
    ({"outage": {"THRESHOLD_S": 1.5}}, "outage: THRESHOLD_S: 1.5 is none that fits"),
    ({"monitors": [{"POWER": 128}]}, "give a whole number, -128 to 127"),
    ({"schedules": [{"TABLES": [1, 65536]}]}, "schedules, entry 1: TABLES 2: 65536 is none that"),
    ({"schedules": [{"PARTS": [{"TABLE": 23}]}]}, "PARTS 1: has other elements than TABLE, OFFSET"),
    ({"schedules": [{"PARTS": [PART, PART | {"X": 1}]}]}, "entry 1: PARTS 2: has other elements"),
    ({"schedules": [{"PARTS": [PART | {"OFFSET": 1 << 24}]}]}, "PARTS 1: OFFSET: 16777216 is none"),
    ({"schedules": [{"PERIOD_MIN": True}]}, "entry 1: PERIOD_MIN: True is none that fits"),
    ({"schedules": [{"TABLES": [True]}]}, "entry 1: TABLES 1: True is none that fits"),
    ({"schedules": [{"TASK": 99}]}, "schedule 0: unknown TASK"),
    ({"schedules": [{"KIND": 0}]}, "schedule 0: unknown KIND"),
    (
        {"monitors": [{"PATH": "\u00e9" * 33}]},
        "entry 1: PATH: '" + "\u00e9" * 33 + "' has 66 octets",
    ),
    ({"monitors": [{"PATH": "\ud800"}]}, r"entry 1: PATH: '\ud800' has half a character"),
    (
        {"monitors": [{"TABLE": 3, "WIDTH": 1, "CONDITION": 4, "THRESHOLD": 9}]},
        "monitor 0: THRESHOLD above THRESHOLD_HIGH, so that everything is OUTSIDE",
    ),
    (
        {"monitors": [{"WIDTH": 1, "CONDITION": 8, "WINDOW_S": 9, "THRESHOLD": -1}]},
        "monitor 0: THRESHOLD of a RATE below 0",
    ),
    (
        {"monitors": [{"TABLE": 3, "WIDTH": 1, "CONDITION": 6, "THRESHOLD": 8}]},
        "monitor 0: THRESHOLD is no bit, 0..7",
    ),
    ({"schedules": [{"PARTS": [PART | {"COUNT": 0}]}]}, "schedule 0: a part with COUNT 0"),
    (
        {"outage": {"SAG_PERMILLE": 1100, "SWELL_PERMILLE": 900}},
        "SWELL_PERMILLE not above SAG_PERMILLE",
    ),
    ({"disposition": {"ENTRIES": [EVENT, {**EVENT, "DISPOSITION": 0}]}}, "CODE 7 comes twice"),
    ({"disposition": {"ENTRIES": [7]}}, "disposition: ENTRIES 1: 7 is no object; write {...}"),
]


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_what_is_wrong_is_named_by_its_place(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_template(json.dumps(changes), "--template t.json")
    assert str(caught.value).startswith("--template t.json: ")
    assert told in str(caught.value)


def test_a_flag_may_be_written_as_true_or_false() -> None:
    entry = {"SCHEDULE_NBR": 1, "ENABLED": True, "LOCAL": False}
    plain = {"SCHEDULE_NBR": 1, "ENABLED": 1, "LOCAL": 0}
    images = [read_template(json.dumps({"schedules": [one]})).images for one in (entry, plain)]
    assert images[0] == images[1]


def test_a_number_of_too_many_digits_is_told_in_plain_words() -> None:
    with pytest.raises(SettingsError, match="holds a number of too many digits"):
        read_template('{"schedules": ' + "9" * 5000 + "}")
    with pytest.raises(SettingsError, match="is nested too deep"):
        read_template("[" * 100_000)


def test_a_name_that_comes_twice_is_refused_as_one_of_them_would_do_nothing() -> None:
    with pytest.raises(SettingsError, match="'zone' comes twice in one object; drop one"):
        read_template('{"zone": "UTC", "zone": "Europe/Berlin"}')
    # Each of many names is looked at once, and the whole file has its own remedy.
    many = "".join(f'"{number}": 0, ' for number in range(10_000))
    with pytest.raises(SettingsError, match="'9999' comes twice in one object; drop one"):
        read_template(f'{{"outage": {{{many} "9999": 0}}}}')
    with pytest.raises(SettingsError, match=r"is no JSON object; write \{\.\.\.\}"):
        read_template("[]")


def test_a_band_of_one_value_the_last_bit_and_a_swell_alone_are_taken() -> None:
    octet = {"TABLE": 3, "WIDTH": 1, "CONDITION": 6, "THRESHOLD": 7}
    band = {"MONITOR_NBR": 1, "WIDTH": 1, "CONDITION": 4, "THRESHOLD": 9, "THRESHOLD_HIGH": 9}
    swell = {"SAG_PERMILLE": 0, "SWELL_PERMILLE": 1}
    read_template(json.dumps({"monitors": [octet, band], "outage": swell}))
