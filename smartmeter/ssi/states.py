"""The life of a module in the codes that the original showed on the meter's display."""

from __future__ import annotations

from enum import IntEnum

HOUR_S = 3600
#: Without an acknowledged report for so long, the module warns.
QUIET_S, LONG_QUIET_S = HOUR_S, 24 * HOUR_S
MANY_WAITING = 10


class State(IntEnum):
    """States, 00 to 29."""

    INITIAL = 0
    INTEGRATOR_PASSED = 1
    READY = 2
    CONFIGURING = 3
    REGISTERING = 4
    REGISTERED = 5
    PROVISIONED = 6


class ErrorCode(IntEnum):
    """Errors of the module (1 to 9) and of its way into the system (30 to 59)."""

    NONE = 0
    NON_VOLATILE_MEMORY = 1
    CLOCK_OFF = 6
    CONFIGURATION_FAILED = 30
    REGISTRATION_FAILED = 31


class WarningCode(IntEnum):
    """Warnings, 80 to 99."""

    NONE = 0
    QUIET = 80
    LONG_QUIET_FEW_WAITING = 81
    LONG_QUIET_MANY_WAITING = 82


def warning(quiet_s: int, waiting: int) -> WarningCode:
    """Give the warning for so many seconds without an acknowledged report."""
    if quiet_s >= LONG_QUIET_S:
        many = waiting >= MANY_WAITING
        return WarningCode.LONG_QUIET_MANY_WAITING if many else WarningCode.LONG_QUIET_FEW_WAITING
    return WarningCode.QUIET if quiet_s >= QUIET_S and waiting else WarningCode.NONE
