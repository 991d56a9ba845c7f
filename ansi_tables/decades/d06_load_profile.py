"""Decade 6, load profile: ST-60 to ST-67.  Set n exists if ST-(63+n) does."""

from __future__ import annotations

from collections.abc import Callable

from ansi_tables.context import Context
from ansi_tables.errors import FormatRefusedError, MissingContextError
from ansi_tables.fields import (
    Tree,
    array,
    bit_field,
    ni,
    record,
    set_of,
    sint,
    stime_date,
    uint,
    when,
)
from ansi_tables.registry import TableDefinition

_FORMATS = ("UINT8", "UINT16", "UINT32", "INT8", "INT16", "INT32", "NI_FMAT1", "NI_FMAT2")
#: INT_FMT_CDE of ST-62, one bit, to the name that ST-61.LP_FMATS has for it.
INTERVAL_FORMATS = {1 << bit: name for bit, name in enumerate(_FORMATS)}

SETS = (1, 2, 3, 4)


def sets_of(ctx: Context) -> tuple[int, ...]:
    """Give the load-profile sets (1 to 4) that ST-00 lists."""
    return tuple(n for n in SETS if ctx.uses(63 + n))


def dimensions(ctx: Context) -> Tree:
    """ST-60 and ST-61: what can be recorded, and is; 7 octets and 6 for each set."""
    bit_12 = "CLOSURE_STATUS_FLAG" if ctx.fmt.std_version_no < 2 else "BLK_END_RD_INDICATOR_FLAG"
    flags = [f"LP_SET{n}_INHIBIT_OVF_FLAG" for n in SETS]
    flags += ["BLK_END_READ_FLAG", "BLK_END_PULSE_FLAG"]
    flags += [f"SCALAR_DIVISOR_FLAG_SET{n}" for n in SETS]
    flags += ["EXTENDED_INT_STATUS_FLAG", "SIMPLE_INT_STATUS_FLAG", bit_12]
    sizes: list[Tree | None] = []
    for n in SETS:
        used = n in sets_of(ctx)
        sizes += [
            when(used, f"NBR_BLKS_SET{n}" / uint(ctx, 16)),
            when(used, f"NBR_BLK_INTS_SET{n}" / uint(ctx, 16)),
            when(used, f"NBR_CHNS_SET{n}" / uint(ctx, 8)),
            when(used, f"MAX_INT_TIME_SET{n}" / uint(ctx, 8)),
        ]
    return record(
        "LP_MEMORY_LEN" / uint(ctx, 32),
        "LP_FLAGS" / bit_field(ctx, 16, **{name: (k, k) for k, name in enumerate(flags)}),
        "LP_FMATS"
        / bit_field(ctx, 8, **{f"INV_{name}_FLAG": (k, k) for k, name in enumerate(_FORMATS)}),
        *sizes,
    )


def control(ctx: Context) -> Tree:
    """ST-62: the source, number format, scalar and divisor of each channel."""
    dims = ctx.table(61)
    source = record(
        "CHNL_FLAG" / bit_field(ctx, 8, END_RDG_FLAG=(0, 0)),
        "LP_SOURCE_SELECT" / uint(ctx, 8),
        "END_BLK_RDG_SOURCE_SELECT" / uint(ctx, 8),
    )
    fields: list[Tree | None] = []
    for n in SETS:
        if n not in sets_of(ctx):
            fields += [None] * 4
            continue
        channels = dims[f"NBR_CHNS_SET{n}"]
        scaled = dims.LP_FLAGS[f"SCALAR_DIVISOR_FLAG_SET{n}"]
        fields += [
            f"LP_SEL_SET{n}" / array(channels, source),
            f"INT_FMT_CDE{n}" / uint(ctx, 8),
            when(scaled, f"SCALARS_SET{n}" / array(channels, uint(ctx, 16))),
            when(scaled, f"DIVISOR_SET{n}" / array(channels, uint(ctx, 16))),
        ]
    return record(*fields)


