"""A whole meter on paper: what a person wants to know first, then every table.

Passwords and keys (ST-42, 45, 46) are never printed here, and long lists are
shortened: ``decode table N --image FILE`` prints one table whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import click

from ansi_tables import Snapshot, TableError
from ansi_tables.meaning.load_profile import IntervalStatus, LoadProfile
from ansi_tables.meaning.notes import notes_on
from ansi_tables.meaning.registers import Kind, Register, Registers
from ansi_tables.meaning.scale import digits
from ansi_tables.rendering import Row, rows, text_shown, width_of
from smartmeter.cli.tables import error_shown, table_title, trailing_text

#: Tables whose content is secret.
SECRET = (42, 45, 46)
#: Elements of a list that are shown, and the last entries of logs and profiles.
SHOWN_ELEMENTS, SHOWN_ENTRIES = 4, 20


def lines(tables: Snapshot) -> Iterator[str]:
    """Give the report; a section whose tables are missing is left out, one that fails says why."""
    sections: tuple[tuple[str, Callable[[Snapshot], Iterator[str]]], ...] = (
        ("Meter", _identity),
        ("Clock", _clock),
        ("Status", _status),
        ("What it measures", _sources),
        ("Registers", _registers),
        ("Present values", _present),
        ("Previous season", lambda t: _closed(t, 24, t.previous_season)),
        ("Last demand reset", lambda t: _closed(t, 25, t.previous_demand_reset)),
        ("Self-reads", _self_reads),
        ("Calendar", _calendar),
        ("Load profile", _profiles),
        ("Event log", lambda t: _log(t, 76)),
        ("History log", lambda t: _log(t, 74)),
    )
    for title, give in sections:
        try:
            body = list(give(tables))
        except TableError as error:
            body = [f"{error}; {error.remedy}"]
        if body:
            yield click.style(title, bold=True)
            yield from (f"  {line}" for line in body)
            yield ""
    for number in tables:
        yield from _table(tables, number)
        yield ""


def _identity(tables: Snapshot) -> Iterator[str]:
    general, maker, name = tables.get(0), tables.get(1), tables.get(5)
    for key, value in tables.identity.items():
        if maker is None or key not in ("manufacturer", "model", "serial"):
            yield f"{text_shown(key):14s} {text_shown(str(value))}"
    if maker is not None:
        yield f"{'manufacturer':14s} {_text(maker.MANUFACTURER)}, model {_text(maker.ED_MODEL)}"
        yield f"{'serial number':14s} {_text(str(maker.MFG_SERIAL_NUMBER))}"
        hardware = f"{maker.HW_VERSION_NUMBER}.{maker.HW_REVISION_NUMBER}"
        firmware = f"{maker.FW_VERSION_NUMBER}.{maker.FW_REVISION_NUMBER}"
        yield f"{'versions':14s} hardware {hardware}, firmware {firmware}"
    if name is not None:
        yield f"{'name':14s} {_text(str(name.IDENTIFICATION))}"
    if general is not None:
        fmt = tables.context.fmt
        yield (
            f"{'formats':14s} {fmt.data_order}-endian, TM_FORMAT {fmt.tm_format}, "
            f"NI formats {fmt.ni_format1} and {fmt.ni_format2}, edition {fmt.std_version_no}"
        )


def _text(value: str) -> str:
    return text_shown(value) or "-"


def _clock(tables: Snapshot) -> Iterator[str]:
    if 52 not in tables and 55 not in tables:
        return
    clock = tables.clock()
    yield "not set" if clock.now is None else clock.now.isoformat(" ")
    if clock.rules.note:
        yield clock.rules.note


def _status(tables: Snapshot) -> Iterator[str]:
    status = tables.get(3)
    if status is None:
        return
    modes = [name for name, bit in status.ED_MODE.items() if bit and name != "FILLER"]
    yield f"mode     {', '.join(modes) or 'none'}"
    flags = [name for name, bit in status.ED_STD_STATUS1.items() if bit and name != "FILLER"]
    yield f"flags    {', '.join(flags) or 'nothing to report'}"
    if status.ED_MFG_STATUS:
        yield f"maker's  bits {', '.join(map(str, sorted(status.ED_MFG_STATUS)))}"


def _sources(tables: Snapshot) -> Iterator[str]:
    for one in tables.sources():
        told = one.name if one.known else f"not known: {one.note}"
        unit = f", {one.unit}" if one.unit not in ("", "1") else ""
        yield f"source {one.index:3d}  {told}{unit}"


def _registers(tables: Snapshot) -> Iterator[str]:
    if 23 in tables:
        yield from _register_lines(tables.registers())


def _present(tables: Snapshot) -> Iterator[str]:
    if 28 in tables:
        yield from _register_lines(tables.present_values())


def _closed(tables: Snapshot, number: int, give: Callable[[], Registers]) -> Iterator[str]:
    if number in tables:
        yield from _taken(give())


def _self_reads(tables: Snapshot) -> Iterator[str]:
    for one in tables.self_reads() if 26 in tables else ():
        yield f"self-read {one.sequence}"
        yield from _taken(one)


def _taken(registers: Registers) -> Iterator[str]:
    if registers.taken is not None:
        season = "" if registers.season is None else f", season {registers.season}"
        yield f"taken at {registers.taken.isoformat(' ', 'minutes')}{season}"
    yield from _register_lines(registers)


def _register_lines(registers: Registers) -> Iterator[str]:
    """Give a line a register; of values that are all zero in a tier, one line for the tier."""
    if registers.demand_resets is not None:
        yield f"demand resets {registers.demand_resets}"
    empty = {
        tier
        for tier in {one.tier for one in registers} - {None}
        if not any(one.raw for one in registers if one.tier == tier)
    }
    shown = [one for one in registers if one.tier not in empty]
    width = max((len(one.name) for one in shown), default=0)
    for one in shown:
        yield f"{one.name:{width}s}  {one.text:>16s}{_when(one)}"
    if empty:
        yield f"tiers {', '.join(map(str, sorted(t for t in empty if t is not None)))}: all zero"


def _when(register: Register) -> str:
    if register.time is None or register.kind not in (Kind.DEMAND, Kind.COINCIDENT):
        return ""
    return f"  at {register.time.isoformat(' ', 'minutes')}"


def _calendar(tables: Snapshot) -> Iterator[str]:
    if 54 not in tables:
        return
    calendar = tables.calendar()
    for one in calendar.dates:
        yield f"{one.when}: {one.action}"
    for number, row in enumerate(calendar.seasons):
        days = ", ".join(f"{day.lower()} {schedule}" for day, schedule in row.items())
        yield f"season {number}: daily schedules {days}"
    for schedule, switches in calendar.schedules.items():
        yield f"schedule {schedule}: {', '.join(map(str, switches)) or 'no switch'}"


def _profiles(tables: Snapshot) -> Iterator[str]:
    for set_number in tables.profile_sets():
        yield from _profile(tables.load_profile(set_number))


def _profile(profile: LoadProfile) -> Iterator[str]:
    minutes, count, blocks = profile.interval_s // 60, len(profile), len(profile.blocks)
    yield f"set {profile.set_number}: {count} intervals of {minutes} min in {blocks} blocks"
    if not profile.active:
        yield "recording is stopped"
    elif profile.overflow and profile.inhibited:
        yield f"full: {profile.unread_blocks} unread blocks keep it from recording"
    for channel in profile.channels:
        unit = channel.unit or f"raw: {channel.source.note}"
        statuses = Counter(_words(status) for status in channel.statuses if status)
        told = "".join(f", {n} {words}" for words, n in statuses.items())
        yield f"channel {channel.index}  {channel.name}, {unit}{told}"
    for gap in profile.gaps[:SHOWN_ENTRIES]:
        end = profile.ends[gap.row]
        word = "missing" if gap.missing_s > 0 else "recorded twice"
        yield f"{abs(gap.missing_s) // 60} min {word} before the interval that ends {end}"
    if count > SHOWN_ENTRIES:
        yield f"the last {SHOWN_ENTRIES} of them:"
    for row in range(max(0, count - SHOWN_ENTRIES), count):
        yield _interval(profile, row)


def _interval(profile: LoadProfile, row: int) -> str:
    end = profile.ends[row]
    line = f"{end.isoformat(' ', 'minutes') if end else 'no time':22s}"
    for channel in profile.channels:
        value = channel.values[row]
        line += f"  {channel.raw[row] if value is None else digits(value)!s:>12s}"
    marks = {_words(channel.statuses[row]) for channel in profile.channels} - {"ok"}
    return f"{line}  {', '.join(sorted(marks))}".rstrip()


def _words(status: IntervalStatus) -> str:
    return status.name.lower().replace("_", " ")


def _log(tables: Snapshot, number: int) -> Iterator[str]:
    if number not in tables:
        return
    events = tables.events() if number == 76 else tables.history()
    if len(events) > SHOWN_ENTRIES:
        yield f"{len(events)} entries, the last {SHOWN_ENTRIES} of them:"
    for event in events[-SHOWN_ENTRIES:]:
        by = f", user {event.user}" if event.user else ""
        yield f"{event}{by}"


def _table(tables: Snapshot, number: int) -> Iterator[str]:
    """Give one table, lists shortened."""
    image = tables.images[number]
    try:
        layout = tables.layout(number)
        value, trailing = layout.decode_with_trailing(image)
    except TableError as error:
        yield table_title(number, None)
        yield f"  {error_shown(number, error)['text']}"
        return
    yield table_title(number, layout.size)
    if number in SECRET:
        yield f"  {len(image)} octets of passwords or keys, not shown"
        return
    found = list(rows(layout, value, notes_on(tables, number)))
    shown = [row for row in found if _is_shown(row)]
    path_width, value_width = width_of(row.path for row in shown), 32
    for row in shown:
        line = f"{row.path:{path_width}s}  {row.value:{value_width}s}  {row.note}"
        yield f"  {line}".rstrip()
    if len(found) > len(shown):
        yield f"  … and {len(found) - len(shown)} fields more of its lists"
    if trailing:
        yield f"  {trailing_text(trailing)}"


def _is_shown(row: Row) -> bool:
    return all(int(step) < SHOWN_ELEMENTS for step in row.path.split(".") if step.isdecimal())
