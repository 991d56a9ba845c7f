"""What is ordered of SmartMeters, by people and the TMS itself: each order is a job in the store.

A job is durable before anything goes out for it, and so is its end when a person cancels it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from smartmeter.base.clock import DAY_S, US_PER_S, Calendar
from smartmeter.base.errors import SettingsError
from smartmeter.tms import exchanges, key_changes, upgrades
from smartmeter.tms.collector import Collector
from smartmeter.tms.exchanges import Exchange, ExchangeRefused
from smartmeter.tms.jobs import CANCELLED, FAILED, MAX_ATTEMPTS, WAITING, Job, JobRunner
from smartmeter.tms.kept_images import KeptImages
from smartmeter.tms.key_changes import KeyChanges
from smartmeter.tms.model import SYSTEM, Kind, State
from smartmeter.tms.polled_source import PolledSource
from smartmeter.tms.store.job_rows import (
    MAY_BE_DONE,
    RESET_GOES_ON_S,
    is_reset_before,
    open_jobs,
    store_job,
    store_upgrades,
    update_job,
)
from smartmeter.tms.store.queries import gaps_by_set, tables_begin
from smartmeter.tms.store.silences import store_state
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.template import Template
from smartmeter.tms.upgrades import Image

#: An upgrade goes on where it stood, so it is worth trying often.
UPGRADE_ATTEMPTS = 20
KEY_ATTEMPTS = 4
_ATTEMPTS: dict[str, int] = {Kind.UPGRADE: UPGRADE_ATTEMPTS, Kind.KEY: KEY_ATTEMPTS}
#: So long after its order an upgrade waits for a SmartMeter that is not there.
UPGRADE_WAITS_S = 7 * DAY_S
#: How long work that goes on after a restart waits for its node to come again: a bearer that
#: failed rests for 15 minutes at most, and a node that sends quarter-hours is heard within them.
COME_AGAIN_US = 1000 * US_PER_S
#: Few: a SmartMeter that stays silent is looked after again when its next report is late.
LOOK_ATTEMPTS = 2
READ_TABLES = [23, 28, 52]


class Orders:
    """``now`` gives the UTC second and the monotonic time.

    ``abandon`` is told of a request that nobody wants an answer to any more.
    """

    def __init__(
        self,
        store: Store,
        template: Template,
        jobs: JobRunner,
        polled: PolledSource,
        keys: KeyChanges,
        collector: Collector,
        calendar: Calendar,
        now: Callable[[], tuple[int, int]],
        abandon: Callable[[str, int, int], None],
    ) -> None:
        self._store, self._template, self._jobs = store, template, jobs
        self._polled, self._keys, self._collector = polled, keys, collector
        self._calendar, self._now, self._abandon = calendar, now, abandon
        self._images = KeptImages(store)

    def request(self, esn: str, kind: Kind, requested_by: str) -> int:
        """Begin what a person asked for; SettingsError when it cannot be."""
        base = self._base(esn)
        self.want_able(esn, kind)
        if (
            kind not in OF_ONE_METER
            or self._store.one("SELECT 1 FROM meters WHERE esn=?", esn) is None
        ):
            raise SettingsError(esn, f"no {kind} of this SmartMeter", KNOWN_KINDS)
        if kind is Kind.WITHDRAW:
            self.cancel(self.of_people(Kind.UPGRADE, [esn]), requested_by)
        if kind is Kind.KEY:
            number = self.change_key(esn, requested_by)
        else:
            number = self.submit(esn, kind, requested_by, self._script(kind, base))
        if number is None:
            raise SettingsError(esn, f"{kind} is under way already", "wait for its end")
        return number

    def want_able(self, esn: str, kind: Kind) -> None:
        """Refuse what a plain meter cannot do; SettingsError."""
        if esn in self._polled.meters and kind not in (Kind.READ, Kind.PING):
            raise SettingsError(esn, f"is a plain meter: no {kind}", "the TMS only reads it")

    def _script(self, kind: Kind, base: int) -> Callable[[], Exchange[Any]]:
        return partial(_SCRIPTS[kind], self, base)

    def upgrade(
        self, esns: Sequence[str], image: Image, activation_s: int, requested_by: str
    ) -> dict[str, int]:
        """Send an image to a list of SmartMeters; give the number of each job that was begun."""
        utc_s, now_us = self._now()
        about = f"image {image.value['VERSION']}"
        digest, image = self._images.shared(image)
        able = [esn for esn in dict.fromkeys(esns) if self._takes(esn, Kind.UPGRADE)]

        def change(connection: sqlite3.Connection) -> list[int]:
            rows = [(esn, Kind.UPGRADE, WAITING, requested_by, utc_s, about) for esn in able]
            return store_upgrades(connection, rows, digest, image.file(), activation_s)

        # One commit: thousands of them would hold up reports for as many seconds.
        numbers = dict(zip(able, self._store.write_now(change), strict=True))
        for esn, number in numbers.items():
            script = partial(upgrades.send, self._base(esn), image, activation_s)
            job = Job(number, esn, Kind.UPGRADE, script, requested_by, UPGRADE_ATTEMPTS)
            job.waits_until_us = self._deadline_us(utc_s + UPGRADE_WAITS_S)
            self._jobs.submit(job, now_us)
        return numbers

    def take_up(self) -> None:
        """Go on with the orders that have not ended, as a program before this one left them.

        An upgrade goes on where the module says that it stands, and all else is begun anew.
        """
        utc_s, now_us = self._now()
        for row in open_jobs(self._store):
            number, done = row["id"], (row["attempts"], row["polls"])
            try:
                script = self._script_again(row)
            except SettingsError as error:
                end = (FAILED, str(error), utc_s, *done, "")
                self._store.write(partial(update_job, number=number, row=end), again=True)
                continue
            attempts = _ATTEMPTS.get(row["kind"], MAX_ATTEMPTS)
            job = Job(number, row["esn"], row["kind"], script, row["requested_by"], attempts)
            job.attempts, job.polls = done
            job.is_taken_up, job.waits_until_us = True, now_us + COME_AGAIN_US
            if job.kind == Kind.UPGRADE:
                until_us = self._deadline_us(row["created_s"] + UPGRADE_WAITS_S)
                job.waits_until_us = max(job.waits_until_us, until_us)
            elif job.kind == Kind.DEMAND_RESET:
                until_us = self._deadline_us(row["created_s"] + RESET_GOES_ON_S)
                job.waits_until_us = min(job.waits_until_us, until_us)
            self._jobs.submit(job, now_us)

    def _deadline_us(self, utc_s: int) -> int:
        return self._calendar.deadline_us(utc_s * US_PER_S)

    def _script_again(self, row: sqlite3.Row) -> Callable[[], Exchange[Any]]:
        """Give what a job does that goes on; SettingsError where its image is lost."""
        base, kind = self._base(row["esn"]), Kind(row["kind"])
        if kind is Kind.UPGRADE:
            image = self._images.kept(row["image"])
            return partial(upgrades.send, base, image, row["activation_s"])
        if kind is Kind.WITHDRAW:
            return partial(upgrades.withdraw, base, is_again=True)
        if kind is Kind.KEY:
            return self._keys.go_on(row["esn"], base)
        if kind is Kind.DEMAND_RESET:
            return partial(self._reset_again, base, row)
        return self._script(kind, base)

    def _reset_again(self, base: int, row: sqlite3.Row) -> Exchange[None]:
        """Ask again for a demand reset, unless a clock that was behind at the start has been set.

        It may have been done so long ago that the module would do a second one.
        """
        ordered_s = row["created_s"]
        if self._now()[0] >= ordered_s + RESET_GOES_ON_S:
            raise ExchangeRefused(MAY_BE_DONE)
        if is_reset_before(self._store, row):  # what the module tells of may be that one
            yield from exchanges.demand_reset(base)
        else:
            yield from exchanges.demand_reset(base, ordered_s)

    def provision(self, esn: str) -> int | None:
        """Bring a SmartMeter to the template; give the job's number."""
        script = self._script(Kind.PROVISION, self._base(esn))
        return self.submit(esn, Kind.PROVISION, SYSTEM, script)

    def change_key(self, esn: str, requested_by: str) -> int | None:
        """Give a SmartMeter a new key in the place of the one that it has; the job's number."""
        if self._jobs.has(esn, Kind.KEY):
            return None
        base, offered = self._base(esn), self._keys.offer(esn)

        script = partial(key_changes.change_key, base, *offered)
        return self.submit(esn, Kind.KEY, requested_by, script, KEY_ATTEMPTS)

    def look_after(self, esn: str, attempts: int = LOOK_ATTEMPTS) -> int | None:
        """Ping a SmartMeter and fetch what is missing of it; give the job's number."""
        base, missing = self._base(esn), gaps_by_set(self._store, esn)

        def script() -> Exchange[list[dict[str, Any]]]:
            yield from exchanges.ping()
            return (yield from exchanges.back_fill(base, missing))

        return self.submit(esn, Kind.RECOVER, SYSTEM, script, attempts)

    def ask(self, esn: str, kind: Kind, script: Callable[[int], Exchange[Any]]) -> bool:
        """Begin a script that is given where the module's tables begin; False when it cannot."""
        base = self._base(esn)
        return self.submit(esn, kind, SYSTEM, partial(script, base)) is not None

    def submit(
        self,
        esn: str,
        kind: Kind,
        requested_by: str,
        script: Callable[[], Exchange[Any]],
        attempts: int = MAX_ATTEMPTS,
    ) -> int | None:
        """Begin a job; give its number, None where such a one is under way or cannot be."""
        if not self._takes(esn, kind):
            return None
        utc_s, now_us = self._now()
        row = (esn, kind, WAITING, requested_by, utc_s, "")
        number = self._store.write_now(lambda c: store_job(c, row))
        job = Job(number, esn, kind, script, requested_by, attempts)
        if kind == Kind.PROVISION and not self._keeps_to_template(esn):
            self._store.write(
                lambda c: store_state(c, esn, State.PROVISIONING, "", utc_s), again=True
            )
        return number if self._jobs.submit(job, now_us) else None

    def of_people(self, kind: str = "", esns: Collection[str] = ()) -> list[Job]:
        """Give what people ordered and has not ended, of a kind, of some meters, or of all."""
        return [
            job
            for job in self._jobs.under_way()
            if job.requested_by != SYSTEM
            and (not kind or job.kind == kind)
            and (not esns or job.esn in esns)
        ]

    def cancel(self, jobs: Sequence[Job], requested_by: str) -> None:
        """End jobs that have not ended, all durably; or none has, with StorageError.

        What went out for them is not taken back, and the cause says so.
        """
        utc_s, now_us = self._now()
        causes = [f"by {requested_by}; {_gone_out(job)}" for job in jobs]

        def change(connection: sqlite3.Connection) -> None:
            for job, cause in zip(jobs, causes, strict=True):
                row = (CANCELLED, cause, utc_s, job.attempts, job.polls, "")
                update_job(connection, job.id, row)

        self._store.write_now(change)
        for job, cause in zip(jobs, causes, strict=True):
            left = self._jobs.cancel(job, cause, now_us)
            if left is not None:
                self._abandon(job.esn, left, now_us)

    def _takes(self, esn: str, kind: Kind) -> bool:
        return not self._jobs.has(esn, kind) and esn not in self._collector.retired

    def _keeps_to_template(self, esn: str) -> bool:
        sql = "SELECT config_version FROM meters WHERE esn=?"
        return self._store.number(sql, esn) == self._template.version

    def _base(self, esn: str) -> int:
        return tables_begin(self._store, esn)


