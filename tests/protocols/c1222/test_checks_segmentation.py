"""Conformance checks 52 to 57: the 2008 draft's segments, where they are switched on."""

import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.ber import tlv
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import NodeSettings
from protocols.c1222.segmentation import (
    MAX_PARTIALS,
    REASSEMBLY_TIMEOUT_S,
    Joiner,
    SegmentRefused,
    fitting,
    segmentation_error,
    split,
)
from protocols.errors import LocalProtocolError
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite
from tests.protocols.c1222.conversation import NOW_US, READ_1, Talk, items, lock, request, vector

SEGMENTS = [vector(f"own-segment-{number}-of-3") for number in range(3)]
WHOLE = vector("own-write-length-82")
ON = NodeSettings(demand_security=False, segment_octets=548)


def offer(joiner: Joiner, *segments: bytes) -> list[bytes | None]:
    return [joiner.offer(decode_apdu(segment), NOW_US) for segment in segments]


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_check_52_segments_in_any_order_give_the_whole_message(order: tuple[int, ...]) -> None:
    assert offer(Joiner(2048), *(SEGMENTS[n] for n in order)) == [None, None, WHOLE]
    talk = Talk(ON)
    answers = [answer for n in order for answer in talk.offer(SEGMENTS[n])]
    assert len(answers) == 1 and items(answers[0]) == [b"\3"]


def test_check_53_a_segment_twice_has_no_effect() -> None:
    first, second, third = SEGMENTS
    assert offer(Joiner(2048), first, first, second, second, third) == [None] * 4 + [WHOLE]


def test_check_54_an_offset_out_of_range_or_an_overrun_is_sgerr() -> None:
    talk = Talk(ON)
    [answer] = talk.offer(vector("bad-segment-offset-range"))
    assert items(answer) == [bytes.fromhex("12012c000a")]
    assert talk.rejections() == ["segment-offset-range"]
    # The last one begins below the total, and ends beyond it.
    last = decode_apdu(SEGMENTS[2])
    offset, size = last.segment_offset or 0, len(last.user_information)
    assert offset + size == len(WHOLE)
    at = SEGMENTS[2].index(b"\x02\x02" + offset.to_bytes(2, "big")) + 2
    over = SEGMENTS[2][:at] + (offset + 1).to_bytes(2, "big") + SEGMENTS[2][at + 2 :]
    [answer] = talk.offer(over)
    wanted = b"\x12" + (offset + 1).to_bytes(2, "big") + size.to_bytes(2, "big")
    assert items(answer) == [wanted] and talk.rejections() == ["segment-overrun"]
    other = bytearray(SEGMENTS[0])
    other[-1] ^= 1
    joiner = Joiner(2048)
    offer(joiner, SEGMENTS[0])
    with pytest.raises(SegmentRefused) as caught:
        offer(joiner, bytes(other))
    assert caught.value.answer.hex() == "1200000096"
    talk.offer(SEGMENTS[0])
    [answer] = talk.offer(bytes(other))
    assert items(answer) == [bytes.fromhex("1200000096")]


def test_check_55_a4_8b_or_ac_in_a_segment_is_rejected() -> None:
    talk = Talk(ON)
    assert talk.offer(vector("bad-segment-with-A4")) == []
    mechanism = bytes.fromhex("8b09607c86f75401160201")
    authentication = bytes.fromhex("ac0fa20da00ba10980010581044c97f489")
    for element in (mechanism, authentication):
        at = SEGMENTS[0].index(b"\xbe")
        body = SEGMENTS[0][3:at] + element + SEGMENTS[0][at:]
        assert SEGMENTS[0][1] == 0x81 and talk.offer(tlv(0x60, body)) == []
    assert talk.rejections() == ["element-not-allowed-in-segment"] * 3


def test_check_56_a_message_that_is_not_completed_is_dropped_and_its_memory_free() -> None:
    counts: Counter[str] = Counter()
    joiner = Joiner(2048, counts)
    offer(joiner, *SEGMENTS[:2])
    due_us = joiner.deadline_us()
    assert due_us == NOW_US + REASSEMBLY_TIMEOUT_S * 1_000_000
    joiner.expire(due_us)
    assert joiner.deadline_us() is None and counts == {"dropped segments-missing": 1}
    assert offer(joiner, SEGMENTS[2]) == [None]


def test_check_57_a_total_above_the_limit_is_rqtl_at_the_first_segment() -> None:
    talk = Talk(NodeSettings(demand_security=False, segment_octets=200, max_apdu_octets=300))
    [answer] = talk.offer(SEGMENTS[0])
    assert items(answer) == [b"\x0f" + (300).to_bytes(4, "big")]


