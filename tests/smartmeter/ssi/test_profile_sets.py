"""A meter with several load-profile sets: each is reported whole, by its own cursor and epoch."""

from collections.abc import Iterable

import pytest

from ansi_tables import Snapshot
from ansi_tables.ssi_tables import CONTEXT_TABLES, Cause, Command, ModuleAlarm, SsiTable
from protocols.psem.codes import ResponseCode
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.profiles import PROFILES
from smartmeter.network.faults import Partition
from smartmeter.ssi.outbox import LOG_SET
from tests.smartmeter.ssi.host import (
    Street,
    command,
    decoded,
    own_read,
    own_write,
    raise_alarms,
    schedule,
    schedules,
    script_table,
    small_outbox,
)

HOUR_S = 3600


def provisioned(profile: str) -> Street:
    street = Street(meter=MeterSettings(profile=PROFILES[profile]))
    street.run(10)
    answers = street.provision(SCHEDULES=schedules(schedule()))
    assert set(answers) == {b"\0"}
    return street


def held(street: Street, set_nbr: int) -> list[tuple[int, int, list[int]]]:
    """What the meter's own tables hold of a set."""
    meter, now_us = street.device.meter, street.world.now_us
    numbers = {0, 52, 53, 54, 55, 63, 63 + set_nbr, *CONTEXT_TABLES}
    used = meter.program.context.fmt.std_tbls_used
    profile = Snapshot({n: meter.table(n, now_us) for n in numbers & used}).load_profile(set_nbr)
    columns = [channel.raw for channel in profile.channels]
    return [
        (sequence, profile.ends_utc_s[row], [int(column[row]) for column in columns])
        for row, sequence in enumerate(profile.sequences)
    ]


def sequences(told: Iterable[tuple[int, int, list[int]]]) -> list[int]:
    return [sequence for sequence, _, _ in told]


@pytest.mark.parametrize("profile", ["commercial", "industrial", "unusual"])
def test_every_set_of_a_meter_is_reported_once_and_equal(profile: str) -> None:
    street = provisioned(profile)
    street.run(24 * HOUR_S)
    sets = [one.number for one in street.device.meter.program.sets]
    assert len(sets) > 1
    for set_nbr in sets:
        told = sorted(street.host.intervals(set_nbr))
        assert len(told) > 20 and sequences(told) == list(range(len(told)))
        # What ended since the last report is still to come.
        wanted = [one for one in held(street, set_nbr) if one[0] < len(told)]
        assert told[-len(wanted) :] == wanted


def test_a_gap_of_each_set_is_filled_from_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    small_outbox(monkeypatch, 12, 4)
    monkeypatch.setattr("smartmeter.ssi.gap_filling.FILL_ROOM", 2)
    street = provisioned("commercial")
    street.run(HOUR_S)
    cut = Partition()
    street.link.wrap(cut)
    street.run(8 * HOUR_S)
    module = street.device.module
    raise_alarms(street, 12)
    assert {set_nbr for set_nbr, *_ in module.parts.memory.lists.profile_gaps} == {1, 2}
    street.device.restart(street.world.now_us)
    street.run(HOUR_S)
    street.link.unwrap(cut)
    street.run(2 * HOUR_S)
    for set_nbr in (1, 2):
        told = sorted(street.host.intervals(set_nbr))
        assert told == held(street, set_nbr)


def test_what_was_read_for_a_gap_that_made_room_is_not_taken_for_the_next_ones() -> None:
    street = provisioned("commercial")
    street.run(9 * HOUR_S)
    module = street.device.module
    before = {set_nbr: street.host.intervals(set_nbr) for set_nbr in (1, 2)}
    gaps = [[set_nbr, module.parts.memory.lists.profile_epoch(set_nbr), 2, 5] for set_nbr in (1, 2)]
    module.parts.memory.lists.profile_gaps = gaps
    assert module.parts.gaps.start_due(street.world.now_us)
    module.parts.memory.lists.profile_gaps = gaps[1:]  # the oldest gap had to make room meanwhile
    street.run(HOUR_S)
    assert module.parts.memory.lists.profile_gaps == []
    for set_nbr in (1, 2):
        again = [one for one in before[set_nbr] if 2 <= one[0] < 5] if set_nbr == 2 else []
        told = street.host.intervals(set_nbr)[len(before[set_nbr]) :]
        assert [one for one in told if one[0] < 8] == again