def _gone_out(job: Job) -> str:
    """Tell what of a job no longer lies with the TMS."""
    if job.is_taken_up:
        return "what had gone out before the TMS was restarted, or since, is not taken back"
    if not job.polls:
        return "nothing had gone out"
    messages = "1 message" if job.polls == 1 else f"{job.polls:,} messages"
    return f"{messages} had gone out, and what came of it stays"


#: What follows from nothing but the kind of work and the base of the module's tables.
_SCRIPTS: dict[Kind, Callable[[Orders, int], Exchange[Any]]] = {
    Kind.READ: lambda orders, base: exchanges.read_tables(READ_TABLES),
    Kind.DEMAND_RESET: lambda orders, base: exchanges.demand_reset(base),
    Kind.PROVISION: lambda orders, base: exchanges.provision(base, orders._template),
    Kind.PING: lambda orders, base: exchanges.ping(),
    Kind.TRACE: lambda orders, base: exchanges.trace(orders._collector.node.title),
    Kind.WITHDRAW: lambda orders, base: upgrades.withdraw(base),
}
#: What a person may order of one meter by its kind alone.
OF_ONE_METER = (*_SCRIPTS, Kind.KEY)
#: The remedy for any other.
KNOWN_KINDS = f"choose of {', '.join(OF_ONE_METER)}"
