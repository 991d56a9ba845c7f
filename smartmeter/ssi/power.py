"""What the module does when its mains go and come back.

The outage detector says what happened; here it becomes durable and is told.
"""

from __future__ import annotations

from smartmeter.ssi.network_side import NetworkSide
from smartmeter.ssi.outage import LastGasp, Momentary, OutageDetector, Restored
from smartmeter.ssi.reporter import Reporter


class Power:
    """Acts on what the outage detector finds."""

    def __init__(self, outage: OutageDetector, reporter: Reporter, network: NetworkSide) -> None:
        self._outage, self._reporter, self._network = outage, reporter, network

    def lost(self, now_us: int) -> None:
        """The mains are lost: when that was is durable at once, from the hold-up energy."""
        self._outage.lost(now_us)
        self._reporter.keep()

    def back(self, now_us: int, since_us: int | None = None) -> None:
        """The mains are there, since ``since_us`` if not just now; also told at a start."""
        self._network.mains_back()
        event = self._outage.returned(now_us if since_us is None else since_us)
        if isinstance(event, Restored):
            self._reporter.outage(event.number, event.start_s, event.end_s, now_us)
            self._network.poll(now_us)
        elif isinstance(event, Momentary):
            self._reporter.keep()

    def expire(self, now_us: int) -> bool:
        """Send the last gasp when it is due; False when the hold-up energy is used up."""
        lasts = True
        for event in self._outage.expire(now_us):
            if isinstance(event, LastGasp):
                report = self._reporter.outage(event.number, event.start_s, None, now_us)
                if report is not None:
                    self._network.last_gasp(report, event.waits_us, now_us)
            else:
                lasts = False
        return lasts