def status(ctx: Context) -> Tree:
    """ST-63: where the ring of each set stands; 13 octets a set."""

    def one() -> Tree:
        return record(
            "LP_SET_STATUS_FLAGS"
            / bit_field(
                ctx,
                8,
                ORDER=(0, 0),
                OVERFLOW_FLAG=(1, 1),
                LIST_TYPE=(2, 2),
                BLOCK_INHIBIT_OVERFLOW_FLAG=(3, 3),
                INTERVAL_ORDER=(4, 4),
                ACTIVE_MODE_FLAG=(5, 5),
                TEST_MODE=(6, 6),
            ),
            "NBR_VALID_BLOCKS" / uint(ctx, 16),
            "LAST_BLOCK_ELEMENT" / uint(ctx, 16),
            "LAST_BLOCK_SEQ_NBR" / uint(ctx, 32),
            "NBR_UNREAD_BLOCKS" / uint(ctx, 16),
            "NBR_VALID_INT" / uint(ctx, 16),
        )

    used = sets_of(ctx)
    return record(*(when(n in used, f"LP_STATUS_SET{n}" / one()) for n in SETS))


def interval_format(ctx: Context, code: int) -> Tree:
    """INT_FMT_CDE: the number format of interval data; one bit, any other code is refused."""
    formats: dict[int, Callable[[], Tree]] = {
        1: lambda: uint(ctx, 8),
        2: lambda: uint(ctx, 16),
        4: lambda: uint(ctx, 32),
        8: lambda: sint(ctx, 8),
        16: lambda: sint(ctx, 16),
        32: lambda: sint(ctx, 32),
        64: lambda: ni(ctx, 1),
        128: lambda: ni(ctx, 2),
    }
    if code not in formats:
        raise FormatRefusedError(f"code {code}", table="ST-62", path="INT_FMT_CDE")
    return formats[code]()


def _data(n: int) -> Callable[[Context], Tree]:
    def build(ctx: Context) -> Tree:
        """ST-64 to ST-67: all blocks of a set, those never written included."""
        dims = ctx.table(61)
        if f"NBR_CHNS_SET{n}" not in dims:
            raise MissingContextError(
                f"ST-00 lists no ST-{63 + n}, so ST-61 gives no size for it; its octets stay raw",
                table=f"ST-{63 + n}",
            )
        flags = dims.LP_FLAGS
        channels = dims[f"NBR_CHNS_SET{n}"]
        intervals = dims[f"NBR_BLK_INTS_SET{n}"]
        reading = record(
            when(flags.BLK_END_READ_FLAG, "BLOCK_END_READ" / ni(ctx, 1)),
            when(flags.BLK_END_PULSE_FLAG, "BLOCK_END_PULSE" / uint(ctx, 32)),
        )
        extended = bit_field(ctx, 8, LOW_NIBBLE=(0, 3), HIGH_NIBBLE=(4, 7))
        interval = record(
            when(
                flags.EXTENDED_INT_STATUS_FLAG,
                "EXTENDED_INT_STATUS" / array(channels // 2 + 1, extended),
            ),
            "INT_DATA" / array(channels, interval_format(ctx, ctx.table(62)[f"INT_FMT_CDE{n}"])),
        )
        closure = bit_field(ctx, 16, STATUS=(0, 3), NBR_VALID_INTERVALS=(4, 15))
        block = record(
            "BLK_END_TIME" / stime_date(ctx),
            "END_READINGS" / array(channels, reading),
            when(flags.get("CLOSURE_STATUS_FLAG"), "CLOSURE_STATUS" / array(channels, closure)),
            when(flags.SIMPLE_INT_STATUS_FLAG, "SIMPLE_INT_STATUS" / set_of((intervals + 7) // 8)),
            "LP_INT" / array(intervals, interval),
        )
        return record(f"LP_DATA_SET{n}" / array(dims[f"NBR_BLKS_SET{n}"], block))

    return build


TABLES = (
    TableDefinition(60, "DIM_LP_TBL", "Dimension load profile", dimensions),
    TableDefinition(61, "ACT_LP_TBL", "Actual load profile", dimensions),
    TableDefinition(62, "LP_CTRL_TBL", "Load profile control", control, (61,)),
    TableDefinition(63, "LP_STATUS_TBL", "Load profile status", status),
    *(
        TableDefinition(
            63 + n, f"LP_DATA_SET{n}_TBL", f"Load profile data set {n}", _data(n), (61, 62)
        )
        for n in SETS
    ),
)
