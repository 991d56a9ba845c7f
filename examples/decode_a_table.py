"""Decode a table of a real meter (a Hexing HXS300) and say where a field lies in it."""

from ansi_tables import Snapshot

meter = Snapshot(
    {
        0: bytes.fromhex(
            "020a884845434f0200191901000a0202030100efbdf1df031efcf0c1"
            "1fc203c807000000e0a0400002244000000ac003"
        ),
        21: bytes.fromhex("0f00010a0a0001040a16"),
        52: bytes.fromhex("0d050314382b04"),
    }
)
print("clock of the meter:", meter[52].CLOCK_CALENDAR.value)
offset, width = meter.layout(23).field("TIER_DATA_BLOCK.3.SUMMATIONS.0")
print(f"first summation of tier 3: {width} octets from octet {offset} of ST-23 on")
