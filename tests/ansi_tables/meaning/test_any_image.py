"""Whatever octets a meter sends, its meaning is a value or a TableError, and a report goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from construct import Int16ul, Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from ansi_tables import MissingContextError, Snapshot, TableError, registry, rendering, table
from ansi_tables.differences import differences
from ansi_tables.meaning.notes import notes_on
from smartmeter.cli import meter_report

EXAMPLE = Path(__file__).parents[3] / "docs" / "c1219" / "example_meter.json"
GOOD = Snapshot.from_json(EXAMPLE.read_text())

READERS: tuple[Callable[[Snapshot], Any], ...] = (
    Snapshot.registers,
    Snapshot.previous_season,
    Snapshot.previous_demand_reset,
    Snapshot.self_reads,
    Snapshot.present_values,
    Snapshot.load_profile,
    Snapshot.events,
    Snapshot.history,
    Snapshot.clock,
    Snapshot.calendar,
    Snapshot.sources,
)


@st.composite
def broken(draw: st.DrawFn) -> Snapshot:
    """The example with some octets changed, tables cut, lengthened or gone."""
    images = dict(GOOD.images)
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.sampled_from(sorted(images)))
        image = bytearray(images[number])
        how = draw(st.sampled_from(("set", "set", "set", "cut", "grow", "drop")))
        if how == "set" and image:
            image[draw(st.integers(0, len(image) - 1))] = draw(st.integers(0, 255))
        elif how == "cut":
            del image[draw(st.integers(0, len(image))) :]
        elif how == "grow":
            image += draw(st.binary(max_size=40))
        if how == "drop":
            del images[number]
        else:
            images[number] = bytes(image)
        if not images:
            break
    return Snapshot(images)


def read_all(meter: Snapshot) -> None:
    for read in READERS:
        try:
            read(meter)
        except TableError as error:
            assert str(error) and error.remedy


@settings(max_examples=120, deadline=None)
@given(broken())
def test_every_reader_gives_a_value_or_a_table_error(meter: Snapshot) -> None:
    read_all(meter)


def report_all(meter: Snapshot) -> None:
    assert all(isinstance(line, str) for line in meter_report.lines(meter))
    for number in meter:
        notes_on(meter, number)
    differences(GOOD, meter)
    differences(meter, GOOD)


@settings(max_examples=25, deadline=None)
@given(broken())
def test_report_notes_and_comparison_go_on(meter: Snapshot) -> None:
    report_all(meter)


@pytest.mark.night
@settings(max_examples=1000, deadline=None)
@given(broken())
def test_a_long_campaign_of_broken_images(meter: Snapshot) -> None:
    read_all(meter)
    report_all(meter)


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_any_text_is_an_image_or_a_table_error(text: str) -> None:
    with pytest.raises(TableError):
        Snapshot.from_json(text)


def test_an_image_goes_there_and_back_without_loss() -> None:
    made = Snapshot(GOOD.images, identity={"site": "bench", "codes": [1, 2]})
    made.images[2050] = b""
    made.more = {"refused": {"42": "isc"}}
    again = Snapshot.from_json(made.to_json())
    assert (again.images, again.identity, again.more) == (made.images, made.identity, made.more)
    assert again.to_json() == made.to_json()


@pytest.mark.parametrize(
    "tables",
    ['{"01": ""}', '{"-1": ""}', '{"70000": ""}', '{"1": "0"}', '{"1": 5}', '{"x": ""}', "[]"],
)
def test_an_image_with_a_wrong_table_is_refused(tables: str) -> None:
    with pytest.raises(TableError, match="image"):
        Snapshot.from_json(f'{{"format": "smartmeter-image/1", "tables": {tables}}}')


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"format": "other"}', 'lacks "format"'),
        ("[]", 'lacks "format"'),
        ('{"format": "smartmeter-image/1", "tables": {}, "identity": []}', "must be objects"),
    ],
)
def test_a_text_that_is_no_image_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(TableError, match=words):
        Snapshot.from_json(text)


def test_an_image_beyond_the_limit_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ansi_tables.snapshot.MAX_IMAGE_CHARACTERS", 10)
    with pytest.raises(TableError, match="image of 11 characters, at most 10"):
        Snapshot.from_json(" " * 11)


def test_a_table_is_listed_in_aligned_lines_and_a_missing_one_is_named() -> None:
    lines = list(GOOD.listing(23))
    assert lines == list(rendering.listing(GOOD.layout(23), GOOD[23], notes_on(GOOD, 23)))
    with pytest.raises(MissingContextError, match="ST-99 is not in this snapshot"):
        GOOD.require(99)
    with pytest.raises(KeyError, match="ST-99 is not in this snapshot"):
        GOOD[99]


def test_a_broken_x1_table_fails_only_those_that_need_it() -> None:
    meter = Snapshot({**GOOD.images, 71: b"\1"})
    assert meter.registers() == GOOD.registers()
    with pytest.raises(TableError, match="ST-71"):
        meter.events()


def test_images_that_change_are_decoded_again() -> None:
    meter = Snapshot(GOOD.images)
    assert meter[23].NBR_DEMAND_RESETS == 6
    meter.images[23] = b"\7" + meter.images[23][1:]
    assert meter[23].NBR_DEMAND_RESETS == 7
    meter.images[21] = b"\0" + meter.images[21][1:]
    assert "NBR_DEMAND_RESETS" not in meter[23]
    assert (len(meter), 23 in meter, meter.get(99)) == (27, True, None)
    assert "ST-23" in repr(meter)


def test_a_definition_that_comes_later_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Snapshot({**GOOD.images, 2901: b"\1\0"})
    assert meter[2901].RAW == b"\1\0" and meter[2901] is meter[2901]
    # Of this test alone: others go through all definitions.
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    table(2901, Struct("VOLTAGE" / Int16ul))
    assert meter[2901].VOLTAGE == 1
