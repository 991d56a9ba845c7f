"""The checksum of C12.18 packets: CRC-16/X-25, by crcmod.

Polynomial 1021H reflected, initial value FFFFH, inverted; sent low octet
first.  crcmod's pure-Python form takes about a microsecond an octet, which is
a thousandth of the line time at 9600 baud, so one code serves with and
without its C extension.
"""

from __future__ import annotations

from crcmod.predefined import mkPredefinedCrcFun

_x25 = mkPredefinedCrcFun("x-25")


def crc16(data: bytes) -> int:
    """Give the checksum of a packet's octets from EE to the last data octet.

    >>> hex(crc16(b"123456789"))
    '0x906e'
    """
    return int(_x25(data))
