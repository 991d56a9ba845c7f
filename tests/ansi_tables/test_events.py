"""Event codes have the names of the facts; their arguments are records, both ways."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat, event_arguments, events
from ansi_tables.event_arguments import (
    argument_layout,
    decode_argument,
    register_event,
)
from ansi_tables.events import STANDARD_EVENTS, event_name, event_text
from ansi_tables.fields import record, uint
from ansi_tables.meaning.logs import Event
from tests.ansi_tables.facts import FOLDER, Interpreter

FACTS = FOLDER / "c1219_procedures_and_events.yaml"
CONTEXT = Context(DeviceFormat())
CODES = st.integers(0, 100) | st.integers(0, 0xFFFF)


@pytest.fixture
def own_events() -> Iterator[None]:
    names, arguments = dict(events._own_names), dict(event_arguments._arguments)
    yield
    for now, before in ((events._own_names, names), (event_arguments._arguments, arguments)):
        now.clear()
        now.update(before)  # type: ignore[arg-type]


def facts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if FACTS.exists():
        found = yaml.safe_load(FACTS.read_text())["events"]
    return found


def test_codes_and_arguments_are_those_of_the_facts() -> None:
    for fact in facts():
        code = fact["code"]
        assert STANDARD_EVENTS[code] == fact["name"]
        layout = argument_layout(code, CONTEXT)
        assert (layout is None) == ("arg" not in fact), fact
        if layout is not None:
            kind, _, repeated = fact["arg"].partition("[")
            one = Interpreter({0: {"FORMAT_CONTROL_2": {"TM_FORMAT": 2}}}).width(kind)
            assert layout.size == one * int(repeated.strip("]") or 1)


def test_events_have_the_standards_names_and_others_their_number() -> None:
    assert event_name(47) == "TAMPER_ATTEMPT" and event_text(20) == "demand reset"
    assert event_name(500) == "event 500" and event_name(0x0801) == "manufacturer event 1"
    assert event_name(0xF000 | 47) == "TAMPER_ATTEMPT", "the bits above are for use by the log"
    assert len(STANDARD_EVENTS) == 77


@pytest.mark.parametrize(
    "code,octets,value",
    [
        (5, "0c0b081701ffff", {"TIME": datetime(2012, 11, 8, 23, 1)}),
        (24, "02ffff", {"SEASON": 2}),
        (27, "0403", {"SUMM_TIER": 4, "DEMAND_TIER": 3}),
        (17, "0201", {"ENTRIES_READ": 0x102}),
    ],
)
def test_an_argument_fills_its_octets_from_the_left(code: int, octets: str, value: Any) -> None:
    raw = bytes.fromhex(octets)
    found = decode_argument(code, raw, CONTEXT)
    assert found is not None
    assert {name: getattr(part, "value", part) for name, part in found.items()} == value


@given(CODES, st.binary(max_size=8))
def test_any_argument_is_a_record_that_goes_back_or_none(code: int, argument: bytes) -> None:
    found = decode_argument(code, argument, CONTEXT)
    if found is not None:
        layout = argument_layout(code, CONTEXT)
        assert layout is not None and layout.size is not None
        assert layout.encode(found) == argument[: layout.size]


def test_an_argument_too_short_for_its_shape_is_none() -> None:
    assert decode_argument(5, b"\x0c", CONTEXT) is None
    assert decode_argument(1, b"", CONTEXT) is None


@pytest.mark.usefixtures("own_events")
def test_a_manufacturers_event_is_registered_in_one_line() -> None:
    register_event(0x0803, "COVER_OPENED", lambda ctx: record("DOOR" / uint(ctx, 8)))
    register_event(0x0804, "COVER_CLOSED")
    assert event_name(0x0803) == "COVER_OPENED" and event_text(0x0804) == "cover closed"
    assert decode_argument(0x0803, b"\2\0", CONTEXT) == {"DOOR": 2}
    assert decode_argument(0x0804, b"\2\0", CONTEXT) is None


@pytest.mark.parametrize(
    "code,argument,words",
    [
        (5, "0c0b081701", "(time 2012-11-08 23:01:00)"),
        (5, "0000000000", "(time not set)"),
        (9, "0900", "(procedure REMOTE_RESET)"),
        (10, "3408", "(table MT-52)"),
        (24, "02", "(season 2)"),
        (1, "0000", "primary power down"),
        (1, "0001", "(0001)"),
    ],
)
def test_an_entry_of_a_log_says_its_argument_in_words(code: int, argument: str, words: str) -> None:
    octets = bytes.fromhex(argument)
    details = decode_argument(code, octets, CONTEXT)
    assert str(Event(code, None, 1, 0, octets, details=details)).endswith(words)
