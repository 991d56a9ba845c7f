"""A file of text that an option names; SettingsError names both."""

from __future__ import annotations

from pathlib import Path

from smartmeter.base.errors import SettingsError

MAX_FILE_OCTETS = 1 << 28


def text_of(option: str, name: str) -> str:
    """Read a file of UTF-8 text."""
    path = Path(name)
    try:
        if path.stat().st_size > MAX_FILE_OCTETS:
            raise SettingsError(f"{option} {name}", "is far too large", "split it")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise SettingsError(f"{option} {name}", str(fault), "check name and rights") from error
