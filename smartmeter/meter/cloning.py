"""Clone a meter: find out, by reading only, all that its twin must know.

One session without a password, in which everything is tried that ST-00 lists; then, with a
password, what was refused.  Nothing is written, no wrong password is tried, no table is
asked for that could change a meter: Negotiate, Wait and reads are all that is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from operator import eq
from statistics import median
from typing import Any

from ansi_tables import DeviceFormat, Snapshot, TableError
from ansi_tables.rendering import text_shown
from protocols.c1218.grant import MIN_PACKET_OCTETS
from protocols.c1218.scripts import LogonSettings, read_part, read_table
from protocols.c1218.steps import ClientLimits, Script
from protocols.c1218.transfer import SESSION_LOST, check, read_block
from protocols.datalink.link import DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS
from protocols.errors import RemoteProtocolError, ServiceRefused, SessionEnded, Unanswered
from protocols.psem.codes import BAUD_CODES, BAUDS, ResponseCode
from protocols.psem.services import (
    DefaultRead,
    Identify,
    IndexRead,
    Logon,
    Negotiate,
    OffsetRead,
    Request,
    Response,
    Security,
    Terminate,
    Wait,
)
from smartmeter.base.errors import SmartMeterError
from smartmeter.meter.image import MAX_DELAY_MS, MeterImage, Timings
from smartmeter.meter.living import CLOCKS
from smartmeter.meter.moving_table import MOVING, Part, settled

#: What is asked for, to learn what is granted.
LARGEST_PACKET, MOST_PACKETS = 8192, 255
#: Delays are kept on this grid: coarser than the noise of a computer, so that clones are equal.
GRID_MS = 50
#: A table is slow when it takes this much longer than the median.
SLOW_MS = 250
#: An exchange as observed: from the request to the ACK, and from there to the answer.
Exchange = tuple[int, int]


@dataclass(frozen=True)
class CloneSettings:
    """How to open the session, and whether to ask for every baud rate.

    ``prove`` is a script that runs after the logon, with the identification: in a call.
    ``read`` is how a whole table is read there.
    """

    logon: LogonSettings = field(default_factory=LogonSettings)
    try_bauds: bool = True
    prove: Callable[[bytes], Script[bool | None]] | None = None
    read: Callable[[int, ClientLimits], Script[bytes]] = read_table


class Cloning:
    """What is known of a meter so far; ``script`` goes on from there, as often as needed.

    ``exchanges`` gives the exchanges observed since it was last called;
    ``step`` is told (tables done, tables in all) after each.  ``earlier`` is what an
    interrupted clone left; SmartMeterError with its name when that is of another meter.
    """

    #: Refusals that tell of a lost session, not of a table.
    lost: tuple[ResponseCode, ...] = SESSION_LOST

    def __init__(
        self,
        settings: CloneSettings,
        exchanges: Callable[[], list[Exchange]],
        step: Callable[[int, int], None],
        earlier: MeterImage | None = None,
        earlier_name: str = "the earlier clone",
    ) -> None:
        self._settings = settings
        self._exchanges = exchanges
        self._step = step
        self._earlier, self._earlier_name = earlier, earlier_name
        start = earlier or MeterImage({})
        self.tables = dict(start.tables)
        self.refused = dict(start.refused)
        self.locked = dict(start.locked)
        self.link = start.link
        self.unlisted = start.unlisted
        self.password_accepted: bool | None = None
        self.reading: int | None = None
        self.skipped: set[int] = set()
        self.faults: dict[int, str] = {}
        self._listed: list[int] = []
        self._delays: dict[int, list[Exchange]] = {}

    def script(self, limits: ClientLimits) -> Script[None]:
        """Give the script of one session, from Identify to the last table."""
        yield from self._open()
        yield from self._look_at_services()
        yield from self._read_first(limits)
        for number in self._todo():
            yield from self._read(number, limits)
        if self._settings.logon.password is not None:
            yield from self._read_locked(self._settings.logon.password, limits)
        yield from self._if_it_answers(self._read_moved(limits))
        yield from self._if_it_answers(self._read_clock(limits))
        yield from self._read_unlisted()
        yield from self._read_at_the_end()
        yield from self._read_default(limits)
        for number in self._slow():
            before = self.tables[number]
            yield from self._read(number, limits, again=True)
            self.tables[number] = before  # as of the moment of the others

    def image(self) -> MeterImage:
        """Give what is known as an image; ``missing`` says whether something is left to do."""
        delays = [exchange for found in self._delays.values() for exchange in found]
        tables = {n: _on_grid(min(e[1] for e in self._delays[n])) for n in self._slow()}
        timings = Timings(
            _on_grid(median(e[0] for e in delays) if delays else 0),
            _on_grid(median(e[1] for e in delays) if delays else 0),
            tables,
        )
        missing = tuple(n for n in self._listed if n not in self.tables and n not in self.refused)
        return MeterImage(
            dict(self.tables),
            identity_of(self.tables),
            self.link,
            dict(self.refused),
            dict(self.locked),
            self.unlisted,
            timings,
            missing=missing if self._listed else (0,),
        )

    def _open(self) -> Script[None]:
        """Open the session, and learn how the meter behaves below its tables."""
        yield from self._survey_link()
        logon = Logon(self._settings.logon.user_id, self._settings.logon.user)
        check(logon, (yield logon))
        if self._settings.prove is not None:
            yield from self._settings.prove(self.link.identification)

    def _survey_link(self) -> Script[None]:
        """Identify, and learn in ID state what Negotiate grants."""
        identify = Identify()
        response = yield identify
        if response.code == ResponseCode.isss:
            yield Terminate()
            response = yield identify
        identification = check(identify, response).data
        if self._earlier is not None and identification != self._earlier.link.identification:
            raise self._another_meter("its identification differs")
        self.link = replace(self.link, identification=identification)
        granted = yield Negotiate(LARGEST_PACKET, MOST_PACKETS)
        if not granted.ok or len(granted.data) < 3:
            self._refuses(Negotiate, _code(granted))
            return
        octets, packets = int.from_bytes(granted.data[:2], "big"), granted.data[2]
        if octets < MIN_PACKET_OCTETS or not packets:
            octets, packets = DEFAULT_PACKET_OCTETS, DEFAULT_PACKETS  # no client can go by it
        bauds = self.link.bauds
        if self._settings.try_bauds and self._earlier is None:
            bauds = yield from _granted_bauds()
        self.link = replace(
            self.link,
            packet_octets=min(octets, LARGEST_PACKET),
            packets=packets,
            bauds=bauds,
        )

    def _refuses(self, service: type[Request], code: ResponseCode = ResponseCode.sns) -> None:
        """Note that the meter lacks a service, and what it says to it."""
        refusals = {**self.link.refusals, service.__name__: code}
        self.link = replace(self.link, refusals=refusals)

    def _look_at_services(self) -> Script[None]:
        """Learn which services the meter lacks: a Wait of the default, and single octets read."""
        trials: tuple[Request, ...] = (Wait(6), OffsetRead(0, 0, 1), IndexRead(0, (0,), 1))
        for request in trials:
            response = yield from _tried(request)
            if response is not None and response.code == ResponseCode.sns:
                self._refuses(type(request))

    def _read_first(self, limits: ClientLimits) -> Script[None]:
        """Read ST-00, which lists the others, and ST-01, which tells whose they are."""
        before = {n: self.tables.get(n) for n in (0, 1)}
        for number in before:
            yield from self._read(number, limits)
        if 0 not in self.tables:
            raise SmartMeterError(
                "ST-00",
                f"refused with {self.refused[0].name}: what the meter holds is not known",
                "give the password: --ask-password",
            )
        if any(old is not None and old != self.tables.get(n) for n, old in before.items()):
            raise self._another_meter("ST-00 or ST-01 differs")
        try:
            fmt = DeviceFormat.from_table0(self.tables[0])
        except TableError as error:
            raise RemoteProtocolError(str(error)) from error
        self._listed = sorted(fmt.listed_tables | {0, 1})

    def _another_meter(self, why: str) -> SmartMeterError:
        text = f"holds the clone of another meter: {why}"
        return SmartMeterError(self._earlier_name, text, "choose another file, or remove this one")

    def _todo(self) -> Iterator[int]:
        for number in self._listed:
            known = number in self.tables or number in self.refused
            if not known and number not in self.skipped:
                yield number

    def _read(self, number: int, limits: ClientLimits, again: bool = False) -> Script[None]:
        self.reading = number
        self._exchanges()
        try:
            self.tables[number] = yield from self._settings.read(number, limits)
            self.refused.pop(number, None)
        except ServiceRefused as error:
            if error.code in self.lost:
                raise SessionEnded(str(error)) from error
            self.refused[number] = _named(error.code)
        except (RemoteProtocolError, Unanswered) as error:
            if number == 0:
                raise
            self.skipped.add(number)
            self.faults[number] = str(error)
        if (observed := self._exchanges()) and number in self.tables:
            self._delays.setdefault(number, []).append(observed[0])
        self.reading = None
        if not again:
            self._step(len(self.tables) + len(self.refused), max(len(self._listed), 2))

    def _read_locked(self, password: bytes, limits: ClientLimits) -> Script[None]:
        """Give the password, and read what was refused without it."""
        security = Security(password)
        response = yield security
        if response.code == ResponseCode.sns:
            self._refuses(Security)
            return
        self.password_accepted = response.ok
        if not response.ok:
            return
        for number, code in sorted(self.refused.items()):
            if number in self.skipped:
                continue
            yield from self._read(number, limits)
            if self.refused.get(number) != code:
                self.locked.setdefault(number, code)

    def _if_it_answers(self, script: Script[None]) -> Script[None]:
        """Read once more what was read before; where that fails, it stays as it was."""
        try:
            yield from script
        except ServiceRefused as error:
            if error.code in self.lost:
                raise SessionEnded(str(error)) from error
        except (RemoteProtocolError, Unanswered):
            return

    def _read_moved(self, limits: ClientLimits) -> Script[None]:
        """Read again what the meter has put into its lists while they were read."""
        tables = Snapshot(self.tables)
        parts = settled(tables, MOVING)
        try:
            part = next(parts)
            while True:
                part = parts.send((yield from self._read_part(part, limits)))
        except StopIteration:
            self.tables.update(tables.images)

    def _read_clock(self, limits: ClientLimits) -> Script[None]:
        """Read the clock again, so that none of the lists is ahead of it."""
        for number in CLOCKS:
            if number in self.tables:
                self.tables[number] = yield from self._settings.read(number, limits)

    def _read_part(self, part: Part, limits: ClientLimits) -> Script[bytes]:
        if part.octets is None:
            return (yield from self._settings.read(part.table, limits))
        return (yield from read_part(part.table, part.offset, part.octets, limits))

    def _read_unlisted(self) -> Script[None]:
        """Learn the code for a table that is not there; one that answers is left alone."""
        fmt = DeviceFormat.from_table0(self.tables[0])
        absent = [n for n in range(8 * fmt.dim_std_tbls_used) if n not in fmt.std_tbls_used]
        if absent:
            response = yield from _tried(OffsetRead(absent[-1], 0, 1))
            if response is not None and not response.ok and response.code != ResponseCode.sns:
                self.unlisted = _code(response)

    def _read_at_the_end(self) -> Script[None]:
        """Learn what a read that crosses a table's end gives, and a read of nothing."""
        if "OffsetRead" in self.link.refusals:
            return
        crossing = yield from _tried(OffsetRead(0, len(self.tables[0]) - 1, 2))
        nothing = yield from _tried(OffsetRead(0, 0, 0))
        if crossing is None or nothing is None:
            return
        zero_count = self.link.zero_count if nothing.ok else _code(nothing)
        self.link = replace(self.link, past_end=crossing.ok, zero_count=zero_count)

    def _read_default(self, limits: ClientLimits) -> Script[None]:
        """Learn which table the default read gives: the one whose octets are most like it."""
        try:
            octets = yield from read_block(DefaultRead(), limits)
        except ServiceRefused as error:
            if error.code == ResponseCode.sns:
                self._refuses(DefaultRead)
            return
        except (RemoteProtocolError, Unanswered):
            return  # which table it was cannot be told
        alike = {
            number: sum(map(eq, octets, image))
            for number, image in sorted(self.tables.items())
            if len(image) == len(octets)
        }
        if alike:
            self.link = replace(self.link, default_table=max(alike, key=alike.__getitem__))

    def _slow(self) -> list[int]:
        """Give the tables that took much longer than the others, each time they were read."""
        usual_us = median([e[1] for found in self._delays.values() for e in found] or [0])
        return [
            number
            for number, found in sorted(self._delays.items())
            if min(e[1] for e in found) - usual_us >= SLOW_MS * 1000
        ]


