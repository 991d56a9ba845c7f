"""Due times: known days, and that following and latest agree, for any recurrence."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables.ssi_tables import ScheduleKind as Kind
from smartmeter.base.tasks import LAST_DAY, Recurrence, jitter_s


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("recurrence", "after", "due"),
    [
        (Recurrence(Kind.INTERVAL, 15), at(2026, 1, 1, 0, 7), at(2026, 1, 1, 0, 15)),
        (Recurrence(Kind.INTERVAL, 15), at(2026, 1, 1, 0, 15), at(2026, 1, 1, 0, 30)),
        (Recurrence(Kind.INTERVAL, 60, 5), at(2026, 1, 1, 0, 7), at(2026, 1, 1, 1, 5)),
        (Recurrence(Kind.DAILY, at_minute=90), at(2026, 1, 1, 2), at(2026, 1, 2, 1, 30)),
        (Recurrence(Kind.WEEKLY, day=0), at(2026, 1, 1), at(2026, 1, 4)),
        (Recurrence(Kind.MONTHLY, day=31), at(2026, 2, 1), at(2026, 2, 28)),
        (Recurrence(Kind.MONTHLY, day=LAST_DAY), at(2028, 2, 1), at(2028, 2, 29)),
        (Recurrence(Kind.MONTHLY, day=1), at(2026, 12, 1), at(2027, 1, 1)),
        (Recurrence(Kind.ONCE, once_s=at(2026, 5, 1)), at(2026, 1, 1), at(2026, 5, 1)),
        (Recurrence(Kind.ONCE, once_s=at(2026, 5, 1)), at(2026, 5, 1), None),
    ],
)
def test_the_next_due_time_is_right_on_known_days(
    recurrence: Recurrence, after: int, due: int | None
) -> None:
    assert recurrence.following(after) == due


recurrences = st.builds(
    Recurrence,
    st.sampled_from((Kind.INTERVAL, Kind.DAILY, Kind.WEEKLY, Kind.MONTHLY)),
    st.integers(1, 10_080),
    st.integers(0, 1439),
    st.integers(1, 6) | st.just(LAST_DAY),
).filter(lambda recurrence: recurrence.fault() is None)


@given(recurrences, st.integers(at(1971, 1, 1), at(2100, 1, 1)))
def test_following_and_latest_agree(recurrence: Recurrence, moment: int) -> None:
    following, latest = recurrence.following(moment), recurrence.latest(moment)
    assert following is not None and latest is not None
    assert latest <= moment < following
    assert recurrence.following(latest) == following
    assert recurrence.latest(following) == following
    assert recurrence.latest(following - 1) == latest


@given(recurrences, st.integers(at(1980, 1, 1), at(2090, 1, 1)), st.integers(0, 10**7))
def test_between_counts_every_due_time_once(recurrence: Recurrence, after: int, span: int) -> None:
    dues = recurrence.between(after, after + span, 50)
    assert dues == sorted(set(dues))
    assert all(after < due <= after + span for due in dues)
    if dues and len(dues) < 50:
        assert recurrence.latest(dues[0] - 1) <= after  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "member", "possible", "impossible"),
    [
        (Kind.INTERVAL, "period_min", (1, 10_080), (0, 10_081)),
        (Kind.HOURLY, "at_minute", (0, 59), (-1, 60)),
        (Kind.DAILY, "at_minute", (0, 1439), (-1, 1440)),
        (Kind.WEEKLY, "day", (0, 6), (-1, 7)),
        (Kind.MONTHLY, "day", (1, 31, LAST_DAY), (0, 32, LAST_DAY - 1)),
    ],
)
def test_an_impossible_recurrence_says_why(
    kind: Kind, member: str, possible: tuple[int, ...], impossible: tuple[int, ...]
) -> None:
    usual = Recurrence(kind, 15, day=1)
    assert not any(replace(usual, **{member: one}).fault() for one in possible)
    assert all(str(one) in (replace(usual, **{member: one}).fault() or "") for one in impossible)


@given(st.text(max_size=16), st.integers(0, 255), st.integers(0, 65_535))
def test_jitter_stays_in_its_window_and_is_fixed(esn: str, number: int, window: int) -> None:
    delay = jitter_s(esn, number, window)
    assert delay == jitter_s(esn, number, window)
    assert 0 <= delay < max(window, 1)
