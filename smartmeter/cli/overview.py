"""``smartmeter read PORT`` without tables: one screen for a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ansi_tables import Record, Snapshot, name_of
from ansi_tables.scaling import decoded, registers

#: What the screen is made of.
TABLES = (0, 1, 3, 5, 11, 12, 16, 21, 22, 23, 52)


def lines(tables: Snapshot, refused: dict[int, str], now: datetime) -> Iterator[str]:
    """Give the screen; what is missing or does not decode is said, never guessed."""
    identity = decoded(tables, 1)
    if identity is not None:
        maker = f"{identity.MANUFACTURER.strip()} {identity.ED_MODEL.strip()}"
        firmware = f"{identity.FW_VERSION_NUMBER}.{identity.FW_REVISION_NUMBER}"
        yield f"meter     {maker}, serial {_text(identity.MFG_SERIAL_NUMBER)}, firmware {firmware}"
    owner = decoded(tables, 5)
    if owner is not None:
        yield f"name      {_text(owner.IDENTIFICATION)}"
    status = decoded(tables, 3)
    if status is not None:
        flags = [n for n, bit in status.ED_STD_STATUS1.items() if bit and n != "FILLER"]
        yield f"status    {', '.join(flags) or 'nothing to report'}"
    yield from _clock(decoded(tables, 52), now)
    for reading in registers(tables):
        yield f"{reading.kind:9s} {reading.index}  {reading.text}"
    if refused:
        locked = ", ".join(f"{name_of(number)} ({why})" for number, why in sorted(refused.items()))
        yield f"locked    {locked}; a password may open it"


def _text(value: str) -> str:
    return value.strip(" \x00") or "-"


def _clock(clock: Record | None, now: datetime) -> Iterator[str]:
    if clock is None:
        return
    shown = clock.CLOCK_CALENDAR.value
    if not isinstance(shown, datetime):
        yield "clock     not set"
        return
    qualifier = clock.TIME_DATE_QUAL
    if shown.tzinfo is None and not qualifier.GMT_FLAG:
        yield f"clock     {shown}, local time: its offset needs ST-53"
        return
    moment = shown if shown.tzinfo else shown.replace(tzinfo=UTC)
    offset = round((moment - now).total_seconds())
    yield f"clock     {moment:%Y-%m-%d %H:%M:%S} UTC, {offset:+d} s to this computer"
