"""One end of a line alone: what it ignores, what it waits for, what it repeats."""

from protocols.c1218.steps import ClientLimits
from protocols.datalink.link import Collision, Link, LinkFailed, MessageReceived
from protocols.datalink.packet import MAX_SEND_DATA, TOGGLE, Packet, decode_packet
from protocols.datalink.timing import Timing
from protocols.quirks import Quirk, Quirks

ACK, NAK = b"\x06", b"\x15"
RESPONSE_US = 2_000_000


def sending(now_us: int = 0) -> tuple[Link, bytes]:
    """A device's link whose packet has just left."""
    link = Link(Collision.GIVE_UP)
    link.send(b"answer", now_us)
    packet = link.outgoing()
    link.sent(now_us)
    return link, packet


def heard(link: Link, octets: bytes, now_us: int) -> list[object]:
    return list(link.receive(octets, now_us))


def test_an_ack_or_nak_that_nobody_waits_for_is_nothing() -> None:
    link = Link(Collision.GIVE_UP)
    assert heard(link, ACK + NAK + ACK, 0) == []
    assert link.quiet and not link.busy and link.deadline_us() is None


def test_a_packet_to_another_device_is_passed_over_in_silence_however_long_it_is() -> None:
    # Others on a line may have been granted longer packets.
    link = Link(Collision.GIVE_UP)
    link.accepts = frozenset((0, 7))
    for identity, answer in ((8, b""), (7, NAK)):
        assert heard(link, Packet(bytes(900), identity=identity).encode(), 0) == []
        due_us = link.deadline_us()
        assert due_us is not None
        link.expire(due_us)
        link.expire(due_us + 175)
        assert link.outgoing() == answer


def test_a_device_repeats_its_packet_and_no_octet_beside_it() -> None:
    link, packet = sending()
    for number in range(1, 4):
        link.expire(number * RESPONSE_US)
        assert link.outgoing() == packet
        link.sent(number * RESPONSE_US)
    link.expire(4 * RESPONSE_US)
    assert link.events() == [LinkFailed(refused=False)] and link.outgoing() == b""


def test_a_long_packet_is_not_repeated_while_it_leaves() -> None:
    link = Link(Collision.GIVE_UP)
    link.set_limits(1024, 1, 1024)
    link.send(bytes(1000), 0)
    packet = link.outgoing()
    left_us = len(packet) * 8_333  # at 1200 baud
    link.expire(left_us - 1)
    assert link.quiet
    link.sent(left_us)
    assert link.deadline_us() == left_us + RESPONSE_US


def test_what_follows_a_packet_to_the_line_does_not_lengthen_the_wait_for_its_ack() -> None:
    link = Link(Collision.IMPLIED_ACK)
    link.send(b"request", 0)
    packet = link.outgoing()
    link.poke(1_000)
    assert packet and link.outgoing() == NAK
    link.sent(20_000)
    assert link.deadline_us() == 20_000 + RESPONSE_US


def test_a_packet_is_refused_where_each_of_its_copies_was() -> None:
    link, packet = sending()
    for number in range(1, 4):
        assert heard(link, NAK, number * 1_000) == []
        link.expire(number * 1_000 + 175)
        assert link.outgoing() == packet
        link.sent(number * 1_000 + 175)
    assert heard(link, NAK, 4_000) == [LinkFailed(refused=True)]


def test_a_second_nak_while_a_copy_waits_refuses_no_copy() -> None:
    link, packet = sending()
    for now_us, octets in ((1_000, NAK + NAK), (RESPONSE_US + 10_000, b""), (3_000_000, NAK)):
        assert heard(link, octets, now_us) == []
        link.expire(now_us + 175)
        assert link.outgoing() == packet
        link.sent(now_us + 175)
    assert heard(link, NAK, 3_001_000) == [LinkFailed(refused=False)]


def test_a_packet_that_is_on_its_way_is_heard_out_before_ours_is_repeated() -> None:
    link, _ = sending()
    request = Packet(b"next", TOGGLE).encode()
    assert heard(link, request[:7], RESPONSE_US - 1) == []
    link.expire(RESPONSE_US)
    assert link.outgoing() == b""
    assert heard(link, request[7:], RESPONSE_US + 400_000) and not link.busy


def test_an_acknowledgment_of_ours_does_not_lengthen_the_wait_for_theirs() -> None:
    link = Link(Collision.IMPLIED_ACK)
    copied = Packet(b"old", TOGGLE).encode()
    heard(link, copied, 0)
    link.expire(175)
    assert link.outgoing() == ACK
    link.send(b"request", 1_000)
    packet = link.outgoing()
    link.sent(1_000)
    heard(link, copied, RESPONSE_US - 2_000)
    link.expire(RESPONSE_US - 1_000)
    assert link.outgoing() == ACK
    link.sent(RESPONSE_US - 1_000)
    link.expire(RESPONSE_US + 1_000)
    assert link.outgoing() == packet


