"""What of a meter outlives its processor: its state as one page of JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from smartmeter.base.errors import StorageError
from smartmeter.meter.program import ConfigurationRefused, Program, program_of
from smartmeter.meter.service_switch import ServiceSwitch

if TYPE_CHECKING:
    from smartmeter.meter.meter import Meter, MeterSettings


def kept(page: bytes | None, settings: MeterSettings) -> dict[str, Any] | None:
    """Give the state of a page, None for a new memory; StorageError for another meter's.

    What it measured was of its own household, in intervals of its own length.
    """
    if page is None:
        return None
    try:
        state: dict[str, Any] = json.loads(page)
        begun_with = {name: state.get(name, own) for name, own in _made(settings).items()}
        begun_with["profile"] = state["profile"]  # older memories have none of the others
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_meter("holds no meter") from error
    for name, own in _made(settings).items():
        if begun_with[name] != own:
            raise _no_meter(f"holds a meter of {name} {begun_with[name]}, not {own}")
    return state


def _made(settings: MeterSettings) -> dict[str, object]:
    """Give what a meter is made with, by the words for it."""
    own = settings.interval_min
    return {
        "profile": settings.profile.name,
        "seed": settings.seed,
        "serial number": settings.serial,
        "interval": "of its profile" if own is None else f"{own} min",
    }


def _no_meter(fault: str) -> StorageError:
    remedy = "give what it was begun with, or start with an empty state folder"
    return StorageError("the meter's non-volatile memory", fault, remedy)


def program_kept(images: Mapping[int, bytes]) -> Program:
    """Give the program of the tables that were written; StorageError when they make none."""
    try:
        return program_of(images)
    except ConfigurationRefused as error:
        raise _no_meter(f"holds tables of another meter, {error}") from error


def state_of(meter: Meter) -> bytes:
    """Give the state, but for written tables and the blocks of the load profile."""
    state = {
        **_made(meter.settings),
        "clock": meter.clock.to_json(),
        "metering": meter.metering.to_json(),
        "logs": meter.logs.to_json(),
        "failures": meter.access.failures,
        "conditions": meter.conditions.to_json(),
        "pending": meter.pending.to_json(),
        "switch": meter.switch.to_json() if meter.switch is not None else None,
        "programmed": meter.programmed,
        "off_since_us": meter.off_since_us,
    }
    return json.dumps(state).encode()


def restore(
    meter: Meter, state: Mapping[str, Any], page: Callable[[str], bytes | None], now_us: int
) -> None:
    """Put a state into a meter that was made anew; StorageError when it is not this meter's."""
    try:
        meter.clock.restore(state["clock"], now_us)
        meter.metering.restore(state["metering"], page)
        meter.logs.restore(state["logs"])
        meter.access.failures = state["failures"]
        meter.conditions.restore(state["conditions"])
        meter.pending.restore(state["pending"])
        if meter.switch is not None and state["switch"]:
            meter.switch = ServiceSwitch.from_json(state["switch"])
        meter.programmed = state["programmed"]
        meter.off_since_us = state["off_since_us"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_meter(f"does not hold this meter: {error!r}") from error
