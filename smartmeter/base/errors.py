"""The root of the errors that a user of SmartMeter may see.

::

    SmartMeterError          place, what is wrong, and the remedy
      SettingsError          a setting, argument or file of ours is wrong
      StorageError           non-volatile memory cannot be read or written
        DamagedError         nor ever will be
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SmartMeterError(Exception):
    """Something that the user can mend; its text is one line: place, fault, remedy."""

    def __init__(self, place: str, fault: str, remedy: str = "") -> None:
        self.place = place
        self.fault = fault
        self.remedy = remedy
        text = f"{place}: {fault}"
        super().__init__(f"{text}; {remedy}" if remedy else text)


class SettingsError(SmartMeterError):
    """A setting, an argument or a file that a person wrote is wrong."""


class StorageError(SmartMeterError):
    """Non-volatile memory cannot be read or written as it must be."""


class DamagedError(StorageError):
    """What was kept is damaged: no later try can read it."""


@contextmanager
def told_as(kind: type[SmartMeterError], place: object, remedy: str) -> Iterator[None]:
    """Tell what the system refuses within as an error of ours."""
    try:
        yield
    except OSError as error:
        raise kind(str(place), error.strerror or str(error), remedy) from error
