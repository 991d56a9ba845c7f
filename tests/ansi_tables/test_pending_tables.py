"""Pending tables: their ids, the event before their image, and what ST-04 says of them."""

from datetime import datetime, timedelta

import pytest

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
from ansi_tables.pending_tables import Activation, PendingTable, activation_of

CONTEXT = Context(DeviceFormat())


def test_ids_are_those_of_the_2008_edition() -> None:
    assert (ids.standard(6), manufacturer(66), pending(6)) == (6, 2114, 4102)
    assert pending(manufacturer(0)) == 6144
    assert ids.name_of(4102) == "pending ST-06" and ids.name_of(8193) == "UT-01"


@pytest.mark.parametrize("number", [-1, 2040])
def test_a_number_beyond_its_range_is_refused(number: int) -> None:
    for kind in (ids.standard, manufacturer):
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
    assert known is not None and (known.number, known.layout) == (pending(17), "opaque")


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


@pytest.mark.parametrize(
    "event,activation",
    [
        ("00 5a0c1f1733", Activation(at=datetime(1990, 12, 31, 23, 51))),
        ("30 1a0c010000", Activation(at=datetime(2026, 12, 1), self_read=True, demand_reset=True)),
        ("01 ff06173b3b", Activation(after=timedelta(days=256 * 7, seconds=-1))),
        ("00 ffffffffff", Activation(trigger=b"\xff" * 5)),  # a time that is none
        ("02 0000000000", Activation(trigger=bytes(5))),
    ],
)
def test_an_event_says_what_a_table_waits_for(event: str, activation: Activation) -> None:
    image = bytes.fromhex(event) + bytes(20)
    assert activation_of(layout_for(pending(5), CONTEXT).decode(image).EVENT, CONTEXT) == activation
