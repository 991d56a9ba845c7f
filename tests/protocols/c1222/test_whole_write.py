"""The quick way to read a full write gives what the general one gives, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.services import decode_service, whole_write
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite, OffsetWrite


@given(st.integers(0, 0xFFFF), st.binary(max_size=300))
def test_a_full_write_is_read_alike(table: int, data: bytes) -> None:
    octets = encode_request(FullWrite(table, data))
    assert whole_write(octets) == (table, data)
    assert decode_service(octets) == FullWrite(table, data)


@given(
    st.binary(max_size=40)
    | st.binary(max_size=20).map(lambda data: encode_request(FullWrite(7, data)))
    | st.binary(max_size=20).map(lambda data: encode_request(OffsetWrite(7, 3, data))),
    st.integers(0, 40),
    st.integers(0, 255),
)
def test_what_is_read_quickly_is_a_full_write_for_the_general_way_too(
    octets: bytes, at: int, value: int
) -> None:
    mutated = octets[:at] + bytes([value]) + octets[at + 1 :]
    for one in (octets, mutated, octets[:at]):
        quick = whole_write(one)
        if quick is not None:
            assert decode_service(one) == FullWrite(*quick)


def test_a_block_that_is_followed_by_another_is_left_to_the_general_way() -> None:
    octets = b"\x40\x00\x07\xff\xff" + bytes(0xFFFF + 1)
    assert whole_write(octets) is None
