"""Mutants that the bench does not catch, each with the reason why that is right."""

_AT_THE_END = "when the packet is given up, the next octets begin anew in either case"

SURVIVORS = {
    "session: (State.BASE, Terminate) is missing": (
        "isss to a Terminate in Base is one of the two answers that sources give (D90)"
    ),
    "parser.feed: len(self._buffer) < HEADER_OCTETS with LtE": (
        "the length is looked at one octet later; no packet is complete before"
    ),
    "parser.feed: without self._buffer.clear()": _AT_THE_END,
    "parser._length_is_fit: 0 < length <= self.max_packet - OVERHEAD_OCTETS with LtE": (
        "a packet of no data is refused one step later, with the same NAK"
    ),
    "link.expire: self._held and now_us >= self._quiet_until_us with Or": (
        "a deadline is asked for only where something is held"
    ),
    "link._repeat: without self._stop_sending()": (
        "the conversation that ends with the last repetition forgets what was sent"
    ),
    "server.expire: without self._heed(event, now_us)": (
        "the traffic time-out of 6 s comes before the last repetition at 8 s"
    ),
    "server._heed: without self._restart_traffic(now_us)": (
        "a request restarts the time-out as well; only one answer of more than 6 s would show it"
    ),
    "link._take_copy: self._current is None and (not packet.is_multi) with Or": (
        "only a copy of Identification is answered anew, and that is one packet"
    ),
    "codec._block_data: len(rest) < at + 3 with LtE": (
        "a Write of no octets is refused in either case"
    ),
    "codec._decode_write: code > 73 with GtE": "49H takes nine indices: no table is so deep",
    "server._dispatch: self.state is State.BASE with IsNot": (
        "Terminate is ok in every state with the default choices"
    ),
    "server._implements: not (kind not in PARTIAL)": (
        "our meter has every way of access, so what it lacks is not asked for"
    ),
    "optical_port.security: not (accepted is None)": (
        "a wrong password is err or isc: meters in the field answer either"
    ),
}
