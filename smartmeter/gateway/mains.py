"""How a board knows whether the mains are there: a GPIO line, its power supply, or not at all.

Only isolated, low-voltage signals belong on a GPIO line (an optocoupler or a
power-good output); never mains voltage.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any, Protocol

from smartmeter.base.errors import SettingsError

POWER_SUPPLIES = Path("/sys/class/power_supply")
_FORM = re.compile(r"meter|power_supply(:.+)?|gpio:.+:[0-9]{1,9}")
#: Linux takes no longer name.
MAX_OCTETS = 255
FORMS = 'write "meter", "power_supply" or "gpio:/dev/gpiochip0:17"'


class MainsSense(Protocol):
    """A sense that is asked a few times a second."""

    def read(self) -> bool | None:
        """Tell whether the mains are there; None where it cannot be told."""

    def close(self) -> None:
        """Let the hardware go."""


#: How the types of supplies begin that are fed from the mains.
_FED = ("Mains", "USB", "BrickID")


class MeterAlone:
    """No sense on the board: outages show in the meter's own log and clock only."""

    def read(self) -> bool | None:
        """Tell nothing."""
        return None

    def close(self) -> None:
        """Hold nothing."""


class PowerSupply:
    """``/sys/class/power_supply/*/online`` of the supplies of type Mains, USB, USB_C and the like.

    Off is 0; a supply that is there says 1, or 2 where its voltage is negotiated (Linux'
    ABI/testing/sysfs-class-power).
    """

    def __init__(self, folder: Path = POWER_SUPPLIES) -> None:
        self._files = [
            supply / "online"
            for supply in sorted(folder.glob("*"))
            if (supply / "online").exists() and _text(supply / "type").startswith(_FED)
        ]
        if not self._files:
            raise SettingsError(
                "mains", f"{folder} shows no supply with a mains state", 'write mains = "meter"'
            )

    def read(self) -> bool | None:
        """Tell whether any of the supplies is online."""
        found = [text != "0" for file in self._files if (text := _text(file)) in ("0", "1", "2")]
        return any(found) if found else None

    def close(self) -> None:
        """Hold nothing."""


class GpioLine:
    """One input line through libgpiod; high means that the mains are there."""

    def __init__(self, chip: str, line: int) -> None:
        place = f"mains gpio:{chip}:{line}"
        try:
            # Only a board with such a line needs the library.
            gpiod: Any = importlib.import_module("gpiod")
        except ImportError as error:
            raise SettingsError(place, "needs the package gpiod", "pip install gpiod") from error
        try:
            self._request = gpiod.request_lines(
                chip,
                consumer="smartmeter",
                config={line: gpiod.LineSettings(direction=gpiod.line.Direction.INPUT)},
            )
        except (OSError, ValueError) as error:
            raise SettingsError(
                place, str(error), "check chip, line, and the group gpio"
            ) from error
        self._active, self._line = gpiod.line.Value.ACTIVE, line

    def read(self) -> bool | None:
        """Tell the line's level."""
        try:
            return bool(self._request.get_value(self._line) == self._active)
        except OSError:
            return None

    def close(self) -> None:
        """Release the line."""
        self._request.release()


def check_sense(place: str, text: str) -> str:
    """Give a setting back; SettingsError for one that names no sense."""
    if len(os.fsencode(text)) > MAX_OCTETS or not _FORM.fullmatch(text):
        raise SettingsError(place, f"{text!r:.80} is no sense", FORMS)
    return text


def make_sense(text: str) -> MainsSense:
    """Make the sense of a setting that was checked; SettingsError when this board lacks it."""
    kind, _, rest = text.partition(":")
    if kind == "power_supply":
        return PowerSupply(Path(rest) if rest else POWER_SUPPLIES)
    if kind == "gpio":
        chip, _, line = rest.rpartition(":")
        return GpioLine(chip, int(line))
    return MeterAlone()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
