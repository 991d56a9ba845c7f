"""One end of a line alone: what it ignores, what it waits for, what it repeats."""

from protocols.datalink.link import Collision, Link, LinkFailed, MessageReceived
from protocols.datalink.packet import TOGGLE, Packet
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


def test_a_device_repeats_its_packet_and_no_octet_beside_it() -> None:
    link, packet = sending()
    for number in range(1, 4):
        link.expire(number * RESPONSE_US)
        assert link.outgoing() == packet
        link.sent(number * RESPONSE_US)
    link.expire(4 * RESPONSE_US)
    assert link.events() == [LinkFailed(refused=False)] and link.outgoing() == b""


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
        while link.timing.turn_around_us < misses_below_us:
            link._out.clear()
            link._held.clear()
            heard(link, octets, number)
            copies += 1
        link._out.clear()
        link._held.clear()
    return copies


def test_after_acknowledgments_that_were_lost_the_turn_around_is_short_again() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert packets(link, 1, misses_below_us=150_000) == 3
    assert link.timing.turn_around_us == 150_000 and link.quirks.on(Quirk.ACK_TOO_FAST)
    packets(link, 310)
    assert link.timing.turn_around_us == 175 and not link.quirks.on(Quirk.ACK_TOO_FAST)


def test_a_meter_that_misses_what_is_sent_too_soon_is_seldom_tried_again() -> None:
    link = Link(Collision.IMPLIED_ACK, quirks=Quirks())
    assert packets(link, 5_000, misses_below_us=30_000) <= 2 + 3
    assert link.timing.turn_around_us == 50_000
