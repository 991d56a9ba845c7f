"""What the TMS does with one SmartMeter, as scripts: services out, responses in.

A script is a generator that yields the services of one APDU and is given one
response item for each.  It knows no connection and no time, and of an answer that did not
come nothing either: the same services are sent again, so it must not matter if they act twice.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

from ansi_tables import ssi_tables
from ansi_tables.errors import TableError
from ansi_tables.ssi_tables import CONFIG_TABLES, STAGING_OFFSET, Command, SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import WINDOW_S
from protocols.c1222.services import TRACE, Trace, decode_service, encode_service
from protocols.errors import ProtocolError
from protocols.psem.codec import encode_request, table_data
from protocols.psem.codes import ResponseCode, code_text
from protocols.psem.services import FullRead, FullWrite, Identify
from smartmeter.base.clock import MAX_CALENDAR_S
from smartmeter.tms.store.queries import Gaps
from smartmeter.tms.template import Template

T = TypeVar("T")
Exchange = Generator[list[bytes], list[bytes], T]

#: Intervals asked for in one message.
BACK_FILL_STEP = 200
#: Messages of one back-fill; what is left then waits for the next.
MAX_BACK_FILL_STEPS = 100
#: Entries of a log asked for in one message, and messages of one look at it.
LOG_STEP, MAX_LOG_STEPS = 60, 100
#: A ring counts so far at most: 32 bits of blocks, 16 of intervals in one.
MAX_SEQUENCE = 1 << 48
#: Octets of staging that go into one message.
STAGING_OCTETS = 1500


class ExchangeFailed(Exception):
    """The SmartMeter did not answer, or refused; the text is the cause."""


class ExchangeRefused(ExchangeFailed):
    """It was refused for a reason that another try would not change."""


def checked(responses: list[bytes], what: str) -> list[bytes]:
    """Give the answers when all are ok; ExchangeFailed says which is not."""
    for response in responses:
        if response[:1] != b"\0":
            code = response[0] if response else 0x01
            raise ExchangeFailed(f"{what}: the SmartMeter answered {code_text(code)}")
    return responses


def image_of(response: bytes, what: str) -> bytes:
    """Give the octets of a table that was read; ExchangeFailed when they are not there."""
    checked([response], what)
    try:
        return table_data(response[1:])
    except ProtocolError as error:
        raise ExchangeFailed(f"{what}: {error}") from error


def _decoded(table: SsiTable, response: bytes) -> dict[str, Any]:
    try:
        return ssi_tables.decode(table, image_of(response, table.name))
    except TableError as error:
        raise ExchangeFailed(str(error)) from error


def read_own(base: int, table: SsiTable, answer: bytes | None = None) -> Exchange[dict[str, Any]]:
    """Read a table of the SSI; of an ``answer`` that is there already, only decode it."""
    if answer is None:
        [answer] = yield [encode_request(FullRead(base + table))]
    return _decoded(table, answer)


def ping() -> Exchange[None]:
    """Identify: is it there?"""
    checked((yield [encode_request(Identify())]), "ping")


def trace(own: ApTitle | None) -> Exchange[str]:
    """Ask every relay on the way for its title, and the SmartMeter for its own: the way in words.

    It goes in clear, or no relay could add anything.
    """
    begin = () if own is None else (own,)
    [answer] = checked((yield [encode_service(Trace(begin))]), "trace")
    try:
        told = decode_service(bytes([TRACE]) + answer[1:])
    except ProtocolError as error:
        raise ExchangeFailed(f"trace: {error}") from error
    return " > ".join(map(str, told.titles)) if isinstance(told, Trace) else ""


def read_tables(tables: list[int]) -> Exchange[dict[int, bytes]]:
    """Read tables of the meter, all in one exchange; one that is refused is left out."""
    responses = yield [encode_request(FullRead(table)) for table in tables]
    found = {}
    for table, response in zip(tables, responses, strict=True):
        if response[:1] == b"\0":
            found[table] = image_of(response, f"ST-{table}")
    if not found:
        checked(responses, "read")
    return found


def command(base: int, code: Command, **fields: int) -> bytes:
    """Give the service that writes COMMAND."""
    value = {"CODE": code, "SET": 1, "RING_EPOCH": 0, "FIRST_SEQUENCE": 0}
    value |= {"COUNT": 0, "SCHEDULE_NBR": 255, "FORCE": 0, **fields}
    image = ssi_tables.encode(SsiTable.COMMAND, value)
    return encode_request(FullWrite(base + SsiTable.COMMAND, image))


def demand_reset(base: int, ordered_s: int = MAX_CALENDAR_S) -> Exchange[None]:
    """Reset the demand now, or find it reset since ``ordered_s``, by a program that ended."""
    before = yield from read_own(base, SsiTable.MODULE_HEALTH)
    health = encode_request(FullRead(base + SsiTable.MODULE_HEALTH))
    reset, answer = yield [command(base, Command.DEMAND_RESET), health]
    # A second one within a day is refused, also where only the answer to the first was lost.
    if reset[:1] == bytes([ResponseCode.onp]):
        after = yield from read_own(base, SsiTable.MODULE_HEALTH, answer)
        last_s = after["LAST_DEMAND_RESET_TIME"]
        if last_s != before["LAST_DEMAND_RESET_TIME"] or last_s > ordered_s - WINDOW_S:
            return
    checked([reset], "demand reset")


def intervals(base: int, set_nbr: int, first: int, count: int) -> Exchange[dict[str, Any]]:
    """Read intervals of a set from the meter's own ring: the value of LOAD_PROFILE_PART."""
    chosen = {"SET": set_nbr, "FIRST_SEQUENCE": first, "COUNT": count}
    select = command(base, Command.SELECT_INTERVALS, **chosen)
    part = encode_request(FullRead(base + SsiTable.LOAD_PROFILE_PART))
    selected, answer = yield [select, part]
    checked([selected], "SELECT_INTERVALS")
    return _decoded(SsiTable.LOAD_PROFILE_PART, answer)


