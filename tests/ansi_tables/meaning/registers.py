"""Meters with registers."""

from datetime import date, datetime
from typing import Any


def uom(at: int, code: int, quadrants: str = "", **more: int) -> dict[str, Any]:
    """Fields of one entry of ST-12."""
    fields = {"ID_CODE": code, **{f"Q{q}_ACCOUNTABILITY": 1 for q in quadrants}, **more}
    return {f"UOM_ENTRY.{at}.{name}": value for name, value in fields.items()}


def sources_of(*entries: dict[str, Any], constants: int = 0, **first: Any) -> dict[int, Any]:
    """ST-11, 12 and 16 of a meter whose every source has an entry in ST-12."""
    count = len(entries)
    merged: dict[str, Any] = {}
    for entry in entries:
        merged |= entry
    return {
        11: {
            "NBR_UOM_ENTRIES": count,
            "NBR_SOURCES": count,
            "NBR_CONSTANTS_ENTRIES": constants,
            "CONSTANTS_SELECTOR": 2,
            **first,
        },
        12: merged,
        16: {
            f"SOURCES_LINK.{n}.{flag}": 1
            for n in range(count)
            for flag in ("UOM_ENTRY_FLAG", "PULSE_ENGR_FLAG")
        },
    }


def registers_of(summations: int, **dims: Any) -> dict[int, Any]:
    return {21: {"NBR_SUMMATIONS": summations, **dims}}


def a_demand_meter() -> dict[int, Any]:
    tables = sources_of(uom(0, 0, "14", TIME_BASE=4), uom(1, 8, TIME_BASE=4, MULTIPLIER=5))
    tables |= registers_of(0, NBR_DEMANDS=2, NBR_COIN_VALUES=1, NBR_OCCUR=2)
    flags = "DATE_TIME CUM_DEMAND CONT_CUM_DEMAND SEASON_INFO DEMAND_RESET_CTR"
    names = {"DATE_TIME": "DATE_TIME_FIELD_FLAG", "SEASON_INFO": "SEASON_INFO_FIELD_FLAG"}
    tables[21] |= {f"REG_FUNC1_FLAGS.{names.get(n, n + '_FLAG')}": 1 for n in flags.split()}
    tables[22] = {"MIN_OR_MAX_FLAGS": frozenset((0,)), "COINCIDENT_SELECT.0.SOURCE_INDEX": 1}
    tables[22] |= {"COIN_DEMAND_ASSOC.0": 1}
    return tables


BLOCK = "TOT_DATA_BLOCK"


def a_block(path: str = "") -> dict[str, Any]:
    return {
        f"{path}NBR_DEMAND_RESETS": 3,
        f"{path}{BLOCK}.DEMANDS.0.DEMAND.0": 1500,
        f"{path}{BLOCK}.DEMANDS.0.CUM_DEMAND": 9000,
        f"{path}{BLOCK}.DEMANDS.1.DEMAND.1": 20,
        f"{path}{BLOCK}.DEMANDS.1.EVENT_TIME.1": datetime(2026, 7, 1, 12, 30),
        f"{path}{BLOCK}.COINCIDENTS.0.COINCIDENT_VALUES.1": 23041,
    }


def calendar(*once: tuple[date, int], yearly: tuple[tuple[int, int, int], ...] = ()) -> Any:
    """ST-51 and ST-54 with these dates, and all ones after them."""
    entries: dict[str, Any] = {}
    for n, (day, action) in enumerate(once):
        entries[f"NON_RECURR_DATES.{n}.NON_RECURR_DATE"] = day
        entries[f"NON_RECURR_DATES.{n}.CALENDAR_ACTION.CALENDAR_CTRL"] = action
    entries[f"NON_RECURR_DATES.{len(once)}.CALENDAR_ACTION.CALENDAR_CTRL"] = 31
    entries[f"NON_RECURR_DATES.{len(once) + 1}.CALENDAR_ACTION.CALENDAR_CTRL"] = 1
    for n, (month, day_of_month, action) in enumerate(yearly):
        rule = {"MONTH": month, "OFFSET": 0, "WEEKDAY": 7, "DAY": day_of_month}
        entries[f"RECURR_DATES.{n}.RECURR_DATE"] = rule
        entries[f"RECURR_DATES.{n}.CALENDAR_ACTION.CALENDAR_CTRL"] = action
    dims = {"NBR_NON_RECURR_DATES": len(once) + 2, "NBR_RECURR_DATES": len(yearly)}
    return {51: {"TIME_FUNC_FLAG2.CAP_TM_ZN_OFFSET_FLAG": 1, **dims}, 54: entries}
