"""An image of a newer version, and the keys that it is signed by and checked with."""

from random import Random
from typing import Any

from smartmeter.base import signing
from smartmeter.ssi.upgrade import MODEL
from smartmeter.tms.upgrades import Image, make_image

PRIVATE = bytes(range(32))
PUBLIC = signing.public_key(PRIVATE)
PAYLOAD = Random(5).randbytes(3000)
NEW = "9.0.1"


def image(**changes: Any) -> Image:
    what = {"payload": PAYLOAD, "model": MODEL, "version": NEW, "private_key": PRIVATE}
    return make_image(**{**what, "packed": False, **changes})
