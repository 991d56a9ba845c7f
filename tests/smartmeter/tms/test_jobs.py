"""Work with one SmartMeter over bad links: what is sent again, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from smartmeter.tms.exchanges import Exchange, ExchangeFailed, ExchangeRefused
from smartmeter.tms.jobs import (
    CANCELLED,
    DONE,
    FAILED,
    MAX_ASIDE,
    MAX_QUEUE,
    Job,
    JobChanged,
    JobRunner,
    Send,
)

ESN = "SM000001"
OK, REFUSED = b"\0", b"\3"


def steps(count: int) -> Exchange[str]:
    """Say so many messages, one after the other; fail when one is refused."""
    for number in range(count):
        [answer] = yield [bytes([number])]
        if answer == REFUSED:
            raise ExchangeFailed(f"message {number} was refused")
    return "all said"


class World:
    """A runner and its one job; ``said`` are the messages that went out."""

    def __init__(
        self,
        script: Callable[[], Exchange[Any]],
        max_attempts: int = 3,
        begins_anew: bool = False,
    ) -> None:
        self.runner, self.now_us = JobRunner(), 0
        self.job = Job(1, ESN, "work", script, "ann", max_attempts, begins_anew)
        self.said: list[int] = []
        self.result: Any = None
        self.runner.submit(self.job, 0)

    def run(self, answer: Callable[[int], bytes | None]) -> str:
        """Let it end; ``answer`` gives what a message is answered, None for nothing."""
        while self.job.state not in (DONE, FAILED):
            for event in self.runner.events():
                if isinstance(event, Send):
                    self._send(event, answer)
                elif isinstance(event, JobChanged) and event.result is not None:
                    self.result = event.result
            due_us = self.runner.deadline_us()
            if due_us is not None:
                self.now_us = due_us
                self.runner.expire(due_us)
        for event in self.runner.events():
            self.result = getattr(event, "result", None) or self.result
        return self.job.state

    def _send(self, event: Send, answer: Callable[[int], bytes | None]) -> None:
        [service] = event.services
        self.said.append(service[0])
        transaction = len(self.said)
        self.runner.sent(event.job, transaction)
        given = answer(service[0])
        if given is None:
            self.runner.unanswered(transaction, "no answer in time", self.now_us)
        else:
            self.runner.answered(transaction, [given], self.now_us)


def test_a_message_that_nobody_answers_is_sent_again_and_the_work_goes_on_from_there() -> None:
    world = World(lambda: steps(4))
    lost = iter([False, False, True, True, False, True, False])
    assert world.run(lambda number: None if next(lost) else OK) == DONE
    assert world.said == [0, 1, 2, 2, 2, 3, 3]
    assert (world.result, world.job.attempts, world.job.polls) == ("all said", 4, 7)


def test_a_message_that_is_never_answered_ends_the_work_after_its_tries() -> None:
    world = World(lambda: steps(4))
    assert world.run(lambda number: None if number == 2 else OK) == FAILED
    assert world.said == [0, 1, 2, 2, 2]
    assert world.job.cause == "no answer in time"
    assert world.now_us == 2_000_000 + 4_000_000
    assert not world.runner.has(ESN, "work") and world.runner.deadline_us() is None


def test_what_is_refused_begins_anew_and_not_more_often_than_it_may() -> None:
    world = World(lambda: steps(4))
    assert world.run(lambda number: REFUSED if number == 2 else OK) == FAILED
    assert world.said == [0, 1, 2] * 3
    assert world.job.cause == "message 2 was refused"


def test_what_another_try_would_not_change_is_not_tried_again() -> None:
    def refused() -> Exchange[None]:
        yield [b"\0"]
        raise ExchangeRefused("the wrong model")

    world = World(refused)
    assert world.run(lambda number: OK) == FAILED
    assert (world.said, world.job.cause) == ([0], "the wrong model")


def test_silence_and_refusals_in_turn_come_to_an_end() -> None:
    world = World(lambda: steps(3))
    turns = iter([OK, None, OK, REFUSED] * 100)
    assert world.run(lambda number: next(turns)) == FAILED
    assert len(world.said) < 20


@pytest.mark.parametrize("seed", range(20))
def test_a_long_work_ends_well_over_a_link_that_loses_a_third_of_all(seed: int) -> None:
    chance = Random(seed)
    world = World(lambda: steps(200), max_attempts=12)
    assert world.run(lambda number: None if chance.random() < 1 / 3 else OK) == DONE
    assert sorted(set(world.said)) == list(range(200))
    assert world.said == sorted(world.said)


def test_what_was_known_before_the_first_answer_is_looked_up_at_each_try() -> None:
    known = iter(["nobody is silent", "somebody is silent"])

    def told() -> Exchange[str]:
        looked_up = next(known)
        yield [b"\0"]
        return looked_up

    world, lost = World(told), iter([True, False])
    assert world.run(lambda number: None if next(lost) else OK) == DONE
    assert world.result == "somebody is silent"


def test_work_that_begins_anew_does_so_wherever_it_was_and_comes_to_an_end() -> None:
    world = World(lambda: steps(3), begins_anew=True)
    lost = iter([False, True, False, False, False])
    assert world.run(lambda number: None if next(lost) else OK) == DONE
    assert world.said == [0, 1, 0, 1, 2]
    world = World(lambda: steps(3), begins_anew=True)
    assert world.run(lambda number: None if number == 1 else OK) == FAILED
    assert world.said == [0, 1] * 3


def test_answers_in_the_wrong_number_count_as_a_refusal() -> None:
    world = World(lambda: steps(1), max_attempts=1)
    [event] = [one for one in world.runner.events() if isinstance(one, Send)]
    world.runner.sent(event.job, 7)
    world.runner.answered(7, [OK, OK], 0)
    assert (world.job.state, world.job.cause) == (FAILED, "2 answers to 1 services")


@pytest.mark.parametrize("seed", range(10))
def test_a_refusal_on_the_way_takes_no_tries_from_the_messages_after_it(seed: int) -> None:
    chance, refusals, done = Random(seed), iter([REFUSED]), [0]

    def resumed() -> Exchange[None]:
        while done[0] < 60:
            [answer] = yield [bytes(done)]
            if answer == REFUSED:
                raise ExchangeFailed("busy")
            done[0] += 1

    def answer(number: int) -> bytes | None:
        if number == 30 and (refused := next(refusals, None)) is not None:
            return refused
        return None if chance.random() < 1 / 3 else OK

    world = World(resumed, max_attempts=12)
    assert world.run(answer) == DONE, world.job.cause


def sends(runner: JobRunner) -> list[Send]:
    return [event for event in runner.events() if isinstance(event, Send)]


def test_what_waits_behind_a_cancelled_job_begins_when_no_answer_can_come_any_more() -> None:
    world = World(lambda: steps(2))
    runner, job = world.runner, world.job
    runner.submit(Job(2, ESN, "more", lambda: steps(1)), 0)
    [event] = sends(runner)
    runner.sent(event.job, 7)
    assert runner.cancel(job, "by ann", 0) == 7
    assert job.state == CANCELLED and sends(runner) == []
    runner.answered(7, [OK], 0)
    assert [event.job.id for event in sends(runner)] == [2]


def test_what_follows_a_poll_begins_when_that_is_kept() -> None:
    world = World(lambda: steps(1), begins_anew=True)
    runner = world.runner
    looked_up: list[str] = []

    def second() -> Exchange[None]:
        looked_up.append("now")
        yield [b"\0"]

    runner.submit(Job(2, ESN, "poll", second), 0)
    [event] = sends(runner)
    runner.sent(event.job, 7)
    runner.answered(7, [OK], 0)
    assert world.job.state == DONE and not looked_up
    runner.kept(ESN, 0)
    assert looked_up
    runner.kept("SM000099", 0)


class Absent:
    """A runner with one job that waits for a SmartMeter that is not there."""

    def __init__(self, waits_s: int = 1000) -> None:
        self.runner, self.now_us = JobRunner(), 0
        self.first = self.job(1, waits_s)

    def job(self, number: int, waits_s: int = 0, messages: int = 2) -> Job:
        """Order some messages."""
        job = Job(number, ESN, f"work {number}", lambda: steps(messages), "ann")
        job.waits_until_us = waits_s * 1_000_000
        self.runner.submit(job, self.now_us)
        self.send()
        return job

    def send(self, *answered: bool) -> list[int]:
        """Find no way, or (``answered``) one, for all that is to be sent; give whose it was."""
        turns, sent = iter(answered), []
        while (events := self.runner.events()) and len(sent) < 100:
            for event in events:
                if not isinstance(event, Send):
                    continue
                sent.append(event.job.id)
                turn = next(turns, None)
                if turn is None:
                    self.runner.absent(event.job, "not connected", self.now_us)
                    continue
                self.runner.sent(event.job, len(sent))
                if turn:
                    self.runner.answered(len(sent), [OK], self.now_us)
                else:
                    self.runner.unanswered(len(sent), "no answer in time", self.now_us)
        return sent

    def go_on(self, seconds: int) -> list[int]:
        """Let time pass; nobody comes.  Give what was tried."""
        end_us, tried = self.now_us + seconds * 1_000_000, list[int]()
        while (due_us := self.runner.deadline_us()) is not None and due_us <= end_us:
            self.now_us = due_us
            self.runner.expire(due_us)
            tried += self.send()
        self.now_us = end_us
        return tried


def test_work_that_waits_for_a_meter_lets_other_work_pass() -> None:
    world = Absent()
    ping = world.job(2)
    assert world.first.state == "waiting" and world.go_on(10) == [2, 2]
    assert (ping.state, ping.cause) == (FAILED, "not connected")
    assert [job.id for job in world.runner.under_way()] == [1] and world.runner.has(ESN, "work 1")


def test_work_that_waits_has_its_turn_first_when_the_meter_is_heard() -> None:
    world = Absent()
    other, ping = world.job(2, 1000), world.job(3)
    world.runner.heard(ESN, world.now_us)
    world.runner.reachable(ESN, world.now_us)  # the ping was waiting for another try
    assert world.send(*[True] * 6) == [3, 3, 1, 1, 2, 2]
    assert {one.state for one in (world.first, other, ping)} == {DONE}
    assert world.runner.deadline_us() is None


def test_work_waits_for_a_meter_until_its_time_and_then_has_its_tries() -> None:
    world = Absent(1000)
    assert world.go_on(999) == [] and world.first.state == "waiting"
    assert world.go_on(10) == [1, 1, 1]
    assert (world.first.state, world.first.cause) == (FAILED, "not connected")


def test_work_waits_for_a_meter_that_has_a_way_and_does_not_answer() -> None:
    world = Absent()
    world.runner.heard(ESN, 0)
    world.send(False)
    for _ in range(2):
        world.now_us = world.runner.deadline_us() or 0
        world.runner.expire(world.now_us)
        world.send(False)
    assert world.first.cause == "no answer in time; waits until the SmartMeter is heard"
    world.runner.heard(ESN, world.now_us)
    assert world.send(True, True) == [1, 1] and world.first.state == DONE


def test_work_that_waits_goes_on_when_other_work_is_answered() -> None:
    world = Absent()
    world.job(2)
    world.now_us += 2_000_000
    world.runner.expire(world.now_us)
    assert world.send(*[True] * 4) == [2, 2, 1, 1] and world.first.state == DONE


def test_work_waits_only_so_often_for_a_meter_that_is_heard_and_never_answers() -> None:
    world, heard = Absent(10**6), 0
    while world.first.state == "waiting" and heard < 100:
        world.runner.heard(ESN, world.now_us)
        world.send()
        world.go_on(60)
        heard += 1
    assert world.first.state == FAILED and heard == MAX_ASIDE


def test_work_whose_meter_answers_now_and_then_waits_for_it_as_often_as_it_must() -> None:
    world = Absent(10**6)
    world.runner.cancel(world.first, "anew", 0)
    job = world.job(2, 10**6, messages=3)
    for _ in range(3 * MAX_ASIDE):
        world.runner.heard(ESN, world.now_us)
        assert world.send(True) == [2, 2]
    assert job.state == "waiting"


def test_work_that_waits_for_a_meter_is_cancelled_and_counted_as_any() -> None:
    world = Absent()
    jobs = [world.job(number, 1000) for number in range(2, MAX_QUEUE + 1)]
    assert not world.runner.submit(Job(99, ESN, "work", lambda: steps(1)), 0)
    for job in [world.first, *jobs]:
        assert world.runner.cancel(job, "by ann", 0) is None and job.state == CANCELLED
    assert not world.runner.under_way() and world.runner.deadline_us() is None
