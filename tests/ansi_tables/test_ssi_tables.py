"""The SSI module's own tables: any octets are a table or refused; digests tell changes."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansi_tables import TableValueError
from ansi_tables.ssi_tables import (
    BLANK_MONITOR,
    CONFIG_TABLES,
    STAGING_OFFSET,
    SsiTable,
    codec,
    config_digest,
    context_id,
    decode,
    encode,
)

TABLES = st.sampled_from(list(SsiTable))


def blank(table: SsiTable) -> bytes:
    """Give octets that are a table: all zero, and as few as it can have."""
    begin = b"SSI1" if table is SsiTable.REPORT_HEADER else b""
    for size in range(200):
        with suppress(TableValueError):
            decode(table, begin + bytes(size))
            return begin + bytes(size)
    raise AssertionError(table.name)


BLANK = {table: blank(table) for table in SsiTable}


@given(TABLES, st.binary(max_size=80) | st.integers(0, 400).map(bytes))
@example(SsiTable.REPORT_HEADER, b"")
def test_any_octets_are_a_table_that_encodes_to_itself_or_a_table_error(
    table: SsiTable, octets: bytes
) -> None:
    itself_or_an_error(table, octets)


# Octets of ASCII: what is no UTF-8 in a text is read as U+FFFD, and does not come back.
@given(TABLES, st.lists(st.tuples(st.integers(0, 199), st.integers(0, 127)), max_size=6))
def test_a_table_with_changed_octets_encodes_to_itself_or_is_a_table_error(
    table: SsiTable, changes: list[tuple[int, int]]
) -> None:
    octets = bytearray(BLANK[table])
    for place, octet in changes:
        octets[place % len(octets)] = octet
    itself_or_an_error(table, bytes(octets))


def itself_or_an_error(table: SsiTable, octets: bytes) -> None:
    try:
        value = decode(table, octets)
    except TableValueError as error:
        assert error.table == f"SSI {table.name}" and str(error)
        return
    assert encode(table, value) == octets
    with pytest.raises(TableValueError):
        decode(table, octets + b"\0" * 1000)


def test_a_name_that_is_too_long_is_refused_and_a_text_for_people_is_cut() -> None:
    monitor = BLANK_MONITOR | {"PATH": "X" * 65}
    with pytest.raises(TableValueError, match="a text of 65 octets, at most 64"):
        encode(SsiTable.MONITORS, {"MONITORS": [monitor]})
    alarm = dict.fromkeys(("ALARM_NBR", "SOURCE", "CODE", "DISPOSITION", "TIME"), 0)
    alarm |= {"MONITOR_NBR": 0, "VALUE": 0, "TEXT": "x" * 47 + "é"}
    read = decode(SsiTable.ALARM, encode(SsiTable.ALARM, alarm))
    assert read["TEXT"] == "x" * 47


def test_a_staging_table_has_the_codec_of_its_active_one() -> None:
    staging = SsiTable.SCHEDULES_STAGING
    assert codec(staging) is codec(SsiTable(staging - STAGING_OFFSET))


@pytest.mark.parametrize("value", [{}, {"NO_SUCH": 1}, {"VERSION": "x"}])
def test_a_value_that_does_not_fit_names_the_table(value: dict[str, object]) -> None:
    for table in SsiTable:
        with pytest.raises(TableValueError, match=f"SSI {table.name}"):
            encode(table, value)


def test_a_digest_changes_with_any_octet_and_with_where_it_stands() -> None:
    images = dict.fromkeys(CONFIG_TABLES, b"\x01\x02")
    digests = {config_digest(images)}
    for table in CONFIG_TABLES:
        digests.add(config_digest({**images, table: b"\1\3"}))
    assert len(digests) == len(CONFIG_TABLES) + 1


def test_the_id_of_a_context_is_32_bits_of_its_tables() -> None:
    first = context_id({0: b"a", 11: b"b"})
    assert 0 <= first < 1 << 32 and first == context_id({11: b"b", 0: b"a"})
    assert first != context_id({0: b"ab", 11: b""})