def back_fill(base: int, missing: Mapping[int, Gaps]) -> Exchange[list[dict[str, Any]]]:
    """Read what is missing of each set: sequences [first, end), None means up to the newest."""
    parts: list[dict[str, Any]] = []
    steps = 0
    for set_nbr, (first, end) in ((one, gap) for one, gaps in missing.items() for gap in gaps):
        at = first
        while (end is None or at < end) and steps < MAX_BACK_FILL_STEPS:
            steps += 1
            count = BACK_FILL_STEP if end is None else min(BACK_FILL_STEP, end - at)
            part = yield from intervals(base, set_nbr, at, count)
            found = part["INTERVALS"]
            if not found and end is None:
                break
            if not found:  # left out by the meter, which may have what follows
                at += count
                continue
            if part["SET"] != set_nbr or not at <= part["FIRST_SEQUENCE"] <= MAX_SEQUENCE:
                raise ExchangeFailed("the SmartMeter gave other intervals than were asked for")
            parts.append(part)
            at = part["FIRST_SEQUENCE"] + len(found)
            if end is None and len(found) < count:
                break
    return parts


def event_log(base: int, first: int) -> Exchange[dict[str, Any]]:
    """Read the meter's log from a sequence on, oldest first: an EVENT_PART of all that was found.

    A module that knows no SELECT_ENTRIES gives the newest ones.
    """
    entries: list[dict[str, Any]] = []
    part = encode_request(FullRead(base + SsiTable.EVENT_PART))
    for _ in range(MAX_LOG_STEPS):
        fields = {"FIRST_SEQUENCE": first, "COUNT": LOG_STEP}
        selected, answer = yield [command(base, Command.SELECT_ENTRIES, **fields), part]
        found = _decoded(SsiTable.EVENT_PART, answer)["ENTRIES"]
        entries += found
        if selected[:1] != b"\0" or len(found) < LOG_STEP:
            break
        first = found[-1]["SEQUENCE"] + 1
    return {"ENTRIES": entries}


def outage_log(base: int) -> Exchange[dict[str, Any]]:
    """Read the outages that have ended: OUTAGE_LOG, and the OUTBOX_EPOCH in which it was kept."""
    tables = (SsiTable.MODULE_STATUS, SsiTable.OUTAGE_LOG)
    answers = yield [encode_request(FullRead(base + table)) for table in tables]
    status, log = (_decoded(*one) for one in zip(tables, answers, strict=True))
    return {"OUTBOX_EPOCH": status["OUTBOX_EPOCH"], "OUTAGES": log["OUTAGES"]}


def provision(base: int, template: Template) -> Exchange[Mapping[str, Any]]:
    """Get Version, stage, commit, read back, compare; give MODULE_VERSION.

    A SmartMeter that has the configuration already is left as it is.
    """
    reads = (SsiTable.MODULE_VERSION, SsiTable.CONFIG_STATUS)
    answers = yield [encode_request(FullRead(base + table)) for table in reads]
    version = _decoded(SsiTable.MODULE_VERSION, answers[0])
    status = _decoded(SsiTable.CONFIG_STATUS, answers[1])
    if status["ACTIVE_VERSION"] == template.version and status["ACTIVE_DIGEST"] == template.digest:
        return version
    group: list[bytes] = []
    for table in CONFIG_TABLES:
        image = template.images[table]
        group.append(encode_request(FullWrite(base + table + STAGING_OFFSET, image)))
        if sum(map(len, group)) > STAGING_OCTETS or table is CONFIG_TABLES[-1]:
            checked((yield group), "staging")
            group = []
    commit = {"VERSION": template.version, "DIGEST": template.digest}
    image = ssi_tables.encode(SsiTable.COMMIT, commit)
    checked((yield [encode_request(FullWrite(base + SsiTable.COMMIT, image))]), "commit")
    back = yield [encode_request(FullRead(base + table)) for table in CONFIG_TABLES]
    for table, response in zip(CONFIG_TABLES, back, strict=True):
        if image_of(response, table.name) != template.images[table]:
            raise ExchangeFailed(f"{table.name} reads back otherwise than it was written")
    return version
