"""Faults that strike many links at once: a district without network, a storm, a bad channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from smartmeter.network.carrier import Wrapper
from smartmeter.network.link import Link


class AreaFault:
    """One fault on many links, each in a wrapper of its own; ``mend`` ends it everywhere."""

    def __init__(self, wrapped: Iterable[tuple[Link, Wrapper]]) -> None:
        self._wrapped = list(wrapped)
        for link, wrapper in self._wrapped:
            link.wrap(wrapper)

    def mend(self, now_us: int) -> None:
        """End the fault; a second time does nothing."""
        for link, wrapper in self._wrapped:
            link.unwrap(wrapper, now_us)
        self._wrapped = []


class Area:
    """Links by name."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self.links = links

    def strike(self, make: Callable[[str], Wrapper]) -> AreaFault:
        """Put a fault on every link; ``make`` gives the wrapper of a link by its name."""
        return AreaFault((link, make(name)) for name, link in self.links.items())
