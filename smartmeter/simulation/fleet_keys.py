"""The key file of a served fleet: who its meters are, for a head-end of any make.

CSV with the header ``esn,title,key,model``, as a shipment file of our TMS: the
serial number that a meter registers with (letters and digits, up to 16), its
ApTitle (``.7.42`` is relative to 2.16.124.113620.1.22.0), its AES-128 key with
key id 0 as 32 hexadecimal digits, and any text.
"""

from __future__ import annotations

from smartmeter.base.errors import SettingsError
from smartmeter.simulation.street import MODEL, factory_of
from smartmeter.tms.shipment import Shipped, read_shipment, write_shipment

PLAIN_MODEL = "SM-PLAIN"


def made_keys(count: int, seed: int, plain: bool) -> list[Shipped]:
    """Give the meters of a seed."""
    model = PLAIN_MODEL if plain else MODEL
    factories = [factory_of(number, seed, "none") for number in range(1, count + 1)]
    return [Shipped(one.esn, str(one.title), one.key, model) for one in factories]


def read_keys(text: str, name: str, count: int) -> list[Shipped]:
    """Give the first ``count`` meters of a key file; SettingsError names what is wrong."""
    shipped = read_shipment(text, name)
    if len(shipped) < count:
        raise SettingsError(
            name, f"holds {len(shipped)} meters, {count} are wanted", "lower --count or add lines"
        )
    return shipped[:count]


def key_text(shipped: list[Shipped]) -> str:
    """Give the text of a key file."""
    return write_shipment(shipped)
