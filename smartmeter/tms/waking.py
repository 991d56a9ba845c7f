"""SmartMeters that stand by and are woken by a short message: then they open a socket themselves.

Their numbers come from the shipment file.  A job for one without a connection rings, and asks
again when the SmartMeter has come.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from smartmeter.comms.carrier import Bell
from smartmeter.tms.model import US_PER_S
from smartmeter.tms.shell import Shell
from smartmeter.tms.store.queries import among
from smartmeter.tms.store.sqlite import Store

#: How long a SmartMeter may take to come: a message may lie in the network for a while.
COME_US = 90 * US_PER_S
#: How often one job rings: each is a message that somebody pays.
MAX_RINGS = 2


class Waking:
    """The numbers of those that can be woken, and the head-end's bell once there is one."""

    def __init__(self, store: Store, shell: Shell) -> None:
        self._store, self._shell = store, shell
        self.bell: Bell | None = None
        #: How often it was rung.
        self.rung = 0
        self._numbers: dict[str, str] = {}

    def load(self, esns: Sequence[str] | None = None) -> None:
        """Read the numbers from the store, of some SmartMeters or of all."""
        which, values = among(esns)
        sql = f"SELECT esn, wake_number FROM meters WHERE wake_number != '' AND {which}"
        rows = self._store.read(sql, *values)
        self._numbers.update((row["esn"], row["wake_number"]) for row in rows)

    def ring(self, esn: str, path: Hashable | None) -> bool:
        """Wake a SmartMeter that can be reached by no ``path``, or by a slow one only.

        False when it need not be woken, or cannot be.
        """
        number = self._numbers.get(esn)
        is_near = path is not None and not self._shell.is_slow(path)
        if self.bell is None or number is None or is_near:
            return False
        self.bell.wake(number)
        self.rung += 1
        return True