class NetworkCloning(Cloning):
    """A meter cloned over C12.22, where each message stands alone.

    Of its optical port and of its delays nothing is seen: the image has the defaults.
    """

    lost = ()

    def _open(self) -> Script[None]:
        check(Identify(), (yield Identify()))


def _tried(request: Request) -> Script[Response | None]:
    """Ask for what a meter may lack; None where it gives no answer to that."""
    try:
        return (yield request)
    except Unanswered:
        return None


def _granted_bauds() -> Script[tuple[int, ...]]:
    """Offer each baud rate alone; slow ones first, and 9600 last, at which all began."""
    granted = []
    for baud in sorted(BAUD_CODES, key=lambda baud: (baud == 9600, baud)):
        response = yield Negotiate(LARGEST_PACKET, MOST_PACKETS, (BAUD_CODES[baud],))
        if response.ok and len(response.data) > 3 and BAUDS.get(response.data[3]) == baud:
            granted.append(baud)
    return tuple(sorted(granted))


def _code(response: Response) -> ResponseCode:
    return _named(response.code) if not response.ok else ResponseCode.err


def _named(code: int) -> ResponseCode:
    """Give a response code by its name; a private one becomes ``err``."""
    return ResponseCode(code) if code in list(ResponseCode) else ResponseCode.err


def _on_grid(delay_us: float) -> int:
    return min(int(delay_us) // 1000 // GRID_MS * GRID_MS, MAX_DELAY_MS)


def identity_of(tables: dict[int, bytes]) -> dict[str, Any]:
    """Give maker, model and serial number for a person, as far as ST-01 decodes."""
    try:
        manufacturer = Snapshot(tables)[1]
    except (KeyError, TableError):
        return {}
    names = {"manufacturer": "MANUFACTURER", "model": "ED_MODEL", "serial": "MFG_SERIAL_NUMBER"}
    return {
        key: text_shown(manufacturer[name]) for key, name in names.items() if name in manufacturer
    }
