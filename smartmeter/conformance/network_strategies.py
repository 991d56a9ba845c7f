"""Hypothesis strategies for properties of nodes of C12.22; ``strategies`` has those for a line.

::

    from hypothesis import given
    from smartmeter.conformance import network_strategies

    @given(network_strategies.services((0, 1)))
    def test_each_service_has_its_answer(services): ...
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from protocols.psem.codec import encode_request
from protocols.psem.services import DefaultRead, FullRead, Identify, IndexRead, Request
from smartmeter.conformance.strategies import offset_reads, table_numbers

MAX_SERVICES = 4


def services(numbers: Sequence[int]) -> st.SearchStrategy[list[bytes]]:
    """Draw the services of one message, one to four that change nothing at a node."""
    table = st.sampled_from(list(numbers)) | table_numbers()
    choices: list[st.SearchStrategy[Request]] = [
        st.builds(FullRead, table),
        table.flatmap(lambda number: offset_reads(number, 64)),
        st.just(Identify()),
        st.builds(IndexRead, table, st.tuples(st.integers(0, 3)), st.just(1)),
        st.just(DefaultRead()),
    ]
    octets = st.one_of(choices).map(encode_request)
    return st.lists(octets, min_size=1, max_size=MAX_SERVICES)


def damaged(octets: bytes) -> st.SearchStrategy[bytes]:
    """Draw a message of which one to three octets are others than in this one.

    Each lies anywhere, or as often among the last eight, where a secured message has its MAC.
    Nobody is to carry out such a one of a secured message.
    """
    last = len(octets) - 1
    places = st.integers(max(0, last - 7), last) | st.integers(0, last)
    changes = st.dictionaries(places, st.integers(1, 0xFF), min_size=1, max_size=3)

    def change(drawn: dict[int, int]) -> bytes:
        return bytes(octet ^ drawn.get(at, 0) for at, octet in enumerate(octets))

    return changes.map(change)
