"""Mutants that the bench does not catch, each with the reason why that is right."""

_AT_THE_END = "when the packet is given up, the next octets begin anew in either case"
_BOTH_NAKED = "a packet cut in its header gets the NAK of one cut in its data, as is the default"
_KEPT_LATER = (
    "the count that a right password clears is kept with the session's first event, too; the "
    "bench takes no power away in between"
)

SURVIVORS = {
    "session: (State.BASE, Terminate) is missing": (
        "isss to a Terminate in Base is one of the two answers that sources give (D90)"
    ),
    "parser.expire: not (len(self._buffer) < HEADER_OCTETS)": _BOTH_NAKED,
    "parser.expire: len(self._buffer) < HEADER_OCTETS with LtE": _BOTH_NAKED,
    "parser.feed: len(self._buffer) < HEADER_OCTETS with LtE": (
        "the length is looked at one octet later; no packet is complete before"
    ),
    "parser.feed: without self._buffer.clear()": _AT_THE_END,
    "parser._length_is_fit: 0 < length <= self.max_packet - OVERHEAD_OCTETS with LtE": (
        "a packet of no data is refused one step later, with the same NAK"
    ),
    "outgoing.expire: self._held and now_us >= self._held_until_us with Or": (
        "a deadline is asked for only where something is held"
    ),
    "link._repeat: without self._stop_sending()": (
        "the conversation that ends with the last repetition forgets what was sent"
    ),
    "server.expire: without self._heed(event, now_us)": (
        "the traffic time-out of 6 s comes before the last repetition at 8 s"
    ),
    "codec._block_data: len(rest) < at + 3 with LtE": (
        "a Write of no octets is refused in either case"
    ),
    "server._dispatch: self.state is State.BASE with IsNot": (
        "Terminate is ok in every state with the default choices"
    ),
    "server._serve: data[0] <= 31 with Lt": (
        "1FH is no response code, and only a device that ends sessions itself looks at one"
    ),
    "server._leave: without self._traffic_us = self._options.traffic_us": (
        "it differs only where a Wait lasts until the next, which is not the default"
    ),
    "server._read: offset + count > len(data) and "
    "(not self._options.choices.read_past_end) with Or": (
        "onp to a read that crosses the end is one of the two answers that D63 allows"
    ),
    "server._read: offset + count > len(data) with GtE": (
        "it is looked at only where a read that crosses the end is refused, not the default"
    ),
    "server._apply_after_delivery: self._wait_us and acknowledged and "
    "(self._traffic_due_us is not None) with Or": (
        "the packet that led here has restarted the time-out already; in Base it ends nothing"
    ),
    "optical_port.security: not (failures)": _KEPT_LATER,
    "optical_port.security: without self._meter.keep_access()": _KEPT_LATER,
    "optical_port.write: without raise Refused(ResponseCode.onp)": (
        "the meter behind the port refuses an image of another size with onp as well"
    ),
    "optical_port.default_table: not (self._meter.has(REGISTERS))": (
        "which table the default read gives is the device's own choice"
    ),
}
