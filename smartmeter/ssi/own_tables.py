"""The SSI's tables as the network sees them: what each shows, and what a write does."""

from __future__ import annotations

from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import (
    CONFIG_TABLES,
    DEFAULT_BASE,
    NBR_SSI_TABLES,
    STAGING_OFFSET,
    Command,
    CommitResult,
    SsiTable,
)
from protocols.c1218.scripts import read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.c1218.transfer import ask_to_write
from protocols.c1222.access import Rights, Task
from protocols.c1222.services import Service
from protocols.errors import (
    LinkError,
    OutcomeUnknown,
    ProtocolError,
    ServiceRefused,
)
from protocols.psem.codec import block, encode_response
from protocols.psem.codes import ResponseCode
from protocols.psem.services import (
    READS,
    WRITES,
    DefaultRead,
    FullRead,
    FullWrite,
    IndexWrite,
    OffsetRead,
    OffsetWrite,
    Request,
)
from smartmeter.base.errors import StorageError
from smartmeter.ssi.keys import Role
from smartmeter.ssi.log_reading import EVENT_LOG, read_log
from smartmeter.ssi.parts import Parts
from smartmeter.ssi.profile_reading import profile_sets, read_profile
from smartmeter.ssi.reports import event_value, profile_image, profile_part, runs, version_value
from smartmeter.ssi.starting import Starting

#: An answer must fit the node's APDU: the limit of RFC 6142's stream, with room for the envelope.
MAX_ANSWER_OCTETS = 30_000
MAX_SELECTED = 1000
_OK = bytes([ResponseCode.ok])
_TOO_LARGE = bytes([ResponseCode.rstl]) + MAX_ANSWER_OCTETS.to_bytes(4, "big")
_LOG_PART_ENTRIES = 60
#: A restart that was asked for waits until its answer has left.
ANSWER_S = 5
_WRITE_ONLY = (
    SsiTable.COMMIT,
    SsiTable.KEYS,
    SsiTable.COMMAND,
    SsiTable.UPGRADE_PIECE,
    SsiTable.UPGRADE_ACTIVATE,
)


