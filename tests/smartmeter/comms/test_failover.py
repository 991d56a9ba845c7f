"""Which bearers are opened and closed: rules one by one, then any history by seed with a model."""

from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest

from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.bearer_health import (
    FIRST_REST_US,
    IDLE_US,
    LINGER_US,
    MAX_DOUBT_REST_US,
    MAX_QUIET_US,
    MAX_REST_US,
    Lengths,
)
from smartmeter.comms.failover import Failover, Plan
from smartmeter.comms.way import Carries, Need

CHEAP = BearerSettings("cheap", "tcp:a:1", cost=1)
NEXT = BearerSettings("next", "udp:a:1", cost=2)
DEAR = BearerSettings("dear", "mqtt:a:1", cost=9, carries=Carries.URGENT)
CALLED = BearerSettings("called", "tcp:b:1", cost=3, when=When.WANTED)
SECOND = 1_000_000


def test_of_two_that_cost_the_same_the_one_that_works_is_kept_alone() -> None:
    failover = Failover([CHEAP, replace(NEXT, cost=CHEAP.cost)])
    assert failover.plan(Need.ROUTINE, 0).open == ("cheap",)
    failover.failed("cheap", "down", 0)
    assert failover.plan(Need.ROUTINE, 0).open == ("next",)
    failover.up("next")
    assert failover.plan(Need.ROUTINE, SECOND).open == ("cheap",), "nobody knows that it works"
    failover.up("cheap")
    failover.heard("next")
    plan = failover.plan(Need.ROUTINE, SECOND)
    assert (plan.open, plan.close) == ((), ("cheap",))


def test_a_report_that_is_too_long_opens_the_next_that_takes_it_and_no_other() -> None:
    narrow, middle = replace(CHEAP, max_apdu_octets=300), replace(NEXT, max_apdu_octets=600)
    wide, dear = replace(CALLED, cost=5), replace(DEAR, max_apdu_octets=700)
    failover = Failover([narrow, middle, wide, dear])
    asked: list[tuple[bool, int]] = []
    failover.lengths(lambda urgent, most: asked.append((urgent, most)) or 0)  # type: ignore[func-returns-value]
    assert asked == [(False, 2048), (True, 2048)]
    assert failover.plan(Need.URGENT, 0).open == ("cheap",)
    failover.up("cheap")
    failover.heard("cheap")
    assert failover.plan(Need.URGENT, 0, Lengths(300, 300)).open == ()
    assert failover.plan(Need.ROUTINE, 0, Lengths(2000, 300)).open == ("called",)
    failover.up("called")
    failover.heard("called")
    assert failover.plan(Need.URGENT, 0, Lengths(2000, 650)) == Plan((), (), LINGER_US)
    assert failover.plan(Need.ROUTINE, 0, Lengths(100, 0)).close == ("called",)
    failover.closed("called")
    assert failover.plan(Need.URGENT, 0, Lengths(600, 600)).open == ("next",)


def test_one_over_which_the_longest_report_cannot_go_keeps_none_from_being_opened() -> None:
    """Nothing is sent over it, so nothing shows whether it works."""
    narrow, wide = replace(DEAR, cost=0, max_apdu_octets=300), replace(DEAR, name="wide")
    failover = Failover([narrow, CHEAP, wide])
    assert failover.plan(Need.URGENT, 0, Lengths(500, 500)).open == ("dear", "cheap")
    failover.up("dear")
    failover.failed("cheap", "down", 0)
    assert failover.plan(Need.URGENT, 0, Lengths(500, 500)).open == ("wide",)


def test_two_silent_bearers_do_not_take_turns_for_ever_beside_one_that_works() -> None:
    dear = [replace(DEAR, name=name, cost=9) for name in ("first", "second", "third")]
    failover, now_us, tried = Failover([CHEAP, *dear]), 0, list[str]()
    while "third" not in tried:
        assert now_us < 1800 * SECOND, tried[-6:]
        for name in failover.plan(Need.URGENT, now_us).open:
            if name == "cheap":
                failover.failed(name, "down", now_us)
                continue
            tried.append(name)
            failover.up(name)
            now_us += 120 * SECOND  # two requests without an answer
            failover.doubted(name, now_us)
        now_us += SECOND


@pytest.mark.parametrize("standing_by", [(), ("cheap",)])
def test_a_silent_bearer_for_alarms_rests_long_beside_a_dearer_one_that_is_up(
    standing_by: tuple[str, ...],
) -> None:
    silent = replace(DEAR, cost=0)
    failover, up_us, now_us = Failover([silent, CHEAP], standing_by), 0, 0
    failover.up("cheap")
    failover.heard("cheap")
    for _ in range(6):
        while "dear" not in failover.plan(Need.URGENT, now_us).open:
            now_us, up_us = now_us + SECOND, up_us + SECOND
        failover.up("dear")
        now_us += 120 * SECOND
        failover.doubted("dear", now_us)
    assert up_us > 900 * SECOND, "the alarm has time to go by the other"


