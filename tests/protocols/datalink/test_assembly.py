"""Messages of several packets: whole at the last packet, in order or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.datalink.assembly import Assembly
from protocols.datalink.packet import FIRST, MULTI, Packet

MOST = 4


def pieces(datas: list[bytes], identity: int = 0) -> list[Packet]:
    """Cut a message as C12.18 does: the first of several is marked, the last is number 0."""
    last = len(datas) - 1
    if not last:
        return [Packet(datas[0], 0, 0, identity)]
    return [
        Packet(data, MULTI | (0 if index else FIRST), last - index, identity)
        for index, data in enumerate(datas)
    ]


def taken(assembly: Assembly, packets: list[Packet]) -> list[bytes | None]:
    assert all(packet.is_legal for packet in packets)
    found = []
    for packet in packets:
        assert assembly.fits(packet, MOST)
        found.append(assembly.take(packet))
    return found


@given(st.lists(st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=MOST)))
def test_a_message_is_whole_with_its_last_packet(messages: list[list[bytes]]) -> None:
    assembly = Assembly()
    for datas in messages:
        *before, whole = taken(assembly, pieces(datas))
        assert before == [None] * (len(datas) - 1)
        assert whole == b"".join(datas) and len(assembly) == 0


def test_only_the_next_packet_of_the_same_identity_continues_a_message() -> None:
    assembly = Assembly()
    first, second, third = pieces([b"1", b"2", b"3"])
    assert not assembly.fits(second, MOST), "none has begun"
    taken(assembly, [first])
    assert len(assembly) == 1
    for strange in (third, pieces([b"1", b"2", b"3"], identity=1)[1]):
        assert not assembly.fits(strange, MOST)
    assert taken(assembly, [second, third]) == [None, b"123"]
    assert not assembly.fits(third, MOST), "it is over"


def test_a_message_of_more_packets_than_are_accepted_does_not_begin() -> None:
    assembly = Assembly()
    first, *_ = pieces([b"x"] * MOST)
    assert assembly.fits(first, MOST) and not assembly.fits(first, MOST - 1)


def test_what_begins_anew_gives_up_what_was_here() -> None:
    assembly = Assembly()
    for again in (pieces([b"new"]), pieces([b"n", b"ew"])):
        taken(assembly, pieces([b"1", b"2", b"3"])[:2])
        assert taken(assembly, again)[-1] == b"new"
