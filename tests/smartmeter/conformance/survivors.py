"""Mutants that the bench does not catch, each with the reason why that is right."""

_SAME_NAK = "cut short, damaged or too long: the device answers each with the same NAK"
_WHO_SPEAKS = "whether a time-out runs on while a packet comes in is told by no source"

SURVIVORS = {
    "session: (State.BASE, Terminate) is missing": (
        "isss to a Terminate in Base is one of the two answers that sources give (D90)"
    ),
    "parser.expire: not (self._flush_from_us is not None)": _SAME_NAK,
    "parser.expire: self._flush_from_us is not None with Is": _SAME_NAK,
    "parser.expire: not (len(self._buffer) < HEADER_OCTETS)": _SAME_NAK,
    "parser.expire: len(self._buffer) < HEADER_OCTETS with LtE": _SAME_NAK,
    "parser.feed: len(self._buffer) < HEADER_OCTETS with LtE": (
        "the length is looked at one octet later; no packet is complete before"
    ),
    "parser.inside: bool(self._buffer) or self._flush_from_us is not None with And": _WHO_SPEAKS,
}
