"""Group *security*: rights, and what wrong passwords do (C12.18 4.7, C12.19 decade 4)."""

from __future__ import annotations

from functools import partial

from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, Logoff, OffsetRead, Security
from smartmeter.conformance.bench import Bench, Permit, in_group, octets_of
from smartmeter.conformance.checks.write_checks import safe_table_of, unknown_initiate
from smartmeter.conformance.verdicts import Basis, Deviation, NotApplicable

check = partial(in_group, "security")
ok, isc, sns = ResponseCode.ok, ResponseCode.isc, ResponseCode.sns
#: How a device may refuse a password: bsy while it looks at none, sme where several were tried.
REFUSALS = (ResponseCode.err, isc, ResponseCode.sme, ResponseCode.bsy)
#: A password that no device has.
WRONG_PASSWORD = b"no password at all"
SECRET_TABLES = {42: "passwords", 45: "keys"}
#: What a thief tries first; never a password of the device (they are left out).
DICTIONARY = (
    *b"0000 00000000 1111 1234 12345678 admin ADMIN password default guest MASTER meter".split(),
    *b"METER OPERATOR PSEM READER root secret test utility".split(),
    b"",
    b"\0" * 20,
    b"\xff" * 20,
)
LOCK_REST_US = 11_000_000


def protected_table_of(bench: Bench) -> int:
    """Give a table that is refused without a password and readable with it."""
    bench.need_password()
    bench.snapshot()
    tester = bench.session(room=True)
    for number in bench.listed():
        if number in bench.tables and tester.ask(FullRead(number)).code == isc:
            return number
    raise NotApplicable("no readable table is protected")


@check("D60", "a protected table is isc without rights, whole and by offset", seconds=8)
def protected_table(bench: Bench) -> None:
    """Not one octet of it."""
    number = protected_table_of(bench)
    tester = bench.session(room=True)
    tester.ask(FullRead(number)).want(isc)
    tester.ask(OffsetRead(number, 0, 1)).want(isc, sns)


@check("D54", "the right password opens protected tables", seconds=8)
def right_password(bench: Bench) -> None:
    """``ok``, and the table is read."""
    number = protected_table_of(bench)
    bench.session(room=True, password=bench.password)
    bench.read(number)


@check("D96", "rights end with their session", seconds=10)
def rights_end(bench: Bench) -> None:
    """With Logoff, with Terminate, and with the traffic time-out."""
    number = protected_table_of(bench)
    password = bench.password
    tester = bench.session(room=True, password=password)
    tester.ask(Logoff()).want(ok)
    tester.ask(bench.logon()).want(ok)
    tester.ask(FullRead(number)).want(isc)
    bench.session(room=True, password=password)
    bench.session(room=True).ask(FullRead(number)).want(isc)
    bench.session(room=True, password=password)
    tester.rest(bench.rules.traffic_us + 500_000, "the session times out")
    tester.defaults()
    tester.identify()
    tester.ask(bench.logon()).want(ok)
    tester.ask(FullRead(number)).want(isc)


@check("S01", "passwords and keys are not shown", Basis.RECOMMENDATION, seconds=4)
def secrets_are_not_shown(bench: Bench) -> None:
    """ST-42 and ST-45: refused, or fill."""
    tester = bench.best_session()
    known = [each for each in (bench.reader, bench.master) if each]
    for number, what in SECRET_TABLES.items():
        answer = tester.ask(FullRead(number))
        if answer.ok:
            octets = octets_of(answer)
            if any(password in octets for password in known):
                raise Deviation(f"ST-{number} shows {what}")
            if len(set(octets)) > 8:
                raise Deviation(f"ST-{number} is readable: it may show {what}")


@check(
    "S02",
    "a session without a password writes nothing",
    Basis.TWO_SOURCES,
    Permit.WRITES,
    seconds=4,
)
def no_write_without_password(bench: Bench) -> None:
    """A table that ST-00 lets be written: its own octets, so that nothing changes."""
    number = safe_table_of(bench)
    own = bench.table(number)
    tester = bench.session(room=True)
    tester.ask(FullWrite(number, own)).want(isc)


@check(
    "S03", "a reader's password does not allow writing", Basis.ONE_SOURCE, Permit.WRITES, seconds=4
)
def reader_writes_nothing(bench: Bench) -> None:
    """Where the device has two."""
    if bench.reader is None or bench.master is None or bench.reader == bench.master:
        raise NotApplicable("no two passwords are known")
    number = safe_table_of(bench)
    own = bench.table(number)
    tester = bench.session(room=True, password=bench.reader)
    tester.ask(FullWrite(number, own)).want(isc)


