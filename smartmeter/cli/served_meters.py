"""The meters that ``smartmeter meter serve`` serves: simulated ones, and twins of real ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ansi_tables.rendering import text_shown
from protocols.machine import Machine
from protocols.transports.capture import line_notes
from smartmeter.base.clock import Calendar, monotonic_us, shared_calendar, wall_utc_us
from smartmeter.base.nvram import MemoryNvram, Nvram
from smartmeter.cli.log_line import log_line
from smartmeter.cli.logon import CALL_KEY_VARIABLE, call_key, environment_password
from smartmeter.cli.state_folder import claim
from smartmeter.meter.image import MeterImage
from smartmeter.meter.living import RunningOn
from smartmeter.meter.meter import Meter, MeterSettings
from smartmeter.meter.profiles import profile_named
from smartmeter.meter.twin import Twin, TwinPasswords
from smartmeter.simulation.breakable import Breakable
from smartmeter.simulation.control import LATEST_S, Controlled, EditableMeter

#: Where passwords come from when they are not the defaults; never from the command line.
READER_VARIABLE, MASTER_VARIABLE = "SMARTMETER_READER_PASSWORD", "SMARTMETER_MASTER_PASSWORD"
#: A twin adds what has passed to the dates of its image.
ENDLESS_S = 1 << 50


@dataclass(frozen=True)
class ServedOptions:
    """What the meters of one ``serve`` have in common."""

    profile: str
    seed: int
    serial_number: str
    interval: int | None
    state: str | None
    clock: str
    image: MeterImage | None
    live: bool
    controlled: bool


@dataclass(frozen=True)
class Served:
    """One meter, and what its ready line says of it."""

    machine: Machine
    text: str
    control: Controlled | None = None


def served_meter(options: ServedOptions, number: int) -> Served:
    """Make the meter of a number, from 0 on; seeds, serial numbers and folders follow it."""
    now_us = monotonic_us()
    latest_s = LATEST_S if options.image is None else ENDLESS_S
    calendar = shared_calendar(options.clock, wall_utc_us(), now_us, latest_s)
    if options.image is not None:
        return _twin(options.image, options, options.seed + number, calendar)
    settings = MeterSettings(
        serial=options.serial_number or f"SM{options.seed + number:06d}",
        seed=options.seed + number,
        interval_min=options.interval,
        profile=profile_named(options.profile, options.seed + number),
        reader_password=environment_password(READER_VARIABLE) or b"reader",
        master_password=environment_password(MASTER_VARIABLE) or b"master",
    )
    folder = f"{options.state}-{number + 1}" if options.state and number else options.state
    kind = EditableMeter if options.controlled else Meter
    meter = kind(settings, _memory(folder, calendar), calendar, now_us)
    meter.expire(monotonic_us())
    rules = meter.access.rules
    public = " ".join(str(n) for n in meter.profile.used if rules.of(n).anyone_reads)
    text = f"meter {settings.serial}; {_passwords()}; public: {public}"
    return _served(meter, text, settings.serial, calendar, options)


def on_telephone(served: Served, identity: int) -> Served:
    """Let a simulated meter answer calls (C12.21) under an identity."""
    from smartmeter.simulation.telephone_meter import TelephoneMeter

    assert isinstance(served.machine, Meter)
    key, now_us = call_key(), monotonic_us()
    if key is not None and key[0] >= (known := len(served.machine.access.rules.passwords)):
        log_line(
            f"{CALL_KEY_VARIABLE}: key {key[0]} opens nothing; the meter knows 0 to {known - 1}",
            err=True,
        )
    keys = dict([key]) if key is not None else None
    machine = TelephoneMeter(
        served.machine, lambda: os.urandom(8), identity, now_us, keys, line_notes()
    )
    return Served(machine, served.text)


def _twin(image: MeterImage, options: ServedOptions, seed: int, calendar: Calendar) -> Served:
    readers = (environment_password(READER_VARIABLE) or b"reader", *image.passwords)
    master = environment_password(MASTER_VARIABLE) or b"master"
    living = RunningOn(image, calendar, seed, monotonic_us()) if options.live else None
    twin = Twin(image, TwinPasswords(readers, master), living)
    whose = " ".join(text_shown(str(value)) for value in image.identity.values()) or "a meter"
    own = ", and the image's own" if image.passwords else ""
    text = f"twin of {whose}; {_passwords()}{own}"
    return _served(twin, text, whose, calendar if options.live else None, options)


def _served(
    machine: Machine, text: str, name: str, calendar: Calendar | None, options: ServedOptions
) -> Served:
    if not options.controlled:
        return Served(machine, text)
    line = Breakable(machine)
    return Served(line, text, Controlled(line, name, calendar))


def _memory(state: str | None, calendar: Calendar) -> Nvram:
    """Give a memory; that in a folder is this process's alone, and may be written at any pace."""
    if state is None:
        return MemoryNvram()
    from smartmeter.gateway.flash_file import DAY_OCTETS, FlashFile, WriteBudget

    claim(Path(state))
    budget = WriteBudget(monotonic_us, DAY_OCTETS * max(1, int(calendar.rate)))
    return FlashFile(Path(state) / "meter.nvram", budget=budget)


def _passwords() -> str:
    """Tell the passwords while they are the defaults."""
    shown = []
    for role, variable in (("reader", READER_VARIABLE), ("master", MASTER_VARIABLE)):
        given = environment_password(variable)
        shown.append(f"{role} password {'from the environment' if given else role}")
    return ", ".join(shown)
