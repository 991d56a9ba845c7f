"""What is read or written fast is what construct reads or writes, for good and for any input."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from ansi_tables import ssi_fast, ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import SsiTable

numbers = st.integers(-(2**63), 2**63 - 1)
words, octet = st.integers(0, 2**32 - 1), st.integers(0, 255)
headers = st.fixed_dictionaries(
    {"BASE": st.integers(0, 65_535), "ESN": st.text(max_size=16)}
    | dict.fromkeys(("CAUSE", "SCHEDULE_NBR", "STATE", "WARNING"), octet)
    | dict.fromkeys(("OUTBOX_EPOCH", "REPORT_NBR", "TIME", "DUE_TIME"), words)
    | dict.fromkeys(("CONFIG_VERSION", "CONTEXT_ID"), words)
)


@st.composite
def parts(draw: st.DrawFn, others: st.SearchStrategy[int] = numbers) -> dict[str, Any]:
    channels, status = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    values = st.lists(numbers | others, min_size=channels, max_size=channels)
    interval = st.fixed_dictionaries(
        {
            "END_TIME": words,
            "STATUS": st.binary(min_size=status, max_size=status),
            "VALUES": values,
        }
    )
    return {
        "SET": draw(octet),
        "RING_EPOCH": draw(words),
        "FIRST_SEQUENCE": draw(numbers),
        "FIRST_END_TIME": draw(words),
        "INT_LENGTH_S": draw(words),
        "ENCODING": 0,
        "CONTEXT_ID": draw(words),
        "NBR_CHNS": channels,
        "STATUS_OCTETS": status,
        "INTERVALS": draw(st.lists(interval, max_size=5)),
    }


def by_construct(table: SsiTable, data: bytes) -> Any:
    return ssi_tables._plain(ssi_tables.codec(table).parse(data))


@given(headers)
def test_a_header_is_read_alike(value: dict[str, Any]) -> None:
    assume(len(value["ESN"].encode()) <= 16)
    data = ssi_tables.encode(SsiTable.REPORT_HEADER, value)
    assert ssi_fast.report_header(data) == by_construct(SsiTable.REPORT_HEADER, data)


@given(parts(), st.sampled_from((0, 1)))
def test_a_load_profile_part_is_read_alike(value: dict[str, Any], encoding: int) -> None:
    value = {**value, "ENCODING": encoding}
    data = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, value)
    assert ssi_fast.load_profile_part(data) == by_construct(SsiTable.LOAD_PROFILE_PART, data)


@given(parts(), st.integers(0, 200), st.integers(0, 255), st.integers(0, 3))
def test_a_compact_part_with_a_fault_is_read_alike_or_refused_alike(
    value: dict[str, Any], at: int, octet: int, cut: int
) -> None:
    table = SsiTable.LOAD_PROFILE_PART
    data = ssi_tables.encode(table, {**value, "ENCODING": 1})
    for one in (data[:at] + bytes([octet]) + data[at + 1 :], data[: len(data) - cut], data + b"x"):
        assert decoded(table, one, True) == decoded(table, one, False)


@given(
    st.sampled_from((SsiTable.REPORT_HEADER, SsiTable.LOAD_PROFILE_PART)), st.binary(max_size=90)
)
def test_any_octets_are_read_alike_or_refused_alike(table: SsiTable, data: bytes) -> None:
    for octets in (data, b"SSI1" + data):
        try:
            value = ssi_tables.decode(table, octets)
        except TableError:
            assert ssi_tables._FAST[table](octets) is None
        else:
            assert value == by_construct(table, octets)


def decoded(table: SsiTable, data: bytes, fast: bool) -> Any:
    """Give the value of octets, or the words with which they are refused."""
    kept = ssi_tables._FAST
    try:
        if not fast:
            ssi_tables._FAST = {}
        return ssi_tables.decode(table, data)
    except TableError as error:
        return str(error)
    finally:
        ssi_tables._FAST = kept


def outcome(table: SsiTable, value: dict[str, Any], fast: bool) -> Any:
    """Give the octets of a value, or the words with which it is refused."""
    kept = ssi_tables._FAST_ENCODE
    try:
        if not fast:
            ssi_tables._FAST_ENCODE = {}
        return ssi_tables.encode(table, value)
    except TableError as error:
        return str(error)
    finally:
        ssi_tables._FAST_ENCODE = kept


@given(headers, st.sampled_from((None, b"SSI1", b"SSI2")))
def test_a_header_is_written_alike(value: dict[str, Any], signature: bytes | None) -> None:
    if signature is not None:
        value = {**value, "SIGNATURE": signature}
    table = SsiTable.REPORT_HEADER
    assert outcome(table, value, True) == outcome(table, value, False)


@given(parts(), st.sampled_from((0, 1, 2)))
def test_a_load_profile_part_is_written_alike(value: dict[str, Any], encoding: int) -> None:
    value = {**value, "ENCODING": encoding}
    table = SsiTable.LOAD_PROFILE_PART
    assert outcome(table, value, True) == outcome(table, value, False)
    if encoding == 0:
        raw = ssi_fast.raw_octets(
            len(value["INTERVALS"]), value["STATUS_OCTETS"], value["NBR_CHNS"]
        )
        assert len(ssi_fast.encode_load_profile_part(value) or b"") == raw


@given(parts(), st.sampled_from((0, 1)), st.data())
def test_what_does_not_fit_is_refused_alike(
    value: dict[str, Any], encoding: int, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    value = {**value, "ENCODING": encoding}
    if data.draw(st.booleans()):
        del value[name]
    elif name != "INTERVALS":
        value[name] = data.draw(st.sampled_from((-1, 7, 2**32, 2**64, "x", None)))
    elif value["INTERVALS"]:
        one = {**value["INTERVALS"][0]}
        member = data.draw(st.sampled_from(sorted(one)))
        one[member] = data.draw(st.sampled_from((-1, 2**70, b"", b"12345", [2**70], [], None)))
        value["INTERVALS"] = [one, *value["INTERVALS"][1:]]
    table = SsiTable.LOAD_PROFILE_PART
    try:
        expected = outcome(table, value, False)
    except Exception as error:  # whatever it is: it must be the same
        expected = type(error)
    try:
        found = outcome(table, value, True)
    except Exception as error:
        found = type(error)
    assert found == expected


@given(parts(st.sampled_from((-(2**63) - 1, 2**63, 2**64, 2**70))), st.sampled_from((0, 1)))
def test_values_beyond_64_bits_are_refused_alike(value: dict[str, Any], encoding: int) -> None:
    value, table = {**value, "ENCODING": encoding}, SsiTable.LOAD_PROFILE_PART
    assert outcome(table, value, True) == outcome(table, value, False)
