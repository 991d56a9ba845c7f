"""A cloned meter's file, as a twin and the next clone read it."""

from __future__ import annotations

from pathlib import Path

from smartmeter.base.file import read_text
from smartmeter.meter.image import MeterImage

MAX_IMAGE_OCTETS = 128 << 20


def read_cloned(path: Path) -> MeterImage:
    """Read an image file; SettingsError says what is wrong with it."""
    return MeterImage.from_json(read_text(path, MAX_IMAGE_OCTETS), str(path))
