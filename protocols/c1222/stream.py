"""APDUs out of a TCP stream: back to back, found by their BER length (RFC 6142)."""

from __future__ import annotations

from protocols.c1222.ber import take_length
from protocols.c1222.envelope import APDU_TAG
from protocols.c1222.errors import ApduRejected

DEFAULT_LIMIT = 32_767
_TAG = bytes([APDU_TAG])


class ApduStream:
    """Cuts a stream into APDUs.

    After ApduRejected the connection must be closed.  What follows whole APDUs in the same octets
    does not take them away: they are given, and ``check`` raises.
    """

    __slots__ = ("_buffer", "_fault", "_limit")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._fault: ApduRejected | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets in any split; give the APDUs that are complete.

        ApduRejected for what cannot be recovered: another octet than 60 at the
        start, an indefinite length, or a size above the limit.
        """
        self.check()
        if not self._buffer and data[:1] == _TAG and self._size(data[:5]) == len(data):
            return [data]  # most reads bring exactly one message
        self._buffer += data
        found: list[bytes] = []
        try:
            while (size := self._size(bytes(self._buffer[:5]))) and size <= len(self._buffer):
                found.append(bytes(self._buffer[:size]))
                del self._buffer[:size]
        except ApduRejected as error:
            self._fault = error
        if not found:
            self.check()
        return found

    def check(self) -> None:
        """Raise ApduRejected for what cannot be recovered behind the APDUs that were given."""
        if self._fault is not None:
            raise self._fault

    @property
    def pending(self) -> int:
        """Give how many octets of a message that is not whole yet are kept."""
        return len(self._buffer)

    def _size(self, head: bytes) -> int | None:
        """Give the size of the message that begins so; None when more octets tell it."""
        if not head:
            return None
        if head[0] != APDU_TAG:
            raise ApduRejected("not-an-apdu")
        if len(head) < 2:
            return None
        extra = head[1] & 0x7F if head[1] & 0x80 else 0
        if extra and extra <= 3 and len(head) < 2 + extra:
            return None
        length, begin = take_length(head, 1)
        if begin + length > self._limit:
            raise ApduRejected("length-overrun", f"{begin + length} octets, limit {self._limit}")
        return begin + length
