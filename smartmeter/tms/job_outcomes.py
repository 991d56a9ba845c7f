"""What is kept of a job when it changes, and what follows for its meter when it has ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from ansi_tables.ssi_tables import SsiTable, encode
from smartmeter.tms.commits import Commits
from smartmeter.tms.jobs import DONE, ENDED, FAILED, Job, JobChanged
from smartmeter.tms.kept_templates import keep_template, kept_templates
from smartmeter.tms.meter_contexts import MeterContexts
from smartmeter.tms.model import NO_ANSWER, NOTHING_GIVEN, Kind, State
from smartmeter.tms.poll_plan import PollDue
from smartmeter.tms.polled_source import PolledSource, store_failed_poll, store_poll
from smartmeter.tms.silence import SilenceWatch
from smartmeter.tms.store import records
from smartmeter.tms.store.job_rows import result_text, update_job
from smartmeter.tms.store.queries import has_power, tables_begin
from smartmeter.tms.store.readings import keep_reading
from smartmeter.tms.store.silences import (
    store_provisioned,
    store_recovery,
    store_state,
    store_unprovisioned,
)
from smartmeter.tms.store.sqlite import Change, Store
from smartmeter.tms.template import Template


class JobOutcomes:
    """Writes outcomes to the store, and lets silence and polls go on from them."""

    def __init__(
        self,
        store: Store,
        template: Template,
        contexts: MeterContexts,
        silence: SilenceWatch,
        polled: PolledSource,
        commits: Commits,
        on_kept: Callable[[str, Kind], None],
    ) -> None:
        """``on_kept`` is told when what a job read of lists is durable, and of each poll's end."""
        self._store, self._template, self._contexts = store, template, contexts
        self._silence, self._polled = silence, polled
        self._commits, self._on_kept = commits, on_kept
        self._templates: dict[int, Template] = {}

    def load(self) -> None:
        """Take up the templates before this one, and keep this one for when there is another."""
        self._store.write_now(lambda c: keep_template(c, self._template))
        self._templates = kept_templates(self._store)

    @property
    def version(self) -> int:
        """Give the version of the template that SmartMeters are to keep to."""
        return self._template.version

    def changed(self, event: JobChanged, utc_s: int) -> None:
        """Keep what became of a job: what it brought is durable before it is said to be done."""
        job, ended = event.job, event.job.state in ENDED
        if ended:
            self._ended(event, utc_s)
        text = result_text(event.result)
        row = (job.state, job.cause, utc_s if ended else 0, job.attempts, job.polls, text)
        self._note(lambda c: update_job(c, job.id, row))

    def _note(self, change: Change) -> None:
        """Write what nobody would tell again, as soon as the database takes it."""
        self._store.write(change, again=True)

    def _ended(self, event: JobChanged, utc_s: int) -> None:
        job, result, done = event.job, event.result, event.job.state == DONE
        match job.kind:
            case Kind.PROVISION if done:
                self.provisioned(job.esn, utc_s)
            case Kind.PROVISION:
                row = (job.esn, self._template.version, job.cause, utc_s)
                self._note(lambda c: store_unprovisioned(c, *row))
            case Kind.RECOVER:
                self._recovered(job, result if done else None, utc_s)
            case Kind.OUTAGES if done:
                self._keep(
                    job, lambda c: records.store_outage_log(c, job.esn, result, utc_s), utc_s
                )
            case Kind.EVENTS if done:
                self._keep(job, lambda c: records.store_events(c, job.esn, result, utc_s), utc_s)
            case Kind.UPGRADE | Kind.WITHDRAW if done:
                self._upgraded(job, result, utc_s)
            case Kind.POLL:
                self._polled_once(job, result if done else None, utc_s)
            case Kind.READ if done:
                self._keep_images(job, result, utc_s)

    def provisioned(self, esn: str, utc_s: int) -> None:
        """A SmartMeter keeps to the template: from now on its reports are due."""
        version = self._template.version
        self._note(lambda c: store_provisioned(c, esn, version, utc_s))
        self.watch(esn, version, utc_s, utc_s)
        if not self._silence.powerless(esn):
            self._name_state(esn, State.PROVISIONED, "", utc_s)

    def watch(self, esn: str, version: int, since_s: int, utc_s: int) -> None:
        """Watch over one that keeps to a template, if it is known; dues up to ``since_s`` do not
        count."""
        template = self._templates.get(version)
        if template is None:
            return
        kept = self._contexts.as_kept_by(esn, template, utc_s)
        self._silence.watch(esn, kept, since_s, utc_s)
        if not has_power(self._store, esn):
            self._silence.power(esn, False, utc_s)

    def _recovered(self, job: Job, parts: list[dict[str, Any]] | None, utc_s: int) -> None:
        """A look at a silent SmartMeter has ended: keep what was fetched, name the state."""
        esn = job.esn
        if parts is None:
            text = f"{NOTHING_GIVEN if job.answered else NO_ANSWER}: {job.cause}"
            self._note(lambda c: store_recovery(c, esn, (), text, utc_s))
        else:
            text = "answers when asked, but sends nothing by itself"
            self._keep(job, lambda c: store_recovery(c, esn, parts, text, utc_s), utc_s)
        if self._silence.silent(esn) and not self._silence.powerless(esn):
            self._name_state(esn, State.SILENT, text, utc_s)

    def _keep(self, job: Job, change: Change, utc_s: int) -> None:
        """Keep what a job brought, and tell whoever waits for it; else the job has failed."""

        def after(future: Future[None]) -> None:
            error = future.exception()
            if error is None:
                self._on_kept(job.esn, Kind(job.kind))
            else:
                row = (FAILED, f"not kept: {error}", utc_s, job.attempts, job.polls, "")
                self._note(lambda c: update_job(c, job.id, row))

        self._commits.write(change, after)

    def _upgraded(self, job: Job, told: Mapping[str, Any], utc_s: int) -> None:
        table = tables_begin(self._store, job.esn) + SsiTable.UPGRADE_STATUS
        self._keep_images(job, {table: encode(SsiTable.UPGRADE_STATUS, told)}, utc_s)

    def _polled_once(self, job: Job, reading: Any, utc_s: int) -> None:
        """Keep what a poll came to; the next looks up what is known when that is durable."""
        due = job.about
        assert isinstance(due, PollDue)
        self._polled.end(due)

        def go_on(well: bool) -> None:
            self._on_kept(due.esn, Kind.POLL)

        def change(connection: sqlite3.Connection) -> None:
            if reading is not None:
                store_poll(connection, due, reading, utc_s)
            else:
                store_failed_poll(connection, due, job.cause, utc_s, job.answered)

        if due.esn not in self._polled.meters or not job.polls:
            go_on(True)  # it was removed meanwhile, or is not to blame
            return
        self._commits.try_write(change, go_on)

    def _keep_images(self, job: Job, images: Mapping[int, bytes], utc_s: int) -> None:
        esn = job.esn
        context_id = self._store.number("SELECT context_id FROM meters WHERE esn=?", esn)

        def keep(connection: sqlite3.Connection) -> None:
            for table, image in images.items():
                records.store_image(connection, esn, table, image, utc_s)
                keep_reading(connection, esn, table, utc_s, context_id, utc_s)

        self._keep(job, keep, utc_s)

    def _name_state(self, esn: str, state: State, cause: str, utc_s: int) -> None:
        self._note(lambda c: store_state(c, esn, state, cause, utc_s))
