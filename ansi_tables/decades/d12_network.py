"""Decade 12, the C12.22 node: ST-120 to ST-127.

What is decoded here is tentative: members and order of ST-120, 121 and 123 are
from memory.  The pair of code and value in ST-127 is confirmed by one public
stack for the link-status service, its nesting is from memory.
"""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import Tree, array, binary, record, sint, uint
from ansi_tables.identifiers import table_idb
from ansi_tables.registry import TableDefinition, opaque

APTITLE_OCTETS = 20


def network_dimensions(ctx: Context) -> Tree:
    """ST-120 and ST-121: interfaces, registrations, hosts and statistics; 14 octets."""
    return record(
        "NETWORK_CTRL" / uint(ctx, 8),
        "NBR_INTERFACES" / uint(ctx, 8),
        "NBR_REGISTRATIONS" / uint(ctx, 8),
        "NBR_FILTERING_RULES" / uint(ctx, 16),
        "NBR_EXCEPTION_HOSTS" / uint(ctx, 16),
        "NBR_EXCEPTION_EVENTS" / uint(ctx, 16),
        "NBR_STATISTICS" / uint(ctx, 16),
        "NBR_MULTICAST_ADDRESSES" / uint(ctx, 8),
        "NATIVE_ADDRESS_LEN" / uint(ctx, 8),
        "FILTERING_EXP_LEN" / uint(ctx, 8),
    )


def exception_reports(ctx: Context) -> Tree:
    """ST-123: whom the node notifies of which events, and how often it tries."""
    dims = ctx.table(121)
    host = record(
        "APTITLE_NOTIFY" / binary(APTITLE_OCTETS),
        "MAX_NUMBER_OF_RETRIES" / uint(ctx, 8),
        "RETRY_DELAY" / uint(ctx, 16),
        "EXCLUSION_PERIOD" / uint(ctx, 16),
        "EVENT_REPORTED" / array(dims.NBR_EXCEPTION_EVENTS, table_idb(ctx)),
    )
    return record("EXCEPTION_REPORT" / array(dims.NBR_EXCEPTION_HOSTS, host))


def network_statistics(ctx: Context) -> Tree:
    """ST-127: counters of each interface; manufacturer codes are 2048 and up."""
    dims = ctx.table(121)
    statistic = record("STATISTIC_CODE" / uint(ctx, 16), "STATISTIC_VALUE" / sint(ctx, 48))
    interface = record("STATISTICS" / array(dims.NBR_STATISTICS, statistic))
    return record("INTERFACES" / array(dims.NBR_INTERFACES, interface))


TABLES = (
    TableDefinition(
        120,
        "DIM_NETWORK_TBL",
        "Dimension network",
        network_dimensions,
        (),
        "tentative",
        "from-memory",
        2008,
    ),
    TableDefinition(
        121,
        "ACT_NETWORK_TBL",
        "Actual network limiting",
        network_dimensions,
        (),
        "tentative",
        "from-memory",
        2008,
    ),
    opaque(122, "INTERFACE_CTRL_TBL", "Interface control"),
    TableDefinition(
        123,
        "EXCEPTION_REPORT_CONFIG_TBL",
        "Exception report configuration",
        exception_reports,
        (121,),
        "tentative",
        "from-memory",
        2008,
    ),
    opaque(124, "FILTERING_RULES_TBL", "Filtering rules"),
    opaque(125, "INTERFACE_STATUS_TBL", "Interface status"),
    opaque(126, "REGISTRATION_STATUS_TBL", "Registration status"),
    TableDefinition(
        127,
        "NETWORK_STATISTICS_TBL",
        "Network statistics",
        network_statistics,
        (121,),
        "tentative",
        "single-source",
        2008,
    ),
)
