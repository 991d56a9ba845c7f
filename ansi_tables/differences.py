"""What changed between two images of a meter, in words.

Registers are compared in their units, logs and load profiles by the sequence
numbers of what they hold, everything else field by field.  A table that does
not decode is compared octet by octet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

from ansi_tables.decades.d06_load_profile import SETS
from ansi_tables.errors import TableError
from ansi_tables.ids import name_of
from ansi_tables.meaning.clock import clock_rules
from ansi_tables.meaning.logs import Event
from ansi_tables.meaning.registers import Register
from ansi_tables.meaning.scale import digits, finite_decimal
from ansi_tables.rendering import last_name, text_shown, value_text
from ansi_tables.snapshot import Snapshot
from ansi_tables.values import Record
from ansi_tables.words import member_meaning

#: Differences told of one table; what is beyond is counted.
MAX_TOLD = 100
#: A longer meaning of a member, in characters, is left out of the line.
MAX_MEANING = 50


@dataclass(frozen=True)
class Difference:
    """One difference: the table, the field (empty for the table as a whole), and the words."""

    table: int | None
    path: str
    text: str

    def __str__(self) -> str:
        """Give the table, the field and what happened."""
        where = "identity" if self.table is None else name_of(self.table)
        return f"{where} {self.path}: {self.text}" if self.path else f"{where} {self.text}"

    def to_json(self) -> dict[str, Any]:
        """Give it as an object."""
        return {"table": self.table, "path": self.path, "text": self.text}


def differences(old: Snapshot, new: Snapshot) -> list[Difference]:
    """Give what differs, in the order of the tables; empty for equal meters."""
    found = []
    for name in sorted({*old.identity, *new.identity}):
        before, after = old.identity.get(name), new.identity.get(name)
        if before != after:
            words = f"{text_shown(str(before))} became {text_shown(str(after))}"
            found.append(Difference(None, text_shown(name), words))
    for number in sorted({*old.images, *new.images}):
        told = _table(old, new, number)
        found += islice(told, MAX_TOLD)
        more = sum(1 for _ in told)
        if more:
            found.append(Difference(number, "", f"differs in {more} more fields"))
    return found


def _table(old: Snapshot, new: Snapshot, number: int) -> Iterator[Difference]:
    before, after = old.images.get(number), new.images.get(number)
    if before == after:
        return
    if before is None or after is None:
        word = "is new" if before is None else "is gone"
        yield Difference(number, "", f"{word} ({len(before or after or b'')} octets)")
        return
    try:
        told = list(_decoded(old, new, number))
    except TableError:
        told = []
    yield from told or [Difference(number, "", _octets(before, after))]


def _octets(before: bytes, after: bytes) -> str:
    """Describe a difference between octets that no field explains, or that do not decode."""
    places = [k for k, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
    length = f"has {len(after)} octets, had {len(before)}" if len(before) != len(after) else ""
    if not places:
        return length
    first = places[0]
    told = f"{len(places)} octets differ, the first at {first}: "
    told += f"{before[first : first + 8].hex()} became {after[first : first + 8].hex()}"
    return f"{length}; {told}" if length else told


def _decoded(old: Snapshot, new: Snapshot, number: int) -> Iterator[Difference]:
    before, after = old[number], new[number]
    special = _SPECIAL.get(number)
    if special is None:
        yield from _fields(number, before, after, "", ())
        return
    skipped, give = special
    yield from give(old, new, number)
    yield from _fields(number, before, after, "", skipped)


def _fields(
    number: int, old: Any, new: Any, path: str, skipped: Collection[str]
) -> Iterator[Difference]:
    """Compare two values field by field; members whose name is in ``skipped`` are left out."""
    if isinstance(old, Record) and isinstance(new, Record):
        for name in dict.fromkeys((*old, *new)):
            inner = f"{path}.{name}" if path else name
            if name in skipped:
                continue
            if name not in old or name not in new:
                yield Difference(number, inner, "is new" if name in new else "is gone")
            else:
                yield from _fields(number, old[name], new[name], inner, skipped)
    elif isinstance(old, list) and isinstance(new, list):
        for index, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from _fields(number, a, b, f"{path}.{index}", skipped)
        if len(old) != len(new):
            yield Difference(number, path, f"has {len(new)} elements, had {len(old)}")
    elif old != new:
        yield Difference(number, path, _change(number, path, old, new))


def _change(number: int, path: str, old: Any, new: Any) -> str:
    if isinstance(old, frozenset) and isinstance(new, frozenset):
        parts = [("gained", new - old), ("lost", old - new)]
        return "; ".join(f"{word} {', '.join(map(str, sorted(s)))}" for word, s in parts if s)
    name = last_name(path)
    if name.endswith("_FLAG") and {old, new} == {0, 1}:
        return "was set" if new else "was cleared"
    meaning = member_meaning(number, name)
    told = f"{value_text(number, old)} became {value_text(number, new)}"
    return f"{told} ({meaning})" if 0 < len(meaning) <= MAX_MEANING else told


def _registers(old: Snapshot, new: Snapshot, number: int) -> Iterator[Difference]:
    readers: Mapping[int, Callable[[Snapshot], Any]] = {
        23: Snapshot.registers,
        24: Snapshot.previous_season,
        25: Snapshot.previous_demand_reset,
        28: Snapshot.present_values,
    }
    before = {one.path: one for one in readers[number](old)}
    after = {one.path: one for one in readers[number](new)}
    for path, one in after.items():
        was = before.get(path)
        if was is None:
            yield Difference(number, path, f"is new: {one}")
        elif was != one:
            yield Difference(number, path, _register(was, one))
    for path, one in before.items():
        if path not in after:
            yield Difference(number, path, f"is gone: {one}")


def _register(was: Register, one: Register) -> str:
    told = f"{one.name}: {was.text} became {one.text}"
    if was.value is not None and one.value is not None and was.unit == one.unit:
        step = Fraction(one.value) - Fraction(was.value)
        size = finite_decimal(abs(step)) or abs(step)
        if step:
            told += f", {one.source.told(digits(size))} {'more' if step > 0 else 'less'}"
    if one.time != was.time and one.time is not None:
        told += f", at {one.time.isoformat(' ', 'minutes')}"
    return told


def _log(old: Snapshot, new: Snapshot, number: int) -> Iterator[Difference]:
    give = Snapshot.events if number == 76 else Snapshot.history
    before, after = ({one.sequence: one for one in give(image)} for image in (old, new))
    timed = clock_rules(old) == clock_rules(new)
    for sequence, event in after.items():
        if sequence not in before:
            yield Difference(number, "", f"has a new entry: {event}")
        elif _said(before[sequence], timed) != _said(event, timed):
            yield Difference(number, "", _entry(before[sequence], event))
    gone = before.keys() - after.keys()
    if gone:
        yield Difference(number, "", f"{len(gone)} entries are gone")


def _said(event: Event, timed: bool) -> tuple[object, ...]:
    """Give what an entry says: not where in the ring it is, nor a time by other rules."""
    return event.code, event.user, event.argument, event.number, event.time if timed else None


def _entry(was: Event, event: Event) -> str:
    told = f"entry {was} became {event}"
    for name in ("user", "number"):
        before, after = getattr(was, name), getattr(event, name)
        told += f", {name} {before} became {after}" if before != after else ""
    return told


def _profile(old: Snapshot, new: Snapshot, number: int) -> Iterator[Difference]:
    before, after = (image.load_profile(number - 63) for image in (old, new))
    places = {sequence: row for row, sequence in enumerate(before.sequences)}
    new_rows = [row for row, sequence in enumerate(after.sequences) if sequence not in places]
    if new_rows:
        ends = [after.ends[row] for row in (new_rows[0], new_rows[-1])]
        first, last = (end.isoformat(" ", "minutes") if end else "no time" for end in ends)
        yield Difference(number, "", f"{len(new_rows)} intervals came, {first} to {last}")
    kept = set(after.sequences)
    gone = sum(sequence not in kept for sequence in before.sequences)
    if gone:
        yield Difference(number, "", f"{gone} intervals are gone")
    for row, sequence in enumerate(after.sequences):
        place = places.get(sequence)
        if place is None:
            continue
        for a, b in zip(before.channels, after.channels, strict=False):
            if a.raw[place] != b.raw[row] or a.status_codes[place] != b.status_codes[row]:
                end = after.ends[row]
                when = end.isoformat(" ", "minutes") if end else f"number {sequence}"
                told = f"{a.raw[place]} became {b.raw[row]}"
                if a.status_codes[place] != b.status_codes[row]:
                    told += f", {a.statuses[place].name} became {b.statuses[row].name}"
                yield Difference(number, "", f"interval {when}, channel {b.index}: {told}")


#: Table -> members that are not compared field by field, and what tells of them.
_SPECIAL: Mapping[
    int, tuple[Collection[str], Callable[[Snapshot, Snapshot, int], Iterator[Difference]]]
] = {
    **dict.fromkeys((23, 24, 25), (("SUMMATIONS", "DEMANDS", "COINCIDENTS"), _registers)),
    28: (("PRESENT_DEMAND", "PRESENT_VALUE"), _registers),
    **dict.fromkeys((74, 76), (("ENTRIES",), _log)),
    **{63 + n: ((f"LP_DATA_SET{n}",), _profile) for n in SETS},
}
