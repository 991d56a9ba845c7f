"""The module's registration with the TMS: how it is asked for, whether it holds, and until when."""

from __future__ import annotations

from dataclasses import replace

from protocols.c1222.registration import (
    OVER_TCP,
    OVER_UDP,
    ConnectionType,
    Register,
    serial_uid,
)
from protocols.c1222.services import encode_service
from smartmeter.base.clock import US_PER_S
from smartmeter.ssi.factory import Factory


class OwnRegistration:
    """Does not hold until the TMS has taken the module in."""

    def __init__(self, factory: Factory) -> None:
        asked = Register(factory.title, serial_uid(factory.esn))
        # Made once: a module without a network asks every minute.
        self._requests = {
            kind: encode_service(replace(asked, connection_type=kind))
            for kind in (OVER_TCP, OVER_UDP)
        }
        self.holds = False
        self._since_us = 0
        #: After how long it is asked for anew: by the configuration, and as the TMS grants it.
        self._period_us = 3600 * US_PER_S
        self._granted_us: int | None = None

    def request(self, connection_type: ConnectionType) -> bytes:
        """Give the service that asks for it over such a way."""
        return self._requests[connection_type]

    def configure(self, period_s: int) -> None:
        """Take over after how long it is asked for anew, or sooner where the TMS grants less."""
        self._period_us = period_s * US_PER_S

    def taken_in(self, period_s: int, now_us: int) -> None:
        """The TMS has registered the module for ``period_s``; 0: for ever."""
        self.holds, self._since_us = True, now_us
        self._granted_us = period_s * US_PER_S // 2 or None

    @property
    def lapses_us(self) -> int:
        """Give when it is to be asked for anew, if it holds."""
        period_us = self._period_us
        return self._since_us + min(period_us, self._granted_us or period_us)

    def is_due(self, now_us: int) -> bool:
        """Tell whether it is to be asked for."""
        return now_us >= self.lapses_us or not self.holds
