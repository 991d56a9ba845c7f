"""Packages that a verb wants later on: it looks for them before it makes anything."""

from __future__ import annotations

from importlib.util import find_spec

#: What the page of a TMS wants.
PAGE = ("argon2", "nicegui")


def need(*packages: str) -> None:
    """Raise ModuleNotFoundError for one that is missing; ``main`` tells what brings it."""
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