def test_where_segmentation_is_off_a_segment_is_answered_sgnp() -> None:
    talk = Talk()
    [answer] = talk.offer(SEGMENTS[0])
    assert items(answer) == [b"\x11"] and talk.rejections() == ["segmentation-not-possible"]


@pytest.mark.parametrize("settings", [None, ON])
def test_a_segment_for_another_title_is_left_to_its_receiver(settings: NodeSettings | None) -> None:
    talk = Talk(settings, title=ApTitle.parse(".8.1"))
    assert [talk.offer(segment) for segment in SEGMENTS] == [[], [], []]
    assert talk.rejections() == ["not-for-this-node"] * 3


def test_a_bearer_cuts_what_is_longer_and_can_be_cut() -> None:
    assert fitting(WHOLE, None) == fitting(WHOLE, len(WHOLE)) == [WHOLE]
    assert fitting(WHOLE, len(SEGMENTS[0]) + 1) == SEGMENTS
    # A segment of somebody else's, what is no APDU, and what leaves no room.
    assert fitting(SEGMENTS[0], 100) == [SEGMENTS[0]]
    assert fitting(bytes(300), 256) == [bytes(300)] and fitting(WHOLE, 20) == [WHOLE]


def test_the_published_segments_are_cut_to_the_octet() -> None:
    # One octet more than the first: the offset of the last takes two octets.
    assert split(WHOLE, len(SEGMENTS[0]) + 1) == SEGMENTS


@given(st.integers(300, 3000), st.integers(1, 7), st.booleans(), st.randoms(use_true_random=False))
def test_what_is_cut_is_joined_in_any_order(
    size: int, parts: int, secured: bool, chance: Random
) -> None:
    write = encode_request(FullWrite(9, chance.randbytes(size)))
    whole = request([write], lock=lock() if secured else None)
    most = len(whole) // parts + 80
    pieces = split(whole, most)
    assert all(len(piece) <= most for piece in pieces)
    if parts == 1:
        assert pieces == [whole]
        return
    assert 2 <= len(pieces) <= 10
    chance.shuffle(pieces)
    assert offer(Joiner(4096), *pieces)[-1] == whole


def test_a_conversation_with_segments_both_ways() -> None:
    talk = Talk(ON, host=ON)
    talk.tables.images[9] = bytes(range(256)) * 8
    number = talk.host.request([encode_request(FullRead(9))], talk.server.node.title, "l", NOW_US)
    [(_, octets)] = talk.host.outgoing()
    pieces = talk.offer(octets)
    assert len(pieces) == 5 and all(len(piece) <= 548 for piece in pieces)
    for piece in pieces:
        talk.host.receive("l", piece, NOW_US)
    [event] = talk.host.events()
    assert event.transaction == number  # type: ignore[attr-defined]
    assert len(event.responses[0]) == 1 + 2 + 2048 + 1  # type: ignore[attr-defined]


def test_partial_messages_are_bounded_and_the_oldest_goes() -> None:
    talk = Talk(NodeSettings(demand_security=False, segment_octets=200))
    joiner, counts = talk.server.node._joiner, talk.server.node.counts
    long = encode_request(FullWrite(9, bytes(500)))
    firsts = [split(request([long], number), 200)[0] for number in range(2 * MAX_PARTIALS)]
    offer(joiner, *firsts)
    assert len(joiner._partials) == MAX_PARTIALS
    assert counts == {"dropped segments-missing": MAX_PARTIALS}


def test_a_segment_of_another_total_or_with_other_titles_is_refused() -> None:
    joiner, long = Joiner(2048), encode_request(FullWrite(9, bytes(500)))
    pieces = split(request([long], 7), 200)
    others = split(request([long, READ_1], 7), 200)
    offer(joiner, pieces[0])
    with pytest.raises(SegmentRefused, match="segment-total-differs"):
        offer(joiner, others[1])
    with pytest.raises(LocalProtocolError, match="no room"):
        split(request([long]), 20)


@pytest.mark.parametrize(
    ("offset", "size", "words"),
    [(1, 0xFFFF, "0001ffff"), (1, 0x10000, "0000000100010000"), (0x10000, 1, "0001000000000001")],
)
def test_where_and_how_long_are_told_in_equal_widths(offset: int, size: int, words: str) -> None:
    assert segmentation_error(offset, size) == bytes([ResponseCode.sgerr]) + bytes.fromhex(words)
