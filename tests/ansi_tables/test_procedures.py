"""Procedures there and back in both byte orders; anything else is a TableError or stays octets."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import Context, TableError, TableValueError, TruncatedTableError, procedures
from ansi_tables.fields import record, uint
from ansi_tables.formats import DeviceFormat
from ansi_tables.layout import Layout
from ansi_tables.procedures import (
    LIST_CODES,
    RESULT_CODES,
    Initiate,
    Outcome,
    all_procedures,
    decode_initiate,
    decode_response,
    encode_initiate,
    encode_response,
    procedure,
    procedure_name,
)
from ansi_tables.standard_procedures import STANDARD_PROCEDURES, Procedure
from tests.ansi_tables.facts import FOLDER, Interpreter
from tests.ansi_tables.held import leaves_of, others_than_held

ORDERS = st.sampled_from(("little", "big"))
FACTS = FOLDER / "c1219_procedures_and_events.yaml"
CLOCK_CALL = bytes.fromhex("0a0001071a0b18101e0f12")


def a_context(order: str = "little", tm_format: int = 2) -> Context:
    return Context(
        DeviceFormat(data_order=order, tm_format=tm_format, dim_mfg_status_used=2)  # type: ignore[arg-type]
    )


def facts() -> dict[str, Any]:
    """The reference's facts; empty lists where it is not there."""
    if not FACTS.exists():
        return {"procedures": [], "result_codes": [], "selector_codes": [], "list_codes": []}
    loaded: dict[str, Any] = yaml.safe_load(FACTS.read_text())
    return loaded


def widths(tree: Any) -> dict[str, int]:
    """Octets of each member; those of a record within are summed."""
    found: dict[str, int] = {}
    for field in Layout(7, "", tree).listing():
        name = field.path.split(".")[0]
        found[name] = found.get(name, 0) + field.width
    return found


@pytest.mark.parametrize("tm_format", [1, 2])
def test_every_procedure_has_the_members_of_the_facts(tm_format: int) -> None:
    ctx = a_context(tm_format=tm_format)
    formats = {"FORMAT_CONTROL_2": {"TM_FORMAT": tm_format}, "DIM_MFG_STATUS_USED": 2}
    interpreter = Interpreter({0: formats})
    for fact in facts()["procedures"]:
        ours = STANDARD_PROCEDURES[fact["number"]]
        assert ours.number == fact["number"]
        described = (ours.name, ours.layout, ours.confidence, ours.since)
        layout = fact.get("layout", "known")
        assert described == (fact["name"], layout, fact["confidence"], fact["since"])
        for part, tree in (("params", ours.parameters(ctx)), ("result", ours.result(ctx))):
            theirs = {leaf.path: leaf.width for leaf in interpreter.leaves(fact[part])}
            if fact["number"] != 7 or part == "result":  # 7 reads also what one host declares
                assert widths(tree) == theirs, ours.name


def test_every_procedure_is_the_one_that_was_held_against_the_facts() -> None:
    told = {
        str(one.number): [
            (one.name, one.layout, one.confidence, one.since),
            *(
                leaves_of(Layout(7, "", part(ctx)))
                for part in (one.parameters, one.result)
                for ctx in (a_context(tm_format=1), a_context(tm_format=2))
            ),
        ]
        for one in STANDARD_PROCEDURES
    }
    assert others_than_held("procedures", told) == {}


def test_the_code_lists_are_those_of_the_facts() -> None:
    known = facts()
    for fact in known["result_codes"]:
        assert fact["name"] == "RESERVED" or RESULT_CODES[fact["code"]] == fact["name"]
    for fact in known["list_codes"]:
        assert "tables" not in fact or list(LIST_CODES[fact["code"]]) == fact["tables"]


def test_a_demand_reset_is_these_octets_in_both_orders() -> None:
    flags = {"DEMAND_RESET_FLAG": 1, "SELF_READ_FLAG": 0, "SEASON_CHANGE_FLAG": 0, "NEW_SEASON": 0}
    call = Initiate(9, 5, {"ACTION_FLAG": flags})
    assert encode_initiate(call, a_context("little")) == bytes.fromhex("09000501")
    assert encode_initiate(call, a_context("big")) == bytes.fromhex("00090501")


def test_a_manufacturer_call_that_posts_at_once_has_its_bits_where_the_standard_says() -> None:
    assert encode_initiate(Initiate(3, 0, b"", True, 3), a_context()) == bytes.fromhex("033800")


def test_a_clock_is_set_with_mask_time_and_qualifier() -> None:
    call = decode_initiate(CLOCK_CALL, a_context())
    assert call.parameters.DATE_TIME.value == datetime(2026, 11, 24, 16, 30, 15)
    assert call.parameters.TIME_DATE_QUAL.GMT_FLAG == 1
    assert encode_initiate(call, a_context()) == CLOCK_CALL


def test_the_clock_answers_with_the_times_before_and_after() -> None:
    times = {"DATE_TIME_BEFORE": datetime(2026, 1, 2), "DATE_TIME_AFTER": datetime(2026, 1, 3)}
    image = encode_response(Outcome(10, 1, 0, times), a_context())
    outcome = decode_response(image, a_context())
    assert outcome.result.DATE_TIME_AFTER.value == datetime(2026, 1, 3)
    assert outcome.completed and outcome.text == "completed"


