"""Roles of ST-42 to ST-44, counted failures, a growing lock-out, and a log of refusals."""

from typing import Any

import pytest

from ansi_tables import layout_for
from protocols.c1218.client import ScriptDone, ScriptFailed
from protocols.c1218.scripts import read_table, run_procedure, write_part, write_table
from protocols.errors import ServiceRefused
from smartmeter.meter.access import (
    FIRST_DELAY_US,
    FREE_FAILURES,
    MAX_DELAY_US,
    Access,
    Rule,
    Rules,
    factory_rules,
    rules_of,
    security_values,
)
from smartmeter.meter.profiles import profile_named
from tests.protocols.c1218.line import Line
from tests.smartmeter.meter.bench import Bench, logged_on

PROFILES = ("residential", "commercial", "bcd-1997")


def outcome(line: Line, script: Any) -> str:
    """Give how a script ended: ok, or the name of the refusal."""
    ended = line.run(script)
    if isinstance(ended, ScriptDone):
        return "ok"
    assert isinstance(ended, ScriptFailed) and isinstance(ended.error, ServiceRefused)
    return ended.error.name


def leave(bench: Bench, line: Line) -> None:
    bench.now_us = line.now_us + 7_000_000
    bench.meter.expire(bench.now_us)


def written(bench: Bench, rules: Rules) -> dict[int, bytes]:
    """Give the tables that say these rules in a meter's formats."""
    context = bench.meter.program.context
    values = security_values(rules)
    return {number: layout_for(number, context).encode(value) for number, value in values.items()}


def refusals(bench: Bench) -> int:
    entries = bench.snapshot()[76].ENTRIES
    return sum(1 for entry in entries if entry.EVENT_CODE.TBL_PROC_NBR == 47)


@pytest.mark.parametrize("name", PROFILES)
def test_the_factory_s_roles_are_in_the_tables_and_are_those_enforced(name: str) -> None:
    bench = Bench(profile_named(name))
    context = bench.meter.program.context
    rules = rules_of(bench.meter.images, context)
    assert rules is not None and rules == bench.meter.access.rules
    plain = factory_rules(b"reader".ljust(20, b"\0"), b"master".ljust(20, b"\0"))
    assert rules.passwords == plain.passwords and rules.table_default == Rule()
    assert len(rules.listed) == bench.snapshot()[41].NBR_PERM_USED
    assert {42, 43, 44} <= bench.snapshot()[0].STD_TBLS_WRITE


def test_a_written_rule_is_enforced_at_once_and_after_a_restart() -> None:
    bench = Bench()
    line = logged_on(bench, b"master")
    rules = bench.meter.access.rules
    listed = {**rules.listed, 23: Rule(read=0b10)}  # in the place of its old entry
    image = written(bench, Rules(rules.passwords, listed=listed))[44]
    assert outcome(line, write_table(44, image, line.client.limits)) == "ok"
    leave(bench, line)
    for start_again in (False, True):
        if start_again:
            bench.start()
        for password, expected in ((None, "isc"), (b"reader", "isc"), (b"master", "ok")):
            line = logged_on(bench, password)
            assert outcome(line, read_table(23, line.client.limits)) == expected
            leave(bench, line)


def test_a_changed_password_opens_and_the_old_one_does_not() -> None:
    bench = Bench()
    line = logged_on(bench, b"master")
    rules = bench.meter.access.rules
    (reader, groups), master = rules.passwords
    changed = Rules(((b"new reader", groups), master), listed=rules.listed)
    image = written(bench, changed)[42]
    assert outcome(line, write_table(42, image, line.client.limits)) == "ok"
    assert outcome(line, read_table(42, line.client.limits)) == "isc"
    leave(bench, line)
    bench.start()
    for password, expected in ((b"reader", "isc"), (b"new reader", "ok")):
        line = logged_on(bench, password)
        assert outcome(line, read_table(76, line.client.limits)) == expected
        leave(bench, line)
    assert reader.startswith(b"reader")


