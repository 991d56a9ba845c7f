"""What is read fast is what the construct definitions read, for good and for any octets."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import ssi_fast, ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import SsiTable

words, octet = st.integers(0, 2**32 - 1), st.integers(0, 255)
headers = st.fixed_dictionaries(
    {"BASE": st.integers(0, 65_535), "ESN": st.text(max_size=16)}
    | dict.fromkeys(("CAUSE", "SCHEDULE_NBR", "STATE", "WARNING"), octet)
    | dict.fromkeys(("OUTBOX_EPOCH", "REPORT_NBR", "TIME", "DUE_TIME"), words)
    | dict.fromkeys(("CONFIG_VERSION", "CONTEXT_ID"), words)
)


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    channels, status = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    number = st.integers(-(2**63), 2**63 - 1)
    values = st.lists(number, min_size=channels, max_size=channels)
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
        "FIRST_SEQUENCE": draw(number),
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
    data = ssi_tables.encode(SsiTable.REPORT_HEADER, value)
    assert ssi_fast.report_header(data) == by_construct(SsiTable.REPORT_HEADER, data)


@given(parts())
def test_a_load_profile_part_is_read_alike(value: dict[str, Any]) -> None:
    data = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, value)
    assert ssi_fast.load_profile_part(data) == by_construct(SsiTable.LOAD_PROFILE_PART, data)


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
