"""Procedures there and back in both byte orders; anything else is a TableError or stays octets."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Context, TableError
from ansi_tables.events import STANDARD_EVENTS, event_name, event_text
from ansi_tables.formats import DeviceFormat
from ansi_tables.procedures import (
    PROCEDURES,
    Initiate,
    decode_initiate,
    decode_response,
    encode_initiate,
)


def a_context(order: str = "little", tm_format: int = 2) -> Context:
    return Context(DeviceFormat(data_order=order, tm_format=tm_format))  # type: ignore[arg-type]


def test_a_demand_reset_is_these_octets_in_both_orders() -> None:
    flags = {"DEMAND_RESET_FLAG": 1, "SELF_READ_FLAG": 0, "SEASON_CHANGE_FLAG": 0, "NEW_SEASON": 0}
    call = Initiate(9, 5, {"ACTION_FLAG": flags})
    assert encode_initiate(call, a_context("little")) == bytes.fromhex("09000501")
    assert encode_initiate(call, a_context("big")) == bytes.fromhex("00090501")


def test_a_clock_is_set_with_mask_time_and_qualifier() -> None:
    image = bytes.fromhex("0a0001071a0b18101e0f12")
    call = decode_initiate(image, a_context())
    assert call.parameters.DATE_TIME.value == datetime(2026, 11, 24, 16, 30, 15)
    assert call.parameters.TIME_DATE_QUAL.GMT_FLAG == 1
    assert encode_initiate(call, a_context()) == image


def test_the_response_of_a_refused_procedure_has_no_result() -> None:
    outcome = decode_response(bytes.fromhex("09000502"), a_context())
    assert (outcome.number, outcome.sequence, outcome.result_code) == (9, 5, 2)
    assert not outcome.completed and outcome.result == b""


def test_an_unknown_procedure_keeps_its_octets() -> None:
    for manufacturer in (True, False):
        call = Initiate(77, 1, b"\1\2\3", manufacturer)
        assert decode_initiate(encode_initiate(call, a_context()), a_context()) == call


@pytest.mark.parametrize("size", [0, 1, 2])
def test_an_image_too_short_for_its_head_is_refused(size: int) -> None:
    for decode in (decode_initiate, decode_response):
        with pytest.raises(TableError):
            decode(bytes(size), a_context())


@given(st.binary(max_size=40), st.sampled_from(("little", "big")), st.integers(1, 4))
def test_any_image_is_a_call_that_encodes_to_itself_or_a_table_error(
    image: bytes, order: str, tm_format: int
) -> None:
    context = a_context(order, tm_format)
    try:
        call = decode_initiate(image, context)
    except TableError:
        return
    assert encode_initiate(call, context) == image


@given(st.binary(max_size=40))
def test_any_response_is_an_outcome_or_a_table_error(image: bytes) -> None:
    try:
        outcome = decode_response(image, a_context())
    except TableError:
        assert len(image) < 4
    else:
        assert outcome.result_code == image[3]


def test_every_procedure_has_its_own_number() -> None:
    assert all(number == procedure.number for number, procedure in PROCEDURES.items())


def test_events_have_the_standards_names_and_others_their_number() -> None:
    assert event_name(47) == "TAMPER_ATTEMPT" and event_text(20) == "demand reset"
    assert event_name(500) == "event 500" and event_name(0x0801) == "manufacturer event 1"
    assert len(STANDARD_EVENTS) == 77
