"""Changes of key without a gap: which key is a SmartMeter asked under, which one was it offered?

A key is durable here before the SmartMeter is told of it, and counts from then on, for the
module sends under it at once.  It takes the old one's place when the module has said ok, or has
used it, whichever comes first: so an answer may be lost, and either end may be cut off at
any moment.  The old one is refused from then on; key 0 of the shipment is the root, under which
a module registers and is given another key when one of the two has lost it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import SsiTable
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.base.errors import SettingsError
from smartmeter.tms.commits import Commits
from smartmeter.tms.exchanges import Exchange, checked
from smartmeter.tms.meters import ROOT_KEY, Meters
from smartmeter.tms.model import US_PER_S, YIELDED
from smartmeter.tms.store.octets import octets_of
from smartmeter.tms.store.queries import among
from smartmeter.tms.store.sqlite import Store

#: The role in KEYS of a key of the TMS.
TMS_ROLE = 0
MAX_KEY_ID = 255
#: A key that was lost is given anew no more often: anybody can name an unknown key id.
AGAIN_US = 600 * US_PER_S


class KeyChanges:
    """``draw_key`` gives 16 octets of chance; without it no key is changed.

    ``changed`` is told whose key was.
    """

    def __init__(
        self,
        store: Store,
        commits: Commits,
        meters: Meters,
        draw_key: Callable[[], bytes] | None,
        changed: Callable[[str], None],
    ) -> None:
        self._store, self._commits, self._meters = store, commits, meters
        self._draw_key, self._changed = draw_key, changed
        self._given_anew_us: dict[str, int] = {}

    def load(self, esns: Sequence[str] | None = None) -> None:
        """Read titles and keys from the store, of some SmartMeters or of all."""
        sql = "SELECT esn, title, key_id, key, offered FROM meters JOIN keys USING (esn)"
        which, values = among(esns)
        for row in self._store.read(f"{sql} WHERE {which} ORDER BY key_id", *values):
            if row["title"].startswith(YIELDED):
                continue
            esn, key_id, key = row["esn"], row["key_id"], octets_of(row["key"])
            self._meters.add(esn, row["title"], key_id, key)
            if row["offered"]:
                self._meters.offer(esn, key_id, key)
            elif key_id != ROOT_KEY:
                self._meters.use(esn, key_id)

    def offer(self, esn: str) -> tuple[int, bytes]:
        """Make a key for a SmartMeter, durable, or give the one that it was offered before."""
        if self._draw_key is None:
            raise SettingsError(esn, "no key can be drawn here", "use tms run")
        row = self._store.one("SELECT key_id, key FROM keys WHERE esn=? AND offered", esn)
        if row is not None:
            return row["key_id"], octets_of(row["key"])
        key_id, key = self._meters.sending(esn) % MAX_KEY_ID + 1, self._draw_key()
        sql = "INSERT OR REPLACE INTO keys (esn, key_id, key, offered) VALUES (?,?,?,1)"
        self._store.write_now(lambda c: c.execute(sql, (esn, key_id, key)).rowcount)
        self._meters.offer(esn, key_id, key)
        return key_id, key

    def go_on(self, esn: str, base: int) -> Callable[[], Exchange[str]]:
        """Give what is left of a change that another program began: of one that was used, nothing.

        It was offered before there was work for it.
        """
        if self._meters.offered(esn) is None:
            return partial(_had, self._meters.sending(esn))
        return partial(change_key, base, *self.offer(esn))

    def used(self, esn: str, now_us: int) -> None:
        """A SmartMeter has the key that it was offered: keep that, and forget the old one."""
        key_id = self._meters.offered(esn)
        if key_id is None:
            return

        def after(future: Future[None]) -> None:
            if future.exception() is None and self._meters.offered(esn) == key_id:
                self._meters.use(esn, key_id)
                # What is on its way under the old key is no sign that the new one was lost.
                self._given_anew_us[esn] = now_us + AGAIN_US
                self._changed(esn)

        self._commits.write(lambda c: store_used(c, esn, key_id), after)

    def may_give_anew(self, esn: str, now_us: int) -> bool:
        """Tell whether a SmartMeter that uses another key than it should is to be given one now."""
        if self._draw_key is None or now_us < self._given_anew_us.get(esn, now_us):
            return False
        self._given_anew_us[esn] = now_us + AGAIN_US
        return True


def store_used(connection: sqlite3.Connection, esn: str, key_id: int) -> None:
    """Note that a SmartMeter has a key; only the root key stays beside it."""
    connection.execute("UPDATE keys SET offered=0 WHERE esn=? AND key_id=?", (esn, key_id))
    connection.execute(
        "DELETE FROM keys WHERE esn=? AND key_id NOT IN (?,?)", (esn, ROOT_KEY, key_id)
    )


def _had(key_id: int) -> Exchange[str]:
    """Ask nothing of a SmartMeter that has its key."""
    yield from ()
    return f"key {key_id}"


def change_key(base: int, key_id: int, key: bytes) -> Exchange[str]:
    """Give a SmartMeter a key; its ok comes when it is durable there."""
    image = ssi_tables.encode(SsiTable.KEYS, {"KEY_ID": key_id, "ROLE": TMS_ROLE, "KEY": key})
    checked((yield [encode_request(FullWrite(base + SsiTable.KEYS, image))]), "key")
    return f"key {key_id}"
