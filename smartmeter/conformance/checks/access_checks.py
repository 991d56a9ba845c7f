"""Group *access*: whole tables, pieces of them and their elements are one thing (C12.19 8)."""

from __future__ import annotations

from functools import partial

from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, IndexRead, OffsetRead
from smartmeter.conformance.bench import TABLE_OVERHEAD_OCTETS, Bench, in_group, octets_of
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "access")
ok = ResponseCode.ok
#: Tables that move by themselves, or are a flood: pieces of them are no whole.
MOVING = {3, 7, 8, 27, 28, 52, 55}
MAX_OCTETS = 4_000


def _still(bench: Bench) -> list[int]:
    """Give tables that stand still: read twice, they are equal."""
    images = bench.snapshot().images
    names = [n for n in bench.listed() if n in images and n not in MOVING]
    fit = [n for n in names if 0 < len(images[n]) <= MAX_OCTETS]
    if not fit:
        raise NotApplicable("no readable table of a size that the bench reads in pieces")
    return fit


@check("A01", "a table read by offsets is the table read whole", seconds=20)
def offsets_are_the_whole(bench: Bench) -> None:
    """Pieces of drawn sizes, of up to six drawn tables."""
    numbers = _still(bench)
    tester = bench.best_session()
    tester.ask(OffsetRead(0, 0, 1)).want_served("reads by offset")
    for number in bench.rng.sample(numbers, min(6, len(numbers))):
        whole, joined = bench.read(number), bytearray()
        while len(joined) < len(whole):
            count = bench.rng.choice((1, 7, 48, 200))
            room = tester.room_octets - TABLE_OVERHEAD_OCTETS
            count = min(count * 4, len(whole) - len(joined), room)
            joined += octets_of(tester.ask(OffsetRead(number, len(joined), count)).want(ok))
        if bytes(joined) != whole and bench.read(number) == whole:
            at = next(
                n for n, pair in enumerate(zip(joined, whole, strict=False)) if pair[0] != pair[1]
            )
            raise Deviation(f"table {number}: octet {at} differs between offsets and whole")


@check("A02", "a slice is the same whatever is negotiated", seconds=10)
def limits_change_no_octet(bench: Bench) -> None:
    """Under 64 x 1, under what the device grants, and again: a log of sessions moves meanwhile."""
    number = bench.rng.choice(_still(bench))
    whole = bench.tables[number]
    at = bench.rng.randrange(len(whole))
    slices = []
    for room in (False, True, False):
        tester = bench.session(room=room, password=bench.password)
        answer = tester.ask(OffsetRead(number, at, min(48, len(whole) - at)))
        slices.append(octets_of(answer.want_served("reads by offset").want(ok)))
    if slices[0] == slices[2] != slices[1]:
        raise Deviation(f"table {number}, offset {at}: octets differ with the packet size")


@check("A03", "elements read by index are those of the whole table", Basis.MEMORY, seconds=12)
def indices_are_the_whole(bench: Bench) -> None:
    """Elements of the first level, one after the other; sns is no fault."""
    method = bench.format.data_access_method
    tester = bench.best_session()
    number = 1 if 1 in bench.listed() else 0
    whole = bench.read(number)
    joined = bytearray()
    for index in range(64):
        answer = tester.ask(IndexRead(number, (index,), 1))
        if answer.code == ResponseCode.sns and method & 2:
            raise Deviation("ST-00 announces reads by index, and they are sns")
        if answer.want_served("reads by index").code == ResponseCode.onp:
            break
        joined += octets_of(answer.want(ok))
    if bytes(joined) != whole:
        raise Deviation(f"the elements of table {number} are not its {len(whole)} octets")
    first, two = (octets_of(tester.ask(IndexRead(number, (0,), n)).want(ok)) for n in (1, 2))
    if len(two) <= len(first) or two != whole[: len(two)]:
        raise Deviation(f"two elements of table {number} are {len(two)} octets, one {len(first)}")


@check("A04", "the access methods are those that ST-00 announces", Basis.ONE_SOURCE, seconds=3)
def announced_methods(bench: Bench) -> None:
    """DATA_ACCESS_METHOD: bit 0 offsets, bit 1 indices."""
    method = bench.format.data_access_method
    tester = bench.best_session()
    ways = ((1, "offset", OffsetRead(0, 0, 1)), (2, "index", IndexRead(0, (0,), 1)))
    for bit, name, request in ways:
        answer = tester.ask(request)
        if method & bit:
            answer.want(ok)
        elif answer.ok:
            text = f"reads by {name} work, and ST-00 does not announce them"
            raise Deviation(text, Basis.RECOMMENDATION)


@check("A05", "a table gives the same octets twice", seconds=8)
def reads_are_repeatable(bench: Bench) -> None:
    """Configuration does not move: ST-00, ST-01 and the actual tables."""
    fixed = [n for n in (0, 1, 11, 21, 31, 41, 51, 61, 71) if n in bench.snapshot().images]
    tester = bench.best_session()
    for number in fixed:
        answer = tester.ask(FullRead(number))
        if answer.ok and octets_of(answer) != bench.tables[number]:
            raise Deviation(f"table {number} has changed since it was first read")