class OwnTables:
    """Answers the services of a request, in order; the meter's tables come over C12.18."""

    def __init__(self, parts: Parts, starting: Starting) -> None:
        self._parts, self._starting = parts, starting
        self._selection: dict[str, int] = {}
        self._entries: dict[str, int] | None = None

    def serve(
        self,
        items: tuple[bytes | Task, ...],
        limits: ClientLimits,
        served: list[bytes] | None = None,
    ) -> Script[list[bytes]]:
        """Serve all services of one APDU as one exchange; give an answer for each.

        Where the meter is heard no more, ``served`` has the answers until then.  A write that
        may have been carried out has its own, err: who was told dnr would write again.
        """
        answers = [] if served is None else served
        size = 0
        for item in items:
            try:
                if isinstance(item, Task):
                    answer = yield from self._serve_one(item, limits)
                else:
                    answer = item
            except StorageError as error:
                self._parts.fault = error
                answer = bytes([ResponseCode.err])
            except OutcomeUnknown:
                answers.append(bytes([ResponseCode.err]))
                raise
            size += len(answer)
            if size > MAX_ANSWER_OCTETS:
                answer = _TOO_LARGE
                size += len(answer)
            answers.append(answer)
        return answers

    def needs_meter(self, items: tuple[bytes | Task, ...]) -> bool:
        """Tell whether an answer takes a session at the optical port."""
        return any(isinstance(one, Task) and self._needs_meter(one.request) for one in items)

    def _needs_meter(self, request: Service) -> bool:
        if isinstance(request, DefaultRead):
            return True
        if not isinstance(request, (*READS, *WRITES)):
            return False
        if not self._in_block(request.table):
            return True
        match self._own(request.table), request:
            case SsiTable.LOAD_PROFILE_PART | SsiTable.EVENT_PART, FullRead() | OffsetRead():
                return True
            case SsiTable.COMMAND, FullWrite(_, data):
                return data[:1] == bytes([Command.DEMAND_RESET])
        return False

    def _in_block(self, number: int) -> bool:
        return DEFAULT_BASE <= number < DEFAULT_BASE + NBR_SSI_TABLES

    def _own(self, number: int) -> SsiTable | None:
        try:
            return SsiTable(number - DEFAULT_BASE) if self._in_block(number) else None
        except ValueError:
            return None

    def _serve_one(self, task: Task, limits: ClientLimits) -> Script[bytes]:
        request = task.request
        if not self._may(task.rights, request):
            return bytes([ResponseCode.isc])
        try:
            if isinstance(request, DefaultRead):
                return encode_response((yield request))
            if isinstance(request, (*READS, *WRITES)):
                serve = self._serve_own if self._in_block(request.table) else self._serve_meters
                return (yield from serve(request, limits))
        except ServiceRefused as error:
            return bytes([error.code])
        return bytes([ResponseCode.sns])

    def _may(self, role: Rights, request: Service) -> bool:
        """Tell whether a role may ask for this."""
        match role:
            case Role.READ_ONLY:
                return not isinstance(request, WRITES)
            case Role.ROOT:
                return self._brings_key(request)
            case Role.MAINTENANCE:
                return not self._brings_key(request)  # it could bring one of the TMS
        return True

    def _serve_own(self, request: Request, limits: ClientLimits) -> Script[bytes]:
        """Serve one of the module's tables: read whole or by offset, written whole."""
        match request:
            case FullRead(table):
                return _OK + block((yield from self._read(table, limits)))
            case OffsetRead(table, offset, count):
                image = yield from self._read(table, limits)
                if offset < len(image):
                    return _OK + block(image[offset : offset + count])
            case FullWrite(table, data):
                return bytes([(yield from self._write(table, data, limits))])
        return bytes([ResponseCode.onp])

    def _serve_meters(self, request: Request, limits: ClientLimits) -> Script[bytes]:
        """Serve one of the meter's tables."""
        match request:
            case FullRead(table):
                return _OK + block((yield from read_table(table, limits)))
            case FullWrite(table) | OffsetWrite(table) | IndexWrite(table):
                answer = yield from ask_to_write(request, table)
                if answer.ok:
                    self._parts.link.table_written(table, self._parts.latest_us)
                return encode_response(answer)
        return encode_response((yield request))

    def _brings_key(self, request: Service) -> bool:
        return isinstance(request, FullWrite) and self._own(request.table) is SsiTable.KEYS

    def _read(self, number: int, limits: ClientLimits) -> Script[bytes]:
        table, configuration = self._own(number), self._parts.configuration
        if table is None:
            raise ServiceRefused(ResponseCode.iar, "iar", "Read")
        if table is SsiTable.LOAD_PROFILE_PART:
            return (yield from self._selected(limits))
        if table is SsiTable.EVENT_PART:
            return (yield from self._log(limits))
        if table in CONFIG_TABLES:
            return configuration.active[table]
        if table - STAGING_OFFSET in CONFIG_TABLES:
            return configuration.staging[SsiTable(table - STAGING_OFFSET)]
        return ssi_tables.encode(table, self._value(table))

    def _value(self, table: SsiTable) -> dict[str, Any]:
        """Give what a table shows of the module; ServiceRefused for one that is not read."""
        parts = self._parts
        match table:
            case SsiTable.MODULE_STATUS | SsiTable.MODULE_HEALTH:
                return parts.status()
            case SsiTable.MODULE_VERSION:
                return version_value(parts.esn, parts.upgrade)
            case SsiTable.CONFIG_STATUS:
                return parts.configuration.status
            case SsiTable.UPGRADE_STATUS:
                return parts.upgrade.status()
            case SsiTable.OUTAGE_LOG:
                return self._outages()
        raise ServiceRefused(ResponseCode.iar, "iar", "Read")

    def _outages(self) -> dict[str, Any]:
        losses = self._parts.memory.losses
        outages = [
            {
                "OUTAGE_NBR": number,
                "RESTORED": 1,
                "START_TIME": start_s,
                "END_TIME": end_s,
                "DURATION_S": max(0, end_s - start_s),
                "NBR_MOMENTARIES": losses.momentaries & 0xFFFF,
            }
            for number, start_s, end_s in losses.outages
        ]
        return {"OUTAGES": outages}

    def _selected(self, limits: ClientLimits) -> Script[bytes]:
        """Read the intervals that SELECT_INTERVALS named, straight from the meter.

        Where the meter left sequences out, the part ends before them.
        """
        memory, meter, chosen = self._parts.memory, self._parts.reporter.meter, self._selection
        if meter is None or not chosen:
            raise ServiceRefused(ResponseCode.onp, "onp", "Read")
        if meter.old:
            raise ServiceRefused(ResponseCode.dnr, "dnr", "Read")
        count = min(chosen["COUNT"], MAX_SELECTED)
        set_nbr = chosen["SET"]
        first = max(chosen["FIRST_SEQUENCE"], memory.lists.profile_begins.get(str(set_nbr), 0))
        read = yield from read_profile(meter, set_nbr, first, count, limits)
        run, epoch = next(runs(read.intervals), ()), memory.lists.profile_epoch(set_nbr)
        value = profile_part(set_nbr, run, read.interval_s, epoch, meter.id)
        return profile_image(value)

    def _log(self, limits: ClientLimits) -> Script[bytes]:
        """Read the entries that SELECT_ENTRIES named just before, or the newest ones."""
        meter, chosen, self._entries = self._parts.reporter.meter, self._entries, None
        if meter is None or EVENT_LOG not in meter.context.fmt.std_tbls_used:
            raise ServiceRefused(ResponseCode.onp, "onp", "Read")
        if meter.old:
            raise ServiceRefused(ResponseCode.dnr, "dnr", "Read")
        before = self._parts.memory.lists.events_before
        if chosen is None:
            read = yield from read_log(meter, before, limits)
        else:
            count = min(chosen["COUNT"], _LOG_PART_ENTRIES)
            after = max(chosen["FIRST_SEQUENCE"] - 1, -1 if before is None else before)
            read = yield from read_log(meter, after, limits, count)
        entries = [event_value(entry) for entry in read.entries[-_LOG_PART_ENTRIES:]]
        return ssi_tables.encode(SsiTable.EVENT_PART, {"ENTRIES": entries})

    def _write(self, number: int, data: bytes, limits: ClientLimits) -> Script[ResponseCode]:
        parts, table = self._parts, self._own(number)
        if table is None:
            return ResponseCode.iar
        if table - STAGING_OFFSET in CONFIG_TABLES:
            return ResponseCode.ok if parts.configuration.stage(table, data) else ResponseCode.iar
        if table is SsiTable.UPGRADE_MANIFEST:
            return ResponseCode.ok if parts.upgrade.offer(data) else ResponseCode.onp
        if table not in _WRITE_ONLY:
            return ResponseCode.iar
        try:
            value = ssi_tables.decode(table, data)
        except TableError:
            return ResponseCode.iar
        match table:
            case SsiTable.COMMIT:
                result = parts.configuration.commit(value["VERSION"], value["DIGEST"])
                taken = result is CommitResult.ACTIVATED
                self._starting.reconfigure = self._starting.reconfigure or taken
            case SsiTable.KEYS:
                added = parts.keys.add(value["KEY_ID"], value["ROLE"], value["KEY"])
                return ResponseCode.ok if added else ResponseCode.iar
            case SsiTable.UPGRADE_PIECE:
                taken = parts.upgrade.piece(value["OFFSET"], value["OCTETS"])
            case SsiTable.UPGRADE_ACTIVATE:
                soonest_s = parts.reporter.utc_s(parts.latest_us) + ANSWER_S
                at_s = max(value["TIME"], soonest_s)
                taken = parts.upgrade.activate(value["IMAGE_DIGEST"], at_s)
            case _:
                return (yield from self._command(value, limits))
        return ResponseCode.ok if taken else ResponseCode.onp

    def _command(self, value: dict[str, Any], limits: ClientLimits) -> Script[ResponseCode]:
        parts, meter = self._parts, self._parts.reporter.meter
        match value["CODE"]:
            case Command.SELECT_INTERVALS:
                if meter is None or value["SET"] not in profile_sets(meter):
                    return ResponseCode.onp
                self._selection = value
            case Command.SELECT_ENTRIES:
                self._entries = value
            case Command.REPORT_NOW:
                number = value["SCHEDULE_NBR"]
                if not parts.tasks.order(number, parts.latest_us):
                    return ResponseCode.onp
            case Command.SEND_CONTEXT:
                self._starting.hello = True
            case Command.DEMAND_RESET:
                return (yield from self._reset(value, limits))
            case Command.UPGRADE_CANCEL:
                return ResponseCode.ok if parts.upgrade.cancel() else ResponseCode.onp
            case _:
                return ResponseCode.iar
        return ResponseCode.ok

    def _reset(self, value: dict[str, Any], limits: ClientLimits) -> Script[ResponseCode]:
        """Reset the demand, once in 24 h unless it is forced; the ST-25 it makes is reported."""
        parts, tasks, meter = self._parts, self._parts.tasks, self._parts.reporter.meter
        utc_s = parts.reporter.utc_s(parts.latest_us)
        if meter is None or meter.old:
            return ResponseCode.dnr
        if value["FORCE"]:
            tasks.resets.give_up()
        elif not tasks.resets.may_begin(utc_s):
            return ResponseCode.onp
        tasks.resets.begin(utc_s, utc_s)
        try:
            yield from tasks.resets.script(meter, 0x77, limits)
        except ProtocolError as error:
            if tasks.resets.failed():
                # What became of it is seen in what is reported; whoever asked may force another.
                tasks.resets.give_up()
                tasks.report_reset(parts.latest_us)
                if isinstance(error, LinkError) and not isinstance(error, OutcomeUnknown):
                    raise OutcomeUnknown("demand reset", 0, error) from error
            raise
        tasks.report_reset(parts.latest_us)
        return ResponseCode.ok
