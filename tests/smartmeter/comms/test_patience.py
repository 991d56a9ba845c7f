"""Waits for answers: learnt from those that came, raised by silence to a bound, then begun anew."""

from hypothesis import given
from hypothesis import strategies as st

from smartmeter.base.clock import US_PER_S
from smartmeter.comms.patience import MAX_UNHEARD_US, MAX_WAIT_US, Patience

LEAST_US = 15 * US_PER_S


def waited_s(patience: Patience, whom: str = "tcp") -> float:
    return patience.begin(whom, LEAST_US, 0).timeout_us / US_PER_S


def test_silence_doubles_the_wait_to_a_bound_and_an_answer_sets_it() -> None:
    patience = Patience()
    for seconds in (15, 30, 60, 60):
        assert waited_s(patience) == seconds
        patience.unanswered(patience.begin("tcp", LEAST_US, 0))
    assert waited_s(patience, "udp") == 15
    patience.answered(patience.begin("tcp", LEAST_US, 7), 7 + 20 * US_PER_S)
    assert waited_s(patience) == 40
    patience.answered(patience.begin("tcp", LEAST_US, 0), US_PER_S)
    assert waited_s(patience) == 15


def test_a_new_way_to_somebody_begins_anew() -> None:
    patience = Patience()
    patience.unanswered(patience.begin("SM000001", LEAST_US, 0))
    patience.forget("SM000001")
    patience.forget("SM000002")
    assert waited_s(patience, "SM000001") == 15


def test_an_answer_that_was_slower_than_silence_may_make_it_is_waited_for_next_time() -> None:
    patience = Patience()
    slow = patience.begin("sms", 180 * US_PER_S, 0)
    patience.answered(slow, 110 * US_PER_S)
    assert waited_s(patience, "sms") == 220
    patience.unanswered(patience.begin("sms", LEAST_US, 0))
    assert waited_s(patience, "sms") == 220


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**10))))
def test_a_wait_is_never_shorter_than_the_least_nor_longer_than_the_bounds(
    took_us: list[int | None],
) -> None:
    patience, unheard = Patience(), True
    for took in took_us:
        wait = patience.begin("tcp", LEAST_US, 5)
        if took is None:
            patience.unanswered(wait)
        else:
            patience.answered(wait, 5 + took)
            unheard = False
        most_us = MAX_UNHEARD_US if unheard else MAX_WAIT_US
        assert LEAST_US <= patience.begin("tcp", LEAST_US, 5).timeout_us <= most_us
