"""What follows from a SmartMeter's report when it is stored for the first time."""

from __future__ import annotations

from functools import partial

from ansi_tables.ssi_tables import AlarmSource, Command, ModuleAlarm, SsiTable
from smartmeter.base.clock import Calendar
from smartmeter.comms.stamps import stamp_window_s
from smartmeter.tms import exchanges
from smartmeter.tms.arrivals import ReportArrived
from smartmeter.tms.exchanges import Exchange
from smartmeter.tms.lost_data import LostData
from smartmeter.tms.meter_contexts import MeterContexts
from smartmeter.tms.model import Kind
from smartmeter.tms.orders import Orders
from smartmeter.tms.provisioning import Provisioning
from smartmeter.tms.silence import SilenceWatch
from smartmeter.tms.standing import Standing
from smartmeter.tms.store.records import Part


class ReportEffects:
    """Tells each part of the head-end what a report shows, and asks for what it lacks."""

    def __init__(
        self,
        calendar: Calendar,
        silence: SilenceWatch,
        provisioning: Provisioning,
        standing: Standing,
        contexts: MeterContexts,
        orders: Orders,
        lost: LostData,
    ) -> None:
        self._calendar, self._silence, self._provisioning = calendar, silence, provisioning
        self._standing, self._contexts, self._orders, self._lost = standing, contexts, orders, lost

    def follow(self, report: ReportArrived, utc_s: int, now_us: int) -> None:
        """Act on a report that is durable.

        A module that believed a wrong clock may have dated it years ahead; that shows life
        now, and excuses no silence to come.
        """
        esn, header, parts = report.esn, report.header, report.parts
        version = header["CONFIG_VERSION"]
        if any(map(_tells_of_upgrade, parts)):
            self._provisioning.forget(esn)  # another version may take what the one before refused
        keeps = self._provisioning.keeps(esn, version, utc_s)
        latest_s = utc_s + stamp_window_s(self._calendar)
        due_s, time_s = (min(header[name], latest_s) for name in ("DUE_TIME", "TIME"))
        self._silence.reported(esn, header["SCHEDULE_NBR"], due_s, time_s, utc_s)
        if any(part.ssi is SsiTable.OUTAGE_RECORD for part in parts):
            self._standing.outage_told(esn)
        else:
            self._standing.reported(esn, is_due=header["DUE_TIME"] > 0)
        if not keeps:
            self._provisioning.keeps_to_another(esn, version, utc_s, now_us)
        if not self._contexts.knows(esn, header["CONTEXT_ID"]):
            self._orders.ask(esn, Kind.CONTEXT, partial(_command, code=Command.SEND_CONTEXT))
        self._lost.reported(esn, header, parts)


def _tells_of_upgrade(part: Part) -> bool:
    kind = (AlarmSource.MODULE, ModuleAlarm.UPGRADED)
    return part.ssi is SsiTable.ALARM and (part.value["SOURCE"], part.value["CODE"]) == kind


def _command(base: int, code: Command) -> Exchange[None]:
    yield [exchanges.command(base, code)]
