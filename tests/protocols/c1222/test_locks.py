"""What a node sends: no pair of IV and invocation id comes twice, whatever its clock does."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import SecurityState, TitleKeys
from protocols.c1222.locks import Locks
from protocols.c1222.security import CIPHERTEXT, MAX_KEY_USES
from protocols.errors import LocalProtocolError

PEER = ApTitle.parse(".1.2")
KEYS = TitleKeys()
KEYS.add(PEER, bytes(16))


@dataclass
class Clock:
    utc_s: int | None = 1_000

    def utc_us(self, now_us: int) -> int | None:
        return None if self.utc_s is None else self.utc_s * 1_000_000


def sent(locks: Locks) -> tuple[int, int]:
    """Give the IV and the id of one message."""
    own = locks.take_id()
    return int.from_bytes(locks.lock(PEER, 0, CIPHERTEXT, 0).iv, "big"), own


STEPS = st.lists(st.sampled_from(("send", "restart", "set", -700, -1, 1, 700)), max_size=40)


@given(STEPS)
def test_no_pair_of_iv_and_id_comes_twice(steps: list[str | int]) -> None:
    clock, pairs = Clock(), []
    locks = Locks(KEYS, clock, SecurityState())
    for step in steps:
        match step:
            case "send":
                pairs.append(sent(locks))
            case "restart":
                locks = Locks(KEYS, clock, locks.state)
            case "set":
                locks.clock_set()
            case int():
                clock.utc_s = max(1, (clock.utc_s or 0) + step)
    assert len(set(pairs)) == len(pairs)


def test_an_iv_is_the_time_and_goes_back_only_where_the_node_is_told() -> None:
    clock = Clock(1_000)
    locks = Locks(KEYS, clock, SecurityState(7, 990))
    assert sent(locks) == (1_000, 7)
    clock.utc_s = 900
    assert sent(locks) == (1_000, 8)
    locks.clock_set()
    assert sent(locks) == (900, 9)
    assert locks.state == SecurityState(10, 900)


def test_after_the_highest_id_comes_the_first() -> None:
    locks = Locks(KEYS, Clock(), SecurityState(0xFFFFFFFF))
    assert [locks.take_id(), locks.take_id()] == [0xFFFFFFFF, 1]


def test_without_a_key_or_a_time_or_with_a_key_that_is_used_up_nothing_is_secured() -> None:
    keys = TitleKeys()
    keys.add(PEER, bytes(16))
    cipher = keys.key(PEER, 0)
    assert cipher is not None
    for peer, utc_s, uses, why in (
        (ApTitle.parse(".9"), 1_000, 0, "no key for this peer"),
        (PEER, None, 0, "clock not set"),
        (PEER, 1_000, MAX_KEY_USES, "used up"),
    ):
        cipher.uses = uses
        locks = Locks(keys, Clock(utc_s), SecurityState())
        with pytest.raises(LocalProtocolError, match=why):
            locks.lock(peer, 0, CIPHERTEXT, 0)
        assert locks.state.last_iv == 0