@check(
    "S04", "no procedure runs without a password", Basis.ONE_SOURCE, Permit.PROCEDURES, seconds=4
)
def no_procedure_without_password(bench: Bench) -> None:
    """One that the device does not have, so that nothing could run."""
    initiate = unknown_initiate(bench, 0x21)
    tester = bench.session(room=True)
    tester.ask(FullWrite(7, initiate)).want_refusal().want(isc, basis=Basis.RECOMMENDATION)


def _wrong(bench: Bench, word: bytes) -> bool:
    """Try a word that is no password of the device; True when it was refused."""
    known = {p.rstrip(b" \0") for p in (bench.reader, bench.master) if p is not None}
    if word.rstrip(b" \0") in known:
        return True
    answer = bench.tester.ask(Security(word.ljust(20)[:20])).want_served("Security")
    if not answer.ok:
        answer.want(*REFUSALS, basis=Basis.ONE_SOURCE)
    return not answer.ok


@check(
    "D55",
    "a wrong password opens nothing and ends nothing",
    Basis.TWO_SOURCES,
    Permit.ATTACKS,
    seconds=8,
)
def wrong_password(bench: Bench) -> None:
    """The session stays open; rights that were there are not raised.

    ``err`` is due: some meters answer isc or sme, some ok and open nothing.
    """
    number = protected_table_of(bench)
    tester = bench.session(room=True)
    word = b"wrong" + bytes((65 + bench.rng.randrange(26),))
    answer = tester.ask(Security(word)).want_served("Security")
    tester.ask(FullRead(number)).want(isc)
    bench.want_session()
    if bench.reader is not None:
        bench.prove(bench.reader)
    answer.want(ResponseCode.err, ResponseCode.bsy, basis=Basis.RECOMMENDATION)


@check(
    "S05",
    "a password that begins like the right one is wrong",
    Basis.TWO_SOURCES,
    Permit.ATTACKS,
    seconds=8,
)
def almost_right_password(bench: Bench) -> None:
    """One octet less, one more, another case."""
    password = bench.password
    if password is None or len(password) < 3:
        raise NotApplicable("no password is known")
    number = protected_table_of(bench)
    for word in (password[:-1], password + b"x", password.swapcase()):
        tester = bench.session(room=True)
        if word.swapcase() != word and not _wrong(bench, word):
            tester.ask(FullRead(number)).want(isc)
    bench.session(password=password)


@check(
    "S06",
    "tables that are tried one by one show nothing that is protected",
    Basis.TWO_SOURCES,
    Permit.ATTACKS,
    seconds=40,
)
def enumeration(bench: Bench) -> None:
    """Standard and manufacturer numbers without a password: ok only where it was ok before."""
    number = protected_table_of(bench)
    tester = bench.session(room=True)
    drawn = bench.rng.sample(range(2040), 40) + bench.rng.sample(range(2048, 4088), 40)
    for each in (number, *drawn):
        answer = tester.ask(OffsetRead(each, 0, 1))
        if answer.ok and each not in bench.listed():
            raise Deviation(f"table {each} is not listed, and shown to anyone", Basis.ONE_SOURCE)
    tester.ask(FullRead(number)).want(isc)


@check(
    "S07",
    "a dictionary of passwords opens nothing, and is slowed down",
    Basis.TWO_SOURCES,
    Permit.ATTACKS,
    seconds=40,
)
def dictionary(bench: Bench) -> None:
    """No word is accepted; after some the device refuses to look (advice); later it does again."""
    number = protected_table_of(bench)
    password = bench.need_password()
    tester = bench.session(room=True)
    for word in DICTIONARY:
        if not _wrong(bench, word) and tester.ask(FullRead(number)).ok:
            raise Deviation(f"{word[:12]!r} is accepted")
    locked = not tester.ask(Security(password.ljust(20))).ok
    for _ in range(6):
        if not locked:
            break
        tester.rest(LOCK_REST_US, "the device looks at passwords again")
        bench.session(room=True)
        if tester.ask(Security(password.ljust(20))).ok:
            return
    if locked:
        raise Deviation("the right password is still refused after a minute", Basis.RECOMMENDATION)
    raise Deviation("any number of passwords may be tried", Basis.RECOMMENDATION)


@check(
    "S08",
    "a Security of a wrong length opens nothing",
    Basis.TWO_SOURCES,
    Permit.ATTACKS,
    seconds=4,
)
def security_of_a_wrong_length(bench: Bench) -> None:
    """The right password, one octet short and one too long: refused by PSEM."""
    password = bench.need_password()
    tester = bench.session(room=True)
    whole = b"\x51" + password.ljust(20)
    for wrong in (whole[:-1], whole + b" "):
        tester.ask(wrong).want_refusal()
    bench.prove(password)
