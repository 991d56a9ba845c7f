"""Logs come oldest first, with whole sequence numbers and instants."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Snapshot, TableError
from ansi_tables.meaning.rings import unwrapped
from tests.ansi_tables.meaning.device import device, put
from tests.ansi_tables.meaning.recorder import START, a_log


@given(st.integers(0, 1), st.integers(1, 6), st.data())
def test_events_come_oldest_first_whichever_way_the_ring_runs(
    order: int, length: int, data: st.DataObject
) -> None:
    valid, last = data.draw(st.integers(0, length)), data.draw(st.integers(0, length - 1))
    events = a_log(order, length, valid, last, 70_002).events()
    assert [event.code for event in events] == list(range(valid, 0, -1))
    assert [event.sequence for event in events] == [70_003 - k for k in range(valid, 0, -1)]
    assert [event.time for event in events] == [
        (START - timedelta(days=k - 1)).replace(tzinfo=UTC) for k in range(valid, 0, -1)
    ]


def test_an_event_has_the_standards_name_its_number_and_its_octets() -> None:
    made = a_log(0, 3, 1, 0, 5)
    (event,) = made.events()
    assert (event.name, event.text) == ("PRIMARY_POWER_DOWN", "primary power down")
    assert (event.number, event.user, event.argument) == (500, 0, b"\0\0")
    assert str(event) == "5 2026-01-01 00:00:00+00:00 primary power down"
    image = bytearray(made.images[76])
    offset, _ = made.layout(76).field("ENTRIES.0.EVENT_CODE")
    image[offset : offset + 4] = bytes.fromhex("0308beef")
    made.images[76] = bytes(image)
    (event,) = made.events()
    assert event.is_manufacturer and event.code == 0x0803
    assert "manufacturer event 3 (beef)" in str(event)


def test_a_pointer_one_past_the_newest_entry_is_stepped_back_once() -> None:
    """As in ST-76 of a real meter: 22 valid entries 0..21, LAST_ENTRY_ELEMENT 22."""
    made = a_log(0, 50, 22, 21, 21)
    image = bytearray(made.images[76])
    entry = made.layout(76).field("ENTRIES.22")
    image[entry[0] : entry[0] + entry[1]] = b"\xff" * entry[1]
    image[3], image[5] = 22, 22
    right, made.images[76] = made.events(), bytes(image)
    assert made.events() == right and len(right) == 22 and right[-1].sequence == 21


def test_the_newest_event_counts_also_where_a_meter_that_has_lost_its_clock_has_not_dated_it() -> (
    None
):
    made = a_log(0, 5, 3, 2, 9)
    image = bytearray(made.images[76])
    offset, width = made.layout(76).field("ENTRIES.2.EVENT_TIME")
    image[offset : offset + width] = bytes(width)
    made.images[76] = bytes(image)
    told = [(event.sequence, event.code, event.time is None) for event in made.events()]
    assert told == [(7, 3, False), (8, 2, False), (9, 1, True)]


def test_a_history_without_times_is_known_to_be_unwritten_by_its_ones() -> None:
    made = device({71: {"NBR_HISTORY_ENTRIES": 6, "HIST_DATA_LENGTH": 2}, 74: {}})
    values: dict[str, Any] = {"NBR_VALID_ENTRIES": 3, "LAST_ENTRY_ELEMENT": 3}
    values |= {f"ENTRIES.{k}.HISTORY_CODE.TBL_PROC_NBR": k + 1 for k in range(3)}
    values |= {"LAST_ENTRY_SEQ_NBR": 3, "ENTRIES.3.USER_ID": 0xFFFF}
    for argument, known in ((b"\xff\xff", [1, 2, 3]), (b"\xff\1", [2, 3, 0])):
        put(made, 74, values | {"ENTRIES.3.HISTORY_ARGUMENT": argument})
        assert [event.code for event in made.history()] == known


def test_a_pointer_past_a_full_array_is_stepped_back_too() -> None:
    made = a_log(0, 4, 4, 3, 9)
    image = bytearray(made.images[76])
    image[3] = 4
    made.images[76] = bytes(image)
    assert [event.code for event in made.events()] == [4, 3, 2, 1]
    image[3] = 200
    made.images[76] = bytes(image)
    assert made.events() == ()


def test_the_history_has_numbers_from_its_header() -> None:
    found = a_log(1, 4, 3, 1, 7, table=74).history()
    assert [(one.code, one.sequence, one.table) for one in found] == [
        (3, 5, 74),
        (2, 6, 74),
        (1, 7, 74),
    ]


def test_sequence_numbers_that_were_left_out_stay_left_out() -> None:
    assert unwrapped(0x1_0005, 0x0003) == 0x1_0003
    assert unwrapped(3, 0xFFFF) == 0xFFFF
    with pytest.raises(TableError, match="ST-76"):
        Snapshot({}).events()
