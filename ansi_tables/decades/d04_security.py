"""Decade 4, security: ST-40 to ST-47.

Meters refuse to read the passwords and keys of ST-42, 45 and 46, or return
fill.  ST-46 and ST-47 belong to C12.22; the entry of ST-46 is from memory.
"""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import Tree, array, binary, record, uint
from ansi_tables.identifiers import access_permission, table_idc
from ansi_tables.registry import TableDefinition, opaque


def security_limiting(ctx: Context) -> Tree:
    """ST-40 and ST-41: numbers and lengths of passwords, keys and permissions; 6 octets."""
    return record(
        "NBR_PASSWORDS" / uint(ctx, 8),
        "PASSWORD_LEN" / uint(ctx, 8),
        "NBR_KEYS" / uint(ctx, 8),
        "KEY_LEN" / uint(ctx, 8),
        "NBR_PERM_USED" / uint(ctx, 16),
    )


def passwords(ctx: Context) -> Tree:
    """ST-42: passwords, and the groups that each one opens."""
    dims = ctx.table(41)
    entry = record(
        "PASSWORD" / binary(dims.PASSWORD_LEN), "ACCESS_PERMISSIONS" / access_permission(ctx)
    )
    return record("SECURITY_ENTRIES" / array(dims.NBR_PASSWORDS, entry))


def _permission(ctx: Context) -> Tree:
    return record(
        "ACCESS_TABLE_DEF" / table_idc(ctx),
        "READ" / access_permission(ctx),
        "WRITE" / access_permission(ctx),
    )


def default_access(ctx: Context) -> Tree:
    """ST-43: who may do what to tables and procedures that ST-44 does not list."""
    return record("TABLE_DEFAULT" / _permission(ctx), "PROCEDURE_DEFAULT" / _permission(ctx))


def access_control(ctx: Context) -> Tree:
    """ST-44: who may read and write which table, and run which procedure."""
    return record("ACCESS_CONTROL" / array(ctx.table(41).NBR_PERM_USED, _permission(ctx)))


def keys(ctx: Context) -> Tree:
    """ST-45: keys."""
    dims = ctx.table(41)
    return record("KEY_ENTRIES" / array(dims.NBR_KEYS, record("KEY" / binary(dims.KEY_LEN))))


def extended_keys(ctx: Context) -> Tree:
    """ST-46: keys with their use; names of the entry's members are from memory."""
    dims = ctx.table(41)
    entry = record(
        "KEY_ID" / uint(ctx, 8),
        "CIPHER_CODE" / uint(ctx, 8),
        "KEY_LENGTH" / uint(ctx, 8),
        "KEY" / binary(dims.KEY_LEN),
    )
    return record("KEY_ENTRIES" / array(dims.NBR_KEYS, entry))


TABLES = (
    TableDefinition(
        40, "DIM_SECURITY_LIMITING_TBL", "Dimension security limiting", security_limiting
    ),
    TableDefinition(41, "ACT_SECURITY_LIMITING_TBL", "Actual security limiting", security_limiting),
    TableDefinition(42, "SECURITY_TBL", "Security", passwords, (41,)),
    TableDefinition(
        43,
        "DEFAULT_ACCESS_CONTROL_TBL",
        "Default access control",
        default_access,
        confidence="single-source",
    ),
    TableDefinition(44, "ACCESS_CONTROL_TBL", "Access control", access_control, (41,)),
    TableDefinition(45, "KEY_TBL", "Keys", keys, (41,), confidence="single-source"),
    TableDefinition(
        46,
        "EXTENDED_KEY_TBL",
        "Extended keys",
        extended_keys,
        (41,),
        "tentative",
        "from-memory",
        2008,
    ),
    opaque(47, "HOST_ACCESS_SECURITY_TBL", "Host access security"),
)