def answered(link: Link, data: bytes, toggle: int, now_us: int) -> list[bytes]:
    """Ask once more, and hear the acknowledgment and an answer; give the messages taken."""
    link.send(b"ask", now_us)
    link.expire(now_us)
    link.outgoing()
    link.sent(now_us)
    events = heard(link, ACK + Packet(data, toggle).encode(), now_us)
    return [one.data for one in events if isinstance(one, MessageReceived)]


def test_a_copy_from_a_meter_whose_toggle_changes_is_no_answer_after_a_loss_either() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert answered(link, b"0", 0, 0) == [b"0"]
    assert answered(link, b"1", TOGGLE, 1_000) == [b"1"]
    # The answer between these two was lost, and given up.
    assert answered(link, b"3", TOGGLE, 2_000) == [b"3"]
    assert answered(link, b"3", TOGGLE, 3_000) == []
    assert not link.quirks.on(Quirk.TOGGLE_STUCK)


def test_a_toggle_that_seemed_stuck_at_the_start_is_not_once_it_changes() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    answered(link, b"0", 0, 0)
    answered(link, b"1", 0, 1_000)
    assert link.quirks.on(Quirk.TOGGLE_STUCK)
    answered(link, b"2", TOGGLE, 2_000)
    assert not link.quirks.on(Quirk.TOGGLE_STUCK)
    assert answered(link, b"2", TOGGLE, 3_000) == []


def test_of_another_meter_after_a_lost_session_it_is_learnt_anew() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    answered(link, b"0", 0, 0)
    answered(link, b"1", TOGGLE, 1_000)
    link.doubt_meter()
    link.forget()
    assert answered(link, b"identity", 0, 2_000) == [b"identity"]
    assert answered(link, b"ok", 0, 3_000) == [b"ok"]
    assert answered(link, b"ok", 0, 4_000) == [b"ok"]


def packets(link: Link, count: int, misses_below_us: int = 0) -> int:
    """Hear packets from a meter that misses acknowledgments sent sooner; give its copies."""
    copies = 0
    for number in range(count):
        octets = Packet(b"%d" % number, TOGGLE * (number & 1)).encode()
        heard(link, octets, number)
        while link.turn_around_us < misses_below_us:
            heard(link, octets, number)
            copies += 1
    return copies


def test_after_acknowledgments_that_were_lost_the_turn_around_is_short_again() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert packets(link, 1, misses_below_us=150_000) == 3
    assert link.turn_around_us == 150_000 and link.quirks.on(Quirk.ACK_TOO_FAST)
    packets(link, 310)
    assert link.turn_around_us == 175 and not link.quirks.on(Quirk.ACK_TOO_FAST)


def test_other_time_outs_leave_what_was_learnt_of_the_turn_around() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    packets(link, 1, misses_below_us=150_000)
    link.set_timing(Timing(response_us=4_000_000))
    assert link.turn_around_us == 150_000
    packets(link, 310)
    assert link.turn_around_us == 175
    link.set_timing(Timing(turn_around_us=200_000))
    assert link.turn_around_us == 200_000


def test_a_meter_that_misses_what_is_sent_too_soon_is_seldom_tried_again() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert packets(link, 5_000, misses_below_us=30_000) <= 2 + 3
    assert link.turn_around_us == 50_000


def messages(link: Link, octets: bytes, now_us: int) -> list[bytes]:
    return [one.data for one in heard(link, octets, now_us) if isinstance(one, MessageReceived)]


def asked(link: Link, data: bytes, now_us: int, times: int = 1) -> int:
    """Send a request so often, each copy when nothing was heard; give the time then."""
    link.send(data, now_us)
    for number in range(times):
        now_us += RESPONSE_US * bool(number)
        link.expire(now_us)
        link.expire(now_us + 50_000)  # after a wake-up character, if there is one
        link.outgoing()
        link.sent(now_us)
    return now_us


def test_a_copy_that_has_not_left_when_the_answer_is_there_does_not_leave() -> None:
    link = Link(Collision.IMPLIED_ACK, timing=Timing(turn_around_us=150_000), quirks=Quirks())
    asked(link, b"ask", 0)
    heard(link, NAK, 1_000)
    assert messages(link, Packet(b"answer").encode(), 2_000) == [b"answer"]
    link.expire(200_000)
    assert link.outgoing() == ACK


