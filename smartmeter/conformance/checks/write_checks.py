"""Group *services*: Write and procedures (C12.18 4.5, 4.14).

What is written is a name, put back afterwards; what is run is a procedure that the
device does not have, so that nothing is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, IndexRead, IndexWrite, OffsetWrite
from smartmeter.conformance.bench import WRITE_ONLY, Bench, Permit, damaged, in_group, octets_of
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "services")
ok, sns, onp, iar = ResponseCode.ok, ResponseCode.sns, ResponseCode.onp, ResponseCode.iar
isc, err = ResponseCode.isc, ResponseCode.err
#: Tables whose octets mean nothing to a meter's working: names.  Only these are written.
SAFE_TABLES = (5, 6)
#: What a Write has beside the table's octets: code, table id, count and checksum.
WRITE_OVERHEAD_OCTETS = 6
ADVICE = Basis.RECOMMENDATION


def safe_table_of(bench: Bench) -> int:
    """Give a table that may be written; NotApplicable where ST-00 lets neither be."""
    for number in SAFE_TABLES:
        if number in bench.format.std_tbls_write:
            return number
    raise NotApplicable("ST-00 lets neither ST-05 nor ST-06 be written")


@contextmanager
def _borrowed(bench: Bench) -> Iterator[tuple[int, bytes]]:
    """Give a safe table and its octets, in a session that may write; put it back in the end.

    It stands in the journal meanwhile, so that it can be put back after a kill.
    """
    if bench.master is None:
        raise NotApplicable("no password that allows writing is known")
    table = safe_table_of(bench)
    tester = bench.session(room=True, password=bench.master)
    original = bench.read(table)
    if len(original) + WRITE_OVERHEAD_OCTETS > tester.room_octets:
        raise NotApplicable("the table does not fit one Write")
    bench.journal.note(table, original)
    try:
        yield table, original
    finally:
        bench.session(room=True, password=bench.master)
        bench.tester.ask(FullWrite(table, original)).want(ok)
        if bench.read(table) != original:
            raise Deviation(f"table {table} could not be put back")
        bench.journal.undone(table)


def _other(octets: bytes) -> bytes:
    """Give text of the same length that differs in every octet."""
    return bytes(0x58 if octet != 0x58 else 0x59 for octet in octets)


@check("D71", "what is written is read back", needs=Permit.WRITES, seconds=5)
def write_and_read_back(bench: Bench) -> None:
    """A whole table, then put back."""
    with _borrowed(bench) as (table, original):
        bench.tester.ask(FullWrite(table, _other(original))).want(ok)
        if bench.read(table) != _other(original):
            raise Deviation("what is read back differs from what was written")


@check("D75", "a Write by offset changes those octets only", needs=Permit.WRITES, seconds=6)
def write_by_offset(bench: Bench) -> None:
    """Across the end it is onp, and changes nothing."""
    with _borrowed(bench) as (table, original):
        tester = bench.tester
        answer = tester.ask(OffsetWrite(table, 2, b"XYZ")).want_served("writes by offset")
        answer.want(ok)
        changed = original[:2] + b"XYZ" + original[5:]
        if bench.read(table) != changed:
            raise Deviation("other octets have changed")
        tester.ask(OffsetWrite(table, len(original) - 1, b"QQ")).want(onp)
        if bench.read(table) != changed:
            raise Deviation("a refused Write has changed the table")


@check("D75b", "a Write by index changes that element only", Basis.MEMORY, Permit.WRITES, seconds=5)
def write_by_index(bench: Bench) -> None:
    """The first element of the table; one nine levels deep is not there.  sns is no fault."""
    with _borrowed(bench) as (table, original):
        tester = bench.tester
        answer = tester.ask(IndexRead(table, (0,), 1)).want_served("access by index")
        element = octets_of(answer.want(ok))
        answer = tester.ask(IndexWrite(table, (0,), _other(element))).want_served("writes by index")
        answer.want(ok)
        if bench.read(table) != _other(element) + original[len(element) :]:
            raise Deviation("other octets have changed")
        changed = bench.read(table)
        tester.ask(IndexWrite(table, (0,) * 9, b"Q")).want_refusal()
        if bench.read(table) != changed:
            raise Deviation("a Write of an element that is not there has changed the table")


@check("D72", "a Write with a wrong checksum changes nothing", ADVICE, Permit.WRITES, seconds=5)
def write_with_a_wrong_checksum(bench: Bench) -> None:
    """Its packet is acknowledged; err is what we recommend."""
    with _borrowed(bench) as (table, original):
        psem = encode_request(FullWrite(table, _other(original)))
        answer = bench.tester.ask(damaged(psem, 0x10))
        answer.want_refusal(Basis.TWO_SOURCES)
        if bench.read(table) != original:
            raise Deviation("the table has changed", Basis.TWO_SOURCES)
        answer.want(err)


@check(
    "D73",
    "a Write whose count is wrong changes nothing",
    Basis.TWO_SOURCES,
    Permit.WRITES,
    seconds=5,
)
def write_with_a_wrong_count(bench: Bench) -> None:
    """onp, one octet short or one too many; so is a table of another size."""
    with _borrowed(bench) as (table, original):
        psem = encode_request(FullWrite(table, _other(original)))
        for wrong in (psem[:-2] + psem[-1:], psem + b"\0"):
            bench.tester.ask(wrong).want(onp)
        bench.tester.ask(FullWrite(table, original + b" ")).want_refusal(Basis.ONE_SOURCE)
        if bench.read(table) != original:
            raise Deviation("the table has changed")


@check(
    "D73b",
    "a Write of a wrong length to a table that is not there is iar",
    Basis.ONE_SOURCE,
    Permit.WRITES,
    seconds=2,
)
def malformed_write_to_an_absent_table(bench: Bench) -> None:
    """By the order in which refusals go before each other, iar goes before onp."""
    absent = bench.unlisted().to_bytes(2, "big")
    tester = bench.best_session()
    for rest in (b"", b"\0", b"\0\x09abc"):
        tester.ask(b"\x40" + absent + rest).want(iar)


@check(
    "D74", "a Write without the right to it is refused", Basis.TWO_SOURCES, Permit.WRITES, seconds=6
)
def write_without_rights(bench: Bench) -> None:
    """isc without a password; a table that is only read is iar."""
    with _borrowed(bench) as (table, original):
        read_only = [
            n for n in (1, 3, 0) if n in bench.listed() and n not in bench.format.std_tbls_write
        ]
        for number in read_only[:1]:
            octets = bench.read(number)
            bench.tester.ask(FullWrite(number, octets)).want(iar)
        tester = bench.session(room=True)
        tester.ask(FullWrite(table, _other(original))).want(isc)
        tester.ask(OffsetWrite(table, 0, b"X")).want(isc, sns)
        # A missing right goes before an element that is not there.
        tester.ask(IndexWrite(table, (200,), b"X")).want(isc, sns, basis=Basis.ONE_SOURCE)


@check("D76", "a copy of a Write on the line is carried out once", needs=Permit.WRITES, seconds=6)
def copied_write(bench: Bench) -> None:
    """The copy is acknowledged; the octets are those of the one Write."""
    with _borrowed(bench) as (table, _):
        tester = bench.tester
        packets = tester.message(encode_request(OffsetWrite(table, 0, b"AB")))
        for octets in packets:
            tester.deliver(octets)
        tester.answer().want(ok, sns)
        tester.deliver(packets[-1], "a copy of a Write")
        tester.silence(1_200_000, "a copy of a Write that was answered")


def unknown_initiate(bench: Bench, sequence: int) -> bytes:
    """Give an ST-07 that asks for a procedure which ST-00 does not list."""
    if WRITE_ONLY not in bench.listed():
        raise NotApplicable("ST-00 does not list ST-07")
    fmt = bench.format
    unknown = next(n for n in range(2000, 0, -1) if n not in fmt.std_proc_used)
    return unknown.to_bytes(2, fmt.data_order) + bytes((sequence,))


@check("D94", "an unknown procedure is taken, and ST-08 says 6", needs=Permit.PROCEDURES, seconds=6)
def unknown_procedure(bench: Bench) -> None:
    """ST-08 repeats procedure, selector and sequence number (D93)."""
    if bench.master is None:
        raise NotApplicable("no password that allows procedures is known")
    sequence = bench.rng.randrange(1, 250)
    requests = [unknown_initiate(bench, number) for number in (sequence, sequence + 1)]
    bench.session(room=True, password=bench.master)
    for initiate in requests:
        bench.tester.ask(FullWrite(WRITE_ONLY, initiate)).want(ok)
        answer = octets_of(bench.tester.ask(FullRead(8)).want(ok))
        if answer[:3] != initiate:
            raise Deviation(f"ST-08 begins {answer[:3].hex(' ')}, ST-07 was {initiate.hex(' ')}")
        if len(answer) < 4 or answer[3] != 6:
            raise Deviation(f"result {answer[3:4].hex() or 'missing'}, not 6")


@check("D94b", "a piece of ST-07 starts nothing", ADVICE, Permit.PROCEDURES, seconds=4)
def procedure_by_offset(bench: Bench) -> None:
    """Two octets from the second on are no request."""
    if bench.master is None:
        raise NotApplicable("no password that allows procedures is known")
    initiate = unknown_initiate(bench, bench.rng.randrange(1, 250))
    tester = bench.session(room=True, password=bench.master)
    answer = tester.ask(OffsetWrite(WRITE_ONLY, 1, initiate)).want_served("writes by offset")
    answer.want_refusal()
