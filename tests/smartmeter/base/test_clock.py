"""The calendar clock and its shared setting."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartmeter.base.clock import US_PER_S, Calendar, follow_wall, shared_calendar, utc_moment
from smartmeter.base.errors import SettingsError

instants = st.integers(0, 10**15)


def test_an_instant_is_told_up_to_the_last_that_32_bits_hold() -> None:
    assert utc_moment(0).isoformat() == "1970-01-01T00:00:00+00:00"
    assert utc_moment((1 << 32) - 1).isoformat() == "2106-02-07T06:28:15+00:00"
    with pytest.raises(OverflowError):
        utc_moment(1 << 40)


@given(instants, st.fractions(Fraction(1, 1000), 100_000), instants, st.integers(-200, 200))
def test_a_deadline_is_the_first_instant_that_shows_the_time(
    epoch: int, rate: Fraction, ahead: int, drift_ppm: int
) -> None:
    calendar = Calendar(epoch, rate, 77)
    calendar.set_drift(drift_ppm, 77)
    due = calendar.deadline_us(epoch + ahead)
    shown, before = calendar.utc_us(due), calendar.utc_us(due - 1)
    assert shown is not None and before is not None
    assert before <= epoch + ahead <= shown or ahead == 0


def test_a_clock_that_is_not_set_shows_no_time() -> None:
    calendar = Calendar(None)
    assert calendar.utc_us(5) is None and calendar.utc_s(5) is None
    with pytest.raises(SettingsError):
        calendar.deadline_us(1)
    calendar.set(10 * US_PER_S, 5)
    assert calendar.utc_s(5 + US_PER_S) == 11


@given(st.integers(0, 10**9), st.integers(0, 10**12), st.integers(0, 10**12))
def test_processes_that_share_a_setting_agree(gap_us: int, origin_a: int, origin_b: int) -> None:
    wall_us = 1_767_225_600 * US_PER_S + 123
    early = shared_calendar("1767225600,600", wall_us, origin_a)
    late = shared_calendar("1767225600,600", wall_us + gap_us, origin_b)
    assert early.utc_us(origin_a + gap_us) == late.utc_us(origin_b)


@pytest.mark.parametrize("text", ["x", "1", "1,0", "1,-4", "1,2,3", "1,1/0", "1,1e99"])
def test_a_wrong_clock_setting_is_one_clear_error(text: str) -> None:
    with pytest.raises(SettingsError, match="--clock"):
        shared_calendar(text, 0, 0)


@pytest.mark.parametrize("text", ["1767225600,1000000", f"{1 << 40},2"])
def test_a_clock_that_shows_no_date_of_a_meter_is_one_clear_error(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--clock.*nearer to now"):
        shared_calendar(text, 1_790_000_000 * US_PER_S, 0)


@pytest.mark.parametrize("text", ["", "1767225600,60"])
def test_a_shared_calendar_follows_the_wall_clock_when_that_is_set(text: str) -> None:
    wall_us = 1_767_225_600 * US_PER_S
    calendar = shared_calendar(text, wall_us, 0)
    for set_us, follows in ((500_000, False), (-86_400 * US_PER_S, True), (7200 * US_PER_S, True)):
        before_us = calendar.utc_us(US_PER_S)
        follow_wall(calendar, text, wall_us + US_PER_S + set_us, US_PER_S)
        shown_us = shared_calendar(text, wall_us + US_PER_S + set_us, US_PER_S).utc_us(US_PER_S)
        assert calendar.utc_us(US_PER_S) == (shown_us if follows else before_us)
    follow_wall(calendar, text, -1, US_PER_S)  # a wall clock that was never set
    assert calendar.utc_us(US_PER_S) == shown_us
