"""Many tables of one meter decoded together, and a whole meter as one JSON image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansi_tables.context import Context
from ansi_tables.errors import TableError
from ansi_tables.ids import name_of
from ansi_tables.layout import Layout, layout_for
from ansi_tables.values import Record

IMAGE_FORMAT = "smartmeter-image/1"
#: The largest image file that is read, in characters.
MAX_IMAGE_CHARACTERS = 64 << 20


class Snapshot:
    """Table images of one meter, decoded on demand.

    >>> Snapshot({}).numbers()
    []
    """

    def __init__(self, images: Mapping[int, bytes]) -> None:
        self.images = dict(images)
        self._context: Context | None = None
        self._decoded: dict[int, Record] = {}

    def numbers(self) -> list[int]:
        """Give the ids of the tables that are there."""
        return sorted(self.images)

    def __iter__(self) -> Iterator[int]:
        """Go through the ids of the tables that are there."""
        return iter(self.numbers())

    @property
    def context(self) -> Context:
        """Give what the other tables depend on; TableError when ST-00 is not there."""
        if self._context is None:
            self._context = Context.from_images(self.images)
        return self._context

    def layout(self, number: int) -> Layout:
        """Give the layout of a table on this meter, whether its image is there or not."""
        return layout_for(number, self.context)

    def __getitem__(self, number: int) -> Record:
        """Decode a table, once; KeyError when its image is not there."""
        if number not in self._decoded:
            try:
                image = self.images[number]
            except KeyError:
                raise KeyError(f"{name_of(number)} is not in this snapshot") from None
            self._decoded[number] = self.layout(number).decode(image)
        return self._decoded[number]


def image_to_json(images: Mapping[int, bytes], identity: Mapping[str, Any] | None = None) -> str:
    """Give a whole meter as one JSON text."""
    tables = {str(number): images[number].hex() for number in sorted(images)}
    image = {"format": IMAGE_FORMAT, "identity": dict(identity or {}), "tables": tables}
    return json.dumps(image, indent=1)


def image_from_json(text: str) -> tuple[dict[int, bytes], dict[str, Any]]:
    """Give the table images and the identity of a JSON image; TableError says what is wrong."""
    if len(text) > MAX_IMAGE_CHARACTERS:
        raise TableError(f"image of {len(text)} characters, at most {MAX_IMAGE_CHARACTERS}")
    try:
        image = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"image is no JSON: {error}") from error
    if not isinstance(image, dict) or image.get("format") != IMAGE_FORMAT:
        raise TableError(f'image lacks "format": "{IMAGE_FORMAT}"')
    tables, identity = image.get("tables"), image.get("identity", {})
    if not isinstance(tables, dict) or not isinstance(identity, dict):
        raise TableError('image: "tables" and "identity" must be objects')
    images: dict[int, bytes] = {}
    for number, octets in tables.items():
        try:
            if not 0 <= int(number) < 1 << 16:
                raise ValueError("beyond 16 bits")
            images[int(number)] = bytes.fromhex(octets)
        except (ValueError, TypeError) as error:
            raise TableError(f"image, table {number!r:.20}: {error}") from error
    return images, identity
