"""A session that another's client had with a real meter, and ours has in the same octets.

A NES 83334 of the OSGP family, as its owner tells it in a public repository (themeterreader/ir-eye,
README of January 2025).  Serial number and password are blanked there, so these two packets have
their checksums anew; all others are as they passed the line.  Our client logs on as that one did.
"""

import json

from protocols.c1218.scripts import LogonSettings
from protocols.datalink.packet import Packet
from protocols.psem.identification import parse_identification
from protocols.transports.pump import MeterPort
from protocols.transports.recording import ReplayPort

PASSWORD = b"Q76747b437bRebbAbq42"
#: A list of features without its end, whose device identity is longer than it says.
IDENTIFICATION = bytes.fromhex("00 001000 070f11") + b"10233023".ljust(30)
EXCHANGES = [
    ("ee0000000001201310", Packet(IDENTIFICATION).encode().hex()),
    ("ee002000000d500063666978656475736572208e11", "ee0020000001008051"),
    (Packet(b"\x51" + PASSWORD).encode().hex(), "ee0000000001001131"),
    ("ee00200000083f0017000000000803f2", "ee002000000c000008fb1304024d891a00fc92f2"),
    (
        "ee00000000083f001c000000002894d5",
        "ee000000002c00002800000000e7000000000000004700000056020000bc020000c1020000"
        "e0870300b18e0300d5840300f1950e",
    ),
    ("ee0020000001521720", "ee0020000001008051"),
    ("ee0000000001219a01", "ee0000000001001131"),
]


def test_a_meter_of_the_osgp_family_is_read_as_another_client_read_it() -> None:
    lines = []
    for asked, answered in EXCHANGES:
        for receiver, octets in (("meter", asked), ("client", f"06{answered}"), ("meter", "06")):
            lines.append(json.dumps({"us": 0, "to": receiver, "hex": octets}))
    settings = LogonSettings(99, b"fixeduser", PASSWORD, negotiate=False)
    with MeterPort(ReplayPort(lines), settings) as meter:
        assert meter.opened is not None and meter.opened.password_accepted
        who = parse_identification(meter.opened.identification)
        energy, present = meter.read_part(23, 0, 8), meter.read_part(28, 0, 40)
    assert (who.standard, who.version, who.ended) == ("C12.18", 16, False)
    # What the owner's program printed of these octets: 33,821.691 kWh in, 231.392 V in phase 1.
    assert int.from_bytes(energy[:4], "little") == 33_821_691
    assert int.from_bytes(present[28:32], "little") == 231_392
