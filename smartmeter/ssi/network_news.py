"""What the module's face to the network has to say to the module."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.machine import Event
from protocols.psem.codes import ResponseCode


@dataclass(frozen=True)
class RegisteredWithTms(Event):
    """The TMS has taken the module in."""


@dataclass(frozen=True)
class RegistrationRefused(Event):
    """The TMS, or the way to it, refused the registration."""

    cause: str


@dataclass(frozen=True)
class TimeTold(Event):
    """What time it is at the TMS, by its own word and key; ``within_s`` old at most."""

    utc_s: int
    within_s: int


@dataclass(frozen=True)
class ReportAcknowledged(Event):
    """The TMS has the report durably."""

    number: int


@dataclass(frozen=True)
class ReportRefused(Event):
    """The TMS takes other reports and not this one."""

    number: int
    cause: str


def time_told(
    response: bytes, tms_s: int, own_s: int, within_s: int, window_s: int
) -> TimeTold | None:
    """Give the time that the TMS stamped its answer to a registration with, if it is one.

    Who takes us in has a time within ``window_s`` of ours, who refuses our stamp one beyond it;
    the answer was made at most ``within_s`` ago.
    """
    beyond_s = abs(tms_s - own_s) - window_s
    refused = response == bytes([ResponseCode.sme])
    taken_in = response[:1] == bytes([ResponseCode.ok])
    if (refused and beyond_s + within_s > 0) or (taken_in and beyond_s <= within_s):
        return TimeTold(tms_s, within_s)
    return None
