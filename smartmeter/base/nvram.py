"""Non-volatile memory: named pages, changed several at a time or not at all.

Meter and module keep everything that must survive a power cut in an object of
this shape.  ``commit`` is the one promise: when it returns, all the changes
are there after a kill or a power cut; when it does not return, all of them or
none of them are.  ``smartmeter.gateway.flash_file`` keeps it on a real file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from smartmeter.base.errors import StorageError

#: The longest page name and page, so that a bad file cannot claim the memory.
MAX_NAME_OCTETS = 64
MAX_PAGE_OCTETS = 1 << 20
#: A medium that has lost something it had acknowledged makes this page: others may be older than
#: they were.  It is removed by the program that has begun anew.
DAMAGED_PAGE = "damaged"


class Nvram(Protocol):
    """Named pages that outlive the power."""

    def get(self, name: str) -> bytes | None:
        """Give the page, or None when there is none."""

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Write (or, for None, remove) all these pages, durably and as one."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Give the names that begin with ``prefix``, in order."""


def check_changes(changes: Mapping[str, bytes | None]) -> None:
    """Refuse a change that no memory may take; StorageError names the page."""
    for name, page in changes.items():
        if not 0 < len(name.encode()) <= MAX_NAME_OCTETS:
            raise StorageError(f"page {name!r}", f"name not of 1..{MAX_NAME_OCTETS} octets")
        if page is not None and len(page) > MAX_PAGE_OCTETS:
            raise StorageError(f"page {name!r}", f"{len(page)} octets, over {MAX_PAGE_OCTETS}")


class MemoryNvram:
    """Pages in memory: the non-volatile memory of a simulated board.

    A simulated power cut keeps this object and drops everything else.
    """

    def __init__(self, pages: Mapping[str, bytes] | None = None) -> None:
        self._pages: dict[str, bytes] = dict(pages or {})
        self.commits = 0

    def get(self, name: str) -> bytes | None:
        """Give the page, or None when there is none."""
        return self._pages.get(name)

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Write or remove all these pages."""
        check_changes(changes)
        for name, page in changes.items():
            if page is None:
                self._pages.pop(name, None)
            else:
                self._pages[name] = bytes(page)
        self.commits += 1

    def names(self, prefix: str = "") -> Iterator[str]:
        """Give the names that begin with ``prefix``, in order."""
        return iter(sorted(name for name in self._pages if name.startswith(prefix)))
