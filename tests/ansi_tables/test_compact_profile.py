"""The compact form of load-profile intervals: exact, pinned by vectors, bounded on any octets."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansi_tables import ssi_tables
from ansi_tables.compact_profile import CompactInterval, decode, encode
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import SsiTable

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "compact_profile.json").read_text())[
    "vectors"
]

values = st.one_of(
    st.just(0),
    st.integers(0, 400),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([(1 << 63) - 1, -(1 << 63)]),
)


@st.composite
def parts(draw: st.DrawFn) -> tuple[list[CompactInterval], int, int]:
    channels, octets = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    count = draw(st.integers(0, 40))
    statuses = st.sampled_from([bytes(octets), b"\xf1\x02\x30"[:octets]])
    intervals = [
        CompactInterval(
            draw(st.one_of(st.just(900 * n), st.integers(0, (1 << 32) - 1))),
            draw(statuses),
            tuple(draw(values) for _ in range(channels)),
        )
        for n in range(count)
    ]
    return intervals, channels, octets


@given(parts())
def test_what_was_encoded_comes_back_exactly(part: tuple[list[CompactInterval], int, int]) -> None:
    intervals, channels, octets = part
    coded = encode(intervals, 0, 900)
    assert decode(coded, len(intervals), channels, octets, 0, 900) == intervals


def test_a_long_part_comes_back_though_its_counts_are_halved_on_the_way() -> None:
    flat = [CompactInterval(900 * n, b"\0", (n % 7, 5)) for n in range(600)]
    coded = encode(flat, 0, 900)
    assert decode(coded, 600, 2, 1, 0, 900) == flat
    assert coded.hex() == (
        "ffc36d12e12c674a11e13d9b65a15c12b9928a38d60b37e47db0bdfde83e5e34f338dc6c840766f7d7c431539801"
        "ba2a881ce715731f"
    )


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 3), st.integers(0, 3))
def test_any_octets_decode_or_are_refused(
    data: bytes, count: int, channels: int, octets: int
) -> None:
    try:
        found = decode(data, count, channels, octets, 0, 900)
    except TableError:
        return
    assert len(found) == count


def part_value(intervals: list[CompactInterval], encoding: int) -> dict[str, object]:
    return {
        "SET": 1,
        "RING_EPOCH": 1,
        "FIRST_SEQUENCE": 96,
        "FIRST_END_TIME": intervals[0].end_s,
        "INT_LENGTH_S": 900,
        "ENCODING": encoding,
        "CONTEXT_ID": 7,
        "NBR_CHNS": len(intervals[0].values),
        "STATUS_OCTETS": len(intervals[0].status),
        "INTERVALS": [
            {"END_TIME": one.end_s, "STATUS": one.status, "VALUES": list(one.values)}
            for one in intervals
        ],
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_the_vectors_hold_in_both_directions(vector: dict[str, object]) -> None:
    value = vector["value"]
    assert isinstance(value, dict)
    for interval in value["INTERVALS"]:
        interval["STATUS"] = bytes.fromhex(interval["STATUS"])
    octets = bytes.fromhex(str(vector["hex"]))
    assert ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, value) == octets
    assert ssi_tables.decode(SsiTable.LOAD_PROFILE_PART, octets) == value


def test_both_encodings_of_a_part_decode_to_the_same_intervals() -> None:
    intervals = [CompactInterval(900 * n, b"\1\0", (n * n, 0)) for n in range(1, 97)]
    raw, compact = (
        ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part_value(intervals, encoding))
        for encoding in (0, 1)
    )
    decoded = [ssi_tables.decode(SsiTable.LOAD_PROFILE_PART, one) for one in (raw, compact)]
    assert decoded[0]["INTERVALS"] == decoded[1]["INTERVALS"]
    assert len(compact) * 5 < len(raw)


def test_a_part_that_claims_too_much_is_refused_before_it_is_read() -> None:
    intervals = [CompactInterval(900, b"\1", (5,))]
    octets = bytearray(ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part_value(intervals, 1)))
    octets[28:30] = b"\xff\xff"
    with pytest.raises(TableError, match="65535 entries, at most 4096"):
        ssi_tables.decode(SsiTable.LOAD_PROFILE_PART, bytes(octets))


def test_an_unknown_encoding_is_refused() -> None:
    intervals = [CompactInterval(900, b"\1", (5,))]
    octets = bytearray(ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part_value(intervals, 1)))
    octets[21] = 9
    with pytest.raises(TableError):
        ssi_tables.decode(SsiTable.LOAD_PROFILE_PART, bytes(octets))


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_a_value_beyond_64_bits_is_refused_on_both_ways(value: int) -> None:
    too_large = [CompactInterval(900, b"\1", (value,))]
    with pytest.raises(TableError, match="64 bits"):
        ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part_value(too_large, 1))
    coded = encode(too_large, 900, 900)
    small = ssi_tables.encode(
        SsiTable.LOAD_PROFILE_PART, part_value([CompactInterval(900, b"\1", (5,))], 1)
    )
    plain = encode([CompactInterval(900, b"\1", (5,))], 900, 900)
    assert small.endswith(plain)
    crafted = small[: -len(plain) - 2] + len(coded).to_bytes(2, "little") + coded
    with pytest.raises(TableError, match="64 bits"):
        ssi_tables.decode(SsiTable.LOAD_PROFILE_PART, crafted)


@pytest.mark.parametrize(("intervals", "channels"), [(4096, 4), (4097, 1), (4096, 5), (5000, 0)])
def test_no_more_is_written_than_is_read(intervals: int, channels: int) -> None:
    part = part_value([CompactInterval(900, b"", (0,) * channels)] * intervals, 1)
    if (intervals, channels) == (4096, 4):
        octets = ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part)
        assert ssi_tables.decode(SsiTable.LOAD_PROFILE_PART, octets) == part
        return
    with pytest.raises(TableError, match=r"entries, at most"):
        ssi_tables.encode(SsiTable.LOAD_PROFILE_PART, part)
