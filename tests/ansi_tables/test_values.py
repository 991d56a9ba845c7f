"""Records and times as values."""

import copy
import pickle
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ansi_tables import Context, DeviceFormat, Layout, Snapshot, TimesOverride
from ansi_tables import fields as f
from ansi_tables.values import Record, TableTime, UnreadTime

EXAMPLE = Path(__file__).parents[2] / "docs" / "c1219" / "example_meter.json"


def test_a_record_gives_members_by_name_and_lists_them_when_there_is_none() -> None:
    value = Record(NBR_TIERS=4, NBR_OCCUR=1)
    assert value.NBR_TIERS == 4 and repr(value) == "Record(NBR_TIERS=4, NBR_OCCUR=1)"
    with pytest.raises(AttributeError, match="no member TIERS; there are NBR_TIERS, NBR_OCCUR"):
        _ = value.TIERS
    with pytest.raises(AttributeError):
        value.NBR_TIERS = 5


def test_a_time_is_its_octets_and_its_value() -> None:
    moment = datetime(2026, 11, 25)
    time = TableTime(b"\1", moment)
    assert time == TableTime(b"\1", moment) and hash(time) == hash(TableTime(b"\1", moment))
    assert time != TableTime(b"\1", None) and time != TableTime(b"\2", moment) and time != moment
    assert repr(time) == f"TableTime(raw={time.raw!r}, value={moment!r})"


def test_a_time_is_read_when_it_is_asked_for() -> None:
    asked: list[bytes] = []

    def read(octets: bytes) -> None:
        asked.append(octets)

    time = UnreadTime(b"\1", read)
    assert not asked and time.value is None and asked == [b"\1"]
    assert time == TableTime(b"\1", None) and "value=None" in repr(time)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_a_decoded_record_is_copied_and_pickled_with_all_that_it_holds(copied: Any) -> None:
    ctx = Context(DeviceFormat(char_format=4, int_format=2, ni_format1=5, ni_format2=4))
    layout = Layout(
        2100,
        "",
        f.record(
            "TIMES" / f.array(2, f.ltime_date(ctx)),
            "DATE" / f.date(ctx),
            "MINUS_ZERO" / f.sint(ctx, 16),
            "BLANKS" / f.ni(ctx, 1),
            "SCALED" / f.ni(ctx, 2),
            "TEXT" / f.text(ctx, 3),
            "UNSET" / f.fixed_bcd(2),
        ),
    )
    octets = bytes.fromhex("1a07140c0000 000000000000 1a3a 0080 bbbbbbbbb12d 00000080 410042 ffff")
    whole = layout.decode(octets)
    for value in (whole, *whole.values(), *whole.TIMES):
        assert copied(value) == value and type(copied(value)) in (type(value), TableTime)
    assert layout.encode(copied(whole)) == octets
    assert layout.encode({name: copied(value) for name, value in whole.items()}) == octets


def test_a_snapshot_that_was_read_goes_to_another_process_with_all_that_it_knows() -> None:
    meter = Snapshot.from_json(EXAMPLE.read_text(), times=TimesOverride(zone_min=-360))
    assert meter[23]
    again = pickle.loads(pickle.dumps(meter))
    assert again.to_json() == meter.to_json()
    assert (again[23], again.clock()) == (meter[23], meter.clock())
