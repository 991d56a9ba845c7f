"""Termineter reads the same tables: an independent hand, with faults that are known.

Where its reader is right it must agree with ours on any device.  Where it is
wrong a test holds its answer beside ours, so that nobody mends ours after it.
"""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from c1218.errors import C1218ReadTableError
from c1219.access.general import C1219GeneralAccess
from c1219.access.local_display import C1219LocalDisplayAccess
from c1219.access.log import C1219LogAccess
from c1219.access.security import C1219SecurityAccess
from c1219.access.telephone import C1219TelephoneAccess
from c1219.data import C1219ProcedureInit, format_ltime
from hypothesis import assume, given
from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat, Snapshot, layout_for
from ansi_tables.fields import ltime_date
from ansi_tables.procedures import Initiate, encode_initiate
from tests.ansi_tables.devices import few, images

QUICK = few(10)
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
#: Any octet to a letter.
PRINTABLE = bytes(ord("A") + octet % 26 for octet in range(256))
MOMENT = datetime(2012, 11, 8, 23, 1, 15, tzinfo=UTC)


class Connection:
    """What Termineter's readers ask of a connection: tables of a snapshot."""

    def __init__(self, meter: Snapshot) -> None:
        self.meter = meter
        self.c1219_endian = ">" if meter.context.fmt.data_order == "big" else "<"

    def get_table_data(self, number: int) -> bytes:
        """Give a table, or the error that a refusing meter causes."""
        if number not in self.meter.images:
            raise C1218ReadTableError(f"table {number}", 0)
        return self.meter.images[number]


@st.composite
def meters(draw: st.DrawFn, *numbers: int) -> Snapshot:
    """A drawn device with drawn contents of some tables; texts are printable."""
    found = draw(images())
    for number in numbers:
        layout = layout_for(number, Context.from_images(found))
        assert layout.size is not None
        octets = bytearray(draw(st.binary(min_size=layout.size, max_size=layout.size)))
        for field in layout.listing():
            if field.type_name.startswith(("STRING", "BCD")):
                end = field.offset + field.width
                letters = octets[field.offset : end].translate(PRINTABLE)
                octets[field.offset : end] = letters
        found[number] = bytes(octets)
    return Snapshot(found)


def without_every_eighth(members: frozenset[int]) -> list[int]:
    """Termineter's sets: it looks at seven bits of each octet."""
    return sorted(member for member in members if member % 8 != 7)


@QUICK
@given(meters(1, 3, 5))
def test_identity_mode_and_sets_agree_but_for_every_eighth_bit(meter: Snapshot) -> None:
    fmt = meter.context.fmt
    assume(fmt.char_format <= 3 and len(meter.images[3]) >= 5)
    theirs = C1219GeneralAccess(Connection(meter))
    made, status = meter[1], meter[3]
    assert theirs.manufacturer == made.MANUFACTURER and theirs.ed_model == made.ED_MODEL
    assert (theirs.hw_version_no, theirs.fw_revision_no) == (
        made.HW_VERSION_NUMBER,
        made.FW_REVISION_NUMBER,
    )
    if not fmt.id_form:
        assert theirs.mfg_serial_no == made.MFG_SERIAL_NUMBER
        assert theirs.device_id == meter[5].IDENTIFICATION
    layout = meter.layout(3)
    assert theirs.ed_mode == layout.encode(status)[0]
    word = struct.unpack(Connection(meter).c1219_endian + "H", layout.encode(status)[1:3])[0]
    assert theirs.std_status == word
    assert word >> 8 & 1 == status.ED_STD_STATUS1.LOW_BATTERY_FLAG
    assert theirs.std_tbls_used == without_every_eighth(meter[0].STD_TBLS_USED)
    assert theirs.mfg_proc_used == without_every_eighth(meter[0].MFG_PROC_USED)
    assert theirs.std_version_no == meter[0].STD_VERSION_NO


