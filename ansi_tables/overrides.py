"""Where a device does not do what its tables declare: a maker's ways, as data.

STD_VERSION_NO does not reliably predict shapes (one meter family is declared
edition 2 in its firmware, edition 1 in its ST-00, and sends 1997 shapes), so
the edition can be set; the other members are ways of real devices, each known
from one public source.

>>> Overrides.of("ge-kv-5.2, edition=1").time_remaining_once
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ansi_tables.errors import TableValueError

#: STD_VERSION_NO of the editions of 1997, 2008 and 2012 (the last unverified), 0 before.
EDITIONS = range(4)


@dataclass(frozen=True)
class Overrides:
    """What to believe instead of the tables; the default believes them.

    ``edition``                   STD_VERSION_NO to go by
    ``power_fail_always``         ST-13 has its three power-fail members whatever ST-11 says
    ``electric_selector_3``       CONSTANTS_SELECTOR 3 means the electric record
    ``constants_int64``           numbers of ST-15's electric record are INT64
    ``no_offset_flag``            SOURCE_FLAGS bit 7 set means that ST-15 has no OFFSET
    ``time_remaining_once``       ST-28 has TIME_REMAINING before the first demand only
    ``event_sequence_absent``     entries of ST-76 have no EVENT_SEQ_NBR
    ``serial_number_uint64``      MFG_SERIAL_NUMBER of ST-01 is a UINT64
    ``cover_detect_flag``         bit 13 of ED_STD_STATUS1 is a cover detector
    ``time_in_minutes``           TIME under TM_FORMAT 3 counts minutes, not seconds
    """

    edition: int | None = None
    power_fail_always: bool = False
    electric_selector_3: bool = False
    constants_int64: bool = False
    no_offset_flag: bool = False
    time_remaining_once: bool = False
    event_sequence_absent: bool = False
    serial_number_uint64: bool = False
    cover_detect_flag: bool = False
    time_in_minutes: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no edition."""
        if self.edition is not None and self.edition not in EDITIONS:
            raise TableValueError(f"override edition={self.edition}: one of 0, 1, 2, 3")

    @classmethod
    def of(cls, text: str) -> Overrides:
        """Read "NAME, member, edition=1": makers of MAKERS, members, and the edition.

        TableValueError names what is not known, and what is.
        """
        chosen = cls()
        for word in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = word.partition("=")
            if word in MAKERS:
                chosen = replace(chosen, **_set_members(MAKERS[word]))
            elif name == "edition" and value.isdecimal():
                chosen = replace(chosen, edition=int(value))
            elif word in _FLAGS:
                chosen = replace(chosen, **{word: True})
            else:
                known = ", ".join((*MAKERS, "edition=N", *_FLAGS))
                raise TableValueError(f"override {word!r} is not known; there are {known}")
        return chosen

    def __str__(self) -> str:
        """Give the text that ``of`` reads."""
        parts = [f"edition={self.edition}"] if self.edition is not None else []
        return ", ".join(parts + [name for name in _FLAGS if getattr(self, name)])


_FLAGS = tuple(member.name for member in fields(Overrides) if member.name != "edition")
_GE_KV = Overrides(
    power_fail_always=True,
    electric_selector_3=True,
    no_offset_flag=True,
    event_sequence_absent=True,
    cover_detect_flag=True,
)

#: Families of devices by name.
MAKERS: Mapping[str, Overrides] = {
    "ge-kv": _GE_KV,
    "ge-kv-5.2": replace(_GE_KV, constants_int64=True, time_remaining_once=True),
}


def _set_members(overrides: Overrides) -> dict[str, Any]:
    return {name: True for name in _FLAGS if getattr(overrides, name)}