def test_the_cheapest_is_opened_alone_and_the_next_when_it_fails() -> None:
    failover = Failover([NEXT, CHEAP])
    assert failover.plan(Need.NOTHING, 0).open == ("cheap",)
    assert failover.plan(Need.ROUTINE, 1).open == ()
    failover.failed("cheap", "refused", 2)
    plan = failover.plan(Need.ROUTINE, 2)
    assert plan.open == ("next",) and plan.again_us == 2 + FIRST_REST_US
    failover.up("next")
    failover.heard("next")
    # The cheap one is tried again beside it, and only a message over it ends the dearer one.
    assert failover.plan(Need.NOTHING, 2 + FIRST_REST_US).open == ("cheap",)
    failover.up("cheap")
    assert failover.plan(Need.NOTHING, SECOND).close == ()
    failover.heard("cheap")
    assert failover.plan(Need.NOTHING, SECOND).close == ("next",)


def test_rests_double_and_end_with_a_message() -> None:
    failover, rests, now_us = Failover([CHEAP]), [], 0
    for _ in range(10):
        assert failover.plan(Need.ROUTINE, now_us).open == ("cheap",)
        failover.failed("cheap", "x", now_us)
        again_us = failover.plan(Need.ROUTINE, now_us).again_us
        assert again_us is not None
        rests.append(again_us - now_us)
        now_us = again_us
    assert rests[:4] == [FIRST_REST_US * 2**n for n in range(4)] and rests[-1] == MAX_REST_US
    failover.plan(Need.ROUTINE, now_us)
    failover.up("cheap")
    assert failover.heard("cheap") and not failover.heard("cheap")
    failover.ended("cheap", now_us)
    assert failover.plan(Need.ROUTINE, now_us).again_us == now_us + FIRST_REST_US


def test_one_that_opens_and_says_nothing_rests_like_one_that_fails() -> None:
    failover, now_us = Failover([CHEAP]), 0
    for turn in range(3):
        assert failover.plan(Need.ROUTINE, now_us).open == ("cheap",)
        failover.up("cheap")
        failover.ended("cheap", now_us)
        now_us += FIRST_REST_US * 2**turn
        assert failover.plan(Need.ROUTINE, now_us - 1).open == ()
    assert failover.status(now_us)[0]["failures"] == 3


def test_the_dear_one_is_opened_for_alarms_alone_and_closed_a_while_after() -> None:
    failover = Failover([DEAR, CHEAP])
    failover.plan(Need.ROUTINE, 0)
    failover.failed("cheap", "x", 0)
    assert failover.plan(Need.ROUTINE, 1).open == ()
    assert failover.plan(Need.URGENT, 2).open == ("dear",)
    failover.up("dear")
    failover.heard("dear")
    assert failover.plan(Need.ROUTINE, 3).close == ()
    failover.failed("cheap", "x", LINGER_US)
    assert failover.plan(Need.ROUTINE, LINGER_US + 3).close == ("dear",)


def test_one_that_is_opened_when_wanted_is_also_opened_by_a_call() -> None:
    failover = Failover([CALLED])
    assert failover.plan(Need.NOTHING, 0).open == ()
    failover.called(5)
    assert failover.plan(Need.NOTHING, 5).open == ("called",)
    failover.up("called")
    failover.heard("called")
    assert failover.plan(Need.NOTHING, 5 + LINGER_US).close == ("called",)
    failover.closed("called")
    assert failover.plan(Need.ROUTINE, 6 + LINGER_US).open == ("called",)


def test_a_call_ends_a_rest() -> None:
    failover = Failover([CHEAP])
    failover.plan(Need.NOTHING, 0)
    failover.failed("cheap", "x", 0)
    failover.called(1)
    assert failover.plan(Need.NOTHING, 1).open == ("cheap",)


def test_a_message_that_comes_while_a_doubted_bearer_is_closed_does_not_keep_it_closed() -> None:
    failover = Failover([CHEAP])
    failover.plan(Need.ROUTINE, 0)
    failover.up("cheap")
    failover.doubted("cheap", 0)
    assert not failover.heard("cheap")
    failover.ended("cheap", 0)
    assert failover.plan(Need.ROUTINE, FIRST_REST_US).open == ("cheap",)


def test_a_doubted_bearer_is_tried_less_often_if_there_is_another() -> None:
    alone = Failover([CHEAP, DEAR])
    alone.plan(Need.ROUTINE, 0)
    alone.up("cheap")
    alone.doubted("cheap", 0)
    assert alone.plan(Need.ROUTINE, FIRST_REST_US).open == ("cheap",)
    failover = Failover([CHEAP, NEXT])
    failover.plan(Need.ROUTINE, 0)
    failover.up("cheap")
    failover.doubted("cheap", SECOND)
    assert failover.plan(Need.ROUTINE, SECOND).open == ("next",)
    failover.up("next")
    failover.heard("next")
    now_us, rests = SECOND, []
    for _ in range(8):
        while failover.plan(Need.ROUTINE, now_us).open != ("cheap",):
            now_us += SECOND
        failover.up("cheap")
        failover.doubted("cheap", now_us)
        again_us = failover.plan(Need.ROUTINE, now_us).again_us
        rests.append(again_us)
        failover.ended("cheap", now_us)
    assert failover._all["cheap"].rest_us == MAX_DOUBT_REST_US


