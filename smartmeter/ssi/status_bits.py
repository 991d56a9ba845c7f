"""The status bits of the meter (ST-03): each that was set is told, unless its log tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansi_tables.ssi_tables import BLANK_MONITOR, AlarmSource
from protocols.c1218.steps import ClientLimits, Script
from smartmeter.ssi.alarms import EVENT_OF_STATUS
from smartmeter.ssi.log_reading import EVENT_LOG, read_logged
from smartmeter.ssi.memory import Seen
from smartmeter.ssi.meter_data import MeterContext
from smartmeter.ssi.outage import OutageDetector
from smartmeter.ssi.reporter import Reporter
from smartmeter.ssi.table_monitor import Span

STATUS_TABLE, STATUS_MONITOR = 3, 254
#: The first octet of ST-03 is the mode; the status octets follow.
STATUS_OFFSET = 1
#: POWER_FAILURE_FLAG of ED_STD_STATUS1.
POWER_FAILURE_BIT = 11
#: ED_STD_STATUS1 is two octets in the order of ST-00, ED_STD_STATUS2 one; then the manufacturer's.
STANDARD_OCTETS, MANUFACTURER_BIT = 3, 32


class StatusBits:
    """Keeps the octets that were seen last in the module's memory, which others commit."""

    def __init__(self, memory: Seen, reporter: Reporter, outage: OutageDetector) -> None:
        self._memory, self._reporter, self._outage = memory, reporter, outage
        #: The standard events that the meter's log takes; None: it does not tell.
        self._logged: frozenset[int] | None = None

    def prepare(self, read: Sequence[tuple[Span, bytes]], limits: ClientLimits) -> Script[None]:
        """Before bits that have changed are told: read which events the meter's log tells of."""
        meter, known = self._reporter.meter, self._memory.status_bits
        if meter is not None and any(
            span.table == STATUS_TABLE and octets.hex() != known for span, octets in read
        ):
            self._logged = yield from read_logged(meter, limits)

    def begin(self, width: int) -> None:
        """Before the first look, or the first after a time without: let that be a change.

        What is set by then differs from what is known, which is nothing before the first.
        """
        number, known = str(STATUS_MONITOR), self._memory.status_bits
        if known is None or number not in self._memory.watch:
            self._memory.watch[number] = [False, known or bytes(width).hex()]

    def seen(self, octets: bytes, now_us: int) -> None:
        """Tell of bits that were set since the last look; the first tells what is set already."""
        meter, memory = self._reporter.meter, self._memory
        assert meter is not None
        order = meter.context.fmt.data_order
        before = _bits(bytes.fromhex(memory.status_bits or ""), order)
        memory.status_bits = octets.hex()
        for bit in sorted(_bits(octets, order) - before):
            is_logged = self._is_logged(EVENT_OF_STATUS.get(bit))
            if bit == POWER_FAILURE_BIT and self._outage_is_told(is_logged, now_us):
                continue
            disposition = self._reporter.alarms.status_bit(bit, is_logged)
            text = f"status bit {bit} of ST-03 was set"
            self._reporter.raise_(AlarmSource.METER_STATUS, bit, disposition, text, now_us)

    def _is_logged(self, event: int | None) -> bool:
        """Tell whether the meter's log tells of a standard event."""
        meter = self._reporter.meter
        if meter is None or EVENT_LOG not in meter.context.fmt.std_tbls_used:
            return False
        return self._logged is None or event in self._logged

    def _outage_is_told(self, logs: bool, now_us: int) -> bool:
        """Tell whether the power failure that ST-03 shows is an outage that is told as one.

        The meter's log tells of each; without a log it is the one that the mains sense has seen.
        """
        outage = self._outage
        return outage.enabled and (logs or outage.knows(self._reporter.utc_s(now_us)))


def status_monitor(meter: MeterContext) -> dict[str, Any]:
    """Give what is special about the monitor of the status octets."""
    width = STANDARD_OCTETS + meter.context.fmt.dim_mfg_status_used
    where = {"TABLE": STATUS_TABLE, "OFFSET": STATUS_OFFSET, "WIDTH": width}
    return {**BLANK_MONITOR, **where, "MONITOR_NBR": STATUS_MONITOR}


def _bits(octets: bytes, order: Any) -> set[int]:
    """Give the bits of the status octets by their number in ``AlarmSource.METER_STATUS``."""
    first = int.from_bytes(octets[:2], order)
    second = int.from_bytes(octets[2:3], "little") << 16
    # A SET has bit k in octet k // 8, whatever the data order.
    manufacturer = int.from_bytes(octets[STANDARD_OCTETS:], "little") << MANUFACTURER_BIT
    word = first | second | manufacturer
    return {bit for bit in range(word.bit_length()) if word >> bit & 1}