def test_the_response_of_a_refused_procedure_has_no_result() -> None:
    outcome = decode_response(bytes.fromhex("09000502"), a_context())
    assert (outcome.number, outcome.sequence, outcome.result_code) == (9, 5, 2)
    assert not outcome.completed and outcome.result == b"" and outcome.text == "invalid parameter"
    assert Outcome(9, 5, 77, b"").text == "result code 77"


def test_a_response_that_is_filled_up_keeps_what_follows_the_result() -> None:
    image = bytes.fromhex("09000500 01 0000000000000000")
    outcome = decode_response(image, a_context())
    assert outcome.result.SUCCESS_FLAG.DEMAND_RESET_FLAG == 1 and outcome.trailing == bytes(8)
    assert encode_response(outcome, a_context()) == image


def test_an_answer_is_told_from_another_sessions() -> None:
    outcome = decode_response(bytes.fromhex("09000500 01"), a_context())
    assert outcome.answers(Initiate(9, 5, None)) and outcome.answers(Initiate(9, 0x105, None))
    assert not outcome.answers(Initiate(9, 6, None)) and not outcome.answers(Initiate(10, 5, None))


def test_the_flags_may_be_cleared_with_and_without_naming_them() -> None:
    for image in ("070001", "07000100000000"[:12], "080001", "0800010102"):
        octets = bytes.fromhex(image)
        assert encode_initiate(decode_initiate(octets, a_context()), a_context()) == octets


def test_an_unknown_procedure_keeps_its_octets() -> None:
    for manufacturer in (True, False):
        call = Initiate(77, 1, b"\1\2\3", manufacturer)
        assert decode_initiate(encode_initiate(call, a_context()), a_context()) == call
    with pytest.raises(TableValueError, match="octets are needed"):
        encode_initiate(Initiate(77, 1, {"A": 1}), a_context())


@pytest.mark.parametrize("number,selector", [(2048, 0), (-1, 0), (1, 16)])
def test_a_call_that_has_no_octets_is_refused(number: int, selector: int) -> None:
    with pytest.raises(TableValueError, match="ST-07 PROC"):
        encode_initiate(Initiate(number, 0, b"", selector=selector), a_context())


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_an_image_too_short_for_its_head_is_refused(size: int) -> None:
    for decode, least in ((decode_initiate, 3), (decode_response, 4)):
        if size < least:
            with pytest.raises(TruncatedTableError) as caught:
                decode(bytes(size), a_context())
            assert caught.value.offset == size and caught.value.path


def test_parameters_too_short_and_too_long_are_refused_with_their_place() -> None:
    with pytest.raises(TruncatedTableError, match=r"ST-07 PARM_RCD.ENTRIES_READ at octet 4"):
        decode_initiate(bytes.fromhex("0500010101"), a_context())
    with pytest.raises(TableValueError, match="ST-07 PARM_RCD at octet 3: 1 octets more"):
        decode_initiate(bytes.fromhex("00000100"), a_context())


def test_a_procedure_with_a_time_of_no_known_shape_is_refused() -> None:
    call = Initiate(32, 1, {})
    with pytest.raises(TableError, match=r"ST-07.*HTIME_DATE under TM_FORMAT 4"):
        encode_initiate(call, a_context(tm_format=4))
    assert decode_response(bytes.fromhex("20000100") + bytes(8), a_context(tm_format=4)).result


@given(st.binary(max_size=40), ORDERS, st.integers(1, 4), st.integers(0, 40))
def test_any_image_is_a_call_that_encodes_to_itself_or_a_table_error(
    octets: bytes, order: str, tm_format: int, number: int
) -> None:
    context = a_context(order, tm_format)
    image = number.to_bytes(2, order) + octets  # type: ignore[arg-type]
    try:
        call = decode_initiate(image, context)
    except TableError as error:
        assert error.table == "ST-07"
        return
    assert encode_initiate(call, context) == image


@given(st.binary(max_size=40), ORDERS, st.integers(1, 4), st.integers(0, 40))
def test_any_response_is_an_outcome_that_encodes_to_itself_or_a_table_error(
    octets: bytes, order: str, tm_format: int, number: int
) -> None:
    context = a_context(order, tm_format)
    image = number.to_bytes(2, order) + octets  # type: ignore[arg-type]
    try:
        outcome = decode_response(image, context)
    except TableError:
        assert len(image) < 4
        return
    assert outcome.result_code == image[3]
    assert encode_response(outcome, context) == image


@pytest.fixture
def own_procedures() -> Iterator[None]:
    before = dict(procedures._procedures)
    yield
    procedures._procedures.clear()
    procedures._procedures.update(before)


@pytest.mark.usefixtures("own_procedures")
def test_a_manufacturers_procedure_is_registered_in_one_line() -> None:
    procedures.register(
        Procedure(
            3, "OPEN_SWITCH", lambda ctx: record("SECONDS" / uint(ctx, 16)), manufacturer=True
        )
    )
    call = Initiate(3, 7, {"SECONDS": 300}, manufacturer=True)
    image = encode_initiate(call, a_context())
    assert image == bytes.fromhex("0308072c01")
    assert decode_initiate(image, a_context()).parameters.SECONDS == 300
    assert procedure_name(3, True) == "OPEN_SWITCH" and procedure_name(3) == "CLEAR_DATA"
    assert procedure(3, True) in list(all_procedures())


def test_procedures_without_a_name_have_their_number() -> None:
    assert procedure_name(99) == "procedure 99"
    assert procedure_name(3, manufacturer=True) == "manufacturer procedure 3"
