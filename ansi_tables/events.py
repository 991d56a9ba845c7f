"""The standard event codes of the history and event logs (C12.19 table A, decade 7).

Gathered from public sources.  A code that is not here is shown by its number;
manufacturer codes have names only on their own device.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Bit 11 of an event code: a manufacturer's.
MANUFACTURER_EVENT = 0x0800
#: Number and manufacturer bit; the four bits above are for the use of the log.
CODE_BITS = 0x0FFF

STANDARD_EVENTS: Mapping[int, str] = {
    0: "NO_EVENT",
    1: "PRIMARY_POWER_DOWN",
    2: "PRIMARY_POWER_UP",
    3: "TIME_CHANGED_OLD",
    4: "TIME_CHANGED_NEW",
    5: "TIME_CHANGED_OLD_ARG",
    6: "TIME_CHANGED_NEW_ARG",
    7: "ED_ACCESSED_READ",
    8: "ED_ACCESSED_WRITE",
    9: "PROCEDURE_INVOKED",
    10: "TABLE_WRITTEN",
    11: "ED_PROGRAMMED",
    12: "COMM_TERMINATED_NORMALLY",
    13: "COMM_TERMINATED_ABNORMALLY",
    14: "LIST_POINTERS_RESET",
    15: "LIST_POINTERS_UPDATED",
    16: "HISTORY_LOG_CLEARED",
    17: "HISTORY_LOG_POINTERS_UPDATED",
    18: "EVENT_LOG_CLEARED",
    19: "EVENT_LOG_POINTERS_UPDATED",
    20: "DEMAND_RESET",
    21: "SELF_READ",
    22: "DST_ON",
    23: "DST_OFF",
    24: "SEASON_CHANGED",
    25: "RATE_CHANGE",
    26: "SPECIAL_SCHEDULE_ACTIVATED",
    27: "TIER_SWITCH",
    28: "PENDING_TABLE_ACTIVATED",
    29: "PENDING_TABLE_CLEARED",
    30: "METERING_MODE_STARTED",
    31: "METERING_MODE_STOPPED",
    32: "TEST_MODE_STARTED",
    33: "TEST_MODE_STOPPED",
    34: "METER_SHOP_MODE_STARTED",
    35: "METER_SHOP_MODE_STOPPED",
    36: "ED_REPROGRAMMED",
    37: "CONFIGURATION_ERROR",
    38: "SELF_CHECK_ERROR",
    39: "RAM_FAILURE",
    40: "ROM_FAILURE",
    41: "NONVOL_MEM_FAILURE",
    42: "CLOCK_ERROR",
    43: "MEASUREMENT_ERROR",
    44: "LOW_BATTERY",
    45: "LOW_LOSS_POTENTIAL",
    46: "DEMAND_OVERLOAD",
    47: "TAMPER_ATTEMPT",
    48: "REVERSE_ROTATION",
    49: "CONTROL_POINT_CHANGED_COMMAND",
    50: "CONTROL_POINT_CHANGED_SCHEDULE",
    51: "CONTROL_POINT_CHANGED_CONDITION",
    52: "CONTROL_POINT_CHANGED_PREPAYMENT",
    53: "CREDIT_ADDED",
    54: "CREDIT_SUBTRACTED",
    55: "CREDIT_ADJUSTED",
    56: "ED_SEALED",
    57: "ED_UNSEALED",
    58: "PROCEDURE_INVOKED_VALUES",
    59: "TABLE_WRITTEN_VALUES",
    60: "ED_PROGRAMMED_VALUES",
    61: "ED_SEALED_VALUES",
    62: "ED_UNSEALED_VALUES",
    63: "PROCEDURE_INVOKED_SIGNATURE",
    64: "TABLE_WRITTEN_SIGNATURE",
    65: "ED_PROGRAMMED_SIGNATURE",
    66: "ED_SEALED_SIGNATURE",
    67: "ED_UNSEALED_SIGNATURE",
    68: "PROCEDURE_INVOKED_SIGNATURE_VALUES",
    69: "TABLE_WRITTEN_SIGNATURE_VALUES",
    70: "ED_PROGRAMMED_SIGNATURE_VALUES",
    71: "ED_SEALED_SIGNATURE_VALUES",
    72: "ED_UNSEALED_SIGNATURE_VALUES",
    73: "SECURED_TABLE_READ",
    74: "SECURED_REGISTER_READ",
    75: "SECURED_TABLE_READ_VALUES",
    76: "SECURED_REGISTER_READ_VALUES",
}

_own_names: dict[int, str] = {}


def event_name(code: int) -> str:
    """Give the standard's name of an event code, or the number of one without a public name.

    >>> event_name(1), event_name(0x0803)
    ('PRIMARY_POWER_DOWN', 'manufacturer event 3')
    """
    code &= CODE_BITS
    if code in _own_names:
        return _own_names[code]
    if code & MANUFACTURER_EVENT:
        return f"manufacturer event {code & ~MANUFACTURER_EVENT}"
    return STANDARD_EVENTS.get(code, f"event {code}")


def name_event(code: int, name: str) -> None:
    """Name a code: a manufacturer's (bit 11 set), or one that the list lacks."""
    _own_names[code & CODE_BITS] = name


def event_text(code: int) -> str:
    """Give the name in words: "primary power down"."""
    return event_name(code).lower().replace("_", " ")
