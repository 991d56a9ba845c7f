"""The checksum of C12.18 packets: CRC-16/X-25, by crcmod's C extension or the standard library.

Polynomial 1021H reflected, initial value FFFFH, inverted; sent low octet
first.  crcmod without its C extension takes about a quarter of a microsecond
an octet on a desktop and ten times that on a small board, so it is replaced
there: ``binascii.crc_hqx`` computes the same polynomial unreflected, in C;
reflecting the octets before and the result after makes it this one.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from importlib.util import find_spec

from crcmod.predefined import mkPredefinedCrcFun

_REFLECTED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def crc_hqx_reflected(data: bytes) -> int:
    """Give the checksum by the standard library alone."""
    register = binascii.crc_hqx(data.translate(_REFLECTED), 0xFFFF)
    return (_REFLECTED[register & 0xFF] << 8 | _REFLECTED[register >> 8]) ^ 0xFFFF


def _chosen() -> Callable[[bytes], int]:
    if find_spec("crcmod._crcfunext") is not None:
        compiled: Callable[[bytes], int] = mkPredefinedCrcFun("x-25")
        return compiled
    return crc_hqx_reflected


#: Give the checksum of a packet's octets from EE to the last data octet.
crc16 = _chosen()