def test_a_gap_whose_beginning_was_overwritten_is_filled_to_its_end_and_no_further() -> None:
    street = provisioned("commercial")
    street.run(3 * HOUR_S)
    module = street.device.module
    before = street.host.intervals()
    # What lies before the first interval of the ring is gone like what it has overwritten.
    module.parts.memory.lists.profile_gaps = [
        [1, module.parts.memory.lists.profile_epoch(1), -3, 2]
    ]
    assert module.parts.gaps.start_due(street.world.now_us)
    street.run(600)
    assert street.host.intervals()[len(before) :] == [one for one in before if one[0] < 2]
    street.run(HOUR_S)
    alarms = street.host.parts(SsiTable.ALARM)
    assert [(alarm["CODE"], alarm["VALUE"]) for alarm in alarms] == [(ModuleAlarm.GAP, 3)]


def test_a_gap_of_intervals_that_the_meter_does_not_have_is_told_and_no_empty_report_is_sent() -> (
    None
):
    street = provisioned("commercial")
    street.run(HOUR_S)
    module = street.device.module
    module.parts.memory.lists.profile_gaps = [
        [1, module.parts.memory.lists.profile_epoch(1), 5000, 5010]
    ]
    assert module.parts.gaps.start_due(street.world.now_us)
    street.run(HOUR_S)
    assert module.parts.memory.lists.profile_gaps == []
    alarms = street.host.parts(SsiTable.ALARM)
    assert [(alarm["CODE"], alarm["VALUE"]) for alarm in alarms] == [(ModuleAlarm.GAP, 10)]
    assert Cause.CATCH_UP not in [one.header["CAUSE"] for one in street.host.reports]


def test_gaps_of_lists_that_began_anew_are_told_as_lost_and_nothing_is_read_for_them() -> None:
    street = provisioned("commercial")
    street.run(HOUR_S)
    parts = street.device.module.parts
    lists, now_us = parts.memory.lists, street.world.now_us
    missed = lists.events_missed
    lists.profile_gaps = [[n, lists.profile_epoch(n) + 1, 2, 5 + n] for n in (LOG_SET, 1)]
    assert not parts.gaps.start_due(now_us) and not parts.gaps.start_due(now_us)
    assert lists.profile_gaps == [] and lists.events_missed == missed + 3
    street.run(HOUR_S)
    alarms = street.host.parts(SsiTable.ALARM)
    assert [(alarm["CODE"], alarm["VALUE"]) for alarm in alarms] == [(ModuleAlarm.GAP, 4)]


def test_intervals_that_were_overwritten_unread_are_told_by_their_number() -> None:
    street = provisioned("commercial")
    street.run(HOUR_S)
    before = street.host.intervals()
    # What lies before the first interval of the ring is gone like what it has overwritten.
    street.device.module.parts.memory.lists.profile_cursors["1"] = -5
    street.run(2 * HOUR_S)
    assert street.host.intervals()[len(before) :][: len(before)] == before
    alarms = street.host.parts(SsiTable.ALARM)
    assert [(alarm["CODE"], alarm["VALUE"]) for alarm in alarms] == [(ModuleAlarm.GAP, 5)]


def test_intervals_of_a_set_can_be_asked_for_and_of_none_that_the_meter_lacks() -> None:
    street = provisioned("commercial")
    street.run(9 * HOUR_S)
    select = command(Command.SELECT_INTERVALS, SET=2, FIRST_SEQUENCE=2, COUNT=3)
    answers = street.ask(own_write(SsiTable.COMMAND, select), own_read(SsiTable.LOAD_PROFILE_PART))
    part = decoded(SsiTable.LOAD_PROFILE_PART, answers[1])
    assert part["SET"] == 2 and part["INT_LENGTH_S"] == HOUR_S
    wanted = held(street, 2)[2:5]
    assert [one["VALUES"] for one in part["INTERVALS"]] == [values for _, _, values in wanted]
    missing = command(Command.SELECT_INTERVALS, SET=3, FIRST_SEQUENCE=0, COUNT=3)
    assert street.ask(own_write(SsiTable.COMMAND, missing)) == [bytes([ResponseCode.onp])]


def test_a_meter_whose_load_profile_has_no_shape_gives_everything_else() -> None:
    street = provisioned("residential-tou")
    shape = script_table(street, 61)
    shape[0] = shape[0][:-1]
    street.device.restart(street.world.now_us)
    street.run(10)
    street.provision(SCHEDULES=schedules(schedule(CONTENT=0, TABLES=[23])))
    street.run(HOUR_S)
    assert [n for report in street.host.reports for n, _ in report.parts].count(23) == 4
