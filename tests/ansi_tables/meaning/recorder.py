"""Meters that record intervals."""

from datetime import datetime, timedelta
from typing import Any

from ansi_tables import Snapshot
from ansi_tables.meaning.rings import newest_first
from tests.ansi_tables.meaning.device import device, put
from tests.ansi_tables.meaning.registers import sources_of, uom

FLAGS = ("EXTENDED_INT_STATUS_FLAG", "SIMPLE_INT_STATUS_FLAG", "BLK_END_READ_FLAG")
FLAGS += ("BLK_END_PULSE_FLAG", "SCALAR_DIVISOR_FLAG_SET1")


def a_recorder(
    blocks: int, intervals: int, channels: int = 2, **fmt: Any
) -> tuple[Snapshot, dict[str, Any]]:
    """A meter that records Wh delivered in tens and volts in hundredths, and an empty ST-64."""
    tables: dict[int, Any] = sources_of(uom(0, 0, "14", MULTIPLIER=1), uom(1, 8, MULTIPLIER=5))
    tables[61] = {"NBR_BLKS_SET1": blocks, "NBR_BLK_INTS_SET1": intervals}
    tables[61] |= {"NBR_CHNS_SET1": channels, "MAX_INT_TIME_SET1": 15}
    tables[61] |= {f"LP_FLAGS.{flag}": 1 for flag in FLAGS}
    control: dict[str, Any] = {"INT_FMT_CDE1": 4}
    for channel in range(channels):
        control[f"LP_SEL_SET1.{channel}.LP_SOURCE_SELECT"] = channel % 2
        control[f"SCALARS_SET1.{channel}"] = 4
        control[f"DIVISOR_SET1.{channel}"] = 2
    tables[62] = control
    return device(tables, **fmt), {}


def write_block(
    ring: dict[str, Any],
    element: int,
    rows: list[int],
    end: datetime,
    length: int,
    newest_first: bool,
) -> None:
    """Set the fields of one block; a row's counts follow from its number."""
    block = f"LP_DATA_SET1.{element}"
    ring[f"{block}.BLK_END_TIME"] = end
    places = list(range(len(rows)))
    ring[f"{block}.SIMPLE_INT_STATUS"] = frozenset(places)
    for place, row in zip(reversed(places) if newest_first else places, rows, strict=True):
        interval = f"{block}.LP_INT.{place}"
        for channel in (0, 1):
            ring[f"{interval}.INT_DATA.{channel}"] = 10 * row + channel
        low, high = row % 8, row % 4
        ring[f"{interval}.EXTENDED_INT_STATUS.0"] = {"LOW_NIBBLE": low, "HIGH_NIBBLE": high << 1}
        ring[f"{interval}.EXTENDED_INT_STATUS.1"] = {"LOW_NIBBLE": 0, "HIGH_NIBBLE": 7 - low}


def one_block(made: Snapshot, ring: dict[str, Any], **counts: int) -> None:
    put(made, 64, ring)
    defaults = {"NBR_VALID_BLOCKS": 1, "NBR_VALID_INT": 2} | counts
    put(made, 63, {f"LP_STATUS_SET1.{name}": value for name, value in defaults.items()})


START = datetime(2026, 1, 1)


def a_log(
    order: int, length: int, valid: int, last: int, sequence: int, table: int = 76
) -> Snapshot:
    """A log whose k-th newest entry is one day older and has code k + 1."""
    dims = {"NBR_EVENT_ENTRIES": length, "NBR_HISTORY_ENTRIES": length, "EVENT_DATA_LENGTH": 2}
    dims |= {"LOG_FLAGS.HIST_DATE_TIME_FLAG": 1, "LOG_FLAGS.EVENT_NUMBER_FLAG": 1}
    made = device({71: dims})
    flags, name = ("EVENT_FLAGS", "EVENT") if table == 76 else ("HIST_FLAGS", "HISTORY")
    values: dict[str, Any] = {f"{flags}.ORDER": order, "NBR_VALID_ENTRIES": valid}
    values |= {"LAST_ENTRY_ELEMENT": last, "LAST_ENTRY_SEQ_NBR": sequence}
    for age, element in enumerate(newest_first(length, valid, last, order)):
        values[f"ENTRIES.{element}.{name}_TIME"] = START - timedelta(days=age)
        values[f"ENTRIES.{element}.{name}_CODE.TBL_PROC_NBR"] = age + 1
        values[f"ENTRIES.{element}.EVENT_NUMBER"] = 500 - age
        if table == 76:
            values[f"ENTRIES.{element}.EVENT_SEQ_NBR"] = (sequence - age) % 65536
    put(made, table, values)
    return made
