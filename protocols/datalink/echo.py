"""A filter for probes that give back what was written to them.

An echo begins with EE and has a good checksum: it would be taken for a packet
of the meter.  The filter removes exactly the octets just written, in order;
what comes in between passes.  C12.18 defines no echo.
"""

from __future__ import annotations

#: No more octets are remembered than one packet may have, with room for an ACK.
MAX_EXPECTED = 8200


class EchoFilter:
    """Expects what was written, and takes it out of what is read."""

    def __init__(self) -> None:
        self._expected = b""

    def wrote(self, data: bytes) -> None:
        """Remember octets that have been written."""
        self._expected = (self._expected + data)[-MAX_EXPECTED:]

    def forget(self) -> bool:
        """Expect nothing any more; tell whether some of it had not come back."""
        missing, self._expected = bool(self._expected), b""
        return missing

    def strip(self, data: bytes) -> bytes:
        """Give what is left of octets that were read."""
        if not self._expected:
            return data
        if data.startswith(self._expected):  # the usual case: the whole echo in one read
            rest, self._expected = data[len(self._expected) :], b""
            return rest
        kept, at = bytearray(), 0
        for octet in data:
            if at < len(self._expected) and octet == self._expected[at]:
                at += 1
            else:
                kept.append(octet)
        self._expected = self._expected[at:]
        return bytes(kept)
