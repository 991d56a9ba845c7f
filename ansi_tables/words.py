"""What members of tables and their values mean, in few words: for listings and pages.

The words lie beside the definitions, one TOML file a decade; what a table of
one's own means is told with :func:`describe`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ansi_tables.ids import name_of
from ansi_tables.meaning.quantities import PHASES, POWERS_OF_TEN, QUANTITIES, TIME_BASES

_DECADES = Path(__file__).with_name("decades")
#: Codes whose words other modules hold.
_ELSEWHERE: Mapping[str, Mapping[int, str]] = {
    "ID_CODE": {code: quantity.name for code, quantity in QUANTITIES.items()},
    "TIME_BASE": dict(enumerate(TIME_BASES)),
    "SEGMENTATION": {code: phase or "all phases" for code, phase in enumerate(PHASES)},
}
#: Members that mean the same in every table.
_EVERYWHERE: Mapping[str, str] = {
    "RAW": "the members are not publicly known; the octets are kept as they are",
}
#: Members whose codes are those of another.
_SAME: Mapping[str, str] = {"NI_FORMAT2": "NI_FORMAT1"}
_POWERS = {code: f"x 10^{power}" for code, power in enumerate(POWERS_OF_TEN)}

_own: dict[tuple[int, str], str] = {}


def describe(table: int, words: Mapping[str, str]) -> None:
    """Tell what the members of a table of one's own mean: name to words."""
    _own.update({(table, member): text for member, text in words.items()})


def member_meaning(table: int, member: str) -> str:
    """Give what a member of a table means; empty when there are no words for it.

    >>> member_meaning(53, "DST_TIME_AMT")
    'DST shift, minutes'
    """
    if (table, member) in _own:
        return _own[table, member]
    words = _decade(table // 10)
    of_table: str = words.get(name_of(table), {}).get(member, "")
    of_decade: str = words.get("members", {}).get(member, "")
    return of_table or of_decade or _EVERYWHERE.get(member, "")


def value_meaning(table: int, member: str, value: int) -> str:
    """Give what a code means in a member; empty for what is no known code.

    >>> value_meaning(0, "NAMEPLATE_TYPE", 2)
    'electric'
    """
    if table == 12 and member == "MULTIPLIER":
        return _POWERS.get(value, "")
    if member in _ELSEWHERE:
        return _ELSEWHERE[member].get(value, "")
    codes = _decade(table // 10).get("values", {}).get(_SAME.get(member, member), {})
    for code, text in codes.items():
        low, _, high = code.partition("..")
        if int(low) <= value <= int(high or low):
            return str(text)
    return ""


@lru_cache(maxsize=32)
def _decade(number: int) -> dict[str, Any]:
    """Read the words of one decade; empty for one that has none."""
    for file in _DECADES.iterdir():
        if file.name.startswith(f"d{number:02d}_") and file.name.endswith(".toml"):
            return tomllib.loads(file.read_text(encoding="utf-8"))
    return {}
