"""Images of tables of real meters."""

import json
from pathlib import Path
from typing import Any

from ansi_tables import Snapshot

VECTORS = Path(__file__).parents[1] / "vectors" / "real_tables.json"
IMAGES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["images"]


def maker(image: dict[str, Any]) -> str:
    return "GE" if "GE" in image["meter"] else "HX" if "Hexing" in image["meter"] else "EPRI"


def octets(image: dict[str, Any]) -> bytes:
    """The image; ST-23 was captured without its first octet, NBR_DEMAND_RESETS, which is 0 here."""
    return bytes(image.get("offset", 0)) + bytes.fromhex(image["hex"])


def snapshot(name: str) -> Snapshot:
    """Give the images of one meter: ``GE``, ``HX`` or ``EPRI``."""
    return Snapshot({i["table"]: octets(i) for i in IMAGES if maker(i) == name})


def one_block_only(image: dict[str, Any], tables: Snapshot) -> None:
    """The captured ST-64 holds one block of the two that ST-61 declares."""
    if "blocks" in image:
        act = bytearray(tables.images[61])
        act[7] = image["blocks"]
        tables.images[61] = bytes(act)
