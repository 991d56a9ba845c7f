"""What is remembered of requests is bounded, in their number and in the octets of answers."""

from protocols.c1222.keys import MAX_ANSWER_OCTETS, History


def test_the_oldest_answers_are_forgotten_and_their_requests_are_not() -> None:
    history = History(100)
    answer = bytes(MAX_ANSWER_OCTETS // 4)
    for mark in range(6):
        history.add(mark, 10, 0)
        history.answered(mark, answer)
    assert all(history.knows(mark, 9) for mark in range(6))
    assert [history.answer(mark) is not None for mark in range(6)] == [False] * 2 + [True] * 4
    history.add("new", 10, 0)
    history.answered("new", bytes(MAX_ANSWER_OCTETS + 1))
    assert history.answer("new") is None and history.answer(5) == answer


def test_a_request_that_goes_gives_the_room_of_its_answer_back() -> None:
    history = History(3)
    answer = bytes(MAX_ANSWER_OCTETS // 3)
    for mark in range(30):
        history.add(mark, 10, 0, stamp=mark)
        history.answered(mark, answer)
    assert [history.answer(mark) for mark in (27, 28, 29)] == [answer] * 3
    assert history.evicted == 26 and not history.knows(26, 0)
    history.add("later", 20, 10, stamp=40)
    assert history.evicted == 26, "what was kept for long enough is missed by nobody"
