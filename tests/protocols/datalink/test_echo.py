"""What was written and comes back is taken out; all else passes, and what is missing is told."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from protocols.datalink.echo import EchoFilter


@given(st.binary(max_size=20), st.binary(max_size=20), st.lists(st.integers(0, 40), max_size=5))
def test_an_echo_in_any_pieces_leaves_what_comes_behind_it(
    written: bytes, answer: bytes, cuts: list[int]
) -> None:
    echo = EchoFilter()
    echo.wrote(written)
    line, places = written + answer, sorted({0, *cuts, 60})
    heard = b"".join(echo.strip(line[at:end]) for at, end in pairwise(places))
    assert heard == answer and not echo.forget()


def test_what_comes_between_an_echo_passes_and_what_is_missing_is_told() -> None:
    echo = EchoFilter()
    echo.wrote(b"\x06\xee\x00")
    assert echo.strip(b"\xff\x06\xfe\xee") == b"\xff\xfe"
    assert echo.forget() and not echo.forget()
    assert echo.strip(b"\x00") == b"\x00", "nothing is expected any more"
