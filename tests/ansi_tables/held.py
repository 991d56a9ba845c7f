"""What was held against the facts, for a checkout that has no reference beside it.

``vectors/layouts.json`` keeps a digest for each table and procedure.  A definition is changed on
purpose where the facts are: then the new digest, which the failing test names, goes into that file.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansi_tables import Layout

_FILE = Path(__file__).parents[1] / "vectors" / "layouts.json"
_CHARACTERS = 16
_BIT_FIELDS = ("BITFIELD8", "BITFIELD16", "BITFIELD32")


def leaves_of(layout: Layout) -> list[tuple[Any, ...]]:
    """Give path, width, type and bits of every field of our definition."""
    found = []
    for field in layout.listing():
        bits = layout.leaf(field.path).bits if field.type_name in _BIT_FIELDS else None
        found.append((field.path, field.width, field.type_name, bits))
    return found


def others_than_held(kind: str, told: Mapping[str, object]) -> dict[str, str | None]:
    """Give the digest of whatever differs from what was held, by number; None for what is gone."""
    held = json.loads(_FILE.read_text())[kind]
    found = {n: sha256(repr(one).encode()).hexdigest()[:_CHARACTERS] for n, one in told.items()}
    return {n: found.get(n) for n in sorted(found | held) if found.get(n) != held.get(n)}