def test_one_that_listens_for_its_host_does_so_again_at_once_whatever_happened() -> None:
    failover = Failover([CHEAP, BearerSettings("in", "listen::1153", cost=2)], ["in"])
    now_us = 0
    for happened in (failover.doubted, failover.failed, failover.ended) * 5:
        assert "in" in failover.plan(Need.ROUTINE, now_us).open
        failover.up("in")
        what = ("fault",) if happened == failover.failed else ()
        happened("in", *what, now_us)
        now_us += FIRST_REST_US


def test_one_that_stands_by_is_open_beside_all_others() -> None:
    failover = Failover([CHEAP, BearerSettings("sms", "x", cost=50)], ["sms"])
    assert set(failover.plan(Need.NOTHING, 0).open) == {"cheap", "sms"}
    failover.up("cheap")
    failover.heard("cheap")
    failover.up("sms")
    plan = failover.plan(Need.NOTHING, 1)
    assert (plan.open, plan.close) == ((), ())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_rules_hold_and_the_cheapest_that_works_is_used(seed: int) -> None:
    chance = Random(seed)
    bearers = [CHEAP, NEXT, CALLED, DEAR]
    failover, works = Failover(bearers), dict.fromkeys((one.name for one in bearers), True)
    opening: set[str] = set()
    live: set[str] = set()
    now_us = 0
    need = Need.NOTHING
    for _ in range(400):
        now_us += chance.choice((1_000, 300_000, 5 * SECOND, 40 * SECOND))
        if chance.random() < 0.2:
            works[chance.choice(list(works))] = chance.random() < 0.5
        need = chance.choice(list(Need))
        plan = failover.plan(need, now_us)
        for name in plan.close:
            opening.discard(name)
            live.discard(name)
            failover.closed(name)
        assert not set(plan.open) & (opening | live), "what is open is not opened again"
        assert len(plan.open) <= 1
        if "dear" in plan.open:
            assert need is Need.URGENT
        opening |= set(plan.open)
        for name in sorted(opening):
            opening.discard(name)
            if works[name]:
                live.add(name)
                failover.up(name)
                failover.heard(name)
            else:
                failover.failed(name, "down", now_us)
        for name in sorted(live):
            if not works[name]:
                live.discard(name)
                failover.ended(name, now_us)
    # Now everything works for an hour: the cheapest alone is open.
    for _ in range(120):
        now_us += 30 * SECOND
        plan = failover.plan(Need.NOTHING, now_us)
        for name in plan.close:
            live.discard(name)
            failover.closed(name)
        for name in plan.open:
            live.add(name)
            failover.up(name)
            failover.heard(name)
    assert live == {"cheap"}


def opened_idly(failover: Failover, now_us: int) -> int:
    """Give when it is opened though nothing waits, by a host that asks when it was told to."""
    while not failover.plan(Need.NOTHING, now_us).open:
        again_us = failover.plan(Need.NOTHING, now_us).again_us
        assert again_us is not None and again_us > now_us
        now_us = again_us
    return now_us


def test_who_closes_idle_connections_is_called_less_and_less_and_at_once_if_something_waits() -> (
    None
):
    failover, now_us, pauses = Failover([CHEAP]), 0, []
    for _ in range(14):
        opened_us = opened_idly(failover, now_us)
        pauses.append(opened_us - now_us)
        failover.up("cheap")
        failover.heard("cheap")
        failover.plan(Need.NOTHING, opened_us)
        now_us = opened_us + 30 * SECOND
        failover.ended("cheap", now_us)
    assert pauses[:4] == [0, FIRST_REST_US, FIRST_REST_US, 2 * FIRST_REST_US]
    assert pauses[-1] == MAX_QUIET_US
    now_us += FIRST_REST_US
    assert failover.plan(Need.NOTHING, now_us).open == ()
    called = deepcopy(failover)
    called.called(now_us)
    assert called.plan(Need.NOTHING, now_us).open == ("cheap",), "the far end wants it"
    assert failover.plan(Need.ROUTINE, now_us).open == ("cheap",)
    failover.up("cheap")
    failover.heard("cheap")
    # One that ended in the middle of work, or lasted, is called again at once.
    failover.ended("cheap", now_us)
    now_us += IDLE_US + MAX_QUIET_US
    assert failover.plan(Need.NOTHING, now_us).open == ("cheap",)
    failover.up("cheap")
    failover.heard("cheap")
    failover.plan(Need.NOTHING, now_us)
    failover.ended("cheap", now_us)
    assert failover.plan(Need.NOTHING, now_us).again_us == now_us + FIRST_REST_US
