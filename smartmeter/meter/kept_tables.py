"""The tables whose octets a meter keeps: as it leaves the factory, then as they are written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ansi_tables import Context, layout_for
from smartmeter.base.nvram import Nvram
from smartmeter.meter import tables
from smartmeter.meter.access import PASSWORDS, Rules, security_values
from smartmeter.meter.profile import KEYS, DeviceProfile, factory_images

TABLE_PAGE = "table."


@lru_cache(maxsize=64)
def _of_profile(profile: DeviceProfile) -> tuple[tuple[int, bytes], ...]:
    """Give the images of a profile, shared by all its meters."""
    return tuple(factory_images(profile).items())


class KeptTables:
    """The images in force, by table; ``changed_pages`` are those to be made durable."""

    def __init__(self, profile: DeviceProfile, serial: str, rules: Rules, nvram: Nvram) -> None:
        self._profile, self._serial, self._rules = profile, serial, rules
        self.images = self._factory()
        for name in nvram.names(TABLE_PAGE):
            self.images[int(name.removeprefix(TABLE_PAGE))] = nvram.get(name) or b""
        self._changed: set[int] = set()

    def _factory(self) -> dict[int, bytes]:
        """Give the images of a meter that leaves the factory: no keys are set."""
        images = dict(_of_profile(self._profile))
        context = Context.from_images(images)
        images |= tables.identification(self._profile, context, self._serial)
        if PASSWORDS in self._profile.used:
            value = security_values(self._rules)[PASSWORDS]
            images[PASSWORDS] = layout_for(PASSWORDS, context).encode(value)
        if KEYS in self._profile.used:
            images[KEYS] = bytes(layout_for(KEYS, context).size or 0)
        return images

    def put(self, images: dict[int, bytes]) -> None:
        """Put images in force in place of all that were."""
        self._changed |= {n for n, image in images.items() if self.images.get(n) != image}
        self.images = images

    def reset(self, but: Iterable[int]) -> None:
        """Put the factory's images in force for all tables but these."""
        self._changed |= set(self.images)
        self.images = self._factory() | {n: self.images[n] for n in but}

    def changed_pages(self) -> dict[str, bytes | None]:
        """Give the tables that changed since they were ``saved``, as pages."""
        return {f"{TABLE_PAGE}{n}": self.images[n] for n in self._changed}

    def saved(self) -> None:
        """What has changed is durable."""
        self._changed = set()