def test_what_comes_before_a_request_has_left_is_not_its_answer() -> None:
    """A meter that had a NAK says its last answer once more, and a line gives that out late."""
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert answered(link, b"0", 0, 0) == [b"0"]
    assert answered(link, b"1", TOGGLE, 1_000) == [b"1"]
    link.send(b"ask", 2_000)
    assert not messages(link, Packet(b"0").encode(), 2_000)
    link.expire(3_000)
    link.outgoing()
    link.sent(3_000)
    assert messages(link, ACK + Packet(b"2").encode(), 4_000) == [b"2"]


def stuck() -> Link:
    """Give a client's link to a meter whose toggle bit stands still, after two answers."""
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert answered(link, b"0", 0, 0) == [b"0"]
    assert answered(link, b"1", 0, 1_000) == [b"1"]
    assert link.quirks.on(Quirk.TOGGLE_STUCK)
    return link


def test_of_a_request_sent_twice_the_second_answer_is_not_taken_for_that_of_the_next() -> None:
    link, answer = stuck(), Packet(b"2").encode()
    now_us = asked(link, b"ask", 2_000, times=2)
    assert messages(link, answer, now_us) == [b"2"]  # it crossed our copy
    asked(link, b"next", now_us)
    assert messages(link, ACK + answer, now_us) == []  # which is answered too
    assert messages(link, ACK + Packet(b"3").encode(), now_us) == [b"3"]
    assert answered(link, b"3", 0, now_us + 100_000) == [b"3"]  # the same, to what was asked once


def test_one_lost_acknowledgment_does_not_make_copies_of_a_stuck_toggle_answers() -> None:
    link, answer = stuck(), Packet(b"2").encode()
    asked(link, b"ask", 2_000)
    assert messages(link, answer, 2_000) == [b"2"]
    asked(link, b"next", 3_000)
    assert messages(link, answer, 3_000) == []


def test_a_meter_that_acknowledges_nothing_may_answer_the_same_with_its_toggle_stuck() -> None:
    link = stuck()
    for number, data in enumerate((b"one", b"2", b"2")):
        asked(link, b"ask", number)
        assert messages(link, Packet(data).encode(), number) == [data]
    assert link.quirks.met[Quirk.SAME_ANSWER] == 1


def begun(link: Link, now_us: int, sleeps: bool) -> bool:
    """Begin a session after a rest; tell whether the first packet had to be repeated."""
    link.send(b"identify", now_us, wake=True)
    lost = sleeps and link.outgoing()[:1] != b"\x55"
    link.expire(now_us + 50_000)
    link.outgoing()
    link.sent(now_us + 50_000)
    if lost:
        now_us += RESPONSE_US + 50_000
        link.expire(now_us)
    link.outgoing()
    heard(link, ACK, now_us + 60_000)
    link.expire(now_us + 70_000)
    return lost


def test_a_first_packet_that_was_lost_once_does_not_make_the_line_a_sleeping_one_for_good() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert begun(link, 10_000_000, sleeps=True) and link.quirks.on(Quirk.WAKE_UP)
    for number in range(20):
        begun(link, (number + 2) * 10_000_000, sleeps=False)
    assert not link.quirks.on(Quirk.WAKE_UP)


def test_a_line_that_sleeps_is_seldom_tried_without_waking_it() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    lost = [begun(link, (number + 1) * 10_000_000, sleeps=True) for number in range(1_000)]
    assert sum(lost) <= 10 and link.quirks.on(Quirk.WAKE_UP)


def test_what_came_before_a_packet_could_leave_does_not_keep_it_back() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    answer = Packet(b"ok", 0).encode()
    heard(link, answer, 0)
    link.forget()  # the session is over; the next begins at once
    link.send(b"identify", 0)
    heard(link, answer, 0)  # once more
    link.expire(175)
    assert Packet(b"identify", 0).encode() in link.outgoing()


def test_packets_of_the_largest_size_that_can_be_granted_carry_what_may_be_sent() -> None:
    link = Link(Collision.GIVE_UP)
    link.set_limits(8192, 2, 8192)
    limits = ClientLimits(packet_octets=8192, packets=2)
    assert link.max_message == 2 * MAX_SEND_DATA == limits.max_write + 6
    link.send(bytes(link.max_message), 0)
    for _ in range(2):
        assert decode_packet(link.outgoing()).data == bytes(MAX_SEND_DATA)
        link.sent(0)
        heard(link, ACK, 0)
        link.expire(link.deadline_us() or 0)
    assert not link.busy
