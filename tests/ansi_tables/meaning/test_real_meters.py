"""The meaning of tables of real meters, as far as their images go."""

from datetime import UTC, datetime, time

from ansi_tables.meaning.clock import clock_rules
from ansi_tables.meaning.sources import Direction
from tests.ansi_tables.real_tables import snapshot

#: The first four entries of ST-12 of the Hexing meter, as its host's author published them.
HEXING_UNITS = (0x00024000, 0x00018000, 0x0003C000, 0x0007C000)


def test_a_hexing_meter_without_its_sources_gives_raw_registers() -> None:
    found = snapshot("HX").registers()
    assert [one.raw for one in found[:4]] == [19825, 51, 19876, 19774]
    assert all(one.value is None and "ST-22 was not read" in one.text for one in found[:4])
    assert found.demand_resets == 0


def test_a_hexing_meter_with_its_units_adds_up() -> None:
    tables = snapshot("HX")
    tables.images[11] = bytes.fromhex("2a040a0000000204")
    tables.images[12] = b"".join(unit.to_bytes(4, "little") for unit in HEXING_UNITS)
    tables.images[16] = b"\x11" * 4
    tables.images[22] = bytes(range(10)) + bytes(10) + bytes(2)
    forward, reverse, both, net = tables.registers()[:4]
    assert [one.direction for one in (forward, reverse, both, net)] == [
        Direction.DELIVERED,
        Direction.RECEIVED,
        Direction.SUM,
        Direction.NET,
    ]
    assert {one.unit for one in (forward, reverse, both, net)} == {"Wh"}
    assert forward.value is not None and reverse.value is not None
    assert (both.value, net.value) == (19876, 19774)
    assert int(forward.value) + int(reverse.value) == both.value


def test_a_hexing_calendar_has_daylight_saving_from_march_to_october() -> None:
    rules = clock_rules(snapshot("HX"))
    assert rules.dates.yearly == ((3, 1, True), (10, 1, False))
    assert rules.dates.on_at == time(0)
    assert rules.dates.in_force(datetime(2013, 5, 3)) is True
    assert rules.dates.in_force(datetime(2013, 12, 3)) is False


def test_a_hexing_clock_that_tells_no_zone_is_taken_as_utc() -> None:
    clock = snapshot("HX").clock()
    assert clock.now == datetime(2013, 5, 3, 20, 56, 43, tzinfo=UTC)
    assert "does not tell its zone" in clock.rules.note


def test_a_ge_clock_with_daylight_saving_applied_and_not_in_force_has_nothing_left_to_add() -> None:
    tables = snapshot("GE")
    clock = tables.clock()
    assert clock.now is not None and clock.now.utcoffset() == datetime.now(UTC).utcoffset()
    assert clock.rules.dst_applied and not clock.rules.dst_now
