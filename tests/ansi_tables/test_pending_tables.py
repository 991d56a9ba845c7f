"""Pending tables: their ids, the event before their image, and what ST-04 says of them."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    MissingContextError,
    Snapshot,
    TableValueError,
    definition,
    ids,
    layout_for,
    manufacturer,
    pending,
)
from ansi_tables.pending_tables import Activation, PendingTable, activation_of, event_record

CONTEXT = Context(DeviceFormat())


def test_ids_are_those_of_the_2008_edition() -> None:
    assert (ids.standard(6), manufacturer(66), pending(6)) == (6, 2114, 4102)
    assert (pending(manufacturer(0)), ids.user_defined(0)) == (6144, 8192)
    assert pending(ids.user_defined(2039)) == 14327
    assert ids.is_pending(4102) and not ids.is_pending(6) and ids.active(4102) == 6
    assert ids.name_of(4102) == "pending ST-06" and ids.name_of(8193) == "UT-01"


@pytest.mark.parametrize(
    "first,last", [(2040, 2047), (4088, 4095), (6136, 6143), (10232, 12287), (14328, 65535)]
)
def test_between_the_ranges_ids_are_reserved(first: int, last: int) -> None:
    assert ids.is_reserved(first) and ids.is_reserved(last)
    assert not ids.is_reserved(first - 1)


@pytest.mark.parametrize("number", [-1, 2040])
def test_a_number_beyond_its_range_is_refused(number: int) -> None:
    for kind in (ids.standard, manufacturer, ids.user_defined):
        with pytest.raises(TableValueError, match="0 to 2039"):
            kind(number)


def test_a_pending_table_is_its_event_and_then_the_table() -> None:
    layout = layout_for(pending(5), CONTEXT)
    assert layout.size == 26 and layout.field("TABLE.IDENTIFICATION") == (6, 20)
    image = bytes.fromhex("01 0000000a00") + b"NEW NAME".ljust(20)
    value = layout.decode(image)
    assert activation_of(value.EVENT, CONTEXT) == Activation(after=timedelta(minutes=10))
    assert value.TABLE.IDENTIFICATION.strip() == "NEW NAME" and layout.encode(value) == image
    assert layout.title == "Pending: Device identification"
    assert layout_for(pending(5), CONTEXT) is layout, "layouts are shared"


def test_a_pending_table_of_no_known_shape_keeps_its_octets() -> None:
    for number in (manufacturer(9), 17):
        layout = layout_for(pending(number), CONTEXT)
        image = bytes(6) + b"octets"
        assert layout.decode(image).TABLE.RAW == b"octets"
        assert layout.encode(layout.decode(image)) == image
    known = definition(pending(17))
    assert known is not None and known.layout == "opaque"


def st04(*entries: str) -> Snapshot:
    """A meter with one octet of standard and one of manufacturer tables."""
    st00 = bytearray(19)
    st00[1], st00[2], st00[13], st00[14], st00[18] = 2, 0x88, 1, 1, len(entries)
    head = bytes.fromhex("40 01 0c0b081701 02")
    return Snapshot({0: bytes(st00) + bytes(4), 4: head + bytes.fromhex("".join(entries))})


def test_the_status_says_what_can_wait_and_what_does() -> None:
    status = st04(
        "10 1a0c010000 0610",  # ST-06 on 2026-12-01 00:00, after a self-read
        "21 0102030405 0008",  # MT-00 after a while, after a demand reset
        "02 aabbccddee 0000",  # ST-00 upon a maker's event
        "0f 0000000000 0000",  # an entry not in use
    ).pending()
    assert status.can_wait == {6, 2048} and status.nbr_pending_activation == 2
    assert status.last_activation == datetime(2012, 11, 8, 23, 1)
    after = timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)
    assert status.waiting == (
        PendingTable(6, Activation(at=datetime(2026, 12, 1), self_read=True)),
        PendingTable(2048, Activation(after=after, demand_reset=True)),
        PendingTable(0, Activation(trigger=bytes.fromhex("aabbccddee"))),
    )
    assert status.waiting[0].name == "pending ST-06"


def test_a_status_that_was_not_read_is_named() -> None:
    meter = st04()
    del meter.images[4]
    with pytest.raises(MissingContextError, match="ST-04"):
        meter.pending()


ACTIVATIONS = st.one_of(
    st.builds(
        Activation,
        at=st.datetimes(datetime(1990, 1, 1), datetime(2089, 12, 31)).map(
            lambda moment: moment.replace(second=0, microsecond=0)
        ),
        self_read=st.booleans(),
        demand_reset=st.booleans(),
    ),
    st.builds(
        Activation, after=st.integers(0, 256 * 7 * 86400 - 1).map(lambda s: timedelta(seconds=s))
    ),
    st.builds(Activation, trigger=st.binary(min_size=5, max_size=5)),
)


@given(ACTIVATIONS, st.integers(1, 2), st.sampled_from(("little", "big")))
def test_an_activation_is_itself_again(activation: Activation, tm_format: int, order: str) -> None:
    context = Context(DeviceFormat(tm_format=tm_format, data_order=order))  # type: ignore[arg-type]
    assert activation_of(event_record(activation, context), context) == activation


def test_a_time_that_is_none_is_a_trigger() -> None:
    event = event_record(Activation(trigger=b"\xff" * 5), CONTEXT)
    event.EVENT_SELECTOR["EVENT_CODE"] = 0
    assert activation_of(event, CONTEXT) == Activation(trigger=b"\xff" * 5)


@pytest.mark.parametrize(
    "activation",
    [
        Activation(after=timedelta(weeks=256)),
        Activation(after=timedelta(seconds=-1)),
        Activation(after=timedelta(milliseconds=1)),
        Activation(trigger=bytes(6)),
        Activation(at=datetime(2200, 1, 1)),
    ],
)
def test_what_the_octets_cannot_say_is_refused(activation: Activation) -> None:
    with pytest.raises(TableValueError):
        event_record(activation, CONTEXT)
