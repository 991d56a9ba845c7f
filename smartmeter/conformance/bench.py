"""What checks stand on: a device under test, what is known of it, what may be done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Protocol

from ansi_tables import DeviceFormat, Snapshot, TableError
from protocols.crc import crc16
from protocols.datalink.packet import STP
from protocols.errors import RemoteProtocolError
from protocols.psem.codec import table_data
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, Logon, OffsetRead, Security, Wait
from protocols.shown_by_repr import ShownByRepr
from smartmeter.conformance.line import Line
from smartmeter.conformance.line_rules import OPTICAL, LineRules
from smartmeter.conformance.tester import Answer, Tester
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

#: What is asked for where a check needs room; devices grant less.
ROOM_OCTETS, ROOM_PACKETS = 1024, 64
#: The most octets that the bench reads of one table.
MAX_READ_OCTETS = 1 << 18
WRITE_ONLY = 7
#: What an answer to Read has beside the table's octets: code, count and checksum.
TABLE_OVERHEAD_OCTETS = 4
#: A check that fails is run so often, and must fail so often; for lines have noise.
TRIES, FAILURES = 3, 2
#: Sessions that are drawn.
EXAMPLES = 20


class Permit(Enum):
    """What a person must allow; without it the bench changes nothing and annoys nobody."""

    WRITES = "writes"
    PROCEDURES = "procedures"
    ATTACKS = "attacks"


@dataclass(frozen=True)
class Profile:
    """What the device claims; a check that needs more is not applicable."""

    name: str = ""
    user_id: int = 0
    user: bytes = b""
    lacks: frozenset[str] = frozenset()
    bauds: tuple[int, ...] = ()


class Journal(Protocol):
    """Where what must be undone is kept, before it is done."""

    def note(self, table: int, original: bytes) -> None:
        """Keep the original of a table durably, until ``undone``."""

    def undone(self, table: int) -> None:
        """Forget it: the original is back."""


class NoJournal:
    """For a device that need not be put right afterwards: a simulated one."""

    def note(self, table: int, original: bytes) -> None:
        """Keep nothing."""

    def undone(self, table: int) -> None:
        """Forget nothing."""


@dataclass(repr=False)
class Bench(ShownByRepr):
    """A device under test.  ``reader`` and ``master`` are passwords, where they are known.

    ``call_key`` is id and key of single DES, for the Authenticate of C12.21.

    A failure must repeat ``failures`` of ``tries`` times; ``examples`` sessions are drawn,
    until ``until_us`` at most.
    """

    tester: Tester
    rng: Random
    profile: Profile = field(default_factory=Profile)
    reader: bytes | None = None
    master: bytes | None = None
    call_key: tuple[int, bytes] | None = None
    permits: frozenset[Permit] = frozenset()
    journal: Journal = field(default_factory=NoJournal)
    now_utc_s: Callable[[], int] | None = None
    tries: int = TRIES
    failures: int = FAILURES
    examples: int = EXAMPLES
    until_us: int | None = None
    tables: dict[int, bytes] = field(default_factory=dict)
    refused: dict[int, ResponseCode] = field(default_factory=dict)
    _listed: tuple[int, ...] | None = None

    @classmethod
    def on(cls, line: Line, seed: int = 1, rules: LineRules = OPTICAL, identity: int = 0) -> Bench:
        """Give a bench on a line, with nothing but defaults; ``identity`` is the device's."""
        return cls(Tester(line, rules, identity), Random(seed))

    def need(self, service: str) -> None:
        """Want that the profile does not deny a service."""
        if service in self.profile.lacks:
            raise NotApplicable(f"the profile says that the device has no {service}")

    @property
    def password(self) -> bytes | None:
        """Give the least password that is known: the reader's, else the master's."""
        return self.reader or self.master

    def need_password(self) -> bytes:
        """Give the least password; NotApplicable where none is known."""
        if self.password is None:
            raise NotApplicable("no password is known")
        return self.password

    @property
    def rules(self) -> LineRules:
        """Give what holds on this line."""
        return self.tester.rules

    def need_speeds(self) -> None:
        """Want that the speed of the line is the device's, not a modem's."""
        if self.rules.is_call:
            raise NotApplicable("in a call the speed is the modems'")

    def spent(self) -> bool:
        """Tell whether the time for this run is over."""
        return self.until_us is not None and self.tester.now_us() >= self.until_us

    # States.

    def base(self) -> Tester:
        """Bring the device to Base state."""
        self.tester.base()
        return self.tester

    def id_state(self) -> Tester:
        """Bring the device to ID state, by way of Base."""
        tester = self.base()
        tester.identify()
        return tester

    def session(self, room: bool = False, password: bytes | None = None) -> Tester:
        """Bring the device to Session state, by way of Base."""
        tester = self.id_state()
        if room and "Negotiate" not in self.profile.lacks:
            tester.negotiate(ROOM_OCTETS, ROOM_PACKETS)
        self.begin_session(password)
        return tester

    def begin_session(self, password: bytes | None) -> None:
        """Bring the device from ID state to Session state, with a password if one is given."""
        self.tester.ask(self.logon()).want(ResponseCode.ok)
        if password is not None:
            self.prove(password)

    def logon(self) -> Logon:
        """Give the Logon of the profile."""
        return Logon(self.profile.user_id, self.profile.user)

    def prove(self, password: bytes) -> None:
        """Want that a password which is known to be right is accepted."""
        self.need("Security")
        self.tester.ask(Security(password)).want_served("Security").want(ResponseCode.ok)

    def best_session(self) -> Tester:
        """Bring the device to Session state with room, and with a password if one is known."""
        return self.session(room=True, password=self.password)

    def in_session(self) -> bool:
        """Tell whether the device serves reads, by one that every device allows or refuses."""
        return self.tester.ask(FullRead(0)).code != ResponseCode.isss

    def want_session(self, basis: Basis | None = None) -> None:
        """Want that the device still serves reads."""
        if not self.in_session():
            raise Deviation("the session has ended", basis)

    # Tables.

    def read(self, table: int) -> bytes:
        """Read a whole table in the session that is open; Deviation when its answer is wrong."""
        answer = self.tester.ask(FullRead(table))
        if answer.code != ResponseCode.onp:
            return octets_of(answer.want(ResponseCode.ok))
        found = bytearray()
        while len(found) < MAX_READ_OCTETS:
            room = self.tester.room_octets - TABLE_OVERHEAD_OCTETS
            answer = self.tester.ask(OffsetRead(table, len(found), min(room, 0xFFFF)))
            if found and answer.code == ResponseCode.onp:
                break
            piece = octets_of(answer.want(ResponseCode.ok))
            found += piece
            if len(piece) < room:
                break
        return bytes(found)

    def table(self, number: int) -> bytes:
        """Give a table, read once in a session of its own; NotApplicable where it is refused."""
        if number not in self.tables and number not in self.refused:
            self.best_session()
            self.load((number,))
        if number in self.tables:
            return self.tables[number]
        code = self.refused[number]
        raise NotApplicable(f"table {number} is refused with {code.name}")

    def load(self, numbers: tuple[int, ...]) -> None:
        """Read tables that are not known yet, in the session that is open."""
        for number in numbers:
            if number in self.tables or number in self.refused:
                continue
            answer = self.tester.ask(FullRead(number))
            if answer.ok or answer.code == ResponseCode.onp:
                self.tables[number] = octets_of(answer) if answer.ok else self.read(number)
            elif answer.code in list(ResponseCode):
                self.refused[number] = ResponseCode(answer.code)
            else:
                raise Deviation(f"table {number}: response code {answer.code:02X}H")

    @property
    def format(self) -> DeviceFormat:
        """Give what ST-00 says."""
        try:
            return DeviceFormat.from_table0(self.table(0))
        except TableError as error:
            raise Deviation(f"ST-00: {error}") from error

    def listed(self) -> tuple[int, ...]:
        """Give the ids of the tables that ST-00 lists."""
        if self._listed is None:
            self._listed = tuple(sorted(self.format.listed_tables))
        return self._listed

    def unlisted(self) -> int:
        """Give a standard table that ST-00 does not list; NotApplicable when it lists all."""
        fmt = self.format
        absent = [n for n in range(2, 2040) if n not in fmt.std_tbls_used]
        if not absent:
            raise NotApplicable("ST-00 lists every table")
        return self.rng.choice(absent[:60])

    def snapshot(self) -> Snapshot:
        """Read all that is listed and allowed, once, and give it decoded on demand."""
        numbers = self.listed()
        missing = [n for n in numbers if n not in self.tables and n not in self.refused]
        if missing:
            self.best_session()
            self.load(tuple(numbers))
        return Snapshot(self.tables)

    def table_of(self, octets: int) -> int:
        """Give a table that can be read and has so many octets; NotApplicable without one."""
        for number, image in sorted(self.snapshot().images.items()):
            if len(image) >= octets:
                return number
        raise NotApplicable(f"no readable table has {octets} octets")

    def public(self) -> int:
        """Begin a session with room, and give a table that it reads without a password."""
        tester = self.session(room=True)
        for number in (0, 1, 5, 3, 2):
            if tester.ask(FullRead(number)).ok:
                return number
        raise NotApplicable("no table is read without a password")

    def wait(self, seconds: int) -> Answer:
        """Ask for a Wait; NotApplicable where the device has none."""
        self.need("Wait")
        return self.tester.ask(Wait(seconds)).want_served("Wait")


