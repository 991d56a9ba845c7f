"""Times: the short way for dates as octets tells what the general one tells."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from ansi_tables.times import SIZES, decode_time, encode_time, size_of_time, time_decoder


@given(st.data(), st.sampled_from(sorted(SIZES)), st.integers(0, 4))
def test_the_decoder_of_one_format_agrees_with_the_general_one(
    data: Any, kind: str, tm_format: int
) -> None:
    size = SIZES[kind][tm_format] or 0
    size = SIZES[kind][tm_format]
    assume(size is not None)
    octet = st.integers(0, 60) | st.sampled_from([89, 90, 99, 100, 255])
    octets = bytes(data.draw(st.lists(octet, min_size=size, max_size=size)))
    order = data.draw(st.sampled_from(["little", "big"]))
    value = time_decoder(kind, tm_format, order)(octets)
    assert value == decode_time(kind, octets, tm_format, order)
    assert value.raw == octets == encode_time(kind, value, tm_format, order)


@given(
    st.sampled_from(["STIME_DATE", "LTIME_DATE"]),
    st.tuples(*(st.integers(0, limit) for limit in (101, 13, 32, 24, 60, 60))),
)
def test_dates_at_the_edges_of_the_calendar_agree_too(kind: str, parts: tuple[int, ...]) -> None:
    octets = bytes(parts[: size_of_time(kind, 2)])
    assert time_decoder(kind, 2, "little")(octets) == decode_time(kind, octets, 2, "little")
