"""Who may do what: the roles of ST-42 to ST-44, and a lock-out that lasts.

ST-42 gives each password the groups that it opens; ST-44 says of single tables
and procedures which groups may read, write or run them, and ST-43 of all
others.  A session may do what one of its groups may; the two flags of an entry
open it to anyone (single source: FLAG1 reads, FLAG2 writes or runs).  ST-45, where
ST-41 counts keys, is written by whom ST-44 says and read by nobody; no service of a
C12.18 port uses a key.

As it leaves the factory a meter has two roles.  Without a password one can read
what the display shows anyway: identity, clock, registers and load profile, as on
many meters in the field.  The logs, customer data and the rules themselves need
the reader's password; writes and procedures the master's.

Wrong passwords are counted, also over a power failure; from the fifth on the
port refuses passwords for a time that doubles with each further one.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansi_tables import Context, Record, TableError, layout_for
from ansi_tables.ids import MANUFACTURER_BIT, NAME_MASK, NUMBER_MASK, PROCEDURE_BIT
from protocols.psem.codec import PASSWORD_OCTETS

#: Tables that anyone may read, with those that are needed to understand them.
PUBLIC_TABLES = frozenset((0, 1, 2, 3, 5, 8, 11, 12, 16, 21, 22, 23, 27, 28, 51, 52, 55))
PUBLIC_TABLES |= frozenset((13, 15, 31, 32, 33, 34, 53, 54, 56, 61, 62, 63, 64, 65, 66, 67))
#: Tables that nobody may read, whatever ST-44 says: passwords and keys.
SECRET_TABLES = frozenset((42, 45, 46))
PASSWORDS, DEFAULTS, RULES = 42, 43, 44
#: The procedure that takes a password: anyone may run it.
LOG_IN = 18
FREE_FAILURES = 5
FIRST_DELAY_US = 10_000_000
MAX_DELAY_US = 3600_000_000
#: The groups of the two roles, as bits: the master's includes the reader's.
READER, MASTER = 0b01, 0b11


@dataclass(frozen=True)
class Rule:
    """Which groups may read, and which may write or run; and whether anyone may."""

    read: int = 0b01
    write: int = 0b10
    anyone_reads: bool = False
    anyone_writes: bool = False


@dataclass(frozen=True)
class Rules:
    """What ST-42, ST-43 and ST-44 say together."""

    passwords: tuple[tuple[bytes, int], ...]
    table_default: Rule = field(default_factory=Rule)
    procedure_default: Rule = field(default_factory=Rule)
    listed: Mapping[int, Rule] = field(default_factory=dict)

    def of(self, identifier: int) -> Rule:
        """Give the rule of a table's name, or of a procedure's (with ``PROCEDURE_BIT``)."""
        default = self.procedure_default if identifier & PROCEDURE_BIT else self.table_default
        return self.listed.get(identifier, default)


def factory_rules(reader: bytes, master: bytes, tables: Iterable[int] = PUBLIC_TABLES) -> Rules:
    """Give the two roles of the factory, for a meter that has these tables."""
    public = {n: Rule(anyone_reads=True) for n in sorted(PUBLIC_TABLES & frozenset(tables))}
    listed = {**public, LOG_IN | PROCEDURE_BIT: Rule(anyone_writes=True)}
    return Rules(((reader, READER), (master, MASTER)), listed=listed)


def security_values(rules: Rules) -> dict[int, dict[str, Any]]:
    """Give ST-42, ST-43 and ST-44 that say these rules; ST-41 must count them."""
    entries = [
        {"PASSWORD": _filled(password), "ACCESS_PERMISSIONS": _groups(groups)}
        for password, groups in rules.passwords
    ]
    defaults = {
        "TABLE_DEFAULT": _entry(0, rules.table_default),
        "PROCEDURE_DEFAULT": _entry(PROCEDURE_BIT, rules.procedure_default),
    }
    listed = [_entry(identifier, rule) for identifier, rule in rules.listed.items()]
    return {
        PASSWORDS: {"SECURITY_ENTRIES": entries},
        DEFAULTS: defaults,
        RULES: {"ACCESS_CONTROL": listed},
    }


def _groups(bits: int) -> dict[str, int]:
    return {f"GROUP_PERM_{k}_FLAG": bits >> k & 1 for k in range(8)}


def _bits(groups: Record) -> int:
    return sum(groups[f"GROUP_PERM_{k}_FLAG"] << k for k in range(8))


def _entry(identifier: int, rule: Rule) -> dict[str, Any]:
    about = {
        "TBL_PROC_NBR": identifier & NUMBER_MASK,
        "STD_VS_MFG_FLAG": int(bool(identifier & MANUFACTURER_BIT)),
        "PROC_FLAG": int(bool(identifier & PROCEDURE_BIT)),
        "FLAG1": int(rule.anyone_reads),
        "FLAG2": int(rule.anyone_writes),
        "FLAG3": 0,
    }
    return {"ACCESS_TABLE_DEF": about, "READ": _groups(rule.read), "WRITE": _groups(rule.write)}


def _rule(entry: Record) -> tuple[int, Rule]:
    about = entry.ACCESS_TABLE_DEF
    identifier = about.TBL_PROC_NBR | about.STD_VS_MFG_FLAG * MANUFACTURER_BIT
    identifier |= about.PROC_FLAG * PROCEDURE_BIT
    flags = bool(about.FLAG1), bool(about.FLAG2)
    return identifier, Rule(_bits(entry.READ), _bits(entry.WRITE), *flags)


def rules_of(images: Mapping[int, bytes], context: Context) -> Rules | None:
    """Read the rules from a meter's tables; None where it has no passwords of its own."""
    try:
        values = {n: layout_for(n, context).decode(images[n]) for n in (PASSWORDS, DEFAULTS, RULES)}
    except (KeyError, TableError):
        return None
    entries = values[PASSWORDS].SECURITY_ENTRIES
    return Rules(
        tuple((bytes(e.PASSWORD), _bits(e.ACCESS_PERMISSIONS)) for e in entries),
        _rule(values[DEFAULTS].TABLE_DEFAULT)[1],
        _rule(values[DEFAULTS].PROCEDURE_DEFAULT)[1],
        dict(_rule(entry) for entry in values[RULES].ACCESS_CONTROL),
    )


