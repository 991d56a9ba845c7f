"""Serves what the network asks: at once what the module knows, the rest by a job at the meter."""

from __future__ import annotations

from functools import partial

from protocols.c1218.steps import ClientLimits
from protocols.psem.codes import ResponseCode
from smartmeter.ssi.authority import Asked
from smartmeter.ssi.meter_side import Jobs, Priority
from smartmeter.ssi.network_side import NetworkSide
from smartmeter.ssi.own_tables import OwnTables


class Serving:
    """Joins the network's requests with the module's tables and the door to the meter's."""

    def __init__(self, tables: OwnTables, network: NetworkSide, door: Jobs) -> None:
        self._tables, self._network, self._door = tables, network, door

    def take(self, request: Asked, now_us: int) -> None:
        """Answer a request now, or let it wait for the meter's optical port."""
        if not self._tables.needs_meter(request.items):
            script = self._tables.serve(request.items, ClientLimits())
            try:
                next(script)
            except StopIteration as stop:
                self.done(request, stop.value, now_us)
            return
        job = partial(self._tables.serve, request.items, served=request.served)
        if not self._door.submit(Priority.REQUEST, job, request, now_us):
            self._refuse(request, ResponseCode.bsy, now_us)

    def done(self, request: Asked, answers: list[bytes], now_us: int) -> None:
        """All services of a request were served."""
        self._network.answer(request, answers, now_us)

    def failed(self, request: Asked, now_us: int) -> None:
        """The meter did not answer: what was served before was, and the rest is not ready."""
        self._refuse(request, ResponseCode.dnr, now_us)

    def _refuse(self, request: Asked, code: ResponseCode, now_us: int) -> None:
        rest = len(request.items) - len(request.served)
        self._network.answer(request, request.served + [bytes([code])] * rest, now_us)
