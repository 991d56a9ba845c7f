"""Hypothesis strategies for properties of one's own; all draw values of public classes.

::

    from hypothesis import given
    from smartmeter.conformance import strategies

    @given(strategies.offset_reads(table=1, size=32, beyond=0))
    def test_a_slice_is_a_slice(request): ...
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat, layout_for
from protocols.c1218.session import LEGAL, State
from protocols.datalink.packet import FIRST, MULTI, TOGGLE, Packet
from protocols.psem.codec import encode_request
from protocols.psem.services import (
    DefaultRead,
    FullRead,
    Identify,
    IndexRead,
    Logoff,
    Logon,
    Negotiate,
    OffsetRead,
    Request,
    Security,
    Terminate,
    Wait,
)
from smartmeter.conformance.model import Fault, Step

MAX_STEPS = 12


def table_numbers() -> st.SearchStrategy[int]:
    """Draw ids of standard and manufacturer tables; small ones first."""
    return st.integers(0, 169) | st.integers(2048, 2048 + 255)


def device_formats() -> st.SearchStrategy[DeviceFormat]:
    """Draw what an ST-00 may declare, but for its sets."""
    return st.builds(
        DeviceFormat,
        data_order=st.sampled_from(("little", "big")),
        char_format=st.integers(1, 3),
        tm_format=st.integers(0, 4),
        id_form=st.integers(0, 1),
        int_format=st.integers(0, 2),
        ni_format1=st.integers(0, 13),
        ni_format2=st.integers(0, 13),
        nbr_pending=st.integers(0, 3),
    )


def table_images(number: int, context: Context) -> st.SearchStrategy[bytes]:
    """Draw any octets of the size that a table has on a device; up to 64 where it has none."""
    size = layout_for(number, context).size
    return st.binary(max_size=64) if size is None else st.binary(min_size=size, max_size=size)


def offset_reads(table: int, size: int, beyond: int = 3) -> st.SearchStrategy[OffsetRead]:
    """Draw reads of a table of ``size`` octets, 1 or more, that may end behind it.

    They begin at most ``beyond`` octets behind its last one, where there is nothing to give
    and a device refuses; with 0 each has an answer.
    """
    offsets, counts = st.integers(0, size - 1 + beyond), st.integers(1, min(size + 2, 500))
    return st.builds(OffsetRead, st.just(table), offsets, counts)


def requests(
    numbers: Sequence[int], logon: Logon | None = None, password: bytes | None = None
) -> st.SearchStrategy[Request]:
    """Draw requests that change nothing at a device; a Security only with its right password."""
    table = st.sampled_from(list(numbers)) | table_numbers()
    choices: list[st.SearchStrategy[Request]] = [
        st.builds(FullRead, table),
        table.flatmap(lambda number: offset_reads(number, 64)),
        st.just(Identify()),
        st.just(Logoff()),
        st.just(Terminate()),
        st.just(logon or Logon(0, b"")),
        st.builds(Wait, st.integers(1, 6)),
        st.builds(Negotiate, st.sampled_from((64, 96, 512, 1024)), st.integers(1, 255)),
        st.builds(IndexRead, table, st.tuples(st.integers(0, 3)), st.just(1)),
        st.just(DefaultRead()),
    ]
    if password is not None:
        choices.append(st.just(Security(password.ljust(20))))
    return st.one_of(choices)


def psem_messages() -> st.SearchStrategy[bytes]:
    """Draw requests as octets; some are cut, lengthened, or of codes that mean nothing."""
    whole = requests((0, 1, 23)).map(encode_request)
    cut = st.tuples(whole, st.integers(0, 3)).map(lambda pair: pair[0][: -pair[1] or None] or b"0")
    long = st.tuples(whole, st.binary(min_size=1, max_size=8)).map(b"".join)
    return whole | cut | long | st.binary(min_size=1, max_size=24)


def packets(max_data: int = 56) -> st.SearchStrategy[Packet]:
    """Draw packets that C12.18 allows: single ones, and pieces of messages."""
    data = st.binary(min_size=1, max_size=max_data)
    toggle = st.sampled_from((0, TOGGLE))
    single = st.builds(Packet, data, toggle, st.just(0), st.integers(0, 254))
    piece = toggle.flatmap(
        lambda bit: st.sampled_from((MULTI | bit, MULTI | FIRST | bit)).flatmap(
            lambda ctrl: st.builds(Packet, data, st.just(ctrl), st.integers(0, 254))
        )
    )
    return single | piece


def damaged(drawn: st.SearchStrategy[Packet]) -> st.SearchStrategy[bytes]:
    """Draw the octets of a packet with one to three bits flipped after its header."""

    @st.composite
    def octets(draw: st.DrawFn) -> bytes:
        whole = bytearray(draw(drawn).encode())
        bits = st.integers(6 * 8, len(whole) * 8 - 1)
        for bit in draw(st.sets(bits, min_size=1, max_size=3)):
            whole[bit // 8] ^= 1 << bit % 8
        return bytes(whole)

    return octets()


def faults() -> st.SearchStrategy[Fault]:
    """Draw what happens on the line during a step; mostly nothing."""
    return st.sampled_from((Fault.NONE, Fault.NONE, Fault.NONE, *Fault))


def sessions(
    numbers: Sequence[int],
    logon: Logon | None = None,
    password: bytes | None = None,
    pauses: bool = True,
) -> st.SearchStrategy[tuple[Step, ...]]:
    """Draw sessions from Base on: nine steps of ten are what the state allows."""
    opening = Logon(0, b"") if logon is None else logon
    some, ways, fault = requests(numbers, opening, password), st.integers(0, 19), faults()

    @st.composite
    def session(draw: st.DrawFn) -> tuple[Step, ...]:
        steps: list[Step] = []
        state = State.BASE
        for _ in range(draw(st.integers(1, MAX_STEPS))):
            way = draw(ways)
            if way == 19 and pauses:
                steps.append(Step(None))
                state = State.BASE
                continue
            request = draw(some)
            if way < 17 and (state, type(request)) not in LEGAL:
                request = {State.BASE: Identify(), State.ID: opening}.get(
                    state, FullRead(numbers[0])
                )
            if not (isinstance(request, Identify) and steps and steps[-1].request == request):
                steps.append(Step(request, draw(fault)))
                state = LEGAL.get((state, type(request)), state)
        return tuple(steps)

    return session()
