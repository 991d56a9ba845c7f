"""What a program has had put on the medium: a power cut leaves nothing else for sure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Medium:
    """The files and folders that were synchronised since it looks."""

    def __init__(self) -> None:
        self._numbers: list[tuple[int, int]] = []

    def note(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self._numbers.append((found.st_dev, found.st_ino))

    def holds(self, *paths: Path) -> bool:
        found = [path.stat() for path in paths]
        return all((one.st_dev, one.st_ino) in self._numbers for one in found)

    def was_left_alone(self) -> bool:
        return not self._numbers


@contextmanager
def watched_medium() -> Iterator[Medium]:
    """Look which files Python synchronises; SQLite does so without it."""
    medium, synchronise = Medium(), os.fsync

    def noted(descriptor: int) -> None:
        synchronise(descriptor)
        medium.note(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", noted)
        yield medium
