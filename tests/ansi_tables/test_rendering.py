"""Decoded values for a program and for a person, the rare ones too."""

from decimal import Decimal
from typing import Any

import pytest

from ansi_tables import Snapshot
from ansi_tables.numbers import RawNumber
from ansi_tables.rendering import text_shown, to_json_value, value_text
from tests.ansi_tables.meaning.device import device


@pytest.mark.parametrize(
    "value, shown",
    [
        (RawNumber(b"\xff\xfe"), {"raw": "fffe"}),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+300"), "1E+300"),
        (Decimal("-1E-300"), "-1E-300"),
        (float("-inf"), "-inf"),
        (1.5, 1.5),
    ],
)
def test_every_kind_of_number_is_something_that_json_can_hold(value: Any, shown: Any) -> None:
    assert to_json_value(value) == shown


def test_octets_that_are_no_number_are_told_in_hex() -> None:
    assert value_text(23, RawNumber(b"\xff\xfe")) == "fffe"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("  POLE 17\0", "POLE 17"),
        ("\x1b[2J", r"\x1b[2J"),
        ("A\udcc3B", r"A\xc3B"),
        ("\u2028A", r"\u2028A"),
    ],
)
def test_what_cannot_be_printed_of_a_text_is_escaped(text: str, shown: str) -> None:
    assert text_shown(text) == shown


def test_a_tail_that_a_meter_leaves_out_is_not_listed() -> None:
    whole = device({51: {}, 53: {}}, std_version_no=2)
    cut = Snapshot(whole.images | {53: whole.images[53][:-3]})
    last = list(whole.listing(53))[-1]
    assert "STD_TIME_EFF" in last and list(cut.listing(53)) == [
        line for line in whole.listing(53) if line != last
    ]
