"""A module at an optical line that loses what is sent: nothing is taken for what it is not."""

from random import Random

import pytest

from ansi_tables.ssi_tables import Content, ModuleAlarm, SsiTable, Task
from protocols.machine import Machine
from smartmeter.meter.meter import MeterSettings
from smartmeter.simulation.optical_line import OpticalLine
from tests.smartmeter.ssi.host import OUTAGE, Street, schedule, schedules

HOUR_S, BAUD = 3600, 19_200
#: The log of events: longer than one packet, by which it is read.
LONG_TABLE, LONG_TABLE_OCTETS = 76, 1611


class LossyLine(OpticalLine):
    """Loses a share of all that is written to it, or its end."""

    def __init__(self, random: Random, share: float) -> None:
        super().__init__(BAUD)
        self._random, self.share = random, share

    def _put(self, sender: Machine, receiver: Machine, data: bytes, now_us: int) -> None:
        if self._random.random() >= self.share:
            super()._put(sender, receiver, data, now_us)
            return
        left = data[: self._random.choice((0, self._random.randrange(len(data))))]
        if left:
            super()._put(sender, receiver, left, now_us)
        else:
            sender.sent(now_us)


@pytest.mark.parametrize("seed", [0, 1, 4, 17])
def test_every_interval_arrives_once_and_no_ring_begins_anew(seed: int) -> None:
    random = Random(seed)
    street = Street(baud=BAUD, meter=MeterSettings(seed=seed, interval_min=5))
    street.run(120)
    content = int(Content.LOAD_PROFILE | Content.EVENT_LOG)
    check = schedule(2, TASK=Task.CLOCK_CHECK)
    street.provision(SCHEDULES=schedules(schedule(CONTENT=content), check))
    street.device._line = line = LossyLine(random, random.choice((0.1, 0.2)))
    street.run(6 * HOUR_S)
    line.share = 0
    street.run(HOUR_S)
    expected = [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]
    found = street.host.intervals()
    assert found == expected[: len(found)] and len(expected) - len(found) <= 3
    told = {alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)}
    assert told <= {ModuleAlarm.METER_UNREACHABLE, ModuleAlarm.METER_BACK}


def test_a_table_that_takes_longer_than_a_response_time_out_is_reported() -> None:
    """A table in one packet, at 1200 baud: nobody asks again, or gives up, while it comes."""
    street = Street(baud=1200)
    street.run(120)
    content = int(Content.LOAD_PROFILE)
    street.provision(SCHEDULES=schedules(schedule(CONTENT=content, TABLES=[LONG_TABLE])))
    street.run(HOUR_S // 2)
    found = [part for report in street.host.reports for part in report.parts]
    images = [image for number, image in found if number == LONG_TABLE]
    assert [len(image) for image in images] == [LONG_TABLE_OCTETS] * 2


def test_an_outage_lasts_until_the_power_came_back_and_not_until_the_meter_was_heard() -> None:
    street = Street(baud=BAUD)
    street.run(120)
    street.provision(OUTAGE=OUTAGE)
    street.device.mains(False, street.world.now_us)
    street.run(400)
    assert street.device.module.dead
    street.device._line = line = LossyLine(Random(1), 1)
    street.device.mains(True, street.world.now_us)
    street.run(300)
    line.share = 0
    street.run(300)
    told = [one for one in street.host.parts(SsiTable.OUTAGE_RECORD) if one["RESTORED"]]
    assert [one["DURATION_S"] for one in told] == [400]
