"""What the collector tells the head-end: what came from nodes, and what it shows of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protocols.c1222.registration import Register
from protocols.machine import Event
from smartmeter.tms.open_answers import Token
from smartmeter.tms.store.records import Part


@dataclass(frozen=True)
class RegistrationAsked(Event):
    """A SmartMeter whose key is right asks to be taken in."""

    token: Token
    path: Hashable
    esn: str
    register: Register


@dataclass(slots=True)
class ReportArrived(Event):
    """A report whose MAC is right; the answer goes out when it is durable."""

    token: Token
    path: Hashable
    esn: str
    header: Mapping[str, Any]
    parts: Sequence[Part]


@dataclass(frozen=True)
class DeregistrationAsked(Event):
    """A node gives its title up; the answer goes out when that is durable."""

    token: Token
    esn: str


@dataclass(frozen=True)
class NotificationArrived(Event):
    """A plain C12.22 node tells tables by itself; an answer, if wanted, waits for the store."""

    token: Token
    path: Hashable
    esn: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class PathDoubted(Event):
    """A request over the path of a SmartMeter did not reach it, or was not answered in time."""

    esn: str


@dataclass(frozen=True)
class KeyUsed(Event):
    """A node has used the key that it was offered."""

    esn: str


@dataclass(frozen=True)
class KeyLost(Event):
    """A node does not use the key that it has: one of us has lost it."""

    esn: str


@dataclass(frozen=True)
class Refused(Event):
    """A message that was refused.  ``unknown`` tells that its title is in no shipment."""

    title: str
    reason: str
    unknown: bool
