"""A module whose reports are kept on the board before they may leave it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from smartmeter.base.errors import StorageError
from smartmeter.comms.way import PLAIN_WAY, Need, Way
from smartmeter.gateway.readings import Readings
from smartmeter.ssi.module import Module


class TappedModule:
    """A node for ``NodeHost``: the module, and the readings that all of its reports go into first.

    Also the place where a storage fault is caught: from then on it does
    nothing, and ``failed`` is told once.
    """

    def __init__(
        self, module: Module, readings: Readings, failed: Callable[[StorageError], None]
    ) -> None:
        self._module, self._readings, self._failed = module, readings, failed
        self._stopped = False
        epoch, self._taken = readings.taken(module.parts.esn)
        outbox = module.parts.outbox
        # Epochs are times: one before that of the readings was over already.
        if outbox.epoch and (outbox.epoch, outbox.next_number) <= (epoch, self._taken):
            module.parts.fell_back()  # and would give other reports the numbers of those
        if outbox.epoch != epoch:
            # Another module's, or this one's, which begins an epoch where its medium fell back to.
            anew = not outbox.epoch
            self._taken = min(self._taken, outbox.next_number - 1) if anew else 0
        #: What the readings know of the meter, whose tables the module tells of only once: they
        #: may be younger than that.
        self._context: int | None = None
        self._understands = readings.knows(module.parts.esn)

    def _do(self, action: Callable[[], None]) -> None:
        if self._stopped:
            return
        try:
            action()
            self._take()
        except StorageError as error:
            self._stopped = True
            self._failed(error)

    def _take(self) -> None:
        outbox, meter = self._module.parts.outbox, self._module.meter
        if meter is not None and meter.id != self._context:
            self._readings.learn(self._module.parts.esn, meter.id, meter.images)
            self._context, self._understands = meter.id, True
        fresh = outbox.after(self._taken)
        if fresh and self._understands:
            reports = [(entry.number, entry.services) for entry in fresh]
            self._readings.keep(self._module.parts.esn, outbox.epoch, reports)
            self._taken = fresh[-1].number

    def receive(self, path: Hashable, octets: bytes, now_us: int) -> None:
        """Take one APDU from a bearer."""
        self._do(lambda: self._module.receive(path, octets, now_us))

    def outgoing(self) -> list[tuple[Hashable, bytes]]:
        """Give the APDUs to send, each with its path; all that they carry is kept already."""
        self._do(lambda: None)
        waits = self._stopped or self._module.parts.outbox.after(self._taken)
        return [] if waits else self._module.outgoing()

    def bearer_up(self, path: Hashable, now_us: int, way: Way = PLAIN_WAY) -> None:
        """A bearer can carry APDUs now."""
        self._do(lambda: self._module.bearer_up(path, now_us, way))

    def bearer_down(self, path: Hashable, now_us: int) -> None:
        """A bearer has gone."""
        self._do(lambda: self._module.bearer_down(path, now_us))

    def need(self, now_us: int) -> Need:
        """Tell what waits for a bearer."""
        return Need.NOTHING if self._stopped else self._module.parts.network.need(now_us)

    def longest(self, only_urgent: bool, most_octets: int) -> int:
        """Give what a bearer must carry for the longest report that waits and fits."""
        return 0 if self._stopped else self._module.parts.network.longest(only_urgent, most_octets)

    def doubted(self) -> list[Hashable]:
        """Give the bearers over which nothing came back."""
        return self._module.parts.network.doubted()

    def mains(self, on: bool, now_us: int) -> None:
        """The mains came or went."""
        self._do(lambda: self._module.mains(on, now_us))

    def expire(self, now_us: int) -> None:
        """Do what is due."""
        self._do(lambda: self._module.expire(now_us))

    def deadline_us(self) -> int | None:
        """Give when ``expire`` is wanted."""
        return None if self._stopped else self._module.deadline_us()