def test_termineter_misses_every_eighth_table_of_a_real_meter() -> None:
    """STD_TBLS_USED of a Hexing meter begins EF BD F1: tables 7, 15 and 23 are there."""
    st00 = bytes.fromhex("020a88484543 4f02001919 01000a0202030100 efbdf1df031efcf0c11f")
    st00 += bytes(2 + 2 + 3 + 10 + 2)
    meter = Snapshot({0: st00, 1: b"HX  MODEL   ".ljust(32)})
    theirs = C1219GeneralAccess(Connection(meter)).std_tbls_used
    assert {7, 15, 23} <= meter[0].STD_TBLS_USED
    assert not {7, 15, 23} & set(theirs)


@QUICK
@given(meters(32, 33))
def test_display_lists_agree_in_little_endian(meter: Snapshot) -> None:
    assume(meter.context.uses(31) and meter.context.fmt.data_order == "little")
    theirs = C1219LocalDisplayAccess(Connection(meter))
    dims, lists = meter[31], meter[33]
    assert theirs.nbr_disp_sources is None, "its public properties are never set"
    assert theirs._nbr_disp_sources == dims.NBR_DISP_SOURCES
    assert theirs._nbr_sec_disp_lists == dims.NBR_SEC_DISP_LISTS
    assert theirs._hold_time_flag == bool(dims.DISPLAY_CTRL.HOLD_TIME_FLAG)
    ours = [
        (
            item.DISP_SCROLL1.ON_TIME,
            item.DISP_SCROLL1.OFF_TIME,
            item.DISP_SCROLL2.HOLD_TIME,
            item.DISP_SCROLL2.DEFAULT_LIST,
            item.NBR_LIST_ITEMS,
        )
        for item in lists.PRI_DISP_LIST
    ]
    assert [tuple(item) for item in theirs.pri_disp_list] == ours
    assert list(theirs.pri_disp_sources) == lists.PRI_DISP_SOURCES


def test_termineter_reads_the_display_of_a_big_endian_meter_as_little_endian() -> None:
    fmt = DeviceFormat(data_order="big")
    image = bytes.fromhex("00 0001 02 0000 00 0000 00")
    ours = layout_for(31, Context(fmt)).decode(image)
    assert ours.NBR_DISP_SOURCES == 1
    assert struct.unpack("<BHBHBHB", image)[1] == 256, "its format string, whatever ST-00 says"


@QUICK
@given(meters(42, 44, 45))
def test_passwords_permissions_and_keys_agree(meter: Snapshot) -> None:
    assume(meter.context.uses(41))
    theirs = C1219SecurityAccess(Connection(meter))
    ours = [
        {
            "idx": index,
            "password": entry.PASSWORD,
            "groups": sum(flag << k for k, flag in enumerate(entry.ACCESS_PERMISSIONS.values())),
        }
        for index, entry in enumerate(meter[42].SECURITY_ENTRIES)
    ]
    assert list(theirs.passwords.values()) == ours
    assert list(theirs.keys.values()) == [entry.KEY for entry in meter[45].KEY_ENTRIES]
    for entry in meter[44].ACCESS_CONTROL:
        chosen = entry.ACCESS_TABLE_DEF
        found = theirs.procedure_permissions if chosen.PROC_FLAG else theirs.table_permissions
        assert chosen.TBL_PROC_NBR in found
    assert theirs.nbr_perm_used == meter[41].NBR_PERM_USED


def test_termineter_keeps_one_permission_for_a_standard_and_a_manufacturer_table() -> None:
    meter = Snapshot(
        {
            0: bytes.fromhex("020288000000000200000001000000000000 00".replace(" ", "")),
            41: bytes.fromhex("00000000 0200"),
            42: b"",
            44: bytes.fromhex("0500 01 00 0508 02 00"),
        }
    )
    theirs = C1219SecurityAccess(Connection(meter)).table_permissions
    assert len(theirs) == 1 and len(meter[44].ACCESS_CONTROL) == 2


