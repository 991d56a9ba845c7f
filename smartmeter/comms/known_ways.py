"""Where a relay that registers nobody has heard the nodes of datagrams, kept over its restarts.

A node that has a connection sees that it ended, and comes anew; one of datagrams does not
notice that the relay was restarted, and may have nothing to say for a day.  So the way to it is
durable before the answer goes out that it was learned by.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.native_address import NativeAddress, decode_address, sends_datagrams
from protocols.c1222.registrar import MAX_ENTRIES, Change, Entry
from smartmeter.comms.registrations import RegistrationFile


class KnownWays:
    """At most ``MAX_ENTRIES`` titles, each for ``keep_us`` from when it was written down.

    ``offset_us`` is calendar time less monotonic time.  What the medium has damaged is left out,
    and heard again in time.
    """

    def __init__(self, path: Path, offset_us: int, keep_us: int, now_us: int) -> None:
        self._file, self._keep_us = RegistrationFile(path, offset_us), keep_us
        kept = (one.lapsing_by(now_us + keep_us) for one in self._file.load(True))
        self._entries = OrderedDict((one.title.absolute, one) for one in kept)
        self._changes: list[Change] = []

    @property
    def left_out(self) -> int:
        """Give how many damaged lines were left out."""
        return self._file.left_out

    def learned(self, title: ApTitle, address: bytes, now_us: int) -> None:
        """Note the way to a title: a native address; one that is no datagram's ends what was."""
        known = self._entries.get(title.absolute)
        if not sends_datagrams(address):
            if known is not None:
                self._drop(known)
            return
        if known is not None and known.heard_at == address and self._is_fresh(known, now_us):
            return
        self._entries.pop(title.absolute, None)
        while len(self._entries) >= MAX_ENTRIES:
            self._drop(next(iter(self._entries.values())))
        entry = Entry(title, None, 0, 0, b"", b"", now_us + self._keep_us, address)
        self._entries[title.absolute] = entry
        self._changes.append(Change(entry, True))

    def place(self, title: ApTitle, now_us: int) -> NativeAddress | None:
        """Give where a title was heard; None where that is not known, or too long ago."""
        known = self._entries.get(title.absolute)
        if known is None or known.lapses_us is None or now_us >= known.lapses_us:
            return None
        return decode_address(known.heard_at)

    def write(self) -> bool:
        """Make durable what changed, and tell whether anything has; StorageError where it cannot
        be, and what changed is not kept."""
        changes, self._changes = self._changes, []
        self._file.write(changes, self._entries.values())
        return bool(changes)

    def clock_was_set(self, offset_us: int) -> None:
        """Go by a calendar that was set."""
        self._file.clock_was_set(offset_us, self._entries.values())

    def close(self) -> None:
        """End."""
        self._file.close()

    def _is_fresh(self, known: Entry, now_us: int) -> bool:
        """Tell whether an entry need not be written again, which is twice in its time at most."""
        return (known.lapses_us or 0) - now_us > self._keep_us // 2

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.title.absolute]
        self._changes.append(Change(entry, False))
