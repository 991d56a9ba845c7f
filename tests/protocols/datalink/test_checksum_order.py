"""Which octet of a checksum is first: learnt from what comes, or tried where all is refused."""

from protocols.datalink.checksum_order import ChecksumOrder
from protocols.quirks import Quirk, Quirks

SWAPPED = Quirk.CRC_SWAPPED


def test_it_is_that_of_the_packets_that_come_and_may_change_back() -> None:
    quirks = Quirks()
    order = ChecksumOrder(quirks)
    assert order.accepts(True) and order.sends_swapped and quirks.on(SWAPPED)
    assert order.accepts(None) and order.sends_swapped, "right in either"
    assert order.accepts(False) and not order.sends_swapped and not quirks.on(SWAPPED)


def test_where_the_other_order_is_not_tolerated_it_is_neither_taken_nor_tried() -> None:
    order = ChecksumOrder(Quirks(strict=frozenset({SWAPPED})))
    assert not order.accepts(True) and order.accepts(None) and order.accepts(False)
    order.sent_again(is_strange=True)
    assert not order.sends_swapped


def test_a_packet_that_is_refused_strangely_is_tried_in_the_other_order() -> None:
    quirks = Quirks()
    order = ChecksumOrder(quirks)
    order.packet_begins()
    order.sent_again(is_strange=True)
    assert order.sends_swapped and not quirks.on(SWAPPED), "only tried"
    order.sent_again(is_strange=False)
    assert not order.sends_swapped, "and once"
    order.sent_again(is_strange=True)
    order.acknowledged()
    order.packet_begins()
    assert order.sends_swapped and quirks.on(SWAPPED)


def test_it_is_not_tried_with_a_device_that_has_taken_or_sent_a_packet() -> None:
    for met in (ChecksumOrder.acknowledged, ChecksumOrder.packet_taken):
        order = ChecksumOrder(Quirks())
        met(order)
        order.sent_again(is_strange=True)
        assert not order.sends_swapped
        order.doubt()
        order.sent_again(is_strange=True)
        assert order.sends_swapped, "it may be another device"


def test_what_is_assumed_holds_from_the_start() -> None:
    order = ChecksumOrder(Quirks(assume=frozenset({SWAPPED})))
    assert order.sends_swapped
