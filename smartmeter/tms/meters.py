"""Keys and titles of all SmartMeters; implements ``protocols.c1222.keys.KeyRing``.

Each has its root key (id 0, of the shipment), and after a change of key one of the TMS: what it
is asked under.  One that it was offered counts too, from before it is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.security import EaxPrime

ROOT_KEY = 0


class Meters:
    """All that are known."""

    def __init__(self) -> None:
        self._esns: dict[tuple[int, ...], str] = {}
        self._titles: dict[str, ApTitle] = {}
        #: Made when a key is first used: of a hundred thousand they take ten seconds.
        self._ciphers: dict[tuple[str, int], EaxPrime] = {}
        self._keys: dict[tuple[str, int], bytes] = {}
        #: Of those whose key was changed.
        self._sending: dict[str, int] = {}
        self._offered: dict[str, int] = {}

    def add(self, esn: str, title: str, key_id: int, key: bytes) -> None:
        """Enter a SmartMeter, another title or another key of it.

        A key that is known already stays the one whose uses are counted.
        """
        parsed, old = ApTitle.parse(title), self._titles.get(esn)
        if old is not None and self._esns.get(old.absolute) == esn:  # or it is another's by now
            del self._esns[old.absolute]
        self._esns[parsed.absolute] = esn
        self._titles[esn] = parsed
        self._add_key(esn, key_id, key)

    def offer(self, esn: str, key_id: int, key: bytes) -> None:
        """Enter the key that a SmartMeter is going to be given."""
        self._add_key(esn, key_id, key)
        self._offered[esn] = key_id

    def use(self, esn: str, key_id: int) -> None:
        """A SmartMeter has a key: it is asked under it, and what it had before is forgotten."""
        if self._offered.get(esn) == key_id:
            del self._offered[esn]
        old = self.sending(esn)
        self._sending[esn] = key_id
        if old not in (ROOT_KEY, key_id):
            del self._keys[esn, old]
            self._ciphers.pop((esn, old), None)

    def sending(self, esn: str) -> int:
        """Give the key id under which a SmartMeter is asked."""
        return self._sending.get(esn, ROOT_KEY)

    def offered(self, esn: str) -> int | None:
        """Give the key id that a SmartMeter was offered and has not used yet."""
        return self._offered.get(esn)

    def below(self, prefix: tuple[int, ...]) -> Iterator[str]:
        """Give the SmartMeters below a title; others may be entered meanwhile."""
        size = len(prefix)
        return (esn for arcs, esn in list(self._esns.items()) if arcs[:size] == prefix)

    def key(self, peer: ApTitle | None, key_id: int) -> EaxPrime | None:
        """Give the key of a title."""
        esn = self.esn(peer)
        if esn is None or (esn, key_id) not in self._keys:
            return None
        cipher = self._ciphers.get((esn, key_id))
        if cipher is None:
            cipher = self._ciphers[esn, key_id] = EaxPrime(self._keys[esn, key_id])
        return cipher

    def esn(self, title: ApTitle | None) -> str | None:
        """Give whose title it is."""
        return self._esns.get(title.absolute) if title is not None else None

    def title(self, esn: str) -> ApTitle:
        """Give the title of a known SmartMeter; KeyError for an unknown one."""
        return self._titles[esn]

    def _add_key(self, esn: str, key_id: int, key: bytes) -> None:
        if self._keys.get((esn, key_id)) != key:
            self._keys[esn, key_id] = key
            self._ciphers.pop((esn, key_id), None)
