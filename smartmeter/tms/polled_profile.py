"""How the new blocks of a plain meter's load profile are read: one ring, as a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.errors import MissingContextError, TableError
from ansi_tables.meaning.load_profile import LoadProfile
from ansi_tables.profile_blocks import ProfileShape, first_since, is_oldest, shape_of
from ansi_tables.profile_columns import whole_counts
from protocols.psem.codec import encode_request
from protocols.psem.codes import NOT_NOW
from protocols.psem.services import FullRead, OffsetRead
from smartmeter.tms.exchanges import Exchange, ExchangeFailed, ExchangeRefused, image_of
from smartmeter.tms.store.queries import Gaps

PROFILE_STATUS = 63
#: A ring that moves while it is read is read again so often.
ATTEMPTS = 3
#: What is missing where nothing is known.
EVERYTHING: Gaps = ((0, None),)
#: A read of a part has two octets for how long it is.
MAX_COUNT = 0xFFFF


class PolledRing:
    """One load-profile set of a meter, and what is missing of it.

    ``images`` are the tables that tell its shape; ``anew`` tells, once it was read, that the
    ring ends before what is known of it: it was cleared.  ``begin`` is the first interval of
    another meter's ring that is of this place.
    """

    def __init__(self, set_nbr: int, images: Mapping[int, bytes], gaps: Gaps) -> None:
        self.set_nbr, self._table = set_nbr, PROFILE_STATUS + set_nbr
        self._images, self._gaps = images, gaps
        self.anew = False
        self.begin: int | None = None

    def read(
        self, context_id: int, since_s: int | None, now_s: Callable[[], int]
    ) -> Exchange[tuple[dict[str, Any], ...]]:
        """Read the intervals that are missing, as runs; none where the meter refuses ST-63.

        ``since_s`` is given where another meter has taken over: the UTC second at which the one
        before was heard last.  What ended later is of this place; ``begin`` tells from where on.
        A ring that moves while it is read is read again, but for the blocks that stayed.

        ExchangeRefused where the meter refuses the data, or the tables that tell their form.
        ExchangeFailed where the ring moved each time, and where a meter that has taken over is
        busy: this poll must find where its list begins, as the next would take all of it.
        """
        kept: list[dict[str, Any]] = []
        left: Gaps | None = None
        for _ in range(ATTEMPTS):
            [answer] = before = yield [encode_request(FullRead(PROFILE_STATUS))]
            if answer[:1] != b"\0":
                if since_s is not None and (self.begin is not None or is_busy(answer)):
                    image_of(answer, "ST-63")  # fails
                return ()
            status = {PROFILE_STATUS: image_of(answer, "ST-63")}
            try:
                tables = Snapshot({**self._images, **status})
                self.anew = since_s is not None or self._began_anew(tables)
                missing = left if left is not None else EVERYTHING if self.anew else self._gaps
                data = yield from self._ring(tables, () if self.anew and left is None else missing)
                read = Snapshot({**tables.images, self._table: data}).load_profile(self.set_nbr)
                if since_s is not None:  # a session may have been waited for, so it counts now
                    self.begin = _first_since(read, (since_s, now_s()))
                    missing = ((self.begin, None),)
            except MissingContextError as error:
                raise ExchangeRefused(f"the load profile of the meter: {error}") from error
            except TableError as error:
                raise _nonsense(error) from error
            after = yield [encode_request(FullRead(PROFILE_STATUS))]
            block = f"LP_DATA_SET{self.set_nbr}.0.LP_INT.0"
            extended = tables.layout(self._table).has(f"{block}.EXTENDED_INT_STATUS")
            if after == before:
                return (*kept, *self._runs(read, missing, context_id, extended))
            still = self._untouched(tables, read, after[0]) if since_s is None else range(0)
            if still:
                kept += self._runs(read, _within(missing, still), context_id, extended)
                left = _without(missing, still)
        if kept:
            return tuple(kept)  # what is missing yet, the next poll brings
        raise ExchangeFailed("the load profile moved each time that it was read")

    def _untouched(self, before: Snapshot, read: LoadProfile, answer: bytes) -> range:
        """Give the intervals of the blocks that the meter did not write to while they were read."""
        shape, status = shape_of(before.layout(self._table), self.set_nbr), self._status_of(before)
        image = image_of(answer, "ST-63")
        try:
            after = self._status_of(Snapshot({**self._images, PROFILE_STATUS: image}))
        except TableError as error:
            raise _nonsense(error) from error
        step = after.LAST_BLOCK_SEQ_NBR - status.LAST_BLOCK_SEQ_NBR
        if shape is None or step < 0 or status.LP_SET_STATUS_FLAGS.ORDER or not read.sequences:
            return range(0)
        overwritten = after.LAST_BLOCK_SEQ_NBR - shape.blocks
        oldest = max(read.sequences[0] // shape.intervals, overwritten + 1)
        newest = read.sequences[-1] // shape.intervals
        return range(oldest * shape.intervals, newest * shape.intervals)

    def _status_of(self, tables: Snapshot) -> Any:
        return tables[PROFILE_STATUS][f"LP_STATUS_SET{self.set_nbr}"]

    def _began_anew(self, tables: Snapshot) -> bool:
        """Tell whether the ring ends before what is known of it."""
        shape, status = shape_of(tables.layout(self._table), self.set_nbr), self._status_of(tables)
        if shape is None or not self._gaps:
            return False
        following = status.LAST_BLOCK_SEQ_NBR * shape.intervals + status.NBR_VALID_INT
        return bool(self._gaps[-1][0] > following)

    def _ring(self, tables: Snapshot, gaps: Gaps) -> Exchange[bytes]:
        """Give the image of the data: with the blocks that have gaps, or all of it."""
        image = yield from self._blocks(tables, gaps)
        return (yield from self._whole()) if image is None else image

    def _blocks(self, tables: Snapshot, gaps: Gaps) -> Exchange[bytes | None]:
        """Give the image of the data in which the blocks with gaps were read; None: read all.

        All of it is to be read where there are no gaps, or many; where the pointers are not plain:
        another order, a newest block without a time, or one that the ends of its neighbours show
        to be the oldest; and where a block is longer than a read of a part can be.
        """
        layout = tables.layout(self._table)
        shape, status = shape_of(layout, self.set_nbr), self._status_of(tables)
        if shape is None or layout.size is None or shape.block_octets > MAX_COUNT:
            return None
        element, newest = status.LAST_BLOCK_ELEMENT, status.LAST_BLOCK_SEQ_NBR
        if not gaps or status.LP_SET_STATUS_FLAGS.ORDER or element >= shape.blocks:
            return None
        held = min(status.NBR_VALID_BLOCKS, shape.blocks)
        blocks = range(newest - held + 1, newest + 1)
        wanted = [one for one in blocks if one == newest or _is_missing(one, shape, gaps)]
        if 2 * len(wanted) > shape.blocks:
            return None
        image = bytearray(layout.size)
        begin = layout.field(f"LP_DATA_SET{self.set_nbr}.0")[0]
        for block in wanted:
            at = begin + (element - (newest - block)) % shape.blocks * shape.block_octets
            [octets] = yield from self._parts([at], shape.block_octets)
            image[at : at + shape.block_octets] = octets
            if block == newest and shape.end_value(octets[: shape.end_octets]) is None:
                return None
        if held == shape.blocks and shape.end_octets:
            near = (element, element - 1, element + 1)
            places = [begin + one % shape.blocks * shape.block_octets for one in near]
            if is_oldest(shape, *(yield from self._parts(places, shape.end_octets))):
                return None
        return bytes(image)

    def _parts(self, places: Sequence[int], count: int) -> Exchange[list[bytes]]:
        """Read so many octets at each place."""
        reads = [encode_request(OffsetRead(self._table, at, count)) for at in places]
        parts = [self._given(answer) for answer in (yield reads)]
        for octets in parts:
            if len(octets) != count:
                raise ExchangeFailed(f"ST-{self._table} gave {len(octets)} octets of {count}")
        return parts

    def _whole(self) -> Exchange[bytes]:
        [answer] = yield [encode_request(FullRead(self._table))]
        return self._given(answer)

    def _given(self, answer: bytes) -> bytes:
        """Give the octets of an answer; ExchangeRefused where it would be the same later."""
        try:
            return image_of(answer, f"ST-{self._table}")
        except ExchangeFailed as error:
            if answer[:1] in (b"", b"\0") or is_busy(answer):
                raise
            raise ExchangeRefused(str(error)) from error

    def _runs(
        self, read: LoadProfile, gaps: Gaps, context_id: int, extended: bool
    ) -> Iterator[dict[str, Any]]:
        """Give intervals as LOAD_PROFILE_PART has them, each run without a jump in sequence."""
        run: dict[str, Any] = {}
        for row, sequence in enumerate(read.sequences):
            if not any(
                begin <= sequence and (end is None or sequence < end) for begin, end in gaps
            ):
                continue
            values = whole_counts(channel.raw[row] for channel in read.channels)
            if values is None:
                continue
            if not run or sequence != run["FIRST_SEQUENCE"] + len(run["INTERVALS"]):
                if run:
                    yield run
                run = {"SET": self.set_nbr, "FIRST_SEQUENCE": sequence}
                run |= {"INT_LENGTH_S": read.interval_s, "CONTEXT_ID": context_id, "INTERVALS": []}
            status = _status(read, row) if extended else bytes([read.valid[row]])
            end_s = read.ends_utc_s[row]
            run["INTERVALS"].append({"END_TIME": end_s, "STATUS": status, "VALUES": values})
        if run:
            yield run


def is_busy(answer: bytes) -> bool:
    """Tell whether what was refused may be had later."""
    return bool(answer) and answer[0] in NOT_NOW


def _nonsense(error: TableError) -> ExchangeFailed:
    return ExchangeFailed(f"the load profile of the meter: {error}")


def _first_since(read: LoadProfile, between: tuple[int, int]) -> int:
    """Give the first interval of another meter that is of this place, by number and by its time.

    By number alone, one too many where that which ends just now is not in the ring yet.
    """
    since_s, sequences = between[0], read.sequences
    following = sequences[-1] + 1 if sequences else 0
    oldest = sequences[0] if sequences else 0
    first = first_since(oldest, following, read.interval_s, between)
    later = (
        sequence
        for sequence, end_s in zip(sequences, read.ends_utc_s, strict=True)
        if sequence >= first and (not end_s or end_s > since_s)
    )
    return next(later, following)


def _within(gaps: Gaps, part: range) -> Gaps:
    """Give what of gaps lies in a part."""
    return [
        (max(begin, part.start), min(part.stop, part.stop if end is None else end))
        for begin, end in gaps
    ]


def _without(gaps: Gaps, part: range) -> Gaps:
    """Give what of gaps lies beside a part."""
    found: list[tuple[int, int | None]] = []
    for begin, end in gaps:
        if begin < part.start:
            found.append((begin, part.start if end is None else min(end, part.start)))
        if end is None or end > part.stop:
            found.append((max(begin, part.stop), end))
    return found


def _is_missing(block: int, shape: ProfileShape, gaps: Gaps) -> bool:
    first, end = block * shape.intervals, (block + 1) * shape.intervals
    return any(begin < end and (until is None or until > first) for begin, until in gaps)


def _status(read: LoadProfile, row: int) -> bytes:
    """Give the valid flag and EXTENDED_INT_STATUS: common flags, then a code a channel."""
    nibbles = [read.common[row], *(channel.status_codes[row] for channel in read.channels)]
    nibbles += [0] * (len(nibbles) % 2)
    pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
    return bytes([read.valid[row]]) + bytes(high << 4 | low for high, low in pairs)
