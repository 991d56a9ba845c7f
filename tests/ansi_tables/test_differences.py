"""Two images of a meter are compared in words."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from ansi_tables import Snapshot
from ansi_tables.differences import MAX_TOLD, differences
from tests.ansi_tables.meaning.device import put
from tests.ansi_tables.meaning.recorder import a_log, a_recorder, one_block, write_block
from tests.ansi_tables.meaning.registers import registers_of, sources_of, uom


def a_meter() -> Snapshot:
    from tests.ansi_tables.meaning.device import device

    tables = sources_of(uom(0, 0, "14", MULTIPLIER=6)) | registers_of(1, NBR_DEMANDS=1)
    tables[21] |= {"NBR_OCCUR": 1, "REG_FUNC1_FLAGS.DATE_TIME_FIELD_FLAG": 1}
    tables |= {22: {}, 23: {"TOT_DATA_BLOCK.SUMMATIONS.0": 1000}, 51: {}, 53: {}, 3: {}, 5: {}}
    return device(tables)


def told(change: Callable[[Snapshot], Any]) -> list[str]:
    old, new = a_meter(), a_meter()
    change(new)
    return [str(one) for one in differences(old, new)]


def test_equal_meters_have_no_difference() -> None:
    assert told(lambda new: None) == []


def test_tables_come_and_go() -> None:
    assert told(lambda new: new.images.pop(53)) == ["ST-53 is gone (4 octets)"]
    assert told(lambda new: new.images.update({2050: b"\1\2"})) == ["MT-02 is new (2 octets)"]


def test_a_register_is_told_in_its_unit() -> None:
    values = {"TOT_DATA_BLOCK.SUMMATIONS.0": 1250, "TOT_DATA_BLOCK.DEMANDS.0.DEMAND.0": 7}
    values["TOT_DATA_BLOCK.DEMANDS.0.EVENT_TIME.0"] = datetime(2026, 7, 1)
    lines = told(lambda new: put(new, 23, values))
    assert lines[0] == (
        "ST-23 TOT_DATA_BLOCK.SUMMATIONS.0: active energy delivered: "
        "1.000 Wh became 1.250 Wh, 0.25 Wh more"
    )
    assert lines[1].endswith("0.007 Wh more, at 2026-07-01 00:00+00:00") and len(lines) == 2


def test_a_number_without_a_unit_is_told_without_one() -> None:
    old = a_meter()
    put(old, 12, uom(0, 24, MULTIPLIER=6))
    new = Snapshot(dict(old.images))
    put(new, 23, {"TOT_DATA_BLOCK.SUMMATIONS.0": 1250})
    (line,) = (str(one) for one in differences(old, new))
    assert line.endswith("power factor, apparent: 1.000 became 1.250, 0.25 more")


def test_a_register_whose_unit_changed_is_told_without_a_sum() -> None:
    def change(new: Snapshot) -> None:
        put(new, 12, uom(0, 1, "12", MULTIPLIER=6))
        put(new, 23, {"TOT_DATA_BLOCK.SUMMATIONS.0": 1250})

    (line,) = (one for one in told(change) if "SUMMATIONS" in one)
    assert line.endswith("1.000 Wh became 1.250 varh")


@pytest.mark.parametrize(
    "number, values, words",
    [
        (53, {"DST_TIME_AMT": 60}, "ST-53 DST_TIME_AMT: 0 became 60 (DST shift, minutes)"),
        (3, {"ED_MODE.METERING_FLAG": 1}, "ST-03 ED_MODE.METERING_FLAG: was set"),
        (5, {"IDENTIFICATION": "POLE 17".ljust(20)}, "became POLE 17"),
    ],
)
def test_other_fields_are_told_with_their_meaning(
    number: int, values: dict[str, Any], words: str
) -> None:
    (line,) = told(lambda new: put(new, number, values))
    assert words in line


def test_sets_gain_and_lose_members() -> None:
    def change(new: Snapshot) -> None:
        image = bytearray(new.images[0])
        image[29] = 0b0000_0110
        new.images[0] = bytes(image)

    (line,) = told(change)
    assert line == "ST-00 STD_TBLS_WRITE: gained 1, 2"


def test_another_configuration_is_told_by_members_and_lengths() -> None:
    def change(new: Snapshot) -> None:
        put(new, 21, {"NBR_SUMMATIONS": 2})
        put(new, 22, {})
        put(new, 23, {})

    lines = told(change)
    assert "ST-21 NBR_SUMMATIONS: 1 became 2" in " ".join(lines)
    assert "ST-22 SUMMATION_SELECT: has 2 elements, had 1" in lines
    assert any("SUMMATIONS.1: is new" in line for line in lines)
    assert any("DEMAND.0: is gone" in line for line in lines)


def test_octets_that_no_layout_explains_are_counted() -> None:
    old, new = a_meter(), a_meter()
    old.images[2050], new.images[2050] = b"\1\2\3", b"\1\7\3\4"
    old.images[53] = new.images[53][:2]
    lines = [str(one) for one in differences(old, new)]
    assert "ST-53 has 4 octets, had 2" in lines
    assert any("MT-02" in line and "010203 became 01070304" in line for line in lines)


def test_logs_are_compared_by_their_entries() -> None:
    old, new = a_log(0, 4, 2, 1, 9), a_log(0, 4, 3, 2, 10)
    lines = [str(one) for one in differences(old, new)]
    assert "ST-76 has a new entry: 10 2026-01-01 00:00:00+00:00 primary power down" in lines
    assert any("NBR_VALID_ENTRIES: 2 became 3" in line for line in lines)
    assert [str(one) for one in differences(new, old)][-1].startswith("ST-76")
    assert "ST-76 1 entries are gone" in [str(one) for one in differences(new, old)]


@pytest.mark.parametrize(
    "member, value, became",
    [
        ("USER_ID", 7, "01-01 00:00:00+00:00 primary power down, user 0 became 7"),
        ("EVENT_TIME", datetime(2026, 1, 2), "01-02 00:00:00+00:00 primary power down"),
        ("EVENT_ARGUMENT", b"\1\2", "01-01 00:00:00+00:00 primary power down (0102)"),
    ],
)
def test_an_entry_that_was_altered_in_a_log_is_told(
    member: str, value: object, became: str
) -> None:
    old, new = a_log(0, 4, 2, 1, 2), a_log(0, 4, 2, 1, 2)
    path = f"ENTRIES.1.{member}"
    at, width = new.layout(76).field(path)
    octets = new.layout(76).encode_at(path, value)
    new.images[76] = new.images[76][:at] + octets + new.images[76][at + width :]
    (line,) = [str(one) for one in differences(old, new)]
    was = "2 2026-01-01 00:00:00+00:00 primary power down"
    assert line == f"ST-76 entry {was} became 2 2026-{became}"


def test_profiles_are_compared_by_their_intervals() -> None:
    def recorder(rows: list[int], sequence: int) -> Snapshot:
        made, ring = a_recorder(1, 3)
        write_block(ring, 0, rows, datetime(2026, 1, 1, 0, 15 * len(rows)), 3, False)
        one_block(made, ring, NBR_VALID_INT=len(rows), LAST_BLOCK_SEQ_NBR=sequence)
        return made

    lines = [str(one) for one in differences(recorder([1, 2], 0), recorder([1, 3, 4], 0))]
    assert "ST-64 1 intervals came, 2026-01-01 00:45+00:00 to 2026-01-01 00:45+00:00" in lines
    several = [str(one) for one in differences(recorder([1], 0), recorder([1, 2, 3], 0))]
    assert "ST-64 2 intervals came, 2026-01-01 00:30+00:00 to 2026-01-01 00:45+00:00" in several
    changed = "ST-64 interval 2026-01-01 00:30+00:00, channel 0: 20 became 30, PARTIAL became LONG"
    assert changed in lines
    gone = [str(one) for one in differences(recorder([1, 2], 0), recorder([3, 4], 1))]
    assert "ST-64 2 intervals are gone" in gone


def test_identities_are_compared_and_long_lists_are_counted() -> None:
    old, new = Snapshot({}, identity={"site": "A"}), Snapshot({}, identity={"site": "B"})
    assert [str(one) for one in differences(old, new)] == ["identity site: A became B"]
    new.identity["site"] = "B\x1b[2J"
    assert [str(one) for one in differences(old, new)] == ["identity site: A became B\\x1b[2J"]
    made = a_meter()
    put(made, 11, {"NBR_SOURCES": 200})
    put(made, 16, {})
    other = Snapshot(made.images)
    put(other, 16, {f"SOURCES_LINK.{n}.UOM_ENTRY_FLAG": 1 for n in range(200)})
    found = differences(made, other)
    assert len(found) == MAX_TOLD + 1 and "100 more" in str(found[-1])
    assert found[0].to_json()["path"] == "SOURCES_LINK.0.UOM_ENTRY_FLAG"
