"""Records and times as values."""

from datetime import datetime

import pytest

from ansi_tables.values import Record, TableTime, UnreadTime


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