def test_a_role_of_its_own_may_do_one_thing_only() -> None:
    bench = Bench()
    rules = bench.meter.access.rules
    # As many entries as before: that of ST-55 gives way.
    reset = {n: rule for n, rule in rules.listed.items() if n != 55}
    reset[0x1009] = Rule(write=0b100)
    (reader, _), master = rules.passwords
    # The reader's password becomes that of who may reset the demand, and nothing else.
    made = written(bench, Rules(((reader, 0b100), master), listed=reset))
    line = logged_on(bench, b"master")
    for number in (42, 44):
        assert outcome(line, write_table(number, made[number], line.client.limits)) == "ok"
    leave(bench, line)
    line = logged_on(bench, b"reader")
    limits = line.client.limits
    assert outcome(line, run_procedure(b"\x09\0\x2a\1", limits)) == "ok"
    assert outcome(line, run_procedure(b"\x03\0\x2b", limits)) == "isc"
    assert outcome(line, write_table(5, b" " * 20, limits)) == "isc"
    assert outcome(line, read_table(76, limits)) == "isc"


def test_malformed_writes_are_refused_by_the_right_first() -> None:
    bench = Bench()
    line = logged_on(bench, b"reader")
    assert outcome(line, write_table(5, b"short", line.client.limits)) == "isc"
    assert outcome(line, write_table(0, b"short", line.client.limits)) == "iar"
    leave(bench, line)
    line = logged_on(bench, b"master")
    assert outcome(line, write_table(44, b"short", line.client.limits)) == "onp"


def test_refusals_are_logged_and_reads_only_once_a_session() -> None:
    bench = Bench()
    line = logged_on(bench, None)
    for _ in range(3):
        assert outcome(line, read_table(76, line.client.limits)) == "isc"
    assert refusals(bench) == 1
    assert outcome(line, write_table(5, b" " * 20, line.client.limits)) == "isc"
    assert outcome(line, run_procedure(b"\x03\0\x2b", line.client.limits)) == "isc"
    assert refusals(bench) == 3
    leave(bench, line)
    line = logged_on(bench, b"guess")  # once filled with spaces, once with NULs
    assert refusals(bench) == 5 and bench.meter.access.failures == 2


def test_the_lock_out_begins_with_the_fifth_and_doubles_up_to_an_hour() -> None:
    access, now_us, delays = Access(b"reader", b"master"), 0, []
    for _ in range(FREE_FAILURES - 1):
        assert access.try_password(b"guess", now_us) is False
    assert access.locked_until_us == 0
    for _ in range(14):
        assert access.try_password(b"guess", now_us) is False
        assert access.try_password(b"master", now_us) is None
        delays.append(access.locked_until_us - now_us)
        now_us = access.locked_until_us
    assert delays[:3] == [FIRST_DELAY_US, 2 * FIRST_DELAY_US, 4 * FIRST_DELAY_US]
    assert delays[-1] == MAX_DELAY_US
    assert access.try_password(b"master", now_us) is True and access.failures == 0


def test_an_entry_without_a_password_opens_nothing() -> None:
    access = Access(b"", b"master")
    assert access.try_password(b" " * 20, 0) is False and not access.groups
    assert access.try_password(b"master".ljust(20, b"\0"), 0) is True
    access.end()
    assert not access.may_read(76) and access.may_read(23) and not access.may_read(42)


def test_keys_are_written_by_the_master_kept_and_read_by_nobody() -> None:
    bench = Bench(profile_named("industrial"))
    general = bench.snapshot()[0]
    assert 45 in general.STD_TBLS_USED and 45 in general.STD_TBLS_WRITE
    keys = bytes(range(32))
    for password, expected in ((b"reader", "isc"), (b"master", "ok")):
        line = logged_on(bench, password)
        assert outcome(line, write_table(45, keys, line.client.limits)) == expected
        assert outcome(line, write_part(45, 0, keys[:16], line.client.limits)) == expected
        assert outcome(line, read_table(45, line.client.limits)) == "isc"
        leave(bench, line)
    bench.start()
    assert bench.meter.images[45] == keys
    line = logged_on(bench, b"master")
    assert outcome(line, read_table(45, line.client.limits)) == "isc"
    assert outcome(line, write_table(45, keys[:-1], line.client.limits)) == "onp"
