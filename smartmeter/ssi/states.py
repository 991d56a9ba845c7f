"""The life of a module in the codes that the original showed on the meter's display."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ansi_tables.ssi_tables import ModuleAlarm, UpgradeResult
from protocols.machine import Event
from smartmeter.base.clock import DAY_S, HOUR_S

#: Without an acknowledged report for so long, the module warns.
QUIET_S, LONG_QUIET_S = HOUR_S, DAY_S
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
    #: A write to the non-volatile memory failed; the module started anew.
    NON_VOLATILE_MEMORY = 1
    #: The common area (factory memory, keys) could not be read.
    COMMON_AREA = 2
    #: The application area (configuration, cursors, outbox) could not be read; it began anew.
    APPLICATION_AREA = 3
    IMAGE_CORRUPT = 4
    IMAGE_NOT_UNPACKED = 5
    CLOCK_OFF = 6
    WATCHDOG_RESET = 7
    CONFIGURATION_FAILED = 30
    REGISTRATION_FAILED = 31


class StartCause(IntEnum):
    """Why a module starts: what its host tells it."""

    POWER_UP = 0
    WATCHDOG = 1
    MEMORY_FAILED = 2
    UPGRADE = 3


#: Errors that say how the module came to start; they stand until a report was acknowledged.
START_ERRORS = {
    StartCause.WATCHDOG: ErrorCode.WATCHDOG_RESET,
    StartCause.MEMORY_FAILED: ErrorCode.NON_VOLATILE_MEMORY,
}
IMAGE_ERRORS = {
    UpgradeResult.IMAGE_CORRUPT: ErrorCode.IMAGE_CORRUPT,
    UpgradeResult.NOT_UNPACKED: ErrorCode.IMAGE_NOT_UNPACKED,
}
START_ALARMS = {
    ErrorCode.NON_VOLATILE_MEMORY: (ModuleAlarm.MEMORY_FAILED, "a write failed; began anew"),
    ErrorCode.COMMON_AREA: (ModuleAlarm.MEMORY_FAILED, "keys that were kept were unreadable"),
    ErrorCode.APPLICATION_AREA: (ModuleAlarm.MEMORY_FAILED, "what was kept was unreadable"),
    ErrorCode.WATCHDOG_RESET: (ModuleAlarm.WATCHDOG_RESET, "the watchdog reset the module"),
}
#: Errors that tell of the start, and end with the first report that arrived.
TOLD_ONCE = (*START_ALARMS, *IMAGE_ERRORS.values())


@dataclass(frozen=True)
class StateChanged(Event):
    """The module's state or error is another, or the error has another cause: ``why``."""

    state: State
    error: ErrorCode
    why: str = ""


class Life:
    """State and errors of one module, and the changes that its host has not heard of.

    Several errors may hold at once; the lowest code is shown, those of the module itself
    before those of its way into the system.
    """

    def __init__(self, state: State, error: ErrorCode = ErrorCode.NONE) -> None:
        self.state = state
        #: Each error that holds, and why, where that is known.
        self._errors = {error: ""} if error else {}
        self._told = (state, error, "")
        self._events: list[Event] = []

    @property
    def error(self) -> ErrorCode:
        """Give the error that is shown."""
        return min(self._errors, default=ErrorCode.NONE)

    @property
    def why(self) -> str:
        """Give the cause of the error that is shown; empty where the code says it all."""
        return self._errors.get(self.error, "")

    def has(self, error: ErrorCode) -> bool:
        """Tell whether an error holds, shown or not."""
        return error in self._errors

    def set_state(self, state: State) -> None:
        """Enter a state."""
        self.state = state
        self._note()

    def set_error(self, error: ErrorCode, why: str = "") -> None:
        """Have an error, until it is cleared."""
        self._errors[error] = why
        self._note()

    def clear(self, *errors: ErrorCode) -> None:
        """End these errors, where they are there."""
        for error in errors:
            self._errors.pop(error, None)
        self._note()

    def _note(self) -> None:
        now = (self.state, self.error, self.why)
        if now != self._told:
            self._told = now
            self._events.append(StateChanged(*now))

    def events(self) -> list[Event]:
        """Give what has changed."""
        events, self._events = self._events, []
        return events


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
