"""Who waits for which answer at a relay, against a plain list."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocols.c1222.answers_due import MAX_ASKERS, AnswersDue, Asked
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.security import CIPHERTEXT
from tests.protocols.c1222.conversation import READ_1, request

APDU = decode_apdu(request([READ_1]))
ANSWER_US, DOUBT_US = 60, 10
KEYS = [((1,), 1), ((1,), 2), ((2,), 1)]
CLIENTS, WAYS = ["a", "b", "c"], ["below", "elsewhere", "up"]


@dataclass(frozen=True)
class Row:
    """One request in the model; ``else_us`` None: it was tried elsewhere, or never is."""

    key: tuple[tuple[int, ...], int]
    came: str
    ways: tuple[str, ...]
    due_us: int
    else_us: int | None


class Waiting(RuleBasedStateMachine):
    """The model is the list of requests that wait, the one that is due first ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.due, self.rows, self.now_us = AnswersDue(1000), list[Row](), 0

    @rule(key=st.sampled_from(KEYS), came=st.sampled_from(CLIENTS), way=st.sampled_from(WAYS))
    def ask(self, key: tuple[tuple[int, ...], int], came: str, way: str) -> None:
        else_us = None if way == "up" else self.now_us + DOUBT_US
        asked = Asked(came, way, APDU, self.now_us + ANSWER_US, 0, else_us)
        ways = self.due.add(key, asked)
        row = Row(key, came, (way,), asked.due_us, else_us)
        for first in [one for one in self.rows if (one.key, one.came) == (key, came)]:
            self.rows.remove(first)
            if len(first.ways) > 1 and way in first.ways:
                row = replace(row, ways=first.ways, else_us=None)
            elif else_us is not None and first.else_us is not None:
                row = replace(row, else_us=first.else_us)
        self.rows.append(row)
        assert ways == row.ways

    @rule(us=st.integers(1, 25))
    def pass_time(self, us: int) -> None:
        self.now_us += us
        tried = self.due.to_try_elsewhere(self.now_us)
        late = [one for one in self.rows if (one.else_us or self.now_us + 1) <= self.now_us]
        assert sorted(one.came for one in tried) == sorted(one.came for one in late)
        for one in late:
            went = self.due.goes_too(one.key, one.came, "up")
            assert went == (len(one.ways) == 1)
            after = replace(one, ways=(*one.ways, "up") if went else one.ways, else_us=None)
            self.rows[self.rows.index(one)] = after
        over = [one.came for one in self.rows if one.due_us <= self.now_us]
        assert [one.came for one in self.due.overdue(self.now_us)] == over
        self.rows = [one for one in self.rows if one.due_us > self.now_us]

    @rule(key=st.sampled_from(KEYS), way=st.sampled_from(WAYS))
    def answer(self, key: tuple[tuple[int, ...], int], way: str) -> None:
        second = any(one.key == key and one.ways[1:] == (way,) for one in self.rows)
        assert self.due.is_second_try(key, way) == second
        told = [one for one in self.rows if one.key == key and way in one.ways]
        assert {one.came for one in self.due.take(key, way)} == {one.came for one in told}
        self.rows = [one for one in self.rows if one not in told]

    @rule(path=st.sampled_from([*CLIENTS, *WAYS]))
    def fail(self, path: str) -> None:
        lost = [one for one in self.rows if one.came != path and one.ways == (path,)]
        assert {(one.came, one.went) for one in self.due.path_failed(path)} == {
            (one.came, path) for one in lost
        }
        self.rows = [
            replace(one, ways=tuple(way for way in one.ways if way != path))
            for one in self.rows
            if one.came != path and one not in lost
        ]

    @invariant()
    def is_told_in_time(self) -> None:
        dues = [one.due_us for one in self.rows]
        dues += [one.else_us for one in self.rows if one.else_us is not None]
        assert self.due.deadline_us() == min(dues, default=None)


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_who_asked_first_gives_way_when_too_many_ask_under_one_key() -> None:
    due, first, *others = AnswersDue(1000), *range(MAX_ASKERS + 1)
    for came in (first, *others):
        due.add(KEYS[0], Asked(came, "up", APDU, ANSWER_US, 0, None))
    assert [one.came for one in due.take(KEYS[0], "up")] == others


def test_of_the_answers_that_may_come_again_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocols.c1222.answers_due.MAX_ANSWERED", 2)
    due = AnswersDue(1000)
    for key in KEYS:
        due.add(key, Asked("host", "up", APDU, ANSWER_US, CIPHERTEXT, None))
        assert due.take(key, "up")
    assert [bool(due.take(key, "up")) for key in KEYS] == [False, True, True]