def octets_of(answer: Answer) -> bytes:
    """Give the table octets of a Read's answer; Deviation when count or checksum are wrong."""
    try:
        return table_data(answer.data)
    except RemoteProtocolError as error:
        raise Deviation(str(error)) from error


def damaged(octets: bytes, bits: int) -> bytes:
    """Give octets with some bits of the last one turned round."""
    return octets[:-1] + bytes((octets[-1] ^ bits,))


def raw(ctrl: int, seq_nbr: int, length: int, data: bytes) -> bytes:
    """Build a packet of identity 0 and any header, with the checksum that fits its octets."""
    head = bytes((STP, 0, ctrl, seq_nbr)) + length.to_bytes(2, "big") + data
    return head + crc16(head).to_bytes(2, "little")


@dataclass(frozen=True)
class Check:
    """One thing that a device must do, and what that rests on."""

    name: str
    group: str
    title: str
    basis: Basis
    act: Callable[[Bench], None]
    needs: Permit | None = None
    seconds: float = 1.0


#: The groups, in the order in which they run: attacks may lock a meter, so they come last.
GROUPS = (
    "line",
    "packet",
    "session",
    "services",
    "access",
    "tables",
    "timing",
    "call",
    "security",
    "robustness",
)
#: Only planned in a telephone call.
CALL_GROUP = "call"
_checks: dict[str, Check] = {}


def in_group(
    group: str,
    name: str,
    title: str,
    basis: Basis = Basis.TWO_SOURCES,
    needs: Permit | None = None,
    seconds: float = 1.0,
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Register a function as a check; ``seconds`` is what it takes on a line of 9600 baud.

    A file of checks, all of one group, calls it ``check``.
    """
    assert group in GROUPS and name not in _checks, name

    def enter(act: Callable[[Bench], None]) -> Callable[[Bench], None]:
        _checks[name] = Check(name, group, title, basis, act, needs, seconds)
        return act

    return enter


def all_checks() -> list[Check]:
    """Give all checks, in the order in which they run."""
    import smartmeter.conformance.checks  # noqa: F401 - registers them

    attacks = [each for each in _checks.values() if each.needs is Permit.ATTACKS]
    others = [each for each in _checks.values() if each.needs is not Permit.ATTACKS]
    return [
        each
        for some in (others, attacks)
        for group in GROUPS
        for each in some
        if each.group == group
    ]
