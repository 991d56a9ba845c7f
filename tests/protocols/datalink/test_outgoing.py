"""What is to be written: in its order, and none of it before its instant."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.datalink.outgoing import Outgoing

STEPS = st.lists(
    st.tuples(st.sampled_from(("put", "hold", "expire", "take")), st.integers(0, 5)), max_size=30
)


@given(STEPS)
def test_octets_leave_in_their_order_and_none_before_its_instant(
    steps: list[tuple[str, int]],
) -> None:
    outgoing, now_us, until_us, said, left = Outgoing(), 0, 0, b"", b""
    for number, (step, by_us) in enumerate(steps):
        now_us += by_us
        match step:
            case "put":
                outgoing.put(bytes([number]), now_us)
                said += bytes([number])
            case "hold":
                until_us = max(until_us, now_us + by_us)
                outgoing.hold_until(now_us + by_us)
            case "expire":
                outgoing.expire(now_us)
                assert outgoing.holds <= (now_us < until_us)
            case "take":
                left += outgoing.take()
        assert said.startswith(left) and len(outgoing) == len(said) - len(left)
        assert outgoing.deadline_us() == (until_us if outgoing.holds else None)
    outgoing.expire(until_us)
    assert left + outgoing.take() == said and not outgoing


def test_what_is_put_while_it_must_wait_is_held_and_an_octet_ahead_of_it_is_not() -> None:
    outgoing = Outgoing()
    outgoing.hold_until(100)
    outgoing.put(b"held", 99)
    outgoing.put_ahead(0x55)
    assert outgoing.take() == b"\x55" and outgoing.holds
    outgoing.put(b" too", 100)
    assert outgoing.take() == b""
    outgoing.expire(100)
    assert outgoing.take() == b"held too"


def test_what_has_not_left_can_be_taken_back_held_or_not() -> None:
    outgoing = Outgoing()
    outgoing.put(b"ready", 0)
    outgoing.hold_until(10)
    outgoing.put(b"-held-", 0)
    outgoing.withdraw(b"ready")
    outgoing.withdraw(b"held")
    outgoing.withdraw(b"neither")
    outgoing.expire(10)
    assert outgoing.take() == b"--"
