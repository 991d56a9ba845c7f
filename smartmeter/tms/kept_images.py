"""The images that are being sent: each once in the store, and in memory, for all who are sent it.

One is durable with the orders to send it, so that these go on after a restart, and is dropped when
the last of them has ended (a trigger of the schema).
"""

from __future__ import annotations

import hashlib
from weakref import WeakValueDictionary

from smartmeter.base.errors import SettingsError
from smartmeter.tms.store.sqlite import Store
from smartmeter.tms.upgrades import Image, read_image

#: Images at one time: each has up to two megabytes.
MAX_IMAGES = 32


class KeptImages:
    """Images by the SHA-256 of their files."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: WeakValueDictionary[bytes, Image] = WeakValueDictionary()

    def shared(self, image: Image) -> tuple[bytes, Image]:
        """Give an image's digest, and the one of all who are sent the same.

        SettingsError when too many others are being sent.
        """
        digest = hashlib.sha256(image.file()).digest()
        sql = "SELECT count(*) FROM upgrade_images WHERE digest!=?"
        if self._store.number(sql, digest) >= MAX_IMAGES:
            fault = f"{MAX_IMAGES} others are being sent"
            raise SettingsError("image", fault, "wait until one has arrived, or cancel it")
        return digest, self._held.setdefault(digest, image)

    def kept(self, digest: bytes) -> Image:
        """Give an image that is being sent; SettingsError when it is not as it was ordered."""
        held = self._held.get(digest)
        if held is not None:
            return held
        row = self._store.one("SELECT file FROM upgrade_images WHERE digest=?", digest)
        file = None if row is None else row["file"]
        if not isinstance(file, bytes) or hashlib.sha256(file).digest() != digest:
            fault = "is not in the database as it was ordered"
            raise SettingsError("its image", fault, "send it again")
        return self._held.setdefault(digest, read_image(file, "its image"))