def lock_out_us(failures: int) -> int:
    """Give for how long passwords are refused after so many wrong ones in a row."""
    if failures < FREE_FAILURES:
        return 0
    return min(FIRST_DELAY_US << min(failures - FREE_FAILURES, 16), MAX_DELAY_US)


@dataclass
class Access:
    """The rights of the session at the optical port, and the count of wrong passwords."""

    reader_password: bytes
    master_password: bytes
    failures: int = 0
    locked_until_us: int = 0
    groups: int = 0
    user_id: int = 0
    session_user: int = 0

    def __post_init__(self) -> None:
        self.factory = factory_rules(self.reader_password, self.master_password)
        self.rules = self.factory

    def use(self, images: Mapping[int, bytes], context: Context) -> None:
        """Follow a meter's tables from now on; a meter without them has the factory's roles."""
        self.rules = rules_of(images, context) or self.factory

    def try_password(self, password: bytes, now_us: int) -> bool | None:
        """Check a password: True grants its groups, False is wrong, None is locked out.

        Every entry is compared, each in constant time; padding with spaces or NULs
        does not matter, and an entry without a password opens nothing.
        """
        if now_us < self.locked_until_us:
            return None
        given, groups = _filled(password), 0
        for stored, opened in self.rules.passwords:
            same = hmac.compare_digest(given, _filled(stored))
            groups |= opened if same and _bare(stored) else 0
        if not groups:
            self.failures += 1
            self.lock(now_us)
            return False
        self.failures, self.groups = 0, groups
        return True

    def lock(self, now_us: int) -> None:
        """Begin the delay that the count of failures calls for; also after a restart."""
        self.locked_until_us = now_us + lock_out_us(self.failures)

    def may_read(self, table: int) -> bool:
        """Tell whether the session may read a table, or its pending copy."""
        number = table & NAME_MASK
        rule = self.rules.of(number)
        if number in SECRET_TABLES:
            return False
        return rule.anyone_reads or bool(rule.read & self.groups)

    def may_write(self, table: int) -> bool:
        """Tell whether the session may write a table, or its pending copy."""
        rule = self.rules.of(table & NAME_MASK)
        return rule.anyone_writes or bool(rule.write & self.groups)

    def may_run(self, procedure: int) -> bool:
        """Tell whether the session may run a procedure (with bit 11 a manufacturer's)."""
        rule = self.rules.of(procedure & NAME_MASK | PROCEDURE_BIT)
        return rule.anyone_writes or bool(rule.write & self.groups)

    def log_on(self, user_id: int) -> None:
        """Open a session for a user, without rights."""
        self.user_id = self.session_user = user_id

    def log_out(self) -> None:
        """Take the rights away; the session is that of its own user again."""
        self.groups, self.user_id = 0, self.session_user

    def end(self) -> None:
        """Take the rights of the session away, and its user."""
        self.groups = self.user_id = self.session_user = 0


def _bare(password: bytes) -> bytes:
    return password.rstrip(b" \0")


def _filled(password: bytes) -> bytes:
    """Give a password at its full length, so that a comparison does not tell its own."""
    return _bare(password).ljust(PASSWORD_OCTETS, b"\0")
