"""The keys of C12.22 that a person gives: by their ids, or those of many nodes by their titles."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import click

from protocols.c1222.ap_title import ApTitle, Arcs
from protocols.c1222.security import EaxPrime
from smartmeter.base.file import read_text

#: Keys for reading captures, as ``ID=HEX`` with commas between.
KEYS_VARIABLE = "SMARTMETER_C1222_KEYS"
MAX_KEY_FILE_OCTETS = 1 << 24
_SHIPMENT = "esn,title,key"


@dataclass
class KnownKeys:
    """Keys by id, as many under one as were given, and the keys 0 of nodes by absolute title."""

    by_id: dict[int, list[EaxPrime]] = field(default_factory=dict)
    by_title: dict[Arcs, EaxPrime] = field(default_factory=dict)

    def attempts(self, titles: Set[Arcs]) -> Iterator[dict[int, EaxPrime]]:
        """Give the keys to open a message between titles with, one under each id at a time.

        Nodes may have different keys under one id; the last given comes first.
        """
        own = [self.by_title[title] for title in titles if title in self.by_title]
        found = {key_id: keys[::-1] for key_id, keys in self.by_id.items()}
        if own:
            found[0] = own + found.get(0, [])
        for number in range(max((len(keys) for keys in found.values()), default=1)):
            yield {i: keys[number] for i, keys in found.items() if number < len(keys)}

    def of_node(self, title: ApTitle) -> dict[int, EaxPrime]:
        """Give the keys to talk to a node with; click.UsageError when all are of others."""
        found = next(self.attempts({title.absolute}))
        if self.by_title and not found:
            raise click.UsageError(f"--key-file holds no key of {title}; look at its titles")
        return found


def read_keys(keys: Sequence[str], key_file: str | None) -> KnownKeys:
    """Read what was given, and the environment; click.UsageError names what is wrong."""
    found = KnownKeys()
    given = [part for part in os.environ.get(KEYS_VARIABLE, "").split(",") if part.strip()]
    text = _text(key_file) if key_file else ""
    lines = text.splitlines()
    if lines and lines[0].lower().replace(" ", "").startswith(_SHIPMENT):
        from smartmeter.tms.shipment import read_shipment

        for one in read_shipment(text, f"--key-file {key_file}"):
            found.by_title[ApTitle.parse(one.title).absolute] = EaxPrime(one.key)
        lines = []
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for source, texts in ((KEYS_VARIABLE, given), ("--key-file", lines), ("--key", keys)):
        for one_text in texts:
            key_id, octets = numbered(source, one_text, 16)
            found.by_id.setdefault(key_id, []).append(EaxPrime(octets))
    return found


def _text(key_file: str) -> str:
    return read_text(Path(key_file), MAX_KEY_FILE_OCTETS, f"--key-file {key_file}")


def numbered(source: str, text: str, size: int) -> tuple[int, bytes]:
    """Read ``ID=HEX``; the octets are not repeated in the error, they may be a key."""
    number, _, octets = text.strip().partition("=")
    try:
        key_id = int(number, 16 if number.lower().startswith("0x") else 10)
        found = bytes.fromhex(octets)
    except ValueError:
        key_id, found = -1, b""
    if not 0 <= key_id <= 255 or len(found) != size:
        raise click.UsageError(
            f"{source}: write ID=HEX, an id of 0 to 255 and {2 * size} hexadecimal digits"
        )
    return key_id, found
