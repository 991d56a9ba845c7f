"""Every elementary type: published octets first, then there and back for any octets."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    FormatRefusedError,
    Layout,
    TableError,
    TableTime,
    TruncatedTableError,
)
from ansi_tables import TableValueError as BadValue
from ansi_tables import fields as f
from ansi_tables.layout import layout_for
from ansi_tables.numbers import MAX_EXPONENT, DecimalAsSent, IntAsSent, RawNumber
from ansi_tables.rendering import to_json_value
from ansi_tables.texts import TextAsSent

ORDERS = ("little", "big")


def ctx(**members: Any) -> Context:
    return Context(DeviceFormat(**members))


def decode(leaf: Any, octets: str | bytes) -> Any:
    raw = bytes.fromhex(octets) if isinstance(octets, str) else octets
    return Layout(2100, "", f.record("X" / leaf)).decode(raw).X


def encode(leaf: Any, value: Any) -> bytes:
    return Layout(2100, "", f.record("X" / leaf)).encode({"X": value})


def leaves(context: Context) -> dict[str, Any]:
    """Every elementary type on one device."""
    found: dict[str, Any] = {f"UINT{bits}": f.uint(context, bits) for bits in range(8, 65, 8)}
    found |= {f"INT{bits}": f.sint(context, bits) for bits in range(8, 65, 8)}
    found |= {f"BITFIELD{bits}": f.bit_field(context, bits, A=(1, 3)) for bits in (8, 16, 32)}
    found |= {"SET": f.set_of(3), "STRING": f.text(context, 7), "BCD": f.bcd(4)}
    found |= {"BINARY": f.binary(5), "DATE": f.date(context), "RDATE": f.rdate(context)}
    found |= {"NI_FMAT1": f.ni(context, 1), "NI_FMAT2": f.ni(context, 2)}
    found |= {"STIME_DATE": f.stime_date(context), "LTIME_DATE": f.ltime_date(context)}
    found |= {"TIME": f.time_of_day(context), "FLOAT32": f.floating(context, 32)}
    found |= {"FLOAT_CHAR": f.float_char(9), "FIXED_BCD": f.fixed_bcd(3)}
    if context.fmt.tm_format < 3:
        found |= {"HTIME_DATE": f.htime_date(context), "STIME": f.stime(context)}
    return found


FORMATS = st.builds(
    DeviceFormat,
    data_order=st.sampled_from(ORDERS),
    char_format=st.integers(0, 7),
    tm_format=st.integers(0, 4),
    int_format=st.integers(0, 2),
    ni_format1=st.integers(0, 13),
    ni_format2=st.integers(0, 13),
)


@given(FORMATS, st.data())
def test_any_octets_of_any_type_go_there_and_back(fmt: DeviceFormat, data: st.DataObject) -> None:
    for name, leaf in leaves(Context(fmt)).items():
        nibbly = st.lists(
            st.sampled_from(b"\x00\x12\x9b\xbb\xd0\xa1\x20.+-E5 "), min_size=leaf.size
        )
        octets = data.draw(
            st.binary(min_size=leaf.size, max_size=leaf.size)
            | nibbly.map(lambda drawn: bytes(drawn)[: leaf.size])  # noqa: B023
        )
        assert encode(leaf, decode(leaf, octets)) == octets, name


@pytest.mark.parametrize("code,octets", [(0, "fb"), (1, "fa"), (2, "85")])
def test_minus_five_in_the_three_sign_codings(code: int, octets: str) -> None:
    leaf = f.sint(ctx(int_format=code), 8)
    assert decode(leaf, octets) == -5 and encode(leaf, -5) == bytes.fromhex(octets)


@pytest.mark.parametrize("code,octets", [(1, "ffffff"), (2, "000080")])
def test_minus_zero_is_zero_and_is_written_back_as_it_was(code: int, octets: str) -> None:
    leaf = f.sint(ctx(int_format=code), 24)
    value = decode(leaf, octets)
    assert value == 0 and isinstance(value, IntAsSent)
    assert encode(leaf, value) == bytes.fromhex(octets) and encode(leaf, 0) == bytes(3)
    elsewhere = f.sint(ctx(int_format=3 - code), 24)
    assert encode(elsewhere, value) == bytes(3), "another coding has other octets"


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 40, 48, 56, 64])
@pytest.mark.parametrize("order", ORDERS)
def test_integers_of_every_width_reach_their_limits(bits: int, order: Any) -> None:
    context = ctx(data_order=order)
    assert encode(f.uint(context, bits), 1)[0 if order == "little" else -1] == 1
    for leaf, low, high in (
        (f.uint(context, bits), 0, (1 << bits) - 1),
        (f.sint(context, bits), -(1 << bits - 1), (1 << bits - 1) - 1),
    ):
        for value in (low, high):
            assert decode(leaf, encode(leaf, value)) == value
        for value in (low - 1, high + 1, "5", None):
            with pytest.raises(BadValue, match="MT-52 X at octet 0"):
                encode(leaf, value)


def test_a_bit_field_is_assembled_before_it_is_masked() -> None:
    """E_ELEMENTS of a real GE I-210+c: 004Bh."""
    bits = {"E_FREQ": (0, 2), "E_NO_OF_ELEMENTS": (3, 5), "E_BASE_TYPE": (6, 9), "E_ACC": (10, 15)}
    for order, octets in zip(ORDERS, ("4b00", "004b"), strict=True):
        leaf = f.bit_field(ctx(data_order=order), 16, **bits)
        assert decode(leaf, octets) == {
            "E_FREQ": 3,
            "E_NO_OF_ELEMENTS": 1,
            "E_BASE_TYPE": 1,
            "E_ACC": 0,
        }
        assert encode(leaf, 0x4B) == bytes.fromhex(octets)


def test_a_bit_field_names_the_member_that_is_missing_or_too_large() -> None:
    leaf = f.bit_field(ctx(), 8, A=(0, 1), B=(2, 7))
    with pytest.raises(BadValue, match=r"X.B at octet 0: missing"):
        encode(leaf, {"A": 1})
    for value in ({"A": 4, "B": 0}, {"A": -1, "B": 0}, {"A": "x", "B": 0}, 256, -1):
        with pytest.raises(BadValue, match="X"):
            encode(leaf, value)


def test_a_set_counts_from_the_lowest_bit_of_the_first_octet() -> None:
    """STD_TBLS_USED of a real Hexing meter."""
    listed = decode(f.set_of(3), "efbdf1")
    assert listed == {0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 20, 21, 22, 23}
    assert encode(f.set_of(3), listed) == bytes.fromhex("efbdf1")
    for members in ({24}, {-1}, {"a"}, {1 << 60}):
        with pytest.raises(BadValue):
            encode(f.set_of(3), members)


def test_a_number_is_no_octets_however_large() -> None:
    for value in (5, 1 << 60, "x", None):
        with pytest.raises(BadValue):
            encode(f.binary(5), value)
    assert encode(f.binary(2), bytearray(b"ab")) == b"ab"


def test_bcd_identifiers_have_signs_points_and_blanks() -> None:
    assert decode(f.bcd(4), "01a2d345") == "01-2.345"
    assert encode(f.bcd(4), "01-2.345") == bytes.fromhex("01a2d345")
    assert encode(f.bcd(2), "7") == bytes.fromhex("bbb7")
    for text in ("12345", "12x4"):
        with pytest.raises(BadValue):
            encode(f.bcd(2), text)


@pytest.mark.parametrize(
    "char_format,octets,text",
    [
        (1, "41 20 00", "A \0"),
        (2, "e9 20 20", "é  "),
        (3, "c3a9 20", "é "),
        (0, "e9 20 20", "é  "),
        (4, "4100 2000", "A "),
        (5, "41000000", "A"),
    ],
)
def test_text_in_every_char_format(char_format: int, octets: str, text: str) -> None:
    raw = bytes.fromhex(octets)
    leaf = f.text(ctx(char_format=char_format), len(raw))
    assert decode(leaf, raw) == text and encode(leaf, text) == raw
    assert encode(leaf, text.rstrip(" ")) == raw


def test_text_that_is_none_is_written_back_as_it_was() -> None:
    wide = f.text(ctx(char_format=4), 3)
    odd = decode(wide, "410042")
    assert isinstance(odd, TextAsSent) and encode(wide, odd) == bytes.fromhex("410042")
    assert encode(f.text(ctx(), 3), decode(f.text(ctx(), 3), "ffffff")) == b"\xff" * 3


def test_text_that_does_not_fit_is_refused() -> None:
    for leaf, text in ((f.text(ctx(), 2), "abc"), (f.text(ctx(), 2), "é"), (f.text(ctx(), 2), 5)):
        with pytest.raises(BadValue, match="MT-52 X"):
            encode(leaf, text)
    with pytest.raises(BadValue, match="must fit 3"):
        encode(f.text(ctx(char_format=4), 3), "a")


NI_EXAMPLES = [
    (0, 1.5, "000000000000f83f"),
    (1, 1.5, "0000c03f"),
    (2, Decimal("-12.50"), "2020202020202d31322e3530"),
    (3, Decimal("12.5"), "202031322e35"),
    (4, Decimal("-1.2345"), "c7cfffff"),
    (5, Decimal(123456), "000000123456"),
    (6, Decimal("-1.5"), "a00001d5"),
    (7, -2, "feffff"),
    (8, -2, "feffffff"),
    (9, -2, "feffffffff"),
    (10, -2, "feffffffffff"),
    (11, -2, "feffffffffffffff"),
    (12, Decimal(9), "0000000000000009"),
    (13, Decimal("1E+5"), (b"1E+5".rjust(21)).hex()),
]


@pytest.mark.parametrize("code,value,octets", NI_EXAMPLES)
def test_each_number_format_has_these_octets(code: int, value: Any, octets: str) -> None:
    leaf = f.ni(ctx(ni_format1=code), 1)
    raw = bytes.fromhex(octets)
    assert leaf.size == len(raw)
    assert decode(leaf, raw) == value and type(decode(leaf, raw)) is type(value)
    assert encode(leaf, value) == raw


def test_number_formats_stand_alone_too() -> None:
    for leaf, name, value in (
        (f.floating(ctx(data_order="big"), 64), "FLOAT64", 1.5),
        (f.floating(ctx(), 32), "FLOAT32", -0.5),
        (f.float_char(21), "FLOAT_CHAR21", Decimal("-12.50")),
        (f.fixed_bcd(6), "FIXED_BCD6", Decimal(123456)),
    ):
        assert leaf.type_name == name and decode(leaf, encode(leaf, value)) == value


def test_numbers_written_in_a_way_of_their_own_keep_value_and_octets() -> None:
    for code, octets, value in (
        (3, b"+1.5  ", "1.5"),
        (3, b".5\0\0\0\0", "0.5"),
        (3, b" 1e3  ", "1000"),
        (3, b"0E999 ", "0"),
        (6, bytes.fromhex("bbbb0012"), "12"),
        (6, bytes.fromhex("bba00012"), "-12"),
        (6, bytes.fromhex("000012d0"), "12.0"),
    ):
        leaf = f.ni(ctx(ni_format1=code), 1)
        found = decode(leaf, octets)
        assert found == Decimal(value) and encode(leaf, found) == octets
    assert isinstance(found, Decimal)
    minus = decode(f.ni(ctx(ni_format1=4, int_format=2), 1), "00000080")
    assert isinstance(minus, DecimalAsSent) and minus == 0


@pytest.mark.parametrize(
    "code,value,octets",
    [
        (6, Decimal("-0.123456"), bytes.fromhex("ad123456")),
        (6, Decimal("0.1234567"), bytes.fromhex("d1234567")),
        (3, Decimal("0.12345"), b".12345"),
        (3, Decimal("1.2E+124"), b"12E123"),
        (3, Decimal("1E+5"), b"  1E+5"),
    ],
)
def test_a_number_that_fits_in_a_shorter_form_is_written_so(
    code: int, value: Decimal, octets: bytes
) -> None:
    leaf = f.ni(ctx(ni_format1=code), 1)
    assert encode(leaf, value) == octets and decode(leaf, octets) == value


def test_octets_that_are_no_number_stay_raw() -> None:
    for code, octets in (
        (0, b"\xff" * 8),
        (1, b"\xff" * 4),
        (2, b"\xff" * 12),
        (3, b"1_000 "),
        (3, b"NaN   "),
        (3, b"\xb2     "),
        (3, b"      "),
        (3, b"1E9999"),
        (6, b"\xff" * 4),
        (6, b"\xbb" * 4),
        (6, bytes.fromhex("0a1a0000")),
    ):
        leaf = f.ni(ctx(ni_format1=code), 1)
        found = decode(leaf, octets)
        assert found == RawNumber(octets) and encode(leaf, found) == octets
        other = f.ni(ctx(ni_format1=8 if code != 1 else 10), 1)
        with pytest.raises(BadValue):
            encode(other, found)


def test_numbers_that_do_not_fit_are_refused_whatever_they_are() -> None:
    for code, value in (
        (1, 1e300),
        (0, "x"),
        (2, Decimal("1.2345678901234")),
        (3, Decimal(1000000)),
        (4, Decimal("0.00001")),
        (4, Decimal("NaN")),
        (4, Decimal(300000)),
        (6, Decimal("123456789")),
        (6, Decimal("1E999999999")),
        (6, Decimal("Infinity")),
        (2, Decimal(f"1E{MAX_EXPONENT + 1}")),
        (8, 1.5),
        (8, 1 << 31),
    ):
        with pytest.raises(BadValue, match="MT-52 X at octet 0"):
            encode(f.ni(ctx(ni_format1=code), 1), value)


def test_infinity_is_a_float() -> None:
    assert math.isinf(decode(f.ni(ctx(ni_format1=1), 1), "0000807f"))


MOMENT = datetime(2012, 11, 8, 23, 1, 15)


@pytest.mark.parametrize(
    "kind,tm_format,octets,value",
    [
        ("ltime_date", 2, "0c0b0817010f", MOMENT),  # ST-52 of a real GE I-210+c
        ("ltime_date", 1, "121108230115", MOMENT),
        ("stime_date", 2, "0c0b081701", MOMENT.replace(second=0)),
        ("stime_date", 1, "1211082301", MOMENT.replace(second=0)),
        ("htime_date", 2, "0c0b0817010f32", MOMENT.replace(microsecond=500_000)),
        ("htime_date", 1, "12110823011550", MOMENT.replace(microsecond=500_000)),
        ("time_of_day", 2, "17010f", time(23, 1, 15)),
        ("time_of_day", 1, "230115", time(23, 1, 15)),
        ("time_of_day", 2, "000000", time(0)),
        ("time_of_day", 3, "0f000000", time(0, 0, 15)),
        ("time_of_day", 4, "0f000000", time(0, 0, 15)),
        ("stime", 2, "1701", time(23, 1)),
        ("stime", 1, "2301", time(23, 1)),
        ("stime_date", 2, "5a01010000", datetime(1990, 1, 1)),
        ("stime_date", 2, "5901010000", datetime(2089, 1, 1)),
    ],
)
def test_each_time_type_has_these_octets(
    kind: str, tm_format: int, octets: str, value: Any
) -> None:
    leaf = getattr(f, kind)(ctx(tm_format=tm_format))
    assert decode(leaf, octets).value == value
    assert encode(leaf, value) == bytes.fromhex(octets)


@pytest.mark.parametrize("order", ORDERS)
def test_counted_times_are_utc_and_obey_the_data_order(order: Any) -> None:
    moment = datetime(2012, 11, 8, 23, 1, 15, tzinfo=UTC)
    seconds = int(moment.timestamp())
    for kind, tm_format, octets in (
        ("ltime_date", 4, seconds.to_bytes(4, order)),
        ("stime_date", 4, seconds.to_bytes(4, order)),
        ("ltime_date", 3, (seconds // 60).to_bytes(4, order) + b"\x0f"),
    ):
        leaf = getattr(f, kind)(ctx(tm_format=tm_format, data_order=order))
        assert decode(leaf, octets).value == moment
        assert encode(leaf, moment) == encode(leaf, moment.replace(tzinfo=None)) == octets
    short = f.stime_date(ctx(tm_format=3, data_order=order))
    assert encode(short, moment) == (seconds // 60).to_bytes(4, order)
    assert decode(short, encode(short, moment)).value == moment.replace(second=0)


@pytest.mark.parametrize("octets", ["0000000000", "ffffffffff", "0c0d010000", "ff01010000"])
@pytest.mark.parametrize("tm_format", [1, 2])
def test_a_date_that_is_none_has_no_value_and_keeps_its_octets(octets: str, tm_format: int) -> None:
    leaf = f.stime_date(ctx(tm_format=tm_format))
    found = decode(leaf, octets)
    assert found.value is None and encode(leaf, found) == bytes.fromhex(octets)


def test_times_without_a_clock_take_no_octets() -> None:
    for kind in ("stime_date", "ltime_date", "htime_date", "time_of_day", "stime"):
        leaf = getattr(f, kind)(ctx(tm_format=0))
        assert leaf.size == 0 and decode(leaf, "").value is None
        assert encode(leaf, MOMENT) == encode(leaf, None) == b""


def test_not_set_is_written_as_zero() -> None:
    assert encode(f.ltime_date(ctx()), None) == bytes(6)
    assert encode(f.date(ctx()), None) == bytes(2)


def test_times_beyond_their_type_are_refused() -> None:
    far = datetime(2200, 1, 1)
    for leaf, value in (
        (f.stime_date(ctx()), far),
        (f.stime_date(ctx(tm_format=4)), far),
        (f.stime_date(ctx(tm_format=4)), datetime(1969, 12, 31)),
        (f.stime_date(ctx()), time(1)),
        (f.time_of_day(ctx()), MOMENT),
        (f.stime_date(ctx()), TableTime(b"\0", None)),
        (f.date(ctx()), far.date()),
        (f.date(ctx()), "today"),
        (f.date(ctx()), TableTime(b"\0", None)),
    ):
        with pytest.raises(BadValue, match="MT-52 X"):
            encode(leaf, value)
    assert decode(f.time_of_day(ctx(tm_format=4)), "80510100").value is None  # 86,400 s
    assert decode(f.stime_date(ctx(tm_format=1)), "1a01010000").value is None  # no BCD


@pytest.mark.parametrize("kind", ["htime_date", "stime"])
@pytest.mark.parametrize("tm_format", [3, 4])
def test_a_time_of_no_known_shape_is_refused_rather_than_guessed(kind: str, tm_format: int) -> None:
    with pytest.raises(FormatRefusedError, match="not known"):
        getattr(f, kind)(ctx(tm_format=tm_format))


def test_dates_are_sixteen_bits() -> None:
    number = 8 << 11 | 11 << 7 | 12
    for order in ORDERS:
        leaf = f.date(ctx(data_order=order))
        octets = number.to_bytes(2, order)  # type: ignore[arg-type]
        assert decode(leaf, octets).value == date(2012, 11, 8)
        assert encode(leaf, date(2012, 11, 8)) == octets
    assert decode(f.date(ctx()), "6400").value is None  # year 100


@given(st.datetimes(datetime(1990, 1, 1), datetime(2089, 12, 31)), st.integers(1, 4))
def test_any_moment_is_itself_again_to_the_second(moment: datetime, tm_format: int) -> None:
    leaf = f.ltime_date(ctx(tm_format=tm_format))
    found = decode(leaf, encode(leaf, moment)).value
    assert found.replace(tzinfo=None) == moment.replace(microsecond=0)
    assert found.tzinfo is (UTC if tm_format > 2 else None)
    assert moment - found.replace(tzinfo=None) < timedelta(seconds=1)


@pytest.mark.parametrize(
    "number,members",
    [
        (0, {"MONTH": 0, "FILLER": 0}),
        (15 << 11 | 3 << 8 | 2 << 4 | 7, {"MONTH": 7, "OFFSET": 2, "WEEKDAY": 3, "DAY": 15}),
        (1 << 11 | 13, {"MONTH": 13, "OFFSET": 0, "WEEKDAY": 0, "DAY": 1}),
        (6 << 8 | 14, {"MONTH": 14, "FILLER_1": 0, "WEEKDAY": 6, "FILLER_2": 0}),
        (5 << 10 | 30 << 4 | 15, {"MONTH": 15, "PERIOD": 30, "DELTA": 5}),
    ],
)
def test_the_month_of_a_recurring_date_says_what_the_other_bits_mean(
    number: int, members: dict[str, int]
) -> None:
    for order in ORDERS:
        leaf = f.rdate(ctx(data_order=order))
        octets = number.to_bytes(2, order)  # type: ignore[arg-type]
        assert decode(leaf, octets) == members and encode(leaf, members) == octets
    with pytest.raises(BadValue, match=r"X\.PERIOD"):
        encode(leaf, {"MONTH": 15, "PERIOD": 64, "DELTA": 0})


@pytest.mark.parametrize(
    "members", [{"ni_format1": 14}, {"ni_format2": 15}, {"tm_format": 5}, {"int_format": 3}]
)
def test_a_reserved_format_is_refused(members: dict[str, int]) -> None:
    with pytest.raises(FormatRefusedError, match=r"ST-00 .*is reserved"):
        DeviceFormat(**members)  # type: ignore[arg-type]


def test_a_general_configuration_that_ends_early_names_the_first_member_that_is_cut() -> None:
    image = bytes(13) + bytes([2, 1, 3, 1, 0, 0]) + bytes(range(10))
    context = Context.from_images({0: image})
    assert context.fmt.dim_std_tbls_used == 2
    layout = layout_for(0, context)
    for octets in range(len(image)):
        with pytest.raises(TruncatedTableError) as caught:
            DeviceFormat.from_table0(image[:octets])
        with pytest.raises(TruncatedTableError) as told:
            layout.decode(image[:octets])
        assert str(caught.value).startswith(f"ST-00 {told.value.path} at octet")
        assert caught.value.offset == told.value.offset


def test_every_member_of_the_general_configuration_has_its_own_place() -> None:
    image = bytes.fromhex("15b1a3 00000000 01 00 141e 0200 020101010304 0180 02 04 08 1000 20")
    assert DeviceFormat.from_table0(image) == DeviceFormat(
        data_order="big",
        char_format=2,
        model_select=1,
        tm_format=1,
        data_access_method=2,
        id_form=1,
        int_format=2,
        ni_format1=3,
        ni_format2=10,
        nameplate_type=1,
        max_proc_parm_length=20,
        max_resp_data_len=30,
        std_version_no=2,
        dim_std_tbls_used=2,
        dim_mfg_tbls_used=1,
        dim_std_proc_used=1,
        dim_mfg_proc_used=1,
        dim_mfg_status_used=3,
        nbr_pending=4,
        std_tbls_used=frozenset((0, 15)),
        mfg_tbls_used=frozenset((1,)),
        std_proc_used=frozenset((2,)),
        mfg_proc_used=frozenset((3,)),
        std_tbls_write=frozenset((4,)),
        mfg_tbls_write=frozenset((5,)),
    )


def test_an_x1_table_that_does_not_decode_fails_where_it_is_asked_for() -> None:
    lists_21 = bytes(13) + bytes([3, 0, 0, 0, 0, 0]) + bytes([1, 0, 1 << 5]) + bytes(3)
    context = Context.from_images({0: lists_21, 21: b"\0"})
    with pytest.raises(TruncatedTableError, match="ST-21"):
        context.table(21)
    with pytest.raises(TruncatedTableError, match="ST-21"):
        layout_for(23, context)


@pytest.mark.parametrize("octets, words", [("0000807f", "inf"), ("000080ff", "-inf")])
def test_an_infinite_float_is_told_as_text_since_json_has_no_such_number(
    octets: str, words: str
) -> None:
    value = decode(f.floating(ctx(), 32), octets)
    assert json.loads(json.dumps(to_json_value(value), allow_nan=False)) == words
    assert encode(f.floating(ctx(), 32), value).hex() == octets


def test_a_rest_takes_no_more_than_its_limit() -> None:
    layout = Layout(2100, "", f.record("A" / f.uint(ctx(), 8), "R" / f.rest(2)))
    assert layout.decode_with_trailing(b"\1ab..") == ({"A": 1, "R": b"ab"}, b"..")
    with pytest.raises(BadValue, match="at most 2"):
        layout.encode({"A": 1, "R": b"abc"})
    with pytest.raises(TableError, match="MT-52 A"):
        layout.encode({"R": b""})


def test_octets_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(BadValue, match=r"MT-52 X at octet 0: 2 octets for a BINARY\(3\) of 3"):
        encode(f.binary(3), b"ab")


def test_sizes_are_known_before_any_octet_is_read() -> None:
    assert f.size_of(f.record("A" / f.array(3, f.uint(ctx(), 24)), "R" / f.rest())) is None
    assert f.size_of(f.array(3, f.rest())) is None
    assert f.unwrap("A" / f.uint(ctx(), 8)).size == 1
