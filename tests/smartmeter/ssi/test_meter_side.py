"""The module's hand at the optical port: how old a reading is, and what a lost meter leaves."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ansi_tables.ssi_tables import Content
from protocols.c1218.client import Exchanged
from protocols.c1218.scripts import LogonSettings, read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.c1218.transfer import TableWriting
from protocols.datalink.packet import STP, TOGGLE, Packet
from protocols.errors import OutcomeUnknown, SessionEnded
from protocols.machine import Event
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead, FullWrite, Negotiate, Request, Terminate
from smartmeter.base.clock import US_PER_S, Calendar
from smartmeter.base.nvram import MemoryNvram
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.ssi.meter_side import JobDone, JobFailed, MeterSide, Priority
from smartmeter.ssi.work import read_tables
from tests.smartmeter.ssi.host import EPOCH_US, FACTORY, Street, schedule, schedules

HOUR_S = 3600
LOGON = LogonSettings(2, b"SSI", b"master")


class Line:
    """A meter at a line that can be cut for a while.

    ``loses`` the meter's next packet; ``garbles``: each of its answers is no response code.
    """

    def __init__(self) -> None:
        self.meter = Meter(MeterSettings(), MemoryNvram(), Calendar(EPOCH_US), 0)
        self.side = MeterSide(LOGON)
        self.loses = self.garbles = False
        self.now_us = self.cut_until_us = 0

    def run(self) -> JobDone:
        """Go on until a job has ended; it was done."""
        event = self.end()
        assert isinstance(event, JobDone)
        return event

    def end(self) -> Event:
        """Go on until a job has ended."""
        while not (ended := self.side.ended()):
            if not self._carry():
                dues_us = (self.side.deadline_us(), self.meter.deadline_us())
                self.now_us = max(self.now_us, min(due for due in dues_us if due is not None))
                self.side.expire(self.now_us)
                self.meter.expire(self.now_us)
        [event] = ended
        return event

    def _carry(self) -> bool:
        out = self.side.outgoing()
        self.side.sent(self.now_us)
        if out and self.now_us >= self.cut_until_us:
            self.meter.receive(out, self.now_us)
        back = self.meter.outgoing()
        self.meter.sent(self.now_us)
        if len(back) > 1 and self.loses:
            self.loses = False
        elif len(back) > 1 and self.garbles:
            begin = back.index(STP)
            packet = Packet(b"\x99", back[begin + 2] & TOGGLE)
            self.side.receive(back[:begin] + packet.encode(), self.now_us)
        elif back:
            self.side.receive(back, self.now_us)
        return bool(out or back)


def read_after(request: Request, limits: ClientLimits) -> Script[dict[int, bytes]]:
    """Ask for something, whatever the answer, and read a table that may be refused."""
    yield request
    return (yield from read_tables([52], limits))


def test_a_meter_that_has_given_the_session_up_refuses_no_table() -> None:
    line = Line()
    line.side.submit(Priority.SCHEDULE, partial(read_after, Terminate()), "tables", 0)
    failed = line.end()
    assert isinstance(failed, JobFailed) and isinstance(failed.error, SessionEnded)
    # What the meter refuses in a session that it goes on with is no end of it.
    line.side.submit(
        Priority.SCHEDULE, partial(read_after, Negotiate(64, 1, ())), "tables", line.now_us
    )
    assert list(line.run().result) == [52]


def clock_and_cut(line: Line, cut_s: int, limits: ClientLimits) -> Script[bytes]:
    """Read the clock, and let the line be cut behind that."""
    image = yield from read_table(52, limits)
    line.cut_until_us = line.now_us + cut_s * US_PER_S
    return image


def test_a_session_that_is_long_in_ending_makes_what_it_read_no_younger() -> None:
    line = Line()
    line.side.submit(Priority.SCHEDULE, partial(clock_and_cut, line, 5), "clock", 0)
    done = line.run()
    assert line.now_us >= 5 * US_PER_S
    assert done.last.asked_us <= done.last.answered_us < US_PER_S


def test_an_answer_that_was_lost_is_from_between_the_request_and_its_repetition() -> None:
    line = Line()

    def work(limits: ClientLimits) -> Script[Any]:
        yield from read_table(1, limits)
        line.loses = True
        return (yield from read_table(52, limits))

    line.side.submit(Priority.SCHEDULE, work, "clock", 0)
    done = line.run()
    assert done.last.asked_us < US_PER_S < done.last.answered_us <= line.now_us


@pytest.mark.parametrize("asked_ago_s", [7, 9])
@pytest.mark.parametrize(("set_s", "told_s"), [(0, 0), (-30, -30), (30, 30)])
def test_a_clock_is_compared_as_it_was_when_it_was_read(
    asked_ago_s: int, set_s: int, told_s: int
) -> None:
    street = Street()
    street.run(100)
    module, now_us = street.device.module, street.world.now_us
    before_us = module.parts.calendar.utc_us(now_us)
    assert before_us is not None
    last = Exchanged(now_us - asked_ago_s * US_PER_S, now_us - 7 * US_PER_S)
    shown_s = (before_us - 7 * US_PER_S) // US_PER_S + set_s
    module.parts.tasks.clock.compare(shown_s, last, now_us)
    after_us = module.parts.calendar.utc_us(now_us)
    assert after_us is not None
    assert module.parts.tasks.clock.offset_s == told_s
    assert 0 <= told_s * US_PER_S - (after_us - before_us) < US_PER_S


def test_an_answer_that_came_late_sets_no_clock_that_is_right() -> None:
    street = Street()
    street.run(100)
    module, now_us = street.device.module, street.world.now_us
    before_us = module.parts.calendar.utc_us(now_us)
    assert before_us is not None
    shown_s = before_us // US_PER_S - 3  # as it was made; its repetition came 4 s later
    module.parts.tasks.clock.compare(shown_s, Exchanged(now_us - 4 * US_PER_S, now_us), now_us)
    assert module.parts.calendar.utc_us(now_us) == before_us
    assert module.parts.tasks.clock.offset_s == 0


POLE = b"POLE 17".ljust(20)


def lost_when(lost: Callable[[Meter], bool]) -> tuple[list[bytes], bytes]:
    """Ask three things of a meter that is lost meanwhile; give the answers, and its ST-05."""
    street = Street(baud=9600)
    street.run(30)
    meter, node = street.device.meter, street.host.node
    services = [FullRead(1), FullWrite(5, POLE), FullRead(1)]
    asked = [encode_request(one) for one in services]
    number = node.request(asked, FACTORY.title, "link", street.world.now_us, key_id=0)
    street.world.run(street.world.now_us + 60 * US_PER_S, lambda: lost(meter))
    meter.mains(False, street.world.now_us)
    street.device._line.clear()
    street.run(40)
    answer = street.host.answers[number]
    assert not isinstance(answer, str)
    meter.mains(True, street.world.now_us)
    return list(answer), meter.table(5, street.world.now_us)


def test_a_write_beside_which_the_meter_is_lost_is_not_told_as_one_to_do_again() -> None:
    answers, pole = lost_when(lambda meter: meter.table(5, 0) == POLE)
    assert pole == POLE
    assert answers[0][:1] == b"\0" and len(answers[0]) > 30, "it was read before"
    assert answers[1:] == [b"\1", b"\7"], "err: it may be done; dnr: it was not tried"


def test_nothing_was_tried_at_a_meter_that_does_not_answer() -> None:
    answers, pole = lost_when(lambda meter: True)
    assert pole != POLE and answers == [b"\7"] * 3


def test_what_was_done_before_the_meter_was_lost_was_done() -> None:
    line = Line()
    line.side.submit(Priority.REQUEST, partial(clock_and_cut, line, 60), "clock", 0)
    assert len(line.run().result) == 7


def test_what_was_done_was_done_also_where_the_meter_says_nonsense_at_the_end() -> None:
    line = Line()

    def work(limits: ClientLimits) -> Script[Any]:
        image = yield from read_table(52, limits)
        line.garbles = True
        return image

    line.side.submit(Priority.REQUEST, work, "clock", 0)
    assert len(line.run().result) == 7


def test_a_write_that_is_answered_with_nonsense_may_have_been_carried_out() -> None:
    line = Line()
    errors: list[OutcomeUnknown] = []

    def work(limits: ClientLimits) -> Script[Any]:
        line.garbles = True
        try:
            yield from TableWriting(5, POLE).script(limits)
        except OutcomeUnknown as error:
            errors.append(error)

    line.side.submit(Priority.REQUEST, work, "pole", 0)
    line.run()
    assert line.meter.table(5, line.now_us) == POLE and errors


def test_at_three_hundred_baud_intervals_of_a_minute_arrive_too() -> None:
    street = Street(baud=300, meter=MeterSettings(interval_min=1))
    street.run(120)
    content = int(Content.LOAD_PROFILE)
    street.provision(SCHEDULES=schedules(schedule(PERIOD_MIN=5, CONTENT=content)))
    street.run(HOUR_S)
    expected = [(one.sequence, one.end_utc_s, list(one.values)) for one in street.journal]
    found = street.host.intervals()
    assert len(found) >= 55 and found == expected[: len(found)]