@QUICK
@given(meters(74))
def test_history_entries_agree(meter: Snapshot) -> None:
    fmt = meter.context.fmt
    assume(meter.context.uses(71) and fmt.tm_format in (2, 3, 4))
    if fmt.std_version_no > 1:
        assume(len(meter.images[71]) == 12)
    theirs = C1219LogAccess(Connection(meter))
    entries = meter[74].ENTRIES
    assert theirs.nbr_event_entries == meter[71].NBR_EVENT_ENTRIES
    assert len(theirs.logs) == len(entries)
    for their, entry in zip(theirs.logs, entries, strict=True):
        code = entry.HISTORY_CODE
        assert their["User ID"] == entry.USER_ID and their["Arguments"] == entry.HISTORY_ARGUMENT
        assert their["Procedure Number"] == code.TBL_PROC_NBR
        assert their["Std vs Mfg"] == bool(code.STD_VS_MFG_FLAG)
        assert their.get("Event Number") == entry.get("EVENT_NUMBER")
        assert their.get("History Sequence Number") == entry.get("HISTORY_SEQ_NBR")


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2089, 12, 31)), st.sampled_from(("little", "big"))
)
def test_times_of_separate_octets_agree(moment: Any, order: Any) -> None:
    leaf = ltime_date(Context(DeviceFormat(data_order=order)))
    octets = leaf.encode(moment)
    value = leaf.decode(octets).value
    month = MONTHS.split()[value.month - 1]
    text = f"{month} {value.day} {value.year} {value.hour}:{value.minute}:{value.second}"
    assert format_ltime("<", 2, octets) == text


@pytest.mark.parametrize("tm_format", [3, 4])
def test_termineter_loses_the_month_of_a_counted_time(tm_format: int) -> None:
    """It looks the month up by a text where its list has numbers."""
    leaf = ltime_date(Context(DeviceFormat(tm_format=tm_format)))
    raw = leaf.encode(MOMENT)
    assert leaf.decode(raw).value == MOMENT
    assert format_ltime("<", tm_format, raw) == "UNKNOWN 8 2012 23:1:15"


def test_termineter_reads_bcd_times_as_plain_octets() -> None:
    raw = bytes.fromhex("121108230115")
    value = ltime_date(Context(DeviceFormat(tm_format=1))).decode(raw).value
    assert (value.year, value.day) == (2012, 8)
    assert "2018" in format_ltime("<", 1, raw), "12h read as 18"


def test_termineter_cannot_read_the_telephone_tables_at_all() -> None:
    """It compares octets with a number; and it takes BIT_RATE from octet 1, which is a count."""
    st00 = bytes.fromhex("02028800000000020000000100000000000000")
    st91 = bytes([0x08, *bytes(13)])
    meter = Snapshot({0: st00, 91: st91, 92: bytes.fromhex("0180250000"), 93: bytes(1)})
    meter.images |= {94: b"", 95: bytes(4), 97: b""}
    with pytest.raises(TypeError):
        C1219TelephoneAccess(Connection(meter))
    assert meter[91].TELEPHONE_FLAGS.BIT_RATE == 1 and meter[92].BIT_RATE == 9600
    assert st91[1] >> 3 & 3 == 0


@given(
    st.integers(0, 2047),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 255),
    st.binary(max_size=9),
    st.sampled_from(("little", "big")),
)
def test_calls_of_procedures_are_the_same_octets(
    number: int, own: bool, selector: int, sequence: int, parameters: bytes, order: Any
) -> None:
    assume(own or number > 32)
    mark = "<" if order == "little" else ">"
    theirs = C1219ProcedureInit(mark, number, own, selector, sequence, parameters).build()
    ours = Initiate(number, sequence, parameters, own, selector)
    assert encode_initiate(ours, Context(DeviceFormat(data_order=order))) == theirs
