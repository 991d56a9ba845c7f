"""Whole tables and parts of them, whatever their size, in pieces that the device can do.

A transfer is an object that remembers how far it came: after a lost link its
script is run again in a new session and goes on where it stopped.  A write that
may have been carried out when the link failed is never repeated: only its caller
may decide (OutcomeUnknown).  One whose packet was NAKed each time, or that came after the end of
the session, was not carried out: a new session goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from protocols.c1218.steps import ClientLimits, Script
from protocols.errors import (
    LinkError,
    LocalProtocolError,
    OutcomeUnknown,
    PacketRefused,
    RemoteProtocolError,
    ServiceRefused,
    SessionOver,
    TableChecksumError,
)
from protocols.psem.codec import table_data
from protocols.psem.codes import ResponseCode, code_name
from protocols.psem.services import (
    FullRead,
    FullWrite,
    IndexRead,
    OffsetRead,
    OffsetWrite,
    Request,
    Response,
)
from protocols.quirks import Quirk

#: Octets so far, and in all where that is known.
Progress = Callable[[int, int | None], None]

#: The most octets of one table that a read by pieces collects (24-bit offset).
MAX_TABLE_OCTETS = 1 << 24
#: A piece that was refused is halved, down to this.
MIN_PIECE_OCTETS = 8
#: Elements of one level that a read by indices asks for.
MAX_ELEMENTS = 0xFFFF
MAX_INDICES = 9
#: What a Write by offset has more than a full one.
OFFSET_OCTETS = 3
#: What a device answers to a piece that it cannot give, or a service that it lacks.
_CANNOT = (ResponseCode.onp, ResponseCode.sns)
#: What it answers when its session is gone, or must begin anew.
SESSION_LOST = (ResponseCode.rno, ResponseCode.isss)


def check(request: Request, response: Response) -> Response:
    """Give a positive answer back; raise ServiceRefused for a negative one."""
    if not response.ok:
        raise ServiceRefused(response.code, code_name(response.code), told(request))
    return response


def ask_to_write(request: Request, table: int, confirmed: int = 0) -> Script[Response]:
    """Send a Write; OutcomeUnknown when no answer comes, or none that can be read."""
    try:
        return (yield request)
    except (PacketRefused, SessionOver):
        raise  # it was not carried out: a new session may write it
    except (LinkError, RemoteProtocolError) as error:
        raise OutcomeUnknown(f"write of table {table}", confirmed, error) from error


def told(request: Request) -> str:
    """Name a service for a person, with the table that it asks for if it asks for one."""
    table = getattr(request, "table", None)
    name = type(request).__name__
    return name if table is None else f"{name} of table {table}"


def read_block(request: Request, limits: ClientLimits) -> Script[bytes]:
    """Ask for table octets.  A wrong checksum is looked at a second time.

    A one's complement that comes twice is the meter's way (Q22); anything else
    is a TableChecksumError.
    """
    quirks, looks = limits.quirks, 0
    while True:
        response = check(request, (yield request))
        looks += 1
        try:
            data = table_data(response.data)
            quirks.forget(Quirk.ONES_COMPLEMENT)  # it was another meter
            return data
        except TableChecksumError as error:
            sure = looks == 2 or quirks.on(Quirk.ONES_COMPLEMENT)
            if sure and error.ones_complement and quirks.tolerates(Quirk.ONES_COMPLEMENT):
                quirks.note(Quirk.ONES_COMPLEMENT)
                return error.data
            if looks == 2:
                raise


@dataclass
class TableReading:
    """A table, or ``count`` octets of it from ``start`` on, being read.

    A whole table is asked for at once; where it is too long for one answer, by
    offsets; where the device cannot do that either, element by element.
    """

    table: int
    start: int = 0
    count: int | None = None
    progress: Progress | None = None
    data: bytearray = field(default_factory=bytearray)
    by_elements: bool = False

    def script(self, limits: ClientLimits) -> Script[bytes]:
        """Read what is still missing; what came element by element is begun anew."""
        if self.by_elements:
            self.data.clear()
        if self.count is not None or self.data:
            return (yield from self._part(limits))
        try:
            self._take((yield from read_block(FullRead(self.table), limits)))
            return bytes(self.data)
        except ServiceRefused as refusal:
            if refusal.code != ResponseCode.onp:
                raise
        try:
            if limits.offset_reads:
                return (yield from self._by_offsets(limits))
        except ServiceRefused as refusal:
            if self.data or refusal.code not in _CANNOT:
                raise
        self.by_elements = True
        try:
            yield from self._by_indices((), limits)
        except ServiceRefused as refusal:
            if self.data or refusal.code not in _CANNOT:
                raise
        if not self.data:
            read = f"table {self.table}, read in full, by offset and by index"
            raise ServiceRefused(ResponseCode.onp, "onp", read)
        limits.offset_reads = False
        return bytes(self.data)

    def _part(self, limits: ClientLimits) -> Script[bytes]:
        """Read by offsets; of a device that has none, the whole table and what is wanted of it."""
        try:
            return (yield from self._by_offsets(limits))
        except ServiceRefused as refusal:
            if self.data or refusal.code != ResponseCode.sns:
                raise
        whole = yield from read_block(FullRead(self.table), limits)
        end = len(whole) if self.count is None else self.start + self.count
        self._take(whole[self.start : end])
        return bytes(self.data)

    def _take(self, piece: bytes) -> None:
        self.data += piece
        if len(self.data) > MAX_TABLE_OCTETS:
            raise RemoteProtocolError(f"more than {MAX_TABLE_OCTETS} octets in one table")
        if self.progress is not None:
            self.progress(len(self.data), self.count)

    def _by_offsets(self, limits: ClientLimits) -> Script[bytes]:
        """Read pieces.  After a short one of a whole table more is asked for.

        It may be the last one, or all that the device gives at a time.
        """
        piece, short = limits.max_read, False
        while self.count is None or len(self.data) < self.count:
            size = piece if self.count is None else min(piece, self.count - len(self.data))
            request = OffsetRead(self.table, self.start + len(self.data), size)
            try:
                octets = yield from read_block(request, limits)
            except ServiceRefused as refusal:
                if short and refusal.code not in SESSION_LOST:
                    break  # the piece before was the last
                piece = self._smaller(size, refusal)
                if not piece:
                    break
                continue
            if len(octets) > size:
                raise RemoteProtocolError(f"{len(octets)} octets were sent, {size} were asked for")
            self._take(octets)
            short = len(octets) < size
            if short and (not octets or self.count is not None):
                break
            piece = len(octets) if short else piece
        return bytes(self.data)

    def _smaller(self, size: int, refusal: ServiceRefused) -> int:
        """Give the size to try after a piece was refused; 0 where no octet is left.

        It was too long for an answer, or went across the end, which not every device allows.
        """
        if refusal.code != ResponseCode.onp:
            raise refusal
        if self.data:
            return size // 2
        if size <= MIN_PIECE_OCTETS:
            raise refusal
        return max(MIN_PIECE_OCTETS, size // 2)

    def _by_indices(self, above: tuple[int, ...], limits: ClientLimits) -> Script[int]:
        """Read the elements below ``above`` one by one; give how many there were."""
        for number in range(MAX_ELEMENTS):
            request = IndexRead(self.table, (*above, number), 1)
            try:
                self._take((yield from read_block(request, limits)))
            except ServiceRefused as refusal:
                if refusal.code != ResponseCode.onp:
                    raise
                # There is no such element, or it is too long and must be read in parts.
                deepest = len(above) + 1 == MAX_INDICES
                if deepest or not (yield from self._by_indices((*above, number), limits)):
                    return number
        return MAX_ELEMENTS


@dataclass
class TableWriting:
    """A table, or octets of it from ``offset`` on, being written; ``written`` are confirmed."""

    table: int
    data: bytes = field(repr=False)
    offset: int | None = None
    progress: Progress | None = None
    written: int = 0

    def script(self, limits: ClientLimits) -> Script[None]:
        """Write what is not written yet.  A piece that was refused leaves the earlier ones."""
        if self.offset is None and not self.written and len(self.data) <= limits.max_write:
            yield from self._write(FullWrite(self.table, self.data), len(self.data))
            return
        room = limits.max_write - OFFSET_OCTETS
        if room < 1:
            raise LocalProtocolError("the granted packets are too small to write")
        while self.written < len(self.data):
            piece = self.data[self.written : self.written + room]
            at = (self.offset or 0) + self.written
            yield from self._write(OffsetWrite(self.table, at, piece), len(piece))

    def _write(self, request: Request, octets: int) -> Script[None]:
        check(request, (yield from ask_to_write(request, self.table, self.written)))
        self.written += octets
        if self.progress is not None:
            self.progress(self.written, len(self.data))
