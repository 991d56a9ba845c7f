"""What the codes of a module's display say in words, and what is to be done."""

from __future__ import annotations

from smartmeter.ssi.states import ErrorCode, State, WarningCode

STATES = {
    State.INITIAL: "has passed no quality control",
    State.INTEGRATOR_PASSED: "has passed the integrator's quality control only",
    State.READY: "is ready to begin",
    State.CONFIGURING: "reads its meter",
    State.REGISTERING: "registers with its TMS",
    State.REGISTERED: "is registered, and waits to be provisioned",
    State.PROVISIONED: "works as provisioned",
}
_MEDIUM = "look at the medium of its state file"
#: What is wrong, and the remedy.
ERRORS = {
    ErrorCode.NON_VOLATILE_MEMORY: ("a write to its state file failed", _MEDIUM),
    ErrorCode.COMMON_AREA: ("its factory memory or keys cannot be read", _MEDIUM),
    ErrorCode.APPLICATION_AREA: ("what it had kept could not be read, it began anew", _MEDIUM),
    ErrorCode.IMAGE_CORRUPT: ("the new version's image is damaged", "send it again"),
    ErrorCode.IMAGE_NOT_UNPACKED: (
        "the new version cannot be unpacked",
        "make room, send it again",
    ),
    ErrorCode.CLOCK_OFF: (
        "the meter's clock is off by more than the limit, or not set",
        "have the meter's clock set by whoever may",
    ),
    ErrorCode.WATCHDOG_RESET: ("the watchdog started it anew", ""),
    ErrorCode.CONFIGURATION_FAILED: ("the meter cannot be read", "run: smartmeter gateway check"),
    ErrorCode.REGISTRATION_FAILED: (
        "the TMS does not take it in",
        "see that the TMS runs and can be reached; give its operator shipment.csv, or the ESN and"
        " its key, and ask whether the meter is retired there",
    ),
}
WARNINGS = {
    WarningCode.QUIET: "nothing has reached the TMS for an hour or more",
    WarningCode.LONG_QUIET_FEW_WAITING: "nothing has reached the TMS for a day or more",
    WarningCode.LONG_QUIET_MANY_WAITING: "nothing has reached the TMS for a day, much waits",
}


def sentence(state: int, error: int, warning: int = 0, why: str = "") -> str:
    """Say how a module does: its state, what is wrong and why, and the remedy."""
    told = [STATES[State(state)]]
    if error:
        fault, remedy = ERRORS[ErrorCode(error)]
        told.append(fault + (f": {why}" if why else "") + (f"; {remedy}" if remedy else ""))
    if warning:
        told.append(WARNINGS[WarningCode(warning)])
    return "; ".join(told)
